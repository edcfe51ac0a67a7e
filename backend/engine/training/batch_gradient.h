#pragma once

#include "backend/engine/nn/causal_lm.h"
#include "backend/engine/training.h"

#include <cstdint>
#include <vector>

namespace secateur {

using SampleRefs = std::vector<const TrainingSample *>;

/// Tokens that count in the loss.
std::int64_t scoredTokens(const TrainingSample &sample);

/// Σ of −log p over the scored tokens of a packed batch, in nat. With gradient mode on, the gradient of Σ / \a divisor
/// is added to every leaf that requires one. The vocabulary is visited in slices of rows, at scored positions only, so
/// that logits never take more than a fixed amount of memory. \a training switches dropout on.
double accumulateGradients(const Model::Impl &model, const SampleRefs &samples, std::int64_t divisor, bool training);

} // namespace secateur
