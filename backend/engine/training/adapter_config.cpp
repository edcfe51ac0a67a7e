#include "backend/engine/training/adapter_config.h"

#include "backend/core/error.h"
#include "backend/io/atomic_file.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace secateur {

namespace {

using ConfigJson = nlohmann::ordered_json; // patterns are tried in the file's order

[[noreturn]] void configBad(const std::filesystem::path &file, const std::string &key, const std::string &what)
{
    throw Error(ErrorKind::BadFormat, "In " + file.string() + " the value of \"" + key + "\" " + what + ".");
}

std::string configShort(const ConfigJson &value)
{
    std::string text = value.dump(-1, ' ', false, ConfigJson::error_handler_t::replace);
    return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

/// nullptr for a key that is absent or null.
const ConfigJson *configFind(const ConfigJson &config, const std::string &key)
{
    const auto found = config.find(key);
    return found == config.end() || found->is_null() ? nullptr : &*found;
}

double configNumber(const ConfigJson &value, const std::filesystem::path &file, const std::string &key)
{
    if (!value.is_number() || !std::isfinite(value.get<double>()))
        configBad(file, key, "is " + configShort(value) + ", not a number");
    return value.get<double>();
}

std::int64_t configRank(const ConfigJson &value, const std::filesystem::path &file, const std::string &key)
{
    constexpr std::int64_t kMaximumRank = 1 << 20;
    if (!value.is_number_integer() || value.get<double>() < 1 || value.get<double>() > kMaximumRank)
        configBad(file, key, "is " + configShort(value) + ", not a positive whole number");
    return value.get<std::int64_t>();
}

bool configBool(const ConfigJson &config, const std::filesystem::path &file, const std::string &key)
{
    const ConfigJson *value = configFind(config, key);
    if (!value)
        return false;
    if (!value->is_boolean())
        configBad(file, key, "is " + configShort(*value) + ", neither true nor false");
    return value->get<bool>();
}

std::regex configRegex(const std::string &text, const std::filesystem::path &file, const std::string &key)
{
    try {
        return std::regex(text, std::regex::ECMAScript | std::regex::optimize);
    } catch (const std::regex_error &) {
        throw Error(ErrorKind::Unsupported,
                    "In " + file.string() + " the regular expression of \"" + key + "\" cannot be used: " + text + ".",
                    "List the modules by name.");
    }
}

std::vector<std::string> configStrings(const ConfigJson &value, const std::filesystem::path &file,
                                       const std::string &key)
{
    std::vector<std::string> strings;
    if (!value.is_array())
        configBad(file, key, "is " + configShort(value) + ", not a list of names");
    for (const ConfigJson &item : value) {
        if (!item.is_string())
            configBad(file, key, "holds " + configShort(item) + ", which is not a name");
        strings.push_back(item.get<std::string>());
    }
    return strings;
}

ModuleSelector configSelector(const ConfigJson &config, const std::filesystem::path &file, const std::string &key)
{
    ModuleSelector selector;
    if (const ConfigJson *value = configFind(config, key)) {
        if (value->is_string())
            selector.pattern = configRegex(value->get<std::string>(), file, key);
        else
            selector.names = configStrings(*value, file, key);
    }
    return selector;
}

/// PEFT matches a pattern key against the end of a module path, at a dot.
std::vector<std::pair<std::regex, double>> configPatterns(const ConfigJson &config, const std::filesystem::path &file,
                                                          const std::string &key)
{
    std::vector<std::pair<std::regex, double>> patterns;
    const ConfigJson *value = configFind(config, key);
    if (!value)
        return patterns;
    if (!value->is_object())
        configBad(file, key, "is " + configShort(*value) + ", not an object");
    for (const auto &[name, number] : value->items()) {
        const std::string entry = key + "." + name;
        const double parsed = key == "rank_pattern" ? static_cast<double>(configRank(number, file, entry))
                                                    : configNumber(number, file, entry);
        patterns.emplace_back(configRegex("(?:.*\\.)?(?:" + name + ")", file, entry), parsed);
    }
    return patterns;
}

std::set<int> configLayers(const ConfigJson &config, const std::filesystem::path &file)
{
    std::set<int> layers;
    const std::string key = "layers_to_transform";
    const ConfigJson *value = configFind(config, key);
    if (!value)
        return layers;
    const ConfigJson list = value->is_array() ? *value : ConfigJson::array({*value});
    for (const ConfigJson &item : list) {
        if (!item.is_number_unsigned() || item.get<std::uint64_t>() > 1'000'000)
            configBad(file, key, "holds " + configShort(item) + ", which is not a layer number");
        layers.insert(item.get<int>());
    }
    return layers;
}

/// Empty, false and null values of a switch mean that it is off.
bool configIsOff(const ConfigJson &value)
{
    return value.is_null() || value == ConfigJson(false) || (value.is_structured() && value.empty());
}

void configRefuse(const ConfigJson &config, const std::filesystem::path &file)
{
    const auto refuse = [&](const std::string &key, const std::string &what) {
        throw Error(ErrorKind::Unsupported,
                    "The adapter " + file.string() + " has \"" + key + "\" = " + configShort(config.at(key)) + ": "
                        + what + ".",
                    "Merge the adapter in PEFT and open the merged model.");
    };
    const ConfigJson *type = configFind(config, "peft_type");
    if (!type || !type->is_string())
        throw Error(ErrorKind::BadFormat, "The file " + file.string() + " has no \"peft_type\".",
                    "Choose the folder of a LoRA adapter.");
    if (*type != "LORA")
        refuse("peft_type", "only LoRA adapters can be used");
    const ConfigJson *bias = configFind(config, "bias");
    if (bias && *bias != "none")
        refuse("bias", "trained biases are not supported");
    static const std::pair<const char *, const char *> kSwitches[] = {
        {"use_dora", "DoRA is not supported"},
        {"modules_to_save", "whole modules beside the branches are not supported"},
        {"lora_bias", "biases in the branches are not supported"},
        {"use_qalora", "QALoRA is not supported"},
        {"use_bdlora", "block-diagonal branches are not supported"},
        {"layer_replication", "replicated layers are not supported"},
        {"target_parameters", "branches on single parameters are not supported"},
        {"trainable_token_indices", "trained token embeddings are not supported"},
        {"alora_invocation_tokens", "activated LoRA is not supported"},
        {"arrow_config", "Arrow routing is not supported"},
        {"kasa_config", "KaSA is not supported"},
    };
    for (const auto &[key, what] : kSwitches) {
        const auto found = config.find(key);
        if (found != config.end() && !configIsOff(*found))
            refuse(key, what);
    }
    // these initialisations change the base weights, so the branches alone do not describe the model
    const ConfigJson *init = configFind(config, "init_lora_weights");
    if (init && init->is_string()) {
        const std::string name = init->get<std::string>();
        for (const char *changing : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
            if (name.starts_with(changing))
                refuse("init_lora_weights", "the base weights were changed when training began");
        }
    }
}

ConfigJson configIntegralOrReal(double value)
{
    if (std::floor(value) == value && std::abs(value) < 1e15)
        return static_cast<std::int64_t>(value);
    return value;
}

double configFirstMatch(const std::vector<std::pair<std::regex, double>> &patterns, const std::string &path,
                        double otherwise)
{
    const auto found = std::find_if(patterns.begin(), patterns.end(),
                                    [&](const auto &entry) { return std::regex_match(path, entry.first); });
    return found == patterns.end() ? otherwise : found->second;
}

} // namespace

bool ModuleSelector::matches(const std::string &path) const
{
    if (pattern)
        return std::regex_match(path, *pattern);
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string &name) { return path == name || path.ends_with("." + name); });
}

bool AdapterConfig::targets(const std::string &path, int layer) const
{
    if (m_excluded.matches(path))
        return false;
    if (m_everyLinear)
        return true;
    if (!m_targets.matches(path))
        return false;
    if (m_targets.pattern || m_layers.empty()) // PEFT restricts lists of names only
        return true;
    if (!m_layerPatterns.empty()
        && std::none_of(m_layerPatterns.begin(), m_layerPatterns.end(),
                        [](const std::regex &pattern) { return std::regex_match("model.layers", pattern); }))
        return false;
    return m_layers.contains(layer);
}

std::int64_t AdapterConfig::rankOf(const std::string &path) const
{
    return static_cast<std::int64_t>(configFirstMatch(m_rankPatterns, path, options.rank));
}

double AdapterConfig::alphaOf(const std::string &path) const
{
    return configFirstMatch(m_alphaPatterns, path, options.alpha);
}

AdapterConfig readAdapterConfig(const std::filesystem::path &path)
{
    const std::string text = readTextFile(path, 16u << 20);
    const ConfigJson json = ConfigJson::parse(text, nullptr, false);
    if (!json.is_object())
        throw Error(ErrorKind::BadFormat, "The file " + path.string() + " is not a JSON object.",
                    "Choose the folder of a LoRA adapter.");
    configRefuse(json, path);

    AdapterConfig config;
    const ConfigJson *rank = configFind(json, "r");
    config.options.rank = rank ? static_cast<int>(configRank(*rank, path, "r")) : 8; // PEFT's defaults
    const ConfigJson *alpha = configFind(json, "lora_alpha");
    config.options.alpha = alpha ? configNumber(*alpha, path, "lora_alpha") : 8;
    const ConfigJson *dropout = configFind(json, "lora_dropout");
    config.options.dropout = dropout ? configNumber(*dropout, path, "lora_dropout") : 0;
    if (config.options.dropout < 0 || config.options.dropout >= 1)
        configBad(path, "lora_dropout", "is " + configShort(*dropout) + ", outside 0 … 1");
    config.options.rsLora = configBool(json, path, "use_rslora");
    config.m_rankPatterns = configPatterns(json, path, "rank_pattern");
    config.m_alphaPatterns = configPatterns(json, path, "alpha_pattern");

    const ConfigJson *targets = configFind(json, "target_modules");
    if (!targets)
        throw Error(ErrorKind::BadFormat, "The file " + path.string() + " has no \"target_modules\".");
    std::string word = targets->is_string() ? targets->get<std::string>() : std::string();
    std::transform(word.begin(), word.end(), word.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
    config.m_everyLinear = word == "all-linear";
    if (!config.m_everyLinear)
        config.m_targets = configSelector(json, path, "target_modules");
    config.m_excluded = configSelector(json, path, "exclude_modules");
    config.m_layers = configLayers(json, path);
    if (const ConfigJson *patterns = configFind(json, "layers_pattern")) {
        const ConfigJson list = patterns->is_string() ? ConfigJson::array({*patterns}) : *patterns;
        for (const std::string &name : configStrings(list, path, "layers_pattern")) {
            if (!name.empty())
                config.m_layerPatterns.push_back(configRegex("(?:.*\\.)?(?:" + name + ")", path, "layers_pattern"));
        }
    }
    return config;
}

std::string writeAdapterConfig(const AdapterConfigText &values)
{
    ConfigJson ranks = ConfigJson::object();
    for (const auto &[path, rank] : values.rankPattern)
        ranks[path] = rank;
    ConfigJson alphas = ConfigJson::object();
    for (const auto &[path, alpha] : values.alphaPattern)
        alphas[path] = configIntegralOrReal(alpha);
    ConfigJson json;
    json["alpha_pattern"] = std::move(alphas);
    json["auto_mapping"] = nullptr;
    json["base_model_name_or_path"] = values.basePath;
    json["bias"] = "none";
    json["fan_in_fan_out"] = false;
    json["inference_mode"] = true;
    json["init_lora_weights"] = true;
    json["layers_pattern"] = nullptr;
    json["layers_to_transform"] = nullptr;
    json["lora_alpha"] = configIntegralOrReal(values.options.alpha);
    json["lora_dropout"] = values.options.dropout;
    json["modules_to_save"] = nullptr;
    json["peft_type"] = "LORA";
    json["peft_version"] = "0.21.2";
    json["r"] = values.options.rank;
    json["rank_pattern"] = std::move(ranks);
    json["revision"] = nullptr;
    json["target_modules"] = values.targetModules;
    json["task_type"] = "CAUSAL_LM";
    json["use_dora"] = false;
    json["use_rslora"] = values.options.rsLora;
    return json.dump(2, ' ', false, ConfigJson::error_handler_t::replace) + "\n";
}

} // namespace secateur
