#include "backend/core/metric_map.h"

#include <algorithm>
#include <cmath>

namespace secateur {

ValueRange finiteRange(const MetricMap &map)
{
    ValueRange range;
    bool found = false;
    for (const float value : map.values) {
        if (!std::isfinite(value))
            continue;
        range.low = found ? std::min(range.low, value) : value;
        range.high = found ? std::max(range.high, value) : value;
        found = true;
    }
    return range;
}

} // namespace secateur
