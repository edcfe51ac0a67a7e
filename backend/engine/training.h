#pragma once

#include "backend/core/metric_feed.h"
#include "backend/core/run_config.h"
#include "backend/engine/adapter.h"

#include <functional>
#include <vector>

namespace secateur {

/// One training sample: ids and which positions are scored (target weights; lossMask[t] != 0 means token t is predicted
/// from its predecessors and counts). lossMask[0] is ignored.
struct TrainingSample {
    TokenIds ids;
    std::vector<std::uint8_t> lossMask;
};

struct TrainingResult {
    std::shared_ptr<const Adapter> adapter;
    std::vector<TrainingPoint> points; ///< one per optimiser step
    bool cancelled = false;            ///< stopped early: the adapter is the one after the last whole step
    std::int64_t tokens = 0;           ///< processed
    double seconds = 0;
    std::int64_t droppedSamples = 0; ///< longer than maxLength or the model's context, or without a scored token
};

/// LoRA on the listed linears: next-token cross entropy over scored positions, packed batches without padding, frozen
/// base without gradients, logits only at scored positions, AdamW, gradient clipping. \a start continues from an
/// adapter. Cancelling returns the last good weights instead of throwing. A loss that is not finite throws
/// Error(Numeric) naming step and learning rate. The same seed and thread count give the same weights.
/// Each optimiser step takes whole samples, in seeded shuffled order, as many as fit into batchTokens (at least one), and
/// none twice. Rank, alpha and targets of \a start win over those of \a options.
TrainingResult trainLora(const Model &base, const std::vector<TrainingSample> &samples, const RecoveryOptions &options,
                         const JobContext &context = {}, MetricFeed *feed = nullptr,
                         const Adapter *start = nullptr);

/// Learning rate at 0-based \a step of \a steps.
double scheduledRate(const RecoveryOptions &options, std::int64_t step);

} // namespace secateur
