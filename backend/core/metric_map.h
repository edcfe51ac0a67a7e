#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace secateur {

struct MapAxis {
    std::string id;        ///< HDF5 axis data set: "layer", "channel", "layer_from", "block_start", …
    std::string label;     ///< English axis title: "block (0-based)"
    std::string units;     ///< equal units on both axes keep the aspect ratio in viewers
    std::int64_t first = 0; ///< value of the first index (block_length starts at 1)
};

/// One finished heatmap or profile: row-major floats, NaN where undefined. Immutable once published.
/// A profile is a map with one column (rows = blocks).
struct MetricMap {
    std::string group;  ///< HDF5 group: "block_cosine", "block_influence", "block_distance", "head_importance", "ffn_importance"
    std::string metric; ///< "cosine", "influence", "distance", "weight_magnitude", "activation_weight"
    std::string title;  ///< English, e.g. "Cosine between hidden states"
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::vector<float> values;
    MapAxis rowAxis;
    MapAxis columnAxis;

    float at(std::int64_t row, std::int64_t column) const { return values[static_cast<std::size_t>(row * columns + column)]; }
    std::string id() const { return group + "/" + metric; }
};

using MetricMapPtr = std::shared_ptr<const MetricMap>;

/// Smallest and largest finite value; both 0 when there is none.
struct ValueRange {
    float low = 0;
    float high = 0;
};
ValueRange finiteRange(const MetricMap &map);

} // namespace secateur
