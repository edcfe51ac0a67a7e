#include "widgets/heatmap/heatmap_view.h"

#include "widgets/heatmap/heatmap_accessible.h"
#include "widgets/heatmap/heatmap_view_private.h"
#include "widgets/theme/marks.h"
#include "widgets/theme/theme.h"

#include <QAccessible>
#include <QKeyEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace secateur {

HeatmapView::HeatmapView(QWidget *parent) : QWidget(parent), d(std::make_unique<Private>())
{
    installHeatmapAccessibility();
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setAttribute(Qt::WA_OpaquePaintEvent);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
}

HeatmapView::~HeatmapView() = default;

void HeatmapView::setMap(const MetricMapPtr &map)
{
    const bool sameShape
        = map && d->map && map->group == d->map->group && map->rows == d->map->rows && map->columns == d->map->columns;
    if (d->drag == Private::Drag::Rectangle && d->selection)
        d->selection->endGesture();
    d->drag = Private::Drag::None;
    d->map = map && map->rows > 0 && map->columns > 0 ? map : nullptr;
    d->kind = d->map ? mapKind(*d->map) : MapKind::Other;
    d->pyramid = MapPyramid(d->map);
    d->ranks = d->map ? MapRanks(*d->map) : MapRanks();
    d->scale = d->map ? ColorScale::forMap(*d->map, sameShape ? d->scale.scaling() : ColorScale::Scaling::Linear)
                      : ColorScale();
    if (!sameShape) {
        d->cursor = d->anchor = d->hovered = d->linked = {};
        d->visible = d->map ? QRectF(0, 0, double(d->map->columns), double(d->map->rows)) : QRectF(0, 0, 1, 1);
        QAccessibleTableModelChangeEvent event(this, QAccessibleTableModelChangeEvent::ModelReset);
        QAccessible::updateAccessibility(&event);
    }
    setAccessibleName(d->map ? tr("%1 map, %2 by %3")
                                   .arg(QString::fromStdString(d->map->title.empty() ? d->map->group : d->map->title))
                                   .arg(d->map->rows)
                                   .arg(d->map->columns)
                             : tr("No map"));
    if (d->map)
        d->layout = layoutHeatmap(*d->map, rect(), font());
    rebuildRuns();
    d->cellsStale = true;
    updateGeometry();
    update();
    Q_EMIT mapChanged();
    Q_EMIT visibleCellsChanged(d->visible);
}

void HeatmapView::rebuildRuns()
{
    d->selectedRuns.clear();
    d->lockedRuns.clear();
    d->highlightedRuns.clear();
    if (d->map && d->selection) {
        d->selectedRuns = runsOfUnits(*d->map, d->selection->selected());
        d->lockedRuns = runsOfUnits(*d->map, d->selection->locked());
        d->highlightedRuns = runsOfUnits(*d->map, d->selection->highlighted());
    }
}

MetricMapPtr HeatmapView::map() const
{
    return d->map;
}

const MapRanks &HeatmapView::ranks() const
{
    return d->ranks;
}

void HeatmapView::setSelection(PruneSelection *selection)
{
    if (d->selection)
        d->selection->disconnect(this);
    d->selection = selection;
    const auto refresh = [this] {
        rebuildRuns();
        d->cellsStale = true;
        update();
    };
    if (selection) {
        connect(selection, &PruneSelection::changed, this, refresh);
        connect(selection, &PruneSelection::lockedChanged, this, refresh);
        connect(selection, &PruneSelection::highlightedChanged, this, [this] {
            if (d->map)
                d->highlightedRuns = runsOfUnits(*d->map, d->selection->highlighted());
            update();
        });
        connect(selection, &QObject::destroyed, this, [this] { d->selection = nullptr; });
    }
    refresh();
}

PruneSelection *HeatmapView::selection() const
{
    return d->selection;
}

void HeatmapView::setColorScale(const ColorScale &scale)
{
    d->scale = scale;
    d->cellsStale = true;
    update();
}

const ColorScale &HeatmapView::colorScale() const
{
    return d->scale;
}

HeatmapCell HeatmapView::cursorCell() const
{
    return d->cursor;
}

void HeatmapView::setCursorCell(HeatmapCell cell)
{
    if (!d->map || !cell.isValid())
        return;
    d->cursor = d->clamped(cell);
    d->anchor = d->cursor;
    revealCursor();
}

void HeatmapView::revealCursor()
{
    QRectF visible = d->visible;
    if (d->cursor.column < visible.left())
        visible.moveLeft(d->cursor.column);
    else if (d->cursor.column + 1 > visible.right())
        visible.moveRight(d->cursor.column + 1);
    if (d->cursor.row < visible.top())
        visible.moveTop(d->cursor.row);
    else if (d->cursor.row + 1 > visible.bottom())
        visible.moveBottom(d->cursor.row + 1);
    if (visible != d->visible)
        setVisibleCells(visible);
    update();
    Q_EMIT cursorMoved(d->cursor);
    if (QAccessible::isActive()) {
        QAccessibleEvent event(this, QAccessible::Focus);
        event.setChild(static_cast<int>(d->cursor.row * d->map->columns + d->cursor.column));
        QAccessible::updateAccessibility(&event);
    }
}

HeatmapCell HeatmapView::hoveredCell() const
{
    return d->hovered;
}

void HeatmapView::setLinkedCell(HeatmapCell cell)
{
    if (cell == d->linked)
        return;
    d->linked = cell;
    update();
}

QRect HeatmapView::markedCells() const
{
    return d->map ? d->marked() : QRect();
}

QRectF HeatmapView::visibleCells() const
{
    return d->visible;
}

void HeatmapView::setVisibleCells(const QRectF &cells)
{
    if (!d->map)
        return;
    const double columns = static_cast<double>(d->map->columns);
    const double rows = static_cast<double>(d->map->rows);
    QRectF visible = cells;
    visible.setWidth(std::clamp(visible.width(), std::min(Private::kSmallestVisible, columns), columns));
    visible.setHeight(std::clamp(visible.height(), std::min(Private::kSmallestVisible, rows), rows));
    visible.moveLeft(std::clamp(visible.left(), 0.0, columns - visible.width()));
    visible.moveTop(std::clamp(visible.top(), 0.0, rows - visible.height()));
    if (visible == d->visible)
        return;
    d->visible = visible;
    d->cellsStale = true;
    update();
    Q_EMIT visibleCellsChanged(visible);
}

void HeatmapView::showAll()
{
    if (d->map)
        setVisibleCells(QRectF(0, 0, static_cast<double>(d->map->columns), static_cast<double>(d->map->rows)));
}

QRectF HeatmapView::cellRect(HeatmapCell cell) const
{
    return d->map && cell.isValid() ? cellRectangle(d->layout, d->visible, QRectF(cell.column, cell.row, 1, 1))
                                    : QRectF();
}

HeatmapCell HeatmapView::cellAt(const QPointF &position) const
{
    if (!d->map || !QRectF(d->layout.plot).contains(position))
        return {};
    const QRectF plot = d->layout.plot;
    const double column = d->visible.left() + (position.x() - plot.left()) / plot.width() * d->visible.width();
    const double row = d->visible.top() + (position.y() - plot.top()) / plot.height() * d->visible.height();
    return d->clamped({static_cast<int>(std::floor(row)), static_cast<int>(std::floor(column))});
}

QRectF HeatmapView::stripRect(int block) const
{
    if (!d->map || d->layout.strip.isEmpty() || block < 0 || block + 1 >= d->map->rows)
        return {};
    return stripCell(d->layout, d->visible, block);
}

QRect HeatmapView::plotRect() const
{
    return d->map ? d->layout.plot : QRect();
}

QString HeatmapView::readOutText() const
{
    const HeatmapCell cell = d->hovered.isValid() ? d->hovered : d->cursor;
    return d->map && cell.isValid() ? describeCell(*d->map, d->ranks, cell, d->selection).toText() : QString();
}

QSize HeatmapView::sizeHint() const
{
    return QSize(520, 460);
}

QSize HeatmapView::minimumSizeHint() const
{
    return QSize(220, 180);
}

void HeatmapView::paintEvent(QPaintEvent *)
{
    const ThemeColors &colors = themeColors(this);
    QPainter painter(this);
    painter.fillRect(rect(), colors.base);
    if (!d->map)
        return;
    const QRect plot = d->layout.plot;
    const double ratio = devicePixelRatioF();
    if (d->cellsStale) {
        const HeatmapImageRequest request{d->visible, plot.size() * ratio, d->ranks.median()};
        d->cells = composeCells(d->pyramid, d->scale, request, d->selectedRuns, d->lockedRuns, colors, ratio);
        d->cells.setDevicePixelRatio(ratio);
        d->cellsStale = false;
    }
    painter.fillRect(plot, QBrush(colors.line, Qt::BDiagPattern));
    painter.drawImage(plot.topLeft(), d->cells);
    paintHeatmapAxes(&painter, *d->map, d->layout, d->visible, colors, font());
    paintBlockStrip(&painter, *d->map, d->layout, d->visible, d->selection, colors, font());
    if (d->selection)
        paintLockMarks(&painter, *d->map, d->layout, d->visible, *d->selection, d->lockedRuns, colors);
    paintOverlay(&painter);
}

void HeatmapView::paintOverlay(QPainter *painter) const
{
    const QRectF plot = d->layout.plot;
    painter->save();
    painter->setClipRect(d->layout.plot.adjusted(-3, -3, 3, 3));
    const auto visibleCell = [&](QRectF rect) {
        // A cell narrower than the frame would vanish under it.
        const double grow = std::max(0.0, 4 - rect.width()) / 2;
        const double growDown = std::max(0.0, 4 - rect.height()) / 2;
        rect.adjust(-grow, -growDown, grow, growDown);
        return QRectF(rect.toAlignedRect());
    };
    const auto cross = [&](HeatmapCell cell) {
        const QPointF center = cellRect(cell).center();
        painter->setRenderHint(QPainter::Antialiasing, false);
        painter->setClipRect(d->layout.plot);
        painter->fillRect(QRectF(std::floor(center.x()), plot.top(), 1, plot.height()), QColor(255, 255, 255, 140));
        painter->fillRect(QRectF(plot.left(), std::floor(center.y()), plot.width(), 1), QColor(255, 255, 255, 140));
        painter->setClipRect(d->layout.plot.adjusted(-3, -3, 3, 3));
    };
    if (!d->ownHighlight) {
        int outlines = 0;
        for (std::size_t row = 0; row < d->highlightedRuns.size(); ++row) {
            for (const auto &[first, last] : d->highlightedRuns[row]) {
                if (++outlines > 400)
                    break;
                drawCursorFrame(
                    painter,
                    visibleCell(cellRectangle(d->layout, d->visible, QRectF(first, double(row), last - first, 1))));
            }
        }
    }
    if (d->hovered.isValid() && d->drag != Private::Drag::Rectangle)
        cross(d->hovered);
    else if (d->linked.isValid())
        cross(d->linked);

    const QRect marked = d->marked();
    if (d->drag == Private::Drag::Rectangle || (hasFocus() && marked.isValid())) {
        const QRectF cells = cellRectangle(d->layout, d->visible, QRectF(marked));
        if (d->drag == Private::Drag::Rectangle)
            painter->fillRect(cells & plot, QColor(255, 255, 255, 60));
        drawCursorFrame(painter, visibleCell(cells));
    }
    if (d->hovered.isValid() && d->drag != Private::Drag::Rectangle)
        drawCursorFrame(painter, visibleCell(cellRect(d->hovered)));
    painter->restore();
    if (hasFocus()) {
        painter->setRenderHint(QPainter::Antialiasing, false);
        painter->setBrush(Qt::NoBrush);
        painter->setPen(QPen(themeColors(this).accent, 2));
        painter->drawRect(QRectF(plot).adjusted(-3, -3, 3, 3));
    }
}

void HeatmapView::resizeEvent(QResizeEvent *)
{
    if (d->map)
        d->layout = layoutHeatmap(*d->map, rect(), font());
    d->cellsStale = true;
}

void HeatmapView::changeEvent(QEvent *event)
{
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
        if (d->map)
            d->layout = layoutHeatmap(*d->map, rect(), font());
        d->cellsStale = true;
        update();
    }
    QWidget::changeEvent(event);
}

} // namespace secateur
