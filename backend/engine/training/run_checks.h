#pragma once

#include "backend/engine/training/batch_gradient.h"

namespace secateur {

/// Throws Error(InvalidArgument) when \a parent is missing or does not fit \a model.
void checkParent(const Model::Impl &model, const Model *parent);

/// Samples of a run that can be used.
struct UsableSamples {
    SampleRefs trained;
    SampleRefs heldOut; ///< spread evenly over the samples
    std::int64_t dropped = 0; ///< too long, or nothing is scored
    std::int64_t size() const { return static_cast<std::int64_t>(trained.size() + heldOut.size()); }
};

/// Throws Error(InvalidArgument) naming the sample that cannot be, or when nothing is left to train on.
UsableSamples usableSamples(const std::vector<TrainingSample> &samples, const RecoveryOptions &options,
                            const ModelConfig &config);

} // namespace secateur
