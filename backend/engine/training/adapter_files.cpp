#include "backend/engine/adapter.h"
#include "backend/engine/detail/guards.h"
#include "backend/engine/training/adapter_config.h"
#include "backend/engine/training/lora.h"
#include "backend/io/atomic_file.h"
#include "backend/io/safetensors.h"
#include "backend/io/weight_files.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <system_error>

namespace secateur {

namespace {

constexpr std::string_view kAdapterPrefix = "base_model.model.";
constexpr std::string_view kAdapterSuffixA = ".lora_A.weight";
constexpr std::string_view kAdapterSuffixB = ".lora_B.weight";
constexpr const char *kAdapterHint = "Use the model that the adapter was trained on.";

[[noreturn]] void adapterBad(const std::filesystem::path &file, const std::string &what, const char *hint = "")
{
    throw Error(ErrorKind::BadFormat, "The adapter " + file.string() + " " + what + ".", hint);
}

std::string adapterShape(const std::vector<std::int64_t> &shape)
{
    std::string text = "[";
    for (const std::int64_t size : shape)
        text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    return text + "]";
}

/// Module path and side of a stored key; throws for keys that are no LoRA weights of a decoder block.
std::pair<std::string, bool> adapterModule(const std::filesystem::path &file, const Model::Impl &model,
                                           const std::string &key)
{
    for (const char *other : {"lora_magnitude_vector", "lora_embedding_A", "lora_embedding_B", "modules_to_save"}) {
        if (key.find(other) != std::string::npos)
            throw Error(ErrorKind::Unsupported,
                        "The adapter " + file.string() + " holds " + key + ", which is not supported.",
                        "Merge the adapter in PEFT and open the merged model.");
    }
    const bool isA = key.ends_with(kAdapterSuffixA);
    if (!key.starts_with(kAdapterPrefix) || (!isA && !key.ends_with(kAdapterSuffixB)))
        adapterBad(file, "holds " + key + ", which is not a LoRA weight");
    const std::size_t ends = kAdapterPrefix.size() + kAdapterSuffixA.size();
    if (key.size() < ends)
        adapterBad(file, "holds " + key + ", which is not a LoRA weight");
    std::string path = key.substr(kAdapterPrefix.size(), key.size() - ends);
    if (path == "lm_head" || path == "model.embed_tokens")
        throw Error(ErrorKind::Unsupported,
                    "The adapter " + file.string() + " holds " + key
                        + ", but only the linears of the blocks can have a branch.",
                    "Merge the adapter in PEFT and open the merged model.");
    if (!findModule(model, path))
        adapterBad(file,
                   "holds " + key + ", but the model of " + std::to_string(model.blocks.size())
                       + " blocks has no such module",
                   kAdapterHint);
    return {std::move(path), isA};
}

Tensor adapterTensor(const SafetensorsFile &file, const TensorInfo &info, const std::vector<std::int64_t> &expected,
                     const at::Device &device)
{
    const std::filesystem::path &path = file.file().path();
    if (info.shape != expected)
        adapterBad(path,
                   "holds " + info.name + " with shape " + adapterShape(info.shape) + ", but the model needs "
                       + adapterShape(expected),
                   kAdapterHint);
    if (info.dtype != "F32" && info.dtype != "F16" && info.dtype != "BF16")
        throw Error(ErrorKind::Unsupported,
                    "The adapter " + path.string() + " holds " + info.name + " of type " + info.dtype + ".",
                    "Save it as F32, F16 or BF16.");
    Tensor tensor = at::empty(expected, at::kFloat);
    WeightFiles::Entry entry;
    entry.name = info.name;
    entry.dtype = info.dtype;
    entry.shape = info.shape;
    entry.file = path.filename().string();
    entry.bytes = file.data(info);
    float *values = tensor.mutable_data_ptr<float>();
    const std::span<float> out(values, static_cast<std::size_t>(tensor.numel()));
    WeightFiles::readF32(entry, out);
    const auto bad = std::find_if(out.begin(), out.end(), [](float value) { return !std::isfinite(value); });
    if (bad != out.end())
        throw Error(ErrorKind::Numeric,
                    "The adapter " + path.string() + " holds " + info.name
                        + " with a value that is not finite at index " + std::to_string(bad - out.begin()) + ".");
    return tensor.to(device);
}

/// Every module that the configuration names must be there: an adapter of a smaller model would fit otherwise.
bool adapterCheckComplete(const std::filesystem::path &file, const Model::Impl &model, const AdapterConfig &config,
                          const LoraBranches &branches, const std::vector<std::string> &targets)
{
    bool covers = true;
    for (std::size_t block = 0; block < model.blocks.size(); ++block) {
        for (const std::string_view target : kLoraTargets) {
            const std::string path = loraModulePath(block, target);
            if (!findModule(model, path))
                continue;
            const auto found = branches.find(path);
            if (found == branches.end()) {
                if (config.targets(path, static_cast<int>(block)))
                    adapterBad(file, "has no weights for " + path + ", which its target_modules name", kAdapterHint);
                covers = covers && std::find(targets.begin(), targets.end(), target) == targets.end();
            } else if (!found->second->a.defined() || !found->second->b.defined()) {
                adapterBad(file,
                           "has no " + std::string(kAdapterPrefix) + path
                               + std::string(found->second->a.defined() ? kAdapterSuffixB : kAdapterSuffixA));
            } else if (!config.targets(path, static_cast<int>(block))) {
                adapterBad(file, "holds weights for " + path + ", which its target_modules do not name");
            }
        }
    }
    return covers;
}

/// The alpha behind a scaling; a whole number when one gives just this scaling.
double adapterAlpha(const LoraBranch &branch, bool rsLora)
{
    const std::int64_t rank = branch.a.size(0);
    const double alpha = branch.scaling / loraScaling(1, rank, rsLora);
    return loraScaling(std::round(alpha), rank, rsLora) == branch.scaling ? std::round(alpha) : alpha;
}

std::filesystem::path adapterWeights(const std::filesystem::path &folder)
{
    std::filesystem::path path = folder / "adapter_model.safetensors";
    std::error_code error;
    if (!std::filesystem::exists(path, error) && std::filesystem::exists(folder / "adapter_model.bin", error))
        throw Error(ErrorKind::Unsupported,
                    "The adapter " + (folder / "adapter_model.bin").string() + " is a pickle file.",
                    "Save it again with safe_serialization=True.");
    return path;
}

} // namespace

Adapter loadAdapter(const std::filesystem::path &folder, const Model &base)
{
    return withoutGradients([&] {
        const AdapterConfig config = readAdapterConfig(folder / "adapter_config.json");
        const SafetensorsFile file(adapterWeights(folder));
        const std::filesystem::path &path = file.file().path();
        const Model::Impl &model = base.impl();
        auto result = std::make_shared<Adapter::Impl>();
        result->options = config.options;
        for (const TensorInfo &info : file.tensors()) {
            const auto [module, isA] = adapterModule(path, model, info.name);
            const Linear &linear = *findModule(model, module);
            const std::int64_t rank = config.rankOf(module);
            std::shared_ptr<LoraBranch> &branch = result->branches[module];
            if (!branch) {
                branch = std::make_shared<LoraBranch>();
                branch->scaling = loraScaling(config.alphaOf(module), rank, config.options.rsLora);
                branch->dropout = config.options.dropout;
            }
            const std::vector<std::int64_t> expected = isA ? std::vector<std::int64_t>{rank, linear.inputs()}
                                                           : std::vector<std::int64_t>{linear.outputs(), rank};
            (isA ? branch->a : branch->b) = adapterTensor(file, info, expected, model.device());
        }
        if (result->branches.empty())
            adapterBad(path, "holds no LoRA weights");
        result->options.targets.clear();
        for (const std::string_view target : kLoraTargets) {
            if (std::any_of(result->branches.begin(), result->branches.end(),
                            [&](const auto &entry) { return loraTargetOf(entry.first) == target; }))
                result->options.targets.emplace_back(target);
        }
        result->coversTargets = adapterCheckComplete(path, model, config, result->branches, result->options.targets);
        return Adapter(std::move(result));
    });
}

void saveAdapter(const Adapter &adapter, const std::filesystem::path &folder, const std::string &basePath)
{
    withoutGradients([&] {
        const Adapter::Impl &impl = adapter.impl();
        AdapterConfigText config;
        config.options = impl.options;
        config.basePath = basePath;
        if (impl.coversTargets)
            config.targetModules = impl.options.targets;
        std::vector<Tensor> stored; // holds the memory of the views
        std::vector<TensorView> views;
        const auto add = [&](const std::string &path, std::string_view suffix, const Tensor &tensor) {
            stored.push_back(tensor.detach().to(at::kCPU, at::kFloat).contiguous());
            const Tensor &copy = stored.back();
            views.push_back({std::string(kAdapterPrefix) + path + std::string(suffix),
                             "F32",
                             {copy.size(0), copy.size(1)},
                             {static_cast<const std::byte *>(copy.const_data_ptr()), copy.nbytes()}});
        };
        for (const auto &[path, branch] : impl.branches) {
            add(path, kAdapterSuffixA, branch->a);
            add(path, kAdapterSuffixB, branch->b);
            const std::int64_t rank = branch->a.size(0);
            if (!impl.coversTargets)
                config.targetModules.push_back(path);
            if (rank != impl.options.rank)
                config.rankPattern.emplace_back(path, rank);
            if (branch->scaling != loraScaling(impl.options.alpha, rank, impl.options.rsLora))
                config.alphaPattern.emplace_back(path, adapterAlpha(*branch, impl.options.rsLora));
        }
        AtomicFolder target(folder);
        writeSafetensors(target.path() / "adapter_model.safetensors", views,
                         {{"format", "pt"}, {"secateur.layer_indices", "as in the base model it was trained on"}});
        writeFileAtomically(target.path() / "adapter_config.json", writeAdapterConfig(config));
        target.commit();
    });
}

} // namespace secateur
