#include "widgets/heatmap/map_units.h"

#include "widgets/theme/number_text.h"

#include <QCoreApplication>

#include <algorithm>
#include <cmath>
#include <limits>

namespace secateur {

namespace {

QString unitsText(const char *source)
{
    return QCoreApplication::translate("MapUnits", source);
}

bool isCellInside(const MetricMap &map, HeatmapCell cell)
{
    return cell.row >= 0 && cell.column >= 0 && cell.row < map.rows && cell.column < map.columns;
}

bool lengthsAreRows(const MetricMap &map)
{
    return map.rowAxis.id == "block_length" || map.rowAxis.id == "length";
}

struct StartAndLength {
    int start, length;
};

StartAndLength startAndLength(const MetricMap &map, HeatmapCell cell)
{
    const int row = cell.row + static_cast<int>(map.rowAxis.first);
    const int column = cell.column + static_cast<int>(map.columnAxis.first);
    return lengthsAreRows(map) ? StartAndLength{column, row} : StartAndLength{row, column};
}

void insertRange(std::set<int> &into, int first, int last)
{
    for (int unit = first; unit < last; ++unit)
        into.insert(into.end(), unit);
}

/// Blocks of one cell of the maps whose cells stand for ranges of blocks.
std::pair<int, int> blockRange(const MetricMap &map, MapKind kind, HeatmapCell cell)
{
    if (kind == MapKind::StatePairs)
        return std::minmax(cell.row, cell.column);
    const auto [start, length] = startAndLength(map, cell);
    // Undefined cells (start + length beyond the last block) stand for nothing.
    return std::isnan(map.at(cell.row, cell.column)) ? std::pair(0, 0) : std::pair(start, start + length);
}

QString listOfBlocks(const std::vector<int> &blocks)
{
    QStringList texts;
    for (const int block : blocks)
        texts << QString::number(block);
    return texts.join(QStringLiteral(", "));
}

QString ordinal(double percentile)
{
    return unitsText("%1th percentile").arg(QString::number(percentile, 'f', 1));
}

} // namespace

MapKind mapKind(const MetricMap &map)
{
    if (map.group == "block_cosine")
        return MapKind::StatePairs;
    if (map.group == "block_distance")
        return MapKind::StartLength;
    if (map.group == "head_importance")
        return MapKind::KvGroups;
    if (map.group == "ffn_importance")
        return MapKind::FfnChannels;
    if (map.group == "block_influence" || map.columns == 1)
        return MapKind::BlockProfile;
    return MapKind::Other;
}

std::optional<UnitKind> unitKindOf(MapKind kind)
{
    switch (kind) {
    case MapKind::StatePairs:
    case MapKind::StartLength:
    case MapKind::BlockProfile:
        return UnitKind::Block;
    case MapKind::KvGroups:
        return UnitKind::KvGroup;
    case MapKind::FfnChannels:
        return UnitKind::FfnChannel;
    case MapKind::Other:
        break;
    }
    return std::nullopt;
}

bool scoresUnits(MapKind kind)
{
    return kind == MapKind::BlockProfile || kind == MapKind::KvGroups || kind == MapKind::FfnChannels;
}

bool isSignedMap(const MetricMap &map)
{
    return map.metric == "difference" || map.metric.ends_with("_difference");
}

UnitSet unitsOfCell(const MetricMap &map, HeatmapCell cell)
{
    return isCellInside(map, cell) ? unitsOfRectangle(map, QRect(cell.column, cell.row, 1, 1)) : UnitSet{};
}

UnitSet unitsOfRectangle(const MetricMap &map, const QRect &cells)
{
    UnitSet units;
    const QRect inside = cells.normalized() & QRect(0, 0, static_cast<int>(map.columns), static_cast<int>(map.rows));
    const MapKind kind = mapKind(map);
    for (int row = inside.top(); row <= inside.bottom(); ++row) {
        switch (kind) {
        case MapKind::StatePairs:
        case MapKind::StartLength:
            for (int column = inside.left(); column <= inside.right(); ++column) {
                const auto [first, last] = blockRange(map, kind, {row, column});
                for (int block = first; block < last; ++block)
                    units.blocks.insert(block);
            }
            break;
        case MapKind::BlockProfile:
            units.blocks.insert(row);
            break;
        case MapKind::KvGroups:
            insertRange(units.kvGroups[row], inside.left(), inside.right() + 1);
            break;
        case MapKind::FfnChannels:
            insertRange(units.ffnChannels[row], inside.left(), inside.right() + 1);
            break;
        case MapKind::Other:
            break;
        }
    }
    return units;
}

UnitSet unitsOfRow(const MetricMap &map, int row)
{
    if (row < 0 || row >= map.rows)
        return {};
    switch (mapKind(map)) {
    case MapKind::StatePairs:
        return row + 1 < map.rows ? blockUnits({row}) : UnitSet{};
    case MapKind::StartLength: {
        if (!lengthsAreRows(map))
            return blockUnits({row + static_cast<int>(map.rowAxis.first)});
        int best = -1;
        for (int column = 0; column < map.columns; ++column) {
            if (!std::isnan(map.at(row, column)) && (best < 0 || map.at(row, column) < map.at(row, best)))
                best = column;
        }
        return best < 0 ? UnitSet{} : unitsOfCell(map, {row, best});
    }
    default:
        return unitsOfRectangle(map, QRect(0, row, static_cast<int>(map.columns), 1));
    }
}

UnitSet unitsOfColumn(const MetricMap &map, int column)
{
    if (column < 0 || column >= map.columns)
        return {};
    switch (mapKind(map)) {
    case MapKind::StatePairs:
        return column > 0 ? blockUnits({column - 1}) : UnitSet{};
    case MapKind::StartLength: {
        if (lengthsAreRows(map))
            return blockUnits({column + static_cast<int>(map.columnAxis.first)});
        int best = -1;
        for (int row = 0; row < map.rows; ++row) {
            if (!std::isnan(map.at(row, column)) && (best < 0 || map.at(row, column) < map.at(best, column)))
                best = row;
        }
        return best < 0 ? UnitSet{} : unitsOfCell(map, {best, column});
    }
    default:
        return unitsOfRectangle(map, QRect(column, 0, 1, static_cast<int>(map.rows)));
    }
}

UnitSet unitsBelow(const MetricMap &map, double threshold)
{
    UnitSet units;
    const MapKind kind = mapKind(map);
    if (!scoresUnits(kind))
        return units;
    for (int row = 0; row < map.rows; ++row) {
        std::set<int> members;
        for (int column = 0; column < map.columns; ++column) {
            if (static_cast<double>(map.at(row, column)) < threshold)
                members.insert(members.end(), column);
        }
        if (members.empty())
            continue;
        if (kind == MapKind::BlockProfile)
            units.blocks.insert(units.blocks.end(), row);
        else if (kind == MapKind::KvGroups)
            units.kvGroups.emplace(row, std::move(members));
        else
            units.ffnChannels.emplace(row, std::move(members));
    }
    return units;
}

std::optional<HeatmapCell> cellOfUnit(const MetricMap &map, UnitKind kind, int block, int unit)
{
    HeatmapCell cell;
    switch (mapKind(map)) {
    case MapKind::StatePairs:
        cell = {block, block + 1};
        break;
    case MapKind::StartLength: {
        const int start = block - static_cast<int>(lengthsAreRows(map) ? map.columnAxis.first : map.rowAxis.first);
        const int one = 1 - static_cast<int>(lengthsAreRows(map) ? map.rowAxis.first : map.columnAxis.first);
        cell = lengthsAreRows(map) ? HeatmapCell{one, start} : HeatmapCell{start, one};
        break;
    }
    case MapKind::BlockProfile:
        cell = {block, 0};
        break;
    default:
        cell = {block, unit};
        break;
    }
    const std::optional<UnitKind> own = unitKindOf(mapKind(map));
    if (own != kind || !isCellInside(map, cell))
        return std::nullopt;
    return cell;
}

MapRanks::MapRanks(const MetricMap &map)
{
    const MapKind kind = mapKind(map);
    m_descending = kind == MapKind::StatePairs;
    m_sorted.reserve(map.values.size());
    for (std::int64_t row = 0; row < map.rows; ++row) {
        const std::int64_t first = m_descending ? row + 1 : 0;
        for (std::int64_t column = first; column < map.columns; ++column) {
            const float value = map.at(row, column);
            if (std::isfinite(value))
                m_sorted.push_back(value);
        }
    }
    std::sort(m_sorted.begin(), m_sorted.end());
}

std::int64_t MapRanks::rank(float value) const
{
    if (!std::isfinite(value) || m_sorted.empty())
        return 0;
    const auto rank = m_descending ? m_sorted.end() - std::upper_bound(m_sorted.begin(), m_sorted.end(), value)
                                   : std::lower_bound(m_sorted.begin(), m_sorted.end(), value) - m_sorted.begin();
    return std::min<std::int64_t>(rank + 1, count());
}

double MapRanks::percentile(float value) const
{
    if (!std::isfinite(value) || m_sorted.empty())
        return std::numeric_limits<double>::quiet_NaN();
    const auto below = std::upper_bound(m_sorted.begin(), m_sorted.end(), value) - m_sorted.begin();
    return 100.0 * static_cast<double>(below) / static_cast<double>(m_sorted.size());
}

float MapRanks::median() const
{
    return m_sorted.empty() ? 0.0F : m_sorted[m_sorted.size() / 2];
}

QString metricName(const MetricMap &map)
{
    if (map.metric == "cosine")
        return unitsText("mean cosine");
    if (map.metric == "influence")
        return unitsText("influence");
    if (map.metric == "distance")
        return unitsText("angular distance / π");
    if (map.metric == "weight_magnitude")
        return unitsText("weight magnitude");
    if (map.metric == "activation_weight")
        return unitsText("activation × weight");
    if (isSignedMap(map))
        return unitsText("difference");
    return QString::fromStdString(map.metric).replace(u'_', u' ');
}

QString unitName(UnitKind kind, int block, int first, int last)
{
    const bool range = last > first;
    switch (kind) {
    case UnitKind::Block:
        return unitsText("block %1").arg(block);
    case UnitKind::KvGroup:
        return range ? unitsText("block %1, KV groups %2–%3").arg(block).arg(first).arg(last)
                     : unitsText("block %1, KV group %2").arg(block).arg(first);
    case UnitKind::FfnChannel:
        return range ? unitsText("block %1, channels %2–%3").arg(block).arg(first).arg(last)
                     : unitsText("block %1, channel %2").arg(block).arg(first);
    }
    return {};
}

CellDescription describeCell(const MetricMap &map, const MapRanks &ranks, HeatmapCell cell,
                             const PruneSelection *selection)
{
    CellDescription text;
    const MapKind kind = mapKind(map);
    text.statesLabel = kind == MapKind::StatePairs ? unitsText("States")
        : kind == MapKind::StartLength             ? unitsText("Start, length")
                                                   : unitsText("Unit");
    const bool isRange = kind == MapKind::StatePairs || kind == MapKind::StartLength;
    if (isRange)
        text.skipsLabel = unitsText("Skips blocks");
    text.valueLabel = metricName(map);
    if (!text.valueLabel.isEmpty())
        text.valueLabel[0] = text.valueLabel[0].toUpper();
    if (!isCellInside(map, cell)) {
        text.states = text.value = text.rank = text.state = missingNumber();
        if (isRange)
            text.skips = missingNumber();
        return text;
    }

    const float value = map.at(cell.row, cell.column);
    const UnitSet units = unitsOfCell(map, cell);
    switch (kind) {
    case MapKind::StatePairs:
        text.states = unitsText("h%1 × h%2").arg(cell.row).arg(cell.column);
        break;
    case MapKind::StartLength: {
        const auto [start, length] = startAndLength(map, cell);
        text.states = unitsText("block %1, %2 long").arg(start).arg(length);
        break;
    }
    case MapKind::Other:
        text.states
            = unitsText("row %1, column %2").arg(cell.row + map.rowAxis.first).arg(cell.column + map.columnAxis.first);
        break;
    default:
        text.states = unitName(*unitKindOf(kind), cell.row, cell.column);
        break;
    }
    if (isRange)
        text.skips = units.blocks.empty() ? unitsText("none") : QString::fromStdString(describeBlocks(units.blocks));
    text.value = mapValue(static_cast<double>(value));

    const bool onDiagonal = kind == MapKind::StatePairs && cell.row == cell.column;
    if (!std::isfinite(value)) {
        text.rank = unitsText("not defined here");
    } else if (onDiagonal) {
        text.rank = unitsText("a state with itself");
    } else {
        const QString count = exactCount(ranks.count());
        const QString pattern = kind == MapKind::StatePairs ? unitsText("%1 of %2 pairs, %3")
            : kind == MapKind::StartLength                  ? unitsText("%1 of %2 ranges, %3")
                                                            : unitsText("%1 of %2, %3");
        text.rank = pattern.arg(exactCount(ranks.rank(value)), count, ordinal(ranks.percentile(value)));
    }

    if (!selection || units.empty()) {
        text.state = missingNumber();
    } else if (!units.blocks.empty()) {
        std::vector<int> chosen, locked, kept;
        for (const int block : units.blocks) {
            if (selection->selected().blocks.contains(block))
                chosen.push_back(block);
            else if (selection->isProtected(UnitKind::Block, block))
                locked.push_back(block);
            else
                kept.push_back(block);
        }
        QStringList parts;
        const auto part = [&](const std::vector<int> &blocks, const QString &word) {
            if (blocks.empty())
                return;
            // Long lists are counted: the row has one line.
            parts << (blocks.size() > 6 ? unitsText("%1 blocks %2").arg(blocks.size()).arg(word)
                                        : unitsText("%1 %2").arg(listOfBlocks(blocks), word));
        };
        part(chosen, unitsText("selected"));
        part(locked, unitsText("locked"));
        part(kept, unitsText("kept"));
        text.state = parts.join(QStringLiteral("; "));
    } else {
        const bool blockGone = selection->selected().blocks.contains(cell.row);
        text.state = blockGone                                                 ? unitsText("goes with its block")
            : unitsContain(selection->selected(), units)                       ? unitsText("selected")
            : selection->isProtected(*unitKindOf(kind), cell.row, cell.column) ? unitsText("locked")
                                                                               : unitsText("kept");
    }
    return text;
}

QString CellDescription::toText() const
{
    QStringList lines{statesLabel + u'\t' + states};
    if (!skipsLabel.isEmpty())
        lines << skipsLabel + u'\t' + skips;
    lines << valueLabel + u'\t' + value;
    lines << unitsText("Rank") + u'\t' + rank;
    lines << unitsText("State") + u'\t' + state;
    return lines.join(u'\n');
}

QString accessibleCellText(const MetricMap &map, const MapRanks &ranks, HeatmapCell cell,
                           const PruneSelection *selection)
{
    if (!isCellInside(map, cell))
        return {};
    const MapKind kind = mapKind(map);
    const float value = map.at(cell.row, cell.column);
    QStringList parts;
    switch (kind) {
    case MapKind::StatePairs:
        parts << unitsText("states %1 and %2").arg(cell.row).arg(cell.column);
        break;
    case MapKind::StartLength: {
        const auto [start, length] = startAndLength(map, cell);
        parts << unitsText("start %1, length %2").arg(start).arg(length);
        break;
    }
    case MapKind::Other:
        parts
            << unitsText("row %1, column %2").arg(cell.row + map.rowAxis.first).arg(cell.column + map.columnAxis.first);
        break;
    default:
        parts << unitName(*unitKindOf(kind), cell.row, cell.column);
        break;
    }
    if (!std::isfinite(value)) {
        parts << unitsText("not defined");
        return parts.join(QStringLiteral(", "));
    }
    parts << unitsText("%1 %2").arg(metricName(map), mapValue(static_cast<double>(value)));
    if (kind != MapKind::StatePairs || cell.row != cell.column)
        parts << unitsText("rank %1 of %2").arg(ranks.rank(value)).arg(ranks.count());

    const UnitSet units = unitsOfCell(map, cell);
    if (kind == MapKind::StatePairs || kind == MapKind::StartLength) {
        if (units.blocks.empty())
            return parts.join(QStringLiteral(", "));
        const int first = *units.blocks.begin();
        const int last = *units.blocks.rbegin();
        parts << (first == last ? unitName(UnitKind::Block, first) : unitsText("blocks %1 to %2").arg(first).arg(last));
        if (selection) {
            const auto chosen = std::count_if(units.blocks.begin(), units.blocks.end(),
                                              [&](int block) { return selection->selected().blocks.contains(block); });
            parts << unitsText("%1 selected").arg(chosen);
        }
    } else if (selection && !units.empty()) {
        parts << (unitsContain(selection->selected(), units)                             ? unitsText("selected")
                      : selection->isProtected(*unitKindOf(kind), cell.row, cell.column) ? unitsText("locked")
                                                                                         : unitsText("kept"));
    }
    return parts.join(QStringLiteral(", "));
}

} // namespace secateur
