#pragma once

#include "backend/core/pruning_plan.h"
#include "backend/engine/model.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace secateur {

/// Takes the units of \a removed out physically. Untouched tensors are shared with \a dense. Throws as validatePlan().
Model prune(const Model &dense, const UnitSet &removed);

/// The same units switched off instead of taken out (columns of o and down set to zero, blocks bypassed): equal logits,
/// used as an oracle and for what-if.
Model mask(const Model &dense, const UnitSet &removed);

/// One line of the sanity gate.
struct CheckResult {
    std::string name;    ///< "finite logits", "parameter count", "differs from dense", …
    bool passed = false;
    std::string detail;
};

/// Finite logits, counted = predicted parameters, logits differ from \a dense on \a probe.
std::vector<CheckResult> sanityGate(const Model &dense, const Model &pruned, const TokenIds &probe);

/// Writes model.safetensors (shards of at most \a shardBytes with an index when larger) and config.json into the existing
/// \a folder, tensors in dtype "F32", "BF16" or "F16". Does not write companion files.
void saveWeights(const Model &model, const std::filesystem::path &folder, const std::string &dtype,
                 const std::map<std::string, std::string> &metadata = {}, std::uint64_t shardBytes = 5'000'000'000,
                 const JobContext &context = {});

/// Largest absolute difference of the logits of two models on \a probe.
double largestLogitDifference(const Model &a, const Model &b, const TokenIds &probe);

} // namespace secateur
