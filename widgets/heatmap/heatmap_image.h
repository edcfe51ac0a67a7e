#pragma once

#include "backend/core/metric_map.h"
#include "widgets/heatmap/color_scale.h"

#include <QImage>
#include <QRectF>

#include <vector>

namespace secateur {

/// Smallest and largest values of a map at halved column counts, so that a far zoom costs as little as a near one.
class MapPyramid {
public:
    struct Pair {
        float low, high; ///< NaN when all are
    };

    MapPyramid() = default;
    explicit MapPyramid(MetricMapPtr map);

    const MetricMapPtr &map() const { return m_map; }
    /// Extremes of columns [first, last) of \a row.
    Pair extremes(std::int64_t row, std::int64_t first, std::int64_t last) const;

private:
    struct Level {
        std::int64_t columns = 0;
        std::vector<Pair> values;
    };
    MetricMapPtr m_map;
    std::vector<Level> m_levels; ///< level k pools 2^(k+1) columns
};

/// Runs of selected columns per row, ascending and disjoint, [first, last).
using RowRuns = std::vector<std::vector<std::pair<int, int>>>;

struct HeatmapImageRequest {
    QRectF source; ///< in cells: x, width = columns; y, height = rows
    QSize size; ///< device pixels
    float center = 0; ///< the map's typical value: of a pooled pixel's extremes the one farther from it is shown
};

/// Pure: every pixel shows its cell; a pixel over several cells shows the extreme farther from `center` (along the
/// scale), so isolated extremes stay visible. NaN and places outside of the map stay transparent.
QImage heatmapImage(const MapPyramid &pyramid, const ColorScale &scale, const HeatmapImageRequest &request);

/// Cells [first, last) that device pixel \a pixel shows, when \a cellsPerPixel cells fall on each and the first pixel
/// begins at cell \a origin; empty outside of [0, limit). Pixels share no cell and leave none out when there are more
/// cells than pixels; otherwise a pixel shows the cell under its centre.
struct CellSpan {
    std::int64_t first, last;
    bool operator==(const CellSpan &) const = default;
};
CellSpan cellsUnderPixel(int pixel, double origin, double cellsPerPixel, std::int64_t limit);

} // namespace secateur
