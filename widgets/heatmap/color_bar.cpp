#include "widgets/heatmap/color_bar.h"

#include "widgets/heatmap/heatmap_painter.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QContextMenuEvent>
#include <QFontMetrics>
#include <QKeyEvent>
#include <QMenu>
#include <QMouseEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>

namespace secateur {

namespace {

constexpr int kMarkerSpace = 12;
constexpr int kBarWidth = 15;
constexpr int kGripReach = 9; // pixels around an end that take it

} // namespace

struct ColorBar::Private {
    enum class End { None, Low, High };

    ColorScale scale;
    ColorScale full;
    ColorScale axis; ///< what the bar's length means; stays put during a drag
    QString title;
    std::optional<float> marker;
    std::int64_t clipped = 0;
    int top = 24;
    int bottom = 200;
    End dragged = End::None;
    End chosen = End::High;

    bool canClip() const { return scale.scaling() != ColorScale::Scaling::Percentile; }
    bool moveEnd(End end, float value)
    {
        const float span = full.high() - full.low();
        float low = scale.low();
        float high = scale.high();
        // At least a thousandth of the whole range stays.
        if (end == End::High)
            high = std::clamp(value, low + span * 0.001F, full.high());
        else
            low = std::clamp(value, full.low(), high - span * 0.001F);
        if (scale.palette() == ColorScale::Palette::Signed) {
            const float reach = end == End::High ? high : -low;
            high = std::max(reach, span * 0.001F);
            low = -high;
        }
        if (low == scale.low() && high == scale.high())
            return false;
        scale.setRange(low, high);
        return true;
    }
};

ColorBar::ColorBar(QWidget *parent) : QWidget(parent), d(std::make_unique<Private>())
{
    setFocusPolicy(Qt::TabFocus);
    setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Expanding);
    setToolTip(tr("Drag an end to clip the range, double click to reset it"));
}

ColorBar::~ColorBar() = default;

void ColorBar::setScale(const ColorScale &scale, const ColorScale &full)
{
    d->scale = scale;
    d->full = full;
    if (d->dragged == Private::End::None)
        d->axis = scale;
    updateGeometry();
    update();
}

const ColorScale &ColorBar::scale() const
{
    return d->scale;
}

void ColorBar::setTitle(const QString &title)
{
    d->title = title;
    setAccessibleName(tr("Colour bar, %1").arg(title));
    update();
}

void ColorBar::setMarker(std::optional<float> value)
{
    if (d->marker == value)
        return;
    d->marker = value;
    update();
}

void ColorBar::setClippedCount(std::int64_t cells)
{
    d->clipped = cells;
    update();
}

void ColorBar::setBarExtent(int top, int bottom)
{
    d->top = top;
    d->bottom = std::max(bottom, top + 20);
    update();
}

QRectF ColorBar::barRect() const
{
    return QRectF(kMarkerSpace, d->top, kBarWidth, d->bottom - d->top);
}

QSize ColorBar::sizeHint() const
{
    return QSize(kMarkerSpace + kBarWidth + 8 + colorBarLabelWidth(d->scale, font()) + 8 + fontMetrics().height() + 6,
                 240);
}

QSize ColorBar::minimumSizeHint() const
{
    return QSize(sizeHint().width(), 80);
}

void ColorBar::paintEvent(QPaintEvent *)
{
    const ThemeColors &colors = themeColors(this);
    QPainter painter(this);
    const QRectF bar = barRect();
    paintColorBar(&painter, bar, d->scale, d->axis, d->title, d->marker, colors, font());
    painter.setRenderHint(QPainter::Antialiasing, true);
    painter.setPen(Qt::NoPen);
    painter.setBrush(colors.secondaryText);
    // A tip beyond an end says that values lie there.
    const bool lowClipped = d->scale.low() > d->full.low();
    const bool highClipped = d->scale.high() < d->full.high();
    if (highClipped && d->dragged == Private::End::None)
        painter.drawPolygon(QPolygonF{QPointF(bar.center().x() - 5, bar.top() - 3),
                                      QPointF(bar.center().x(), bar.top() - 9),
                                      QPointF(bar.center().x() + 5, bar.top() - 3)});
    if (lowClipped && d->dragged == Private::End::None)
        painter.drawPolygon(QPolygonF{QPointF(bar.center().x() - 5, bar.bottom() + 3),
                                      QPointF(bar.center().x(), bar.bottom() + 9),
                                      QPointF(bar.center().x() + 5, bar.bottom() + 3)});
    if (d->clipped > 0) {
        painter.setPen(colors.secondaryText);
        painter.setFont(secondaryFont());
        painter.drawText(QRectF(0, bar.bottom() + 12, width(), 2 * fontMetrics().height()),
                         Qt::AlignHCenter | Qt::AlignTop | Qt::TextWordWrap,
                         tr("%1 clipped").arg(exactCount(d->clipped)));
    }
    if (hasFocus()) {
        painter.setRenderHint(QPainter::Antialiasing, false);
        painter.setBrush(Qt::NoBrush);
        painter.setPen(QPen(colors.accent, 2));
        painter.drawRect(bar.adjusted(-3, -3, 3, 3));
        const double y = d->chosen == Private::End::High ? bar.top() : bar.bottom();
        painter.fillRect(QRectF(bar.left() - 6, y - 2, bar.width() + 12, 4), colors.accent);
    }
}

void ColorBar::mousePressEvent(QMouseEvent *event)
{
    const QRectF bar = barRect();
    if (event->button() != Qt::LeftButton || !d->canClip())
        return;
    if (std::abs(event->position().y() - bar.top()) <= kGripReach)
        d->dragged = Private::End::High;
    else if (std::abs(event->position().y() - bar.bottom()) <= kGripReach)
        d->dragged = Private::End::Low;
    if (d->dragged != Private::End::None)
        d->chosen = d->dragged;
}

void ColorBar::mouseMoveEvent(QMouseEvent *event)
{
    const QRectF bar = barRect();
    if (d->dragged == Private::End::None)
        return;
    const double share = (bar.bottom() - event->position().y()) / bar.height();
    float value = d->axis.value(static_cast<float>(share));
    if (share < 0 || share > 1) // beyond the bar: as far as the same step leads
        value = d->axis.low() + (d->axis.high() - d->axis.low()) * static_cast<float>(share);
    if (d->moveEnd(d->dragged, value)) {
        update();
        Q_EMIT scaleChanged(d->scale);
    }
}

void ColorBar::mouseReleaseEvent(QMouseEvent *)
{
    d->dragged = Private::End::None;
    d->axis = d->scale;
    update();
}

void ColorBar::mouseDoubleClickEvent(QMouseEvent *)
{
    resetRange();
}

void ColorBar::resetRange()
{
    d->dragged = Private::End::None;
    d->scale.setRange(d->full.low(), d->full.high());
    d->axis = d->scale;
    update();
    Q_EMIT scaleChanged(d->scale);
}

void ColorBar::keyPressEvent(QKeyEvent *event)
{
    const float step = (d->full.high() - d->full.low()) * 0.01F;
    const bool high = d->chosen == Private::End::High;
    float value = high ? d->scale.high() : d->scale.low();
    switch (event->key()) {
    case Qt::Key_Home:
        d->chosen = Private::End::High;
        update();
        return;
    case Qt::Key_End:
        d->chosen = Private::End::Low;
        update();
        return;
    case Qt::Key_Delete:
    case Qt::Key_Backspace:
        resetRange();
        return;
    case Qt::Key_Up:
        value += step;
        break;
    case Qt::Key_Down:
        value -= step;
        break;
    default:
        QWidget::keyPressEvent(event);
        return;
    }
    if (d->canClip() && d->moveEnd(d->chosen, value)) {
        d->axis = d->scale;
        update();
        Q_EMIT scaleChanged(d->scale);
    }
}

void ColorBar::contextMenuEvent(QContextMenuEvent *event)
{
    auto *menu = new QMenu(this);
    menu->setAttribute(Qt::WA_DeleteOnClose);
    connect(menu->addAction(tr("Reset range")), &QAction::triggered, this, &ColorBar::resetRange);
    QAction *invert = menu->addAction(tr("Invert colours"));
    invert->setCheckable(true);
    invert->setChecked(d->scale.inverted());
    connect(invert, &QAction::toggled, this, [this](bool on) {
        d->scale.setInverted(on);
        d->axis = d->scale;
        update();
        Q_EMIT scaleChanged(d->scale);
    });
    menu->popup(event->globalPos());
}

} // namespace secateur
