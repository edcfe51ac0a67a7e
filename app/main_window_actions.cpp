// What the actions of the main window do.
#include "app/main_window.h"

#include "app/controllers/calibration_controller.h"
#include "app/controllers/document_controller.h"
#include "app/controllers/eval_controller.h"
#include "app/controllers/export_controller.h"
#include "app/controllers/load_controller.h"
#include "app/controllers/recovery_controller.h"
#include "app/controls/command_palette.h"
#include "app/docks/models_dock.h"
#include "app/help_texts.h"
#include "app/pages/compare_page.h"
#include "app/pages/evaluation_page.h"
#include "app/pages/importance_page.h"
#include "app/pages/plan_page.h"
#include "app/pages/recovery_page.h"
#include "app/pages/start_page.h"
#include "app/pages/traces_page.h"
#include "app/qt_paths.h"
#include "app/settings/app_settings.h"
#include "app/user_prompts.h"
#include "app/window_actions.h"
#include "app/workspace.h"
#include "backend/core/resource_path.h"
#include "widgets/charts/profile_chart.h"
#include "widgets/controls/jobs_view.h"
#include "widgets/controls/selection_panel.h"
#include "widgets/models/eval_table_model.h"

#include <QAction>
#include <QApplication>
#include <QClipboard>
#include <QDialog>
#include <QDialogButtonBox>
#include <QDockWidget>
#include <QFileInfo>
#include <QStackedWidget>
#include <QTabWidget>
#include <QTextBrowser>
#include <QTreeView>
#include <QVBoxLayout>

namespace secateur {

void MainWindow::connectActions()
{
    const auto on = [this](QAction *action, auto function) {
        connect(action, &QAction::triggered, this, [function] { function(); });
    };
    WindowActions *a = m_actions;
    Workspace *workspace = &m_services.workspace;
    on(a->open, [this] { m_controllers.document->askOpen(); });
    on(a->openFolder, [this] { m_controllers.document->askOpenFolder(); });
    on(a->openSession, [this] { m_controllers.document->askOpenSession(); });
    on(a->save, [this] { m_controllers.document->save(); });
    on(a->saveAs, [this] { m_controllers.document->saveAs(); });
    on(a->close, [this] { m_controllers.document->closeDocument(); });
    on(a->quit, [this] { close(); });
    on(a->exportModel, [this, workspace] { m_controllers.exporter->askModel(workspace->currentSubject()); });
    on(a->exportMaps, [this] { m_controllers.exporter->askMaps(); });
    on(a->exportPicture, [this] { exportPicture(); });
    on(a->exportData, [this] { m_importance->exportData(); });
    on(a->exportTable, [this] { exportTable(); });
    on(a->savePlan, [this, workspace] {
        const Subject subject = workspace->subject(workspace->currentSubject());
        if (subject.plan)
            m_controllers.pruning->savePlanFile(qString(subject.plan->id));
    });

    on(a->undo, [workspace] { workspace->undoStack()->undo(); });
    on(a->redo, [workspace] { workspace->undoStack()->redo(); });
    connect(workspace->undoStack(), &QUndoStack::indexChanged, this, &MainWindow::updateActions);
    on(a->rename, [this] { m_models->renameCurrent(); });
    on(a->remove, [this] { removeCurrent(); });
    on(a->find, [this] {
        m_modelsDock->show();
        m_models->focusFilter();
    });
    on(a->settings, [this] { Q_EMIT deviceDialogRequested(); });

    for (int i = 0; i < a->tabs.size(); ++i)
        on(a->tabs.at(i), [this, i] { showTab(i); });
    for (int i = 0; i < a->docks.size(); ++i)
        on(a->docks.at(i), [this, i] { goToDock(i); });
    const ThemeMode theme = m_services.settings.theme();
    a->themeSystem->setChecked(theme == ThemeMode::System);
    a->themeLight->setChecked(theme == ThemeMode::Light);
    a->themeDark->setChecked(theme == ThemeMode::Dark);
    on(a->themeSystem, [this] { Q_EMIT themeChosen(int(ThemeMode::System)); });
    on(a->themeLight, [this] { Q_EMIT themeChosen(int(ThemeMode::Light)); });
    on(a->themeDark, [this] { Q_EMIT themeChosen(int(ThemeMode::Dark)); });
    on(a->resetLayout, [this] { resetLayout(); });
    on(a->startPage, [this] {
        showLayoutOf(-1);
        m_central->setCurrentIndex(0);
        showStatus();
    });
    on(a->fullScreen, [this] { setWindowState(windowState() ^ Qt::WindowFullScreen); });
    on(a->nextPane, [this] { goToPane(1); });
    on(a->previousPane, [this] { goToPane(-1); });

    on(a->clearSelection, [this] { m_selectionPanel->clear(); });
    on(a->invertSelection, [this] { m_selectionPanel->invert(); });
    on(a->lock, [this] { m_selectionPanel->toggleLock(); });
    on(a->threshold, [this] {
        showTab(Importance);
        m_importance->profile()->focusThreshold();
    });
    on(a->nextMap, [this] {
        showTab(Importance);
        m_importance->nextMap();
    });

    on(a->calibrate, [this] { m_controllers.calibration->ask(); });
    on(a->openMaps, [this] {
        const QString file = m_services.prompts.openFile(tr("Open maps"), m_services.settings.lastFolder(),
                                                         tr("HDF5 maps (*.h5 *.hdf5)"));
        if (!file.isEmpty())
            m_controllers.calibration->openMaps(file);
    });
    on(a->openTwin, [this] { m_controllers.calibration->askTwin(); });
    on(a->closeTwin, [workspace] { workspace->setTwin(nullptr); });
    on(a->locate, [this] { m_controllers.load->locateWeights(); });
    on(a->prune, [this, workspace] {
        if (!workspace->selection()->selected().empty())
            m_plan->chooseMethod(u"selection"_qs);
        showTab(Plan);
    });
    on(a->newChildPlan, [this] { m_plan->keepAsDraft(); });
    on(a->scoreAndPrune, [this] { runPrimary(); });
    on(a->recover, [this] { showTab(Recovery); });
    on(a->stopAndKeep, [this] { m_controllers.recovery->stopAndKeep(); });
    on(a->evaluate, [this, workspace] { m_controllers.evaluation->ask(workspace->currentSubject()); });
    on(a->cancelJobs, [this] { m_services.runner.cancelAll(); });

    on(a->commands, [this] { m_palette->open(); });
    on(a->copyCommand, [this] { copyCommand(); });
    on(a->helpCard, [this] {
        const HelpText help = showsStartPage() ? firstStepsHelp() : viewHelp(currentTab());
        showHelp(help.title, help.html);
    });
    on(a->firstSteps, [this] { showTopic(u"first-steps"_qs); });
    on(a->methodCards, [this] { showTopic(u"methods"_qs); });
    on(a->keyboard, [this] { showKeyboard(); });
    on(a->about, [this] { showAbout(); });
}

void MainWindow::connectPages()
{
    const auto help = [this] { m_actions->helpCard->trigger(); };
    DocumentController *document = m_controllers.document;
    connect(m_start, &StartPage::openModelRequested, m_actions->open, &QAction::trigger);
    connect(m_start, &StartPage::openSessionRequested, m_actions->openSession, &QAction::trigger);
    connect(m_start, &StartPage::exampleRequested, document, &DocumentController::openExample);
    connect(m_start, &StartPage::bundledRequested, document, &DocumentController::openModel);
    connect(m_start, &StartPage::recentRequested, this, [document](const QString &path) {
        path.startsWith(u"bundled:") ? document->openModel(path) : document->openAny(path);
    });
    connect(m_start, &StartPage::locateRequested, this, [this, document](const QString &path) {
        const QString file = m_services.prompts.openFile(tr("Locate %1").arg(QFileInfo(path).fileName()),
                                                         m_services.settings.lastFolder(), tr("All files (*)"));
        if (!file.isEmpty()) {
            m_services.settings.removeRecent(path);
            document->openAny(file);
        }
    });
    connect(m_start, &StartPage::helpRequested, this, &MainWindow::showTopic);
    connect(document, &DocumentController::recentChanged, m_start, &StartPage::refresh);

    m_models->setNewPlanAction(m_actions->newChildPlan);
    m_models->setMenuActions({m_actions->rename, m_actions->remove, m_actions->newChildPlan, m_actions->recover,
                              m_actions->evaluate, m_actions->exportModel, m_actions->savePlan});
    connect(m_models, &ModelsDock::opened, this, &MainWindow::openRecord);
    connect(m_jobsView, &JobsView::cancelRequested, &m_services.runner, &JobRunner::cancel);
    connect(m_jobsView, &JobsView::showRequested, this, [this] { showTab(currentTab()); });

    connect(m_importance, &ImportancePage::calibrateRequested, m_actions->calibrate, &QAction::trigger);
    connect(m_importance, &ImportancePage::openMapsRequested, m_actions->openMaps, &QAction::trigger);
    connect(m_importance, &ImportancePage::twinRequested, this, [this](const QString &source) {
        source.isEmpty() ? m_controllers.calibration->askTwin() : m_controllers.calibration->openTwin(source);
    });
    connect(m_controllers.calibration, &CalibrationController::twinReady, this, [this] {
        showTab(Importance);
        m_importance->showTwin(TwinMode::Difference);
    });
    connect(m_importance, &ImportancePage::makePlanRequested, this, &MainWindow::runPrimary);
    connect(m_importance, &ImportancePage::helpRequested, this, help);
    connect(m_importance, &ImportancePage::currentMapChanged, this, &MainWindow::showScores);
    connect(m_importance, &ImportancePage::exportFailed, this, [this](const QString &message) {
        m_services.messages.reportError(
            tr("Export picture"), {.kind = ErrorKind::Io, .message = message.toStdString(), .hint = {}, .details = {}});
    });
    connect(m_controllers.calibration, &CalibrationController::mapsReady, this, [this, document] {
        document->setThumbnail(mapThumbnail(m_services.workspace.analysis()->find("block_cosine")));
        showTab(Importance);
    });
    connect(m_plan, &PlanPage::previewChanged, this, [this] {
        showBudget();
        updateActions();
    });
    connect(m_plan, &PlanPage::calibrateRequested, m_actions->calibrate, &QAction::trigger);
    connect(m_controllers.pruning, &PruningController::planCreated, this, [this](const QString &id) {
        m_services.workspace.setCurrentSubject(id);
        updateActions();
    });
    connect(m_recovery, &RecoveryPage::evaluateRequested, m_actions->evaluate, &QAction::trigger);
    connect(m_controllers.recovery, &RecoveryController::runFinished, this,
            [this](const QString &id) { m_services.workspace.setCurrentSubject(id); });
    connect(m_controllers.recovery, &RecoveryController::runningChanged, this, &MainWindow::updateActions);
    connect(m_evaluation, &EvaluationPage::evaluateRequested, m_actions->evaluate, &QAction::trigger);
    connect(m_evaluation, &EvaluationPage::helpRequested, this, help);
    connect(m_evaluation, &EvaluationPage::statusChanged, this, &MainWindow::showStatus);
    connect(m_evaluation, &EvaluationPage::samplesRequested, this, [this](const QString &report, const QString &task) {
        m_traces->showSamples(report, task);
        showTab(Traces);
    });
    connect(m_controllers.evaluation, &EvalController::runningChanged, this, [this] {
        if (m_controllers.evaluation->isRunning() && currentTab() != Evaluation && currentTab() != Traces
            && !m_controllers.evaluation->runningReport())
            showTab(Evaluation);
    });
    connect(m_traces, &TracesPage::evaluateRequested, m_actions->evaluate, &QAction::trigger);
    connect(m_traces, &TracesPage::helpRequested, this, help);
    connect(m_compare, &ComparePage::helpRequested, this, help);
    connect(m_compare, &ComparePage::openModelRequested, m_actions->open, &QAction::trigger);
    showScores(m_importance->currentMap());
}

void MainWindow::showScores(const MetricMapPtr &map)
{
    m_selectionPanel->setScores(nullptr);
    if (const auto analysis = m_services.workspace.analysis()) {
        // Units of every kind have a score beside them, whichever map is shown.
        for (const char *group : {"ffn_importance", "head_importance", "block_influence"})
            m_selectionPanel->setScores(analysis->find(group));
    }
    if (map)
        m_selectionPanel->setScores(map);
}

void MainWindow::runPrimary()
{
    switch (currentTab()) {
    case Importance:
        if (!m_services.workspace.selection()->selected().empty()) {
            m_plan->chooseMethod(u"selection"_qs);
            showTab(Plan);
        }
        break;
    case Plan:
        m_plan->scoreAndPrune();
        break;
    case Recovery:
        m_recovery->queueRun();
        break;
    case Evaluation:
        m_actions->evaluate->trigger();
        break;
    default:
        break;
    }
}

void MainWindow::removeCurrent()
{
    Workspace &workspace = m_services.workspace;
    const QString id = workspace.currentSubject();
    if (workspace.hasRecords(id)
        && !m_services.prompts.confirm(tr("Delete “%1”?").arg(workspace.subjectName(id)),
                                       tr("Its runs and reports go with it. Undo brings them back until the session "
                                          "is closed."),
                                       tr("Delete")))
        return;
    workspace.removeRecord(id);
}

void MainWindow::openRecord(const QString &id)
{
    const Workspace &workspace = m_services.workspace;
    if (workspace.run(id.toStdString()))
        showTab(Recovery);
    else if (workspace.plan(id.toStdString()))
        showTab(Plan);
    else
        showTab(Importance);
}

void MainWindow::exportPicture()
{
    if (currentTab() == Evaluation && m_evaluation->showsReports())
        m_evaluation->exportPicture();
    else
        m_importance->exportPicture();
}

void MainWindow::exportTable()
{
    if (currentTab() == Evaluation && m_evaluation->showsReports())
        m_evaluation->exportTable();
    else
        m_compare->exportTable();
}

void MainWindow::copyCommand()
{
    const LoadedWeights *weights = m_services.workspace.weights();
    const QString model = weights ? fromPath(weights->path) : u"MODEL"_qs;
    QString line;
    if (currentTab() == Recovery)
        line = m_recovery->commandLine();
    else if (currentTab() == Plan)
        line = m_plan->commandLine();
    else if (currentTab() == Evaluation)
        line = u"secateur-cli evaluate '%1' --tasks TASKS --data '%2' --out DIR"_qs.arg(
            model, m_services.settings.dataFolder());
    else {
        const workflow::CalibrationRequest &request = m_controllers.calibration->lastRequest();
        line = u"secateur-cli analyze '%1' --calibration '%2' --samples %3 --length %4 --seed %5 --out maps.h5"_qs
                   .arg(model, qString(request.source))
                   .arg(request.samples)
                   .arg(request.length)
                   .arg(request.seed);
    }
    QGuiApplication::clipboard()->setText(line);
    m_services.messages.log(tr("Copied: %1").arg(line));
}

void MainWindow::showHelp(const QString &title, const QString &html)
{
    auto *dialog = new QDialog(this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setWindowTitle(title);
    dialog->resize(560, 420);
    auto *layout = new QVBoxLayout(dialog);
    auto *text = new QTextBrowser(dialog);
    text->setFrameShape(QFrame::NoFrame);
    text->setHtml(u"<h3>"_qs + title.toHtmlEscaped() + u"</h3>"_qs + html);
    layout->addWidget(text);
    auto *buttons = new QDialogButtonBox(QDialogButtonBox::Close, dialog);
    connect(buttons, &QDialogButtonBox::rejected, dialog, &QDialog::close);
    layout->addWidget(buttons);
    dialog->open();
}

void MainWindow::showTopic(const QString &topic)
{
    if (topic == u"keyboard") {
        showKeyboard();
        return;
    }
    const HelpText help = topic == u"methods" ? methodsHelp() : firstStepsHelp();
    showHelp(help.title, help.html);
}

void MainWindow::showKeyboard()
{
    QString html = u"<table cellpadding='3'>"_qs;
    for (const QAction *action : m_actions->all()) {
        const QString key = action->shortcut().toString(QKeySequence::NativeText);
        if (!key.isEmpty())
            html += u"<tr><td>%1</td><td>%2</td></tr>"_qs.arg(key, commandName(action).toHtmlEscaped());
    }
    const HelpText maps = keyboardHelp();
    showHelp(tr("Keyboard"), html + u"</table><h4>"_qs + maps.title + u"</h4>"_qs + maps.html);
}

void MainWindow::showAbout()
{
    showHelp(tr("About Secateur"),
             tr("<p>Version %1</p><p>An interactive pruning bench for reasoning language models: importance maps, "
                "plans, recovery and evaluation in one window. Works offline; no data leaves this machine and no code "
                "is run from model files.</p><p>GPL-3.0-or-later</p>")
                 .arg(QString::fromLatin1(versionString())));
}

} // namespace secateur
