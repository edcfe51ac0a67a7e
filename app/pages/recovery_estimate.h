#pragma once

#include "backend/core/model_config.h"
#include "backend/core/run_config.h"

#include <cstdint>

namespace secateur {

/// Memory of a LoRA run in bytes, with its parts.
struct RecoveryEstimate {
    std::int64_t weights = 0;
    std::int64_t adapter = 0; ///< A and B with gradients and two Adam moments, f32
    std::int64_t activations = 0;
    std::int64_t adapterParameters = 0;
    std::int64_t total() const { return weights + adapter + activations; }
};

/// \a bytesPerElement of weights and activations: 4 for f32, 2 for bf16.
RecoveryEstimate estimateRecovery(const ModelConfig &config, const RecoveryOptions &options, int bytesPerElement);

} // namespace secateur
