#include "widgets/models/jobs_model.h"

#include "widgets/theme/number_text.h"

#include <algorithm>

namespace secateur {

JobsModel::JobsModel(QObject *parent) : QAbstractTableModel(parent)
{ }

void JobsModel::setJob(const JobRow &row)
{
    const auto found
        = std::find_if(m_rows.begin(), m_rows.end(), [&](const JobRow &other) { return other.id == row.id; });
    if (found == m_rows.end()) {
        const int position = static_cast<int>(m_rows.size());
        beginInsertRows({}, position, position);
        m_rows.push_back(row);
        endInsertRows();
        return;
    }
    *found = row;
    const int position = static_cast<int>(found - m_rows.begin());
    Q_EMIT dataChanged(index(position, 0), index(position, ColumnCount - 1));
}

void JobsModel::removeFinished()
{
    for (int row = static_cast<int>(m_rows.size()) - 1; row >= 0; --row) {
        const JobRow::State state = m_rows[static_cast<std::size_t>(row)].state;
        if (state == JobRow::State::Waiting || state == JobRow::State::Running || state == JobRow::State::Stopping)
            continue;
        beginRemoveRows({}, row, row);
        m_rows.erase(m_rows.begin() + row);
        endRemoveRows();
    }
}

int JobsModel::runningCount() const
{
    return static_cast<int>(std::count_if(m_rows.begin(), m_rows.end(), [](const JobRow &row) {
        return row.state == JobRow::State::Waiting || row.state == JobRow::State::Running
            || row.state == JobRow::State::Stopping;
    }));
}

const JobRow *JobsModel::rowOf(int id) const
{
    const auto found = std::find_if(m_rows.begin(), m_rows.end(), [&](const JobRow &row) { return row.id == id; });
    return found == m_rows.end() ? nullptr : &*found;
}

int JobsModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

int JobsModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(ColumnCount);
}

QVariant JobsModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const JobRow &row = m_rows[static_cast<std::size_t>(index.row())];
    const QString none = QStringLiteral("–");
    const bool active = row.state == JobRow::State::Running || row.state == JobRow::State::Stopping;
    const double fraction
        = active && row.total > 0 ? static_cast<double>(row.done) / static_cast<double>(row.total) : -1;
    switch (role) {
    case IdRole:
        return row.id;
    case FractionRole:
        return fraction;
    case StateRole:
        return static_cast<int>(row.state);
    case Qt::ToolTipRole:
        return row.message.isEmpty() ? QVariant() : QVariant(row.message);
    case Qt::TextAlignmentRole:
        return index.column() >= Remaining ? QVariant(Qt::AlignRight | Qt::AlignVCenter)
                                           : QVariant(Qt::AlignLeft | Qt::AlignVCenter);
    case Qt::DisplayRole:
        break;
    default:
        return {};
    }
    switch (index.column()) {
    case Job:
        return row.title;
    case Subject:
        return row.subject;
    case ProgressColumn:
        switch (row.state) {
        case JobRow::State::Waiting:
            return tr("waiting");
        case JobRow::State::Running:
            return row.total > 0 ? tr("%1 of %2").arg(row.done).arg(row.total) : tr("running");
        case JobRow::State::Stopping:
            return tr("stopping…");
        case JobRow::State::Done:
            return tr("done");
        case JobRow::State::Cancelled:
            return tr("cancelled");
        case JobRow::State::Failed:
            return tr("failed");
        }
        return {};
    case Stage:
        return active ? row.stage : row.state == JobRow::State::Waiting ? QString() : duration(row.elapsedMs / 1000);
    case Remaining: {
        if (fraction <= 0.02 || row.elapsedMs < 500)
            return none;
        const double remaining = static_cast<double>(row.elapsedMs) * (1 - fraction) / fraction;
        return QString(QStringLiteral("~ ") + duration(static_cast<qint64>(remaining / 1000)));
    }
    case Speed:
        return row.tokensPerSecond > 0 ? tr("%1 tok/s").arg(shortCount(row.tokensPerSecond)) : none;
    case Memory:
        return row.memoryBytes > 0 ? memorySize(row.memoryBytes) : none;
    default:
        return {};
    }
}

QVariant JobsModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole)
        return section >= Remaining ? QVariant(Qt::AlignRight | Qt::AlignVCenter)
                                    : QVariant(Qt::AlignLeft | Qt::AlignVCenter);
    if (role != Qt::DisplayRole)
        return {};
    switch (section) {
    case Job:
        return tr("Job");
    case Subject:
        return tr("Model");
    case ProgressColumn:
        return tr("Progress");
    case Stage:
        return tr("Stage");
    case Remaining:
        return tr("Remaining");
    case Speed:
        return tr("Speed");
    case Memory:
        return tr("Memory");
    default:
        return {};
    }
}

} // namespace secateur
