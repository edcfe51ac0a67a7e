#include "backend/core/block_tensors.h"

namespace secateur {

std::vector<BlockTensor> blockTensors(const ModelConfig &config, const BlockShape &block)
{
    using Part = BlockTensor::Part;
    const std::int64_t hidden = config.hiddenSize;
    const std::int64_t head = config.headDim;
    std::vector<BlockTensor> tensors;
    const auto addNorm = [&tensors](Part part, const char *name, std::int64_t size) {
        tensors.push_back({part, std::string(name) + ".weight", {size}});
    };
    const auto addLinear = [&](Part part, const std::string &name, std::int64_t out, std::int64_t in, bool bias) {
        if (const std::int64_t rank = block.rank(name.substr(name.find('.') + 1)); rank > 0) {
            tensors.push_back({part, name + ".A.weight", {rank, in}});
            tensors.push_back({part, name + ".B.weight", {out, rank}});
        } else {
            tensors.push_back({part, name + ".weight", {out, in}});
        }
        if (bias)
            tensors.push_back({part, name + ".bias", {out}});
    };
    if (block.hasAttention) {
        const std::int64_t query = block.queryHeads * head;
        const std::int64_t keyValue = block.kvHeads * head;
        addNorm(Part::AttentionNorm, "input_layernorm", hidden);
        addLinear(Part::Query, "self_attn.q_proj", query, hidden, config.attentionBias);
        addLinear(Part::Key, "self_attn.k_proj", keyValue, hidden, config.attentionBias);
        addLinear(Part::Value, "self_attn.v_proj", keyValue, hidden, config.attentionBias);
        addLinear(Part::Output, "self_attn.o_proj", hidden, query, config.attentionOutputBias);
        if (config.queryKeyNorm) {
            addNorm(Part::HeadNorm, "self_attn.q_norm", head);
            addNorm(Part::HeadNorm, "self_attn.k_norm", head);
        }
    }
    if (block.hasMlp) {
        const std::int64_t width = block.intermediateSize;
        addNorm(Part::MlpNorm, "post_attention_layernorm", hidden);
        addLinear(Part::Gate, "mlp.gate_proj", width, hidden, config.mlpBias);
        addLinear(Part::Up, "mlp.up_proj", width, hidden, config.mlpBias);
        addLinear(Part::Down, "mlp.down_proj", hidden, width, config.mlpOutputBias);
    }
    return tensors;
}

} // namespace secateur
