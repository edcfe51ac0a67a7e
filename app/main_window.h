#pragma once

#include "app/app_services.h"
#include "app/controllers/pruning_controller.h"

#include <QMainWindow>

#include <functional>
#include <memory>

class QDockWidget;
class QLabel;
class QStackedWidget;
class QTabWidget;
class QTimer;
class QUndoView;
class QVBoxLayout;

namespace secateur {

class Banner;
class BudgetPanel;
class CalibrationController;
class CommandPalette;
class ComparePage;
class DeviceChip;
class DocumentController;
class EvalController;
class EvaluationPage;
class ExportController;
class ImportancePage;
class JobsModel;
class JobsView;
class LoadController;
class LogDock;
class ModelsDock;
class NoticeCorner;
class PlanPage;
class RecoveryController;
class RecoveryPage;
class SelectionPanel;
class StartPage;
class TracesPage;
class WindowActions;

/// Controllers of the window, owned by the application.
struct Controllers {
    LoadController *load;
    CalibrationController *calibration;
    PruningController *pruning;
    RecoveryController *recovery;
    EvalController *evaluation;
    ExportController *exporter;
    DocumentController *document;
};

/// Frame of the program: menus, toolbar, docks, tabs, banners and status bar. Computes nothing.
class MainWindow : public QMainWindow {
    Q_OBJECT
public:
    enum Tab { Importance, Plan, Recovery, Evaluation, Traces, Compare, TabCount };

    MainWindow(const AppServices &services, const Controllers &controllers);
    ~MainWindow() override;

    WindowActions *actions() const { return m_actions; }
    ImportancePage *importancePage() const { return m_importance; }
    PlanPage *planPage() const { return m_plan; }
    RecoveryPage *recoveryPage() const { return m_recovery; }
    EvaluationPage *evaluationPage() const { return m_evaluation; }
    TracesPage *tracesPage() const { return m_traces; }
    ComparePage *comparePage() const { return m_compare; }
    StartPage *startPage() const { return m_start; }
    ModelsDock *modelsDock() const { return m_models; }
    JobsModel *jobs() const { return m_jobs; }
    BudgetPanel *budgetPanel() const { return m_budget; }
    CommandPalette *palette() const { return m_palette; }
    QList<Banner *> errorBanners() const { return m_errors; }
    Banner *weightsBanner() const { return m_weightsBanner; }
    bool showsStartPage() const;
    int currentTab() const;
    void showTab(int tab);
    /// Device and format for the chip, found on the compute thread; whether the example model is there.
    void setMachine(const QString &device, bool exampleAvailable);

Q_SIGNALS:
    void firstPainted();
    void themeChosen(int mode); ///< ThemeMode
    void deviceDialogRequested();

protected:
    void closeEvent(QCloseEvent *event) override;
    void resizeEvent(QResizeEvent *event) override;
    void dragEnterEvent(QDragEnterEvent *event) override;
    void dropEvent(QDropEvent *event) override;
    void keyPressEvent(QKeyEvent *event) override;
    bool event(QEvent *event) override;

private:
    AppServices m_services;
    Controllers m_controllers;
    WindowActions *m_actions;
    QStackedWidget *m_central;
    QTabWidget *m_tabs;
    QVBoxLayout *m_bannerBox;
    QList<Banner *> m_errors; ///< newest first
    Banner *m_weightsBanner;
    StartPage *m_start;
    ImportancePage *m_importance;
    PlanPage *m_plan;
    RecoveryPage *m_recovery;
    EvaluationPage *m_evaluation;
    TracesPage *m_traces;
    ComparePage *m_compare;
    ModelsDock *m_models;
    SelectionPanel *m_selectionPanel;
    BudgetPanel *m_budget;
    JobsModel *m_jobs;
    JobsView *m_jobsView;
    LogDock *m_log;
    QUndoView *m_history;
    QDockWidget *m_modelsDock, *m_selectionDock, *m_budgetDock, *m_constraintsDock, *m_jobsDock, *m_logDock,
        *m_historyDock;
    DeviceChip *m_chip;
    QLabel *m_statusLeft;
    QLabel *m_statusRight;
    CommandPalette *m_palette;
    NoticeCorner *m_corner;
    QTimer *m_memory;
    int m_layoutTab = -1; ///< tab whose dock layout is shown; −1: start page
    bool m_painted = false;
    bool m_closing = false; ///< every question is answered
    bool m_closeWhenIdle = false; ///< waiting for stopped jobs

    // main_window.cpp
    void makeCentre();
    void makeToolBar();
    void makeStatusBar();
    void showDocument();
    void showStatus();
    void showBudget();
    void updateActions();
    void showError(const QString &title, const QString &text, const QString &details, std::function<void()> retry);
    void removeError(Banner *banner);
    void noteJob(const JobStatus &status);
    void continueClosing();

    // main_window_docks.cpp
    void makeDocks();
    QDockWidget *addDock(const QString &id, const QString &title, QWidget *content, Qt::DockWidgetArea area);
    QList<QDockWidget *> allDocks() const;
    void showLayoutOf(int tab);
    void applyDefaultLayout(int tab);
    void applyDefaultSizes(int tab);
    void resetLayout();
    void fitDocks();
    void goToDock(int number);
    void goToPane(int step);

    // main_window_actions.cpp
    void connectActions();
    void connectPages();
    void showScores(const MetricMapPtr &map);
    void runPrimary();
    void removeCurrent();
    void openRecord(const QString &id);
    void exportPicture();
    void exportTable();
    void copyCommand();
    void showHelp(const QString &title, const QString &html);
    void showTopic(const QString &topic);
    void showKeyboard();
    void showAbout();
};

} // namespace secateur
