#include "widgets/models/eval_table_model.h"

#include <QLocale>

#include <algorithm>

namespace secateur {

namespace {

QString evalPercent(double share, int decimals)
{
    return QLocale::c().toString(share * 100, 'f', decimals);
}

const TaskReport *evalFindTask(const EvaluationReportPtr &report, const QString &task)
{
    const auto found = std::find_if(report->tasks.begin(), report->tasks.end(), [&](const TaskReport &other) {
        return QString::fromStdString(other.task) == task;
    });
    return found == report->tasks.end() ? nullptr : &*found;
}

/// Accuracy among the answers that ended before the cap; −1 when there is none.
double evalFinishedAccuracy(const TaskReport &task)
{
    std::int64_t finished = 0, right = 0;
    for (const SampleResult &sample : task.samples) {
        if (reachedCap(sample))
            continue;
        ++finished;
        right += sample.correct ? 1 : 0;
    }
    return finished == 0 ? -1 : static_cast<double>(right) / static_cast<double>(finished);
}

} // namespace

EvalTableModel::EvalTableModel(QObject *parent) : QAbstractTableModel(parent)
{ }

void EvalTableModel::setReports(std::vector<EvaluationReportPtr> reports)
{
    beginResetModel();
    m_reports = std::move(reports);
    m_runningId.clear();
    rebuildTasks();
    endResetModel();
}

void EvalTableModel::setRunning(const EvaluationReportPtr &report, const EvaluationOptions &options)
{
    const auto found = std::find_if(m_reports.begin(), m_reports.end(),
                                    [&](const EvaluationReportPtr &other) { return other->id == report->id; });
    m_runningOptions = options;
    if (found != m_reports.end() && (*found)->tasks.size() == report->tasks.size()) {
        // the same cells with newer values: keep the view's selection
        *found = report;
        m_runningId = QString::fromStdString(report->id);
        if (rowCount() > 0)
            Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, columnCount() - 1));
        return;
    }
    beginResetModel();
    if (found == m_reports.end())
        m_reports.push_back(report);
    else
        *found = report;
    m_runningId = QString::fromStdString(report->id);
    rebuildTasks();
    endResetModel();
}

void EvalTableModel::setShow(Show show)
{
    m_show = show;
    if (rowCount() > 0)
        Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, columnCount() - 1));
}

void EvalTableModel::rebuildTasks()
{
    m_tasks.clear();
    for (const EvaluationReportPtr &report : m_reports) {
        for (const TaskReport &task : report->tasks) {
            const QString name = QString::fromStdString(task.task);
            if (!m_tasks.contains(name))
                m_tasks << name;
        }
    }
}

const EvaluationReport *EvalTableModel::reportOf(const QModelIndex &index) const
{
    const auto column = static_cast<std::size_t>(index.column() - 2);
    return index.isValid() && index.column() >= 2 && column < m_reports.size() ? m_reports[column].get() : nullptr;
}

const TaskReport *EvalTableModel::taskOf(const QModelIndex &index) const
{
    if (!reportOf(index))
        return nullptr;
    return evalFindTask(m_reports[static_cast<std::size_t>(index.column() - 2)], m_tasks[index.row()]);
}

int EvalTableModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_tasks.size());
}

int EvalTableModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : 2 + static_cast<int>(m_reports.size());
}

QVariant EvalTableModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    if (index.column() == 0)
        return role == Qt::DisplayRole ? QVariant(m_tasks[index.row()]) : QVariant();
    if (index.column() == 1) {
        if (role == Qt::TextAlignmentRole)
            return QVariant(Qt::AlignRight | Qt::AlignVCenter);
        if (role != Qt::DisplayRole)
            return {};
        std::int64_t n = 0;
        for (const EvaluationReportPtr &report : m_reports)
            if (const TaskReport *task = evalFindTask(report, m_tasks[index.row()]))
                n = std::max(n, task->n);
        return n > 0 ? QString::number(n) : QStringLiteral("–");
    }

    const TaskReport *task = taskOf(index);
    if (!task)
        return role == Qt::DisplayRole ? QVariant(QStringLiteral("–"))
            : role == AccuracyRole     ? QVariant(-1.0)
                                       : QVariant();
    const qint64 total = m_runningOptions.rowsOf(task->task);
    const bool running = m_runningId == QString::fromStdString(reportOf(index)->id) && total > task->n;
    double value = task->n > 0 ? task->accuracy : -1;
    if (m_show == Show::AccuracyNorm)
        value = task->accuracyNorm;
    else if (m_show == Show::AmongFinished)
        value = task->kind == "generation" ? evalFinishedAccuracy(*task) : value;

    switch (role) {
    case AccuracyRole:
        return value;
    case LowRole:
        return task->low;
    case HighRole:
        return task->high;
    case CapShareRole:
        return task->capHitShare;
    case CountRole:
        return static_cast<qlonglong>(task->n);
    case TotalRole:
        return running ? total : qint64(0);
    case NoteRole:
        return QString::fromStdString(task->note);
    case StateRole:
        return QString::fromStdString(reportOf(index)->state);
    case Qt::DisplayRole: {
        if (task->n == 0)
            return task->note.empty() ? QStringLiteral("–") : QString::fromStdString(task->note);
        if (running && task->n < 10)
            return tr("%1 / %2").arg(task->n).arg(total);
        if (value < 0)
            return QStringLiteral("–");
        if (m_show == Show::DeltaToDense) {
            const auto dense = std::find_if(m_reports.begin(), m_reports.end(),
                                            [](const EvaluationReportPtr &report) { return report->state == "dense"; });
            const TaskReport *base = dense == m_reports.end() ? nullptr : evalFindTask(*dense, m_tasks[index.row()]);
            if (!base || base->n == 0)
                return QStringLiteral("–");
            const double change = (value - base->accuracy) * 100;
            return tr("%1%2 points")
                .arg(change < 0 ? QStringLiteral("−") : QStringLiteral("+"),
                     QLocale::c().toString(std::abs(change), 'f', 1));
        }
        return QString(evalPercent(value, 1) + QStringLiteral(" [") + evalPercent(task->low, 0) + QStringLiteral(", ")
                       + evalPercent(task->high, 0) + QStringLiteral("]"));
    }
    case Qt::ToolTipRole: {
        if (task->n == 0)
            return QString::fromStdString(task->note);
        QString text = tr("%1 %, 95 % Wilson interval %2 to %3 %, n = %4")
                           .arg(evalPercent(task->accuracy, 1), evalPercent(task->low, 1), evalPercent(task->high, 1))
                           .arg(task->n);
        if (task->accuracyNorm >= 0)
            text += u'\n' + tr("Length-normalised: %1 %").arg(evalPercent(task->accuracyNorm, 1));
        if (task->capHitShare >= 0)
            text += u'\n' + tr("%1 % of the answers reached the token cap").arg(evalPercent(task->capHitShare, 1));
        if (task->kind == "generation")
            text += u'\n'
                + tr("Traces: %1 closed, %2 truncated, %3 absent")
                      .arg(task->traceClosed)
                      .arg(task->traceTruncated)
                      .arg(task->traceAbsent);
        return text;
    }
    case Qt::AccessibleTextRole:
        if (task->n == 0)
            return QString::fromStdString(task->note);
        return tr("%1, %2: %3 percent, interval %4 to %5, %6 items, cap hit %7 percent")
            .arg(m_tasks[index.row()], QString::fromStdString(reportOf(index)->modelName),
                 evalPercent(task->accuracy, 1), evalPercent(task->low, 0), evalPercent(task->high, 0))
            .arg(task->n)
            .arg(evalPercent(std::max(0.0, task->capHitShare), 0));
    default:
        return {};
    }
}

QVariant EvalTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole)
        return section == 1 ? QVariant(Qt::AlignRight | Qt::AlignVCenter) : QVariant(Qt::AlignLeft | Qt::AlignVCenter);
    if (section >= 2 && section - 2 < static_cast<int>(m_reports.size())) {
        const EvaluationReport &report = *m_reports[static_cast<std::size_t>(section - 2)];
        if (role == Qt::DisplayRole)
            return QString(QString::fromStdString(report.modelName) + u'\n' + QString::fromStdString(report.state));
        if (role == Qt::ToolTipRole)
            return QString::fromStdString(report.protocol);
        return {};
    }
    if (role != Qt::DisplayRole)
        return {};
    return section == 0 ? tr("Task") : tr("n");
}

QString EvalTableModel::toText(const QString &format) const
{
    const bool csv = format == QLatin1String("csv");
    const auto field = [&](QString text) {
        if (csv && (text.contains(u',') || text.contains(u'"') || text.contains(u'\n')))
            return QString(u'"' + text.replace(u'"', QStringLiteral("\"\"")) + u'"');
        return csv ? text : text.replace(u'|', QStringLiteral("\\|"));
    };
    QStringList lines;
    const auto add = [&](const QStringList &cells) {
        lines << (csv ? cells.join(u',')
                      : QString(QStringLiteral("| ") + cells.join(QStringLiteral(" | ")) + QStringLiteral(" |")));
    };

    QStringList header = {tr("Task"), tr("n")};
    for (const EvaluationReportPtr &report : m_reports) {
        const QString name = QString::fromStdString(report->modelName + " (" + report->state + ")");
        header << field(tr("%1 accuracy, % [95 % Wilson]").arg(name)) << field(tr("%1 cap hit, %").arg(name));
    }
    add(header);
    if (!csv)
        add(QStringList(header.size(), QStringLiteral("---")));
    for (int row = 0; row < rowCount(); ++row) {
        QStringList cells = {field(m_tasks[row]), data(index(row, 1)).toString()};
        for (int column = 2; column < columnCount(); ++column) {
            const TaskReport *task = taskOf(index(row, column));
            if (!task || task->n == 0) {
                cells << (task ? field(QString::fromStdString(task->note)) : QString()) << QString();
                continue;
            }
            cells << field(QString(evalPercent(task->accuracy, 1) + QStringLiteral(" [") + evalPercent(task->low, 1)
                                   + QStringLiteral(", ") + evalPercent(task->high, 1) + QStringLiteral("]")))
                  << (task->capHitShare < 0 ? QString() : evalPercent(task->capHitShare, 1));
        }
        add(cells);
    }
    return QString(lines.join(u'\n') + u'\n');
}

} // namespace secateur
