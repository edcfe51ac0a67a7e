#include "widgets/models/selection_table_model.h"

#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QFont>
#include <QGuiApplication>

#include <algorithm>
#include <cmath>
#include <limits>

namespace secateur {

namespace {

constexpr std::int64_t kRowLimit = 200; // more units of a group become ranges
constexpr std::size_t kRangeLimit = 2000; // ranges that are still listed

} // namespace

struct SelectionTableModel::Row {
    bool isGroup = false;
    bool isLocked = false;
    QString title; ///< of groups and of the "and so on" row
    UnitKind kind = UnitKind::Block;
    int block = 0;
    int first = 0;
    int last = 0; ///< inclusive
    double score = std::numeric_limits<double>::quiet_NaN();
    std::int64_t rank = 0;
};

struct SelectionTableModel::Scores {
    UnitKind kind = UnitKind::Block;
    MetricMapPtr map;
    MapRanks ranks;
};

SelectionTableModel::SelectionTableModel(PruneSelection *selection, QObject *parent)
    : QAbstractTableModel(parent), m_selection(selection), m_scoreTitle(tr("Score"))
{
    connect(selection, &PruneSelection::changed, this, &SelectionTableModel::rebuild);
    connect(selection, &PruneSelection::lockedChanged, this, &SelectionTableModel::rebuild);
    connect(selection, &PruneSelection::configChanged, this, &SelectionTableModel::rebuild);
    rebuild();
}

SelectionTableModel::~SelectionTableModel() = default;

void SelectionTableModel::setScores(const MetricMapPtr &map)
{
    if (!map) {
        m_scores.clear();
        m_scoreTitle = tr("Score");
    } else {
        const MapKind kind = mapKind(*map);
        if (!scoresUnits(kind))
            return;
        const UnitKind unit = *unitKindOf(kind);
        std::erase_if(m_scores, [&](const std::unique_ptr<Scores> &scores) { return scores->kind == unit; });
        auto scores = std::make_unique<Scores>();
        scores->kind = unit;
        scores->map = map;
        scores->ranks = MapRanks(*map);
        m_scores.push_back(std::move(scores));
        m_scoreTitle = metricName(*map);
        if (!m_scoreTitle.isEmpty())
            m_scoreTitle[0] = m_scoreTitle[0].toUpper();
    }
    Q_EMIT headerDataChanged(Qt::Horizontal, Score, Score);
    rebuild();
}

const SelectionTableModel::Scores *SelectionTableModel::scoresOf(UnitKind kind) const
{
    for (const auto &scores : m_scores) {
        if (scores->kind == kind)
            return scores.get();
    }
    return nullptr;
}

void SelectionTableModel::appendGroup(const UnitSet &units, bool locked)
{
    const std::int64_t count = units.count();
    if (count == 0)
        return;
    Row head;
    head.isGroup = true;
    head.isLocked = locked;
    head.title = (locked ? tr("Locked (%1)") : tr("Selected (%1)")).arg(exactCount(count));
    m_rows.push_back(head);

    std::vector<Row> rows;
    const auto append = [&](UnitKind kind, int block, int first, int last) {
        Row row;
        row.isLocked = locked;
        row.kind = kind;
        row.block = block;
        row.first = first;
        row.last = last;
        const Scores *scores = scoresOf(kind);
        if (scores && block < scores->map->rows && (kind == UnitKind::Block || last < scores->map->columns)) {
            float lowest = std::numeric_limits<float>::quiet_NaN();
            for (int unit = first; unit <= last; ++unit)
                lowest = std::fmin(lowest, scores->map->at(block, kind == UnitKind::Block ? 0 : unit));
            row.score = static_cast<double>(lowest);
            row.rank = scores->ranks.rank(lowest);
        }
        rows.push_back(row);
    };
    for (const int block : units.blocks)
        append(UnitKind::Block, block, 0, 0);
    const bool collapse = count > kRowLimit;
    const auto appendAll = [&](UnitKind kind, const std::map<int, std::set<int>> &all) {
        for (const auto &[block, members] : all) {
            for (auto member = members.begin(); member != members.end();) {
                const int first = *member;
                int last = first;
                for (++member; collapse && member != members.end() && *member == last + 1; ++member)
                    last = *member;
                if (rows.size() < kRangeLimit)
                    append(kind, block, first, last);
            }
        }
    };
    appendAll(UnitKind::KvGroup, units.kvGroups);
    appendAll(UnitKind::FfnChannel, units.ffnChannels);

    const auto before = [this](const Row &left, const Row &right) {
        const bool ascending = m_sortOrder == Qt::AscendingOrder;
        const auto place = std::tuple(static_cast<int>(left.kind), left.block, left.first);
        const auto otherPlace = std::tuple(static_cast<int>(right.kind), right.block, right.first);
        if (m_sortColumn == Score || m_sortColumn == Rank) {
            // Units without a score come last in both directions.
            if (std::isnan(left.score) != std::isnan(right.score))
                return std::isnan(right.score);
            if (!std::isnan(left.score) && left.score != right.score)
                return (left.score < right.score) == ascending;
            return place < otherPlace;
        }
        return ascending ? place < otherPlace : otherPlace < place;
    };
    // Locks keep the order of the model: they are looked up, not ranked.
    if (!locked || m_sortColumn == Unit)
        std::stable_sort(rows.begin(), rows.end(), before);
    m_rows.insert(m_rows.end(), rows.begin(), rows.end());
    if (rows.size() >= kRangeLimit) {
        Row more;
        more.isGroup = true;
        more.isLocked = locked;
        more.title = tr("… more than fit in this list");
        m_rows.push_back(more);
    }
}

void SelectionTableModel::rebuild()
{
    beginResetModel();
    m_rows.clear();
    appendGroup(m_selection->selected(), false);
    appendGroup(m_selection->locked(), true);
    endResetModel();
}

UnitSet SelectionTableModel::unitsOfRow(int row) const
{
    UnitSet units;
    if (row < 0 || row >= rowCount())
        return units;
    const Row &entry = m_rows[static_cast<std::size_t>(row)];
    if (entry.isGroup)
        return units;
    if (entry.kind == UnitKind::Block) {
        units.blocks.insert(entry.block);
        return units;
    }
    std::set<int> &members
        = entry.kind == UnitKind::KvGroup ? units.kvGroups[entry.block] : units.ffnChannels[entry.block];
    const auto &all = entry.isLocked ? m_selection->locked() : m_selection->selected();
    const auto &owner = entry.kind == UnitKind::KvGroup ? all.kvGroups : all.ffnChannels;
    if (const auto found = owner.find(entry.block); found != owner.end()) {
        for (auto member = found->second.lower_bound(entry.first);
             member != found->second.end() && *member <= entry.last; ++member)
            members.insert(members.end(), *member);
    }
    return units;
}

bool SelectionTableModel::isLockedRow(int row) const
{
    return row >= 0 && row < rowCount() && m_rows[static_cast<std::size_t>(row)].isLocked;
}

int SelectionTableModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

int SelectionTableModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(ColumnCount);
}

Qt::ItemFlags SelectionTableModel::flags(const QModelIndex &index) const
{
    if (!index.isValid())
        return Qt::NoItemFlags;
    return m_rows[static_cast<std::size_t>(index.row())].isGroup
        ? Qt::ItemIsEnabled | Qt::ItemNeverHasChildren
        : Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemNeverHasChildren;
}

QVariant SelectionTableModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid | CheckIndexOption::ParentIsInvalid))
        return {};
    const Row &row = m_rows[static_cast<std::size_t>(index.row())];
    switch (role) {
    case GroupRole:
        return row.isGroup;
    case LockedRole:
        return row.isLocked;
    case ScoreRole:
        return row.score;
    default:
        break;
    }
    const ThemeColors &colors = themeColors(QGuiApplication::palette());
    if (row.isGroup) {
        if (role == Qt::DisplayRole && index.column() == Unit)
            return row.title;
        if (role == Qt::BackgroundRole)
            return colors.alternate;
        if (role == Qt::ForegroundRole)
            return colors.secondaryText;
        if (role == Qt::FontRole) {
            QFont font = secondaryFont();
            font.setWeight(QFont::DemiBold);
            return font;
        }
        return {};
    }
    switch (role) {
    case Qt::DisplayRole:
        if (index.column() == Unit)
            return unitName(row.kind, row.block, row.first, row.last);
        if (index.column() == Score)
            return mapValue(row.score);
        if (index.column() == Rank)
            return row.rank > 0 ? exactCount(row.rank) : missingNumber();
        return {};
    case Qt::ForegroundRole:
        return row.isLocked ? QVariant(colors.secondaryText) : QVariant();
    case Qt::TextAlignmentRole:
        return index.column() == Unit ? QVariant(Qt::AlignLeft | Qt::AlignVCenter)
                                      : QVariant(Qt::AlignRight | Qt::AlignVCenter);
    case Qt::FontRole:
        return index.column() == Unit ? QVariant() : QVariant(numberFont());
    case Qt::DecorationRole:
        if (index.column() == Action)
            return row.isLocked ? themedIcon(QStringLiteral("lock"), IconColor::Secondary)
                                : themedIcon(QStringLiteral("close"), IconColor::Secondary);
        return {};
    case Qt::ToolTipRole:
        if (index.column() == Action)
            return row.isLocked ? tr("Unlock") : tr("Remove from the selection");
        if (index.column() == Score && row.last > row.first)
            return tr("Lowest score of the range");
        if (index.column() != Unit && row.rank == 0)
            return tr("No map of these units has been computed");
        return {};
    case Qt::AccessibleTextRole:
        if (index.column() == Action)
            return row.isLocked ? tr("Unlock") : tr("Remove");
        return {};
    default:
        return {};
    }
}

QVariant SelectionTableModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole)
        return section == Unit ? QVariant(Qt::AlignLeft | Qt::AlignVCenter)
                               : QVariant(Qt::AlignRight | Qt::AlignVCenter);
    if (role == Qt::ToolTipRole && section == Score)
        return m_scoreTitle;
    if (role == Qt::ToolTipRole && section == Rank)
        return tr("1 = the first to go");
    if (role != Qt::DisplayRole)
        return {};
    switch (section) {
    case Unit:
        return tr("Unit");
    case Score:
        return m_scoreTitle;
    case Rank:
        return tr("Rank");
    default:
        return QString();
    }
}

void SelectionTableModel::sort(int column, Qt::SortOrder order)
{
    if (column == Action || (column == m_sortColumn && order == m_sortOrder))
        return;
    m_sortColumn = column;
    m_sortOrder = order;
    rebuild();
}

} // namespace secateur
