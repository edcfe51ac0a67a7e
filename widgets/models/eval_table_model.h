#pragma once

#include "backend/core/eval_report.h"
#include "backend/core/run_config.h"

#include <QAbstractTableModel>

#include <vector>

namespace secateur {

/// Tasks as rows, models (reports) as columns after "Task" and "n". Running evaluations are shown with what they have.
class EvalTableModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Role {
        AccuracyRole = Qt::UserRole + 1, ///< double 0…1, −1: none
        LowRole,
        HighRole,
        CapShareRole, ///< double 0…1, −1: not defined
        CountRole, ///< items so far
        TotalRole, ///< items asked, 0: unknown
        NoteRole, ///< "not available: …"
        StateRole, ///< "dense", "pruned", "recovered"
    };
    enum class Show { Accuracy, AccuracyNorm, AmongFinished, DeltaToDense };

    explicit EvalTableModel(QObject *parent = nullptr);
    void setReports(std::vector<EvaluationReportPtr> reports);
    /// A column that is still growing: replaces the report with the same id. \a total = items asked per task.
    void setRunning(const EvaluationReportPtr &report, const EvaluationOptions &options);
    void setShow(Show show);
    const std::vector<EvaluationReportPtr> &reports() const { return m_reports; }
    const EvaluationReport *reportOf(const QModelIndex &index) const;
    const TaskReport *taskOf(const QModelIndex &index) const;
    /// The whole table as "md" or "csv".
    QString toText(const QString &format) const;

    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    std::vector<EvaluationReportPtr> m_reports;
    QStringList m_tasks;
    Show m_show = Show::Accuracy;
    QString m_runningId;
    EvaluationOptions m_runningOptions;
    void rebuildTasks();
};

} // namespace secateur
