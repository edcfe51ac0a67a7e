#include "backend/io/record_json.h"

#include "backend/core/error.h"

#include <nlohmann/json.hpp>

#include <charconv>
#include <chrono>
#include <filesystem>
#include <limits>
#include <type_traits>

namespace secateur {

namespace {

constexpr int kRecordIndexLimit = std::numeric_limits<int>::max();
constexpr std::size_t kRecordBlockLimit = 100000;

nlohmann::json numbersToJson(const std::vector<double> &values)
{
    auto list = nlohmann::json::array();
    for (const double value : values)
        list.push_back(numberToJson(value));
    return list;
}

nlohmann::json indexMapToJson(const std::map<int, std::set<int>> &indices)
{
    auto object = nlohmann::json::object();
    for (const auto &[block, units] : indices)
        if (!units.empty())
            object[std::to_string(block)] = units;
    return object;
}

std::set<int> indexSetFromJson(const JsonNode &node)
{
    std::set<int> indices;
    for (const auto &item : node.items())
        indices.insert(static_cast<int>(item.integer(0, kRecordIndexLimit)));
    return indices;
}

std::map<int, std::set<int>> indexMapFromJson(const JsonNode &node)
{
    std::map<int, std::set<int>> indices;
    node.forEachMember([&](const std::string &key, const JsonNode &value) {
        int block = -1;
        const auto parsed = std::from_chars(key.data(), key.data() + key.size(), block);
        if (parsed.ec != std::errc() || parsed.ptr != key.data() + key.size() || block < 0)
            value.fail("is not under a block number");
        if (auto units = indexSetFromJson(value); !units.empty())
            indices[block] = std::move(units);
    });
    return indices;
}

const char *scalingName(RopeConfig::Scaling scaling)
{
    switch (scaling) {
    case RopeConfig::Scaling::Linear:
        return "linear";
    case RopeConfig::Scaling::Llama3:
        return "llama3";
    case RopeConfig::Scaling::Yarn:
        return "yarn";
    case RopeConfig::Scaling::None:
        break;
    }
    return "none";
}

RopeConfig::Scaling scalingFromJson(const JsonNode &node)
{
    for (const auto scaling : {RopeConfig::Scaling::None, RopeConfig::Scaling::Linear, RopeConfig::Scaling::Llama3,
                               RopeConfig::Scaling::Yarn})
        if (node.string() == scalingName(scaling))
            return scaling;
    node.fail("is \"" + node.string() + "\"; known are none, linear, llama3 and yarn");
}

nlohmann::json ropeToJson(const RopeConfig &rope)
{
    return {{"theta", numberToJson(rope.theta)},
            {"scaling", scalingName(rope.scaling)},
            {"factor", numberToJson(rope.factor)},
            {"low_frequency_factor", numberToJson(rope.lowFrequencyFactor)},
            {"high_frequency_factor", numberToJson(rope.highFrequencyFactor)},
            {"original_max_positions", rope.originalMaxPositions},
            {"beta_fast", numberToJson(rope.betaFast)},
            {"beta_slow", numberToJson(rope.betaSlow)},
            {"attention_factor", numberToJson(rope.attentionFactor)}};
}

RopeConfig ropeFromJson(const JsonNode &node)
{
    RopeConfig rope;
    node.read("theta", rope.theta);
    if (const auto scaling = node.find("scaling"))
        rope.scaling = scalingFromJson(*scaling);
    node.read("factor", rope.factor);
    node.read("low_frequency_factor", rope.lowFrequencyFactor);
    node.read("high_frequency_factor", rope.highFrequencyFactor);
    node.read("original_max_positions", rope.originalMaxPositions);
    node.read("beta_fast", rope.betaFast);
    node.read("beta_slow", rope.betaSlow);
    node.read("attention_factor", rope.attentionFactor);
    return rope;
}

/// config.json of some models carries the folder they were trained in; a session travels without it.
std::string withoutAbsolutePaths(const std::string &configText)
{
    auto config = nlohmann::json::parse(configText, nullptr, false);
    if (!config.is_object())
        return {};
    bool changed = false;
    for (auto &value : config) {
        if (!value.is_string())
            continue;
        const std::filesystem::path path(value.get<std::string>());
        if (path.is_absolute()) {
            value = path.filename().string();
            changed = true;
        }
    }
    return changed ? compactJson(config) : configText;
}

} // namespace

nlohmann::json toJson(const UnitSet &units)
{
    return {{"blocks", units.blocks},
            {"kv_groups", indexMapToJson(units.kvGroups)},
            {"ffn_channels", indexMapToJson(units.ffnChannels)}};
}

UnitSet unitSetFromJson(const JsonNode &node)
{
    UnitSet units;
    if (const auto blocks = node.find("blocks"))
        units.blocks = indexSetFromJson(*blocks);
    if (const auto groups = node.find("kv_groups"))
        units.kvGroups = indexMapFromJson(*groups);
    if (const auto channels = node.find("ffn_channels"))
        units.ffnChannels = indexMapFromJson(*channels);
    return units;
}

nlohmann::json toJson(const PruningPlan &plan)
{
    return {{"id", plan.id},
            {"parent", plan.parent},
            {"name", plan.name},
            {"method", plan.method},
            {"options", nlohmann::json(plan.options)},
            {"model_digest", plan.modelDigest},
            {"removed", toJson(plan.removed)}};
}

PruningPlan planFromJson(const JsonNode &node)
{
    PruningPlan plan;
    node.read("id", plan.id);
    node.read("parent", plan.parent);
    node.read("name", plan.name);
    node.read("method", plan.method);
    if (const auto options = node.find("options"))
        options->forEachMember(
            [&](const std::string &key, const JsonNode &value) { plan.options[key] = value.string(); });
    node.read("model_digest", plan.modelDigest);
    plan.removed = unitSetFromJson(node.at("removed"));
    return plan;
}

nlohmann::json toJson(const CalibrationRecord &record)
{
    return {{"id", record.id},         {"name", record.name},
            {"source", record.source}, {"kind", record.kind},
            {"sha256", record.sha256}, {"sequences", record.sequences},
            {"length", record.length}, {"tokens", record.tokens},
            {"seed", record.seed},     {"template_digest", record.templateDigest}};
}

CalibrationRecord calibrationFromJson(const JsonNode &node)
{
    CalibrationRecord record;
    record.id = node.at("id").string();
    node.read("name", record.name);
    node.read("source", record.source);
    node.read("kind", record.kind);
    node.read("sha256", record.sha256);
    node.read("sequences", record.sequences);
    node.read("length", record.length);
    node.read("tokens", record.tokens);
    node.read("seed", record.seed);
    node.read("template_digest", record.templateDigest);
    return record;
}

nlohmann::json toJson(const RecoveryOptions &options)
{
    auto json = nlohmann::json::object();
    visitRecoveryOptions(options, [&](const char *key, const auto &value) {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, double>)
            json[key] = numberToJson(value);
        else
            json[key] = value;
    });
    return json;
}

RecoveryOptions recoveryOptionsFromJson(const JsonNode &node)
{
    RecoveryOptions options;
    visitRecoveryOptions(options, [&](const char *key, auto &value) { node.read(key, value); });
    return options;
}

nlohmann::json toJson(const RunRecord &run)
{
    return {{"id", run.id},
            {"plan", run.plan},
            {"name", run.name},
            {"options", toJson(run.options)},
            {"data", {{"name", run.dataName}, {"sha256", run.dataSha256}}},
            {"losses", numbersToJson(run.losses)},
            {"learning_rates", numbersToJson(run.learningRates)},
            {"tokens_per_second", numberToJson(run.tokensPerSecond)},
            {"dropped_samples", run.droppedSamples},
            {"adapter", run.adapterPath}};
}

RunRecord runFromJson(const JsonNode &node)
{
    RunRecord run;
    run.id = node.at("id").string();
    node.read("plan", run.plan);
    node.read("name", run.name);
    run.options = recoveryOptionsFromJson(node.at("options"));
    if (const auto data = node.find("data")) {
        data->read("name", run.dataName);
        data->read("sha256", run.dataSha256);
    }
    node.read("losses", run.losses);
    node.read("learning_rates", run.learningRates);
    node.read("tokens_per_second", run.tokensPerSecond);
    node.read("dropped_samples", run.droppedSamples);
    node.read("adapter", run.adapterPath);
    return run;
}

nlohmann::json toJson(const ModelConfig &config)
{
    auto blocks = nlohmann::json::array();
    for (const auto &block : config.blocks)
        blocks.push_back({{"original", block.originalIndex},
                          {"attention", block.hasAttention},
                          {"mlp", block.hasMlp},
                          {"query_heads", block.queryHeads},
                          {"kv_heads", block.kvHeads},
                          {"intermediate_size", block.intermediateSize}});
    for (std::size_t i = 0; i < config.blocks.size(); ++i)
        if (!config.blocks[i].ranks.empty())
            blocks[i]["ranks"] = config.blocks[i].ranks;
    return {{"model_type", config.modelType},
            {"architecture", config.architecture},
            {"hidden_size", config.hiddenSize},
            {"head_dim", config.headDim},
            {"vocab_size", config.vocabSize},
            {"max_positions", config.maxPositions},
            {"rms_norm_eps", numberToJson(config.rmsNormEps)},
            {"rope", ropeToJson(config.rope)},
            {"tied_embeddings", config.tiedEmbeddings},
            {"attention_bias", config.attentionBias},
            {"attention_output_bias", config.attentionOutputBias},
            {"mlp_bias", config.mlpBias},
            {"mlp_output_bias", config.mlpOutputBias},
            {"query_key_norm", config.queryKeyNorm},
            {"sliding_window", config.slidingWindow},
            {"dtype", config.dtype},
            {"bos_token_id", config.bosTokenId},
            {"eos_token_ids", config.eosTokenIds},
            {"blocks", blocks},
            {"source_json", withoutAbsolutePaths(config.rawJson)}};
}

ModelConfig modelConfigFromJson(const JsonNode &node)
{
    const auto size = [&](std::string_view key, int &value) {
        if (const auto member = node.find(key))
            value = static_cast<int>(member->integer(0, kRecordIndexLimit));
    };
    ModelConfig config;
    node.read("model_type", config.modelType);
    node.read("architecture", config.architecture);
    size("hidden_size", config.hiddenSize);
    size("head_dim", config.headDim);
    size("vocab_size", config.vocabSize);
    size("max_positions", config.maxPositions);
    node.read("rms_norm_eps", config.rmsNormEps);
    if (const auto rope = node.find("rope"))
        config.rope = ropeFromJson(*rope);
    node.read("tied_embeddings", config.tiedEmbeddings);
    node.read("attention_bias", config.attentionBias);
    node.read("attention_output_bias", config.attentionOutputBias);
    node.read("mlp_bias", config.mlpBias);
    config.mlpOutputBias = config.mlpBias; // one flag in older files
    node.read("mlp_output_bias", config.mlpOutputBias);
    node.read("query_key_norm", config.queryKeyNorm);
    size("sliding_window", config.slidingWindow);
    node.read("dtype", config.dtype);
    node.read("bos_token_id", config.bosTokenId);
    if (const auto ids = node.find("eos_token_ids"))
        for (const auto &id : ids->items())
            config.eosTokenIds.push_back(static_cast<int>(id.integer(0, kRecordIndexLimit)));
    if (const auto blocks = node.find("blocks")) {
        const auto items = blocks->items();
        if (items.size() > kRecordBlockLimit)
            blocks->fail("has " + std::to_string(items.size()) + " blocks, more than any model");
        for (const auto &item : items) {
            const auto blockSize
                = [&](std::string_view key) { return static_cast<int>(item.at(key).integer(0, kRecordIndexLimit)); };
            BlockShape block;
            block.originalIndex = blockSize("original");
            item.read("attention", block.hasAttention);
            item.read("mlp", block.hasMlp);
            block.queryHeads = blockSize("query_heads");
            block.kvHeads = blockSize("kv_heads");
            block.intermediateSize = blockSize("intermediate_size");
            if (block.hasAttention && (block.kvHeads == 0 || block.queryHeads % block.kvHeads != 0))
                item.fail("has " + std::to_string(block.queryHeads) + " query heads for "
                          + std::to_string(block.kvHeads) + " KV heads");
            if (const auto ranks = item.find("ranks"))
                ranks->forEachMember([&block](const std::string &linear, const JsonNode &rank) {
                    block.ranks[linear] = static_cast<int>(rank.integer(1, kRecordIndexLimit));
                });
            config.blocks.push_back(block);
        }
    }
    node.read("source_json", config.rawJson);
    return config;
}

nlohmann::json toJson(const SessionModel &model)
{
    return {{"alias", model.alias},          {"relative_path", model.relativePath}, {"digest", model.digest},
            {"source", model.source},        {"parameters", model.parameters},      {"bytes", model.bytes},
            {"config", toJson(model.config)}};
}

SessionModel sessionModelFromJson(const JsonNode &node)
{
    SessionModel model;
    model.alias = node.at("alias").string();
    node.read("relative_path", model.relativePath);
    node.read("digest", model.digest);
    node.read("source", model.source);
    node.read("parameters", model.parameters);
    node.read("bytes", model.bytes);
    if (const auto config = node.find("config"))
        model.config = modelConfigFromJson(*config);
    return model;
}

nlohmann::json toJson(const SampleResult &sample)
{
    return {{"doc_id", sample.docId},
            {"prompt", sample.prompt},
            {"target", sample.target},
            {"raw", sample.raw},
            {"extracted", sample.extracted},
            {"correct", sample.correct},
            {"correct_norm", sample.correctNorm},
            {"choice_logprobs", numbersToJson(sample.choiceLogprobs)},
            {"prompt_tokens", sample.promptTokens},
            {"trace_tokens", sample.traceTokens},
            {"answer_tokens", sample.answerTokens},
            {"finish", sample.finish},
            {"trace_state", sample.traceState}};
}

SampleResult sampleFromJson(const JsonNode &node)
{
    SampleResult sample;
    sample.docId = node.at("doc_id").integer();
    node.read("prompt", sample.prompt);
    node.read("target", sample.target);
    node.read("raw", sample.raw);
    node.read("extracted", sample.extracted);
    node.read("correct", sample.correct);
    node.read("correct_norm", sample.correctNorm);
    node.read("choice_logprobs", sample.choiceLogprobs);
    node.read("prompt_tokens", sample.promptTokens);
    node.read("trace_tokens", sample.traceTokens);
    node.read("answer_tokens", sample.answerTokens);
    node.read("finish", sample.finish);
    node.read("trace_state", sample.traceState);
    return sample;
}

nlohmann::json toJson(const TaskReport &report)
{
    nlohmann::json object{{"task", report.task},
                          {"kind", report.kind},
                          {"n", report.n},
                          {"accuracy", numberToJson(report.accuracy)},
                          {"low", numberToJson(report.low)},
                          {"high", numberToJson(report.high)},
                          {"trace_closed", report.traceClosed},
                          {"trace_truncated", report.traceTruncated},
                          {"trace_absent", report.traceAbsent},
                          {"seconds", numberToJson(report.seconds)},
                          {"note", report.note}};
    // Absent rather than −1: other readers would take it for a number.
    if (!(report.accuracyNorm < 0))
        object["accuracy_norm"] = numberToJson(report.accuracyNorm);
    if (!(report.capHitShare < 0))
        object["cap_hit_share"] = numberToJson(report.capHitShare);
    return object;
}

TaskReport taskReportFromJson(const JsonNode &node)
{
    TaskReport report;
    report.task = node.at("task").string();
    node.read("kind", report.kind);
    node.read("n", report.n);
    node.read("accuracy", report.accuracy);
    node.read("low", report.low);
    node.read("high", report.high);
    node.read("accuracy_norm", report.accuracyNorm);
    node.read("cap_hit_share", report.capHitShare);
    node.read("trace_closed", report.traceClosed);
    node.read("trace_truncated", report.traceTruncated);
    node.read("trace_absent", report.traceAbsent);
    node.read("seconds", report.seconds);
    node.read("note", report.note);
    return report;
}

nlohmann::json toJson(const EvaluationReport &report)
{
    auto tasks = nlohmann::json::array();
    for (const auto &task : report.tasks)
        tasks.push_back(toJson(task));
    return {{"id", report.id},       {"model_name", report.modelName}, {"subject", report.subject},
            {"state", report.state}, {"protocol", report.protocol},    {"tasks", tasks}};
}

EvaluationReport evaluationFromJson(const JsonNode &node)
{
    EvaluationReport report;
    report.id = node.at("id").string();
    node.read("model_name", report.modelName);
    node.read("subject", report.subject);
    node.read("state", report.state);
    node.read("protocol", report.protocol);
    for (const auto &task : node.at("tasks").items())
        report.tasks.push_back(taskReportFromJson(task));
    return report;
}

std::string utcTimeText()
{
    using namespace std::chrono;
    const auto now = floor<seconds>(system_clock::now());
    const auto today = floor<days>(now);
    const year_month_day date(today);
    const hh_mm_ss time(now - today);
    const auto padded = [](std::int64_t value) { return (value < 10 ? "0" : "") + std::to_string(value); };
    return std::to_string(int(date.year())) + "-" + padded(unsigned(date.month())) + "-" + padded(unsigned(date.day()))
        + "T" + padded(time.hours().count()) + ":" + padded(time.minutes().count()) + ":"
        + padded(time.seconds().count()) + "Z";
}

} // namespace secateur
