#include "widgets/heatmap/heatmap_painter.h"

#include "widgets/heatmap/axis_ticks.h"
#include "widgets/theme/marks.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QCoreApplication>
#include <QFontMetrics>
#include <QPainter>

#include <algorithm>
#include <array>
#include <cmath>

namespace secateur {

namespace {

constexpr int kStripHeight = 13;
constexpr int kLargestRowHeight = 29;
constexpr int kLargestCellWidth = 48;
constexpr int kLargestSquare = 28;

QString axisTitle(const MapAxis &axis)
{
    return QString::fromStdString(axis.label.empty() ? axis.id : axis.label);
}

QFont smallFont(QFont font)
{
    if (font.pointSizeF() > 0)
        font.setPointSizeF(font.pointSizeF() * 11 / 12);
    else
        font.setPixelSize(std::max(1, font.pixelSize() * 11 / 12));
    return font;
}

void appendRun(std::vector<std::pair<int, int>> &runs, int first, int last)
{
    if (!runs.empty() && runs.back().second >= first)
        runs.back().second = std::max(runs.back().second, last);
    else
        runs.emplace_back(first, last);
}

QRgb blendPixel(QRgb under, QRgb over, double share)
{
    const auto mix = [share](int a, int b) { return static_cast<int>(a + (b - a) * share + 0.5); };
    const int alpha = mix(qAlpha(under), 255);
    return qRgba(mix(qRed(under), qRed(over)), mix(qGreen(under), qGreen(over)), mix(qBlue(under), qBlue(over)), alpha);
}

/// Coverage of hatch lines, for one period in each direction.
class HatchTile {
public:
    HatchTile(double ratio, bool rising, int thinning)
        : m_size(std::max(2, static_cast<int>(std::lround(5 * ratio * thinning)))),
          m_coverage(static_cast<std::size_t>(m_size)),
          m_rising(rising)
    {
        for (int step = 0; step < m_size; ++step) {
            double sum = 0;
            for (int sample = 0; sample < 8; ++sample) {
                const double along = step + (sample + 0.5) / 8;
                const double distance = std::min(along, m_size - along);
                sum += std::clamp(0.6 * ratio - distance + 0.5, 0.0, 1.0);
            }
            m_coverage[static_cast<std::size_t>(step)] = sum / 8;
        }
    }
    double at(int x, int y) const
    {
        const int along = m_rising ? x + y : x - y + (1 << 20) * m_size;
        return m_coverage[static_cast<std::size_t>(along % m_size)];
    }

private:
    int m_size;
    std::vector<double> m_coverage;
    bool m_rising;
};

/// Calls \a paint(QRect) for the device rectangles of all runs that are in sight, neighbouring pixels joined. Walks
/// pixels, not runs, so that a hundred thousand striped channels cost no more than one block.
template <typename Paint>
void forEachRunRectangle(const RowRuns &runs, const HeatmapImageRequest &request, std::int64_t columnCount, Paint paint)
{
    const int width = request.size.width();
    const int height = request.size.height();
    if (std::all_of(runs.begin(), runs.end(), [](const auto &ofRow) { return ofRow.empty(); }))
        return;
    std::vector<CellSpan> columns(static_cast<std::size_t>(width));
    for (int x = 0; x < width; ++x)
        columns[static_cast<std::size_t>(x)]
            = cellsUnderPixel(x, request.source.left(), request.source.width() / width, columnCount);
    const auto rowsAt = [&](int y) {
        return cellsUnderPixel(y, request.source.top(), request.source.height() / height,
                               static_cast<std::int64_t>(runs.size()));
    };
    std::vector<char> covered(static_cast<std::size_t>(width));
    for (int top = 0, bottom = 0; top < height; top = bottom) {
        const CellSpan rows = rowsAt(top);
        for (bottom = top + 1; bottom < height && rowsAt(bottom) == rows; ++bottom) { }
        std::fill(covered.begin(), covered.end(), char(0));
        bool any = false;
        for (std::int64_t row = rows.first; row < rows.last; ++row) {
            const auto &ofRow = runs[static_cast<std::size_t>(row)];
            auto run = std::partition_point(ofRow.begin(), ofRow.end(), [&](const std::pair<int, int> &candidate) {
                return candidate.second <= columns.front().first;
            });
            for (std::size_t x = 0; x < columns.size(); ++x) {
                while (run != ofRow.end() && run->second <= columns[x].first)
                    ++run;
                if (run == ofRow.end())
                    break;
                if (run->first < columns[x].last)
                    covered[x] = any = true;
            }
        }
        if (!any)
            continue;
        for (int left = 0; left < width; ++left) {
            if (!covered[static_cast<std::size_t>(left)])
                continue;
            int right = left;
            while (right < width && covered[static_cast<std::size_t>(right)])
                ++right;
            paint(QRect(left, top, right - left, bottom - top));
            left = right;
        }
    }
}

} // namespace

HeatmapLayout layoutHeatmap(const MetricMap &map, const QRect &area, const QFont &font)
{
    HeatmapLayout layout;
    const QFontMetrics metrics(font);
    const QFontMetrics small(smallFont(font));
    const MapKind kind = mapKind(map);
    layout.square = kind == MapKind::StatePairs || kind == MapKind::StartLength;

    const int labelWidth = std::max(small.horizontalAdvance(QString::number(map.rows + map.rowAxis.first)),
                                    kind == MapKind::StatePairs
                                        ? small.horizontalAdvance(QCoreApplication::translate("HeatmapView", "blocks"))
                                        : 0);
    const int left = 8 + metrics.height() + 6 + labelWidth + 7 + (layout.square ? 0 : 12);
    const int stripSpace = kind == MapKind::StatePairs ? kStripHeight + 5 : 0;
    const int top = 4 + stripSpace;
    const int bottom = 5 + small.height() + 3 + metrics.height() + 4;
    const int right = 10;
    layout.footer = bottom;
    const int width = std::max(1, area.width() - left - right);
    const int height = std::max(1, area.height() - top - bottom);
    const auto rows = std::max<std::int64_t>(1, map.rows);
    const auto columns = std::max<std::int64_t>(1, map.columns);

    QSize plot(width, height);
    if (layout.square) {
        const double cell
            = std::min({double(width) / double(columns), double(height) / double(rows), double(kLargestSquare)});
        const double whole = cell >= 2 ? std::floor(cell) : cell;
        plot = QSize(std::max(1, static_cast<int>(whole * double(columns))),
                     std::max(1, static_cast<int>(whole * double(rows))));
    } else {
        double rowHeight = std::min(double(height) / double(rows), double(kLargestRowHeight));
        if (rowHeight >= 3)
            rowHeight = std::floor(rowHeight);
        plot.setHeight(std::max(1, static_cast<int>(rowHeight * double(rows))));
        plot.setWidth(static_cast<int>(std::min<std::int64_t>(width, columns * kLargestCellWidth)));
    }
    layout.plot = QRect(area.topLeft() + QPoint(left, top), plot);
    if (stripSpace > 0)
        layout.strip = QRect(layout.plot.left(), area.top() + 3, plot.width(), kStripHeight);
    const int gutter = labelWidth + 7 + (layout.square ? 0 : 12);
    layout.rowAxis = QRect(layout.plot.left() - gutter, layout.plot.top(), gutter, plot.height());
    layout.columnAxis = QRect(layout.plot.left(), layout.plot.bottom() + 1, plot.width(), small.height() + 6);
    return layout;
}

RowRuns runsOfUnits(const MetricMap &map, const UnitSet &units)
{
    RowRuns runs(static_cast<std::size_t>(std::max<std::int64_t>(0, map.rows)));
    const MapKind kind = mapKind(map);
    const int columns = static_cast<int>(map.columns);
    const auto inside = [&](int row) { return row >= 0 && row < map.rows; };
    switch (kind) {
    case MapKind::StatePairs:
        // Only single blocks have cells of their own, one on each side of the diagonal.
        for (const int block : units.blocks) {
            if (inside(block) && block + 1 < columns)
                runs[static_cast<std::size_t>(block)].emplace_back(block + 1, block + 2);
        }
        for (const int block : units.blocks) {
            if (inside(block + 1)) {
                auto &row = runs[static_cast<std::size_t>(block + 1)];
                row.insert(row.begin(), {block, block + 1});
            }
        }
        return runs;
    case MapKind::StartLength:
        for (const int block : units.blocks) {
            if (const auto cell = cellOfUnit(map, UnitKind::Block, block))
                appendRun(runs[static_cast<std::size_t>(cell->row)], cell->column, cell->column + 1);
        }
        return runs;
    case MapKind::KvGroups:
    case MapKind::FfnChannels:
        for (const auto &[block, members] : kind == MapKind::KvGroups ? units.kvGroups : units.ffnChannels) {
            if (!inside(block))
                continue;
            for (const int member : members) {
                if (member >= 0 && member < columns)
                    appendRun(runs[static_cast<std::size_t>(block)], member, member + 1);
            }
        }
        break;
    case MapKind::BlockProfile:
        break;
    case MapKind::Other:
        return runs;
    }
    // A block takes all of its units with it.
    for (const int block : units.blocks) {
        if (inside(block))
            runs[static_cast<std::size_t>(block)] = {{0, columns}};
    }
    return runs;
}

QImage composeCells(const MapPyramid &pyramid, const ColorScale &scale, const HeatmapImageRequest &request,
                    const RowRuns &selected, const RowRuns &locked, const ThemeColors &colors, double ratio)
{
    QImage image = heatmapImage(pyramid, scale, request);
    if (image.isNull())
        return image;
    const double cellWidth = request.size.width() / request.source.width();
    const double cellHeight = request.size.height() / request.source.height();
    const std::int64_t columnCount = pyramid.map() ? pyramid.map()->columns : 0;
    const bool largeCells = std::min(cellWidth, cellHeight) >= 7 * ratio;

    const HatchTile dense(ratio, true, 1);
    const QRgb base = colors.base.rgb();
    const QRgb hatch = colors.hatch.rgb();
    forEachRunRectangle(selected, request, columnCount, [&](const QRect &rect) {
        const int frame = largeCells ? std::max(1, static_cast<int>(ratio)) : 0;
        for (int y = rect.top(); y <= rect.bottom(); ++y) {
            auto *line = reinterpret_cast<QRgb *>(image.scanLine(y));
            const bool edge = y < rect.top() + frame || y > rect.bottom() - frame;
            for (int x = rect.left(); x <= rect.right(); ++x) {
                if (edge || x < rect.left() + frame || x > rect.right() - frame)
                    line[x] = blendPixel(line[x], 0xFFFFFFFF, 0.8);
                else
                    line[x] = blendPixel(blendPixel(line[x], base, 0.72), hatch, dense.at(x, y) * 0.85);
            }
        }
    });
    if (!largeCells) {
        // Too small for lock marks: sparse lines that fall the other way.
        const HatchTile sparse(ratio, false, 2);
        forEachRunRectangle(locked, request, columnCount, [&](const QRect &rect) {
            for (int y = rect.top(); y <= rect.bottom(); ++y) {
                auto *line = reinterpret_cast<QRgb *>(image.scanLine(y));
                for (int x = rect.left(); x <= rect.right(); ++x)
                    line[x] = blendPixel(line[x], 0xFFFFFFFF, sparse.at(x, y) * 0.7);
            }
        });
    }
    return image;
}

QRectF cellRectangle(const HeatmapLayout &layout, const QRectF &visible, const QRectF &cells)
{
    const double perColumn = layout.plot.width() / visible.width();
    const double perRow = layout.plot.height() / visible.height();
    return QRectF(layout.plot.left() + (cells.left() - visible.left()) * perColumn,
                  layout.plot.top() + (cells.top() - visible.top()) * perRow, cells.width() * perColumn,
                  cells.height() * perRow);
}

QRectF stripCell(const HeatmapLayout &layout, const QRectF &visible, int block)
{
    if (layout.strip.isEmpty())
        return {};
    const QRectF place = cellRectangle(layout, visible, QRectF(block + 0.5, 0, 1, 1));
    return QRectF(place.left(), layout.strip.top(), place.width(), layout.strip.height());
}

void paintHeatmapAxes(QPainter *painter, const MetricMap &map, const HeatmapLayout &layout, const QRectF &visible,
                      const ThemeColors &colors, const QFont &font)
{
    const QFont tickFont = smallFont(font);
    const QFontMetrics small(tickFont);
    const QFontMetrics metrics(font);
    painter->setRenderHint(QPainter::Antialiasing, false);
    painter->setPen(QPen(colors.line, 1));
    painter->setBrush(Qt::NoBrush);
    painter->drawRect(layout.plot.adjusted(-1, -1, 0, 0));

    painter->setFont(tickFont);
    painter->setPen(colors.secondaryText);
    const double perColumn = layout.plot.width() / visible.width();
    const double perRow = layout.plot.height() / visible.height();
    const auto lastColumn = std::min<std::int64_t>(map.columns, static_cast<std::int64_t>(std::ceil(visible.right())));
    const auto lastRow = std::min<std::int64_t>(map.rows, static_cast<std::int64_t>(std::ceil(visible.bottom())));
    const int widest = small.horizontalAdvance(QString::number(map.columns + map.columnAxis.first)) + 24;
    for (const auto column : cellTicks(static_cast<std::int64_t>(visible.left()), lastColumn, map.columnAxis.first,
                                       std::max(widest, 36) / perColumn)) {
        const double x = layout.plot.left() + (static_cast<double>(column) + 0.5 - visible.left()) * perColumn;
        if (x < layout.plot.left() - 1 || x > layout.plot.right() + 1)
            continue;
        painter->drawText(QRectF(x - 40, layout.plot.bottom() + 5, 80, small.height()), Qt::AlignHCenter | Qt::AlignTop,
                          QString::number(column + map.columnAxis.first));
    }
    for (const auto row : cellTicks(static_cast<std::int64_t>(visible.top()), lastRow, map.rowAxis.first,
                                    (layout.square ? 40 : small.height()) / perRow)) {
        const double y = layout.plot.top() + (static_cast<double>(row) + 0.5 - visible.top()) * perRow;
        if (y < layout.plot.top() - 1 || y > layout.plot.bottom() + 1)
            continue;
        painter->drawText(QRectF(layout.plot.left() - 67, y - 20, 60, 40), Qt::AlignRight | Qt::AlignVCenter,
                          QString::number(row + map.rowAxis.first));
    }

    painter->setPen(colors.text);
    painter->setFont(tickFont);
    // Beside a small map a title hangs over to the left or downwards, where there is room, rather than being cut.
    const int rowTitleLeft = layout.rowAxis.left() - metrics.height() - 6;
    const QString columnTitle
        = small.elidedText(axisTitle(map.columnAxis), Qt::ElideRight, layout.plot.right() + 10 - rowTitleLeft);
    const double columnHalf = small.horizontalAdvance(columnTitle) / 2.0 + 1;
    const double columnMiddle = std::min<double>(layout.plot.center().x(), layout.plot.right() + 10 - columnHalf);
    painter->drawText(QRectF(columnMiddle - columnHalf, layout.plot.bottom() + 5 + small.height() + 3, 2 * columnHalf,
                             metrics.height()),
                      Qt::AlignHCenter | Qt::AlignTop, columnTitle);
    const QString rowTitle = axisTitle(map.rowAxis);
    const double rowHalf = small.horizontalAdvance(rowTitle) / 2.0 + 1;
    const int top = layout.strip.isEmpty() ? layout.plot.top() - 4 : layout.strip.top() - 3;
    painter->save();
    painter->translate(rowTitleLeft, std::max<double>(layout.plot.center().y(), top + rowHalf));
    painter->rotate(-90);
    painter->drawText(QRectF(-rowHalf, 0, 2 * rowHalf, metrics.height()), Qt::AlignCenter, rowTitle);
    painter->restore();
}

void paintBlockStrip(QPainter *painter, const MetricMap &map, const HeatmapLayout &layout, const QRectF &visible,
                     const PruneSelection *selection, const ThemeColors &colors, const QFont &font)
{
    if (layout.strip.isEmpty())
        return;
    painter->save();
    painter->setFont(smallFont(font));
    painter->setPen(colors.secondaryText);
    painter->drawText(QRect(layout.plot.left() - 127, layout.strip.top() - 4, 120, layout.strip.height() + 8),
                      Qt::AlignRight | Qt::AlignVCenter, QCoreApplication::translate("HeatmapView", "blocks"));
    painter->setClipRect(layout.strip.adjusted(0, 0, 1, 1), Qt::IntersectClip);
    for (int block = 0; block + 1 < map.rows; ++block) {
        const QRectF place = stripCell(layout, visible, block);
        const QRectF inner = place.adjusted(0, 0, place.width() >= 5 ? -1 : 0, 0);
        if (selection && selection->selected().blocks.contains(block)) {
            drawHatched(painter, inner, colors, place.width() >= 5 ? colors.accent : QColor());
            continue;
        }
        painter->fillRect(inner, colors.lineFaint);
        if (selection && selection->isProtected(UnitKind::Block, block))
            drawLockMark(painter, inner.center(), colors.text, std::min(1.0, place.width() / 9));
    }
    painter->restore();
}

void paintLockMarks(QPainter *painter, const MetricMap &map, const HeatmapLayout &layout, const QRectF &visible,
                    const PruneSelection &selection, const RowRuns &locked, const ThemeColors &colors)
{
    if (layout.square)
        return; // the strip carries them
    const double perRow = layout.plot.height() / visible.height();
    const double perColumn = layout.plot.width() / visible.width();
    for (const int block : selection.locked().blocks) {
        const QRectF row = cellRectangle(layout, visible, QRectF(0, block, 1, 1));
        if (block < map.rows && row.center().y() >= layout.plot.top() && row.center().y() <= layout.plot.bottom())
            drawLockMark(painter, QPointF(layout.rowAxis.left() + 5, row.center().y()), colors.text,
                         std::min(1.0, perRow / 9));
    }
    if (std::min(perRow, perColumn) < 7)
        return;
    painter->save();
    painter->setClipRect(layout.plot, Qt::IntersectClip);
    for (std::size_t row = 0; row < locked.size(); ++row) {
        if (selection.locked().blocks.contains(static_cast<int>(row)))
            continue; // the mark beside the row says it once
        for (const auto &[first, last] : locked[row]) {
            const int from = std::max(first, static_cast<int>(visible.left()));
            const int to = std::min(last, static_cast<int>(std::ceil(visible.right())));
            for (int column = from; column < to; ++column) {
                const QRectF cell = cellRectangle(layout, visible, QRectF(column, static_cast<double>(row), 1, 1));
                // White on black, as the cells may have any colour.
                const double scale = std::min(1.0, cell.width() / 10);
                drawLockMark(painter, cell.center(), Qt::black, scale * 1.35);
                drawLockMark(painter, cell.center(), Qt::white, scale);
            }
        }
    }
    painter->restore();
}

int colorBarLabelWidth(const ColorScale &scale, const QFont &font)
{
    const QFontMetrics small(smallFont(font));
    int widest = 0;
    for (const float position : {0.0F, 0.5F, 1.0F})
        widest = std::max(widest, small.horizontalAdvance(significant(static_cast<double>(scale.value(position)), 3)));
    return widest;
}

void paintColorBar(QPainter *painter, const QRectF &bar, const ColorScale &scale, const ColorScale &axis,
                   const QString &title, std::optional<float> marker, const ThemeColors &colors, const QFont &font)
{
    const QFont tickFont = smallFont(font);
    const QFontMetrics small(tickFont);
    painter->setRenderHint(QPainter::Antialiasing, false);
    QImage strip(1, ColorScale::kSteps, QImage::Format_RGB32);
    for (int step = 0; step < ColorScale::kSteps; ++step)
        strip.setPixel(0, ColorScale::kSteps - 1 - step,
                       scale.color(axis.value(static_cast<float>(step) / (ColorScale::kSteps - 1))));
    painter->drawImage(bar, strip);
    painter->setPen(colors.line);
    painter->setBrush(Qt::NoBrush);
    painter->drawRect(bar.adjusted(-1, -1, 0, 0));

    struct Label {
        float position;
        QString text;
    };
    std::vector<Label> labels;
    const int room = std::max(2, static_cast<int>(bar.height() / 40));
    const bool isLog = axis.scaling() == ColorScale::Scaling::Log;
    if (axis.scaling() == ColorScale::Scaling::Percentile || (isLog && axis.palette() == ColorScale::Palette::Signed)) {
        const int parts = room >= 8 ? 8 : 4;
        for (int part = 0; part <= parts; ++part) {
            const float position = static_cast<float>(part) / static_cast<float>(parts);
            labels.push_back({position, significant(static_cast<double>(axis.value(position)), 3)});
        }
    } else if (isLog) {
        for (const double value :
             logTicks(static_cast<double>(axis.value(0)), static_cast<double>(axis.high()), room + 2))
            labels.push_back({axis.position(static_cast<float>(value)), significant(value, 1)});
    } else {
        double step = 0;
        for (const double value :
             linearTicks(static_cast<double>(axis.low()), static_cast<double>(axis.high()), std::min(room, 6), &step))
            labels.push_back({axis.position(static_cast<float>(value)), tickValue(value, step)});
    }
    painter->setFont(tickFont);
    double lastY = 1e9;
    int widest = 0;
    for (const Label &label : labels) {
        const double y = bar.bottom() - 1 - static_cast<double>(label.position) * (bar.height() - 1);
        if (lastY - y < small.height() * 0.9 && lastY < 1e8)
            continue;
        lastY = y;
        painter->setPen(colors.secondaryText);
        painter->drawLine(QPointF(bar.right() + 1, y), QPointF(bar.right() + 4, y));
        painter->drawText(QRectF(bar.right() + 8, y - 12, 100, 24), Qt::AlignLeft | Qt::AlignVCenter, label.text);
        widest = std::max(widest, small.horizontalAdvance(label.text));
    }
    painter->setPen(colors.text);
    painter->save();
    painter->translate(bar.right() + 8 + widest + 6, bar.center().y());
    painter->rotate(-90);
    painter->drawText(QRectF(-150, 0, 300, small.height()), Qt::AlignCenter, title);
    painter->restore();

    if (marker && !std::isnan(*marker)) {
        const double y = bar.bottom() - 1 - static_cast<double>(axis.position(*marker)) * (bar.height() - 1);
        painter->setRenderHint(QPainter::Antialiasing, true);
        painter->setPen(Qt::NoPen);
        painter->setBrush(colors.text);
        const double tip = bar.left() - 2;
        painter->drawPolygon(QPolygonF{QPointF(tip, y), QPointF(tip - 6, y - 4), QPointF(tip - 6, y + 4)});
    }
}

} // namespace secateur
