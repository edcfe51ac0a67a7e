#pragma once

#include "backend/core/model_config.h"
#include "backend/core/run_config.h"

#include <cstdint>

namespace secateur {

/// Memory of a training run in bytes, with its parts.
struct RecoveryEstimate {
    std::int64_t weights = 0; ///< of the model to train and, to distil, of its parent
    std::int64_t trained = 0; ///< what is trained with its gradients and two Adam moments, f32
    std::int64_t activations = 0; ///< of one backward pass
    std::int64_t trainedParameters = 0;
    std::int64_t total() const { return weights + trained + activations; }
};

/// What surrounds the model to train.
struct RecoverySetting {
    int bytesPerElement = 4; ///< of weights and activations: 4 for f32, 2 for bf16
    std::int64_t parentParameters = 0; ///< of the dense model that stays loaded beside a pruned one
    std::int64_t longestSample = 0; ///< tokens; 0: as long as the options allow
};

RecoveryEstimate estimateRecovery(const ModelConfig &config, const RecoveryOptions &options,
                                  const RecoverySetting &setting);

} // namespace secateur
