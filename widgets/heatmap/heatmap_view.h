#pragma once

#include "backend/core/metric_map.h"
#include "widgets/heatmap/color_scale.h"
#include "widgets/heatmap/map_units.h"

#include <QWidget>

#include <memory>

namespace secateur {

enum class ExportKind { Png, Svg, Pdf, Csv };

/// Draws a map with axes, block strip, cursor, selection and locks, and turns mouse and keyboard into edits of the
/// shared selection. The title, read-out and colour bar are widgets of their own, connected by signals.
class HeatmapView : public QWidget {
    Q_OBJECT
public:
    explicit HeatmapView(QWidget *parent = nullptr);
    ~HeatmapView() override;

    /// Null shows nothing. Zoom, cursor and colour range start anew when the shape or group differs.
    void setMap(const MetricMapPtr &map);
    MetricMapPtr map() const;
    const MapRanks &ranks() const; ///< of the current map
    void setSelection(PruneSelection *selection);
    PruneSelection *selection() const;

    void setColorScale(const ColorScale &scale);
    const ColorScale &colorScale() const;

    HeatmapCell cursorCell() const;
    void setCursorCell(HeatmapCell cell);
    HeatmapCell hoveredCell() const;
    /// A second view's hover, drawn as a cross-hair here (twin, side by side). Invalid: none.
    void setLinkedCell(HeatmapCell cell);
    QRect markedCells() const; ///< the keyboard or mouse rectangle, in cells; one cell when there is none

    /// Visible part, in cells (x = columns).
    QRectF visibleCells() const;
    void setVisibleCells(const QRectF &cells);
    void showAll();

    QRectF cellRect(HeatmapCell cell) const; ///< in widget coordinates
    HeatmapCell cellAt(const QPointF &position) const;
    QRectF stripRect(int block) const; ///< block strip; empty when there is none
    QRect plotRect() const;

    /// The whole picture in light colours with axes and colour bar, into \a target.
    void paintPicture(QPainter *painter, const QRectF &target, const QString &title) const;
    /// Size at which cells are as large as on screen.
    QSize pictureSize() const;
    /// The map's values as CSV: one line per row, axis values in the first line and column.
    QByteArray toCsv() const;
    /// Text of the cell under the cursor or the pointer, as copied by Ctrl+C.
    QString readOutText() const;

    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

public Q_SLOTS:
    void copyValue() const;
    void copyPicture() const;

Q_SIGNALS:
    void mapChanged();
    void cellHovered(const secateur::HeatmapCell &cell); ///< invalid: left
    void cellClicked(const secateur::HeatmapCell &cell); ///< pins the read-out
    void cursorMoved(const secateur::HeatmapCell &cell);
    void thresholdRequested();
    void unpinRequested();
    void nextMapRequested(); ///< M
    void exportRequested(secateur::ExportKind kind);
    void visibleCellsChanged(const QRectF &cells);

protected:
    void paintEvent(QPaintEvent *event) override;
    void resizeEvent(QResizeEvent *event) override;
    void changeEvent(QEvent *event) override;
    bool event(QEvent *event) override;
    void mousePressEvent(QMouseEvent *event) override;
    void mouseMoveEvent(QMouseEvent *event) override;
    void mouseReleaseEvent(QMouseEvent *event) override;
    void mouseDoubleClickEvent(QMouseEvent *event) override;
    void wheelEvent(QWheelEvent *event) override;
    void leaveEvent(QEvent *event) override;
    void keyPressEvent(QKeyEvent *event) override;
    void contextMenuEvent(QContextMenuEvent *event) override;
    void focusInEvent(QFocusEvent *event) override;
    void focusOutEvent(QFocusEvent *event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;

    void rebuildRuns();
    void revealCursor();
    void setHoveredCell(HeatmapCell cell);
    void cancelDrag();
    void clickStrip(const QMouseEvent *event);
    void moveCursor(const QKeyEvent *event);
    void paintOverlay(QPainter *painter) const;
};

/// Writes the picture (PNG, SVG, PDF) or the data (CSV) of \a view; a failed write leaves no file behind.
/// Throws Error(Io) with the file name.
void exportHeatmap(const HeatmapView &view, const QString &path, ExportKind kind, const QString &title);

} // namespace secateur
