#include "backend/core/architecture.h"
#include "backend/core/error.h"
#include "backend/core/json_text.h"
#include "backend/core/model_config.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace secateur {

namespace {

using ConfigJson = nlohmann::json;

// Far above any real model, far below what would overflow a product of two of them times the layers.
constexpr std::int64_t kConfigMaxLayers = 16384;
constexpr std::int64_t kConfigMaxWidth = 1 << 22;
constexpr std::int64_t kConfigMaxHeads = 1 << 16;
constexpr std::int64_t kConfigMaxVocabulary = 1 << 26;

std::string configValueText(const ConfigJson &value)
{
    std::string text = value.dump(-1, ' ', true);
    if (text.size() > 60)
        text = text.substr(0, 57) + "...";
    return text;
}

/// An object of the file with the path to it, so that every complaint names file and field.
class ConfigObject {
public:
    ConfigObject(const ConfigJson &object, const std::string &file, std::string prefix = {})
        : m_object(object), m_file(file), m_prefix(std::move(prefix))
    {
        if (!object.is_object())
            throw Error(ErrorKind::BadFormat,
                        m_prefix.empty() ? m_file + " does not hold a JSON object."
                                         : m_file + ": " + m_prefix.substr(0, m_prefix.size() - 1)
                                + " must be an object, not " + configValueText(object) + ".");
    }

    /// nullptr when absent or null.
    const ConfigJson *find(const char *key) const
    {
        const auto it = m_object.find(key);
        return it == m_object.end() || it->is_null() ? nullptr : &*it;
    }
    bool mentions(const char *key) const { return m_object.contains(key); }
    const ConfigJson &json() const { return m_object; }

    [[noreturn]] void fail(const std::string &key, const std::string &problem) const
    {
        throw Error(ErrorKind::BadFormat, m_file + ": " + m_prefix + key + " " + problem + ".",
                    "Compare the file with the one that the model's authors publish.");
    }
    [[noreturn]] void unsupported(const std::string &key, const std::string &problem) const
    {
        throw Error(ErrorKind::Unsupported, m_file + ": " + m_prefix + key + " " + problem + ".",
                    "The model can be inspected, but not run or pruned.");
    }

    std::int64_t integer(const char *key, std::int64_t low, std::int64_t high) const
    {
        const ConfigJson *value = find(key);
        if (!value)
            fail(key, "is missing");
        return checkedInteger(key, *value, low, high);
    }
    std::int64_t integerOr(const char *key, std::int64_t fallback, std::int64_t low, std::int64_t high) const
    {
        const ConfigJson *value = find(key);
        return value ? checkedInteger(key, *value, low, high) : fallback;
    }
    std::int64_t checkedInteger(const std::string &key, const ConfigJson &value, std::int64_t low,
                                std::int64_t high) const
    {
        const bool fits = value.is_number_integer()
            && (!value.is_number_unsigned()
                || value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
        if (!fits || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high)
            fail(key,
                 "is " + configValueText(value) + ", but must be a whole number from " + std::to_string(low) + " to "
                     + std::to_string(high));
        return value.get<std::int64_t>();
    }
    double numberOr(const char *key, double fallback, double low, double high) const
    {
        const ConfigJson *value = find(key);
        if (!value)
            return fallback;
        if (!value->is_number() || !(value->get<double>() >= low && value->get<double>() <= high))
            fail(key, "is " + configValueText(*value) + ", which is no number in the possible range");
        return value->get<double>();
    }
    double number(const char *key, double low, double high) const
    {
        if (!find(key))
            fail(key, "is missing");
        return numberOr(key, 0, low, high);
    }
    bool booleanOr(const char *key, bool fallback) const
    {
        const ConfigJson *value = find(key);
        if (!value)
            return fallback;
        if (!value->is_boolean())
            fail(key, "is " + configValueText(*value) + ", but must be true or false");
        return value->get<bool>();
    }
    std::string textOr(const char *key, const std::string &fallback) const
    {
        const ConfigJson *value = find(key);
        if (!value)
            return fallback;
        if (!value->is_string())
            fail(key, "is " + configValueText(*value) + ", but must be a text");
        return value->get<std::string>();
    }
    ConfigObject object(const char *key) const { return ConfigObject(*find(key), m_file, m_prefix + key + "."); }
    ConfigObject object(const std::string &key, const ConfigJson &value) const
    {
        return ConfigObject(value, m_file, m_prefix + key + ".");
    }

private:
    const ConfigJson &m_object;
    const std::string &m_file;
    std::string m_prefix;
};

constexpr double kConfigMaxFactor = 1e9;

/// The magnitude correction of YaRN (arXiv 2309.00071, section 3.4) with the factor \a mscale of later models.
double configYarnMagnitude(double factor, double mscale)
{
    return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

void readYarn(const ConfigObject &source, ModelConfig &config)
{
    RopeConfig &rope = config.rope;
    rope.scaling = RopeConfig::Scaling::Yarn;
    rope.factor = source.numberOr("factor", static_cast<double>(config.maxPositions) / rope.originalMaxPositions, 1e-6,
                                  kConfigMaxFactor);
    rope.betaFast = source.numberOr("beta_fast", 32.0, 0, kConfigMaxFactor);
    rope.betaSlow = source.numberOr("beta_slow", 1.0, 0, kConfigMaxFactor);
    // A zero counts as "not given" for these two.
    rope.betaFast = rope.betaFast == 0 ? 32.0 : rope.betaFast;
    rope.betaSlow = rope.betaSlow == 0 ? 1.0 : rope.betaSlow;
    if (!source.booleanOr("truncate", true))
        source.unsupported("truncate", "is false, and only the truncated form of YaRN is known");
    rope.attentionFactor = source.numberOr("attention_factor", 0.0, 0, kConfigMaxFactor);
    const double mscale = source.numberOr("mscale", 0.0, 0, kConfigMaxFactor);
    const double mscaleAll = source.numberOr("mscale_all_dim", 0.0, 0, kConfigMaxFactor);
    if (rope.attentionFactor == 0 && mscale > 0 && mscaleAll > 0)
        rope.attentionFactor = configYarnMagnitude(rope.factor, mscale) / configYarnMagnitude(rope.factor, mscaleAll);
}

void readRope(const ConfigObject &root, const Architecture &family, ModelConfig &config)
{
    RopeConfig &rope = config.rope;
    rope.theta = root.numberOr("rope_theta", family.ropeTheta, 1e-3, 1e15);
    if (root.numberOr("partial_rotary_factor", 1.0, 0, 1) != 1.0)
        root.unsupported("partial_rotary_factor", "is not 1, and partly rotated heads are not known");
    // The older form comes first, unless it is empty: transformers lets it win as well.
    const ConfigJson *scaling = root.find("rope_scaling");
    const char *key = nullptr;
    if (scaling && !scaling->empty())
        key = "rope_scaling";
    else if (root.find("rope_parameters"))
        key = "rope_parameters";
    if (!key)
        return;
    const ConfigObject source = root.object(key);
    for (const char *layerType : {"full_attention", "sliding_attention"})
        if (source.find(layerType))
            source.unsupported(layerType, "gives each kind of layer its own rotary embedding, which is not known");
    rope.theta = source.numberOr("rope_theta", rope.theta, 1e-3, 1e15);
    if (source.numberOr("partial_rotary_factor", 1.0, 0, 1) != 1.0)
        source.unsupported("partial_rotary_factor", "is not 1, and partly rotated heads are not known");
    const std::string type = source.textOr("rope_type", source.textOr("type", "default"));
    if (type == "default")
        return;
    if (type == "linear") {
        rope.scaling = RopeConfig::Scaling::Linear;
        rope.factor = source.number("factor", 1e-6, kConfigMaxFactor);
        return;
    }
    if (type != "llama3" && type != "yarn")
        source.unsupported("rope_type", "is \"" + type + "\"; known are default, linear, llama3 and yarn");
    constexpr std::int64_t maxPositions = std::numeric_limits<int>::max();
    rope.originalMaxPositions = root.integerOr(
        "original_max_position_embeddings",
        source.integerOr("original_max_position_embeddings", config.maxPositions, 1, maxPositions), 1, maxPositions);
    if (type == "yarn") {
        readYarn(source, config);
        return;
    }
    rope.scaling = RopeConfig::Scaling::Llama3;
    rope.factor = source.number("factor", 1e-6, kConfigMaxFactor);
    rope.lowFrequencyFactor = source.number("low_freq_factor", 1e-6, kConfigMaxFactor);
    rope.highFrequencyFactor = source.number("high_freq_factor", 1e-6, kConfigMaxFactor);
    if (rope.highFrequencyFactor <= rope.lowFrequencyFactor)
        source.fail("high_freq_factor", "must be larger than low_freq_factor");
}

/// One window for all layers or none; which layers slide may be said by a list or by a number.
int readSlidingWindow(const ConfigObject &root, const Architecture &family, const ModelConfig &config)
{
    using Window = Architecture::Window;
    if (family.window == Window::Never)
        return 0;
    if (family.window == Window::IfUsed && !root.booleanOr("use_sliding_window", false))
        return 0;
    const std::int64_t fallback = root.mentions("sliding_window") ? 0 : 4096;
    const auto window
        = static_cast<int>(root.integerOr("sliding_window", fallback, 0, std::numeric_limits<int>::max()));
    if (window == 0 || family.window == Window::Always)
        return window;
    std::int64_t sliding = 0;
    if (const ConfigJson *types = root.find("layer_types")) {
        if (!types->is_array() || types->size() != config.blocks.size())
            root.fail("layer_types", "must be a list with one entry per layer");
        sliding = std::count(types->begin(), types->end(), ConfigJson("sliding_attention"));
    } else {
        sliding = config.layers()
            - std::min<std::int64_t>(config.layers(), root.integerOr("max_window_layers", 28, 0, 1 << 30));
    }
    if (sliding == 0 || window >= config.maxPositions)
        return 0;
    if (sliding != config.layers())
        root.unsupported("sliding_window",
                         "applies to only " + std::to_string(sliding) + " of " + std::to_string(config.layers())
                             + " layers, and mixed layers are not known");
    return window;
}

/// The layer that \a key of \a layers means.
std::size_t configLayerIndex(const ConfigObject &layers, const std::string &key, const ModelConfig &config)
{
    int index = -1;
    const auto parsed = std::from_chars(key.data(), key.data() + key.size(), index);
    if (parsed.ec != std::errc() || parsed.ptr != key.data() + key.size() || index < 0 || index >= config.layers())
        layers.fail("\"" + key + "\"", "is no layer from 0 to " + std::to_string(config.layers() - 1));
    return static_cast<std::size_t>(index);
}

/// The configuration's `per_layer_config`: sparse overrides, string keys, zero-based.
void readPerLayerConfig(const ConfigObject &root, ModelConfig &config)
{
    if (!root.find("per_layer_config"))
        return;
    const ConfigObject layers = root.object("per_layer_config");
    for (const auto &[key, value] : layers.json().items()) {
        const ConfigObject layer = layers.object(key, value);
        BlockShape &block = config.blocks[configLayerIndex(layers, key, config)];
        block.intermediateSize
            = static_cast<int>(layer.integerOr("intermediate_size", block.intermediateSize, 1, kConfigMaxWidth));
        block.queryHeads
            = static_cast<int>(layer.integerOr("num_attention_heads", block.queryHeads, 1, kConfigMaxHeads));
        block.kvHeads = static_cast<int>(layer.integerOr("num_key_value_heads", block.kvHeads, 1, kConfigMaxHeads));
        for (const auto &[name, entry] : value.items()) {
            if (name == "intermediate_size" || name == "num_attention_heads" || name == "num_key_value_heads")
                continue;
            if (name != "skip") {
                if (root.find(name.c_str()) && *root.find(name.c_str()) == entry)
                    continue;
                layer.unsupported(name, "changes from layer to layer, which is not known");
            }
            if (!entry.is_array())
                layer.fail(name, "must be a list");
            for (const ConfigJson &part : entry) {
                if (part == "attention" || part == "self_attn")
                    block.hasAttention = false;
                else if (part == "mlp")
                    block.hasMlp = false;
                else
                    layer.unsupported(name, "lists " + configValueText(part) + "; known are attention and mlp");
            }
        }
        if (!block.hasAttention)
            block.queryHeads = block.kvHeads = 0;
        if (!block.hasMlp)
            block.intermediateSize = 0;
    }
}

bool readBias(const ConfigObject &root, const Architecture::Bias &bias)
{
    if (const std::string *key = std::get_if<std::string>(&bias))
        return root.booleanOr(key->c_str(), false);
    return std::get<bool>(bias);
}

/// Factored linears by layer: {"3": {"q_proj": 16}}.
void readRanks(const ConfigObject &provenance, ModelConfig &config)
{
    if (!provenance.find("ranks"))
        return;
    const ConfigObject layers = provenance.object("ranks");
    for (const auto &[key, value] : layers.json().items()) {
        const ConfigObject layer = layers.object(key, value);
        BlockShape &block = config.blocks[configLayerIndex(layers, key, config)];
        for (const auto &[linear, rank] : value.items()) {
            static constexpr std::array<std::string_view, 7> linears
                = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
            const auto at = std::find(linears.begin(), linears.end(), linear);
            if (at == linears.end() || !(at - linears.begin() < 4 ? block.hasAttention : block.hasMlp))
                layer.fail(linear, "is no linear of this layer");
            block.ranks[linear] = static_cast<int>(layer.checkedInteger(linear, rank, 1, kConfigMaxWidth));
        }
    }
}

/// What an earlier export of this program left in the file.
void readProvenance(const ConfigObject &root, ModelConfig &config)
{
    if (!root.find("secateur"))
        return;
    const ConfigObject provenance = root.object("secateur");
    config.attentionBias = provenance.booleanOr("attention_bias", config.attentionBias);
    config.attentionOutputBias = provenance.booleanOr("attention_output_bias", config.attentionOutputBias);
    config.mlpBias = provenance.booleanOr("mlp_bias", config.mlpBias);
    config.mlpOutputBias = provenance.booleanOr("mlp_output_bias", config.mlpOutputBias);
    readRanks(provenance, config);
    const ConfigJson *indices = provenance.find("original_blocks");
    if (!indices)
        return;
    if (!indices->is_array())
        provenance.fail("original_blocks", "must be a list");
    // Another tool may have changed the layers and copied this key: then it says nothing any more.
    if (indices->size() != config.blocks.size())
        return;
    std::int64_t previous = -1;
    for (std::size_t i = 0; i < indices->size(); ++i) {
        previous = provenance.checkedInteger("original_blocks", (*indices)[i], previous + 1, kConfigMaxLayers - 1);
        config.blocks[i].originalIndex = static_cast<int>(previous);
    }
}

void readTokenIds(const ConfigObject &root, ModelConfig &config)
{
    // Out-of-range ids such as -1 stand for "none" in published files.
    constexpr std::int64_t low = std::numeric_limits<int>::min();
    constexpr std::int64_t high = std::numeric_limits<int>::max();
    config.bosTokenId = static_cast<int>(std::max<std::int64_t>(-1, root.integerOr("bos_token_id", -1, low, high)));
    const ConfigJson *eos = root.find("eos_token_id");
    if (!eos)
        return;
    const ConfigJson list = eos->is_array() ? *eos : ConfigJson::array({*eos});
    for (const ConfigJson &value : list) {
        const auto id = static_cast<int>(root.checkedInteger("eos_token_id", value, low, high));
        if (id >= 0 && std::find(config.eosTokenIds.begin(), config.eosTokenIds.end(), id) == config.eosTokenIds.end())
            config.eosTokenIds.push_back(id);
    }
}

void readHeads(const ConfigObject &root, const Architecture &family, ModelConfig &config, BlockShape &shape)
{
    shape.queryHeads = static_cast<int>(root.integer("num_attention_heads", 1, kConfigMaxHeads));
    if (!root.mentions("num_key_value_heads") && family.kvHeadsRequired)
        root.fail("num_key_value_heads", "is missing");
    shape.kvHeads = static_cast<int>(root.integerOr("num_key_value_heads", shape.queryHeads, 1, kConfigMaxHeads));

    std::int64_t headDim = root.integerOr("head_dim", family.headDim, 1, kConfigMaxWidth);
    if (headDim == 0) {
        if (config.hiddenSize % shape.queryHeads != 0)
            root.fail("num_attention_heads",
                      "is " + std::to_string(shape.queryHeads) + ", which does not divide hidden_size "
                          + std::to_string(config.hiddenSize) + ", and there is no head_dim");
        headDim = config.hiddenSize / shape.queryHeads;
    }
    if (headDim % 2 != 0)
        root.fail("head_dim", "is " + std::to_string(headDim) + ", but rotary embeddings need an even number");
    if (headDim * shape.queryHeads > kConfigMaxWidth)
        root.fail("head_dim",
                  "times num_attention_heads is " + std::to_string(headDim * shape.queryHeads)
                      + ", which is beyond any real model");
    config.headDim = static_cast<int>(headDim);
}

void checkHeadGroups(const ConfigObject &root, const ModelConfig &config)
{
    for (std::size_t i = 0; i < config.blocks.size(); ++i) {
        const BlockShape &block = config.blocks[i];
        if (block.hasAttention && block.queryHeads % block.kvHeads != 0)
            root.fail("num_attention_heads",
                      "is " + std::to_string(block.queryHeads) + " in layer " + std::to_string(i)
                          + ", but must be a multiple of num_key_value_heads, " + std::to_string(block.kvHeads));
    }
}

std::string readDtype(const ConfigObject &root)
{
    std::string dtype = root.textOr("dtype", root.textOr("torch_dtype", "float32"));
    if (dtype.starts_with("torch."))
        dtype.erase(0, 6);
    return dtype;
}

} // namespace

ModelConfig parseModelConfig(const std::string &jsonText, const std::string &fileName)
{
    const ConfigJson json = parseJson(jsonText, fileName);
    const ConfigObject root(json, fileName);

    ModelConfig config;
    config.rawJson = jsonText;
    if (!root.find("model_type"))
        root.fail("model_type", "is missing");
    config.modelType = root.textOr("model_type", {});
    const Architecture *family = findArchitecture(config.modelType);
    if (!family)
        root.unsupported("model_type", "is \"" + config.modelType + "\"; known are " + knownArchitectures());
    config.architecture = family->className;
    if (const ConfigJson *architectures = root.find("architectures")) {
        if (!architectures->is_array() || (!architectures->empty() && !architectures->front().is_string()))
            root.fail("architectures", "must be a list of texts");
        if (!architectures->empty())
            config.architecture = architectures->front().get<std::string>();
        if (!config.architecture.ends_with("ForCausalLM"))
            root.unsupported("architectures", "is \"" + config.architecture + "\", which is no causal language model");
    }
    if (root.find("quantization_config"))
        root.unsupported("quantization_config", "is set: the weights are stored in a quantised form that is not known");
    if (const std::string activation = root.textOr("hidden_act", "silu"); activation != "silu" && activation != "swish")
        root.unsupported("hidden_act", "is \"" + activation + "\"; known is silu");

    config.hiddenSize = static_cast<int>(root.integer("hidden_size", 1, kConfigMaxWidth));
    config.vocabSize = static_cast<int>(root.integer("vocab_size", 1, kConfigMaxVocabulary));
    config.maxPositions = static_cast<int>(
        root.integerOr("max_position_embeddings", family->maxPositions, 1, std::numeric_limits<int>::max()));
    config.rmsNormEps = root.numberOr("rms_norm_eps", family->rmsNormEps, 0, 1);
    config.tiedEmbeddings = root.booleanOr("tie_word_embeddings", family->tiedEmbeddings);
    config.queryKeyNorm = family->queryKeyNorm;
    config.attentionBias = readBias(root, family->queryKeyValueBias);
    config.attentionOutputBias = readBias(root, family->outputBias);
    config.mlpBias = config.mlpOutputBias = readBias(root, family->mlpBias);
    config.dtype = readDtype(root);
    readTokenIds(root, config);

    BlockShape shape;
    readHeads(root, *family, config, shape);
    shape.intermediateSize = static_cast<int>(root.integer("intermediate_size", 1, kConfigMaxWidth));
    config.blocks.assign(static_cast<std::size_t>(root.integer("num_hidden_layers", 1, kConfigMaxLayers)), shape);
    for (std::size_t i = 0; i < config.blocks.size(); ++i)
        config.blocks[i].originalIndex = static_cast<int>(i);

    readRope(root, *family, config);
    config.slidingWindow = readSlidingWindow(root, *family, config);
    readPerLayerConfig(root, config);
    checkHeadGroups(root, config);
    readProvenance(root, config);
    return config;
}

} // namespace secateur
