#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace secateur {

struct Interval {
    double low = 0;
    double high = 0;
};

/// Wilson score interval for k successes of n; n = 0 gives [0, 1].
Interval wilsonInterval(std::int64_t successes, std::int64_t n, double confidence = 0.95);

/// Exact two-sided McNemar test on discordant pairs (binomial, p = 1 when there are none).
double mcnemarExact(std::int64_t onlyFirstRight, std::int64_t onlySecondRight);

/// Linear-interpolated quantile (type 7) of unsorted values; NaN values are left out; NaN when empty.
double quantile(std::span<const double> values, double q);

/// Five-number summary for box plots: 5, 25, 50, 75, 95 %, and the maximum.
struct BoxSummary {
    double p5 = 0, p25 = 0, p50 = 0, p75 = 0, p95 = 0, maximum = 0;
    std::int64_t n = 0, censored = 0;
};
BoxSummary boxSummary(std::span<const double> values, std::int64_t censored);

/// Spearman's rank correlation with average ranks for ties. Pairs with a NaN are left out; NaN for fewer than two pairs
/// or a constant side.
double spearman(std::span<const double> a, std::span<const double> b);

} // namespace secateur
