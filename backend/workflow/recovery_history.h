#pragma once

#include "backend/core/job_context.h"
#include "backend/core/pruning_plan.h"
#include "backend/engine/training.h"
#include "backend/workflow/recovery_probes.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace secateur::workflow {

/// What is kept of a run beside its record: the whole curve, the probes, and the adapters of its checkpoints.
struct RunHistory {
    std::vector<TrainingPoint> points;
    std::vector<HeldOutPoint> heldOut;
    std::vector<std::string> questions;
    std::vector<ProbeRound> probes;
    std::vector<std::int64_t> adapters; ///< steps whose adapter is kept; found in the folder, not written
};

/// "OUT.history" beside \a output: run.json, and "step-000050" with the adapter after that step.
std::filesystem::path historyFolder(const std::filesystem::path &output);
std::filesystem::path historyAdapter(const std::filesystem::path &output, std::int64_t step);

void saveHistory(const std::filesystem::path &output, const RunHistory &history);
/// Empty when there is none. Throws Error(BadFormat) naming file and field.
RunHistory loadHistory(const std::filesystem::path &output);
/// Keeps the adapter of \a checkpoint for later; a run that trains all weights keeps none. A long run keeps at most
/// kKeptAdapters: of older ones every second goes.
constexpr std::size_t kKeptAdapters = 16;
void keepAdapter(const std::filesystem::path &output, const CheckpointRecord &checkpoint);

/// A run that ended before its last step and can go on.
struct UnfinishedRun {
    CheckpointRecord checkpoint;
    std::filesystem::path output; ///< where it wrote, or would have written
    std::string data; ///< as it was asked for
    std::optional<PruningPlan> plan; ///< none: the dense model was trained
};

/// What \a folders hold of runs on the model with this digest, newest first. What cannot be read is passed over.
std::vector<UnfinishedRun> unfinishedRuns(const std::vector<std::filesystem::path> &folders,
                                          const std::string &modelDigest);

} // namespace secateur::workflow
