#include "app/pages/traces_page.h"

#include "app/controls/option_bar.h"
#include "app/pages/plan_page_parts.h"
#include "app/pages/trace_text.h"
#include "app/qt_paths.h"
#include "app/workspace.h"
#include "widgets/controls/empty_state.h"
#include "widgets/controls/segmented_control.h"
#include "widgets/models/sample_table_model.h"
#include "widgets/theme/theme.h"

#include <QComboBox>
#include <QHeaderView>
#include <QLabel>
#include <QSplitter>
#include <QStackedWidget>
#include <QTableView>
#include <QTextBrowser>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>

namespace secateur {

namespace {

constexpr int kFirstRightColumn = 3; ///< after Item, Left, Tokens

} // namespace

TracesPage::TracesPage(Workspace *workspace, QWidget *parent)
    : QWidget(parent),
      m_workspace(workspace),
      m_model(new SampleTableModel(this)),
      m_stack(new QStackedWidget(this)),
      m_empty(new EmptyState(m_stack))
{
    auto *outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->setSpacing(0);
    makeOptions(outer);
    m_empty->setContent(
        u"trace"_qs, tr("No samples yet"),
        tr("An evaluation keeps the whole text of every answer.\nIt is shown here, model beside model."));
    m_empty->setPrimary(tr("Evaluate…"));
    m_empty->setAlternative({});
    connect(m_empty, &EmptyState::primaryClicked, this, &TracesPage::evaluateRequested);
    m_stack->addWidget(m_empty);
    m_stack->addWidget(makeContent());
    outer->addWidget(m_stack, 1);
    connect(workspace, &Workspace::documentChanged, this, &TracesPage::fillReports);
    connect(workspace, &Workspace::recordsChanged, this, &TracesPage::fillReports);
    fillReports();
}

void TracesPage::makeOptions(QVBoxLayout *outer)
{
    auto *options = new OptionBar(this);
    m_left = new QComboBox(options);
    m_right = new QComboBox(options);
    m_task = new QComboBox(options);
    for (QComboBox *box : {m_left, m_right, m_task}) {
        box->setMinimumContentsLength(12);
        box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
        box->setSizePolicy(QSizePolicy::MinimumExpanding, QSizePolicy::Fixed);
        box->setMaximumWidth(240);
    }
    options->addField(tr("Left"), m_left);
    options->addField(tr("Right"), m_right);
    m_filter = new SegmentedControl(options);
    m_filter->addSegment(u"all"_qs, tr("All"));
    m_filter->addSegment(u"rw"_qs, tr("Right → wrong"));
    m_filter->addSegment(u"wr"_qs, tr("Wrong → right"));
    m_filter->addSegment(u"cut"_qs, tr("Truncated"));
    options->addField(tr("Show"), m_filter);
    options->addField(tr("Task"), m_task);
    options->addStretch();
    connect(options->addHelp(), &QToolButton::clicked, this, &TracesPage::helpRequested);
    outer->addWidget(options);
    connect(m_left, &QComboBox::currentIndexChanged, this, &TracesPage::fillTasks);
    connect(m_right, &QComboBox::currentIndexChanged, this, &TracesPage::showTask);
    connect(m_task, &QComboBox::currentIndexChanged, this, &TracesPage::showTask);
    connect(m_filter, &SegmentedControl::currentChanged, this, &TracesPage::showTask);
}

QWidget *TracesPage::makeContent()
{
    auto *whole = new QSplitter(Qt::Horizontal, m_stack);
    whole->setHandleWidth(1);
    auto *list = new QWidget(whole);
    auto *layout = new QVBoxLayout(list);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    m_count = new QLabel(list);
    m_count->setFont(titleFont());
    m_count->setContentsMargins(8, 8, 8, 8);
    layout->addWidget(m_count);
    m_table = new QTableView(list);
    m_table->setModel(m_model);
    m_table->setAccessibleName(tr("Samples"));
    setUpPlanTable(m_table);
    m_table->setSelectionMode(QAbstractItemView::SingleSelection);
    m_table->horizontalHeader()->setStretchLastSection(false);
    layout->addWidget(m_table, 1);
    whole->addWidget(list);
    const QStringList names{tr("Trace, left model"), tr("Trace, right model")};
    for (int i = 0; i < 2; ++i) {
        auto *pane = new QWidget(whole);
        auto *inside = new QVBoxLayout(pane);
        inside->setContentsMargins(0, 0, 0, 0);
        inside->setSpacing(0);
        m_heads[i] = new QLabel(pane);
        m_heads[i]->setWordWrap(true);
        m_heads[i]->setContentsMargins(12, 8, 12, 8);
        m_panes[i] = new QTextBrowser(pane);
        m_panes[i]->setFrameShape(QFrame::NoFrame);
        m_panes[i]->setFont(fixedFont());
        m_panes[i]->setAccessibleName(names.at(i));
        m_panes[i]->setOpenLinks(false);
        inside->addWidget(m_heads[i]);
        inside->addWidget(m_panes[i], 1);
        whole->addWidget(pane);
    }
    list->setMinimumWidth(300);
    whole->setStretchFactor(0, 0);
    whole->setStretchFactor(1, 1);
    whole->setStretchFactor(2, 1);
    whole->setSizes({310, 450, 450});
    setFocusProxy(m_table);
    connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this, &TracesPage::showSample);
    connect(m_model, &QAbstractItemModel::modelReset, this, [this] {
        m_count->setText(tr("%n sample(s)", nullptr, m_model->rowCount()));
        if (m_model->rowCount() > 0)
            m_table->selectRow(0);
        else
            showSample();
    });
    return whole;
}

bool TracesPage::showsSamples() const
{
    return m_stack->currentIndex() == 1;
}

void TracesPage::fillReports()
{
    const QString wantedLeft = m_left->currentData().toString();
    const QString wantedRight = m_right->currentData().toString();
    {
        const QSignalBlocker blockLeft(m_left);
        const QSignalBlocker blockRight(m_right);
        m_left->clear();
        m_right->clear();
        for (const EvaluationReportPtr &report : m_workspace->session().reports) {
            for (QComboBox *box : {m_left, m_right}) {
                box->addItem(qString(report->modelName), qString(report->id));
                box->setItemData(box->count() - 1, qString(report->protocol), Qt::ToolTipRole);
            }
        }
        m_left->setCurrentIndex(qMax(0, m_left->findData(wantedLeft)));
        const int right = wantedRight.isEmpty() ? -1 : m_right->findData(wantedRight);
        // Two different models as soon as there are two.
        m_right->setCurrentIndex(right >= 0 && right != m_left->currentIndex() ? right : m_right->count() - 1);
    }
    m_stack->setCurrentIndex(m_left->count() > 0 ? 1 : 0);
    fillTasks();
}

EvaluationReportPtr TracesPage::reportOf(const QComboBox *box) const
{
    const std::string id = box->currentData().toString().toStdString();
    for (const EvaluationReportPtr &report : m_workspace->session().reports) {
        if (report->id == id)
            return report;
    }
    return nullptr;
}

void TracesPage::fillTasks()
{
    {
        const QSignalBlocker blocker(m_task);
        const QString wanted = m_task->currentText();
        m_task->clear();
        if (const EvaluationReportPtr report = reportOf(m_left)) {
            for (const TaskReport &task : report->tasks) {
                if (task.n > 0)
                    m_task->addItem(qString(task.task));
            }
        }
        m_task->setCurrentIndex(qMax(0, m_task->findText(wanted)));
    }
    showTask();
}

void TracesPage::showTask()
{
    using Filter = SampleTableModel::Filter;
    const EvaluationReportPtr left = reportOf(m_left);
    EvaluationReportPtr right = reportOf(m_right);
    if (right == left)
        right.reset();
    const bool isPair = right != nullptr;
    const QString alone = tr("Choose two models to compare their verdicts");
    m_filter->setSegmentEnabled(u"rw"_qs, isPair, alone);
    m_filter->setSegmentEnabled(u"wr"_qs, isPair, alone);
    const QString filter = m_filter->currentId();
    m_model->setFilter(filter == u"cut"                ? Filter::Truncated
                           : filter == u"rw" && isPair ? Filter::RightToWrong
                           : filter == u"wr" && isPair ? Filter::WrongToRight
                                                       : Filter::All);
    m_model->setReports(left, right, m_task->currentText());
    m_heads[1]->parentWidget()->setVisible(isPair);
    for (int column = kFirstRightColumn; column < m_model->columnCount(); ++column)
        m_table->setColumnHidden(column, !isPair);
    m_table->resizeColumnsToContents(); // hidden columns have no width
    Q_EMIT statusChanged();
}

void TracesPage::showSample()
{
    const int row = m_table->currentIndex().row();
    const SampleResult *samples[2] = {row < 0 ? nullptr : m_model->left(row), row < 0 ? nullptr : m_model->right(row)};
    const QComboBox *boxes[2] = {m_left, m_right};
    for (int i = 0; i < 2; ++i) {
        if (!samples[i]) {
            m_heads[i]->setText({});
            m_panes[i]->clear();
            continue;
        }
        m_heads[i]->setText(u"<b>%1</b><br>%2"_qs.arg(boxes[i]->currentText().toHtmlEscaped(),
                                                      sampleVerdict(*samples[i]).toHtmlEscaped()));
        m_panes[i]->setHtml(sampleHtml(*samples[i], themeColors(this)));
    }
    Q_EMIT statusChanged();
}

void TracesPage::showSamples(const QString &reportId, const QString &task)
{
    const int right = m_right->findData(reportId);
    if (right < 0)
        return;
    m_right->setCurrentIndex(right);
    // Beside the dense model under the same protocol, where there is one.
    const EvaluationReportPtr shown = reportOf(m_right);
    for (const EvaluationReportPtr &report : m_workspace->session().reports) {
        if (report->state == "dense" && report->protocol == shown->protocol)
            m_left->setCurrentIndex(m_left->findData(qString(report->id)));
    }
    m_task->setCurrentIndex(qMax(0, m_task->findText(task)));
    showTask();
}

QString TracesPage::statusText() const
{
    return tr("Raw text is kept; nothing is stripped");
}

} // namespace secateur
