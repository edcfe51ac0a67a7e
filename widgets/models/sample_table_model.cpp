#include "widgets/models/sample_table_model.h"

#include <algorithm>

namespace secateur {

namespace {

const TaskReport *sampleTaskOf(const EvaluationReportPtr &report, const QString &task)
{
    if (!report)
        return nullptr;
    const auto found = std::find_if(report->tasks.begin(), report->tasks.end(), [&](const TaskReport &other) {
        return QString::fromStdString(other.task) == task;
    });
    return found == report->tasks.end() ? nullptr : &*found;
}

bool sampleIsTruncated(const SampleResult *sample)
{
    return sample && reachedCap(*sample);
}

} // namespace

SampleTableModel::SampleTableModel(QObject *parent) : QAbstractTableModel(parent)
{ }

void SampleTableModel::setReports(EvaluationReportPtr left, EvaluationReportPtr right, const QString &task)
{
    m_left = std::move(left);
    m_right = std::move(right);
    m_task = task;
    rebuild();
}

void SampleTableModel::setFilter(Filter filter)
{
    if (filter == m_filter)
        return;
    m_filter = filter;
    rebuild();
}

void SampleTableModel::rebuild()
{
    beginResetModel();
    m_rows.clear();
    const TaskReport *left = sampleTaskOf(m_left, m_task);
    const TaskReport *right = sampleTaskOf(m_right, m_task);
    if (left) {
        for (const SampleResult &sample : left->samples) {
            const SampleResult *other = nullptr;
            if (right) {
                const auto found
                    = std::find_if(right->samples.begin(), right->samples.end(),
                                   [&](const SampleResult &candidate) { return candidate.docId == sample.docId; });
                other = found == right->samples.end() ? nullptr : &*found;
            }
            const bool keep = m_filter == Filter::All
                || (m_filter == Filter::RightToWrong && other && sample.correct && !other->correct)
                || (m_filter == Filter::WrongToRight && other && !sample.correct && other->correct)
                || (m_filter == Filter::Truncated && (sampleIsTruncated(&sample) || sampleIsTruncated(other)));
            if (keep)
                m_rows.emplace_back(&sample, other);
        }
    }
    endResetModel();
}

const SampleResult *SampleTableModel::left(int row) const
{
    return row >= 0 && row < rowCount() ? m_rows[static_cast<std::size_t>(row)].first : nullptr;
}

const SampleResult *SampleTableModel::right(int row) const
{
    return row >= 0 && row < rowCount() ? m_rows[static_cast<std::size_t>(row)].second : nullptr;
}

int SampleTableModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

int SampleTableModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : 5;
}

QVariant SampleTableModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const auto &[left, right] = m_rows[static_cast<std::size_t>(index.row())];
    const SampleResult *sample = index.column() <= 2 ? left : right;
    if (role == Qt::TextAlignmentRole)
        return index.column() == 2 || index.column() == 4 || index.column() == 0
            ? QVariant(Qt::AlignRight | Qt::AlignVCenter)
            : QVariant(Qt::AlignLeft | Qt::AlignVCenter);
    if (role == Qt::ToolTipRole && sample)
        return QString::fromStdString(sample->prompt).left(400);
    if (role != Qt::DisplayRole)
        return {};
    if (index.column() == 0)
        return static_cast<qlonglong>(left->docId);
    if (!sample)
        return QStringLiteral("–");
    const bool verdict = index.column() == 1 || index.column() == 3;
    if (verdict)
        return reachedCap(*sample)
            ? tr("%1 at cap").arg(sample->correct ? QStringLiteral("✓") : QStringLiteral("✕"))
            : sample->correct ? tr("✓ right")
                              : tr("✕ wrong");
    return sample->finish.empty() ? QVariant(QStringLiteral("–"))
                                  : QVariant(static_cast<qlonglong>(sample->traceTokens + sample->answerTokens));
}

QVariant SampleTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole)
        return {};
    switch (section) {
    case 0:
        return tr("Item");
    case 1:
        return tr("Left");
    case 2:
    case 4:
        return tr("Tokens");
    case 3:
        return tr("Right");
    default:
        return {};
    }
}

} // namespace secateur
