#include "app/cli/inputs.h"
#include "app/cli/shell.h"
#include "app/cli/verbs.h"

#include "backend/engine/compute_device.h"
#include "backend/io/map_archive.h"
#include "backend/io/safetensors.h"
#include "backend/io/session_file.h"
#include "backend/io/weight_files.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <string_view>

namespace secateur::cli {

namespace {

struct InspectArguments {
    std::string path;
    std::string base;
    bool deep = false;
};

/// A plain number when all blocks agree, else a list with one entry per block.
template <typename Value> Json perBlock(const ModelConfig &config, Value value)
{
    Json values = Json::array();
    for (const BlockShape &block : config.blocks)
        values.push_back(value(block));
    const bool equal
        = std::all_of(values.begin(), values.end(), [&](const Json &one) { return one == values.front(); });
    return equal && !values.empty() ? values.front() : values;
}

Json tensorsJson(const std::vector<TensorInfo> &tensors)
{
    Json list = Json::array();
    for (const TensorInfo &tensor : tensors)
        list.push_back(
            {{"name", tensor.name}, {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"file", tensor.file}});
    return list;
}

std::string shapeText(const std::vector<std::int64_t> &shape)
{
    std::string text;
    for (const std::int64_t size : shape)
        text += (text.empty() ? "" : " × ") + std::to_string(size);
    return "[" + text + "]";
}

std::string tensorsText(const std::vector<TensorInfo> &tensors)
{
    std::string text;
    for (const TensorInfo &tensor : tensors)
        text += "  " + tensor.name + "  " + tensor.dtype + " " + shapeText(tensor.shape) + "  " + tensor.file + "\n";
    return text;
}

/// Every value of every readable tensor; throws Error(Numeric) at the first that is not finite.
std::int64_t checkWeights(const std::vector<WeightFiles::Entry> &entries, const JobContext &context)
{
    std::vector<float> values;
    std::int64_t checked = 0;
    for (const WeightFiles::Entry &entry : entries) {
        context.checkpoint({"inspect.weights", checked, static_cast<std::int64_t>(entries.size())});
        if (!WeightFiles::isReadable(entry.dtype))
            continue;
        std::size_t count = 1;
        for (const std::int64_t size : entry.shape)
            count *= static_cast<std::size_t>(size);
        values.resize(count);
        WeightFiles::readF32(entry, values);
        const auto bad
            = std::find_if_not(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
        if (bad != values.end())
            throw Error(ErrorKind::Numeric,
                        entry.file + ", tensor '" + entry.name + "': value " + std::to_string(bad - values.begin())
                            + " is " + (std::isnan(*bad) ? "NaN" : "infinite") + ".",
                        "The file is damaged or was written by a failed training.");
        ++checked;
    }
    return checked;
}

void inspectModelPath(Shell &shell, const std::filesystem::path &path, bool deep)
{
    const ModelInfo info = inspectModel(path);
    Json json = {{"kind", "model"},
                 {"name", info.name},
                 {"source", info.source == ModelInfo::Source::Gguf ? "gguf" : "hf"},
                 {"model_type", info.modelType}};
    std::string text = info.name + " (" + info.modelType + ")\n";
    if (info.config) {
        const ModelConfig &config = *info.config;
        json["architecture"] = config.architecture;
        json["layers"] = config.layers();
        json["hidden_size"] = config.hiddenSize;
        json["heads"] = perBlock(config, [](const BlockShape &block) { return block.queryHeads; });
        json["kv_heads"] = perBlock(config, [](const BlockShape &block) { return block.kvHeads; });
        json["head_dim"] = config.headDim;
        json["intermediate_size"] = perBlock(config, [](const BlockShape &block) { return block.intermediateSize; });
        json["vocab_size"] = config.vocabSize;
        json["max_positions"] = config.maxPositions;
        json["tied"] = config.tiedEmbeddings;
        text += "  layers " + std::to_string(config.layers()) + ", hidden size " + std::to_string(config.hiddenSize)
            + ", heads " + json["heads"].dump() + " / KV " + json["kv_heads"].dump() + " of "
            + std::to_string(config.headDim) + ", FFN " + json["intermediate_size"].dump() + ", vocabulary "
            + std::to_string(config.vocabSize) + (config.tiedEmbeddings ? ", tied\n" : ", untied\n");
    }
    json["parameters"] = info.parameters;
    json["bytes"] = info.bytes;
    json["dtypes"] = info.dtypes;
    json["digest"] = info.digest;
    json["loadable"] = info.config.has_value() && info.inspectOnlyReason.empty();
    text += "  parameters " + grouped(info.parameters) + ", " + bytesText(info.bytes) + " in";
    for (const std::string &dtype : info.dtypes)
        text += " " + dtype;
    text += "\n  digest " + info.digest + "\n";
    if (!info.inspectOnlyReason.empty()) {
        json["reason"] = info.inspectOnlyReason;
        text += "  can only be looked at: " + info.inspectOnlyReason + "\n";
    }
    if (info.config) {
        const std::string dtype = resolveDtype(shell.options.compute);
        const MemoryEstimate estimate = estimateMemory(*info.config, dtype == "bf16" ? 2 : 4);
        json["memory_estimate"] = {{"weights", estimate.weights},
                                   {"activations", estimate.activations},
                                   {"cache", estimate.cache},
                                   {"total", estimate.total()},
                                   {"dtype", dtype}};
        text += "  memory in " + dtype + ": " + bytesText(estimate.total()) + " (weights " + bytesText(estimate.weights)
            + ", activations " + bytesText(estimate.activations) + ", cache " + bytesText(estimate.cache) + ")\n";
    }
    if (deep) {
        const auto checked = checkWeights(openWeights(info)->entries(), shell.context());
        json["weights_finite"] = true;
        json["tensors_checked"] = checked;
        text += "  all values of " + std::to_string(checked) + " tensors are finite\n";
    }
    json["tensors"] = tensorsJson(info.tensors);
    shell.result(json, text + tensorsText(info.tensors));
}

void inspectSafetensors(Shell &shell, const std::filesystem::path &path, bool deep)
{
    const SafetensorsFile file(path);
    std::int64_t parameters = 0;
    std::uint64_t bytes = 0;
    std::map<std::string, std::uint64_t> bytesByType;
    std::vector<WeightFiles::Entry> entries;
    for (const TensorInfo &tensor : file.tensors()) {
        std::int64_t count = 1;
        for (const std::int64_t size : tensor.shape)
            count *= size;
        parameters += count;
        bytes += tensor.bytes;
        bytesByType[tensor.dtype] += tensor.bytes;
        entries.push_back({tensor.name, tensor.dtype, tensor.shape, path.string(), file.data(tensor), 0});
    }
    std::vector<std::string> dtypes;
    for (const auto &entry : bytesByType)
        dtypes.push_back(entry.first);
    std::stable_sort(dtypes.begin(), dtypes.end(),
                     [&](const std::string &a, const std::string &b) { return bytesByType.at(a) > bytesByType.at(b); });
    Json json = {{"kind", "safetensors"}, {"parameters", parameters}, {"bytes", bytes}, {"dtypes", dtypes}};
    json["metadata"] = file.metadata();
    std::string text = path.filename().string() + ": " + std::to_string(file.tensors().size()) + " tensors, "
        + grouped(parameters) + " parameters, " + bytesText(bytes) + "\n";
    if (deep) {
        json["tensors_checked"] = checkWeights(entries, shell.context());
        json["weights_finite"] = true;
        text += "  all values are finite\n";
    }
    json["tensors"] = tensorsJson(file.tensors());
    shell.result(json, text + tensorsText(file.tensors()));
}

void inspectAdapter(Shell &shell, const std::filesystem::path &folder, const std::string &base)
{
    const AdapterSummary summary = readAdapterSummary(folder);
    const SafetensorsFile file(folder / "adapter_model.safetensors");
    Json json = {{"kind", "adapter"},
                 {"peft_type", summary.type},
                 {"base_model", summary.base},
                 {"r", summary.rank},
                 {"lora_alpha", summary.alpha},
                 {"use_rslora", summary.rsLora},
                 {"target_modules", summary.targets}};
    std::int64_t parameters = 0;
    for (const TensorInfo &tensor : file.tensors()) {
        std::int64_t count = 1;
        for (const std::int64_t size : tensor.shape)
            count *= size;
        parameters += count;
    }
    json["parameters"] = parameters;
    std::string text = summary.type + " adapter of " + summary.base + ", r " + std::to_string(summary.rank) + ", alpha "
        + fixed(summary.alpha, 0) + ", " + grouped(parameters) + " parameters\n";
    if (!base.empty()) {
        const auto model = shell.openBase(base);
        loadAdapter(folder, *model.model); // throws when a shape does not fit
        json["fits"] = model.info.name;
        text += "  fits " + model.info.name + "\n";
    }
    json["tensors"] = tensorsJson(file.tensors());
    shell.result(json, text + tensorsText(file.tensors()));
}

void inspectMaps(Shell &shell, const std::filesystem::path &path)
{
    const AnalysisResult maps = readMaps(path);
    Json json = {{"kind", "maps"},
                 {"model", maps.modelName},
                 {"model_digest", maps.modelDigest},
                 {"calibration", maps.calibration.name},
                 {"tokens", maps.calibration.tokens},
                 {"maps", Json::array()}};
    std::string text = "Maps of " + maps.modelName + " on " + maps.calibration.name + "\n";
    for (const MetricMapPtr &map : maps.maps) {
        const ValueRange range = finiteRange(*map);
        json["maps"].push_back({{"name", map->id()},
                                {"rows", map->rows},
                                {"columns", map->columns},
                                {"min", range.low},
                                {"max", range.high}});
        text += "  " + map->id() + "  " + std::to_string(map->rows) + " × " + std::to_string(map->columns) + "  "
            + fixed(range.low, 6) + " … " + fixed(range.high, 6) + "\n";
    }
    shell.result(json, text);
}

void inspectSession(Shell &shell, const std::filesystem::path &path)
{
    std::vector<std::string> warnings;
    const Session session = loadSession(path, &warnings);
    Json json = {{"kind", "session"},
                 {"model", session.model.alias},
                 {"model_type", session.model.config.modelType},
                 {"model_digest", session.model.digest},
                 {"parameters", session.model.parameters},
                 {"plans", Json::array()},
                 {"runs", Json::array()},
                 {"reports", Json::array()},
                 {"maps", Json::array()},
                 {"warnings", warnings}};
    std::string text = "Session about " + session.model.alias + "\n";
    for (const PruningPlan &plan : session.plans) {
        json["plans"].push_back({{"id", plan.id}, {"name", plan.name}, {"units", plan.removed.count()}});
        text += "  " + plan.id + ": " + plan.name + ", " + std::to_string(plan.removed.count()) + " units\n";
    }
    for (const RunRecord &run : session.runs) {
        json["runs"].push_back({{"id", run.id}, {"name", run.name}, {"plan", run.plan}, {"steps", run.losses.size()}});
        text += "  " + run.id + ": " + run.name + " on " + (run.plan.empty() ? "the dense model" : run.plan) + "\n";
    }
    for (const EvaluationReportPtr &report : session.reports) {
        Json tasks = Json::array();
        for (const TaskReport &task : report->tasks)
            tasks.push_back(task.task);
        json["reports"].push_back({{"id", report->id}, {"model", report->modelName}, {"tasks", tasks}});
        text += "  " + report->id + ": " + report->modelName + ", " + std::to_string(report->tasks.size()) + " tasks\n";
    }
    if (session.analysis)
        for (const MetricMapPtr &map : session.analysis->maps) {
            json["maps"].push_back(map->id());
            text += "  map " + map->id() + "\n";
        }
    for (const std::string &warning : warnings)
        text += "  note: " + warning + "\n";
    shell.result(json, text);
}

void inspectRows(Shell &shell, const std::filesystem::path &path)
{
    const Corpus corpus = readCorpus(path);
    const Json json = {{"kind", "rows"},
                       {"format", corpus.kind},
                       {"rows", corpus.samples.size()},
                       {"skipped", corpus.skipped},
                       {"sha256", corpus.sha256}};
    shell.result(json,
                 corpus.name + ": " + corpus.kind + ", " + std::to_string(corpus.samples.size()) + " rows, "
                     + std::to_string(corpus.skipped) + " without a response\n");
}

void inspect(Shell &shell, const InspectArguments &arguments)
{
    const std::filesystem::path path = workflow::resolveModelPath(arguments.path);
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
        if (std::filesystem::exists(path / "adapter_config.json", error)
            && !std::filesystem::exists(path / "config.json", error))
            return inspectAdapter(shell, path, arguments.base);
        return inspectModelPath(shell, path, arguments.deep);
    }
    const std::string name = path.filename().string();
    std::array<char, 8> head{};
    std::ifstream(path, std::ios::binary).read(head.data(), head.size());
    const std::string_view magic(head.data(), head.size());
    if (magic.starts_with("\x89HDF"))
        return inspectMaps(shell, path);
    if (magic.starts_with("GGUF") || path.extension() == ".gguf")
        return inspectModelPath(shell, path, arguments.deep);
    if (name == "adapter_config.json")
        return inspectAdapter(shell, path.has_parent_path() ? path.parent_path() : ".", arguments.base);
    if (name == "config.json" || name.ends_with(".index.json"))
        return inspectModelPath(
            shell, name == "config.json" ? (path.has_parent_path() ? path.parent_path() : ".") : path, arguments.deep);
    if (path.extension() == ".safetensors")
        return inspectSafetensors(shell, path, arguments.deep);
    if (path.extension() == ".h5" || path.extension() == ".hdf5")
        return inspectMaps(shell, path);
    if (path.extension() == ".jsonl" || path.extension() == ".txt")
        return inspectRows(shell, path);
    if (path.extension() == ".json")
        return inspectSession(shell, path);
    return inspectModelPath(shell, path, arguments.deep); // knows why pickles and others are refused
}

} // namespace

void addInspectVerb(CLI::App &program, Shell &shell)
{
    auto *verb = program.add_subcommand("inspect", "Tell what a file is, from its headers");
    const auto arguments = std::make_shared<InspectArguments>();
    verb->add_option("PATH", arguments->path, "model folder, .safetensors, GGUF, adapter, maps .h5, session or rows")
        ->required();
    verb->add_option("--base", arguments->base, "model that an adapter must fit");
    verb->add_flag("--deep", arguments->deep, "read the weights, too, and look for NaN and infinity");
    verb->callback([&shell, arguments] { shell.verb = [&shell, arguments] { inspect(shell, *arguments); }; });
}

} // namespace secateur::cli
