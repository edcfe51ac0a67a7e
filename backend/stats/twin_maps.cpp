#include "backend/stats/twin_maps.h"

#include "backend/core/error.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace secateur {

namespace {

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t kLeastForInterval = 5;
constexpr std::int64_t kLeastForRow = 3;

bool sharesBlocks(const MetricMap &map)
{
    return map.group == "block_cosine" || map.group == "block_distance";
}

bool isCounted(const MetricMap &map, std::int64_t row, std::int64_t column)
{
    return map.group != "block_cosine" || row < column;
}

double meanMagnitude(const float *values, std::int64_t count)
{
    double sum = 0;
    std::int64_t finite = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        if (std::isfinite(values[i])) {
            sum += std::abs(static_cast<double>(values[i]));
            ++finite;
        }
    }
    return finite > 0 && sum > 0 ? sum / static_cast<double>(finite) : 1;
}

/// What the values of each row are divided by.
std::vector<double> rowScales(const MetricMap &map, TwinScale scale)
{
    std::vector<double> scales(static_cast<std::size_t>(map.rows), 1.0);
    if (scale == TwinScale::PerModel || (scale == TwinScale::PerBlock && map.columns == 1))
        std::fill(scales.begin(), scales.end(), meanMagnitude(map.values.data(), map.rows * map.columns));
    if (scale == TwinScale::PerBlock && map.columns > 1)
        for (std::size_t row = 0; row < scales.size(); ++row)
            scales[row] = meanMagnitude(map.values.data() + static_cast<std::int64_t>(row) * map.columns, map.columns);
    return scales;
}

std::optional<Interval> rhoInterval(double rho, std::int64_t n)
{
    if (std::isnan(rho) || n < kLeastForInterval)
        return std::nullopt;
    constexpr double z95 = 1.959963984540054;
    const double limited = std::clamp(rho, -1 + 1e-12, 1 - 1e-12); // atanh of ±1 is infinite
    const double half = z95 * std::sqrt((1 + limited * limited / 2) / static_cast<double>(n - 3));
    const double centre = std::atanh(limited);
    return Interval{std::tanh(centre - half), std::tanh(centre + half)};
}

std::string shapeText(const MetricMap &map)
{
    return std::to_string(map.rows) + " × " + std::to_string(map.columns);
}

} // namespace

TwinScale usualTwinScale(const MetricMap &map)
{
    return sharesBlocks(map) || map.group == "block_influence" ? TwinScale::Raw : TwinScale::PerModel;
}

TwinComparison compareTwinMap(const MetricMap &first, const MetricMap &second, TwinScale scale)
{
    if (first.rows != second.rows || first.columns != second.columns)
        throw Error(ErrorKind::InvalidArgument,
                    "The maps " + first.id() + " differ in shape: " + shapeText(first) + " and " + shapeText(second)
                        + ".");
    const auto firstScales = rowScales(first, scale);
    const auto secondScales = rowScales(second, scale);
    const bool hasUnits = !sharesBlocks(first);

    MetricMap difference = first;
    difference.metric += "_difference";
    TwinComparison result;
    std::vector<double> allFirst, allSecond;
    double largest = -1;
    for (std::int64_t row = 0; row < first.rows; ++row) {
        std::vector<double> rowFirst, rowSecond;
        for (std::int64_t column = 0; column < first.columns; ++column) {
            const double a = static_cast<double>(first.at(row, column)) / firstScales[static_cast<std::size_t>(row)];
            const double b = static_cast<double>(second.at(row, column)) / secondScales[static_cast<std::size_t>(row)];
            const double change = std::isfinite(a) && std::isfinite(b) ? a - b : kUndefined;
            difference.values[static_cast<std::size_t>(row * first.columns + column)] = static_cast<float>(change);
            if (std::isnan(change) || !isCounted(first, row, column))
                continue;
            rowFirst.push_back(a);
            rowSecond.push_back(b);
            result.higher += change > 0;
            result.lower += change < 0;
            if (std::abs(change) > largest) {
                largest = std::abs(change);
                result.row = row;
                result.column = column;
            }
        }
        if (hasUnits && first.columns > 1)
            result.rowRho.push_back(
                static_cast<std::int64_t>(rowFirst.size()) < kLeastForRow ? kUndefined : spearman(rowFirst, rowSecond));
        allFirst.insert(allFirst.end(), rowFirst.begin(), rowFirst.end());
        allSecond.insert(allSecond.end(), rowSecond.begin(), rowSecond.end());
    }
    result.n = static_cast<std::int64_t>(allFirst.size());
    result.rho = spearman(allFirst, allSecond);
    if (hasUnits) {
        result.interval = rhoInterval(result.rho, result.n);
        result.signP = mcnemarExact(result.higher, result.lower);
    }
    result.difference = std::make_shared<const MetricMap>(std::move(difference));
    return result;
}

void checkTwinShapes(const AnalysisResult &first, const AnalysisResult &second)
{
    std::string differences;
    bool shared = false;
    for (const MetricMapPtr &map : first.maps) {
        const MetricMapPtr other = second.find(map->group, map->metric);
        if (!other)
            continue;
        shared = true;
        if (other->rows != map->rows || other->columns != map->columns)
            differences += (differences.empty() ? "" : "; ") + map->id() + " has " + shapeText(*map) + " against "
                + shapeText(*other);
    }
    if (!shared)
        throw Error(ErrorKind::InvalidArgument,
                    first.modelName + " and " + second.modelName + " have no map in common.",
                    "Compute the same maps for both.");
    if (!differences.empty())
        throw Error(ErrorKind::InvalidArgument,
                    first.modelName + " and " + second.modelName + " differ in shape: " + differences + ".",
                    "Siblings have the same blocks, heads and widths; open two models of one family and size.");
}

std::map<std::string, TwinComparison> compareTwinMaps(const AnalysisResult &first, const AnalysisResult &second,
                                                      std::optional<TwinScale> scale)
{
    checkTwinShapes(first, second);
    std::map<std::string, TwinComparison> comparisons;
    for (const MetricMapPtr &map : first.maps)
        if (const MetricMapPtr other = second.find(map->group, map->metric))
            comparisons[map->id()] = compareTwinMap(*map, *other, scale.value_or(usualTwinScale(*map)));
    return comparisons;
}

} // namespace secateur
