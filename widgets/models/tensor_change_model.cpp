#include "widgets/models/tensor_change_model.h"

#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QStringList>

namespace secateur {

namespace {

QString tensorShapeText(const std::vector<std::int64_t> &shape)
{
    QStringList sizes;
    for (const std::int64_t size : shape)
        sizes << QString::number(size);
    return QStringLiteral("[%1]").arg(sizes.join(QStringLiteral(", ")));
}

} // namespace

TensorChangeModel::TensorChangeModel(QObject *parent) : QAbstractTableModel(parent)
{ }

void TensorChangeModel::setChanges(std::vector<TensorChange> changes)
{
    beginResetModel();
    m_changes = std::move(changes);
    endResetModel();
}

int TensorChangeModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_changes.size());
}

int TensorChangeModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(ColumnCount);
}

QVariant TensorChangeModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const TensorChange &change = m_changes[static_cast<std::size_t>(index.row())];
    switch (role) {
    case Qt::DisplayRole:
        switch (index.column()) {
        case TensorName:
            return QString::fromStdString(change.tensor);
        case Before:
            return QString(tensorShapeText(change.before) + QStringLiteral(" →"));
        case After:
            return change.after.empty() ? tr("removed") : tensorShapeText(change.after);
        case Parameters:
            return QString(QChar(0x2212) + exactCount(change.parametersRemoved));
        case Why:
            return QString::fromStdString(change.reason);
        default:
            return {};
        }
    case Qt::ToolTipRole:
        return QString::fromStdString(change.tensor);
    case Qt::TextAlignmentRole:
        return index.column() == Before || index.column() == Parameters ? QVariant(Qt::AlignRight | Qt::AlignVCenter)
                                                                        : QVariant(Qt::AlignLeft | Qt::AlignVCenter);
    case Qt::FontRole:
        return index.column() == TensorName || index.column() == Before || index.column() == After
            ? QVariant(fixedFont())
            : index.column() == Parameters ? QVariant(numberFont())
                                           : QVariant();
    default:
        return {};
    }
}

QVariant TensorChangeModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole)
        return section == Before || section == Parameters ? QVariant(Qt::AlignRight | Qt::AlignVCenter)
                                                          : QVariant(Qt::AlignLeft | Qt::AlignVCenter);
    if (role != Qt::DisplayRole)
        return {};
    switch (section) {
    case TensorName:
        return tr("Tensor");
    case Before:
        return tr("Before");
    case After:
        return tr("After");
    case Parameters:
        return tr("Parameters, all blocks");
    case Why:
        return tr("Why");
    default:
        return {};
    }
}

} // namespace secateur
