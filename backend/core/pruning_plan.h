#pragma once

#include "backend/core/model_config.h"
#include "backend/core/unit_set.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace secateur {

/// What to remove from which model, and how that was decided.
struct PruningPlan {
    std::string id; ///< "plan-1"; record id in the session
    std::string parent; ///< id of the plan it is a child of; empty: the dense model
    std::string name; ///< what the user reads
    std::string method; ///< "selection", "block_influence", "ffn_activation_weight", …
    std::map<std::string, std::string> options;
    std::string modelDigest; ///< the dense model it was made for
    UnitSet removed;
    bool operator==(const PruningPlan &) const = default;
};

/// Removes nothing that does not exist and leaves at least one block: throws Error(InvalidArgument) otherwise, with the
/// offending unit. A plan that removes nothing is an error too.
void validatePlan(const PruningPlan &plan, const ModelConfig &dense);

/// The configuration after \a removed is taken out of \a dense. Blocks that lose all KV groups lose attention, blocks
/// that lose all FFN channels lose the MLP, blocks that lose both are dropped.
ModelConfig prunedConfig(const ModelConfig &dense, const UnitSet &removed);

/// Sizes before and after; every number the Budget dock shows.
struct Budget {
    std::int64_t parametersBefore = 0, parametersAfter = 0;
    std::int64_t bytesBefore = 0, bytesAfter = 0; ///< at the dtype of export
    double flopsBefore = 0, flopsAfter = 0; ///< per token at `context`
    std::int64_t kvBefore = 0, kvAfter = 0; ///< bytes per token, bf16
    std::int64_t context = 512;
    double nominalSparsity = 0; ///< removed blocks / blocks, or removed units / units for width
    double parameterSparsity = 0;
    double flopsSparsity = 0;
    bool loadsInStock = true; ///< widths are uniform
    std::string loaderNote; ///< English sentence when loadsInStock is false
};
Budget computeBudget(const ModelConfig &dense, const UnitSet &removed, int exportBytesPerElement = 2,
                     std::int64_t context = 512);

/// One line of the dependency preview: a tensor slice that goes, and why.
struct TensorChange {
    std::string tensor; ///< "model.layers.3.mlp.gate_proj.weight"
    int block = 0;
    std::vector<std::int64_t> before;
    std::vector<std::int64_t> after; ///< empty: the tensor goes
    std::int64_t parametersRemoved = 0;
    std::string reason;
};
std::vector<TensorChange> dependencyPreview(const ModelConfig &dense, const UnitSet &removed);

/// The same preview summed over blocks that change alike, names without the block prefix.
std::vector<TensorChange> summarizePreview(const std::vector<TensorChange> &changes);

/// Makes widths uniform by extending the removal in every kept block to the largest count per kind, choosing the units
/// with the lowest score in \a ffnScores / \a kvScores ([layers][units], may be empty: highest index goes), and rounds
/// the FFN width down to a multiple of \a ffnMultiple. Returns what was added.
struct SnapResult {
    UnitSet removed;
    UnitSet added;
    std::string explanation; ///< English, empty when nothing was added
};
SnapResult snapToUniform(const ModelConfig &dense, const UnitSet &removed, int ffnMultiple,
                         const std::vector<std::vector<float>> &ffnScores = {},
                         const std::vector<std::vector<float>> &kvScores = {});

/// Half-open ranges for people: "[12, 16) = 12, 13, 14, 15"; members are spelled out up to six.
std::string describeBlocks(const std::set<int> &blocks);

} // namespace secateur
