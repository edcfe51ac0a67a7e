#include "widgets/heatmap/heatmap_image.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace secateur {

namespace {

constexpr float kNoValue = std::numeric_limits<float>::quiet_NaN();

/// The number when the other is NaN. Comparisons instead of fmin and fmax, which are library calls: this is the inner
/// loop of every repaint.
MapPyramid::Pair widened(MapPyramid::Pair pair, MapPyramid::Pair other)
{
    const bool isEmpty = pair.low != pair.low;
    return {isEmpty || other.low < pair.low ? other.low : pair.low,
            isEmpty || other.high > pair.high ? other.high : pair.high};
}

} // namespace

MapPyramid::MapPyramid(MetricMapPtr map) : m_map(std::move(map))
{
    if (!m_map || m_map->columns < 2048)
        return; // narrow maps are pooled on the fly
    const std::int64_t rows = m_map->rows;
    for (std::int64_t columns = m_map->columns; columns > 256;) {
        const std::int64_t halved = (columns + 1) / 2;
        Level level{halved, std::vector<Pair>(static_cast<std::size_t>(rows * halved))};
        for (std::int64_t row = 0; row < rows; ++row) {
            for (std::int64_t column = 0; column < halved; ++column) {
                const std::int64_t left = column * 2;
                const std::int64_t right = std::min(left + 1, columns - 1);
                Pair pair;
                if (m_levels.empty()) {
                    const float a = m_map->at(row, left);
                    const float b = m_map->at(row, right);
                    pair = widened({a, a}, {b, b});
                } else {
                    const std::vector<Pair> &below = m_levels.back().values;
                    pair = widened(below[static_cast<std::size_t>(row * columns + left)],
                                   below[static_cast<std::size_t>(row * columns + right)]);
                }
                level.values[static_cast<std::size_t>(row * halved + column)] = pair;
            }
        }
        m_levels.push_back(std::move(level));
        columns = halved;
    }
}

MapPyramid::Pair MapPyramid::extremes(std::int64_t row, std::int64_t first, std::int64_t last) const
{
    Pair result{kNoValue, kNoValue};
    // Whole pairs come from higher levels, odd ends from the level at hand.
    std::size_t level = 0; // 0: the map itself, k: m_levels[k - 1]
    const auto at = [&](std::int64_t column) -> Pair {
        if (level == 0) {
            const float value = m_map->at(row, column);
            return {value, value};
        }
        const Level &own = m_levels[level - 1];
        return own.values[static_cast<std::size_t>(row * own.columns + column)];
    };
    while (first < last) {
        if (level == m_levels.size() || last - first < 4) {
            for (std::int64_t column = first; column < last; ++column)
                result = widened(result, at(column));
            break;
        }
        if (first % 2)
            result = widened(result, at(first++));
        if (last % 2)
            result = widened(result, at(--last));
        first /= 2;
        last /= 2;
        ++level;
    }
    return result;
}

CellSpan cellsUnderPixel(int pixel, double origin, double cellsPerPixel, std::int64_t limit)
{
    if (cellsPerPixel <= 1) {
        const auto cell = static_cast<std::int64_t>(std::floor(origin + (pixel + 0.5) * cellsPerPixel));
        return cell < 0 || cell >= limit ? CellSpan{0, 0} : CellSpan{cell, cell + 1};
    }
    const auto first = static_cast<std::int64_t>(std::floor(origin + pixel * cellsPerPixel + 1e-9));
    const auto last = static_cast<std::int64_t>(std::floor(origin + (pixel + 1) * cellsPerPixel + 1e-9));
    return {std::clamp<std::int64_t>(first, 0, limit), std::clamp<std::int64_t>(last, 0, limit)};
}

QImage heatmapImage(const MapPyramid &pyramid, const ColorScale &scale, const HeatmapImageRequest &request)
{
    QImage image(request.size, QImage::Format_ARGB32_Premultiplied);
    if (image.isNull())
        return image;
    image.fill(Qt::transparent);
    if (!pyramid.map() || request.source.isEmpty())
        return image;
    const MetricMap &map = *pyramid.map();
    const int width = request.size.width();
    const int height = request.size.height();
    const double columnsPerPixel = request.source.width() / width;
    const double rowsPerPixel = request.source.height() / height;

    std::vector<CellSpan> columns(static_cast<std::size_t>(width));
    for (int x = 0; x < width; ++x)
        columns[static_cast<std::size_t>(x)] = cellsUnderPixel(x, request.source.left(), columnsPerPixel, map.columns);
    const float center = scale.position(request.center);

    CellSpan previous{-1, -1};
    for (int y = 0; y < height; ++y) {
        auto *line = reinterpret_cast<QRgb *>(image.scanLine(y));
        const CellSpan rows = cellsUnderPixel(y, request.source.top(), rowsPerPixel, map.rows);
        if (rows == previous) {
            std::memcpy(line, image.constScanLine(y - 1), static_cast<std::size_t>(width) * sizeof(QRgb));
            continue;
        }
        previous = rows;
        if (rows.first == rows.last)
            continue;
        for (int x = 0; x < width; ++x) {
            const auto [first, last] = columns[static_cast<std::size_t>(x)];
            if (first == last)
                continue;
            if (x > 0 && columns[static_cast<std::size_t>(x - 1)] == columns[static_cast<std::size_t>(x)]) {
                line[x] = line[x - 1];
                continue;
            }
            MapPyramid::Pair pair{kNoValue, kNoValue};
            if (last == first + 1) {
                for (std::int64_t row = rows.first; row < rows.last; ++row)
                    pair = widened(pair, {map.at(row, first), map.at(row, first)});
            } else {
                for (std::int64_t row = rows.first; row < rows.last; ++row)
                    pair = widened(pair, pyramid.extremes(row, first, last));
            }
            const float low = scale.position(pair.low);
            if (low < 0)
                continue;
            const float high = scale.position(pair.high);
            line[x] = scale.colorAt(std::abs(high - center) >= std::abs(low - center) ? high : low);
        }
    }
    return image;
}

} // namespace secateur
