#pragma once

#include <QColor>
#include <QRectF>

class QPainter;

namespace secateur {

struct ThemeColors;

/// "Selected for removal": base at 72 %, hatch lines over it, clipped to \a rect; \a border is drawn when valid.
void drawHatched(QPainter *painter, const QRectF &rect, const ThemeColors &colors, const QColor &border = {});
/// A closed lock of about 8 × 9 pixels, centred.
void drawLockMark(QPainter *painter, const QPointF &center, const QColor &color, double scale = 1.0);
/// White inside black, so that it shows on any colour of a map.
void drawCursorFrame(QPainter *painter, const QRectF &cell);

} // namespace secateur
