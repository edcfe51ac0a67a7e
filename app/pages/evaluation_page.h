#pragma once

#include "backend/core/eval_report.h"

#include <QWidget>

#include <map>
#include <vector>

class QComboBox;
class QLabel;
class QPushButton;
class QStackedWidget;
class QTableView;
class QVBoxLayout;

namespace secateur {

class AccuracyChart;
class EmptyState;
class EvalController;
class EvalTableModel;
class ExportController;
class SegmentedControl;
class TraceLengthChart;
class Workspace;

/// What it cost: tasks by models with intervals and cap shares, bars side by side, lengths of the outputs.
class EvaluationPage : public QWidget {
    Q_OBJECT
public:
    EvaluationPage(Workspace *workspace, EvalController *evaluation, ExportController *exporter,
                   QWidget *parent = nullptr);

    EvalTableModel *model() const { return m_model; }
    QTableView *table() const { return m_table; }
    bool showsReports() const;
    void setEvaluateReason(const QString &reason);
    QString statusText() const;

public Q_SLOTS:
    void copyTable();
    void exportTable();
    void exportPicture();

Q_SIGNALS:
    void evaluateRequested();
    void samplesRequested(const QString &reportId, const QString &task);
    void helpRequested();
    void statusChanged();

private:
    Workspace *m_workspace;
    EvalController *m_evaluation;
    ExportController *m_exporter;
    EvalTableModel *m_model;
    QComboBox *m_protocol;
    SegmentedControl *m_show;
    QPushButton *m_evaluate;
    QPushButton *m_copy;
    QStackedWidget *m_stack;
    EmptyState *m_empty;
    QTableView *m_table;
    QLabel *m_footer;
    AccuracyChart *m_accuracy;
    TraceLengthChart *m_lengths;
    TraceLengthChart *m_survival;
    std::map<EvaluationReportPtr, EvaluationReportPtr> m_named; ///< report → its copy for the charts

    void makeOptions(QVBoxLayout *outer);
    QWidget *makeContent();
    void fillProtocols();
    void showReports();
    void showRunning();
    void showCharts();
    std::vector<EvaluationReportPtr> reportsOfProtocol() const;
    /// Copies with names that fit into a legend: "dense", the plan's name, "+ LoRA, 20 steps".
    std::vector<EvaluationReportPtr> shortlyNamed(const std::vector<EvaluationReportPtr> &reports);
};

} // namespace secateur
