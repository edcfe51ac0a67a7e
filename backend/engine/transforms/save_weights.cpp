#include "backend/core/architecture.h"
#include "backend/engine/detail/guards.h"
#include "backend/engine/transforms.h"
#include "backend/engine/transforms/named_tensors.h"
#include "backend/io/atomic_file.h"
#include "backend/io/safetensors.h"

#include <nlohmann/json.hpp>

#include <ATen/ops/isfinite.h>

#include <system_error>

namespace secateur {

namespace {

/// A dtype as safetensors, LibTorch and config.json spell it.
struct SaveDtype {
    const char *name;
    at::ScalarType scalar;
    const char *configName;
};

const SaveDtype &saveDtype(const std::string &name)
{
    static constexpr SaveDtype kDtypes[]
        = {{"F32", at::kFloat, "float32"}, {"BF16", at::kBFloat16, "bfloat16"}, {"F16", at::kHalf, "float16"}};
    for (const SaveDtype &dtype : kDtypes) {
        if (name == dtype.name)
            return dtype;
    }
    throw Error(ErrorKind::InvalidArgument, "Weights cannot be written as '" + name + "'.", "Choose F32, BF16 or F16.");
}

/// Consecutive tensors of one file.
struct SaveShard {
    std::size_t first = 0;
    std::size_t count = 0;
    std::uint64_t bytes = 0;
};

using SaveTensors = std::vector<std::pair<std::string, Tensor>>;

std::uint64_t saveBytes(const Tensor &tensor, const SaveDtype &dtype)
{
    return static_cast<std::uint64_t>(tensor.numel()) * c10::elementSize(dtype.scalar);
}

std::vector<SaveShard> saveShards(const SaveTensors &tensors, const SaveDtype &dtype, std::uint64_t limit)
{
    std::vector<SaveShard> shards(1);
    for (std::size_t index = 0; index < tensors.size(); ++index) {
        const std::uint64_t bytes = saveBytes(tensors[index].second, dtype);
        if (shards.back().count > 0 && shards.back().bytes + bytes > limit)
            shards.push_back({index, 0, 0});
        ++shards.back().count;
        shards.back().bytes += bytes;
    }
    return shards;
}

std::string saveFiveDigits(std::size_t number)
{
    const std::string digits = std::to_string(number);
    return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

std::string saveShardName(std::size_t shard, std::size_t shards)
{
    if (shards == 1)
        return "model.safetensors";
    return "model-" + saveFiveDigits(shard + 1) + "-of-" + saveFiveDigits(shards) + ".safetensors";
}

/// The tensor as it goes to the file; the same memory where nothing changes.
Tensor saveConverted(const std::string &name, const Tensor &tensor, const SaveDtype &dtype)
{
    const Tensor stored = tensor.detach().to(at::kCPU, dtype.scalar).contiguous();
    if (dtype.scalar == at::kHalf && !at::isfinite(stored).all().item<bool>())
        throw Error(ErrorKind::Numeric, "The tensor " + name + " has values beyond 65504, which F16 cannot hold.",
                    "Choose BF16 or F32.");
    return stored;
}

std::vector<std::int64_t> saveShape(const Tensor &tensor)
{
    return {tensor.sizes().begin(), tensor.sizes().end()};
}

/// Files of this export; what was written goes away again unless everything was.
class SaveFiles {
public:
    explicit SaveFiles(const std::filesystem::path &folder) : m_folder(folder) { }
    ~SaveFiles()
    {
        std::error_code ignored;
        for (const std::filesystem::path &path : m_paths)
            std::filesystem::remove(path, ignored);
    }
    SaveFiles(const SaveFiles &) = delete;
    SaveFiles &operator=(const SaveFiles &) = delete;

    std::filesystem::path path(const std::string &name) const { return m_folder / name; }
    void written(const std::string &name) { m_paths.push_back(path(name)); }
    void keep() { m_paths.clear(); }

private:
    std::filesystem::path m_folder;
    std::vector<std::filesystem::path> m_paths;
};

std::string saveIndex(const SaveTensors &tensors, const std::vector<SaveShard> &shards, std::int64_t parameters)
{
    nlohmann::json index;
    std::uint64_t total = 0;
    for (std::size_t shard = 0; shard < shards.size(); ++shard) {
        total += shards[shard].bytes;
        for (std::size_t k = 0; k < shards[shard].count; ++k)
            index["weight_map"][tensors[shards[shard].first + k].first] = saveShardName(shard, shards.size());
    }
    index["metadata"] = {{"total_size", total}, {"total_parameters", parameters}};
    return index.dump(2) + "\n";
}

void saveRefuseBranches(const Model::Impl &model)
{
    for (const DecoderBlock &block : model.blocks) {
        for (const Linear *linear : {&block.q, &block.k, &block.v, &block.o, &block.gate, &block.up, &block.down}) {
            if (linear->lora)
                throw Error(ErrorKind::InvalidArgument,
                            "The model has an adapter beside its weights, which a weight file would lose.",
                            "Merge the adapter first.");
        }
    }
}

} // namespace

void saveWeights(const Model &model, const std::filesystem::path &folder, const std::string &dtype,
                 const std::map<std::string, std::string> &metadata, std::uint64_t shardBytes,
                 const JobContext &context)
{
    const SaveDtype &target = saveDtype(dtype);
    withoutGradients([&] {
        const Model::Impl &impl = model.impl();
        saveRefuseBranches(impl);
        std::error_code error;
        if (!std::filesystem::is_directory(folder, error))
            throw Error(ErrorKind::NotFound, "The folder " + folder.string() + " does not exist.");

        SaveTensors tensors = namedTensors(impl);
        if (const Architecture *family = findArchitecture(impl.config.modelType))
            for (auto &[name, tensor] : tensors)
                name = family->storedName(name);
        const std::vector<SaveShard> shards = saveShards(tensors, target, shardBytes);
        Progress progress{"export.weights", 0, static_cast<std::int64_t>(tensors.size()), 0};
        SaveFiles files(folder);
        Tensor stored; // of one tensor at a time, the rest stays where it is
        for (std::size_t shard = 0; shard < shards.size(); ++shard) {
            const std::string name = saveShardName(shard, shards.size());
            std::vector<TensorSource> sources;
            for (std::size_t k = 0; k < shards[shard].count; ++k) {
                const auto &entry = tensors[shards[shard].first + k];
                const auto load = [&]() -> std::span<const std::byte> {
                    context.checkpoint(progress);
                    ++progress.done;
                    stored = saveConverted(entry.first, entry.second, target);
                    return {static_cast<const std::byte *>(stored.const_data_ptr()), stored.nbytes()};
                };
                sources.push_back({entry.first, dtype, saveShape(entry.second), load});
            }
            writeSafetensors(files.path(name), sources, metadata);
            files.written(name);
        }
        if (shards.size() > 1) {
            const std::string name = "model.safetensors.index.json";
            writeFileAtomically(files.path(name), saveIndex(tensors, shards, model.parameters()));
            files.written(name);
        }
        ModelConfig config = impl.config;
        config.dtype = target.configName;
        writeFileAtomically(files.path("config.json"), writeModelConfig(config));
        files.written("config.json");
        context.checkpoint(progress);
        files.keep();
    });
}

} // namespace secateur
