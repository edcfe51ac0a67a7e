#include "app/pages/compare_page.h"

#include "app/controllers/export_controller.h"
#include "app/controls/option_bar.h"
#include "app/pages/paired_test.h"
#include "app/pages/plan_page_parts.h"
#include "app/qt_paths.h"
#include "app/workspace.h"
#include "widgets/controls/banner.h"
#include "widgets/controls/empty_state.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QClipboard>
#include <QComboBox>
#include <QGuiApplication>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QSplitter>
#include <QStackedWidget>
#include <QStandardItemModel>
#include <QTableView>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>

namespace secateur {

namespace {

QStandardItem *textCell(const QString &text)
{
    auto *item = new QStandardItem(text);
    item->setEditable(false);
    return item;
}

QStandardItem *numberCell(const QString &text, bool bold = false)
{
    QStandardItem *item = textCell(text);
    item->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
    QFont font = numberFont();
    if (bold)
        font.setWeight(QFont::DemiBold);
    item->setFont(font);
    return item;
}

/// Widths with room around the heads; heads of numbers stand above their numbers.
void fitNumberTable(QTableView *table, int firstNumber)
{
    constexpr int kColumnPadding = 16;
    table->resizeColumnsToContents();
    for (int column = 0; column < table->model()->columnCount(); ++column) {
        table->setColumnWidth(column, table->columnWidth(column) + kColumnPadding);
        table->model()->setHeaderData(column, Qt::Horizontal,
                                      int((column < firstNumber ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter),
                                      Qt::TextAlignmentRole);
    }
}

QString accuracyCell(const TaskReport *task)
{
    if (!task || task->n == 0)
        return missingNumber();
    return u"%1 [%2, %3]"_qs.arg(percent(task->accuracy)).arg(qRound(task->low * 100)).arg(qRound(task->high * 100));
}

} // namespace

ComparePage::ComparePage(Workspace *workspace, ExportController *exporter, QWidget *parent)
    : QWidget(parent),
      m_workspace(workspace),
      m_exporter(exporter),
      m_stack(new QStackedWidget(this)),
      m_empty(new EmptyState(m_stack)),
      m_all(new QStandardItemModel(this)),
      m_pair(new QStandardItemModel(this))
{
    auto *outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->setSpacing(0);
    auto *options = new OptionBar(this);
    m_first = new QComboBox(options);
    m_second = new QComboBox(options);
    m_first->setMinimumContentsLength(20);
    m_second->setMinimumContentsLength(20);
    options->addField(tr("Compare"), m_first);
    options->addField(tr("with"), m_second);
    options->addStretch();
    auto *copy = new QPushButton(themedIcon(u"copy"_qs), tr("Copy table"), options);
    options->addWidget(copy);
    connect(options->addHelp(), &QToolButton::clicked, this, &ComparePage::helpRequested);
    connect(copy, &QPushButton::clicked, this, &ComparePage::copyTable);
    connect(m_first, &QComboBox::currentIndexChanged, this, &ComparePage::fillPair);
    connect(m_second, &QComboBox::currentIndexChanged, this, &ComparePage::fillPair);
    outer->addWidget(options);
    m_empty->setContent(u"compare"_qs, tr("Nothing to compare yet"),
                        tr("Open a model, make a plan, and its costs and results stand here side by side."));
    m_empty->setPrimary(tr("Open…"));
    m_empty->setAlternative({});
    connect(m_empty, &EmptyState::primaryClicked, this, &ComparePage::openModelRequested);
    m_stack->addWidget(m_empty);
    m_stack->addWidget(makeContent());
    outer->addWidget(m_stack, 1);
    setFocusProxy(m_allTable);
    connect(workspace, &Workspace::documentChanged, this, &ComparePage::fill);
    connect(workspace, &Workspace::recordsChanged, this, &ComparePage::fill);
    fill();
}

QWidget *ComparePage::makeContent()
{
    auto *whole = new QSplitter(Qt::Vertical, m_stack);
    whole->setHandleWidth(1);
    const auto addPanel
        = [&](const QString &title, const QString &description, QTableView *table, QStandardItemModel *model) {
              auto *panel = new QWidget(whole);
              auto *layout = new QVBoxLayout(panel);
              layout->setContentsMargins(0, 0, 0, 0);
              layout->setSpacing(0);
              auto *head = new QHBoxLayout;
              head->setContentsMargins(12, 8, 12, 8);
              head->setSpacing(8);
              auto *name = new QLabel(title, panel);
              name->setFont(titleFont());
              auto *text = new QLabel(description, panel);
              setSecondary(text);
              head->addWidget(name);
              head->addWidget(text);
              head->addStretch(1);
              layout->addLayout(head);
              table->setModel(model);
              table->setAccessibleName(title);
              setUpPlanTable(table);
              table->horizontalHeader()->setStretchLastSection(false);
              layout->addWidget(table, 1);
              whole->addWidget(panel);
              return layout;
          };
    m_allTable = new QTableView(whole);
    m_pairTable = new QTableView(whole);
    addPanel(tr("Models of this session"), tr("costs are computed from the shapes; FLOPs per token at 512 tokens"),
             m_allTable, m_all);
    auto *layout = addPanel(tr("Two models"), tr("absolute, absolute, change"), m_pairTable, m_pair);
    m_notice = new Banner(Banner::Kind::Notice, whole);
    m_notice->setBoxed(true);
    m_notice->setClosable(false);
    auto *inset = new QHBoxLayout;
    inset->setContentsMargins(12, 8, 12, 12);
    inset->addWidget(m_notice);
    layout->addLayout(inset);
    return whole;
}

EvaluationReportPtr ComparePage::reportOf(const QString &subject) const
{
    // The newest report of the subject; the dense model answers with the protocol that most others have.
    EvaluationReportPtr found;
    for (const EvaluationReportPtr &report : m_workspace->session().reports) {
        if (report->subject == subject.toStdString())
            found = report;
    }
    return found;
}

void ComparePage::fill()
{
    const QString first = m_first->currentData().toString();
    const QString second = m_second->currentData().toString();
    {
        const QSignalBlocker blockFirst(m_first);
        const QSignalBlocker blockSecond(m_second);
        m_first->clear();
        m_second->clear();
        for (const QString &id : m_workspace->reportSubjectIds()) {
            m_first->addItem(m_workspace->subjectName(id), id);
            m_second->addItem(m_workspace->subjectName(id), id);
        }
        m_first->setCurrentIndex(qMax(0, m_first->findData(first)));
        const int index = m_second->findData(second);
        m_second->setCurrentIndex(index > 0 ? index : m_second->count() - 1);
    }
    m_stack->setCurrentIndex(m_workspace->hasModel() ? 1 : 0);
    fillAll();
    fillPair();
}

void ComparePage::fillAll()
{
    m_all->clear();
    QStringList heads{tr("Model"),
                      tr("State"),
                      tr("Parameters"),
                      tr("Bytes, BF16"),
                      tr("FLOPs/token"),
                      tr("KV bytes/token"),
                      tr("Sparsity, params"),
                      tr("Mean accuracy"),
                      tr("n")};
    QStringList tasks;
    for (const EvaluationReportPtr &report : m_workspace->session().reports) {
        for (const TaskReport &task : report->tasks) {
            if (task.n > 0 && !tasks.contains(qString(task.task)))
                tasks.append(qString(task.task));
        }
    }
    m_all->setHorizontalHeaderLabels(heads + tasks);
    for (const QString &id : m_workspace->reportSubjectIds()) {
        const Subject subject = m_workspace->subject(id);
        QList<QStandardItem *> row{textCell(qString(subject.name)), textCell(qString(subject.state))};
        for (const QString &number : sizesOf(id))
            row.append(numberCell(number));
        const EvaluationReportPtr report = reportOf(id);
        std::int64_t items = 0;
        const double mean = report ? meanAccuracy(*report, &items) : -1;
        row.append(numberCell(mean < 0 ? missingNumber() : percent(mean)));
        row.append(numberCell(items > 0 ? exactCount(items) : missingNumber()));
        for (const QString &task : tasks) {
            QStandardItem *cell = numberCell(accuracyCell(report ? taskIn(*report, task.toStdString()) : nullptr));
            cell->setToolTip(report ? qString(report->protocol) : tr("not evaluated"));
            row.append(cell);
        }
        m_all->appendRow(row);
    }
    fitNumberTable(m_allTable, 2);
}

QStringList ComparePage::sizesOf(const QString &id) const
{
    constexpr int kSizes = 5;
    if (m_workspace->subject(id).state == "sibling")
        return QStringList(kSizes, missingNumber()); // its shape is not part of this session
    const Budget budget = computeBudget(m_workspace->config(), m_workspace->removedOf(id));
    return {exactCount(budget.parametersAfter), fileSize(budget.bytesAfter), flops(budget.flopsAfter),
            exactCount(budget.kvAfter), percent(budget.parameterSparsity)};
}

void ComparePage::fillPair()
{
    m_pair->clear();
    const QString ids[2] = {m_first->currentData().toString(), m_second->currentData().toString()};
    if (ids[0].isEmpty() || ids[1].isEmpty()) {
        m_notice->hide();
        return;
    }
    m_pair->setHorizontalHeaderLabels({QString(), m_first->currentText(), m_second->currentText(), tr("Change")});
    const Budget first = computeBudget(m_workspace->config(), m_workspace->removedOf(ids[0]));
    const Budget second = computeBudget(m_workspace->config(), m_workspace->removedOf(ids[1]));
    const auto addRow = [this](const QString &name, const QString &left, const QString &right, const QString &change) {
        m_pair->appendRow({textCell(name), numberCell(left), numberCell(right), numberCell(change, true)});
    };
    const auto isSibling = [this](const QString &id) { return m_workspace->subject(id).state == "sibling"; };
    if (!isSibling(ids[0]) && !isSibling(ids[1])) {
        addRow(tr("Parameters"), exactCount(first.parametersAfter), exactCount(second.parametersAfter),
               relativeChange(double(first.parametersAfter), double(second.parametersAfter)));
        addRow(tr("Bytes, BF16"), fileSize(first.bytesAfter), fileSize(second.bytesAfter),
               relativeChange(double(first.bytesAfter), double(second.bytesAfter)));
        addRow(tr("FLOPs/token @512"), flops(first.flopsAfter), flops(second.flopsAfter),
               relativeChange(first.flopsAfter, second.flopsAfter));
        addRow(tr("KV bytes/token"), exactCount(first.kvAfter), exactCount(second.kvAfter),
               relativeChange(double(first.kvAfter), double(second.kvAfter)));
    }
    const EvaluationReportPtr reports[2] = {reportOf(ids[0]), reportOf(ids[1])};
    if (!reports[0] || !reports[1]) {
        m_notice->setText(tr("Not both evaluated yet."),
                          tr("Evaluate both models under one protocol to compare them."));
    } else if (reports[0]->protocol != reports[1]->protocol) {
        m_notice->setText(
            tr("Two protocols."),
            tr("“%1” and “%2” are never compared.").arg(qString(reports[0]->protocol), qString(reports[1]->protocol)));
    } else {
        for (const TaskReport &task : reports[0]->tasks) {
            const TaskReport *other = taskIn(*reports[1], task.task);
            if (!other || task.n == 0 || other->n == 0)
                continue;
            addRow(tr("%1, % (n = %2)").arg(qString(task.task)).arg(other->n), accuracyCell(&task), accuracyCell(other),
                   tr("%1 points").arg(signedChange((other->accuracy - task.accuracy) * 100)));
            if (task.capHitShare >= 0 && other->capHitShare >= 0)
                addRow(tr("Cap-hit share, %1").arg(qString(task.task)), percent(task.capHitShare),
                       percent(other->capHitShare),
                       tr("%1 points").arg(signedChange((other->capHitShare - task.capHitShare) * 100)));
        }
        m_notice->setText(tr("All shared tasks."), verdictText(pairedResult(*reports[0], *reports[1])));
    }
    m_notice->setVisible(ids[0] != ids[1]);
    fitNumberTable(m_pairTable, 1);
}

QString ComparePage::statusText() const
{
    return tr("%n model(s)", nullptr, m_all->rowCount());
}

QString ComparePage::tableText(QChar separator) const
{
    QStringList lines;
    QStringList cells;
    for (int column = 0; column < m_all->columnCount(); ++column)
        cells.append(m_all->headerData(column, Qt::Horizontal).toString());
    const auto joined = [separator](QStringList row) {
        if (separator == u',') {
            for (QString &cell : row)
                cell = u'"' + QString(cell).replace(u'"', u"\"\""_qs) + u'"';
        }
        return row.join(separator);
    };
    lines.append(joined(cells));
    for (int row = 0; row < m_all->rowCount(); ++row) {
        cells.clear();
        for (int column = 0; column < m_all->columnCount(); ++column)
            cells.append(m_all->item(row, column)->text());
        lines.append(joined(cells));
    }
    return lines.join(u'\n') + u'\n';
}

void ComparePage::copyTable()
{
    QGuiApplication::clipboard()->setText(tableText(u'\t'));
}

void ComparePage::exportTable()
{
    m_exporter->saveText(tr("Export table"), m_workspace->name() + u"-models.csv"_qs,
                         tr("Comma-separated values (*.csv)"), tableText(u','));
}

} // namespace secateur
