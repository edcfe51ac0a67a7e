#include "widgets/theme/marks.h"

#include "widgets/theme/theme.h"

#include <QPainter>
#include <QPainterPath>

#include <cmath>

namespace secateur {

namespace {

constexpr double kHatchPitch = 4.0; // logical pixels between lines, along x
constexpr double kHatchWidth = 1.1;

} // namespace

double hatchCoverage(int x, int y, double ratio)
{
    // Sixteen samples per pixel; the lines run from bottom left to top right.
    const double pitch = kHatchPitch * ratio;
    const double half = kHatchWidth * ratio * 0.5 * std::sqrt(2.0);
    int inside = 0;
    for (int sampleY = 0; sampleY < 4; ++sampleY) {
        for (int sampleX = 0; sampleX < 4; ++sampleX) {
            const double along = x + y + (sampleX + sampleY) * 0.25 + 0.25;
            const double distance = std::abs(along - pitch * std::round(along / pitch));
            inside += distance <= half;
        }
    }
    return inside / 16.0;
}

void drawHatched(QPainter *painter, const QRectF &rect, const ThemeColors &colors, const QColor &border)
{
    painter->save();
    QColor base = colors.base;
    base.setAlphaF(0.72F);
    painter->fillRect(rect, base);
    painter->setClipRect(rect, Qt::IntersectClip);
    painter->setRenderHint(QPainter::Antialiasing, true);
    painter->setPen(QPen(colors.hatch, kHatchWidth, Qt::SolidLine, Qt::FlatCap));
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
