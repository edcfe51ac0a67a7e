#include "app/docks/models_dock.h"

#include "app/models/record_tree_model.h"
#include "app/workspace.h"
#include "widgets/theme/theme.h"

#include <QAction>
#include <QHeaderView>
#include <QLineEdit>
#include <QSortFilterProxyModel>
#include <QToolButton>
#include <QTreeView>
#include <QVBoxLayout>

namespace secateur {

ModelsDock::ModelsDock(Workspace *workspace, QWidget *parent)
    : QWidget(parent),
      m_workspace(workspace),
      m_model(new RecordTreeModel(workspace, this)),
      m_proxy(new QSortFilterProxyModel(this)),
      m_tree(new QTreeView(this)),
      m_filter(new QLineEdit(this)),
      m_newPlan(new QToolButton(this))
{
    auto *outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->setSpacing(0);
    auto *head = new QHBoxLayout;
    head->setContentsMargins(8, 4, 8, 4);
    head->setSpacing(4);
    m_filter->setPlaceholderText(tr("Filter"));
    m_filter->setClearButtonEnabled(true);
    m_filter->setAccessibleName(tr("Filter models and plans"));
    m_filter->addAction(themedIcon(u"search"_qs, IconColor::Text), QLineEdit::LeadingPosition);
    m_newPlan->setIcon(themedIcon(u"plus"_qs));
    m_newPlan->setFixedSize(26, 24);
    m_newPlan->setAccessibleName(tr("New child plan"));
    head->addWidget(m_filter, 1);
    head->addWidget(m_newPlan);
    outer->addLayout(head);

    m_proxy->setSourceModel(m_model);
    m_proxy->setRecursiveFilteringEnabled(true);
    m_proxy->setAutoAcceptChildRows(true);
    m_proxy->setFilterCaseSensitivity(Qt::CaseInsensitive);
    m_tree->setModel(m_proxy);
    m_tree->setAccessibleName(tr("Models and plans"));
    m_tree->setFrameShape(QFrame::NoFrame);
    m_tree->setUniformRowHeights(true);
    m_tree->setTextElideMode(Qt::ElideMiddle);
    m_tree->setEditTriggers(QAbstractItemView::EditKeyPressed);
    m_tree->setExpandsOnDoubleClick(false);
    m_tree->setIndentation(14);
    m_tree->setIconSize(QSize(16, 16));
    m_tree->header()->setStretchLastSection(false);
    m_tree->header()->setSectionResizeMode(RecordTreeModel::Name, QHeaderView::Stretch);
    m_tree->header()->setSectionResizeMode(RecordTreeModel::Parameters, QHeaderView::Fixed);
    m_tree->header()->resizeSection(RecordTreeModel::Parameters,
                                    m_tree->fontMetrics().horizontalAdvance(tr("Parameters")) + 16);
    m_tree->setContextMenuPolicy(Qt::ActionsContextMenu);
    outer->addWidget(m_tree, 1);

    connect(m_filter, &QLineEdit::textChanged, this, [this](const QString &text) {
        m_proxy->setFilterFixedString(text);
        m_tree->expandAll();
    });
    connect(m_model, &RecordTreeModel::rebuilt, this, &ModelsDock::selectCurrent);
    connect(workspace, &Workspace::currentSubjectChanged, this, &ModelsDock::selectCurrent);
    connect(m_tree->selectionModel(), &QItemSelectionModel::currentChanged, this, [this](const QModelIndex &index) {
        const QString id = m_model->idOf(m_proxy->mapToSource(index));
        if (!id.isEmpty())
            m_workspace->setCurrentSubject(id);
    });
    connect(m_tree, &QTreeView::activated, this, [this](const QModelIndex &index) {
        const QString id = m_model->idOf(m_proxy->mapToSource(index));
        if (!id.isEmpty())
            Q_EMIT opened(id);
    });
}

void ModelsDock::setNewPlanAction(QAction *action)
{
    const auto follow = [this, action] {
        m_newPlan->setEnabled(action->isEnabled());
        m_newPlan->setToolTip(action->toolTip());
    };
    connect(action, &QAction::changed, m_newPlan, follow);
    connect(m_newPlan, &QToolButton::clicked, action, &QAction::trigger);
    follow();
}

void ModelsDock::setMenuActions(const QList<QAction *> &actions)
{
    m_tree->addActions(actions);
}

void ModelsDock::focusFilter()
{
    m_filter->setFocus(Qt::ShortcutFocusReason);
    m_filter->selectAll();
}

void ModelsDock::renameCurrent()
{
    const QModelIndex index = m_tree->currentIndex().siblingAtColumn(RecordTreeModel::Name);
    if (index.flags().testFlag(Qt::ItemIsEditable)) {
        m_tree->setFocus();
        m_tree->edit(index);
    }
}

void ModelsDock::selectCurrent()
{
    m_tree->expandAll();
    const QModelIndex index = m_proxy->mapFromSource(m_model->indexOf(m_workspace->currentSubject()));
    if (index.isValid() && m_tree->currentIndex().siblingAtColumn(0) != index)
        m_tree->setCurrentIndex(index);
}

} // namespace secateur
