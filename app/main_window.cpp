#include "app/main_window.h"

#include "app/controllers/document_controller.h"
#include "app/controllers/eval_controller.h"
#include "app/controllers/load_controller.h"
#include "app/controllers/recovery_controller.h"
#include "app/controls/command_palette.h"
#include "app/controls/notice_corner.h"
#include "app/docks/log_dock.h"
#include "app/docks/models_dock.h"
#include "app/error_text.h"
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
#include "backend/engine/compute_device.h"
#include "widgets/controls/banner.h"
#include "widgets/controls/budget_panel.h"
#include "widgets/controls/device_chip.h"
#include "widgets/models/jobs_model.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QAction>
#include <QClipboard>
#include <QCloseEvent>
#include <QDockWidget>
#include <QDragEnterEvent>
#include <QGuiApplication>
#include <QLabel>
#include <QMenu>
#include <QMimeData>
#include <QPushButton>
#include <QScreen>
#include <QStackedWidget>
#include <QStatusBar>
#include <QTabWidget>
#include <QTimer>
#include <QToolBar>
#include <QToolButton>
#include <QVBoxLayout>

#include <initializer_list>
#include <utility>

namespace secateur {

namespace {

constexpr int kMemoryPollMs = 2000;
constexpr int kMaxErrorBanners = 2;

JobRow rowOf(const JobStatus &status)
{
    JobRow row;
    row.id = status.id;
    row.title = status.title;
    row.subject = status.subject;
    row.stage = status.isPaused ? MainWindow::tr("paused") : stageText(status.progress.stage);
    row.state = static_cast<JobRow::State>(status.state); // the same states in the same order
    row.done = status.progress.done;
    row.total = status.progress.total;
    row.elapsedMs = status.elapsedMs;
    row.tokensPerSecond = status.progress.tokensPerSecond;
    row.message = status.message;
    return row;
}

} // namespace

MainWindow::MainWindow(const AppServices &services, const Controllers &controllers)
    : m_services(services),
      m_controllers(controllers),
      m_actions(new WindowActions(this)),
      m_jobs(new JobsModel(this)),
      m_palette(new CommandPalette(this)),
      m_corner(new NoticeCorner(this)),
      m_memory(new QTimer(this))
{
    setWindowIcon(QIcon(u":/icons/secateur.svg"_qs));
    setMinimumSize(1100, 700);
    setAcceptDrops(true);
    setDockNestingEnabled(true);
    makeCentre();
    makeDocks();
    makeToolBar();
    makeStatusBar();
    QList<QAction *> toggles;
    for (QDockWidget *dock : allDocks())
        toggles.append(dock->toggleViewAction());
    m_actions->fillMenus(this, toggles);
    m_palette->setActions(m_actions->all());
    connectActions();
    connectPages();

    Workspace &workspace = m_services.workspace;
    connect(&workspace, &Workspace::documentChanged, this, &MainWindow::showDocument);
    for (const auto changed : {&Workspace::weightsChanged, &Workspace::analysisChanged, &Workspace::recordsChanged,
                               &Workspace::currentSubjectChanged, &Workspace::dirtyChanged})
        connect(&workspace, changed, this, &MainWindow::updateActions);
    connect(&workspace, &Workspace::currentSubjectChanged, this, &MainWindow::showBudget);
    connect(&workspace, &Workspace::recordsChanged, this, &MainWindow::showBudget);
    connect(workspace.selection(), &PruneSelection::changed, this, &MainWindow::showBudget);
    connect(workspace.selection(), &PruneSelection::changed, this, &MainWindow::updateActions);
    connect(m_controllers.load, &LoadController::loadingChanged, this, &MainWindow::updateActions);
    connect(&m_services.runner, &JobRunner::jobChanged, this, &MainWindow::noteJob);
    connect(&m_services.runner, &JobRunner::noticed, &m_services.messages, &Messages::log);
    connect(&m_services.runner, &JobRunner::busyChanged, this, [this](bool busy) {
        updateActions();
        // Queued: the last job hands over its result after it has ended, and that is to be saved too.
        if (!busy && m_closeWhenIdle)
            QMetaObject::invokeMethod(this, &MainWindow::continueClosing, Qt::QueuedConnection);
    });
    connect(&m_services.messages, &Messages::logged, m_log, &LogDock::append);
    connect(&m_services.messages, &Messages::errorRaised, this, &MainWindow::showError);
    connect(&m_services.messages, &Messages::finished, m_corner, &NoticeCorner::showNotice);
    connect(m_memory, &QTimer::timeout, this, [this] {
        // Two small files of /proc; no model work.
        const MemoryUse use = memoryUse();
        m_chip->setMemory(static_cast<qint64>(use.resident), static_cast<qint64>(use.total));
    });
    m_memory->start(kMemoryPollMs);
    const QScreen *screen = QGuiApplication::primaryScreen();
    resize(QSize(1440, 900).boundedTo(screen ? screen->availableSize() : QSize(1440, 900)));
    if (!m_services.settings.geometry().isEmpty())
        restoreGeometry(m_services.settings.geometry());
    showDocument();
}

MainWindow::~MainWindow() = default;

void MainWindow::makeCentre()
{
    auto *centre = new QWidget(this);
    auto *outer = new QVBoxLayout(centre);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->setSpacing(0);
    m_bannerBox = new QVBoxLayout;
    m_bannerBox->setSpacing(0);
    outer->addLayout(m_bannerBox);
    m_weightsBanner = new Banner(Banner::Kind::Notice, centre);
    m_weightsBanner->setClosable(false);
    m_weightsBanner->hide();
    connect(m_weightsBanner->addButton(tr("Locate…")), &QPushButton::clicked, m_controllers.load,
            &LoadController::locateWeights);
    outer->addWidget(m_weightsBanner);

    m_central = new QStackedWidget(centre);
    outer->addWidget(m_central, 1);
    m_start = new StartPage(&m_services.settings, m_controllers.document, m_central);
    m_central->addWidget(m_start);
    m_tabs = new QTabWidget(m_central);
    m_tabs->setDocumentMode(true);
    m_tabs->setAccessibleName(tr("Views"));
    m_importance = new ImportancePage(&m_services.workspace, m_controllers.exporter, m_tabs);
    m_plan = new PlanPage(&m_services.workspace, m_controllers.pruning, m_tabs);
    m_recovery = new RecoveryPage(&m_services.workspace, m_controllers.recovery, &m_services.prompts,
                                  &m_services.settings, m_tabs);
    m_evaluation = new EvaluationPage(&m_services.workspace, m_controllers.evaluation, m_controllers.exporter, m_tabs);
    m_traces = new TracesPage(&m_services.workspace, m_tabs);
    m_compare = new ComparePage(&m_services.workspace, m_controllers.exporter, m_tabs);
    for (QWidget *page : std::initializer_list<QWidget *>{m_importance, m_plan, m_recovery, m_evaluation, m_traces,
                                                          m_compare, m_plan->constraints()}) {
        page->setBackgroundRole(QPalette::Base);
        page->setAutoFillBackground(true);
    }
    m_tabs->addTab(m_importance, tr("Importance"));
    m_tabs->addTab(m_plan, tr("Plan"));
    m_tabs->addTab(m_recovery, tr("Recovery"));
    m_tabs->addTab(m_evaluation, tr("Evaluation"));
    m_tabs->addTab(m_traces, tr("Traces"));
    m_tabs->addTab(m_compare, tr("Compare"));
    m_central->addWidget(m_tabs);
    setCentralWidget(centre);
    connect(m_tabs, &QTabWidget::currentChanged, this, [this](int tab) {
        if (!showsStartPage())
            showLayoutOf(tab);
        m_plan->refresh();
        showStatus();
        showBudget();
    });
}

void MainWindow::makeToolBar()
{
    auto *bar = addToolBar(tr("Main toolbar"));
    bar->setObjectName(u"toolbar"_qs);
    bar->setMovable(false);
    bar->setFloatable(false);
    bar->setContextMenuPolicy(Qt::PreventContextMenu);
    bar->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    bar->setIconSize(QSize(16, 16));
    m_actions->fillToolBar(bar);
    auto *exporting = new QToolButton(bar);
    exporting->setText(tr("Export…"));
    exporting->setIcon(themedIcon(u"export"_qs));
    exporting->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    exporting->setToolTip(tr("Model, maps, figure, data or table (Ctrl+E: model)"));
    exporting->setAutoRaise(true);
    exporting->setFocusPolicy(Qt::NoFocus); // like the other buttons of the bar
    connect(exporting, &QToolButton::clicked, this, [this, exporting] {
        m_actions->exportMenu->popup(exporting->mapToGlobal(QPoint(0, exporting->height())));
    });
    bar->addWidget(exporting);
    auto *space = new QWidget(bar);
    space->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
    bar->addWidget(space);
    bar->addAction(m_actions->commands);
    m_chip = new DeviceChip(bar);
    m_chip->setDevice(u"CPU"_qs);
    bar->addWidget(m_chip);
    connect(m_chip, &DeviceChip::clicked, this, &MainWindow::deviceDialogRequested);
}

void MainWindow::makeStatusBar()
{
    m_statusLeft = new QLabel(this);
    m_statusRight = new QLabel(this);
    m_statusLeft->setContentsMargins(8, 0, 8, 0);
    m_statusRight->setContentsMargins(8, 0, 8, 0);
    statusBar()->addWidget(m_statusLeft, 1);
    statusBar()->addPermanentWidget(m_statusRight);
    statusBar()->setSizeGripEnabled(false);
    setSecondary(m_statusLeft);
    setSecondary(m_statusRight);
}

bool MainWindow::showsStartPage() const
{
    return m_central->currentIndex() == 0;
}

int MainWindow::currentTab() const
{
    return m_tabs->currentIndex();
}

void MainWindow::showTab(int tab)
{
    if (!m_services.workspace.hasModel())
        return;
    if (showsStartPage()) {
        m_central->setCurrentIndex(1);
        showLayoutOf(tab);
    }
    m_tabs->setCurrentIndex(tab);
    m_tabs->currentWidget()->setFocus(Qt::ShortcutFocusReason); // the page passes it on to what it is about
    showStatus();
}

void MainWindow::setMachine(const QString &device, bool exampleAvailable)
{
    m_chip->setDevice(device);
    m_chip->setToolTip(tr("%1\nClick to choose device, number format and threads (Alt+D)").arg(device));
    m_start->setSmolAvailable(exampleAvailable);
}

void MainWindow::showDocument()
{
    const bool hasModel = m_services.workspace.hasModel();
    m_central->setCurrentIndex(hasModel ? 1 : 0);
    if (hasModel)
        m_tabs->setCurrentIndex(Importance);
    showLayoutOf(hasModel ? m_tabs->currentIndex() : -1);
    if (hasModel)
        m_tabs->currentWidget()->setFocus(Qt::OtherFocusReason);
    showBudget();
    updateActions();
}

void MainWindow::updateActions()
{
    const Workspace &workspace = m_services.workspace;
    const Subject current = workspace.subject(workspace.currentSubject());
    ActionState state;
    state.hasModel = workspace.hasModel();
    state.hasWeights = workspace.hasWeights();
    state.isLoading = m_controllers.load->isLoading();
    state.hasMaps = workspace.analysis() != nullptr;
    state.hasTwin = workspace.twin() != nullptr;
    state.hasSelection = !workspace.selection()->selected().empty();
    state.isPlanCurrent = current.plan.has_value();
    state.isRecordCurrent = !current.isDense();
    state.hasReports = !workspace.session().reports.empty();
    state.isDirty = workspace.isDirty();
    state.isPlanPossible = m_plan->preview() && m_plan->preview()->isPossible();
    state.isBusy = m_jobs->runningCount() > 0;
    state.modelName = qString(workspace.session().model.alias);
    m_actions->update(state);
    setActionOff(m_actions->undo, workspace.undoStack()->canUndo() ? QString() : tr("There is nothing to undo."));
    setActionOff(m_actions->redo, workspace.undoStack()->canRedo() ? QString() : tr("There is nothing to redo."));
    setActionOff(m_actions->stopAndKeep,
                 m_controllers.recovery->isRunning() ? QString() : tr("No training run is going on."));

    m_importance->setCalibrationReason(offReason(m_actions->calibrate));
    m_evaluation->setEvaluateReason(offReason(m_actions->evaluate));
    const QString noWeights = state.hasModel && !state.hasWeights ? offReason(m_actions->calibrate) : QString();
    m_plan->setPruneReason(noWeights);
    // Training the dense model is allowed from its page: it is what a pruned model is compared with.
    m_recovery->setQueueReason(noWeights);

    const bool missing = state.hasModel && !state.hasWeights && !state.isLoading;
    m_weightsBanner->setVisible(missing);
    if (missing)
        m_weightsBanner->setText(tr("Weights of %1 not found.").arg(state.modelName),
                                 tr("Maps, plans, traces and reports can be read; work on the model cannot start."));
    setWindowTitle(state.hasModel ? tr("%1[*] – Secateur").arg(workspace.name()) : u"Secateur[*]"_qs);
    setWindowModified(state.isDirty);
    showStatus();
}

void MainWindow::showBudget()
{
    const Workspace &workspace = m_services.workspace;
    if (!workspace.hasModel()) {
        m_budget->clear();
        return;
    }
    const bool onPlan = !showsStartPage() && currentTab() == Plan;
    UnitSet removed = unitsUnion(workspace.removedOf(workspace.currentSubject()), workspace.selection()->selected());
    if (onPlan && m_plan->preview() && m_plan->preview()->isPossible())
        removed = m_plan->preview()->plan.removed;
    const Budget budget = computeBudget(workspace.config(), removed);
    m_budget->setBudget(budget, u"BF16"_qs);
    if (onPlan)
        m_budget->setWidths(workspace.config(), prunedConfig(workspace.config(), removed));
    else
        m_budget->hideWidths();
}

void MainWindow::showStatus()
{
    const Workspace &workspace = m_services.workspace;
    QStringList parts;
    if (!workspace.hasModel()) {
        parts.append(tr("No model open"));
    } else {
        const LoadedWeights *weights = workspace.weights();
        parts.append(weights ? tr("%1 · %2, %3 compute")
                                   .arg(qString(workspace.session().model.alias), weights->source, weights->dtype)
                             : tr("%1 · weights not loaded").arg(qString(workspace.session().model.alias)));
        if (const auto analysis = workspace.analysis())
            parts.append(tr("Calibration: %1, %2 tokens")
                             .arg(qString(analysis->calibration.name), exactCount(analysis->calibration.tokens)));
        if (!showsStartPage()) {
            const QString page = currentTab() == Plan ? m_plan->statusText()
                : currentTab() == Recovery            ? m_recovery->statusText()
                : currentTab() == Evaluation          ? m_evaluation->statusText()
                : currentTab() == Traces              ? m_traces->statusText()
                : currentTab() == Compare             ? m_compare->statusText()
                                                      : QString();
            if (!page.isEmpty())
                parts.append(page);
        }
    }
    m_statusLeft->setText(parts.join(u"   ·   "_qs));
    const int running = m_jobs->runningCount();
    if (running == 0) {
        m_statusRight->setText(workspace.hasModel() ? QString() : tr("Drop a file anywhere, or Ctrl+O"));
        return;
    }
    for (int row = 0; row < m_jobs->rowCount(); ++row) {
        const QModelIndex index = m_jobs->index(row, JobsModel::Job);
        const auto state = JobRow::State(index.data(JobsModel::StateRole).toInt());
        if (state != JobRow::State::Running && state != JobRow::State::Stopping)
            continue;
        const double fraction
            = index.siblingAtColumn(JobsModel::ProgressColumn).data(JobsModel::FractionRole).toDouble();
        m_statusRight->setText(index.data().toString() + (fraction >= 0 ? u" · "_qs + percent(fraction, 0) : QString())
                               + (running > 1 ? tr(" · %1 waiting").arg(running - 1) : QString()));
        return;
    }
    m_statusRight->setText(tr("%n job(s) waiting", nullptr, running));
}

void MainWindow::noteJob(const JobStatus &status)
{
    if (status.title.isEmpty())
        return;
    JobRow row = rowOf(status);
    if (status.state == JobStatus::State::Running)
        row.memoryBytes = static_cast<qint64>(memoryUse().resident);
    else if (const JobRow *known = m_jobs->rowOf(status.id))
        row.memoryBytes = known->memoryBytes;
    const bool isNew = m_jobs->rowOf(status.id) == nullptr;
    m_jobs->setJob(row);
    m_jobsDock->setWindowTitle(tr("Jobs (%1)").arg(m_jobs->runningCount()));
    if (isNew || status.state >= JobStatus::State::Done)
        updateActions();
    else
        showStatus();
}

void MainWindow::showError(const QString &title, const QString &text, const QString &details,
                           std::function<void()> retry)
{
    for (Banner *old : std::as_const(m_errors)) {
        if (old->title() == title)
            return removeError(old), showError(title, text, details, std::move(retry)); // one banner per cause
    }
    auto *banner = new Banner(Banner::Kind::Error, centralWidget());
    banner->setText(title, text);
    if (retry) {
        connect(banner->addButton(tr("Try again")), &QPushButton::clicked, this,
                [this, banner, retry = std::move(retry)] {
                    removeError(banner);
                    retry();
                });
    }
    connect(banner->addButton(tr("Details…")), &QPushButton::clicked, this,
            [this, title, details] { m_services.prompts.details(title, details); });
    connect(banner->addButton(tr("Copy message")), &QPushButton::clicked, this,
            [title, text] { QGuiApplication::clipboard()->setText(title + u"\n"_qs + text); });
    banner->setClosable(true);
    connect(banner, &Banner::closed, this, [this, banner] { removeError(banner); });
    m_bannerBox->insertWidget(0, banner);
    m_errors.prepend(banner);
    banner->show();
    while (m_errors.size() > kMaxErrorBanners)
        removeError(m_errors.last());
    m_closeWhenIdle = false; // what went wrong has to be read first
}

void MainWindow::removeError(Banner *banner)
{
    m_errors.removeOne(banner);
    m_bannerBox->removeWidget(banner);
    banner->hide();
    banner->deleteLater();
}

void MainWindow::closeEvent(QCloseEvent *event)
{
    if (!m_closing) {
        Workspace &workspace = m_services.workspace;
        if (m_jobs->runningCount() > 0) {
            if (m_services.prompts.askQuitWithJobs(m_statusRight->text(), workspace.isDirty())
                == UserPrompts::Quit::StopAndSave) {
                m_closeWhenIdle = true;
                m_services.runner.cancelAll();
                if (!m_services.runner.isBusy())
                    continueClosing();
            }
            event->ignore();
            return;
        }
        if (workspace.isDirty()) {
            event->ignore();
            m_controllers.document->whenSafe([this] {
                m_closing = true;
                QMetaObject::invokeMethod(this, &QWidget::close, Qt::QueuedConnection);
            });
            return;
        }
    }
    m_services.settings.setGeometry(saveGeometry());
    if (m_layoutTab >= 0)
        m_services.settings.setLayout(QString::number(m_layoutTab), saveState(1));
    m_services.runner.cancelAll();
    QMainWindow::closeEvent(event);
}

void MainWindow::continueClosing()
{
    m_closeWhenIdle = false;
    if (m_services.workspace.isDirty()) {
        m_controllers.document->save([this] { continueClosing(); });
        return;
    }
    m_closing = true;
    QMetaObject::invokeMethod(this, &QWidget::close, Qt::QueuedConnection);
}

void MainWindow::resizeEvent(QResizeEvent *event)
{
    QMainWindow::resizeEvent(event);
    fitDocks();
    m_corner->place();
}

void MainWindow::dragEnterEvent(QDragEnterEvent *event)
{
    if (event->mimeData()->hasUrls() && event->mimeData()->urls().first().isLocalFile()) {
        event->acceptProposedAction();
        statusBar()->showMessage(tr("Drop to open %1").arg(event->mimeData()->urls().first().fileName()), 4000);
    }
}

void MainWindow::dropEvent(QDropEvent *event)
{
    event->acceptProposedAction();
    for (const QUrl &url : event->mimeData()->urls()) {
        if (url.isLocalFile())
            m_controllers.document->openAny(url.toLocalFile());
    }
}

void MainWindow::keyPressEvent(QKeyEvent *event)
{
    if (event->key() == Qt::Key_Escape) {
        if (!m_errors.isEmpty())
            removeError(m_errors.first());
        else
            m_corner->hide();
        return;
    }
    QMainWindow::keyPressEvent(event);
}

bool MainWindow::event(QEvent *event)
{
    const bool handled = QMainWindow::event(event);
    if (event->type() == QEvent::Paint && !m_painted) {
        m_painted = true;
        Q_EMIT firstPainted();
    }
    return handled;
}

} // namespace secateur
