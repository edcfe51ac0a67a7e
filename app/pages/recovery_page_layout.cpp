// The widgets of the Recovery view; what they show is in recovery_page.cpp.
#include "app/pages/recovery_page.h"

#include "app/pages/recovery_probe_panel.h"
#include "app/workspace.h"
#include "backend/workflow/recovery_recipes.h"
#include "widgets/charts/accuracy_chart.h"
#include "widgets/charts/loss_chart.h"
#include "widgets/controls/banner.h"
#include "widgets/controls/empty_state.h"
#include "widgets/theme/theme.h"

#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QGridLayout>
#include <QGuiApplication>
#include <QLabel>
#include <QMenu>
#include <QProgressBar>
#include <QPushButton>
#include <QScrollArea>
#include <QSplitter>
#include <QStackedWidget>
#include <QVBoxLayout>

namespace secateur {

namespace {

QLabel *recoveryHead(const QString &text, QWidget *parent)
{
    auto *label = new QLabel(text, parent);
    label->setFont(titleFont());
    return label;
}

} // namespace

RecoveryPage::RecoveryPage(Workspace *workspace, RecoveryController *recovery, UserPrompts *prompts,
                           AppSettings *settings, QWidget *parent)
    : QWidget(parent), m_workspace(workspace), m_recovery(recovery), m_prompts(prompts), m_settings(settings)
{
    auto *outer = new QHBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->setSpacing(0);
    outer->addWidget(makeForm());
    auto *line = new QFrame(this);
    line->setFrameShape(QFrame::VLine);
    line->setFrameShadow(QFrame::Plain);
    line->setForegroundRole(QPalette::Mid);
    outer->addWidget(line);
    outer->addWidget(makeRun(), 1);
    setFocusProxy(m_form);
    m_data->setOptions(options());

    connect(m_data, &RecoveryDataPicker::changed, this, &RecoveryPage::dataChanged);
    connect(m_form, &RecoveryForm::changed, this, [this] {
        m_data->setOptions(options());
        matchTokens();
        showEstimate();
    });
    connect(m_recovery, &RecoveryController::runningChanged, this, &RecoveryPage::showRun);
    connect(m_recovery, &RecoveryController::pointsArrived, this, &RecoveryPage::showLive);
    connect(m_recovery, &RecoveryController::unfinishedChanged, this, &RecoveryPage::showUnfinished);
    connect(m_recovery, &RecoveryController::historyRead, this,
            [this](const QString &run, const RunHistoryPtr &history) {
                if (run != m_shownRun || m_recovery->isRunning() || history->points.empty())
                    return;
                m_history = *history;
                showRun();
            });
    connect(m_workspace, &Workspace::weightsChanged, m_recovery, &RecoveryController::findUnfinished);
    connect(m_workspace, &Workspace::recordsChanged, this, &RecoveryPage::showEqualRuns);
    connect(m_workspace, &Workspace::documentChanged, this, &RecoveryPage::showEqualRuns);
    connect(m_workspace, &Workspace::documentChanged, m_data, &RecoveryDataPicker::count);
    connect(m_workspace, &Workspace::documentChanged, this, &RecoveryPage::showRun);
    connect(m_workspace, &Workspace::weightsChanged, m_data, &RecoveryDataPicker::count);
    connect(m_workspace, &Workspace::recordsChanged, this, &RecoveryPage::showRun);
    connect(m_workspace, &Workspace::currentSubjectChanged, this, &RecoveryPage::showRun);
    showEqualRuns();
    showUnfinished();
    showRun();
}

QWidget *RecoveryPage::makeForm()
{
    auto *column = new QWidget(this);
    column->setFixedWidth(312);
    auto *outer = new QVBoxLayout(column);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->setSpacing(0);
    auto *area = new QScrollArea(column);
    area->setFrameShape(QFrame::NoFrame);
    area->setWidgetResizable(true);
    area->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    outer->addWidget(area, 1);
    makeQueueRow(outer, column);
    area->setAccessibleName(tr("Next run"));
    auto *content = new QWidget(area);
    area->setWidget(content);
    auto *layout = new QVBoxLayout(content);
    layout->setContentsMargins(12, 8, 12, 12);
    layout->setSpacing(8);
    auto *title = new QLabel(tr("Next run"), content);
    title->setFont(titleFont(1.25));
    m_subject = new QLabel(content);
    m_subject->setWordWrap(true);
    setSecondary(m_subject);
    layout->addWidget(title);
    layout->addWidget(m_subject);
    m_data = new RecoveryDataPicker(m_workspace, m_recovery, m_prompts, m_settings, content);
    layout->addWidget(m_data);
    m_form = new RecoveryForm(content);
    layout->addWidget(m_form);
    m_equalTokens = new QCheckBox(tr("Equal tokens, as many as"), content);
    m_equalTo = new QComboBox(content);
    m_equalTo->setAccessibleName(tr("Run to equal"));
    m_equalTo->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_equalTo->setMinimumContentsLength(12);
    layout->addWidget(m_equalTokens);
    layout->addWidget(m_equalTo);
    connect(m_equalTokens, &QCheckBox::toggled, this, &RecoveryPage::matchTokens);
    connect(m_equalTo, &QComboBox::currentIndexChanged, this, &RecoveryPage::matchTokens);
    makeEstimate(layout);
    layout->addStretch(1);
    return column;
}

/// Below the scrolled form: always there.
void RecoveryPage::makeQueueRow(QVBoxLayout *layout, QWidget *parent)
{
    auto *row = new QHBoxLayout;
    row->setContentsMargins(12, 8, 12, 8);
    row->setSpacing(8);
    m_queue = new QPushButton(tr("Queue next run"), parent);
    m_queue->setProperty("primary", true);
    auto *more = new QPushButton(tr("More"), parent);
    more->setToolTip(tr("Queue what this run is to be compared with"));
    auto *menu = new QMenu(more);
    m_denseControl = menu->addAction(tr("Dense model, same recovery"));
    m_newWeightsControl = menu->addAction(tr("Same shape from new weights"));
    menu->addSeparator();
    QAction *copy = menu->addAction(themedIcon(u"copy"_qs), tr("Copy as command"));
    more->setMenu(menu);
    row->addWidget(m_queue, 1);
    row->addWidget(more);
    layout->addLayout(row);
    connect(m_queue, &QPushButton::clicked, this, &RecoveryPage::queueRun);
    connect(m_denseControl, &QAction::triggered, this, [this] { queueControl(false); });
    connect(m_newWeightsControl, &QAction::triggered, this, [this] { queueControl(true); });
    connect(copy, &QAction::triggered, this, [this] { QGuiApplication::clipboard()->setText(commandLine()); });
}

void RecoveryPage::makeEstimate(QVBoxLayout *layout)
{
    QWidget *content = layout->parentWidget();
    layout->addWidget(recoveryHead(tr("Estimate"), content));
    auto *grid = new QGridLayout;
    grid->setVerticalSpacing(2);
    grid->setColumnStretch(0, 1);
    QLabel *name = nullptr;
    const auto addRow = [&](const QString &label, bool bold) {
        name = new QLabel(label, content);
        auto *value = new QLabel(content);
        value->setAlignment(Qt::AlignRight);
        value->setFont(bold ? titleFont() : numberFont());
        if (bold)
            name->setFont(titleFont());
        const int row = grid->rowCount();
        grid->addWidget(name, row, 0);
        grid->addWidget(value, row, 1);
        return value;
    };
    m_estimateWeights = addRow(tr("Weights"), false);
    m_estimateTrained = addRow(tr("Adapter + Adam"), false);
    m_estimateTrainedName = name;
    m_estimateActivations = addRow(tr("Activations"), false);
    m_estimateTotal = addRow(tr("Total"), true);
    m_estimateTime = addRow(tr("Time"), false);
    layout->addLayout(grid);
    m_memoryWarning = new Banner(Banner::Kind::Warning, content);
    m_memoryWarning->setBoxed(true);
    m_memoryWarning->setClosable(false);
    m_memoryWarning->hide();
    connect(m_memoryWarning->addButton(tr("Halve the step")), &QPushButton::clicked, this, [this] {
        RecoveryOptions smaller = options();
        if (workflow::halveStep(smaller))
            m_form->setOptions(smaller);
    });
    layout->addWidget(m_memoryWarning);
}

QWidget *RecoveryPage::makeRun()
{
    auto *side = new QWidget(this);
    auto *sideLayout = new QVBoxLayout(side);
    sideLayout->setContentsMargins(0, 0, 0, 0);
    sideLayout->setSpacing(0);
    m_unfinished = new Banner(Banner::Kind::Notice, side);
    m_unfinished->setClosable(false);
    m_resume = m_unfinished->addButton(tr("Go on"), true);
    m_discard = m_unfinished->addButton(tr("Discard…"));
    sideLayout->addWidget(m_unfinished);
    connect(m_resume, &QPushButton::clicked, this, [this] {
        if (!m_recovery->unfinished().empty())
            m_recovery->resume(workflow::UnfinishedRun(m_recovery->unfinished().front()));
    });
    connect(m_discard, &QPushButton::clicked, this, [this] {
        if (!m_recovery->unfinished().empty())
            m_recovery->discard(workflow::UnfinishedRun(m_recovery->unfinished().front()));
    });

    m_stack = new QStackedWidget(side);
    m_stack->setMinimumSize(240, 200); // the row of numbers must not hold the window open
    m_empty = new EmptyState(m_stack);
    m_empty->setContent(u"recover"_qs, tr("No run yet"),
                        tr("Choose a plan in Models & plans, then queue a run.\n"
                           "A short training brings back part of what pruning took; its result is kept as a record."));
    m_empty->setPrimary({});
    m_empty->setAlternative({});
    m_stack->addWidget(m_empty);
    sideLayout->addWidget(m_stack, 1);

    auto *run = new QWidget(m_stack);
    auto *layout = new QVBoxLayout(run);
    layout->setContentsMargins(12, 8, 12, 8);
    layout->setSpacing(8);
    layout->addLayout(makeRunHead(run));

    auto *numbers = new QHBoxLayout;
    numbers->setSpacing(20);
    const QStringList names{tr("step"),       tr("first loss"), tr("recent loss"), tr("held-out loss"),
                            tr("throughput"), tr("memory"),     tr("remaining")};
    for (int i = 0; i < 7; ++i) {
        auto *box = new QWidget(run); // hidden as a whole
        auto *cell = new QVBoxLayout(box);
        cell->setContentsMargins(0, 0, 0, 0);
        cell->setSpacing(0);
        m_numbers[i] = new QLabel(box);
        m_numbers[i]->setFont(titleFont());
        auto *name = new QLabel(names.at(i), box);
        name->setFont(secondaryFont());
        setSecondary(name);
        cell->addWidget(m_numbers[i]);
        cell->addWidget(name);
        numbers->addWidget(box);
    }
    numbers->addStretch(1);
    m_progress = new QProgressBar(run);
    m_progress->setTextVisible(false);
    m_progress->setFixedSize(120, 10);
    numbers->addWidget(m_progress);
    layout->addLayout(numbers);

    auto *rows = new QSplitter(Qt::Vertical, run);
    rows->setHandleWidth(1);
    auto *charts = new QSplitter(Qt::Horizontal, rows);
    charts->setHandleWidth(1);
    m_chart = new LossChart(charts);
    m_chart->setAccessibleName(tr("Loss chart"));
    m_bars = new AccuracyChart(charts);
    m_bars->setAccessibleName(tr("Accuracy before and after recovery"));
    charts->addWidget(m_chart);
    charts->addWidget(m_bars);
    charts->setStretchFactor(0, 5);
    charts->setStretchFactor(1, 3);
    m_probes = new RecoveryProbePanel(m_prompts, rows);
    rows->addWidget(charts);
    rows->addWidget(m_probes);
    rows->setStretchFactor(0, 3);
    rows->setStretchFactor(1, 1);
    rows->setChildrenCollapsible(true);
    layout->addWidget(rows, 1);
    connect(m_probes, &RecoveryProbePanel::editRequested, this, &RecoveryPage::editProbes);
    connect(m_probes, &RecoveryProbePanel::forkRequested, this, &RecoveryPage::fork);
    connect(m_probes, &RecoveryProbePanel::currentStepChanged, m_chart, &LossChart::setMarkedStep);
    m_stack->addWidget(run);
    return side;
}

QLayout *RecoveryPage::makeRunHead(QWidget *run)
{
    auto *head = new QHBoxLayout;
    auto *titles = new QVBoxLayout;
    titles->setSpacing(0);
    m_runTitle = new QLabel(run);
    m_runTitle->setFont(titleFont(1.25));
    m_runSubtitle = new QLabel(run);
    setSecondary(m_runSubtitle);
    titles->addWidget(m_runTitle);
    titles->addWidget(m_runSubtitle);
    m_pause = new QPushButton(run);
    m_pause->setToolTip(tr("Waits between two steps; nothing is lost (P)"));
    m_pause->setShortcut(Qt::Key_P);
    m_stop = new QPushButton(themedIcon(u"close"_qs), tr("Stop and keep"), run);
    m_stop->setToolTip(tr("Ends the run after its step and keeps the weights; it can go on from there later"));
    m_evaluate = new QPushButton(themedIcon(u"check"_qs), tr("Evaluate…"), run);
    connect(m_pause, &QPushButton::clicked, this, [this] { m_recovery->setPaused(!m_recovery->isPaused()); });
    connect(m_stop, &QPushButton::clicked, m_recovery, &RecoveryController::stopAndKeep);
    connect(m_evaluate, &QPushButton::clicked, this, &RecoveryPage::evaluateRequested);
    head->addLayout(titles, 1);
    head->addWidget(m_pause);
    head->addWidget(m_stop);
    head->addWidget(m_evaluate);
    return head;
}

} // namespace secateur
