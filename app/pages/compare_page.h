#pragma once

#include "backend/core/eval_report.h"

#include <QWidget>

class QComboBox;
class QStackedWidget;
class QStandardItemModel;
class QTableView;

namespace secateur {

class Banner;
class EmptyState;
class ExportController;
class Workspace;

/// All models of the session with their costs and results in one table, and two of them side by side with the change.
class ComparePage : public QWidget {
    Q_OBJECT
public:
    ComparePage(Workspace *workspace, ExportController *exporter, QWidget *parent = nullptr);

    QStandardItemModel *allModels() const { return m_all; }
    QStandardItemModel *pairModel() const { return m_pair; }
    QString statusText() const;

public Q_SLOTS:
    void copyTable();
    void exportTable();

Q_SIGNALS:
    void openModelRequested();
    void helpRequested();

private:
    Workspace *m_workspace;
    ExportController *m_exporter;
    QStackedWidget *m_stack;
    EmptyState *m_empty;
    QComboBox *m_first;
    QComboBox *m_second;
    QStandardItemModel *m_all;
    QStandardItemModel *m_pair;
    QTableView *m_allTable;
    QTableView *m_pairTable;
    Banner *m_notice;

    QWidget *makeContent();
    void fill();
    void fillAll();
    QStringList sizesOf(const QString &id) const; ///< parameters, bytes, FLOPs, KV bytes, sparsity
    void fillPair();
    EvaluationReportPtr reportOf(const QString &subject) const;
    QString tableText(QChar separator) const;
};

} // namespace secateur
