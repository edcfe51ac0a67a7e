#pragma once

#include <QWidget>

class QAction;
class QLineEdit;
class QSortFilterProxyModel;
class QToolButton;
class QTreeView;

namespace secateur {

class RecordTreeModel;
class Workspace;

/// Content of the Models & plans dock: filter, new-plan button and the tree. A click makes a model current everywhere,
/// a double click opens its main view, F2 renames, Delete removes.
class ModelsDock : public QWidget {
    Q_OBJECT
public:
    explicit ModelsDock(Workspace *workspace, QWidget *parent = nullptr);

    QTreeView *tree() const { return m_tree; }
    RecordTreeModel *model() const { return m_model; }
    void setNewPlanAction(QAction *action);
    void setMenuActions(const QList<QAction *> &actions);
    void focusFilter();
    void renameCurrent();

Q_SIGNALS:
    void opened(const QString &id); ///< double click or Enter

private:
    Workspace *m_workspace;
    RecordTreeModel *m_model;
    QSortFilterProxyModel *m_proxy;
    QTreeView *m_tree;
    QLineEdit *m_filter;
    QToolButton *m_newPlan;

    void selectCurrent();
};

} // namespace secateur
