#include "backend/core/error.h"
#include "backend/core/json_text.h"
#include "backend/io/atomic_file.h"
#include "backend/io/digest.h"
#include "backend/io/safetensors.h"
#include "backend/io/weight_sources.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <system_error>

namespace secateur {

namespace {

namespace fs = std::filesystem;

constexpr char kHfConfigName[] = "config.json";
constexpr char kHfSingleName[] = "model.safetensors";
constexpr char kHfIndexName[] = "model.safetensors.index.json";

std::vector<std::string> hfFileNames(const fs::path &folder)
{
    std::vector<std::string> names;
    std::error_code error;
    for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator(); it.increment(error))
        if (std::error_code status; !it->is_directory(status))
            names.push_back(it->path().filename().string());
    if (error)
        throw Error(ErrorKind::Io, "The folder " + folder.string() + " cannot be listed: " + error.message() + ".");
    std::sort(names.begin(), names.end());
    return names;
}

/// Names for a sentence, cut after five.
std::string hfListed(const std::vector<std::string> &names)
{
    std::string text;
    for (std::size_t i = 0; i < names.size() && i < 5; ++i)
        text += (i > 0 ? ", " : "") + names[i];
    return names.size() > 5 ? text + " and " + std::to_string(names.size() - 5) + " more" : text;
}

/// "model" of "model-00001-of-00003.safetensors", empty for any other name.
std::string hfShardStem(std::string_view name)
{
    constexpr std::string_view extension = ".safetensors";
    if (!name.ends_with(extension))
        return {};
    name.remove_suffix(extension.size());
    const auto takeNumber = [&name] {
        const auto end = name.find_last_not_of("0123456789");
        const bool found = end != std::string_view::npos && end + 1 < name.size();
        name = name.substr(0, end == std::string_view::npos ? 0 : end + 1);
        return found;
    };
    if (!takeNumber() || !name.ends_with("-of-"))
        return {};
    name.remove_suffix(4);
    if (!takeNumber() || !name.ends_with("-"))
        return {};
    name.remove_suffix(1);
    return std::string(name);
}

struct HfIndex {
    std::map<std::string, std::string> fileOfTensor;
    std::set<std::string> files;
};

HfIndex readHfIndex(const fs::path &path)
{
    const std::string file = path.filename().string();
    const auto fail = [&file](const std::string &problem) {
        throw Error(ErrorKind::BadFormat, file + ": " + problem + ".", "Download or copy the file again.");
    };
    const nlohmann::json json = parseJson(readTextFile(path), file);
    if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
        fail("weight_map is missing or no object");
    HfIndex index;
    for (const auto &[tensor, value] : json["weight_map"].items()) {
        if (!value.is_string())
            fail("weight_map gives " + std::string(value.type_name()) + " instead of a file name for tensor \"" + tensor
                 + "\"");
        const auto name = value.get<std::string>();
        if (name.find_first_of("/\\") != std::string::npos || name == "." || name == ".." || name.empty()
            || name.find('\0') != std::string::npos)
            fail("weight_map names the file \"" + name + "\" for tensor \"" + tensor
                 + "\", which is no plain file name");
        index.fileOfTensor.emplace(tensor, name);
        index.files.insert(name);
    }
    if (index.files.empty())
        fail("weight_map is empty");
    return index;
}

void checkHfShardFiles(const HfIndex &index, const std::vector<std::string> &present)
{
    std::vector<std::string> missing;
    std::set<std::string> stems;
    for (const std::string &file : index.files) {
        if (!std::binary_search(present.begin(), present.end(), file))
            missing.push_back(file);
        stems.insert(hfShardStem(file));
    }
    if (!missing.empty())
        throw Error(ErrorKind::NotFound,
                    std::string(kHfIndexName) + ": weight_map names " + hfListed(missing) + ", which "
                        + (missing.size() == 1 ? "is" : "are") + " missing.",
                    "Download or copy the missing shards.");
    std::vector<std::string> extra;
    for (const std::string &file : present)
        if (const std::string stem = hfShardStem(file);
            !stem.empty() && stems.contains(stem) && !index.files.contains(file))
            extra.push_back(file);
    if (!extra.empty())
        throw Error(ErrorKind::BadFormat,
                    std::string(kHfIndexName) + ": weight_map does not mention " + hfListed(extra) + ", which "
                        + (extra.size() == 1 ? "is" : "are") + " in the folder.",
                    "Remove files of another download, or download the index again.");
}

void checkHfShardContents(const HfIndex &index, const std::vector<TensorInfo> &tensors)
{
    std::set<std::pair<std::string, std::string>> stored;
    for (const TensorInfo &tensor : tensors) {
        stored.emplace(tensor.name, tensor.file);
        const auto it = index.fileOfTensor.find(tensor.name);
        if (it == index.fileOfTensor.end() || it->second != tensor.file)
            throw Error(ErrorKind::BadFormat,
                        tensor.file + ": tensor \"" + tensor.name + "\" is not listed for this file in "
                            + std::string(kHfIndexName) + ".",
                        "Shards and index belong to different downloads; download the model again.");
    }
    for (const auto &[tensor, file] : index.fileOfTensor)
        if (!stored.contains({tensor, file}))
            throw Error(ErrorKind::BadFormat,
                        std::string(kHfIndexName) + ": weight_map says that tensor \"" + tensor + "\" is in " + file
                            + ", but it is not.",
                        "Shards and index belong to different downloads; download the model again.");
}

/// Decides which safetensors files of the folder hold the model.
std::vector<std::string> hfWeightFiles(const fs::path &folder, const std::string &singleFile,
                                       std::optional<HfIndex> &index)
{
    const std::vector<std::string> names = hfFileNames(folder);
    const auto has = [&names](const std::string &name) { return std::binary_search(names.begin(), names.end(), name); };
    const auto useIndex = [&] {
        index = readHfIndex(folder / kHfIndexName);
        checkHfShardFiles(*index, names);
        return std::vector<std::string>(index->files.begin(), index->files.end());
    };
    if (!singleFile.empty()) {
        if (!hfShardStem(singleFile).empty() && has(kHfIndexName)) // a shard stands for all of them
            return useIndex();
        return {singleFile};
    }
    if (has(kHfSingleName))
        return {kHfSingleName};
    if (has(kHfIndexName))
        return useIndex();

    const std::string where = "The folder " + folder.filename().string();
    std::vector<std::string> tensorFiles, pickles;
    for (const std::string &name : names) {
        const fs::path path(name);
        if (path.extension() == ".safetensors" && !name.starts_with("adapter_model"))
            tensorFiles.push_back(name);
        if (path.extension() == ".bin" || path.extension() == ".pt" || path.extension() == ".pth")
            pickles.push_back(name);
    }
    if (tensorFiles.size() == 1 && hfShardStem(tensorFiles.front()).empty())
        return tensorFiles;
    if (!tensorFiles.empty())
        throw Error(ErrorKind::NotFound,
                    where + " has " + hfListed(tensorFiles) + ", but neither " + kHfSingleName + " nor " + kHfIndexName
                        + ".",
                    "Download or copy the index as well, or open one file.");
    if (!pickles.empty())
        throw Error(ErrorKind::Unsupported,
                    where + " has its weights only as " + hfListed(pickles)
                        + ", pickles that can run any code when they are read, so they are not opened.",
                    "Convert the model to safetensors: load it with transformers where you trust it and call "
                    "save_pretrained(folder, safe_serialization=True).");
    if (has("adapter_config.json"))
        throw Error(ErrorKind::Unsupported, where + " holds an adapter, not a model.",
                    "Open the base model and give the adapter beside it.");
    throw Error(ErrorKind::NotFound,
                where + " has no model weights: neither " + kHfSingleName + " nor " + kHfIndexName + ".",
                "Choose the folder that holds config.json and the weights.");
}

/// Folders of the Hugging Face cache are named by commit: models--org--name/snapshots/0123abcd…
std::string hfModelName(const fs::path &folder)
{
    const fs::path snapshots = folder.parent_path();
    const std::string repository = snapshots.parent_path().filename().string();
    if (snapshots.filename() == "snapshots" && repository.starts_with("models--"))
        return repository.substr(repository.rfind("--") + 2);
    return folder.filename().string();
}

/// "bfloat16" for "BF16", empty for what no configuration names.
std::string hfDtypeName(const std::string &stored)
{
    if (stored == "F32")
        return "float32";
    if (stored == "F16")
        return "float16";
    return stored == "BF16" ? "bfloat16" : std::string();
}

std::unique_ptr<WeightFiles> hfWeights(const std::vector<std::shared_ptr<const SafetensorsFile>> &files)
{
    std::vector<WeightFiles::Entry> entries;
    std::vector<std::shared_ptr<const void>> keepAlive;
    for (const auto &file : files) {
        keepAlive.push_back(file);
        for (const TensorInfo &tensor : file->tensors())
            entries.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.file, file->data(tensor), 0});
    }
    return std::make_unique<ListedWeights>(std::move(entries), std::move(keepAlive));
}

void readHfConfig(ModelInfo &info, const fs::path &folder, Sha256 &digest)
{
    std::error_code error;
    if (!fs::exists(folder / kHfConfigName, error)) {
        inspectOnly(info, "There is no config.json beside the weights, so the model's structure is not known.");
        return;
    }
    const std::string text = readTextFile(folder / kHfConfigName, 64u << 20);
    digest.update(text);
    const nlohmann::json json = parseJson(text, kHfConfigName);
    if (json.is_object() && json.contains("model_type") && json["model_type"].is_string())
        info.modelType = json["model_type"].get<std::string>();
    try {
        info.config = parseModelConfig(text, kHfConfigName);
    } catch (const Error &problem) {
        if (problem.kind() != ErrorKind::Unsupported)
            throw;
        inspectOnly(info, problem.info().message);
    }
}

} // namespace

ModelInfo inspectHuggingFaceFolder(const fs::path &folder, const std::string &singleFile)
{
    std::optional<HfIndex> index;
    const std::vector<std::string> names = hfWeightFiles(folder, singleFile, index);
    ModelInfo info;
    info.source = ModelInfo::Source::HuggingFaceFolder;
    info.path = folder;
    info.name = singleFile.empty() || singleFile == kHfSingleName || index ? hfModelName(folder)
                                                                           : fs::path(singleFile).stem().string();
    Sha256 digest;
    readHfConfig(info, folder, digest);

    std::vector<std::shared_ptr<const SafetensorsFile>> files;
    std::set<std::string> seen;
    for (const std::string &name : names) {
        files.push_back(std::make_shared<const SafetensorsFile>(folder / name));
        const SafetensorsFile &file = *files.back();
        digest.update(file.headerText());
        digest.update(std::to_string(file.file().size()));
        for (const TensorInfo &tensor : file.tensors()) {
            if (!seen.insert(tensor.name).second)
                throw Error(ErrorKind::BadFormat,
                            name + ": tensor \"" + tensor.name + "\" is in another shard as well.",
                            "Download the model again.");
            info.tensors.push_back(tensor);
        }
    }
    info.digest = digest.hex();
    if (index)
        checkHfShardContents(*index, info.tensors);
    checkWeights(info, *hfWeights(files));
    summarizeTensors(info);
    if (info.config && !info.dtypes.empty())
        if (std::string dtype = hfDtypeName(info.dtypes.front()); !dtype.empty())
            info.config->dtype = std::move(dtype); // what is stored, whatever the file says
    return info;
}

std::unique_ptr<WeightFiles> openHuggingFaceFolder(const ModelInfo &info)
{
    std::set<std::string> names;
    for (const TensorInfo &tensor : info.tensors)
        names.insert(tensor.file);
    std::vector<std::shared_ptr<const SafetensorsFile>> files;
    for (const std::string &name : names)
        files.push_back(std::make_shared<const SafetensorsFile>(info.path / name));
    auto weights = hfWeights(files);
    ModelInfo now = info;
    checkWeights(now, *weights); // the files may have changed since they were inspected
    return weights;
}

std::vector<CompanionFile> huggingFaceCompanions(const ModelInfo &info)
{
    static const std::set<std::string> known = {"tokenizer.json",
                                                "tokenizer_config.json",
                                                "special_tokens_map.json",
                                                "added_tokens.json",
                                                "vocab.json",
                                                "merges.txt",
                                                "tokenizer.model",
                                                "generation_config.json",
                                                "chat_template.jinja",
                                                "chat_template.json"};
    std::vector<CompanionFile> files;
    for (const std::string &name : hfFileNames(info.path))
        if (known.contains(name) || name.starts_with("LICENSE") || name.starts_with("LICENCE")
            || name.starts_with("NOTICE"))
            files.push_back({name, readTextFile(info.path / name)});
    return files;
}

} // namespace secateur
