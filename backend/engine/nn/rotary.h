#pragma once

#include "backend/core/model_config.h"
#include "backend/engine/detail/tensor.h"

namespace secateur {

/// Inverse frequencies [headDim/2] f32 of the rotary embedding, scaled as the configuration says.
Tensor inverseFrequencies(const RopeConfig &rope, int headDim);

/// What yarn multiplies cos and sin with; 1 for the other kinds.
double ropeAttentionFactor(const RopeConfig &rope);

/// Rotates the halves of each head: x (T, heads, h), cos and sin (T, h). Without gradients x itself is changed.
Tensor applyRotary(const Tensor &x, const Tensor &cos, const Tensor &sin);

} // namespace secateur
