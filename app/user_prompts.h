#pragma once

#include "backend/core/model_info.h"
#include "backend/core/run_config.h"
#include "backend/engine/compute_device.h"
#include "backend/workflow/calibrate.h"

#include <QCoreApplication>
#include <QString>
#include <QStringList>

#include <filesystem>
#include <optional>
#include <vector>

class QWidget;

namespace secateur {

/// A task as the chooser shows it.
struct TaskChoice {
    std::string id;
    QString title;
    QString family;
    QString kind;
    QString missing; ///< empty when its rows are there
    bool suggested = false; ///< checked at first: there, and meant for models of any training
};

/// A model of the session as the chooser shows it.
struct SubjectChoice {
    QString id; ///< "dense", "plan-1", "run-2"
    QString name;
    bool checked = false;
};

/// What the evaluation chooser starts from and gives back.
struct EvaluationChoice {
    EvaluationOptions options;
    QStringList subjects;
    QString dataFolder;
};

/// What the export dialog gives back.
struct ExportChoice {
    QString folder;
    std::string dtype = "auto";
};

/// Every question the program asks, so that tests can answer it. GUI thread; each call returns after the answer.
class UserPrompts {
public:
    enum class Save { Save, Discard, Cancel };
    enum class Quit { StopAndSave, Cancel };
    enum class Memory { LoadBf16, LoadAnyway, Cancel };

    virtual ~UserPrompts() = default;

    /// Empty: cancelled.
    virtual QString openFile(const QString &title, const QString &folder, const QString &filter) = 0;
    virtual QString openFolder(const QString &title, const QString &folder) = 0;
    virtual QString saveFile(const QString &title, const QString &suggestion, const QString &filter) = 0;
    virtual QString text(const QString &title, const QString &label, const QString &value) = 0;

    /// One entry per line; nullopt: cancelled.
    virtual std::optional<QStringList> lines(const QString &title, const QString &label, const QStringList &start) = 0;

    virtual Save askUnsaved(const QString &name, int steps) = 0;
    virtual Quit askQuitWithJobs(const QString &job, bool unsaved) = 0;
    virtual Memory askMemory(const QString &model, const MemoryEstimate &f32, const MemoryEstimate &bf16,
                             std::uint64_t freeBytes)
        = 0;
    /// \a action is the text of the button that goes on.
    virtual bool confirm(const QString &title, const QString &text, const QString &action) = 0;
    virtual void details(const QString &title, const QString &text) = 0;

    virtual std::optional<workflow::CalibrationRequest> calibration(const workflow::CalibrationRequest &start,
                                                                    const QString &folder)
        = 0;
    virtual std::optional<EvaluationChoice> evaluation(const EvaluationChoice &start,
                                                       const std::vector<TaskChoice> &tasks,
                                                       const std::vector<SubjectChoice> &subjects)
        = 0;
    virtual std::optional<ExportChoice> exportModel(const QString &name, const QString &folder,
                                                    const QString &loaderNote)
        = 0;
    virtual std::optional<ComputeSettings> compute(const ComputeSettings &start, const std::vector<DeviceInfo> &devices)
        = 0;
};

/// The real dialogs, over one parent window.
class DialogPrompts : public UserPrompts {
    Q_DECLARE_TR_FUNCTIONS(secateur::DialogPrompts)
public:
    void setParent(QWidget *parent) { m_parent = parent; }

    QString openFile(const QString &title, const QString &folder, const QString &filter) override;
    QString openFolder(const QString &title, const QString &folder) override;
    QString saveFile(const QString &title, const QString &suggestion, const QString &filter) override;
    QString text(const QString &title, const QString &label, const QString &value) override;
    std::optional<QStringList> lines(const QString &title, const QString &label, const QStringList &start) override;
    Save askUnsaved(const QString &name, int steps) override;
    Quit askQuitWithJobs(const QString &job, bool unsaved) override;
    Memory askMemory(const QString &model, const MemoryEstimate &f32, const MemoryEstimate &bf16,
                     std::uint64_t freeBytes) override;
    bool confirm(const QString &title, const QString &text, const QString &action) override;
    void details(const QString &title, const QString &text) override;
    std::optional<workflow::CalibrationRequest> calibration(const workflow::CalibrationRequest &start,
                                                            const QString &folder) override;
    std::optional<EvaluationChoice> evaluation(const EvaluationChoice &start, const std::vector<TaskChoice> &tasks,
                                               const std::vector<SubjectChoice> &subjects) override;
    std::optional<ExportChoice> exportModel(const QString &name, const QString &folder,
                                            const QString &loaderNote) override;
    std::optional<ComputeSettings> compute(const ComputeSettings &start,
                                           const std::vector<DeviceInfo> &devices) override;

private:
    QWidget *m_parent = nullptr;
};

} // namespace secateur
