#pragma once

#include "backend/engine/nn/causal_lm.h"
#include "backend/engine/training.h"

#include <cstdint>
#include <vector>

namespace secateur {

using SampleRefs = std::vector<const TrainingSample *>;

/// Tokens that count in the loss.
std::int64_t scoredTokens(const TrainingSample &sample);

/// Σ of the weights of the scored tokens.
double scoredWeight(const TrainingSample &sample);

/// How a batch is measured.
struct LossTerms {
    const Model::Impl *parent = nullptr; ///< null: cross entropy alone
    double distillWeight = 0;
    double temperature = 1;
    bool training = false; ///< switches dropout on
    bool recompute = false; ///< keeps only the inputs of the blocks for the backward pass
};

/// Σ of weight · loss over the scored tokens of a packed batch, in nat. With gradient mode on, the gradient of
/// Σ / \a divisor is added to every leaf that requires one. The vocabulary is visited in slices of rows, at scored
/// positions only, so that logits (the parent's too) never take more than a fixed amount of memory.
double accumulateGradients(const Model::Impl &model, const SampleRefs &samples, double divisor,
                           const LossTerms &terms = {});

} // namespace secateur
