#include "backend/core/architecture.h"
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
#include <unordered_map>
#include <unordered_set>
#include <utility>

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
    std::unordered_map<std::string, std::string> fileOfTensor;
    std::set<std::string> files;
};

/// Takes the index as a stream of events, for the sake of models with thousands of tensors. `metadata` and keys of
/// later versions are passed over.
class HfIndexReader {
public:
    using number_integer_t = nlohmann::json::number_integer_t;
    using number_unsigned_t = nlohmann::json::number_unsigned_t;
    using number_float_t = nlohmann::json::number_float_t;
    using string_t = nlohmann::json::string_t;
    using binary_t = nlohmann::json::binary_t;

    HfIndex takeIndex()
    {
        if (m_index.files.empty())
            fail(m_hasMap ? "weight_map is empty" : "weight_map is missing or no object");
        return std::move(m_index);
    }

    bool null() { return otherValue("null"); }
    bool boolean(bool) { return otherValue("a truth value"); }
    bool number_integer(number_integer_t) { return otherValue("a number"); }
    bool number_unsigned(number_unsigned_t) { return otherValue("a number"); }
    bool number_float(number_float_t, const string_t &) { return otherValue("a number"); }
    bool binary(binary_t &) { return otherValue("bytes"); }
    bool string(string_t &name)
    {
        if (!m_inMap || m_depth != 2)
            return otherValue("a text");
        if (name.find_first_of("/\\") != std::string::npos || name == "." || name == ".." || name.empty()
            || name.find('\0') != std::string::npos)
            fail("weight_map names the file \"" + name + "\" for tensor \"" + m_tensor
                 + "\", which is no plain file name");
        if (!m_index.fileOfTensor.emplace(m_tensor, name).second)
            fail("weight_map has the tensor \"" + m_tensor + "\" twice");
        if (name != m_lastFile)
            m_index.files.insert(m_lastFile = name);
        return true;
    }
    bool key(string_t &name)
    {
        if (m_depth == 1)
            m_inMap = name == "weight_map";
        else if (m_depth == 2 && m_inMap)
            m_tensor = name;
        return true;
    }
    bool start_object(std::size_t)
    {
        if (m_depth == 1 && m_inMap && std::exchange(m_hasMap, true))
            fail("weight_map occurs twice");
        if (m_depth > 1)
            otherValue("an object");
        return deeper();
    }
    bool start_array(std::size_t)
    {
        otherValue("a list");
        return deeper();
    }
    bool end_object() { return shallower(); }
    bool end_array() { return shallower(); }
    bool parse_error(std::size_t position, const std::string &, const nlohmann::json::exception &)
    {
        fail("the file is not valid JSON at byte " + std::to_string(position));
    }

private:
    [[noreturn]] static void fail(const std::string &problem)
    {
        throw Error(ErrorKind::BadFormat, std::string(kHfIndexName) + ": " + problem + ".",
                    "Download or copy the file again.");
    }
    bool otherValue(const char *what) const
    {
        if (m_depth == 0 || (m_depth == 1 && m_inMap))
            fail("weight_map is missing or no object");
        if (m_inMap)
            fail(std::string("weight_map gives ") + what + " instead of a file name for tensor \"" + m_tensor + "\"");
        return true;
    }
    bool deeper()
    {
        constexpr int limit = 32;
        if (++m_depth > limit)
            fail("the file is nested deeper than " + std::to_string(limit) + " levels");
        return true;
    }
    bool shallower()
    {
        --m_depth;
        return true;
    }

    HfIndex m_index;
    int m_depth = 0;
    bool m_inMap = false;
    bool m_hasMap = false;
    std::string m_tensor;
    std::string m_lastFile;
};

HfIndex readHfIndex(const fs::path &path)
{
    HfIndexReader reader;
    nlohmann::json::sax_parse(readTextFile(path), &reader);
    return reader.takeIndex();
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
    std::unordered_set<std::string_view> stored;
    stored.reserve(tensors.size()); // a tensor in two shards has another file in the index than one of them
    for (const TensorInfo &tensor : tensors) {
        stored.insert(tensor.name);
        const auto it = index.fileOfTensor.find(tensor.name);
        if (it == index.fileOfTensor.end() || it->second != tensor.file)
            throw Error(ErrorKind::BadFormat,
                        tensor.file + ": tensor \"" + tensor.name + "\" is not listed for this file in "
                            + std::string(kHfIndexName) + ".",
                        "Shards and index belong to different downloads; download the model again.");
    }
    for (const auto &[tensor, file] : index.fileOfTensor)
        if (!stored.contains(tensor))
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

/// The tensors under this program's names, whatever the family calls them.
std::unique_ptr<WeightFiles> hfWeights(const std::vector<std::shared_ptr<const SafetensorsFile>> &files,
                                       const ModelInfo &info)
{
    const Architecture *family = findArchitecture(info.modelType);
    std::vector<WeightFiles::Entry> entries;
    std::vector<std::shared_ptr<const void>> keepAlive;
    for (const auto &file : files) {
        keepAlive.push_back(file);
        for (const TensorInfo &tensor : file->tensors())
            entries.push_back({family ? family->tensorName(tensor.name) : tensor.name, tensor.dtype, tensor.shape,
                               tensor.file, file->data(tensor), 0});
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
    for (const std::string &name : names) {
        files.push_back(std::make_shared<const SafetensorsFile>(folder / name));
        const SafetensorsFile &file = *files.back();
        digest.update(file.headerText());
        digest.update(std::to_string(file.file().size()));
        digest.update(file.file().sample());
        info.tensors.insert(info.tensors.end(), file.tensors().begin(), file.tensors().end());
    }
    info.digest = digest.hex();
    if (index)
        checkHfShardContents(*index, info.tensors);
    if (info.config)
        checkWeights(info, *hfWeights(files, info));
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
    auto weights = hfWeights(files, info);
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
