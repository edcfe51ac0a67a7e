#pragma once

#include "backend/io/weight_files.h"

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace secateur {

class GgufFile;
class SafetensorsFile;

/// Entries with whatever keeps their mapping alive.
class ListedWeights : public WeightFiles {
public:
    /// \a keepAlive owns the mappings that the entries point into.
    ListedWeights(std::vector<Entry> entries, std::vector<std::shared_ptr<const void>> keepAlive);

    const Entry *find(std::string_view name) const override;
    const std::vector<Entry> &entries() const override { return m_entries; }

private:
    std::vector<Entry> m_entries;
    std::vector<std::shared_ptr<const void>> m_keepAlive;
    std::unordered_map<std::string_view, std::size_t> m_index;
};

/// Fills the sums of \a info from its tensors.
void summarizeTensors(ModelInfo &info);

/// Compares \a weights with what the configuration of \a info expects. Throws Error(BadFormat) for a missing tensor or
/// another shape. An unreadable type turns \a info into an inspection and says so.
void checkWeights(ModelInfo &info, const WeightFiles &weights);

/// Takes the configuration away and keeps the reason.
void inspectOnly(ModelInfo &info, std::string reason);

// A Hugging Face folder. \a singleFile: the weights are in this file and no other; empty: look for them.
ModelInfo inspectHuggingFaceFolder(const std::filesystem::path &folder, const std::string &singleFile);
std::unique_ptr<WeightFiles> openHuggingFaceFolder(const ModelInfo &info);
std::vector<CompanionFile> huggingFaceCompanions(const ModelInfo &info);

// A GGUF file.
ModelInfo inspectGguf(const std::filesystem::path &path);
std::unique_ptr<WeightFiles> openGguf(const ModelInfo &info);

/// config.json text for the model in \a file. Throws Error(Unsupported) for an architecture that is not known.
std::string ggufConfigJson(const GgufFile &file);

/// tokenizer.json, tokenizer_config.json and generation_config.json made from the metadata; nothing when there is no
/// tokenizer. Throws Error(Unsupported) for a tokenizer that cannot be made exactly.
std::vector<CompanionFile> ggufCompanions(const GgufFile &file);

} // namespace secateur
