#include "backend/engine/analysis/map_builder.h"

#include "backend/core/error.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <utility>

namespace secateur {

namespace {

constexpr std::array<const char *, 5> kMapGroups
    = {"block_cosine", "block_influence", "block_distance", "head_importance", "ffn_importance"};

MapAxis blockAxis(const char *id)
{
    return {id, "block (0-based)", "block", 0};
}

MapAxis stateAxis(const char *id, const char *label)
{
    return {id, label, "state", 0};
}

/// A map of the given shape, NaN everywhere.
MetricMap emptyMap(const char *group, const char *metric, const char *title, std::int64_t rows, std::int64_t columns,
                   MapAxis rowAxis, MapAxis columnAxis)
{
    MetricMap map{group, metric, title, rows, columns, {}, std::move(rowAxis), std::move(columnAxis)};
    map.values.assign(static_cast<std::size_t>(rows * columns), std::numeric_limits<float>::quiet_NaN());
    return map;
}

MetricMapPtr cosineMap(const std::vector<double> &distances, std::int64_t states)
{
    MetricMap map = emptyMap("block_cosine", "cosine", "Cosine between hidden states", states, states,
                             stateAxis("layer_from", "hidden state before block"),
                             stateAxis("layer_to", "hidden state before block"));
    for (std::size_t i = 0; i < distances.size(); ++i)
        map.values[i] = static_cast<float>(1 - distances[i]);
    return std::make_shared<const MetricMap>(std::move(map));
}

MetricMapPtr influenceMap(const std::vector<double> &distances, std::int64_t states)
{
    MetricMap map = emptyMap("block_influence", "influence", "Influence of each block", states - 1, 1,
                             blockAxis("layer"), {"metric", "influence", "", 0});
    for (std::int64_t l = 0; l + 1 < states; ++l)
        map.values[static_cast<std::size_t>(l)]
            = static_cast<float>(distances[static_cast<std::size_t>(l * states + l + 1)]);
    return std::make_shared<const MetricMap>(std::move(map));
}

MetricMapPtr distanceMap(const std::vector<double> &angles, std::int64_t states)
{
    const std::int64_t layers = states - 1;
    MetricMap map = emptyMap("block_distance", "distance", "Angular distance across removed blocks", layers, layers,
                             {"block_start", "first removed block (0-based)", "block", 0},
                             {"block_length", "number of removed blocks", "block", 1});
    for (std::int64_t start = 0; start < layers; ++start) {
        for (std::int64_t length = 1; start + length <= layers; ++length)
            map.values[static_cast<std::size_t>(start * layers + length - 1)]
                = static_cast<float>(angles[static_cast<std::size_t>(start * states + start + length)]);
    }
    return std::make_shared<const MetricMap>(std::move(map));
}

/// Two maps (weight_magnitude, activation_weight) with one row per block; blocks with fewer units end in NaN.
void addWidthMaps(std::vector<MetricMapPtr> &maps, const char *group, const char *unit, const MapAxis &columnAxis,
                  const std::vector<UnitScores> &scores)
{
    std::size_t width = 0;
    for (const UnitScores &block : scores)
        width = std::max(width, block.weightMagnitude.size());
    const auto rows = static_cast<std::int64_t>(scores.size());
    const auto columns = static_cast<std::int64_t>(width);
    const auto add = [&](const char *metric, const std::string &title, std::vector<double> UnitScores::*values) {
        MetricMap map = emptyMap(group, metric, title.c_str(), rows, columns, blockAxis("layer"), columnAxis);
        for (std::size_t block = 0; block < scores.size(); ++block) {
            const std::vector<double> &row = scores[block].*values;
            std::transform(row.begin(), row.end(), map.values.begin() + static_cast<std::ptrdiff_t>(block * width),
                           [](double value) { return static_cast<float>(value); });
        }
        maps.push_back(std::make_shared<const MetricMap>(std::move(map)));
    };
    add("weight_magnitude", std::string("Weight magnitude of ") + unit, &UnitScores::weightMagnitude);
    add("activation_weight", std::string("Activation × weight of ") + unit, &UnitScores::activationWeight);
}

} // namespace

WantedMaps::WantedMaps(const std::vector<std::string> &groups) : m_groups(groups)
{
    if (groups.empty())
        m_groups.assign(kMapGroups.begin(), kMapGroups.end());
    for (const std::string &name : groups) {
        if (std::find(kMapGroups.begin(), kMapGroups.end(), name) == kMapGroups.end()) {
            std::string known;
            for (const char *group : kMapGroups)
                known += (known.empty() ? "" : ", ") + std::string(group);
            throw Error(ErrorKind::InvalidArgument, "There is no map \"" + name + "\"; there is: " + known + ".");
        }
    }
}

bool WantedMaps::has(const char *group) const
{
    return std::find(m_groups.begin(), m_groups.end(), group) != m_groups.end();
}

bool WantedMaps::needSimilarity() const
{
    return has("block_cosine") || has("block_influence") || has("block_distance");
}

std::vector<MetricMapPtr> buildMaps(const WantedMaps &wanted, int layers, const SimilaritySums *similarity,
                                    const std::vector<UnitScores> &heads, const std::vector<UnitScores> &channels)
{
    const std::int64_t states = layers + 1;
    std::vector<MetricMapPtr> maps;
    if (wanted.has("block_cosine"))
        maps.push_back(cosineMap(similarity->meanDistances(), states));
    if (wanted.has("block_influence"))
        maps.push_back(influenceMap(similarity->meanDistances(), states));
    if (wanted.has("block_distance"))
        maps.push_back(distanceMap(similarity->meanAngles(), states));
    if (wanted.needHeads())
        addWidthMaps(maps, "head_importance", "KV groups", {"head", "KV group", "group", 0}, heads);
    if (wanted.needChannels())
        addWidthMaps(maps, "ffn_importance", "FFN channels", {"channel", "FFN channel", "channel", 0}, channels);
    return maps;
}

} // namespace secateur
