#pragma once

#include "backend/core/eval_report.h"

#include <QWidget>

class QComboBox;
class QLabel;
class QStackedWidget;
class QTableView;
class QTextBrowser;
class QVBoxLayout;

namespace secateur {

class EmptyState;
class SampleTableModel;
class SegmentedControl;
class Workspace;

/// What the models wrote: samples of a task at the left, the raw text of the chosen one for two models side by side.
class TracesPage : public QWidget {
    Q_OBJECT
public:
    explicit TracesPage(Workspace *workspace, QWidget *parent = nullptr);

    /// Shows \a task of the report \a reportId beside the dense model.
    void showSamples(const QString &reportId, const QString &task);
    QTableView *table() const { return m_table; }
    bool showsSamples() const;
    QString statusText() const;

Q_SIGNALS:
    void evaluateRequested();
    void helpRequested();
    void statusChanged();

private:
    Workspace *m_workspace;
    SampleTableModel *m_model;
    QStackedWidget *m_stack;
    EmptyState *m_empty;
    QComboBox *m_left;
    QComboBox *m_right;
    QComboBox *m_task;
    SegmentedControl *m_filter;
    QTableView *m_table;
    QLabel *m_count;
    QTextBrowser *m_panes[2];
    QLabel *m_heads[2];

    void makeOptions(QVBoxLayout *outer);
    QWidget *makeContent();
    void fillReports();
    void fillTasks();
    void showTask();
    void showSample();
    EvaluationReportPtr reportOf(const QComboBox *box) const;
};

} // namespace secateur
