#pragma once

#include "backend/core/metric_map.h"
#include "backend/core/model_config.h"

#include <cmath>
#include <limits>

namespace secateur {

inline ModelConfig toyConfig(int layers = 6, int kvHeads = 2, int channels = 40)
{
    ModelConfig config;
    config.modelType = "llama";
    config.hiddenSize = 64;
    config.headDim = 8;
    config.vocabSize = 100;
    for (int block = 0; block < layers; ++block)
        config.blocks.push_back({block, true, true, kvHeads, kvHeads * 4, channels});
    return config;
}

/// Cosines that fall with the distance of the states.
inline MetricMapPtr cosineMap(int layers = 6)
{
    MetricMap map;
    map.group = "block_cosine";
    map.metric = "cosine";
    map.title = "Cosine between hidden states";
    map.rows = map.columns = layers + 1;
    map.rowAxis = {"layer_from", "hidden state i", "", 0};
    map.columnAxis = {"layer_to", "hidden state j (0 = embedding)", "", 0};
    for (int i = 0; i <= layers; ++i) {
        for (int j = 0; j <= layers; ++j)
            map.values.push_back(1.0F - 0.1F * static_cast<float>(std::abs(i - j)) - (i + j) * 0.001F * (i != j));
    }
    return std::make_shared<const MetricMap>(map);
}

/// Start × length, lengths from 1, NaN beyond the last block.
inline MetricMapPtr distanceMap(int layers = 6)
{
    MetricMap map;
    map.group = "block_distance";
    map.metric = "distance";
    map.title = "Angular distance";
    map.rows = map.columns = layers;
    map.rowAxis = {"block_start", "first block", "", 0};
    map.columnAxis = {"block_length", "blocks skipped", "", 1};
    for (int start = 0; start < layers; ++start) {
        for (int length = 1; length <= layers; ++length)
            map.values.push_back(start + length > layers
                                     ? std::numeric_limits<float>::quiet_NaN()
                                     : 0.05F * static_cast<float>(length) + 0.01F * static_cast<float>(start));
    }
    return std::make_shared<const MetricMap>(map);
}

inline MetricMapPtr influenceMap(std::vector<float> values)
{
    MetricMap map;
    map.group = "block_influence";
    map.metric = "influence";
    map.title = "Block influence";
    map.rows = static_cast<std::int64_t>(values.size());
    map.columns = 1;
    map.rowAxis = {"layer", "block (0-based)", "", 0};
    map.columnAxis = {"metric", "", "", 0};
    map.values = std::move(values);
    return std::make_shared<const MetricMap>(map);
}

/// Scores of channels (or KV groups): all different, in an order that has nothing to do with their place.
inline MetricMapPtr unitMap(const char *group, int rows, int columns)
{
    MetricMap map;
    map.group = group;
    map.metric = "activation_weight";
    map.title = "Unit scores";
    map.rows = rows;
    map.columns = columns;
    map.rowAxis = {"layer", "block (0-based)", "", 0};
    map.columnAxis = {"unit", "unit (0-based)", "", 0};
    const int count = rows * columns;
    int value = 7;
    for (int index = 0; index < count; ++index) {
        value = (value * 31 + 17) % 65521; // full period is not needed, only spread
        map.values.push_back(0.01F + static_cast<float>(value) + static_cast<float>(index) / static_cast<float>(count));
    }
    return std::make_shared<const MetricMap>(map);
}

} // namespace secateur
