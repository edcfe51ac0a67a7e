#pragma once

#include "widgets/heatmap/color_scale.h"
#include "widgets/heatmap/heatmap_image.h"
#include "widgets/heatmap/map_units.h"

#include <QFont>
#include <QImage>
#include <QRectF>

#include <optional>

class QPainter;

namespace secateur {

struct ThemeColors;

/// Where the parts of a heatmap are, in the coordinates of the rectangle it was laid out in.
struct HeatmapLayout {
    QRect plot;
    QRect strip; ///< block strip, as wide as the plot; empty for maps without one
    QRect rowAxis; ///< tick labels of the rows, left of the plot
    QRect columnAxis; ///< tick labels of the columns, below the plot
    int footer = 0; ///< height of tick labels and title below the plot
    bool square = false;
};
/// Cosine and distance maps get square cells of whole pixels, unit maps rows of at most 29 pixels.
HeatmapLayout layoutHeatmap(const MetricMap &map, const QRect &area, const QFont &font);

/// Runs of cells that stand for \a units, one per row of the map.
RowRuns runsOfUnits(const MetricMap &map, const UnitSet &units);

/// The cells with the selected ones hatched and the locked ones marked, in device pixels.
QImage composeCells(const MapPyramid &pyramid, const ColorScale &scale, const HeatmapImageRequest &request,
                    const RowRuns &selected, const RowRuns &locked, const ThemeColors &colors, double ratio);

QRectF cellRectangle(const HeatmapLayout &layout, const QRectF &visible, const QRectF &cells);
/// Place of a block in the strip: between its two states.
QRectF stripCell(const HeatmapLayout &layout, const QRectF &visible, int block);

void paintHeatmapAxes(QPainter *painter, const MetricMap &map, const HeatmapLayout &layout, const QRectF &visible,
                      const ThemeColors &colors, const QFont &font);
void paintBlockStrip(QPainter *painter, const MetricMap &map, const HeatmapLayout &layout, const QRectF &visible,
                     const PruneSelection *selection, const ThemeColors &colors, const QFont &font);
/// Lock marks beside the rows of unit maps whose whole block is locked, and on locked cells that are large enough.
void paintLockMarks(QPainter *painter, const MetricMap &map, const HeatmapLayout &layout, const QRectF &visible,
                    const PruneSelection &selection, const RowRuns &locked, const ThemeColors &colors);

/// Bar, ticks, numbers, rotated title and the marker at \a marker. The bar's length runs over \a axis, its colours are
/// those of \a scale (they differ while an end is dragged).
void paintColorBar(QPainter *painter, const QRectF &bar, const ColorScale &scale, const ColorScale &axis,
                   const QString &title, std::optional<float> marker, const ThemeColors &colors, const QFont &font);
/// Width that paintColorBar needs right of the bar.
int colorBarLabelWidth(const ColorScale &scale, const QFont &font);

} // namespace secateur
