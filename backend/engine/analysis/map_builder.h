#pragma once

#include "backend/core/metric_map.h"
#include "backend/engine/analysis/similarity_sums.h"
#include "backend/engine/analysis/width_sums.h"

#include <string>
#include <vector>

namespace secateur {

/// The map groups of a request and the sums that they need.
class WantedMaps {
public:
    /// Empty: all. Throws Error(InvalidArgument) naming an unknown group and what there is.
    explicit WantedMaps(const std::vector<std::string> &groups);

    bool has(const char *group) const;
    bool needSimilarity() const;
    bool needHeads() const { return has("head_importance"); }
    bool needChannels() const { return has("ffn_importance"); }
    bool needWidth() const { return needHeads() || needChannels(); }

private:
    std::vector<std::string> m_groups;
};

/// The wanted maps in their fixed order. \a similarity may be null when none of its maps is wanted; \a heads and \a
/// channels have one entry per block where they are.
std::vector<MetricMapPtr> buildMaps(const WantedMaps &wanted, int layers, const SimilaritySums *similarity,
                                    const std::vector<UnitScores> &heads, const std::vector<UnitScores> &channels);

} // namespace secateur
