#pragma once

#include "backend/engine/detail/tensor.h" // LibTorch before Qt

#include "backend/engine/generation.h"
#include "backend/engine/nn/causal_lm.h"

#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace secateur {

// Random models with 101 tokens that exist in memory only.

inline TokenIds randomIds(std::size_t count, int vocabulary, unsigned seed)
{
    std::mt19937 engine(seed);
    TokenIds ids(count);
    for (std::int32_t &id : ids)
        id = static_cast<std::int32_t>(engine() % static_cast<unsigned>(vocabulary));
    return ids;
}

inline ModelConfig smallConfig(int layers = 4)
{
    ModelConfig config;
    config.modelType = "llama";
    config.architecture = "LlamaForCausalLM";
    config.hiddenSize = 48;
    config.headDim = 12; // not a multiple of the vector width
    config.vocabSize = 101;
    config.maxPositions = 128;
    config.tiedEmbeddings = true;
    config.dtype = "float32";
    for (int i = 0; i < layers; ++i)
        config.blocks.push_back({i, true, true, 2, 6, 75});
    return config;
}

inline ComputeSettings settingsOf(const char *dtype)
{
    ComputeSettings settings;
    settings.dtype = dtype;
    settings.threads = 2;
    return settings;
}

/// A random model whose weights are large enough for tokens to differ.
inline Model vividModel(const ModelConfig &config, const char *dtype = "f32", double factor = 8)
{
    const Model model = randomModel(config, 7, settingsOf(dtype));
    auto impl = std::make_shared<Model::Impl>(model.impl());
    for (DecoderBlock &block : impl->blocks)
        for (Linear *linear : {&block.q, &block.k, &block.v, &block.o, &block.gate, &block.up, &block.down})
            if (linear->defined())
                linear->weight = linear->weight * factor;
    impl->embedding = impl->embedding * factor;
    impl->head.weight = impl->embedding;
    return Model(impl);
}

inline double largestDifference(std::span<const float> a, std::span<const float> b)
{
    if (a.size() != b.size())
        return std::numeric_limits<double>::infinity();
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
        largest = std::isnan(difference) ? std::numeric_limits<double>::infinity() : std::max(largest, difference);
    }
    return largest;
}

inline GenerationResult generateAll(const Model &model, const std::vector<TokenIds> &prompts, GenerationOptions options,
                                    int batch)
{
    GenerationRequest request;
    request.prompts = prompts;
    request.options = std::move(options);
    request.batch = batch;
    return generate(model, request, nullptr);
}

/// smallConfig() with one particular.
inline ModelConfig configOfKind(const std::string &kind)
{
    ModelConfig config = smallConfig();
    if (kind == "sliding window") {
        config.slidingWindow = 5;
    } else if (kind == "biases") {
        config.attentionBias = config.attentionOutputBias = config.mlpBias = config.mlpOutputBias = true;
    } else if (kind == "query and key norm") {
        config.queryKeyNorm = true;
    } else if (kind == "one query head per group") {
        for (BlockShape &block : config.blocks)
            block.kvHeads = block.queryHeads;
    } else if (kind == "holes") {
        config.blocks[1].hasAttention = false;
        config.blocks[1].kvHeads = config.blocks[1].queryHeads = 0;
        config.blocks[2].hasMlp = false;
        config.blocks[2].intermediateSize = 0;
        config.blocks[3].kvHeads = 1;
        config.blocks[3].queryHeads = 3;
        config.blocks[3].intermediateSize = 19;
    } else if (kind == "factored") {
        config.mlpOutputBias = true; // on down alone
        config.blocks[0].ranks = {{"q_proj", 7}, {"o_proj", 9}, {"down_proj", 11}};
        config.blocks[2].ranks = {{"k_proj", 5}, {"v_proj", 5}, {"gate_proj", 13}, {"up_proj", 48}};
    } else if (kind == "untied") {
        config.tiedEmbeddings = false;
    } else if (kind == "yarn") {
        config.rope.scaling = RopeConfig::Scaling::Yarn;
        config.rope.factor = 4;
        config.rope.originalMaxPositions = 32;
    }
    return config;
}

} // namespace secateur
