#pragma once

#include "backend/engine/nn/causal_lm.h"

#include <utility>
#include <vector>

namespace secateur {

/// A forward pass that keeps the input of each block and nothing else, and a backward pass that computes each block
/// again (Chen et al. 2016). Dropout draws the same masks both times.
class RecomputedForward {
public:
    RecomputedForward(const Model::Impl &model, const PackedBatch &batch, bool training);

    /// (T, D), before the final norm; a leaf that wants a gradient.
    const Tensor &hidden() const { return m_hidden; }
    /// Carries the gradient of hidden() through the blocks to every leaf.
    void backward();

private:
    Tensor block(int index, const Tensor &input) const;

    const Model::Impl &m_model;
    const PackedBatch &m_batch;
    bool m_training;
    std::pair<Tensor, Tensor> m_rotary; ///< cos and sin
    Tensor m_hidden;
    std::vector<Tensor> m_inputs; ///< of the blocks
    std::vector<Tensor> m_generators; ///< state of the random numbers in front of each block
};

} // namespace secateur
