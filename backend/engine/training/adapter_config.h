#pragma once

#include "backend/core/run_config.h"

#include <filesystem>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace secateur {

/// The names that a PEFT configuration gives as a list of suffixes or as one regular expression.
struct ModuleSelector {
    std::vector<std::string> names;
    std::optional<std::regex> pattern;

    bool empty() const { return names.empty() && !pattern; }
    bool matches(const std::string &path) const;
};

/// What adapter_config.json says about a LoRA adapter.
class AdapterConfig {
public:
    RecoveryOptions options; ///< rank, alpha, dropout, rsLora; targets stay as they are by default

    /// true when the configuration puts a branch on the linear at \a path ("model.layers.{layer}.self_attn.q_proj").
    bool targets(const std::string &path, int layer) const;
    std::int64_t rankOf(const std::string &path) const;
    double alphaOf(const std::string &path) const;

private:
    friend AdapterConfig readAdapterConfig(const std::filesystem::path &path);

    bool m_everyLinear = false; ///< "all-linear"
    ModuleSelector m_targets;
    ModuleSelector m_excluded;
    std::set<int> m_layers; ///< empty: all
    std::vector<std::regex> m_layerPatterns;
    std::vector<std::pair<std::regex, double>> m_rankPatterns; ///< in the file's order, the first match counts
    std::vector<std::pair<std::regex, double>> m_alphaPatterns;
};

/// Throws Error(BadFormat) naming file and key for wrong types and values, Error(Unsupported) for what this program
/// does not compute (DoRA, biases, saved modules, other PEFT types, …).
AdapterConfig readAdapterConfig(const std::filesystem::path &path);

/// What distinguishes one written adapter from another.
struct AdapterConfigText {
    RecoveryOptions options;
    std::string basePath;
    std::vector<std::string> targetModules;
    std::vector<std::pair<std::string, std::int64_t>> rankPattern;
    std::vector<std::pair<std::string, double>> alphaPattern;
};
std::string writeAdapterConfig(const AdapterConfigText &values);

} // namespace secateur
