#include "widgets/theme/marks.h"

#include "widgets/theme/theme.h"

#include <QPainter>
#include <QPainterPath>

#include <cmath>

namespace secateur {

namespace {

constexpr double kHatchPitch = 5.0; // logical pixels between lines along x, 3.5 across them
constexpr double kHatchWidth = 1.0;

} // namespace

void drawHatched(QPainter *painter, const QRectF &rect, const ThemeColors &colors, const QColor &border)
{
    painter->save();
    QColor base = colors.base;
    base.setAlphaF(0.72F);
    painter->fillRect(rect, base);
    painter->setClipRect(rect, Qt::IntersectClip);
    painter->setRenderHint(QPainter::Antialiasing, true);
    painter->setPen(QPen(colors.hatch, kHatchWidth, Qt::SolidLine, Qt::SquareCap));
    const double sum = std::floor((rect.left() + rect.top()) / kHatchPitch) * kHatchPitch;
    for (double offset = sum; offset <= rect.right() + rect.bottom(); offset += kHatchPitch)
        painter->drawLine(QPointF(offset - rect.bottom(), rect.bottom()), QPointF(offset - rect.top(), rect.top()));
    if (border.isValid()) {
        painter->setRenderHint(QPainter::Antialiasing, false);
        painter->setPen(QPen(border, 1));
        painter->setBrush(Qt::NoBrush);
        painter->drawRect(rect.adjusted(0, 0, -1, -1));
    }
    painter->restore();
}

void drawLockMark(QPainter *painter, const QPointF &center, const QColor &color, double scale)
{
    painter->save();
    painter->setRenderHint(QPainter::Antialiasing, true);
    painter->translate(center);
    painter->scale(scale, scale);
    painter->setPen(Qt::NoPen);
    painter->setBrush(color);
    painter->drawRoundedRect(QRectF(-3.5, -1, 7, 5.5), 0.8, 0.8);
    painter->setBrush(Qt::NoBrush);
    painter->setPen(QPen(color, 1.3));
    QPainterPath shackle;
    shackle.moveTo(-2.1, -1);
    shackle.lineTo(-2.1, -2.3);
    shackle.arcTo(QRectF(-2.1, -4.4, 4.2, 4.2), 180, -180);
    shackle.lineTo(2.1, -1);
    painter->drawPath(shackle);
    painter->restore();
}

void drawCursorFrame(QPainter *painter, const QRectF &cell)
{
    painter->save();
    painter->setRenderHint(QPainter::Antialiasing, false);
    painter->setBrush(Qt::NoBrush);
    const QRectF frame = cell.adjusted(0, 0, -1, -1);
    painter->setPen(QPen(Qt::black, 1));
    painter->drawRect(frame.adjusted(-2, -2, 2, 2));
    painter->drawRect(frame);
    painter->setPen(QPen(Qt::white, 1));
    painter->drawRect(frame.adjusted(-1, -1, 1, 1));
    painter->restore();
}

} // namespace secateur
