#pragma once

#include "widgets/heatmap/heatmap_painter.h"
#include "widgets/heatmap/heatmap_view.h"

namespace secateur {

/// How a gesture changes the selection.
enum class HeatmapEdit { Replace, Add, Subtract };

struct HeatmapView::Private {
    enum class Drag { None, Press, Rectangle, Pan };
    static constexpr double kSmallestVisible = 4; // cells
    /// Larger rectangles are applied when the button is released.
    static constexpr std::int64_t kLiveUnits = 50'000;

    MetricMapPtr map;
    MapKind kind = MapKind::Other;
    MapPyramid pyramid;
    MapRanks ranks;
    ColorScale scale;
    PruneSelection *selection = nullptr;
    HeatmapLayout layout;
    QRectF visible{0, 0, 1, 1};

    RowRuns selectedRuns;
    RowRuns lockedRuns;
    RowRuns highlightedRuns;
    QImage cells; ///< with hatching, in device pixels
    bool cellsStale = true;

    HeatmapCell cursor;
    HeatmapCell anchor; ///< other corner of the keyboard rectangle
    HeatmapCell hovered;
    HeatmapCell linked;

    Drag drag = Drag::None;
    QPointF pressPosition;
    HeatmapCell pressCell;
    QRect dragCells;
    HeatmapEdit dragMode = HeatmapEdit::Replace;
    UnitSet dragBase;
    QRectF panStart;
    int stripAnchor = -1;
    bool ownHighlight = false;

    HeatmapCell clamped(HeatmapCell cell) const
    {
        return {std::clamp(cell.row, 0, static_cast<int>(map->rows) - 1),
                std::clamp(cell.column, 0, static_cast<int>(map->columns) - 1)};
    }
    QRect rectangleOf(HeatmapCell a, HeatmapCell b) const
    {
        return QRect(QPoint(std::min(a.column, b.column), std::min(a.row, b.row)),
                     QPoint(std::max(a.column, b.column), std::max(a.row, b.row)));
    }
    QRect marked() const
    {
        if (drag == Drag::Rectangle)
            return dragCells;
        if (!cursor.isValid())
            return {};
        return rectangleOf(cursor, anchor.isValid() ? anchor : cursor);
    }
    void edit(const UnitSet &units, HeatmapEdit mode)
    {
        const auto unit = unitKindOf(kind);
        if (!selection || !unit)
            return;
        switch (mode) {
        case HeatmapEdit::Replace:
            selection->replace(units, *unit);
            break;
        case HeatmapEdit::Add:
            selection->add(units);
            break;
        case HeatmapEdit::Subtract:
            selection->remove(units);
            break;
        }
    }
    /// The rectangle on top of what was selected when the drag began.
    void applyDrag()
    {
        const auto unit = unitKindOf(kind);
        if (!selection || !unit)
            return;
        const UnitSet units = unitsOfRectangle(*map, dragCells);
        switch (dragMode) {
        case HeatmapEdit::Replace:
            selection->setSelected(unitsUnion(unitsMinus(dragBase, unitsOfKind(dragBase, *unit)), units));
            break;
        case HeatmapEdit::Add:
            selection->setSelected(unitsUnion(dragBase, units));
            break;
        case HeatmapEdit::Subtract:
            selection->setSelected(unitsMinus(dragBase, units));
            break;
        }
    }
    bool dragIsLive() const
    {
        return qint64(dragCells.width()) * dragCells.height() <= kLiveUnits
            && (!selection || selection->selected().count() <= kLiveUnits);
    }
};

} // namespace secateur
