#include "backend/engine/transforms/named_tensors.h"

namespace secateur {

namespace {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

void namedAppend(NamedTensors &tensors, std::string name, const Tensor &tensor)
{
    if (tensor.defined())
        tensors.emplace_back(std::move(name), tensor);
}

void namedAppendLinear(NamedTensors &tensors, const std::string &name, const Linear &linear)
{
    namedAppend(tensors, name + ".A.weight", linear.factor);
    namedAppend(tensors, name + (linear.factor.defined() ? ".B.weight" : ".weight"), linear.weight);
    namedAppend(tensors, name + ".bias", linear.bias);
}

} // namespace

std::vector<std::pair<std::string, Tensor>> namedTensors(const Model::Impl &model)
{
    NamedTensors tensors;
    namedAppend(tensors, "model.embed_tokens.weight", model.embedding);
    for (std::size_t index = 0; index < model.blocks.size(); ++index) {
        const DecoderBlock &block = model.blocks[index];
        const std::string prefix = "model.layers." + std::to_string(index) + ".";
        namedAppend(tensors, prefix + "input_layernorm.weight", block.attentionNorm);
        for (const char *target : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
            if (const Linear *linear = blockLinear(block, target))
                namedAppendLinear(tensors, prefix + modulePath(target), *linear);
        }
        namedAppend(tensors, prefix + "self_attn.q_norm.weight", block.qNorm);
        namedAppend(tensors, prefix + "self_attn.k_norm.weight", block.kNorm);
        namedAppend(tensors, prefix + "post_attention_layernorm.weight", block.mlpNorm);
        for (const char *target : {"gate_proj", "up_proj", "down_proj"}) {
            if (const Linear *linear = blockLinear(block, target))
                namedAppendLinear(tensors, prefix + modulePath(target), *linear);
        }
    }
    namedAppend(tensors, "model.norm.weight", model.finalNorm);
    if (!model.config.tiedEmbeddings)
        namedAppendLinear(tensors, "lm_head", model.head);
    return tensors;
}

} // namespace secateur
