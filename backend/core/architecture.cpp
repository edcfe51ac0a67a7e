#include "backend/core/architecture.h"

#include "backend/core/error.h"
#include "backend/core/json_text.h"
#include "backend/core/resource_path.h"
#include "backend/io/atomic_file.h"
#include "backend/io/json_node.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>

namespace secateur {

namespace {

using DescriptorFolders = std::vector<std::filesystem::path>;
constexpr std::string_view kDescriptorLayer = "{}";

/// A descriptor file as read, before what it starts from is put under it.
struct DescriptorFile {
    std::string name;
    nlohmann::json json;
};

DescriptorFolders descriptorFolders()
{
    DescriptorFolders folders;
    if (const char *own = std::getenv("SECATEUR_ARCHITECTURES"); own && *own)
        folders.emplace_back(own);
    folders.push_back(resourceDirectory() / "architectures");
    return folders;
}

/// model_type → file, the first folder that has one wins.
std::map<std::string, DescriptorFile> readDescriptorFiles(const DescriptorFolders &folders)
{
    std::map<std::string, DescriptorFile> files;
    for (const std::filesystem::path &folder : folders) {
        std::vector<std::filesystem::path> paths;
        std::error_code error;
        for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
            if (it->path().extension() == ".json")
                paths.push_back(it->path());
        if (error)
            throw Error(ErrorKind::NotFound,
                        "The folder " + folder.string()
                            + " with the known model families cannot be read: " + error.message() + ".",
                        "Install the program again, or correct SECATEUR_ARCHITECTURES.");
        std::sort(paths.begin(), paths.end());
        std::set<std::string> here;
        for (const std::filesystem::path &path : paths) {
            DescriptorFile file{path.filename().string(), nullptr};
            file.json = parseJson(readTextFile(path, 1u << 20), file.name);
            const JsonNode root(file.json, file.name);
            const std::string type = root.at("model_type").string();
            if (!here.insert(type).second)
                root.at("model_type").fail("is \"" + type + "\", which another file of the folder describes");
            files.try_emplace(type, std::move(file));
        }
    }
    return files;
}

/// The descriptor of \a type with everything it starts from.
nlohmann::json resolveDescriptor(const std::map<std::string, DescriptorFile> &files, const std::string &type,
                                 std::set<std::string> visited = {})
{
    const DescriptorFile &file = files.at(type);
    const JsonNode root(file.json, file.name);
    const auto like = root.find("like");
    if (!like)
        return file.json;
    const std::string parent = like->string();
    visited.insert(type);
    if (!files.contains(parent) || visited.contains(parent))
        like->fail("is \"" + parent + "\", which is no other known family");
    nlohmann::json merged = resolveDescriptor(files, parent, std::move(visited));
    merged.merge_patch(file.json); // null takes a member away
    return merged;
}

void requireKnownMembers(const JsonNode &node, const std::set<std::string_view> &known)
{
    node.forEachMember([&](const std::string &key, const JsonNode &value) {
        if (!known.contains(key))
            value.fail("is no field of a model family");
    });
}

Architecture::Bias readDescriptorBias(const JsonNode &node)
{
    if (node.json().is_boolean())
        return node.boolean();
    if (!node.isString())
        node.fail("must be true, false or a key of config.json");
    return node.string();
}

/// Tensor names, each with one place for the layer or none.
Architecture::Names readDescriptorNames(const JsonNode &node)
{
    const auto places = [](std::string_view text) {
        int count = 0;
        for (auto at = text.find(kDescriptorLayer); at != std::string_view::npos;
             at = text.find(kDescriptorLayer, at + 1))
            ++count;
        return count;
    };
    Architecture::Names names;
    node.forEachMember([&](const std::string &key, const JsonNode &value) {
        const std::string stored = value.string();
        if (places(key) > 1 || places(stored) != places(key) || stored.empty())
            value.fail("is \"" + stored + "\", which must hold {} as often as its name");
        names[key] = stored;
    });
    return names;
}

Architecture readDescriptor(const JsonNode &root)
{
    requireKnownMembers(root,
                        {"like", "model_type", "class", "defaults", "kv_heads_required", "bias", "query_key_norm",
                         "sliding_window", "tensors", "gguf"});
    Architecture family;
    family.modelType = root.at("model_type").string();
    family.className = root.at("class").string();

    const JsonNode defaults = root.at("defaults");
    requireKnownMembers(defaults,
                        {"max_position_embeddings", "head_dim", "rms_norm_eps", "rope_theta", "tie_word_embeddings"});
    constexpr int most = std::numeric_limits<int>::max();
    family.maxPositions = static_cast<int>(defaults.at("max_position_embeddings").integer(1, most));
    if (const auto headDim = defaults.find("head_dim"))
        family.headDim = static_cast<int>(headDim->integer(1, 1 << 16));
    family.rmsNormEps = defaults.at("rms_norm_eps").number();
    family.ropeTheta = defaults.at("rope_theta").number();
    family.tiedEmbeddings = defaults.at("tie_word_embeddings").boolean();

    family.kvHeadsRequired = root.at("kv_heads_required").boolean();
    const JsonNode bias = root.at("bias");
    requireKnownMembers(bias, {"query_key_value", "output", "mlp"});
    family.queryKeyValueBias = readDescriptorBias(bias.at("query_key_value"));
    family.outputBias = readDescriptorBias(bias.at("output"));
    family.mlpBias = readDescriptorBias(bias.at("mlp"));
    family.queryKeyNorm = root.at("query_key_norm").boolean();

    static const std::map<std::string, Architecture::Window> windows = {{"never", Architecture::Window::Never},
                                                                        {"always", Architecture::Window::Always},
                                                                        {"if_used", Architecture::Window::IfUsed}};
    const auto window = windows.find(root.at("sliding_window").string());
    if (window == windows.end())
        root.at("sliding_window").fail("must be never, always or if_used");
    family.window = window->second;

    if (const auto tensors = root.find("tensors"))
        family.tensors = readDescriptorNames(*tensors);
    if (const auto gguf = root.find("gguf")) {
        requireKnownMembers(*gguf, {"architecture", "permuted_heads", "tensors"});
        family.ggufName = gguf->at("architecture").string();
        family.ggufPermutedHeads = gguf->at("permuted_heads").boolean();
        family.ggufTensors = readDescriptorNames(gguf->at("tensors"));
    }
    return family;
}

std::vector<Architecture> readArchitectures(const DescriptorFolders &folders)
{
    const auto files = readDescriptorFiles(folders);
    std::vector<Architecture> families;
    for (const auto &[type, file] : files) {
        const nlohmann::json json = resolveDescriptor(files, type);
        families.push_back(readDescriptor(JsonNode(json, file.name)));
    }
    return families;
}

/// The text in the place of {} when \a name fits \a pattern; empty when the pattern has no place.
std::optional<std::string_view> descriptorMatch(std::string_view pattern, std::string_view name)
{
    const auto at = pattern.find(kDescriptorLayer);
    if (at == std::string_view::npos)
        return pattern == name ? std::optional(std::string_view()) : std::nullopt;
    const std::string_view before = pattern.substr(0, at);
    const std::string_view after = pattern.substr(at + kDescriptorLayer.size());
    if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after))
        return std::nullopt;
    const std::string_view layer = name.substr(before.size(), name.size() - before.size() - after.size());
    return layer.find_first_not_of("0123456789") == std::string_view::npos ? std::optional(layer) : std::nullopt;
}

std::string descriptorFill(std::string_view pattern, std::string_view layer)
{
    std::string name(pattern);
    if (const auto at = name.find(kDescriptorLayer); at != std::string::npos)
        name.replace(at, kDescriptorLayer.size(), layer);
    return name;
}

/// \a name, which ends in ".weight" or ".bias", by the pattern that fits it; empty when none does.
std::string descriptorTranslate(const Architecture::Names &names, std::string_view name, bool toStored)
{
    for (const std::string_view suffix : {".A.weight", ".B.weight", ".weight", ".bias"}) {
        if (!name.ends_with(suffix))
            continue;
        const std::string_view stem = name.substr(0, name.size() - suffix.size());
        for (const auto &[own, stored] : names)
            if (const auto layer = descriptorMatch(toStored ? own : stored, stem))
                return descriptorFill(toStored ? stored : own, *layer) + std::string(suffix);
    }
    return {};
}

const Architecture *descriptorWith(std::string Architecture::*member, std::string_view value)
{
    const std::vector<Architecture> &all = architectures();
    const auto it
        = std::find_if(all.begin(), all.end(), [&](const Architecture &family) { return family.*member == value; });
    return it == all.end() || value.empty() ? nullptr : &*it;
}

} // namespace

std::string Architecture::tensorName(std::string_view stored) const
{
    std::string name = descriptorTranslate(tensors, stored, false);
    return name.empty() ? std::string(stored) : name;
}

std::string Architecture::storedName(std::string_view name) const
{
    std::string stored = descriptorTranslate(tensors, name, true);
    return stored.empty() ? std::string(name) : stored;
}

std::string Architecture::ggufTensorName(std::string_view stored) const
{
    return descriptorTranslate(ggufTensors, stored, false);
}

const std::vector<Architecture> &architectures()
{
    // kept for ever, so that references stay valid
    static std::mutex mutex;
    static std::map<DescriptorFolders, std::unique_ptr<const std::vector<Architecture>>> read;
    const DescriptorFolders folders = descriptorFolders();
    const std::lock_guard lock(mutex);
    auto &families = read[folders];
    if (!families)
        families = std::make_unique<const std::vector<Architecture>>(readArchitectures(folders));
    return *families;
}

const Architecture *findArchitecture(std::string_view modelType)
{
    return descriptorWith(&Architecture::modelType, modelType);
}

const Architecture *findGgufArchitecture(std::string_view name)
{
    return descriptorWith(&Architecture::ggufName, name);
}

std::string knownArchitectures()
{
    const std::vector<Architecture> &all = architectures();
    std::string text;
    for (std::size_t i = 0; i < all.size(); ++i)
        text += (i == 0 ? "" : i + 1 == all.size() ? " and " : ", ") + all[i].modelType;
    return text;
}

} // namespace secateur
