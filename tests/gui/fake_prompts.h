#pragma once

#include "app/user_prompts.h"

#include <QStringList>

namespace secateur {

/// Answers every question from what the test has put here, and remembers what was asked.
class FakePrompts : public UserPrompts {
public:
    QString file, folder, savedFile, typedText;
    Save saveAnswer = Save::Discard;
    Quit quitAnswer = Quit::StopAndSave;
    Memory memoryAnswer = Memory::LoadAnyway;
    bool confirmAnswer = true;
    std::optional<workflow::CalibrationRequest> calibrationAnswer;
    std::optional<EvaluationOptions> evaluationAnswer;
    QStringList evaluationSubjects;
    std::optional<QStringList> linesAnswer;
    QString confirmText; ///< of the last question that was to be confirmed
    QString dataFolder;
    std::optional<ExportChoice> exportAnswer;
    QStringList asked; ///< names of the questions, in order

    QString openFile(const QString &, const QString &, const QString &) override
    {
        asked.append(QStringLiteral("openFile"));
        return file;
    }
    QString openFolder(const QString &, const QString &) override
    {
        asked.append(QStringLiteral("openFolder"));
        return folder;
    }
    QString saveFile(const QString &, const QString &, const QString &) override
    {
        asked.append(QStringLiteral("saveFile"));
        return savedFile;
    }
    QString text(const QString &, const QString &, const QString &) override { return typedText; }
    std::optional<QStringList> lines(const QString &, const QString &, const QStringList &) override
    {
        asked.append(QStringLiteral("lines"));
        return linesAnswer;
    }
    Save askUnsaved(const QString &, int) override
    {
        asked.append(QStringLiteral("askUnsaved"));
        return saveAnswer;
    }
    Quit askQuitWithJobs(const QString &, bool) override
    {
        asked.append(QStringLiteral("askQuitWithJobs"));
        return quitAnswer;
    }
    Memory askMemory(const QString &, const MemoryEstimate &, const MemoryEstimate &, std::uint64_t) override
    {
        asked.append(QStringLiteral("askMemory"));
        return memoryAnswer;
    }
    bool confirm(const QString &, const QString &text, const QString &) override
    {
        confirmText = text;
        asked.append(QStringLiteral("confirm"));
        return confirmAnswer;
    }
    void details(const QString &, const QString &) override { }
    std::optional<workflow::CalibrationRequest> calibration(const workflow::CalibrationRequest &,
                                                            const QString &) override
    {
        asked.append(QStringLiteral("calibration"));
        return calibrationAnswer;
    }
    std::optional<EvaluationChoice> evaluation(const EvaluationChoice &start, const std::vector<TaskChoice> &tasks,
                                               const std::vector<SubjectChoice> &subjects) override
    {
        asked.append(QStringLiteral("evaluation"));
        offeredTasks = tasks;
        offeredSubjects = subjects;
        if (!evaluationAnswer)
            return std::nullopt;
        EvaluationChoice choice = start;
        choice.options = *evaluationAnswer;
        choice.subjects = evaluationSubjects;
        if (!dataFolder.isEmpty())
            choice.dataFolder = dataFolder;
        return choice;
    }
    std::optional<ExportChoice> exportModel(const QString &, const QString &, const QString &) override
    {
        asked.append(QStringLiteral("exportModel"));
        return exportAnswer;
    }
    std::optional<ComputeSettings> compute(const ComputeSettings &, const std::vector<DeviceInfo> &) override
    {
        return std::nullopt;
    }

    std::vector<TaskChoice> offeredTasks;
    std::vector<SubjectChoice> offeredSubjects;
};

} // namespace secateur
