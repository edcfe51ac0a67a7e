#pragma once

#include "backend/core/calibration.h"
#include "backend/stats/intervals.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace secateur {

/// How the scores of two models become comparable before one is taken from the other.
enum class TwinScale {
    Raw, ///< as they are: cosines, distances, influences
    PerModel, ///< over the model's mean magnitude in this map
    PerBlock, ///< over the mean magnitude of the row
};

/// Cosines and distances mean the same in every model; magnitudes depend on the size of its weights.
TwinScale usualTwinScale(const MetricMap &map);

/// The same map of two models of one shape: how alike the ranks are, and the difference. Cells that are undefined in
/// either are left out; of state pairs only those with i < j are counted.
struct TwinComparison {
    MetricMapPtr difference; ///< first − second after scaling; metric "<metric>_difference"
    double rho = 0; ///< Spearman's rank correlation over n cells; NaN when undefined. Free of the scale unless PerBlock
    /// 95 %: Fisher's z with the variance of Bonett and Wright (2000), (1 + ρ²/2) / (n − 3). Units only: cells of state
    /// pairs and of start × length share blocks, which no formula for independent pairs covers. Nothing for n < 5.
    std::optional<Interval> interval;
    std::vector<double> rowRho; ///< ρ of each row of units (n ≥ 3, else NaN); empty for profiles and shared cells
    std::int64_t n = 0;
    std::int64_t higher = 0; ///< cells where first > second after scaling
    std::int64_t lower = 0;
    double signP = 1; ///< exact two-sided sign test of higher against lower, for independent units only
    std::int64_t row = -1, column = -1; ///< of the largest magnitude in `difference`; −1: nothing is defined
};

/// Throws Error(InvalidArgument) when the shapes differ.
TwinComparison compareTwinMap(const MetricMap &first, const MetricMap &second, TwinScale scale);

/// Every map that both have, by id ("ffn_importance/activation_weight"), each at its usual scale unless \a scale is
/// given. Throws Error(InvalidArgument) that lists the maps whose shapes differ, or says that none is shared.
std::map<std::string, TwinComparison> compareTwinMaps(const AnalysisResult &first, const AnalysisResult &second,
                                                      std::optional<TwinScale> scale = {});

/// Throws as compareTwinMaps() does.
void checkTwinShapes(const AnalysisResult &first, const AnalysisResult &second);

} // namespace secateur
