#pragma once

#include "backend/engine/training/lora.h"
#include "backend/engine/training/optimizer.h"

#include <memory>
#include <vector>

namespace secateur {

/// What a run changes: leaf tensors, and the model that computes with them.
struct TrainedModel {
    std::vector<TrainedTensor> tensors;
    std::shared_ptr<const Model::Impl> model;
    LoraBranches branches; ///< empty when all weights are trained
    RecoveryOptions options; ///< rank, alpha and targets as they are
    bool coversTargets = true;

    /// The branches as they are now; the tensors are shared.
    std::shared_ptr<const Adapter> adapter() const;
    /// The model without gradients; the tensors are shared.
    Model weights() const;
};

/// Branches beside the linears of \a base: those of \a start, or new ones (A uniform within ±1/√in, Kaiming uniform
/// with a = √5 as PEFT, B zero, drawn on the CPU so that every device starts from the same numbers). Throws
/// Error(InvalidArgument) for targets and rank patterns that match nothing.
TrainedModel trainedBranches(const Model::Impl &base, const RecoveryOptions &options, const Adapter *start);

/// A copy of all weights of \a base in f32. Norms and biases do not decay.
TrainedModel trainedWeights(const Model::Impl &base, const RecoveryOptions &options);

} // namespace secateur
