#pragma once

#include "backend/core/calibration.h"
#include "backend/core/pruning_plan.h"

#include <string>
#include <vector>

namespace secateur::workflow {

/// One row of the method list and the data of its card.
struct MethodCard {
    std::string
        id; ///< "block_influence", "angular_distance", "ffn_activation", "ffn_magnitude", "kv_activation", "selection"
    std::string title;
    std::string paradigm; ///< "depth", "width", "hand"
    std::string unit; ///< "block", "FFN channel", "KV group"
    std::string summary; ///< one sentence
    std::string formula; ///< plain text
    std::string paper;
    std::string needs; ///< "calibration set", "nothing"
    int sweeps = 1;
    std::vector<std::string> options;
};
std::vector<MethodCard> methodCards();

struct PlanRequest {
    std::string method;
    double sparsity = -1; ///< share of units, or
    int remove = -1; ///< number of units (per block for width methods)
    bool uniformWidths = true; ///< same number of units in every block (loads in stock loaders)
    int ffnMultiple = 0; ///< kept FFN width is rounded down to it; 0: 64, less on narrow models, 1: not at all
    UnitSet locked = {};
};

struct PlanResult {
    PruningPlan plan;
    std::vector<std::string> order; ///< units in order of removal, "block 13", "block 3 channel 17"
    std::vector<double> scores; ///< of the removed units, same order
    Budget budget;
    std::string snapped; ///< explanation, empty when nothing was added
};

/// Selects from the maps of \a analysis; never edits a model. Equal scores: the lowest index goes first. Throws
/// Error(InvalidArgument) when a map is missing or the budget cannot be met with the locked units.
PlanResult makePlan(const PlanRequest &request, const ModelConfig &dense, const AnalysisResult &analysis);

/// Extends units chosen by hand until every block has the same widths, by the activation × weight scores in
/// \a analysis (null: the highest index goes first). Of \a request only ffnMultiple and locked are read. Throws
/// Error(InvalidArgument) when a locked unit would have to go.
SnapResult uniformSelection(const UnitSet &removed, const PlanRequest &request, const ModelConfig &dense,
                            const AnalysisResult *analysis);

/// The plan of units chosen by hand: as they are, or with \a request.uniformWidths as uniformSelection() extends them.
/// Throws as validatePlan() and uniformSelection().
PlanResult makeSelectionPlan(const UnitSet &chosen, const ModelConfig &dense, const std::string &modelDigest,
                             const PlanRequest &request = {.uniformWidths = false},
                             const AnalysisResult *analysis = nullptr);

/// The map a method selects from, "group/metric"; empty for "selection". Throws Error(NotFound) listing the methods.
std::string mapOfMethod(const std::string &method);

} // namespace secateur::workflow
