#pragma once

#include "backend/engine/nn/causal_lm.h"

#include <cstdint>
#include <vector>

namespace secateur {

/// Sums of squares of the inputs of o and down over tokens, per block and channel, in double precision.
class WidthSums {
public:
    explicit WidthSums(int layers);

    void addAttentionOutput(int block, const Tensor &x); ///< (T, H·h)
    void addMlpProduct(int block, const Tensor &x); ///< (T, F)
    bool isFinite() const;

    const std::vector<double> &attentionSquares(int block) const
    {
        return m_attention[static_cast<std::size_t>(block)];
    }
    const std::vector<double> &mlpSquares(int block) const { return m_mlp[static_cast<std::size_t>(block)]; }

private:
    std::vector<std::vector<double>> m_attention; ///< [L][H·h], empty until the block was seen
    std::vector<std::vector<double>> m_mlp; ///< [L][F]
};

/// Scores of one block's units.
struct UnitScores {
    std::vector<double> weightMagnitude;
    std::vector<double> activationWeight;
};

/// Per KV group and per FFN channel of one block; empty where it has no attention or MLP.
UnitScores kvGroupScores(const DecoderBlock &block, int headDim, const std::vector<double> &squares);
UnitScores ffnChannelScores(const DecoderBlock &block, const std::vector<double> &squares);

} // namespace secateur
