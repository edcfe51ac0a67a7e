// The widgets of the Recovery view; what they show is in recovery_page.cpp.
#include "app/pages/recovery_page.h"

#include "app/workspace.h"
#include "widgets/charts/accuracy_chart.h"
#include "widgets/charts/loss_chart.h"
#include "widgets/controls/empty_state.h"
#include "widgets/theme/theme.h"

#include <QClipboard>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QGuiApplication>
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QScrollArea>
#include <QSpinBox>
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

QSpinBox *recoverySpin(QWidget *parent, int low, int high, int step)
{
    auto *spin = new QSpinBox(parent);
    spin->setRange(low, high);
    spin->setSingleStep(step);
    spin->setAlignment(Qt::AlignRight);
    return spin;
}

} // namespace

RecoveryPage::RecoveryPage(Workspace *workspace, RecoveryController *recovery, UserPrompts *prompts,
                           AppSettings *settings, QWidget *parent)
    : QWidget(parent),
      m_workspace(workspace),
      m_recovery(recovery),
      m_prompts(prompts),
      m_settings(settings)
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
    applyPreset();
    setFocusProxy(m_preset);

    connect(m_data, &RecoveryDataPicker::changed, this, &RecoveryPage::showEstimate);
    connect(m_data, &RecoveryDataPicker::changed, this, &RecoveryPage::showButton);
    connect(m_recovery, &RecoveryController::runningChanged, this, &RecoveryPage::showRun);
    connect(m_recovery, &RecoveryController::pointsArrived, this, [this] {
        m_chart->setPoints(m_recovery->livePoints(), m_recovery->plannedSteps());
        showNumbers(m_recovery->livePoints(), m_recovery->plannedSteps());
    });
    connect(m_workspace, &Workspace::documentChanged, m_data, &RecoveryDataPicker::count);
    connect(m_workspace, &Workspace::documentChanged, this, &RecoveryPage::showRun);
    connect(m_workspace, &Workspace::weightsChanged, m_data, &RecoveryDataPicker::count);
    connect(m_workspace, &Workspace::recordsChanged, this, &RecoveryPage::showRun);
    connect(m_workspace, &Workspace::currentSubjectChanged, this, &RecoveryPage::showRun);
    showRun();
}

QWidget *RecoveryPage::makeForm()
{
    auto *area = new QScrollArea(this);
    area->setFrameShape(QFrame::NoFrame);
    area->setWidgetResizable(true);
    area->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    area->setFixedWidth(312);
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
    makeMethodForm(layout);
    makeEstimate(layout);
    layout->addStretch(1);
    auto *buttons = new QHBoxLayout;
    m_queue = new QPushButton(tr("Queue next run"), content);
    m_queue->setProperty("primary", true);
    auto *copy = new QPushButton(tr("Copy as command"), content);
    connect(m_queue, &QPushButton::clicked, this, &RecoveryPage::queueRun);
    connect(copy, &QPushButton::clicked, this, [this] { QGuiApplication::clipboard()->setText(commandLine()); });
    buttons->addWidget(m_queue);
    buttons->addWidget(copy);
    layout->addLayout(buttons);
    return area;
}

void RecoveryPage::makeMethodForm(QVBoxLayout *layout)
{
    QWidget *content = layout->parentWidget();
    layout->addWidget(recoveryHead(tr("Method"), content));
    auto *form = new QFormLayout;
    form->setVerticalSpacing(6);
    form->setHorizontalSpacing(12);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    m_preset = new QComboBox(content);
    m_preset->addItems({tr("LoRA, study default"), tr("LoRA, short"), tr("own setting")});
    form->addRow(tr("Preset"), m_preset);
    m_rank = recoverySpin(content, 1, 512, 1);
    m_alpha = new QDoubleSpinBox(content);
    m_alpha->setRange(0.1, 4096);
    m_alpha->setDecimals(0);
    m_alpha->setAlignment(Qt::AlignRight);
    auto *pair = new QHBoxLayout;
    pair->setSpacing(8);
    pair->addWidget(m_rank);
    pair->addWidget(m_alpha);
    m_rank->setAccessibleName(tr("Rank"));
    m_alpha->setAccessibleName(tr("Alpha"));
    form->addRow(tr("Rank, alpha"), pair);
    m_layers = new QComboBox(content);
    m_layers->addItems({tr("all 7 linears"), tr("attention (q, k, v, o)"), tr("MLP (gate, up, down)")});
    form->addRow(tr("Layers"), m_layers);
    m_steps = recoverySpin(content, 1, 1'000'000, 10);
    form->addRow(tr("Steps"), m_steps);
    m_batchTokens = recoverySpin(content, 16, 1'000'000, 256);
    m_batchTokens->setToolTip(tr("Tokens per optimiser step, packed without padding"));
    form->addRow(tr("Tokens per step"), m_batchTokens);
    m_maxLength = recoverySpin(content, 8, 131072, 128);
    m_maxLength->setValue(1024);
    m_maxLength->setToolTip(tr("Longer samples are left out and counted, never cut before the answer"));
    form->addRow(tr("Longest sample"), m_maxLength);
    m_rate = new QDoubleSpinBox(content);
    m_rate->setRange(0.001, 1000);
    m_rate->setDecimals(3);
    m_rate->setSuffix(u" e−4"_qs);
    m_rate->setAlignment(Qt::AlignRight);
    form->addRow(tr("Learning rate"), m_rate);
    m_seed = recoverySpin(content, 0, 1'000'000'000, 1);
    form->addRow(tr("Seed"), m_seed);
    layout->addLayout(form);
    connect(m_preset, &QComboBox::activated, this, &RecoveryPage::applyPreset);
    for (QSpinBox *spin : {m_rank, m_steps, m_batchTokens, m_maxLength})
        connect(spin, &QSpinBox::valueChanged, this, &RecoveryPage::showEstimate);
    connect(m_layers, &QComboBox::currentIndexChanged, this, &RecoveryPage::showEstimate);
    connect(m_maxLength, &QSpinBox::valueChanged, this, [this] { m_data->setOptions(options()); });
}

void RecoveryPage::makeEstimate(QVBoxLayout *layout)
{
    QWidget *content = layout->parentWidget();
    layout->addWidget(recoveryHead(tr("Estimate"), content));
    auto *grid = new QGridLayout;
    grid->setVerticalSpacing(2);
    grid->setColumnStretch(0, 1);
    const auto addRow = [&](const QString &label, bool bold) {
        auto *name = new QLabel(label, content);
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
    m_estimateAdapter = addRow(tr("Adapter + Adam"), false);
    m_estimateActivations = addRow(tr("Activations"), false);
    m_estimateTotal = addRow(tr("Total"), true);
    m_estimateTime = addRow(tr("Time"), false);
    layout->addLayout(grid);
}

QWidget *RecoveryPage::makeRun()
{
    m_stack = new QStackedWidget(this);
    m_stack->setMinimumSize(240, 200); // the row of numbers must not hold the window open
    m_empty = new EmptyState(m_stack);
    m_empty->setContent(u"recover"_qs, tr("No run yet"),
                        tr("Choose a plan in Models & plans, then queue a run.\n"
                           "A LoRA adapter is trained on the pruned model and kept as a record."));
    m_empty->setPrimary({});
    m_empty->setAlternative({});
    m_stack->addWidget(m_empty);

    auto *run = new QWidget(m_stack);
    auto *layout = new QVBoxLayout(run);
    layout->setContentsMargins(12, 8, 12, 8);
    layout->setSpacing(8);
    auto *head = new QHBoxLayout;
    auto *titles = new QVBoxLayout;
    titles->setSpacing(0);
    m_runTitle = new QLabel(run);
    m_runTitle->setFont(titleFont(1.25));
    m_runSubtitle = new QLabel(run);
    setSecondary(m_runSubtitle);
    titles->addWidget(m_runTitle);
    titles->addWidget(m_runSubtitle);
    m_stop = new QPushButton(themedIcon(u"close"_qs), tr("Stop and keep"), run);
    m_stop->setToolTip(tr("Ends the run after its step and keeps the weights"));
    m_evaluate = new QPushButton(themedIcon(u"check"_qs), tr("Evaluate…"), run);
    connect(m_stop, &QPushButton::clicked, m_recovery, &RecoveryController::stopAndKeep);
    connect(m_evaluate, &QPushButton::clicked, this, &RecoveryPage::evaluateRequested);
    head->addLayout(titles, 1);
    head->addWidget(m_stop);
    head->addWidget(m_evaluate);
    layout->addLayout(head);

    auto *numbers = new QHBoxLayout;
    numbers->setSpacing(24);
    const QStringList names{tr("step"), tr("first loss, nat/token"), tr("recent loss, nat/token"), tr("throughput"),
                            tr("remaining")};
    for (int i = 0; i < 5; ++i) {
        auto *cell = new QVBoxLayout;
        cell->setSpacing(0);
        m_numbers[i] = new QLabel(run);
        m_numbers[i]->setFont(titleFont());
        auto *name = new QLabel(names.at(i), run);
        name->setFont(secondaryFont());
        setSecondary(name);
        cell->addWidget(m_numbers[i]);
        cell->addWidget(name);
        numbers->addLayout(cell);
    }
    numbers->addStretch(1);
    m_progress = new QProgressBar(run);
    m_progress->setTextVisible(false);
    m_progress->setFixedSize(140, 10);
    numbers->addWidget(m_progress);
    layout->addLayout(numbers);

    auto *charts = new QSplitter(Qt::Vertical, run);
    charts->setHandleWidth(1);
    m_chart = new LossChart(charts);
    m_chart->setAccessibleName(tr("Loss chart"));
    m_bars = new AccuracyChart(charts);
    m_bars->setAccessibleName(tr("Accuracy before and after recovery"));
    charts->addWidget(m_chart);
    charts->addWidget(m_bars);
    charts->setStretchFactor(0, 3);
    charts->setStretchFactor(1, 2);
    layout->addWidget(charts, 1);
    m_stack->addWidget(run);
    return m_stack;
}

} // namespace secateur
