#pragma once

#include "backend/io/safetensors.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <random>
#include <string>
#include <vector>

namespace secateur {

/// The shape of a model made at test time.
struct TinyModelOptions {
    int layers = 4;
    int hiddenSize = 32;
    int intermediateSize = 48;
    int queryHeads = 4;
    int kvHeads = 2;
    int headDim = 8;
    int vocabulary = 264; ///< 256 bytes, three special tokens, rest unused
    bool tied = true;
    bool biases = false; ///< on q, k and v (qwen2)
    bool queryKeyNorm = false; ///< qwen3
    int maxPositions = 512;
    int slidingWindow = 0; ///< > 0: mistral
    std::uint64_t seed = 1;
    double scale = 0.1; ///< standard deviation of the matrices
    bool tokenizer = true; ///< write tokenizer files, needs a vocabulary of 259 at least
};

namespace tiny_model_detail {

/// N(0, 1) that does not depend on the standard library.
class Gaussian {
public:
    explicit Gaussian(std::uint64_t seed) : m_engine(seed) { }
    double operator()()
    {
        const double u = (static_cast<double>(m_engine() >> 11) + 0.5) / 9007199254740992.0;
        const double v = static_cast<double>(m_engine() >> 11) / 9007199254740992.0;
        return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
    }

private:
    std::mt19937_64 m_engine;
};

inline void writeText(const std::filesystem::path &path, const std::string &text)
{
    std::ofstream(path, std::ios::binary) << text;
}

inline std::string utf8(int codePoint)
{
    if (codePoint < 0x80)
        return std::string(1, static_cast<char>(codePoint));
    return {static_cast<char>(0xC0 | (codePoint >> 6)), static_cast<char>(0x80 | (codePoint & 0x3F))};
}

/// Byte-level BPE without merges: id = byte value; 256 end of text, 257 and 258 chat marks.
inline void writeByteTokenizer(const std::filesystem::path &folder)
{
    using nlohmann::json;
    json vocabulary = json::object();
    for (int byte = 0, shifted = 0; byte < 256; ++byte) {
        const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
        vocabulary[utf8(printable ? byte : 256 + shifted++)] = byte;
    }
    json added = json::array();
    const char *specials[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    for (int i = 0; i < 3; ++i) {
        vocabulary[specials[i]] = 256 + i;
        added.push_back({{"id", 256 + i},
                         {"content", specials[i]},
                         {"special", true},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false}});
    }
    const json byteLevel
        = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
    const json tokenizer = {{"version", "1.0"},
                            {"truncation", nullptr},
                            {"padding", nullptr},
                            {"added_tokens", added},
                            {"normalizer", nullptr},
                            {"pre_tokenizer", byteLevel},
                            {"post_processor", byteLevel},
                            {"decoder", byteLevel},
                            {"model",
                             {{"type", "BPE"},
                              {"dropout", nullptr},
                              {"unk_token", nullptr},
                              {"continuing_subword_prefix", nullptr},
                              {"end_of_word_suffix", nullptr},
                              {"fuse_unk", false},
                              {"byte_fallback", false},
                              {"vocab", vocabulary},
                              {"merges", json::array()}}}};
    writeText(folder / "tokenizer.json", tokenizer.dump(1));
    const json config = {
        {"tokenizer_class", "PreTrainedTokenizerFast"},
        {"bos_token", "<|endoftext|>"},
        {"eos_token", "<|im_end|>"},
        {"pad_token", "<|endoftext|>"},
        {"chat_template",
         "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
         "+ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"}};
    writeText(folder / "tokenizer_config.json", config.dump(1));
}

} // namespace tiny_model_detail

/// Writes config.json, model.safetensors (F32) and tokenizer files into \a folder, which is created.
/// The same options always give the same bytes.
inline void writeTinyModel(const std::filesystem::path &folder, const TinyModelOptions &options = {})
{
    using nlohmann::json;
    std::filesystem::create_directories(folder);
    const std::string type = options.queryKeyNorm ? "qwen3"
        : options.biases                          ? "qwen2"
        : options.slidingWindow > 0               ? "mistral"
                                                  : "llama";
    const std::string architecture = options.queryKeyNorm ? "Qwen3ForCausalLM"
        : options.biases                                  ? "Qwen2ForCausalLM"
        : options.slidingWindow > 0                       ? "MistralForCausalLM"
                                                          : "LlamaForCausalLM";
    json config = {{"architectures", {architecture}},
                   {"model_type", type},
                   {"hidden_act", "silu"},
                   {"hidden_size", options.hiddenSize},
                   {"intermediate_size", options.intermediateSize},
                   {"num_hidden_layers", options.layers},
                   {"num_attention_heads", options.queryHeads},
                   {"num_key_value_heads", options.kvHeads},
                   {"head_dim", options.headDim},
                   {"vocab_size", options.vocabulary},
                   {"max_position_embeddings", options.maxPositions},
                   {"rms_norm_eps", 1e-5},
                   {"rope_theta", 10000.0},
                   {"tie_word_embeddings", options.tied},
                   {"torch_dtype", "float32"},
                   {"bos_token_id", 256},
                   {"eos_token_id", 258}};
    if (options.slidingWindow > 0)
        config["sliding_window"] = options.slidingWindow;
    tiny_model_detail::writeText(folder / "config.json", config.dump(2));

    tiny_model_detail::Gaussian gaussian(options.seed);
    std::vector<std::string> names;
    std::vector<std::vector<std::int64_t>> shapes;
    std::vector<std::vector<float>> values;
    const auto add = [&](const std::string &name, std::vector<std::int64_t> shape, double mean, double deviation) {
        std::int64_t count = 1;
        for (const std::int64_t size : shape)
            count *= size;
        std::vector<float> data(static_cast<std::size_t>(count));
        for (float &value : data)
            value = static_cast<float>(mean + deviation * gaussian());
        names.push_back(name);
        shapes.push_back(std::move(shape));
        values.push_back(std::move(data));
    };
    const std::int64_t hidden = options.hiddenSize;
    const std::int64_t queryWidth = std::int64_t{options.queryHeads} * options.headDim;
    const std::int64_t keyWidth = std::int64_t{options.kvHeads} * options.headDim;
    add("model.embed_tokens.weight", {options.vocabulary, hidden}, 0, options.scale);
    for (int layer = 0; layer < options.layers; ++layer) {
        const std::string prefix = "model.layers." + std::to_string(layer) + ".";
        add(prefix + "input_layernorm.weight", {hidden}, 1, 0.1);
        add(prefix + "self_attn.q_proj.weight", {queryWidth, hidden}, 0, options.scale);
        add(prefix + "self_attn.k_proj.weight", {keyWidth, hidden}, 0, options.scale);
        add(prefix + "self_attn.v_proj.weight", {keyWidth, hidden}, 0, options.scale);
        add(prefix + "self_attn.o_proj.weight", {hidden, queryWidth}, 0, options.scale);
        if (options.biases) {
            add(prefix + "self_attn.q_proj.bias", {queryWidth}, 0, options.scale);
            add(prefix + "self_attn.k_proj.bias", {keyWidth}, 0, options.scale);
            add(prefix + "self_attn.v_proj.bias", {keyWidth}, 0, options.scale);
        }
        if (options.queryKeyNorm) {
            add(prefix + "self_attn.q_norm.weight", {options.headDim}, 1, 0.1);
            add(prefix + "self_attn.k_norm.weight", {options.headDim}, 1, 0.1);
        }
        add(prefix + "post_attention_layernorm.weight", {hidden}, 1, 0.1);
        add(prefix + "mlp.gate_proj.weight", {options.intermediateSize, hidden}, 0, options.scale);
        add(prefix + "mlp.up_proj.weight", {options.intermediateSize, hidden}, 0, options.scale);
        add(prefix + "mlp.down_proj.weight", {hidden, options.intermediateSize}, 0, options.scale);
    }
    add("model.norm.weight", {hidden}, 1, 0.1);
    if (!options.tied)
        add("lm_head.weight", {options.vocabulary, hidden}, 0, options.scale);

    std::vector<TensorView> views;
    for (std::size_t i = 0; i < names.size(); ++i)
        views.push_back({names[i], "F32", shapes[i], std::as_bytes(std::span<const float>(values[i]))});
    writeSafetensors(folder / "model.safetensors", views);
    if (options.tokenizer && options.vocabulary >= 259)
        tiny_model_detail::writeByteTokenizer(folder);
}

} // namespace secateur
