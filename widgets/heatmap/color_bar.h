#pragma once

#include "widgets/heatmap/color_scale.h"

#include <QWidget>

#include <memory>
#include <optional>

namespace secateur {

/// Vertical colour bar with numbers and a marker at the hovered value. Dragging an end clips the range, a double click
/// resets it; Home/End choose an end, Up/Down move it, Delete resets. Context menu: reset, invert.
class ColorBar : public QWidget {
    Q_OBJECT
public:
    explicit ColorBar(QWidget *parent = nullptr);
    ~ColorBar() override;

    /// \a full is what a reset goes back to; its range is the whole bar.
    void setScale(const ColorScale &scale, const ColorScale &full);
    const ColorScale &scale() const;
    void setTitle(const QString &title); ///< "mean cosine"
    void setMarker(std::optional<float> value);
    /// Cells outside of the range, written under the bar; 0 hides it.
    void setClippedCount(std::int64_t cells);
    /// Plot edges of the heatmap beside it, so that both bars align.
    void setBarExtent(int top, int bottom);

    QRectF barRect() const;
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

Q_SIGNALS:
    void scaleChanged(const secateur::ColorScale &scale);

protected:
    void paintEvent(QPaintEvent *event) override;
    void mousePressEvent(QMouseEvent *event) override;
    void mouseMoveEvent(QMouseEvent *event) override;
    void mouseReleaseEvent(QMouseEvent *event) override;
    void mouseDoubleClickEvent(QMouseEvent *event) override;
    void keyPressEvent(QKeyEvent *event) override;
    void contextMenuEvent(QContextMenuEvent *event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;

    void resetRange();
};

} // namespace secateur
