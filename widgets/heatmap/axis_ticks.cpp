#include "widgets/heatmap/axis_ticks.h"

#include <algorithm>
#include <cmath>

namespace secateur {

double niceStep(double minimum)
{
    if (!(minimum > 0) || !std::isfinite(minimum))
        return 1;
    const double power = std::pow(10.0, std::floor(std::log10(minimum)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (power * factor >= minimum * (1 - 1e-9))
            return power * factor;
    }
    return power * 10;
}

std::vector<double> linearTicks(double low, double high, int count, double *step)
{
    const double size = niceStep((high - low) / std::max(1, count));
    if (step)
        *step = size;
    std::vector<double> ticks;
    const double slack = size * 1e-6;
    for (double index = std::ceil((low - slack) / size); index * size <= high + slack; ++index) {
        ticks.push_back(index * size);
        if (ticks.size() > 1000)
            break;
    }
    return ticks;
}

std::vector<double> logTicks(double low, double high, int count)
{
    std::vector<double> ticks;
    if (!(low > 0) || !(high > low))
        return ticks;
    const int firstPower = static_cast<int>(std::floor(std::log10(low)));
    const int lastPower = static_cast<int>(std::ceil(std::log10(high)));
    for (int power = firstPower; power <= lastPower; ++power) {
        for (const double factor : {1.0, 2.0, 5.0}) {
            const double value = factor * std::pow(10.0, power);
            if (value >= low * (1 - 1e-6) && value <= high * (1 + 1e-6))
                ticks.push_back(value);
        }
    }
    if (static_cast<int>(ticks.size()) <= count)
        return ticks;
    std::vector<double> powers;
    const int stride = std::max(1, (lastPower - firstPower + count) / std::max(1, count));
    for (int power = firstPower; power <= lastPower; power += stride) {
        const double value = std::pow(10.0, power);
        if (value >= low * (1 - 1e-6) && value <= high * (1 + 1e-6))
            powers.push_back(value);
    }
    return powers.size() >= 2 ? powers : ticks;
}

std::vector<std::int64_t> cellTicks(std::int64_t begin, std::int64_t end, std::int64_t first, double minimumCells)
{
    const auto step = static_cast<std::int64_t>(std::max(1.0, niceStep(std::max(1.0, minimumCells))));
    std::vector<std::int64_t> ticks;
    for (std::int64_t index = begin; index < end; ++index) {
        const std::int64_t value = index + first;
        if (value % step == 0) {
            ticks.push_back(index);
            index += step - 1; // straight to the one before the next
        }
    }
    return ticks;
}

} // namespace secateur
