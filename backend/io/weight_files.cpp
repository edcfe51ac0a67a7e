#include "backend/io/weight_files.h"

#include "backend/core/block_tensors.h"
#include "backend/core/error.h"
#include "backend/io/dequantize.h"
#include "backend/io/gguf_file.h"
#include "backend/io/weight_sources.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <system_error>

namespace secateur {

namespace {

std::string weightShapeText(const std::vector<std::int64_t> &shape)
{
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

/// GGUF files of the llama architecture hold the rows of each head as [h/2, 2]; Hugging Face has [2, h/2].
void undoHeadPermutation(std::span<float> values, std::size_t heads, std::size_t rows)
{
    const std::size_t rowSize = values.size() / rows;
    const std::size_t headRows = rows / heads;
    std::vector<float> head(headRows * rowSize);
    for (std::size_t h = 0; h < heads; ++h) {
        float *target = values.data() + h * headRows * rowSize;
        std::copy_n(target, head.size(), head.data());
        for (std::size_t half = 0; half < 2; ++half)
            for (std::size_t i = 0; i < headRows / 2; ++i)
                std::copy_n(head.data() + (2 * i + half) * rowSize, rowSize,
                            target + (half * (headRows / 2) + i) * rowSize);
    }
}

bool isPickle(const std::filesystem::path &path)
{
    const auto extension = path.extension();
    return extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".ckpt"
        || extension == ".pkl";
}

/// The GGUF file of a folder that holds one and no safetensors.
std::optional<std::filesystem::path> onlyGgufIn(const std::filesystem::path &folder)
{
    std::optional<std::filesystem::path> found;
    std::error_code error;
    for (auto it = std::filesystem::directory_iterator(folder, error);
         !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
        const auto extension = it->path().extension();
        if (extension == ".safetensors" || (extension == ".gguf" && found))
            return std::nullopt;
        if (extension == ".gguf")
            found = it->path();
    }
    return found;
}

[[noreturn]] void refusePickle(const std::filesystem::path &path)
{
    throw Error(ErrorKind::Unsupported,
                path.filename().string() + " is a pickle, which can run any code when it is read, so it is not opened.",
                "Convert the model to safetensors: load it with transformers where you trust it and call "
                "save_pretrained(folder, safe_serialization=True).");
}

} // namespace

void WeightFiles::readF32(const Entry &entry, std::span<float> out)
{
    const std::string what = entry.file + ": tensor \"" + entry.name + "\"";
    const Dequantizer *dequantizer = dequantizerFor(entry.dtype);
    if (!dequantizer)
        throw Error(ErrorKind::Unsupported, what + " is stored as " + entry.dtype + ", which cannot be read.",
                    "Get the model in F32, F16, BF16, Q8_0, Q6_K, Q5 or Q4.");
    const std::size_t blocks = entry.bytes.size() / dequantizer->blockBytes;
    if (blocks * dequantizer->blockElements != out.size() || blocks * dequantizer->blockBytes != entry.bytes.size())
        throw Error(ErrorKind::Internal,
                    what + " has " + std::to_string(blocks * dequantizer->blockElements) + " elements, but "
                        + std::to_string(out.size()) + " were asked for.");
    dequantizer->convert(entry.bytes.data(), blocks, out.data());
    if (entry.permutedHeads > 0) {
        const auto heads = static_cast<std::size_t>(entry.permutedHeads);
        const auto rows = entry.shape.empty() ? 0 : static_cast<std::size_t>(entry.shape.front());
        if (rows == 0 || rows % (2 * heads) != 0)
            throw Error(ErrorKind::BadFormat,
                        what + " has " + std::to_string(rows) + " rows, which " + std::to_string(heads)
                            + " heads of even size cannot share.");
        undoHeadPermutation(out, heads, rows);
    }
}

bool WeightFiles::isPlain(const Entry &entry)
{
    return entry.permutedHeads == 0 && (entry.dtype == "F32" || entry.dtype == "F16" || entry.dtype == "BF16");
}

bool WeightFiles::isReadable(std::string_view dtype)
{
    return dequantizerFor(dtype) != nullptr;
}

ListedWeights::ListedWeights(std::vector<Entry> entries, std::vector<std::shared_ptr<const void>> keepAlive)
    : m_entries(std::move(entries)), m_keepAlive(std::move(keepAlive))
{
    for (std::size_t i = 0; i < m_entries.size(); ++i)
        m_index.emplace(m_entries[i].name, i);
}

const WeightFiles::Entry *ListedWeights::find(std::string_view name) const
{
    const auto it = m_index.find(name);
    return it == m_index.end() ? nullptr : &m_entries[it->second];
}

void summarizeTensors(ModelInfo &info)
{
    std::map<std::string, std::uint64_t> bytesOf;
    info.parameters = 0;
    info.bytes = 0;
    for (const TensorInfo &tensor : info.tensors) {
        std::int64_t elements = 1;
        for (const std::int64_t extent : tensor.shape)
            elements *= extent;
        info.parameters += elements;
        info.bytes += tensor.bytes;
        bytesOf[tensor.dtype] += tensor.bytes;
    }
    if (info.config)
        info.parameters = totalParameters(*info.config); // extras such as stored frequencies are no parameters
    info.dtypes.clear();
    for (const auto &[dtype, bytes] : bytesOf)
        info.dtypes.push_back(dtype);
    std::stable_sort(info.dtypes.begin(), info.dtypes.end(),
                     [&bytesOf](const std::string &a, const std::string &b) { return bytesOf[a] > bytesOf[b]; });
}

void checkWeights(ModelInfo &info, const WeightFiles &weights)
{
    if (!info.config)
        return;
    std::set<std::string> unreadable;
    for (const ExpectedTensor &expected : expectedTensors(*info.config)) {
        const WeightFiles::Entry *entry = weights.find(expected.name);
        if (!entry)
            throw Error(ErrorKind::BadFormat,
                        info.path.filename().string() + " has no tensor \"" + expected.name
                            + "\", which its configuration asks for.",
                        "Download or copy the model again, or correct its configuration.");
        if (entry->shape != expected.shape)
            throw Error(ErrorKind::BadFormat,
                        entry->file + ": tensor \"" + expected.name + "\" has the shape "
                            + weightShapeText(entry->shape) + ", but the configuration asks for "
                            + weightShapeText(expected.shape) + ".",
                        "Weights and configuration belong to different models; download or copy the model again.");
        if (!WeightFiles::isReadable(entry->dtype))
            unreadable.insert(entry->dtype);
    }
    if (unreadable.empty())
        return;
    std::string types;
    for (const std::string &dtype : unreadable)
        types += (types.empty() ? "" : ", ") + dtype;
    inspectOnly(info, info.path.filename().string() + " stores weights as " + types + ", which cannot be read.");
}

void inspectOnly(ModelInfo &info, std::string reason)
{
    info.config.reset();
    info.inspectOnlyReason = std::move(reason);
}

ModelInfo inspectModel(const std::filesystem::path &path)
{
    std::error_code error;
    std::filesystem::path target = std::filesystem::absolute(path, error).lexically_normal();
    if (!target.has_filename())
        target = target.parent_path();
    if (!std::filesystem::exists(target, error))
        throw Error(ErrorKind::NotFound, "There is no model at " + path.string() + ".", "Check the path.");
    if (std::filesystem::is_directory(target, error)) {
        if (const auto file = onlyGgufIn(target))
            return inspectGguf(*file);
        return inspectHuggingFaceFolder(target, {});
    }
    const std::string name = target.filename().string();
    if (target.extension() == ".gguf")
        return inspectGguf(target);
    if (name == "config.json" || name.ends_with(".safetensors.index.json"))
        return inspectHuggingFaceFolder(target.parent_path(), {});
    if (target.extension() == ".safetensors")
        return inspectHuggingFaceFolder(target.parent_path(), name);
    if (isPickle(target))
        refusePickle(target);
    throw Error(ErrorKind::Unsupported,
                name + " is no model that is known: neither a folder with config.json nor .safetensors nor .gguf.",
                "Open the model's folder, its safetensors file or a GGUF file.");
}

std::unique_ptr<WeightFiles> openWeights(const ModelInfo &info)
{
    if (!info.config)
        throw Error(ErrorKind::Unsupported,
                    info.inspectOnlyReason.empty() ? info.name + " can only be inspected." : info.inspectOnlyReason,
                    "Choose another model.");
    return info.source == ModelInfo::Source::Gguf ? openGguf(info) : openHuggingFaceFolder(info);
}

std::vector<ExpectedTensor> expectedTensors(const ModelConfig &config)
{
    std::vector<ExpectedTensor> tensors;
    tensors.push_back({"model.embed_tokens.weight", {config.vocabSize, config.hiddenSize}});
    for (std::size_t i = 0; i < config.blocks.size(); ++i)
        for (BlockTensor &tensor : blockTensors(config, config.blocks[i]))
            tensors.push_back({"model.layers." + std::to_string(i) + "." + tensor.name, std::move(tensor.shape)});
    tensors.push_back({"model.norm.weight", {config.hiddenSize}});
    if (!config.tiedEmbeddings)
        tensors.push_back({"lm_head.weight", {config.vocabSize, config.hiddenSize}});
    return tensors;
}

std::vector<CompanionFile> companionFiles(const ModelInfo &info)
{
    if (info.source == ModelInfo::Source::Gguf)
        return ggufCompanions(GgufFile(info.path));
    return huggingFaceCompanions(info);
}

} // namespace secateur
