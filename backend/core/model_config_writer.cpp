#include "backend/core/architecture.h"
#include "backend/core/error.h"
#include "backend/core/json_text.h"
#include "backend/core/model_config.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace secateur {

namespace {

using WriterJson = nlohmann::ordered_json;

/// The value that most blocks have: it becomes the global one, and the others become overrides.
int writerCommonValue(const ModelConfig &config, bool BlockShape::*present, int BlockShape::*value)
{
    std::map<int, int> counts;
    for (const BlockShape &block : config.blocks)
        if (block.*present)
            ++counts[block.*value];
    int common = 1; // stands in the file when no block has the part
    int most = 0;
    for (const auto &[number, count] : counts)
        if (count >= most) {
            common = number;
            most = count;
        }
    return common;
}

/// Everything a configuration says when it was not read from a file.
WriterJson writerFreshConfig(const ModelConfig &config)
{
    WriterJson json = WriterJson::object();
    json["architectures"] = WriterJson::array({config.architecture});
    json["model_type"] = config.modelType;
    json["hidden_act"] = "silu";
    json["max_position_embeddings"] = config.maxPositions;
    json["rms_norm_eps"] = config.rmsNormEps;
    json["vocab_size"] = config.vocabSize;
    if (config.bosTokenId >= 0)
        json["bos_token_id"] = config.bosTokenId;
    if (config.eosTokenIds.size() == 1)
        json["eos_token_id"] = config.eosTokenIds.front();
    else if (!config.eosTokenIds.empty())
        json["eos_token_id"] = config.eosTokenIds;
    if (const Architecture *family = findArchitecture(config.modelType)) {
        // one key may cover several linears; those that differ from it are named as provenance
        const auto setBias = [&json](const Architecture::Bias &bias, bool value) {
            if (const std::string *key = std::get_if<std::string>(&bias))
                json[*key] = json.value(*key, true) && value;
        };
        setBias(family->queryKeyValueBias, config.attentionBias);
        setBias(family->outputBias, config.attentionOutputBias);
        setBias(family->mlpBias, config.mlpBias && config.mlpOutputBias);
        if (family->window != Architecture::Window::Never)
            json["sliding_window"] = config.slidingWindow > 0 ? WriterJson(config.slidingWindow) : WriterJson();
        if (family->window == Architecture::Window::IfUsed) {
            json["use_sliding_window"] = config.slidingWindow > 0;
            json["max_window_layers"] = config.slidingWindow > 0 ? 0 : config.layers();
        }
    }
    json["rope_theta"] = config.rope.theta;
    WriterJson scaling;
    const RopeConfig &rope = config.rope;
    switch (rope.scaling) {
    case RopeConfig::Scaling::None:
        break;
    case RopeConfig::Scaling::Linear:
        scaling = {{"rope_type", "linear"}, {"factor", rope.factor}};
        break;
    case RopeConfig::Scaling::Llama3:
        scaling = {{"rope_type", "llama3"},
                   {"factor", rope.factor},
                   {"low_freq_factor", rope.lowFrequencyFactor},
                   {"high_freq_factor", rope.highFrequencyFactor},
                   {"original_max_position_embeddings", rope.originalMaxPositions}};
        break;
    case RopeConfig::Scaling::Yarn:
        scaling = {{"rope_type", "yarn"},
                   {"factor", rope.factor},
                   {"beta_fast", rope.betaFast},
                   {"beta_slow", rope.betaSlow},
                   {"original_max_position_embeddings", rope.originalMaxPositions}};
        if (rope.attentionFactor > 0)
            scaling["attention_factor"] = rope.attentionFactor;
        break;
    }
    json["rope_scaling"] = scaling;
    return json;
}

/// Original block numbers of the layers that the text being rewritten describes.
std::vector<int> writerOriginalsOf(const WriterJson &json)
{
    const auto count = json.contains("num_hidden_layers") && json["num_hidden_layers"].is_number_unsigned()
        ? json["num_hidden_layers"].get<std::size_t>()
        : 0;
    if (json.contains("secateur") && json["secateur"].is_object()) {
        const WriterJson indices = json["secateur"].value("original_blocks", WriterJson());
        if (indices.is_array() && indices.size() == count
            && std::all_of(indices.begin(), indices.end(), [](const WriterJson &i) { return i.is_number_integer(); }))
            return indices.get<std::vector<int>>();
    }
    std::vector<int> indices(count);
    for (std::size_t i = 0; i < count; ++i)
        indices[i] = static_cast<int>(i);
    return indices;
}

bool writerNamesLayers(const std::string &key)
{
    return key == "layer_types" || key.ends_with("_layer_types") || key.ends_with("_layers");
}

/// true for [0, 1, 2, …]: every layer by its index. Two entries could as well be flags, and are taken for those.
bool writerListsEveryLayer(const WriterJson &list)
{
    for (std::size_t i = 0; i < list.size(); ++i)
        if (list[i] != i)
            return false;
    return list.size() > 2;
}

/// Cuts lists with one entry per layer and renumbers lists of layer indices.
void writerCutLayerLists(WriterJson &json, const ModelConfig &config)
{
    const std::vector<int> before = writerOriginalsOf(json);
    std::map<std::int64_t, std::int64_t> newIndex; // place in the old list → place in the new one
    for (std::size_t i = 0; i < config.blocks.size(); ++i) {
        const auto it = std::find(before.begin(), before.end(), config.blocks[i].originalIndex);
        if (it != before.end())
            newIndex[it - before.begin()] = static_cast<std::int64_t>(i);
    }
    for (auto &[key, value] : json.items()) {
        if (!writerNamesLayers(key) || !value.is_array())
            continue;
        WriterJson cut = WriterJson::array();
        if (value.size() == before.size() && !writerListsEveryLayer(value)) {
            for (std::size_t i = 0; i < value.size(); ++i)
                if (newIndex.contains(static_cast<std::int64_t>(i)))
                    cut.push_back(value[i]);
        } else {
            for (const WriterJson &index : value)
                if (index.is_number_integer() && newIndex.contains(index.get<std::int64_t>()))
                    cut.push_back(newIndex[index.get<std::int64_t>()]);
        }
        value = std::move(cut);
    }
}

WriterJson writerPerLayerConfig(const ModelConfig &config, const BlockShape &common)
{
    WriterJson layers = WriterJson::object();
    for (std::size_t i = 0; i < config.blocks.size(); ++i) {
        const BlockShape &block = config.blocks[i];
        WriterJson layer = WriterJson::object();
        if (block.hasAttention && block.queryHeads != common.queryHeads)
            layer["num_attention_heads"] = block.queryHeads;
        if (block.hasAttention && block.kvHeads != common.kvHeads)
            layer["num_key_value_heads"] = block.kvHeads;
        if (block.hasMlp && block.intermediateSize != common.intermediateSize)
            layer["intermediate_size"] = block.intermediateSize;
        if (!block.hasAttention)
            layer["skip"].push_back("attention");
        if (!block.hasMlp)
            layer["skip"].push_back("mlp");
        if (!layer.empty())
            layers[std::to_string(i)] = std::move(layer);
    }
    return layers;
}

} // namespace

std::string writeModelConfig(const ModelConfig &config)
{
    WriterJson json
        = config.rawJson.empty() ? writerFreshConfig(config) : parseOrderedJson(config.rawJson, "config.json");
    if (!json.is_object())
        throw Error(ErrorKind::BadFormat, "config.json does not hold a JSON object.");
    writerCutLayerLists(json, config);

    BlockShape common;
    common.queryHeads = writerCommonValue(config, &BlockShape::hasAttention, &BlockShape::queryHeads);
    common.kvHeads = writerCommonValue(config, &BlockShape::hasAttention, &BlockShape::kvHeads);
    if (common.queryHeads % common.kvHeads != 0) // taken from different blocks
        common.kvHeads = common.queryHeads;
    common.intermediateSize = writerCommonValue(config, &BlockShape::hasMlp, &BlockShape::intermediateSize);

    json["num_hidden_layers"] = config.layers();
    json["hidden_size"] = config.hiddenSize;
    json["intermediate_size"] = common.intermediateSize;
    json["num_attention_heads"] = common.queryHeads;
    json["num_key_value_heads"] = common.kvHeads;
    json["head_dim"] = config.headDim;
    json["vocab_size"] = config.vocabSize;
    json["tie_word_embeddings"] = config.tiedEmbeddings;
    if (!config.dtype.empty()) {
        if (json.contains("dtype"))
            json["dtype"] = config.dtype;
        if (json.contains("torch_dtype") || !json.contains("dtype"))
            json["torch_dtype"] = config.dtype;
    }
    if (WriterJson layers = writerPerLayerConfig(config, common); layers.empty())
        json.erase("per_layer_config");
    else
        json["per_layer_config"] = std::move(layers);

    WriterJson provenance = json.value("secateur", WriterJson::object());
    if (!provenance.is_object())
        provenance = WriterJson::object();
    for (const char *key :
         {"original_blocks", "attention_bias", "attention_output_bias", "mlp_bias", "mlp_output_bias", "ranks"})
        provenance.erase(key);
    for (std::size_t i = 0; i < config.blocks.size(); ++i) {
        provenance["original_blocks"].push_back(config.blocks[i].originalIndex);
        if (!config.blocks[i].ranks.empty())
            provenance["ranks"][std::to_string(i)] = config.blocks[i].ranks;
    }
    json.erase("secateur");
    // Biases that the family's own keys cannot express, such as those of FLAP on the output projections.
    const ModelConfig readBack = parseModelConfig(json.dump(), "config.json");
    if (readBack.attentionBias != config.attentionBias)
        provenance["attention_bias"] = config.attentionBias;
    if (readBack.attentionOutputBias != config.attentionOutputBias)
        provenance["attention_output_bias"] = config.attentionOutputBias;
    if (readBack.mlpBias != config.mlpBias)
        provenance["mlp_bias"] = config.mlpBias;
    if (readBack.mlpOutputBias != config.mlpOutputBias)
        provenance["mlp_output_bias"] = config.mlpOutputBias;
    json["secateur"] = std::move(provenance);
    return json.dump(2) + "\n";
}

} // namespace secateur
