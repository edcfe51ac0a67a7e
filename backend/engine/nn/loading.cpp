#include "backend/engine/nn/loading.h"

#include "backend/core/error.h"
#include "backend/engine/nn/rotary.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/sum.h>

#include <cmath>

namespace secateur {

namespace {

/// "[3, 17]" for the flat position \a flat of a tensor.
std::string loadingIndexText(std::int64_t flat, at::IntArrayRef sizes)
{
    std::string text;
    for (std::size_t axis = sizes.size(); axis-- > 0;) {
        text = std::to_string(flat % sizes[axis]) + (text.empty() ? "" : ", ") + text;
        flat /= sizes[axis];
    }
    return "[" + text + "]";
}

} // namespace

DecoderBlock assembleBlock(const ModelConfig &config, int index, const WeightSource &source)
{
    const std::int64_t hidden = config.hiddenSize;
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    DecoderBlock block;
    block.shape = config.blocks[static_cast<std::size_t>(index)];
    const auto linear = [&](const std::string &name, std::int64_t out, std::int64_t in, bool bias) {
        Linear result;
        if (const std::int64_t rank = block.shape.rank(name.substr(name.find('.') + 1)); rank > 0) {
            result.factor = source(prefix + name + ".A.weight", {rank, in});
            result.weight = source(prefix + name + ".B.weight", {out, rank});
        } else {
            result.weight = source(prefix + name + ".weight", {out, in});
        }
        if (bias)
            result.bias = source(prefix + name + ".bias", {out});
        return result;
    };
    if (block.shape.hasAttention) {
        const std::int64_t queryWidth = std::int64_t{block.shape.queryHeads} * config.headDim;
        const std::int64_t keyWidth = std::int64_t{block.shape.kvHeads} * config.headDim;
        block.attentionNorm = source(prefix + "input_layernorm.weight", {hidden});
        block.q = linear("self_attn.q_proj", queryWidth, hidden, config.attentionBias);
        block.k = linear("self_attn.k_proj", keyWidth, hidden, config.attentionBias);
        block.v = linear("self_attn.v_proj", keyWidth, hidden, config.attentionBias);
        block.o = linear("self_attn.o_proj", hidden, queryWidth, config.attentionOutputBias);
        if (config.queryKeyNorm) {
            block.qNorm = source(prefix + "self_attn.q_norm.weight", {config.headDim});
            block.kNorm = source(prefix + "self_attn.k_norm.weight", {config.headDim});
        }
    }
    if (block.shape.hasMlp) {
        const std::int64_t width = block.shape.intermediateSize;
        block.mlpNorm = source(prefix + "post_attention_layernorm.weight", {hidden});
        block.gate = linear("mlp.gate_proj", width, hidden, config.mlpBias);
        block.up = linear("mlp.up_proj", width, hidden, config.mlpBias);
        block.down = linear("mlp.down_proj", hidden, width, config.mlpOutputBias);
    }
    return block;
}

std::shared_ptr<Model::Impl> emptyModel(const ModelConfig &config, const at::Device &device, at::ScalarType dtype)
{
    auto model = std::make_shared<Model::Impl>();
    model->config = config;
    model->embedding = at::empty({0, config.hiddenSize}, at::TensorOptions().dtype(dtype).device(device));
    model->inverseFrequencies = inverseFrequencies(config.rope, config.headDim).to(device);
    model->ropeAttentionFactor = ropeAttentionFactor(config.rope);
    return model;
}

std::shared_ptr<Model::Impl> assembleModel(const ModelConfig &config, const at::Device &device,
                                           const WeightSource &source)
{
    auto model = emptyModel(config, device, at::kFloat);
    const std::int64_t hidden = config.hiddenSize;
    model->embedding = source("model.embed_tokens.weight", {config.vocabSize, hidden});
    for (int index = 0; index < config.layers(); ++index)
        model->blocks.push_back(assembleBlock(config, index, source));
    model->finalNorm = source("model.norm.weight", {hidden});
    model->head.weight
        = config.tiedEmbeddings ? model->embedding : source("lm_head.weight", {config.vocabSize, hidden});
    return model;
}

void requireFinite(const Tensor &tensor, const std::string &name, const std::string &file)
{
    // a NaN or an infinity anywhere makes the sum one; only then (or after an overflow) look closer
    if (tensor.numel() == 0 || std::isfinite(at::sum(tensor, at::kFloat).item<float>()))
        return;
    const Tensor flat = at::isfinite(tensor).flatten().cpu();
    const bool *finite = flat.const_data_ptr<bool>();
    for (std::int64_t i = 0; i < flat.numel(); ++i) {
        if (finite[i])
            continue;
        const float value = tensor.flatten()[i].item<float>();
        throw Error(ErrorKind::Numeric,
                    "Tensor \"" + name + "\" of " + file + " holds " + (std::isnan(value) ? "NaN" : "infinity") + " at "
                        + loadingIndexText(i, tensor.sizes()) + ".",
                    "The file is damaged or the model was trained to a broken state; fetch it again.");
    }
}

} // namespace secateur
