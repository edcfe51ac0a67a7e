#include "backend/core/architecture.h"
#include "backend/core/error.h"
#include "backend/io/dequantize.h"
#include "backend/io/digest.h"
#include "backend/io/gguf_file.h"
#include "backend/io/weight_sources.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

namespace secateur {

namespace {

using GgufJson = nlohmann::ordered_json;

/// A number that was stored as f32 as the decimal that was meant: 1e-05, not 9.999999747378752e-06.
double ggufDecimal(double value)
{
    const auto narrow = static_cast<float>(value);
    if (static_cast<double>(narrow) != value)
        return value;
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, narrow).ptr;
    std::from_chars(text, end, value);
    return value;
}

/// The metadata of one architecture, read with messages that name file and key.
class GgufModelReader {
public:
    explicit GgufModelReader(const GgufFile &file)
        : m_file(file),
          m_name(file.file().path().filename().string()),
          m_architecture(file.string("general.architecture").value_or(""))
    { }

    const std::string &architecture() const { return m_architecture; }
    std::string key(const std::string &suffix) const { return m_architecture + "." + suffix; }

    [[noreturn]] void fail(const std::string &problem) const
    {
        throw Error(ErrorKind::BadFormat, m_name + ": " + problem + ".", "Download or convert the model again.");
    }
    [[noreturn]] void unsupported(const std::string &problem) const
    {
        throw Error(ErrorKind::Unsupported, m_name + ": " + problem + ".",
                    "The model can be inspected, but not run or pruned.");
    }

    std::int64_t integer(const std::string &suffix) const
    {
        const auto value = m_file.integer(key(suffix));
        if (!value)
            fail(key(suffix) + " is missing");
        return *value;
    }
    std::optional<double> number(const std::string &suffix) const
    {
        const auto value = m_file.number(key(suffix));
        return value ? std::optional(ggufDecimal(*value)) : std::nullopt;
    }
    /// One number per layer, from one number or a list.
    std::vector<std::int64_t> perLayer(const std::string &suffix, std::size_t layers,
                                       std::optional<std::int64_t> fallback = {}) const
    {
        if (const auto *list = m_file.integers(key(suffix))) {
            if (list->size() != layers)
                fail(key(suffix) + " has " + std::to_string(list->size()) + " entries for " + std::to_string(layers)
                     + " layers");
            return *list;
        }
        const auto value = m_file.integer(key(suffix));
        return std::vector<std::int64_t>(layers, value || !fallback ? integer(suffix) : *fallback);
    }

    void readShape(GgufJson &json) const;
    void readRope(GgufJson &json) const;
    void readTokens(GgufJson &json) const;

private:
    GgufJson ropeFromFactors(const TensorInfo &tensor, double theta) const;
    GgufJson ropeFromKeys(const std::string &type) const;

    const GgufFile &m_file;
    std::string m_name;
    std::string m_architecture;
};

void GgufModelReader::readShape(GgufJson &json) const
{
    const std::int64_t layerCount = integer("block_count");
    if (layerCount < 1 || layerCount > 16384)
        fail(key("block_count") + " is " + std::to_string(layerCount));
    const auto layers = static_cast<std::size_t>(layerCount);
    const std::int64_t hidden = integer("embedding_length");
    const auto queryHeads = perLayer("attention.head_count", layers);
    const auto widths = perLayer("feed_forward_length", layers);
    // Without its own key every query head has its own key and value.
    const bool grouped = m_file.metadata().contains(key("attention.head_count_kv"));
    const auto kvHeads = grouped ? perLayer("attention.head_count_kv", layers) : queryHeads;

    const auto firstNonZero = [](const std::vector<std::int64_t> &values) {
        const auto it = std::find_if(values.begin(), values.end(), [](std::int64_t value) { return value != 0; });
        return it == values.end() ? std::int64_t(1) : *it;
    };
    const std::int64_t heads = firstNonZero(queryHeads);
    std::int64_t headDim = m_file.integer(key("attention.key_length")).value_or(0);
    if (headDim == 0) {
        if (heads < 1 || hidden % heads != 0)
            fail(key("attention.head_count") + " is " + std::to_string(heads) + ", which does not divide "
                 + key("embedding_length") + ", " + std::to_string(hidden));
        headDim = hidden / heads;
    }
    if (m_file.integer(key("attention.value_length")).value_or(headDim) != headDim)
        unsupported(key("attention.value_length") + " differs from the length of keys");
    if (m_file.integer(key("rope.dimension_count")).value_or(headDim) != headDim)
        unsupported(key("rope.dimension_count") + " is not the size of a head, and partly rotated heads are not known");

    json["hidden_size"] = hidden;
    json["num_hidden_layers"] = layerCount;
    json["num_attention_heads"] = heads;
    json["num_key_value_heads"] = firstNonZero(kvHeads);
    json["head_dim"] = headDim;
    json["intermediate_size"] = firstNonZero(widths);
    for (std::size_t i = 0; i < layers; ++i) {
        GgufJson layer = GgufJson::object();
        if (queryHeads[i] == 0 || kvHeads[i] == 0) {
            layer["skip"].push_back("attention");
        } else {
            if (queryHeads[i] != json["num_attention_heads"])
                layer["num_attention_heads"] = queryHeads[i];
            if (kvHeads[i] != json["num_key_value_heads"])
                layer["num_key_value_heads"] = kvHeads[i];
        }
        if (widths[i] == 0)
            layer["skip"].push_back("mlp");
        else if (widths[i] != json["intermediate_size"])
            layer["intermediate_size"] = widths[i];
        if (!layer.empty())
            json["per_layer_config"][std::to_string(i)] = std::move(layer);
    }
}

/// Llama 3 files hold the divisors of the frequencies instead of the rule that made them. The rule is taken back only
/// if it gives the very same divisors: wavelengths beyond 8192 / low are divided by the factor, those under 8192 / high
/// by 1, and between them the inverse is interpolated.
GgufJson GgufModelReader::ropeFromFactors(const TensorInfo &tensor, double theta) const
{
    constexpr double low = 1, high = 4;
    std::int64_t elements = 1;
    for (const std::int64_t extent : tensor.shape)
        elements *= extent;
    std::vector<float> divisors(static_cast<std::size_t>(std::min<std::int64_t>(elements, 1 << 16)));
    if (tensor.dtype != "F32" || tensor.bytes != divisors.size() * sizeof(float) || divisors.empty())
        unsupported("tensor \"" + tensor.name + "\" holds frequencies in an unknown form");
    dequantizerFor("F32")->convert(m_file.data(tensor).data(), divisors.size(), divisors.data());
    const double factor = *std::max_element(divisors.begin(), divisors.end());
    for (const std::int64_t original : {8192, 4096, 16384, 32768, 2048, 1024, 512, 256, 128, 64}) {
        bool same = factor >= 1;
        for (std::size_t i = 0; same && i < divisors.size(); ++i) {
            const double exponent = static_cast<double>(i) / static_cast<double>(divisors.size());
            const double wavelength = 2 * std::numbers::pi * std::pow(theta, exponent);
            const double share = (static_cast<double>(original) / wavelength - low) / (high - low);
            const double expected = 1 / ((1 - std::clamp(share, 0.0, 1.0)) / factor + std::clamp(share, 0.0, 1.0));
            same = std::abs(expected - divisors[i]) <= 1e-4 * expected;
        }
        if (same)
            return {{"rope_type", "llama3"},
                    {"factor", ggufDecimal(factor)},
                    {"low_freq_factor", low},
                    {"high_freq_factor", high},
                    {"original_max_position_embeddings", original}};
    }
    unsupported("tensor \"" + tensor.name + "\" scales the rotary frequencies by a rule that is not known");
}

GgufJson GgufModelReader::ropeFromKeys(const std::string &type) const
{
    const auto need = [this](const std::string &suffix) {
        const auto value = number("rope.scaling." + suffix);
        if (!value)
            fail(key("rope.scaling." + suffix) + " is missing");
        return *value;
    };
    if (type == "linear")
        return {{"rope_type", "linear"}, {"factor", need("factor")}};
    if (type == "llama3")
        return {{"rope_type", "llama3"},
                {"factor", need("factor")},
                {"low_freq_factor", need("low_freq_factor")},
                {"high_freq_factor", need("high_freq_factor")},
                {"original_max_position_embeddings", integer("rope.scaling.original_context_length")}};
    if (type != "yarn")
        unsupported(key("rope.scaling.type") + " is \"" + type + "\"; known are none, linear and yarn");
    GgufJson scaling = {{"rope_type", "yarn"},
                        {"factor", need("factor")},
                        {"original_max_position_embeddings", integer("rope.scaling.original_context_length")}};
    if (const auto fast = number("rope.scaling.yarn_beta_fast"))
        scaling["beta_fast"] = *fast;
    if (const auto slow = number("rope.scaling.yarn_beta_slow"))
        scaling["beta_slow"] = *slow;
    for (const char *suffix : {"attn_factor", "yarn_attn_factor", "yarn_ext_factor"})
        if (number(std::string("rope.scaling.") + suffix).value_or(1) != 1)
            unsupported(key(std::string("rope.scaling.") + suffix) + " is not 1, which is not known");
    return scaling;
}

void GgufModelReader::readRope(GgufJson &json) const
{
    const double theta = number("rope.freq_base").value_or(10000.0);
    json["rope_theta"] = theta;
    json["rope_scaling"] = nullptr;
    const std::string type = m_file.string(key("rope.scaling.type")).value_or("none");
    if (const TensorInfo *factors = m_file.find("rope_freqs.weight"); factors && type == "none")
        json["rope_scaling"] = ropeFromFactors(*factors, theta);
    else if (type != "none")
        json["rope_scaling"] = ropeFromKeys(type);
    else if (const auto old = number("rope.scale_linear").value_or(1); old != 1) // before rope.scaling.* existed
        json["rope_scaling"] = {{"rope_type", "linear"}, {"factor", old}};
}

void GgufModelReader::readTokens(GgufJson &json) const
{
    const auto bos = m_file.integer("tokenizer.ggml.bos_token_id");
    json["bos_token_id"] = bos ? GgufJson(*bos) : GgufJson();
    GgufJson eos = GgufJson::array();
    for (const char *name : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
        if (const auto id = m_file.integer(name); id && std::find(eos.begin(), eos.end(), *id) == eos.end())
            eos.push_back(*id);
    json["eos_token_id"] = eos.empty() ? GgufJson() : eos.size() == 1 ? eos.front() : eos;
    if (const auto pad = m_file.integer("tokenizer.ggml.padding_token_id"))
        json["pad_token_id"] = *pad;
}

std::unique_ptr<WeightFiles> ggufWeights(const std::shared_ptr<const GgufFile> &file,
                                         const std::optional<ModelConfig> &config)
{
    const Architecture *family = findGgufArchitecture(file->string("general.architecture").value_or(""));
    const bool permuted = config && family && family->ggufPermutedHeads;
    std::vector<WeightFiles::Entry> entries;
    for (const TensorInfo &tensor : file->tensors()) {
        WeightFiles::Entry entry{family ? family->ggufTensorName(tensor.name) : std::string(),
                                 tensor.dtype,
                                 tensor.shape,
                                 tensor.file,
                                 file->data(tensor),
                                 0};
        if (entry.name.empty())
            continue;
        const bool query = entry.name.find(".self_attn.q_proj.") != std::string::npos;
        const bool key = entry.name.find(".self_attn.k_proj.") != std::string::npos;
        if (permuted && (query || key)) {
            constexpr std::size_t prefix = std::char_traits<char>::length("model.layers.");
            std::size_t layer = config->blocks.size();
            std::from_chars(entry.name.data() + prefix, entry.name.data() + entry.name.size(), layer);
            if (layer < config->blocks.size())
                entry.permutedHeads = query ? config->blocks[layer].queryHeads : config->blocks[layer].kvHeads;
        }
        entries.push_back(std::move(entry));
    }
    return std::make_unique<ListedWeights>(std::move(entries), std::vector<std::shared_ptr<const void>>{file});
}

} // namespace

std::string ggufConfigJson(const GgufFile &file)
{
    const GgufModelReader reader(file);
    const Architecture *family = findGgufArchitecture(reader.architecture());
    if (!family)
        reader.unsupported("general.architecture is \"" + reader.architecture() + "\"; known are "
                           + knownArchitectures());
    if (file.integer(reader.key("expert_count")).value_or(0) > 0)
        reader.unsupported(reader.key("expert_count") + " is set: mixtures of experts are not known");
    if (file.integer("split.count").value_or(0) > 1)
        reader.unsupported("split.count is " + std::to_string(*file.integer("split.count"))
                           + ": join the parts with llama-gguf-split --merge first");
    const TensorInfo *embedding = file.find("token_embd.weight");
    if (!embedding || embedding->shape.size() != 2)
        reader.fail("the tensor token_embd.weight is missing or no matrix");

    GgufJson json = GgufJson::object();
    json["architectures"] = {family->className};
    json["model_type"] = family->modelType;
    json["hidden_act"] = "silu";
    reader.readShape(json);
    json["vocab_size"] = embedding->shape.front(); // the key vocab_size counts tokens, the table may be longer
    json["max_position_embeddings"] = reader.integer("context_length");
    const auto epsilon = reader.number("attention.layer_norm_rms_epsilon");
    if (!epsilon)
        reader.fail(reader.key("attention.layer_norm_rms_epsilon") + " is missing");
    json["rms_norm_eps"] = *epsilon;
    json["tie_word_embeddings"] = file.find("output.weight") == nullptr;
    reader.readRope(json);
    reader.readTokens(json);

    const auto setBias = [&](const Architecture::Bias &rule, const char *linear, const char *provenance) {
        const bool found = std::any_of(file.tensors().begin(), file.tensors().end(), [&](const TensorInfo &tensor) {
            return family->ggufTensorName(tensor.name).ends_with(std::string(linear) + ".bias");
        });
        bool said = false;
        if (const std::string *key = std::get_if<std::string>(&rule))
            said = json.emplace(*key, found).first->get<bool>(); // the first linear that asks decides
        else
            said = std::get<bool>(rule);
        if (found != said)
            json["secateur"][provenance] = found;
    };
    setBias(family->queryKeyValueBias, "q_proj", "attention_bias");
    setBias(family->outputBias, "o_proj", "attention_output_bias");
    setBias(family->mlpBias, "gate_proj", "mlp_bias");
    setBias(family->mlpBias, "down_proj", "mlp_output_bias");
    if (const auto *original = file.integers("secateur.original_blocks"))
        json["secateur"]["original_blocks"] = *original;
    // Quantised weights are computed and exported in 16 bits unless the user asks for more.
    const bool wide = embedding->dtype == "F32";
    json["torch_dtype"] = wide ? "float32" : embedding->dtype == "F16" ? "float16" : "bfloat16";
    return json.dump(2) + "\n";
}

ModelInfo inspectGguf(const std::filesystem::path &path)
{
    const auto file = std::make_shared<const GgufFile>(path);
    ModelInfo info;
    info.source = ModelInfo::Source::Gguf;
    info.path = path;
    info.name = path.stem().string();
    info.modelType = file->string("general.architecture").value_or("");
    info.tensors = file->tensors();

    Sha256 digest;
    const auto header = file->file().bytes(0, file->headerBytes());
    digest.update(header.data(), header.size());
    digest.update(std::to_string(file->file().size()));
    digest.update(file->file().sample());
    info.digest = digest.hex();

    try {
        info.config = parseModelConfig(ggufConfigJson(*file), path.filename().string());
        checkWeights(info, *ggufWeights(file, info.config));
    } catch (const Error &problem) {
        if (problem.kind() != ErrorKind::Unsupported)
            throw;
        inspectOnly(info, problem.info().message);
    }
    summarizeTensors(info);
    return info;
}

std::unique_ptr<WeightFiles> openGguf(const ModelInfo &info)
{
    auto weights = ggufWeights(std::make_shared<const GgufFile>(info.path), info.config);
    ModelInfo now = info;
    checkWeights(now, *weights); // the file may have changed since it was inspected
    return weights;
}

} // namespace secateur
