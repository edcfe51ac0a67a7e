// Docks of the main window: what is where in which view, and how it fits into narrow windows.
#include "app/main_window.h"

#include "app/controls/notice_corner.h"
#include "app/docks/log_dock.h"
#include "app/docks/models_dock.h"
#include "app/pages/plan_page.h"
#include "app/settings/app_settings.h"
#include "app/window_actions.h"
#include "app/workspace.h"
#include "widgets/controls/budget_panel.h"
#include "widgets/controls/jobs_view.h"
#include "widgets/controls/selection_panel.h"

#include <QAction>
#include <QApplication>
#include <QDockWidget>
#include <QTabWidget>
#include <QUndoView>

#include <algorithm>

namespace secateur {

namespace {

constexpr int kLayoutVersion = 1;
constexpr int kNarrowWindow = 1320; ///< below, the right docks become tabs of each other

} // namespace

QDockWidget *MainWindow::addDock(const QString &id, const QString &title, QWidget *content, Qt::DockWidgetArea area)
{
    auto *dock = new QDockWidget(title, this);
    dock->setObjectName(id);
    dock->setWidget(content);
    dock->setAllowedAreas(Qt::AllDockWidgetAreas);
    addDockWidget(area, dock);
    return dock;
}

void MainWindow::makeDocks()
{
    Workspace *workspace = &m_services.workspace;
    m_models = new ModelsDock(workspace, this);
    m_models->setMinimumWidth(200);
    m_selectionPanel = new SelectionPanel(workspace->selection(), this);
    m_selectionPanel->setMinimumWidth(264);
    m_budget = new BudgetPanel(this);
    m_budget->setMinimumWidth(264);
    m_jobsView = new JobsView(m_jobs, this);
    m_log = new LogDock(this);
    m_history = new QUndoView(workspace->undoStack(), this);
    m_history->setEmptyLabel(tr("Opened"));
    m_history->setAccessibleName(tr("History"));
    m_history->setFrameShape(QFrame::NoFrame);

    m_modelsDock = addDock(u"models"_qs, tr("Models & plans"), m_models, Qt::LeftDockWidgetArea);
    m_selectionDock = addDock(u"selection"_qs, tr("Selection"), m_selectionPanel, Qt::RightDockWidgetArea);
    m_budgetDock = addDock(u"budget"_qs, tr("Budget"), m_budget, Qt::RightDockWidgetArea);
    m_constraintsDock = addDock(u"constraints"_qs, tr("Constraints"), m_plan->constraints(), Qt::RightDockWidgetArea);
    m_jobsDock = addDock(u"jobs"_qs, tr("Jobs (%1)").arg(0), m_jobsView, Qt::BottomDockWidgetArea);
    m_logDock = addDock(u"log"_qs, tr("Log"), m_log, Qt::BottomDockWidgetArea);
    m_historyDock = addDock(u"history"_qs, tr("History"), m_history, Qt::BottomDockWidgetArea);
    m_modelsDock->toggleViewAction()->setText(tr("Models && plans"));
    // Their tabs are their titles.
    for (QDockWidget *dock : {m_jobsDock, m_logDock, m_historyDock})
        dock->setTitleBarWidget(new QWidget(dock));
    setTabPosition(Qt::BottomDockWidgetArea, QTabWidget::North);
    setTabPosition(Qt::RightDockWidgetArea, QTabWidget::North);
    for (QDockWidget *dock : allDocks())
        dock->hide();
}

QList<QDockWidget *> MainWindow::allDocks() const
{
    return {m_modelsDock, m_selectionDock, m_budgetDock, m_constraintsDock, m_jobsDock, m_logDock, m_historyDock};
}

void MainWindow::showLayoutOf(int tab)
{
    if (m_layoutTab >= 0 && m_layoutTab != tab)
        m_services.settings.setLayout(QString::number(m_layoutTab), saveState(kLayoutVersion));
    m_layoutTab = tab;
    if (tab < 0) {
        for (QDockWidget *dock : allDocks())
            dock->hide();
        return;
    }
    const QByteArray saved = m_services.settings.layout(QString::number(tab));
    if (saved.isEmpty() || !restoreState(saved, kLayoutVersion))
        applyDefaultLayout(tab);
    fitDocks();
    m_corner->raise(); // shown docks come to the front
}

void MainWindow::applyDefaultLayout(int tab)
{
    for (QDockWidget *dock : allDocks()) {
        dock->setFloating(false);
        dock->hide();
    }
    addDockWidget(Qt::LeftDockWidgetArea, m_modelsDock);
    addDockWidget(Qt::RightDockWidgetArea, m_selectionDock);
    addDockWidget(Qt::RightDockWidgetArea, m_budgetDock);
    addDockWidget(Qt::RightDockWidgetArea, m_constraintsDock);
    addDockWidget(Qt::BottomDockWidgetArea, m_jobsDock);
    tabifyDockWidget(m_jobsDock, m_logDock);
    tabifyDockWidget(m_logDock, m_historyDock);

    const bool hasRight = tab == Importance || tab == Plan;
    const bool hasBottom = hasRight || tab == Recovery;
    m_modelsDock->setVisible(true);
    m_selectionDock->setVisible(tab == Importance);
    m_budgetDock->setVisible(hasRight);
    m_constraintsDock->setVisible(tab == Plan);
    for (QDockWidget *dock : {m_jobsDock, m_logDock, m_historyDock})
        dock->setVisible(hasBottom);
    if (hasBottom)
        m_jobsDock->raise();
    // Sizes hold only once the docks are laid out.
    QMetaObject::invokeMethod(
        this, [this, tab] { applyDefaultSizes(tab); }, Qt::QueuedConnection);
}

void MainWindow::applyDefaultSizes(int tab)
{
    if (tab != m_layoutTab)
        return;
    const bool hasRight = tab == Importance || tab == Plan;
    const bool hasBottom = hasRight || tab == Recovery;
    resizeDocks({m_modelsDock}, {264}, Qt::Horizontal);
    if (hasRight) {
        resizeDocks({m_budgetDock}, {288}, Qt::Horizontal);
        if (tab == Importance)
            resizeDocks({m_selectionDock, m_budgetDock}, {400, 330}, Qt::Vertical);
        else
            resizeDocks({m_budgetDock, m_constraintsDock}, {360, 320}, Qt::Vertical);
    }
    if (hasBottom)
        resizeDocks({m_jobsDock}, {100}, Qt::Vertical);
}

void MainWindow::resetLayout()
{
    m_services.settings.clearLayouts();
    if (m_layoutTab >= 0)
        applyDefaultLayout(m_layoutTab);
    fitDocks();
}

void MainWindow::fitDocks()
{
    if (m_layoutTab != Importance && m_layoutTab != Plan)
        return;
    QDockWidget *first = m_layoutTab == Importance ? m_selectionDock : m_budgetDock;
    QDockWidget *second = m_layoutTab == Importance ? m_budgetDock : m_constraintsDock;
    if (first->isHidden() || second->isHidden() || first->isFloating() || second->isFloating())
        return;
    const bool isTabbed = tabifiedDockWidgets(first).contains(second);
    if (width() < kNarrowWindow && !isTabbed) {
        tabifyDockWidget(first, second);
        (m_layoutTab == Plan ? second : first)->raise();
    } else if (width() >= kNarrowWindow && isTabbed && dockWidgetArea(first) == Qt::RightDockWidgetArea) {
        splitDockWidget(first, second, Qt::Vertical);
    }
}

void MainWindow::goToDock(int number)
{
    QDockWidget *docks[] = {m_modelsDock, m_selectionDock, m_budgetDock, m_jobsDock, m_logDock};
    QDockWidget *dock = docks[std::clamp(number, 0, 4)];
    dock->show();
    dock->raise();
    QWidget *content = dock->widget();
    QWidget *target = content->focusPolicy() != Qt::NoFocus ? content : content->nextInFocusChain();
    target->setFocus(Qt::ShortcutFocusReason);
}

void MainWindow::goToPane(int step)
{
    QList<QWidget *> panes;
    if (m_modelsDock->isVisible())
        panes.append(m_models);
    panes.append(showsStartPage() ? static_cast<QWidget *>(centralWidget()) : m_tabs->currentWidget());
    for (QDockWidget *dock : {m_selectionDock, m_budgetDock, m_constraintsDock, m_jobsDock, m_logDock, m_historyDock}) {
        if (dock->isVisible() && !dock->visibleRegion().isEmpty())
            panes.append(dock->widget());
    }
    int current = 0;
    for (int i = 0; i < panes.size(); ++i) {
        if (QWidget *focus = QApplication::focusWidget(); focus && panes.at(i)->isAncestorOf(focus))
            current = i;
    }
    QWidget *pane = panes.at((current + step + static_cast<int>(panes.size())) % static_cast<int>(panes.size()));
    // The first widget of the pane that takes the keyboard.
    for (QWidget *widget = pane; widget;) {
        widget = widget->nextInFocusChain();
        if (widget == pane || !pane->isAncestorOf(widget))
            break;
        if (widget->isVisible() && widget->isEnabled() && (widget->focusPolicy() & Qt::TabFocus)) {
            widget->setFocus(Qt::TabFocusReason);
            break;
        }
    }
}

} // namespace secateur
