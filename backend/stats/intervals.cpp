#include "backend/stats/intervals.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

namespace secateur {

namespace {

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

/// z with P(|N(0,1)| ≤ z) = confidence, by bisection on erf: exact to the last digits and without a table.
double twoSidedNormalQuantile(double confidence)
{
    double low = 0;
    double high = 40;
    for (int step = 0; step < 200 && low < high; ++step) {
        const double middle = 0.5 * (low + high);
        if (middle == low || middle == high)
            break;
        (std::erf(middle / std::sqrt(2.0)) < confidence ? low : high) = middle;
    }
    return 0.5 * (low + high);
}

/// Quantile of values that are sorted already (Hyndman and Fan, type 7).
double sortedQuantile(const std::vector<double> &sorted, double q)
{
    if (sorted.empty() || std::isnan(q))
        return kNotANumber;
    const double position = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const auto above = std::min(below + 1, sorted.size() - 1);
    const double fraction = position - static_cast<double>(below);
    if (fraction == 0 || sorted[below] == sorted[above])
        return sorted[below];
    return sorted[below] + fraction * (sorted[above] - sorted[below]);
}

std::vector<double> sortedNumbers(std::span<const double> values)
{
    std::vector<double> sorted;
    sorted.reserve(values.size());
    std::copy_if(values.begin(), values.end(), std::back_inserter(sorted),
                 [](double value) { return !std::isnan(value); });
    std::sort(sorted.begin(), sorted.end());
    return sorted;
}

/// Ranks 1…n, equal values share the mean of their ranks.
std::vector<double> averageRanks(const std::vector<double> &values)
{
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
    std::vector<double> ranks(values.size());
    for (std::size_t first = 0; first < order.size();) {
        std::size_t last = first;
        while (last + 1 < order.size() && values[order[last + 1]] == values[order[first]])
            ++last;
        const double rank = 0.5 * static_cast<double>(first + last) + 1;
        for (std::size_t i = first; i <= last; ++i)
            ranks[order[i]] = rank;
        first = last + 1;
    }
    return ranks;
}

} // namespace

Interval wilsonInterval(std::int64_t successes, std::int64_t n, double confidence)
{
    if (n <= 0)
        return {0, 1};
    // Wilson 1927; the ends are pinned because rounding leaves 1e-17 where the formula gives exactly 0 or 1.
    const double z = twoSidedNormalQuantile(std::clamp(confidence, 0.0, 1.0));
    const auto total = static_cast<double>(n);
    const double share = std::clamp(static_cast<double>(successes) / total, 0.0, 1.0);
    const double square = z * z;
    const double centre = (share + square / (2 * total)) / (1 + square / total);
    const double half
        = z / (1 + square / total) * std::sqrt(share * (1 - share) / total + square / (4 * total * total));
    return {successes <= 0 ? 0.0 : std::max(0.0, centre - half), successes >= n ? 1.0 : std::min(1.0, centre + half)};
}

double mcnemarExact(std::int64_t onlyFirstRight, std::int64_t onlySecondRight)
{
    const std::int64_t n = onlyFirstRight + onlySecondRight;
    if (n <= 0)
        return 1;
    // 2 · P(X ≤ min), X ~ Binomial(n, 1/2). Terms are kept as logarithms: 0.5ⁿ alone underflows from n = 1075 on.
    const std::int64_t smaller = std::min(onlyFirstRight, onlySecondRight);
    double logTerm = -static_cast<double>(n) * std::log(2.0);
    double sum = std::exp(logTerm);
    for (std::int64_t i = 1; i <= smaller; ++i) {
        logTerm += std::log(static_cast<double>(n - i + 1)) - std::log(static_cast<double>(i));
        sum += std::exp(logTerm);
    }
    return std::min(1.0, 2 * sum);
}

double quantile(std::span<const double> values, double q)
{
    return sortedQuantile(sortedNumbers(values), q);
}

BoxSummary boxSummary(std::span<const double> values, std::int64_t censored)
{
    const auto sorted = sortedNumbers(values);
    BoxSummary box;
    box.n = static_cast<std::int64_t>(sorted.size());
    box.censored = censored;
    box.p5 = sortedQuantile(sorted, 0.05);
    box.p25 = sortedQuantile(sorted, 0.25);
    box.p50 = sortedQuantile(sorted, 0.50);
    box.p75 = sortedQuantile(sorted, 0.75);
    box.p95 = sortedQuantile(sorted, 0.95);
    box.maximum = sorted.empty() ? kNotANumber : sorted.back();
    return box;
}

double spearman(std::span<const double> a, std::span<const double> b)
{
    // Undefined cells (NaN in either map) are left out as pairs.
    std::vector<double> first;
    std::vector<double> second;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        if (std::isnan(a[i]) || std::isnan(b[i]))
            continue;
        first.push_back(a[i]);
        second.push_back(b[i]);
    }
    if (first.size() < 2)
        return kNotANumber;
    const auto firstRanks = averageRanks(first);
    const auto secondRanks = averageRanks(second);
    const double mean = 0.5 * (static_cast<double>(first.size()) + 1);
    double product = 0;
    double firstSquare = 0;
    double secondSquare = 0;
    for (std::size_t i = 0; i < firstRanks.size(); ++i) {
        const double x = firstRanks[i] - mean;
        const double y = secondRanks[i] - mean;
        product += x * y;
        firstSquare += x * x;
        secondSquare += y * y;
    }
    if (firstSquare == 0 || secondSquare == 0)
        return kNotANumber; // one side is constant
    return std::clamp(product / std::sqrt(firstSquare * secondSquare), -1.0, 1.0);
}

} // namespace secateur
