#include "widgets/heatmap/heatmap_view_private.h"

#include <QApplication>
#include <QMenu>
#include <QMouseEvent>

#include <algorithm>
#include <cmath>

namespace secateur {

namespace {

constexpr double kZoomStep = 1.25;

HeatmapEdit heatmapEditOf(Qt::KeyboardModifiers modifiers)
{
    if (modifiers & Qt::AltModifier)
        return HeatmapEdit::Subtract;
    return modifiers & Qt::ShiftModifier ? HeatmapEdit::Add : HeatmapEdit::Replace;
}

bool isCursorKey(int key)
{
    return key == Qt::Key_Left || key == Qt::Key_Right || key == Qt::Key_Up || key == Qt::Key_Down;
}

/// Keys that mean something on the map and so must not start a shortcut of the window.
bool isMapKey(const QKeyEvent *event)
{
    if (event->matches(QKeySequence::Copy))
        return true;
    const auto modifiers = event->modifiers() & ~(Qt::ShiftModifier | Qt::KeypadModifier);
    if (modifiers == Qt::ControlModifier)
        return isCursorKey(event->key()) || event->key() == Qt::Key_0;
    if (modifiers != Qt::NoModifier)
        return false;
    switch (event->key()) {
    case Qt::Key_Space:
    case Qt::Key_Return:
    case Qt::Key_Enter:
    case Qt::Key_R:
    case Qt::Key_C:
    case Qt::Key_L:
    case Qt::Key_T:
    case Qt::Key_P:
    case Qt::Key_M:
        return true;
    default:
        return isCursorKey(event->key());
    }
}

} // namespace

bool HeatmapView::event(QEvent *event)
{
    if (event->type() == QEvent::ShortcutOverride && d->map && isMapKey(static_cast<QKeyEvent *>(event))) {
        event->accept();
        return true;
    }
    return QWidget::event(event);
}

void HeatmapView::setHoveredCell(HeatmapCell cell)
{
    if (cell == d->hovered)
        return;
    d->hovered = cell;
    if (d->selection) {
        // The profile marks the blocks under the pointer; this view shows its own cross-hair instead.
        d->ownHighlight = cell.isValid();
        const bool few = d->kind != MapKind::Other;
        d->selection->setHighlighted(cell.isValid() && few ? unitsOfCell(*d->map, cell) : UnitSet{});
        if (!cell.isValid())
            d->ownHighlight = false;
    }
    update();
    Q_EMIT cellHovered(cell);
}

void HeatmapView::cancelDrag()
{
    if (d->drag == Private::Drag::Rectangle && d->selection) {
        d->selection->setSelected(d->dragBase);
        d->selection->endGesture();
    }
    d->drag = Private::Drag::None;
    update();
}

void HeatmapView::mousePressEvent(QMouseEvent *event)
{
    if (!d->map)
        return;
    if (event->button() == Qt::MiddleButton) {
        d->drag = Private::Drag::Pan;
        d->pressPosition = event->position();
        d->panStart = d->visible;
        setCursor(Qt::ClosedHandCursor);
        return;
    }
    if (event->button() != Qt::LeftButton)
        return;
    const HeatmapEdit mode = heatmapEditOf(event->modifiers());
    const HeatmapCell cell = cellAt(event->position());
    if (cell.isValid()) {
        d->drag = Private::Drag::Press;
        d->pressPosition = event->position();
        d->pressCell = cell;
        d->dragMode = mode;
        return;
    }
    if (d->layout.strip.adjusted(0, -3, 0, 3).contains(event->position().toPoint())) {
        clickStrip(event);
    } else if (d->layout.rowAxis.contains(event->position().toPoint())) {
        const HeatmapCell inside = cellAt(QPointF(d->layout.plot.left(), event->position().y()));
        if (inside.isValid())
            d->edit(unitsOfRow(*d->map, inside.row), mode);
    } else if (d->layout.columnAxis.contains(event->position().toPoint())) {
        const HeatmapCell inside = cellAt(QPointF(event->position().x(), d->layout.plot.top()));
        if (inside.isValid())
            d->edit(unitsOfColumn(*d->map, inside.column), mode);
    }
}

void HeatmapView::clickStrip(const QMouseEvent *event)
{
    int block = -1;
    for (int candidate = 0; candidate + 1 < d->map->rows; ++candidate) {
        const QRectF place = stripRect(candidate);
        if (event->position().x() >= place.left() && event->position().x() < place.right())
            block = candidate;
    }
    if (block < 0 || !d->selection)
        return;
    if (event->modifiers() & Qt::ControlModifier) {
        d->selection->toggle(blockUnits({block}));
    } else if ((event->modifiers() & Qt::ShiftModifier) && d->stripAnchor >= 0) {
        std::set<int> range;
        for (int each = std::min(block, d->stripAnchor); each <= std::max(block, d->stripAnchor); ++each)
            range.insert(each);
        d->selection->add(blockUnits(range));
        return; // the anchor stays
    } else if (event->modifiers() & Qt::AltModifier) {
        d->selection->remove(blockUnits({block}));
    } else {
        d->selection->replace(blockUnits({block}), UnitKind::Block);
    }
    d->stripAnchor = block;
}

void HeatmapView::mouseMoveEvent(QMouseEvent *event)
{
    if (!d->map)
        return;
    if (d->drag == Private::Drag::Pan) {
        const QPointF moved = event->position() - d->pressPosition;
        setVisibleCells(d->panStart.translated(-moved.x() / d->layout.plot.width() * d->visible.width(),
                                               -moved.y() / d->layout.plot.height() * d->visible.height()));
        return;
    }
    if (d->drag == Private::Drag::Press
        && (event->position() - d->pressPosition).manhattanLength() >= QApplication::startDragDistance()) {
        d->drag = Private::Drag::Rectangle;
        d->dragCells = {};
        if (d->selection) {
            d->dragBase = d->selection->selected();
            d->selection->beginGesture();
        }
        setFocus(Qt::MouseFocusReason);
    }
    if (d->drag == Private::Drag::Rectangle) {
        const QRect plot = d->layout.plot;
        const QPointF inside(std::clamp(event->position().x(), double(plot.left()), double(plot.right())),
                             std::clamp(event->position().y(), double(plot.top()), double(plot.bottom())));
        const QRect cells = d->rectangleOf(d->pressCell, cellAt(inside));
        if (cells != d->dragCells) {
            d->dragCells = cells;
            if (d->dragIsLive())
                d->applyDrag();
            update();
        }
    }
    setHoveredCell(cellAt(event->position()));
    const bool onAxis = d->layout.rowAxis.contains(event->position().toPoint())
        || d->layout.columnAxis.contains(event->position().toPoint())
        || d->layout.strip.contains(event->position().toPoint());
    setCursor(onAxis ? Qt::PointingHandCursor : Qt::ArrowCursor);
}

void HeatmapView::mouseReleaseEvent(QMouseEvent *event)
{
    const Private::Drag drag = d->drag;
    if (drag == Private::Drag::Pan && event->button() == Qt::MiddleButton) {
        d->drag = Private::Drag::None;
        unsetCursor();
    } else if (drag == Private::Drag::Rectangle && event->button() == Qt::LeftButton) {
        d->applyDrag();
        d->drag = Private::Drag::None;
        if (d->selection)
            d->selection->endGesture();
        update();
    } else if (drag == Private::Drag::Press && event->button() == Qt::LeftButton) {
        d->drag = Private::Drag::None;
        d->cursor = d->anchor = d->pressCell;
        update();
        Q_EMIT cursorMoved(d->cursor);
        Q_EMIT cellClicked(d->pressCell);
    }
}

void HeatmapView::mouseDoubleClickEvent(QMouseEvent *event)
{
    const HeatmapCell cell = cellAt(event->position());
    if (event->button() != Qt::LeftButton || !cell.isValid()) {
        mousePressEvent(event);
        return;
    }
    d->drag = Private::Drag::None;
    d->cursor = d->anchor = cell;
    d->edit(unitsOfCell(*d->map, cell), heatmapEditOf(event->modifiers()));
}

void HeatmapView::wheelEvent(QWheelEvent *event)
{
    const HeatmapCell under = cellAt(event->position());
    const double turns = (event->angleDelta().y() != 0 ? event->angleDelta().y() : event->angleDelta().x()) / 120.0;
    if (!d->map || !under.isValid() || turns == 0) {
        event->ignore();
        return;
    }
    const double factor = std::pow(kZoomStep, -turns);
    // Unit maps are far wider than high: they zoom along the columns, with Shift along the rows.
    const bool zoomRows = d->layout.square || (event->modifiers() & Qt::ShiftModifier);
    const bool zoomColumns = d->layout.square || !(event->modifiers() & Qt::ShiftModifier);
    const QRectF plot = d->layout.plot;
    const double shareX = (event->position().x() - plot.left()) / plot.width();
    const double shareY = (event->position().y() - plot.top()) / plot.height();
    QRectF visible = d->visible;
    const auto limited
        = [](double size, double all) { return std::clamp(size, std::min(Private::kSmallestVisible, all), all); };
    if (zoomColumns) {
        const double width = limited(visible.width() * factor, static_cast<double>(d->map->columns));
        visible.setLeft(d->visible.left() + shareX * (d->visible.width() - width));
        visible.setWidth(width);
    }
    if (zoomRows) {
        const double height = limited(visible.height() * factor, static_cast<double>(d->map->rows));
        visible.setTop(d->visible.top() + shareY * (d->visible.height() - height));
        visible.setHeight(height);
    }
    setVisibleCells(visible);
    event->accept();
}

void HeatmapView::leaveEvent(QEvent *)
{
    setHoveredCell({});
    unsetCursor();
}

void HeatmapView::keyPressEvent(QKeyEvent *event)
{
    if (!d->map) {
        QWidget::keyPressEvent(event);
        return;
    }
    if (event->matches(QKeySequence::Copy)) {
        copyValue();
        return;
    }
    if (isCursorKey(event->key())) {
        moveCursor(event);
        return;
    }
    if (event->key() == Qt::Key_Escape) {
        const bool hadSomething = d->drag != Private::Drag::None || d->hovered.isValid() || d->anchor != d->cursor;
        cancelDrag();
        d->anchor = d->cursor;
        setHoveredCell({});
        if (!hadSomething)
            QWidget::keyPressEvent(event);
        return;
    }
    if (event->key() == Qt::Key_0 && (event->modifiers() & Qt::ControlModifier)) {
        showAll();
        return;
    }
    if (event->modifiers() & (Qt::ControlModifier | Qt::MetaModifier)) {
        QWidget::keyPressEvent(event);
        return;
    }
    const HeatmapEdit mode = heatmapEditOf(event->modifiers());
    const QRect marked = d->marked();
    const bool hasCursor = marked.isValid();
    switch (event->key()) {
    case Qt::Key_Space:
        if (d->selection && hasCursor)
            d->selection->toggle(unitsOfRectangle(*d->map, marked));
        return;
    case Qt::Key_Return:
    case Qt::Key_Enter:
        if (hasCursor)
            d->edit(unitsOfRectangle(*d->map, marked), mode);
        return;
    case Qt::Key_R:
    case Qt::Key_C:
        if (hasCursor) {
            const bool rows = event->key() == Qt::Key_R;
            UnitSet units;
            for (int index = rows ? marked.top() : marked.left(); index <= (rows ? marked.bottom() : marked.right());
                 ++index)
                units = unitsUnion(std::move(units), rows ? unitsOfRow(*d->map, index) : unitsOfColumn(*d->map, index));
            d->edit(units, mode);
        }
        return;
    case Qt::Key_L:
        if (d->selection && hasCursor)
            d->selection->toggleLock(unitsOfRectangle(*d->map, marked));
        return;
    case Qt::Key_T:
        Q_EMIT thresholdRequested();
        return;
    case Qt::Key_P:
        Q_EMIT unpinRequested();
        return;
    case Qt::Key_M:
        Q_EMIT nextMapRequested();
        return;
    default:
        QWidget::keyPressEvent(event);
    }
}

void HeatmapView::moveCursor(const QKeyEvent *event)
{
    HeatmapCell cell = d->cursor;
    if (!cell.isValid()) {
        // The first key shows where the cursor is.
        cell = {static_cast<int>(d->visible.top()), static_cast<int>(d->visible.left())};
    } else {
        const bool toEdge = event->modifiers() & Qt::ControlModifier;
        const int rows = static_cast<int>(d->map->rows);
        const int columns = static_cast<int>(d->map->columns);
        switch (event->key()) {
        case Qt::Key_Left:
            cell.column = toEdge ? 0 : cell.column - 1;
            break;
        case Qt::Key_Right:
            cell.column = toEdge ? columns - 1 : cell.column + 1;
            break;
        case Qt::Key_Up:
            cell.row = toEdge ? 0 : cell.row - 1;
            break;
        default:
            cell.row = toEdge ? rows - 1 : cell.row + 1;
            break;
        }
    }
    d->cursor = d->clamped(cell);
    if (!(event->modifiers() & Qt::ShiftModifier) || !d->anchor.isValid())
        d->anchor = d->cursor;
    revealCursor();
}

void HeatmapView::contextMenuEvent(QContextMenuEvent *event)
{
    if (!d->map)
        return;
    auto *menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    QMenu *picture = menu->addMenu(tr("Export picture"));
    const auto addExport = [this](QMenu *to, const QString &text, ExportKind kind) {
        connect(to->addAction(text), &QAction::triggered, this, [this, kind] { Q_EMIT exportRequested(kind); });
    };
    addExport(picture, tr("PNG…"), ExportKind::Png);
    addExport(picture, tr("SVG…"), ExportKind::Svg);
    addExport(picture, tr("PDF…"), ExportKind::Pdf);
    addExport(menu, tr("Export data…"), ExportKind::Csv);
    menu->addSeparator();
    connect(menu->addAction(tr("Copy value")), &QAction::triggered, this, &HeatmapView::copyValue);
    connect(menu->addAction(tr("Copy picture")), &QAction::triggered, this, &HeatmapView::copyPicture);
    menu->addSeparator();
    connect(menu->addAction(tr("Show all")), &QAction::triggered, this, &HeatmapView::showAll);
    menu->popup(event->globalPos());
}

void HeatmapView::focusInEvent(QFocusEvent *event)
{
    if (d->map && !d->cursor.isValid() && event->reason() != Qt::MouseFocusReason)
        setCursorCell({static_cast<int>(d->visible.top()), static_cast<int>(d->visible.left())});
    update();
}

void HeatmapView::focusOutEvent(QFocusEvent *)
{
    update();
}

} // namespace secateur
