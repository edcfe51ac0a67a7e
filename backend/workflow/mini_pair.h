#pragma once

#include "backend/core/job_context.h"
#include "backend/core/run_config.h"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace secateur::workflow {

/// One training run on the way to the mini pair.
struct MiniPhase {
    std::string name; ///< "base", "instruct", "think"; the sibling's folder in the data
    std::string data; ///< file in the data folder
    RecoveryOptions options;
};

/// Base from new weights, then a short run of all weights for each sibling. \a scale multiplies the numbers of steps.
std::vector<MiniPhase> miniPhases(double scale, std::uint64_t seed);

struct MiniPairRequest {
    std::filesystem::path data; ///< folder written by mini::makeDataSet()
    std::filesystem::path out; ///< "work" (f32, with checkpoints while a phase runs), "instruct", "think"
    double scale = 1;
    std::uint64_t seed = 0;
    ComputeSettings compute;
};

/// Trains the pair and writes both models in bf16. A phase whose model lies in "work" is not run again, and one that
/// was stopped goes on behind its last checkpoint. \a finished is told of every phase, with the loss of its last tenth.
/// Throws as recover() and exportModel().
void makeMiniPair(const MiniPairRequest &request, const JobContext &context,
                  const std::function<void(const std::string &phase, double loss)> &finished);

} // namespace secateur::workflow
