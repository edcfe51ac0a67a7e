#pragma once

#include "backend/core/metric_feed.h"
#include "backend/core/run_config.h"
#include "backend/engine/adapter.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace secateur {

class ProcessGroup;

/// One training sample: ids and which positions are scored (lossMask[t] != 0 means token t is predicted from its
/// predecessors and counts). lossMask[0] is ignored.
struct TrainingSample {
    TokenIds ids;
    std::vector<std::uint8_t> lossMask;
    std::vector<float> weights = {}; ///< of the scored positions in the loss, as long as ids; empty: 1 each
};

/// What a checkpoint says about its run. Checkpoints of a run lie side by side as "step-000050"; each holds adapter/ or
/// weights/ (usable as they are), optimizer.safetensors and checkpoint.json.
struct CheckpointRecord {
    std::filesystem::path folder;
    RecoveryOptions options;
    std::int64_t step = 0; ///< whole steps done
    std::int64_t tokens = 0;
    std::int64_t samples = 0; ///< usable ones, to see that the data are the same
    std::vector<TrainingPoint> points;
    std::vector<HeldOutPoint> heldOut;
    std::map<std::string, std::string> origin; ///< what the caller wrote down to start again
};

/// The newest checkpoint of a run; \a folder is the folder of its checkpoints or one of them. Throws Error(NotFound)
/// when there is none, Error(BadFormat) naming file and field.
CheckpointRecord latestCheckpoint(const std::filesystem::path &folder);

/// What a run may need besides model, samples and options.
struct TrainingInputs {
    MetricFeed *feed = nullptr;
    const Adapter *start = nullptr; ///< continue from this adapter; its rank, alpha and targets win over the options
    const Model *parent = nullptr; ///< "distill" learns from it; same vocabulary and device
    std::filesystem::path checkpoints = {}; ///< folder for them; empty: none are written
    std::map<std::string, std::string> origin = {}; ///< goes into the checkpoints
    const CheckpointRecord *resume = nullptr; ///< go on behind this checkpoint; same options and samples
    const ProcessGroup *group = nullptr; ///< all its processes train together; only rank 0 has checkpoints and a feed
};

struct TrainingResult {
    std::shared_ptr<const Adapter> adapter; ///< null when all weights were trained
    std::shared_ptr<const Model> model; ///< f32; null when branches were trained
    std::vector<TrainingPoint> points; ///< one per optimiser step, those before a checkpoint included
    std::vector<HeldOutPoint> heldOut;
    bool cancelled = false; ///< stopped early: the weights are those after the last whole step
    bool stoppedEarly = false; ///< the held-out loss no longer fell
    std::int64_t tokens = 0; ///< processed
    double seconds = 0; ///< of this process
    std::int64_t droppedSamples = 0; ///< longer than maxLength or the model's context, or without a scored token
    std::int64_t heldOutSamples = 0;
};

/// Trains branches beside the listed linears, or all weights in f32: next-token cross entropy over scored positions
/// (and divergence from a parent), packed batches without padding, logits only at scored positions, gradient clipping.
/// Cancelling returns the last good weights instead of throwing. A loss that is not finite throws Error(Numeric) naming
/// step and learning rate; a checkpoint that cannot be written throws Error(Io); checkpoints written before stay. The
/// same seed and thread count give the same weights, with or without a checkpoint in between.
/// Each optimiser step takes whole samples, in seeded shuffled order, as many as fit into batchTokens (at least one),
/// and none twice. Several processes share the samples of every step; their sums differ from those of one process by
/// rounding alone, but for dropout, which each draws for itself. They stop together after a step. Throws Error(Io) when
/// one of them has ended. Distillation (Hinton 2015): (1 − w)·CE + w·T²·KL(parent ‖ model), both softened by T.
TrainingResult train(const Model &base, const std::vector<TrainingSample> &samples, const RecoveryOptions &options,
                     const JobContext &context = {}, const TrainingInputs &inputs = {});

/// Throws Error(InvalidArgument) naming the option that cannot be.
void checkRecoveryOptions(const RecoveryOptions &options);

/// Learning rate at 0-based \a step of \a steps.
double scheduledRate(const RecoveryOptions &options, std::int64_t step);

} // namespace secateur
