#pragma once

#include "backend/engine/model.h"
#include "backend/engine/nn/linear.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace secateur {

/// One decoder block as a struct of tensors. Families differ by which tensors are defined.
struct DecoderBlock {
    BlockShape shape;
    Tensor attentionNorm; ///< [D]
    Linear q, k, v, o;    ///< undefined without attention
    Tensor qNorm, kNorm;  ///< [h], undefined unless the family has them
    Tensor mlpNorm;       ///< [D]
    Linear gate, up, down; ///< undefined without MLP
};

/// The weights of a decoder, on one device, in one compute dtype.
struct Model::Impl {
    ModelConfig config;
    Tensor embedding; ///< [V, D]
    std::vector<DecoderBlock> blocks;
    Tensor finalNorm; ///< [D]
    Linear head;      ///< shares `embedding` when tied
    Tensor inverseFrequencies; ///< [h/2] f32
    double ropeAttentionFactor = 1; ///< multiplies cos and sin (yarn)
    std::shared_ptr<const void> keepAlive; ///< the memory map behind the weights, if any

    at::Device device() const { return embedding.device(); }
    at::ScalarType dtype() const { return embedding.scalar_type(); }
};

/// Sequences laid end to end, no padding: row t of the packed matrix belongs to exactly one sequence.
struct PackedBatch {
    Tensor ids;       ///< [T] int64
    Tensor positions; ///< [T] int64, restarting at 0 in each sequence
    std::vector<std::int64_t> offsets; ///< sequence s is rows [offsets[s], offsets[s+1]); size S + 1
    std::int64_t tokens() const { return offsets.back(); }
};
PackedBatch packSequences(const std::vector<TokenIds> &sequences, const at::Device &device);

/// Where a forward pass lets others look. Called with (T, ·) tensors in compute dtype; empty functions cost nothing.
struct ForwardTaps {
    std::function<void(int state, const Tensor &hidden)> hidden;      ///< state 0 = embedding … L = after the last block
    std::function<void(int block, const Tensor &x)> attentionOutput;  ///< input of o: (T, H·h)
    std::function<void(int block, const Tensor &x)> mlpProduct;       ///< input of down: (T, F)
};

/// Embedding and all blocks over a packed batch, before the final norm: (T, D). Causal attention inside each sequence only.
/// Autograd works through it when gradient mode is on. \a training switches LoRA dropout on; \a checkpointing is not applied here.
Tensor forwardHidden(const Model::Impl &model, const PackedBatch &batch, const ForwardTaps &taps = {},
                     bool training = false);

/// Final norm and head for the given rows of hidden states: (N, D) → (N, V) f32.
Tensor logitsOf(const Model::Impl &model, const Tensor &hidden);

/// RMS norm in f32, result in x's dtype: x / sqrt(mean(x²) + eps) · weight.
Tensor rmsNorm(const Tensor &x, const Tensor &weight, double eps);

/// cos and sin of the rotary embedding for positions [T]: (T, h) each, compute in f32, returned in \a dtype.
std::pair<Tensor, Tensor> rotaryTables(const Model::Impl &model, const Tensor &positions);

/// The linears of one block by PEFT name: "q_proj", …, "down_proj"; nullptr when the block has none of that name.
Linear *blockLinear(DecoderBlock &block, std::string_view name);
const Linear *blockLinear(const DecoderBlock &block, std::string_view name);

/// "self_attn.q_proj", "mlp.gate_proj", … for a PEFT target name.
std::string modulePath(std::string_view target);

} // namespace secateur
