#include "app/pages/evaluation_page.h"

#include "app/controllers/eval_controller.h"
#include "app/controllers/export_controller.h"
#include "app/controls/option_bar.h"
#include "app/pages/paired_test.h"
#include "app/qt_paths.h"
#include "app/workspace.h"
#include "widgets/charts/accuracy_chart.h"
#include "widgets/charts/trace_length_chart.h"
#include "widgets/controls/empty_state.h"
#include "widgets/controls/eval_cell_delegate.h"
#include "widgets/controls/segmented_control.h"
#include "widgets/models/eval_table_model.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QBuffer>
#include <QClipboard>
#include <QComboBox>
#include <QGuiApplication>
#include <QHeaderView>
#include <QLabel>
#include <QMenu>
#include <QPushButton>
#include <QSplitter>
#include <QStackedWidget>
#include <QTableView>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace secateur {

namespace {

constexpr int kFirstReportColumn = 2; ///< after Task and n
constexpr int kModelColumnWidth = 172;

QByteArray pngBytes(const QImage &image)
{
    QByteArray bytes;
    QBuffer buffer(&bytes);
    buffer.open(QIODevice::WriteOnly);
    image.save(&buffer, "PNG");
    return bytes;
}

} // namespace

EvaluationPage::EvaluationPage(Workspace *workspace, EvalController *evaluation, ExportController *exporter,
                               QWidget *parent)
    : QWidget(parent),
      m_workspace(workspace),
      m_evaluation(evaluation),
      m_exporter(exporter),
      m_model(new EvalTableModel(this)),
      m_stack(new QStackedWidget(this)),
      m_empty(new EmptyState(m_stack))
{
    auto *outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->setSpacing(0);
    makeOptions(outer);
    m_empty->setContent(u"check"_qs, tr("No report yet"),
                        tr("The dense baseline is measured first, under the same protocol.\n"
                           "The demonstration tasks need no data of your own."));
    m_empty->setPrimary(tr("Evaluate…"));
    m_empty->setAlternative({});
    connect(m_empty, &EmptyState::primaryClicked, this, &EvaluationPage::evaluateRequested);
    m_stack->addWidget(m_empty);
    m_stack->addWidget(makeContent());
    outer->addWidget(m_stack, 1);

    connect(workspace, &Workspace::documentChanged, this, &EvaluationPage::fillProtocols);
    connect(workspace, &Workspace::recordsChanged, this, &EvaluationPage::fillProtocols);
    connect(evaluation, &EvalController::runningChanged, this, &EvaluationPage::showRunning);
    setFocusProxy(m_table);
    fillProtocols();
}

void EvaluationPage::makeOptions(QVBoxLayout *outer)
{
    auto *options = new OptionBar(this);
    m_protocol = new QComboBox(options);
    m_protocol->setMinimumContentsLength(30);
    m_protocol->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_protocol->setToolTip(tr("Every setting that changes a number; two protocols are never shown in one row"));
    options->addField(tr("Protocol"), m_protocol);
    m_show = new SegmentedControl(options);
    m_show->addSegment(u"accuracy"_qs, tr("Accuracy"));
    m_show->addSegment(u"norm"_qs, tr("Length-normalised"));
    m_show->addSegment(u"finished"_qs, tr("Among finished"));
    m_show->addSegment(u"delta"_qs, tr("Δ to dense"));
    options->addField(tr("Show"), m_show);
    options->addStretch();
    m_evaluate = new QPushButton(tr("Evaluate…"), options);
    m_evaluate->setProperty("primary", true);
    m_copy = new QPushButton(themedIcon(u"copy"_qs), tr("Copy table"), options);
    auto *formats = new QMenu(m_copy);
    formats->addAction(u"Markdown"_qs, this, &EvaluationPage::copyTable);
    formats->addAction(u"CSV"_qs, this, [this] { QGuiApplication::clipboard()->setText(m_model->toText(u"csv"_qs)); });
    m_copy->setMenu(formats);
    options->addWidget(m_evaluate);
    options->addWidget(m_copy);
    connect(options->addHelp(), &QToolButton::clicked, this, &EvaluationPage::helpRequested);
    outer->addWidget(options);
    connect(m_evaluate, &QPushButton::clicked, this, &EvaluationPage::evaluateRequested);
    connect(m_protocol, &QComboBox::currentIndexChanged, this, &EvaluationPage::showReports);
    connect(m_show, &SegmentedControl::currentChanged, this, [this](const QString &id) {
        using Show = EvalTableModel::Show;
        m_model->setShow(id == u"norm"           ? Show::AccuracyNorm
                             : id == u"finished" ? Show::AmongFinished
                             : id == u"delta"    ? Show::DeltaToDense
                                                 : Show::Accuracy);
    });
}

QWidget *EvaluationPage::makeContent()
{
    auto *whole = new QSplitter(Qt::Vertical, m_stack);
    whole->setHandleWidth(1);
    auto *top = new QWidget(whole);
    auto *layout = new QVBoxLayout(top);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    m_table = new QTableView(top);
    m_table->setModel(m_model);
    m_table->setItemDelegate(new EvalCellDelegate(m_table));
    m_table->setAccessibleName(tr("Task by model grid"));
    m_table->setFrameShape(QFrame::NoFrame);
    m_table->setSelectionMode(QAbstractItemView::SingleSelection);
    m_table->verticalHeader()->hide();
    m_table->verticalHeader()->setDefaultSectionSize(38);
    m_table->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    m_table->horizontalHeader()->setMinimumHeight(38);
    m_table->horizontalHeader()->setDefaultSectionSize(kModelColumnWidth);
    layout->addWidget(m_table, 1);
    m_footer = new QLabel(top);
    m_footer->setFont(secondaryFont());
    m_footer->setContentsMargins(12, 4, 12, 4);
    m_footer->setWordWrap(true);
    setSecondary(m_footer);
    layout->addWidget(m_footer);
    whole->addWidget(top);
    auto *charts = new QSplitter(Qt::Horizontal, whole);
    charts->setHandleWidth(1);
    m_accuracy = new AccuracyChart(charts);
    m_accuracy->setAccessibleName(tr("Accuracy by task"));
    m_lengths = new TraceLengthChart(charts);
    m_lengths->setAccessibleName(tr("Length of outputs"));
    m_survival = new TraceLengthChart(charts);
    m_survival->setMode(TraceLengthChart::Mode::Survival);
    m_survival->setAccessibleName(tr("Outputs still running"));
    charts->addWidget(m_accuracy);
    charts->addWidget(m_lengths);
    charts->addWidget(m_survival);
    for (QWidget *chart : std::initializer_list<QWidget *>{m_accuracy, m_lengths, m_survival})
        chart->setMinimumSize(180, 140); // long names in a legend must not push the docks away
    charts->setSizes({460, 325, 365});
    whole->addWidget(charts);
    whole->setStretchFactor(0, 1);
    whole->setStretchFactor(1, 1);
    connect(m_table->selectionModel(), &QItemSelectionModel::currentChanged, this, [this] {
        showCharts();
        Q_EMIT statusChanged();
    });
    connect(m_table, &QTableView::activated, this, [this](const QModelIndex &index) {
        const EvaluationReport *report = m_model->reportOf(index);
        const TaskReport *task = m_model->taskOf(index);
        if (report && task && task->n > 0)
            Q_EMIT samplesRequested(qString(report->id), qString(task->task));
    });
    return whole;
}

bool EvaluationPage::showsReports() const
{
    return m_stack->currentIndex() == 1;
}

void EvaluationPage::setEvaluateReason(const QString &reason)
{
    const QString toolTip
        = reason.isEmpty() ? tr("Choose tasks and models (Ctrl+T)") : tr("<b>Evaluate… is off</b><br>%1").arg(reason);
    for (QPushButton *button : {m_evaluate, m_empty->primaryButton()}) {
        button->setEnabled(reason.isEmpty());
        button->setToolTip(toolTip);
    }
}

void EvaluationPage::fillProtocols()
{
    const QSignalBlocker blocker(m_protocol);
    const QString wanted = m_protocol->currentText();
    m_protocol->clear();
    for (const EvaluationReportPtr &report : m_workspace->session().reports) {
        if (m_protocol->findText(qString(report->protocol)) < 0)
            m_protocol->addItem(qString(report->protocol));
    }
    // The newest protocol is shown unless another one is being looked at.
    const int index = m_protocol->findText(wanted);
    m_protocol->setCurrentIndex(index >= 0 ? index : m_protocol->count() - 1);
    m_protocol->setEnabled(m_protocol->count() > 0);
    showReports();
}

std::vector<EvaluationReportPtr> EvaluationPage::reportsOfProtocol() const
{
    std::vector<EvaluationReportPtr> reports;
    for (const QString &subject : m_workspace->reportSubjectIds()) {
        for (const EvaluationReportPtr &report : m_workspace->session().reports) {
            if (report->subject == subject.toStdString() && qString(report->protocol) == m_protocol->currentText())
                reports.push_back(report);
        }
    }
    return reports;
}

void EvaluationPage::showReports()
{
    m_model->setReports(reportsOfProtocol());
    m_table->resizeColumnToContents(0);
    m_table->setColumnWidth(0, qMax(160, m_table->columnWidth(0)));
    m_table->setColumnWidth(1, 56);
    std::int64_t smallest = 0;
    for (const EvaluationReportPtr &report : m_model->reports()) {
        for (const TaskReport &task : report->tasks) {
            if (task.n > 0)
                smallest = smallest == 0 ? task.n : std::min(smallest, task.n);
        }
    }
    // Two proportions near one half differ beyond chance from about 2 · sqrt(0.5 / n) on.
    m_footer->setText(smallest > 0
                          ? tr("accuracy in %, 95 % Wilson interval · cap: share of answers that reached the token "
                               "cap, ⚠ above 5 % · n = %1 or more per task: unpaired differences below about %2 points "
                               "are within chance")
                                .arg(smallest)
                                .arg(qRound(196 * std::sqrt(0.5 / static_cast<double>(smallest))))
                          : QString());
    m_copy->setEnabled(m_model->rowCount() > 0);
    showRunning();
    showCharts();
    Q_EMIT statusChanged();
}

void EvaluationPage::showRunning()
{
    const EvaluationReportPtr running = m_evaluation->runningReport();
    if (running)
        m_model->setRunning(running, m_evaluation->runningOptions());
    else if (m_model->columnCount() - kFirstReportColumn != static_cast<int>(reportsOfProtocol().size()))
        m_model->setReports(reportsOfProtocol());
    for (int column = kFirstReportColumn; column < m_model->columnCount(); ++column)
        m_table->setColumnWidth(column, kModelColumnWidth);
    m_stack->setCurrentIndex(m_model->rowCount() > 0 ? 1 : 0);
}

void EvaluationPage::showCharts()
{
    std::vector<EvaluationReportPtr> shown = reportsOfProtocol();
    const int column = m_table->currentIndex().column() - kFirstReportColumn;
    if (shown.size() > 4 && column > 0 && column < static_cast<int>(shown.size())) {
        // The chosen model is always among the four that fit, the dense one is the first.
        std::rotate(shown.begin() + 1, shown.begin() + column, shown.begin() + column + 1);
    }
    const std::vector<EvaluationReportPtr> labelled = shortlyNamed(shown);
    m_accuracy->setReports(labelled);
    m_lengths->setReports(labelled);
    m_survival->setReports(labelled);
}

std::vector<EvaluationReportPtr> EvaluationPage::shortlyNamed(const std::vector<EvaluationReportPtr> &reports)
{
    std::map<EvaluationReportPtr, EvaluationReportPtr> kept;
    std::vector<EvaluationReportPtr> named;
    for (const EvaluationReportPtr &report : reports) {
        EvaluationReportPtr &label = kept[report];
        const auto known = m_named.find(report);
        if (known != m_named.end()) {
            label = known->second;
        } else {
            auto copy = std::make_shared<EvaluationReport>(*report);
            const RunRecord *run = m_workspace->run(report->subject);
            if (report->state == "dense")
                copy->modelName = tr("dense").toStdString();
            else if (run && !run->plan.empty())
                copy->modelName = "+ " + run->name;
            label = std::move(copy);
        }
        named.push_back(label);
    }
    m_named = std::move(kept);
    return named;
}

QString EvaluationPage::statusText() const
{
    const QModelIndex index = m_table->currentIndex();
    const EvaluationReport *report = m_model->reportOf(index);
    const TaskReport *task = m_model->taskOf(index);
    if (!report || !task || task->n == 0)
        return m_model->rowCount() > 0 ? tr("Dense baseline: same protocol") : QString();
    QString text = tr("%1, %2: %3 [%4, %5] n = %6")
                       .arg(qString(task->task), qString(report->modelName), percent(task->accuracy))
                       .arg(qRound(task->low * 100))
                       .arg(qRound(task->high * 100))
                       .arg(task->n);
    for (const EvaluationReportPtr &other : m_model->reports()) {
        const TaskReport *dense
            = other->state == "dense" && other.get() != report ? taskIn(*other, task->task) : nullptr;
        if (!dense)
            continue;
        const PairedResult paired = pairedResult(*dense, *task);
        text += u"; "_qs
            + tr("dense %1; McNemar %2 on %3 shared items")
                  .arg(percent(dense->accuracy), pValueText(paired.p))
                  .arg(paired.shared);
    }
    return text;
}

void EvaluationPage::copyTable()
{
    QGuiApplication::clipboard()->setText(m_model->toText(u"md"_qs));
}

void EvaluationPage::exportTable()
{
    m_exporter->saveText(tr("Export table"), m_workspace->name() + u"-results.csv"_qs,
                         tr("Comma-separated values (*.csv)"), m_model->toText(u"csv"_qs));
}

void EvaluationPage::exportPicture()
{
    m_exporter->saveBytes(tr("Export picture"), m_workspace->name() + u"-accuracy.png"_qs, tr("PNG picture (*.png)"),
                          pngBytes(m_accuracy->render(QSize(1600, 900))));
}

} // namespace secateur
