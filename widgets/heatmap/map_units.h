#pragma once

#include "backend/core/metric_map.h"
#include "widgets/models/prune_selection.h"

#include <QMetaType>
#include <QRect>
#include <QString>
#include <QStringList>

#include <optional>
#include <vector>

namespace secateur {

struct HeatmapCell {
    int row = -1;
    int column = -1;
    bool isValid() const { return row >= 0 && column >= 0; }
    bool operator==(const HeatmapCell &) const = default;
};

/// What a cell of a map stands for.
enum class MapKind {
    StatePairs, ///< block_cosine: (i, j) = blocks [i, j)
    StartLength, ///< block_distance: blocks [start, start + length)
    BlockProfile, ///< one column, rows = blocks
    KvGroups, ///< rows = blocks, columns = KV groups
    FfnChannels, ///< rows = blocks, columns = channels
    Other, ///< no units
};
MapKind mapKind(const MetricMap &map);
/// The kind of unit that selecting on \a map changes; nullopt for Other.
std::optional<UnitKind> unitKindOf(MapKind kind);
/// One score per unit, so that ranks and thresholds of units make sense (BlockProfile, KvGroups, FfnChannels).
bool scoresUnits(MapKind kind);
/// Differences (negative and positive values around a meaningful 0).
bool isSignedMap(const MetricMap &map);

UnitSet unitsOfCell(const MetricMap &map, HeatmapCell cell);
/// Union over the cells of \a cells (x = column, y = row).
UnitSet unitsOfRectangle(const MetricMap &map, const QRect &cells);
/// A row of units: every unit of the row. State pairs: the block that reads state i. Start × length with lengths as
/// rows: the blocks of the smallest value in that length.
UnitSet unitsOfRow(const MetricMap &map, int row);
/// A column of units: the same unit in every block. State pairs: the block that writes state j.
UnitSet unitsOfColumn(const MetricMap &map, int column);
/// Units whose value is below \a threshold.
UnitSet unitsBelow(const MetricMap &map, double threshold);
/// The cell that stands for one unit, if there is one.
std::optional<HeatmapCell> cellOfUnit(const MetricMap &map, UnitKind kind, int block, int unit = 0);

/// Rank and percentile of values in a map: 1 = the first to go (highest cosine, else lowest score).
/// State pairs are counted once (i < j).
class MapRanks {
public:
    MapRanks() = default;
    explicit MapRanks(const MetricMap &map);

    std::int64_t count() const { return static_cast<std::int64_t>(m_sorted.size()); }
    std::int64_t rank(float value) const; ///< 0 for NaN
    double percentile(float value) const; ///< share of values at or below, in percent
    float median() const;
    const std::vector<float> &sorted() const { return m_sorted; } ///< ascending, finite

private:
    std::vector<float> m_sorted;
    bool m_descending = false;
};

/// The lines of the read-out for one cell, as shown, copied and read aloud.
struct CellDescription {
    QString statesLabel, states; ///< "States", "h12 × h16"; units: "Unit", "block 3, KV group 1"
    QString skipsLabel, skips; ///< "Skips blocks", "[12, 16) = 12, 13, 14, 15"; empty for single units
    QString valueLabel, value;
    QString rank; ///< "44 of 465 pairs, 90.8th percentile"
    QString state; ///< "13, 14 selected; 12, 15 kept"
    QString toText() const; ///< tab separated, for the clipboard
};
CellDescription describeCell(const MetricMap &map, const MapRanks &ranks, HeatmapCell cell,
                             const PruneSelection *selection);
/// "states 12 and 16, mean cosine 0.925347, rank 44 of 465, blocks 12 to 15, 2 selected".
QString accessibleCellText(const MetricMap &map, const MapRanks &ranks, HeatmapCell cell,
                           const PruneSelection *selection);
/// "block 13", "block 3, KV group 1", "block 5, channels 192–231".
QString unitName(UnitKind kind, int block, int first = 0, int last = -1);
/// Name of the measured quantity for people: "mean cosine", "influence".
QString metricName(const MetricMap &map);

} // namespace secateur

Q_DECLARE_METATYPE(secateur::HeatmapCell)
