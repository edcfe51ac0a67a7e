#pragma once

#include <cstdint>
#include <vector>

namespace secateur {

/// 1, 2 or 5 times a power of ten, at least \a minimum.
double niceStep(double minimum);
/// Multiples of a nice step inside [low, high], at most about \a count of them. \a step receives the step.
std::vector<double> linearTicks(double low, double high, int count, double *step = nullptr);
/// 1, 2 and 5 times powers of ten inside [low, high]; powers of ten only when that gives more than \a count.
std::vector<double> logTicks(double low, double high, int count);
/// Indices of cells to label: multiples of a nice integer step of (first + index), at least \a minimumCells apart.
std::vector<std::int64_t> cellTicks(std::int64_t begin, std::int64_t end, std::int64_t first, double minimumCells);

} // namespace secateur
