#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace secateur {

/// Rotary position embedding as the model's configuration asks for it.
struct RopeConfig {
    enum class Scaling { None, Linear, Llama3, Yarn };
    double theta = 10000.0;
    Scaling scaling = Scaling::None;
    double factor = 1.0;
    double lowFrequencyFactor = 1.0; ///< llama3
    double highFrequencyFactor = 4.0; ///< llama3
    std::int64_t originalMaxPositions = 0; ///< llama3, yarn
    double betaFast = 32.0; ///< yarn
    double betaSlow = 1.0; ///< yarn
    double attentionFactor = 0.0; ///< yarn; 0 = derived from factor
    bool operator==(const RopeConfig &) const = default;
};

/// The shape of one decoder block. Blocks may differ: this is what a plan changes.
struct BlockShape {
    int originalIndex = 0; ///< block number in the dense model, kept for ever
    bool hasAttention = true;
    bool hasMlp = true;
    int kvHeads = 0;
    int queryHeads = 0; ///< a multiple of kvHeads
    int intermediateSize = 0; ///< FFN channels
    /// "q_proj", …, "down_proj" → r of a factored linear W = B·A, A [r, in], B [out, r]; absent: one matrix
    std::map<std::string, int> ranks = {};
    int rank(const std::string &linear) const ///< 0: one matrix
    {
        const auto it = ranks.find(linear);
        return it == ranks.end() ? 0 : it->second;
    }
    bool operator==(const BlockShape &) const = default;
};

/// One Llama-like decoder described by data: RMSNorm, RoPE, grouped-query attention, gated MLP (SiLU).
/// The families differ by these values, not by code.
struct ModelConfig {
    std::string modelType; ///< of a descriptor file: "llama", "qwen2", …
    std::string architecture; ///< "LlamaForCausalLM"
    int hiddenSize = 0;
    int headDim = 0;
    int vocabSize = 0;
    int maxPositions = 0;
    double rmsNormEps = 1e-5;
    RopeConfig rope;
    bool tiedEmbeddings = false;
    bool attentionBias = false; ///< q, k, v
    bool attentionOutputBias = false; ///< o
    bool mlpBias = false; ///< gate, up
    bool mlpOutputBias = false; ///< down
    bool queryKeyNorm = false; ///< RMS over head_dim of q and k, before RoPE (Qwen3)
    int slidingWindow = 0; ///< 0: none
    std::string dtype; ///< dtype of the stored weights, "float32", "bfloat16", "float16"
    int bosTokenId = -1;
    std::vector<int> eosTokenIds;
    std::vector<BlockShape> blocks;
    std::string rawJson; ///< config.json as read (or as made from GGUF metadata), carried into exports

    int layers() const { return static_cast<int>(blocks.size()); }
    bool isUniform() const; ///< every block has attention, MLP, the same widths and no factored linear
    bool operator==(const ModelConfig &) const = default;
};

/// Parameters of one block of shape \a block, norms and biases included.
std::int64_t blockParameters(const ModelConfig &config, const BlockShape &block);

/// Parameters of the whole model; a tied head is counted once.
std::int64_t totalParameters(const ModelConfig &config);

/// FLOPs to process one token at context length \a context: 2 × parameters (tied head once) + 4 × H·h × context per
/// block with attention.
double flopsPerToken(const ModelConfig &config, std::int64_t context);

/// Bytes of keys and values that one token adds to the cache, at \a bytesPerElement (2 for bf16).
std::int64_t kvBytesPerToken(const ModelConfig &config, int bytesPerElement = 2);

/// Reads the text of a config.json. \a fileName is used in messages only.
/// Throws Error(BadFormat) naming file and field; an unknown model_type throws Error(Unsupported).
ModelConfig parseModelConfig(const std::string &jsonText, const std::string &fileName);

/// config.json text for \a config: \a config.rawJson with every shape-dependent key rewritten (num_hidden_layers,
/// intermediate_size, num_attention_heads, num_key_value_heads, explicit head_dim, layer_types cut with the layers,
/// per_layer_config when the blocks are not uniform) and `secateur` provenance (original block indices).
std::string writeModelConfig(const ModelConfig &config);

} // namespace secateur
