#include "backend/engine/nn/causal_lm.h"

#include "backend/engine/nn/attention.h"
#include "backend/engine/nn/blocks.h"
#include "backend/engine/nn/rotary.h"
#include "backend/engine/nn/row_ops.h"

#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>

#include <utility>

namespace secateur {

PackedBatch packSequences(const std::vector<TokenIds> &sequences, const at::Device &device)
{
    PackedBatch batch;
    batch.offsets.push_back(0);
    for (const TokenIds &sequence : sequences)
        batch.offsets.push_back(batch.offsets.back() + static_cast<std::int64_t>(sequence.size()));
    batch.ids = at::empty({batch.tokens()}, at::kLong);
    batch.positions = at::empty({batch.tokens()}, at::kLong);
    std::int64_t *ids = batch.ids.mutable_data_ptr<std::int64_t>();
    std::int64_t *positions = batch.positions.mutable_data_ptr<std::int64_t>();
    for (const TokenIds &sequence : sequences) {
        std::int64_t position = 0;
        for (const std::int32_t id : sequence) {
            *ids++ = id;
            *positions++ = position++;
        }
    }
    batch.ids = batch.ids.to(device);
    batch.positions = batch.positions.to(device);
    return batch;
}

Tensor runBlock(const Model::Impl &model, int index, Tensor hidden, const std::pair<Tensor, Tensor> &rotary,
                const Attend &attend, const ForwardTaps &taps, bool training)
{
    const DecoderBlock &block = model.blocks[static_cast<std::size_t>(index)];
    const std::int64_t rows = hidden.size(0);
    const std::int64_t headDim = model.config.headDim;
    const double eps = model.config.rmsNormEps;
    const auto &[cos, sin] = rotary;
    if (block.q.defined()) {
        const Tensor x = rmsNorm(hidden, block.attentionNorm, eps); // (T, D)
        Tensor q = block.q(x, training).view({rows, block.shape.queryHeads, headDim}); // (T, H, h)
        Tensor k = block.k(x, training).view({rows, block.shape.kvHeads, headDim}); // (T, K, h)
        const Tensor v = block.v(x, training).view({rows, block.shape.kvHeads, headDim});
        if (block.qNorm.defined())
            q = rmsNorm(q, block.qNorm, eps);
        if (block.kNorm.defined())
            k = rmsNorm(k, block.kNorm, eps);
        const Tensor mixed = attend(index, applyRotary(q, cos, sin), applyRotary(k, cos, sin), v); // (T, H·h)
        if (taps.attentionOutput)
            taps.attentionOutput(index, mixed);
        hidden = hidden + block.o(mixed, training);
    }
    if (block.gate.defined()) {
        const Tensor x = rmsNorm(hidden, block.mlpNorm, eps); // (T, D)
        const Tensor product = gatedProduct(block.gate(x, training), block.up(x, training)); // (T, F)
        if (taps.mlpProduct)
            taps.mlpProduct(index, product);
        hidden = hidden + block.down(product, training);
    }
    return hidden;
}

Tensor runBlocks(const Model::Impl &model, const Tensor &ids, const Tensor &positions, const Attend &attend,
                 const ForwardTaps &taps, bool training)
{
    const std::pair<Tensor, Tensor> rotary = rotaryTables(model, positions); // (T, h)
    Tensor hidden = at::embedding(model.embedding, ids); // (T, D)
    if (taps.hidden)
        taps.hidden(0, hidden);
    for (int index = 0; index < static_cast<int>(model.blocks.size()); ++index) {
        hidden = runBlock(model, index, std::move(hidden), rotary, attend, taps, training);
        if (taps.hidden)
            taps.hidden(index + 1, hidden);
    }
    return hidden;
}

Tensor forwardHidden(const Model::Impl &model, const PackedBatch &batch, const ForwardTaps &taps, bool training)
{
    const Attend attend = [&](int, const Tensor &q, const Tensor &k, const Tensor &v) {
        return packedAttention(q, k, v, batch.offsets, model.config.slidingWindow);
    };
    return runBlocks(model, batch.ids, batch.positions, attend, taps, training);
}

Tensor logitsOf(const Model::Impl &model, const Tensor &hidden)
{
    return model.head.sums(rmsNorm(hidden, model.finalNorm, model.config.rmsNormEps)); // (N, V)
}

const Linear *blockLinear(const DecoderBlock &block, std::string_view name)
{
    const Linear *linear = name == "q_proj" ? &block.q
        : name == "k_proj"                  ? &block.k
        : name == "v_proj"                  ? &block.v
        : name == "o_proj"                  ? &block.o
        : name == "gate_proj"               ? &block.gate
        : name == "up_proj"                 ? &block.up
        : name == "down_proj"               ? &block.down
                                            : nullptr;
    return linear && linear->defined() ? linear : nullptr;
}

Linear *blockLinear(DecoderBlock &block, std::string_view name)
{
    return const_cast<Linear *>(blockLinear(static_cast<const DecoderBlock &>(block), name));
}

std::string modulePath(std::string_view target)
{
    const bool mlp = target == "gate_proj" || target == "up_proj" || target == "down_proj";
    return (mlp ? "mlp." : "self_attn.") + std::string(target);
}

} // namespace secateur
