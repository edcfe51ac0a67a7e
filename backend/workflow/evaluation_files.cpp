#include "backend/workflow/evaluation_files.h"

#include "backend/core/error.h"
#include "backend/core/resource_path.h"
#include "backend/io/atomic_file.h"
#include "backend/io/digest.h"
#include "backend/io/json_node.h"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <optional>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace secateur::workflow {

namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::uint64_t kSamplesLimitBytes = 8ull << 30;

std::string jsonLine(const OrderedJson &json)
{
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

OrderedJson docOf(const TaskItem &item)
{
    OrderedJson doc;
    if (item.choices.empty()) {
        doc["question"] = item.context;
        doc["answer"] = item.goldAnswer;
    } else {
        doc["context"] = item.contexts.empty() ? OrderedJson(item.context) : OrderedJson(item.contexts);
        doc["choices"] = item.choices;
        doc["gold"] = item.gold;
    }
    return doc;
}

/// The keys that every row begins with, in lm-eval's order.
OrderedJson rowHead(const TaskItem &item, const SampleResult &sample)
{
    OrderedJson row;
    row["doc_id"] = sample.docId;
    row["doc"] = docOf(item);
    row["target"] = sample.target;
    return row;
}

void addHashes(OrderedJson &row, const TaskItem &item, const SampleResult &sample)
{
    row["doc_hash"] = sha256Hex(docOf(item).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    row["prompt_hash"] = sha256Hex(sample.prompt);
    row["target_hash"] = sha256Hex(sample.target);
}

void addOwnKeys(OrderedJson &row, const SampleResult &sample, const SampleOrigin &origin)
{
    row["x_tokens"] = {{"prompt", sample.promptTokens}, {"think", sample.traceTokens}, {"answer", sample.answerTokens}};
    row["x_protocol"] = origin.protocol;
    row["x_model"] = origin.model;
}

SampleResult sampleFromRow(const JsonNode &row)
{
    SampleResult sample;
    sample.docId = row.at("doc_id").integer();
    row.read("target", sample.target);
    if (const auto arguments = row.find("arguments"))
        if (const auto first = arguments->find("gen_args_0"))
            first->read("arg_0", sample.prompt);
    const auto flag = [&row](std::string_view key) {
        const auto value = row.find(key);
        return value && value->number() > 0;
    };
    sample.correct = flag("acc") || flag("exact_match");
    sample.correctNorm = flag("acc_norm");
    row.read("x_raw", sample.raw);
    row.read("x_extracted", sample.extracted);
    row.read("x_finish", sample.finish);
    row.read("x_trace_state", sample.traceState);
    if (const auto tokens = row.find("x_tokens")) {
        tokens->read("prompt", sample.promptTokens);
        tokens->read("think", sample.traceTokens);
        tokens->read("answer", sample.answerTokens);
    }
    if (sample.finish.empty())
        if (const auto responses = row.find("filtered_resps"); responses && responses->isArray())
            for (const JsonNode &response : responses->items())
                if (response.isArray() && !response.items().empty())
                    sample.choiceLogprobs.push_back(response.items().front().number());
    return sample;
}

/// Calls \a visit with each whole line (its row, or nothing when it is no JSON) and returns the bytes of whole lines.
template <typename Visit> std::size_t forEachLine(std::string_view text, const std::string &file, Visit visit)
{
    std::size_t whole = 0;
    std::int64_t number = 0;
    while (whole < text.size()) {
        const auto end = text.find('\n', whole);
        if (end == std::string_view::npos)
            break; // torn
        ++number;
        const auto line = text.substr(whole, end - whole);
        std::optional<nlohmann::json> row;
        auto parsed = nlohmann::json::parse(line, nullptr, false);
        if (!parsed.is_discarded())
            row = std::move(parsed);
        visit(line, row, file + ", line " + std::to_string(number));
        whole = end + 1;
    }
    return whole;
}

[[noreturn]] void throwSampleIo(const std::filesystem::path &file, int error)
{
    throw Error(ErrorKind::Io,
                "'" + file.string() + "' could not be written: " + std::generic_category().message(error) + ".",
                "Free some space or choose another folder.");
}

std::filesystem::path freeOldName(const std::filesystem::path &file)
{
    for (int number = 1;; ++number) {
        const auto name = "old-" + std::to_string(number) + "_" + file.filename().string();
        std::error_code error;
        if (!std::filesystem::exists(file.parent_path() / name, error))
            return file.parent_path() / name;
    }
}

/// 2026-03-01T12-30-05.123456, as lm-eval names its files.
std::string fileTime(std::chrono::system_clock::time_point now)
{
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    const auto micros
        = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1'000'000;
    char text[64];
    std::snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d-%02d-%02d.%06lld", utc.tm_year + 1900, utc.tm_mon + 1,
                  utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<long long>(micros));
    return text;
}

/// Standard error of a mean of zeros and ones, with n − 1 as lm-eval computes it.
OrderedJson standardError(double mean, std::int64_t n)
{
    if (n < 2)
        return "N/A";
    return std::sqrt(mean * (1 - mean) / static_cast<double>(n - 1));
}

OrderedJson taskScores(const TaskResult &result)
{
    const TaskReport &report = result.report;
    const bool isGeneration = report.kind == "generation";
    const std::string metric = isGeneration ? "exact_match" : "acc";
    OrderedJson scores;
    scores["name"] = report.task;
    scores["alias"] = result.spec.title;
    scores["sample_len"] = report.n;
    scores[metric + ",none"] = report.accuracy;
    scores[metric + "_stderr,none"] = standardError(report.accuracy, report.n);
    if (report.accuracyNorm >= 0) {
        scores["acc_norm,none"] = report.accuracyNorm;
        scores["acc_norm_stderr,none"] = standardError(report.accuracyNorm, report.n);
    }
    scores["x_low"] = report.low;
    scores["x_high"] = report.high;
    if (isGeneration) {
        scores["x_cap_hit_share"] = report.capHitShare;
        scores["x_trace"]
            = {{"closed", report.traceClosed}, {"truncated", report.traceTruncated}, {"absent", report.traceAbsent}};
    }
    scores["x_seconds"] = report.seconds;
    return scores;
}

} // namespace

std::string sanitizedModelName(const std::string &name)
{
    constexpr std::string_view kForbidden = "\"<>:/|\\?*[]";
    std::string clean;
    bool inRun = false;
    for (const char c : name) {
        const bool forbidden = kForbidden.find(c) != std::string_view::npos || static_cast<unsigned char>(c) < 0x20;
        if (!forbidden)
            clean += c;
        else if (!inRun)
            clean += "__";
        inRun = forbidden;
    }
    if (clean.empty() || clean == "." || clean == "..")
        return "model";
    return clean;
}

SampleLog::SampleLog(std::filesystem::path file, SampleOrigin origin)
    : m_file(std::move(file)), m_origin(std::move(origin))
{
    std::error_code error;
    std::filesystem::create_directories(m_file.parent_path(), error);
    if (error)
        throwSampleIo(m_file.parent_path(), error.value());
    if (std::filesystem::exists(m_file, error))
        readRows();
    m_descriptor = ::open(m_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (m_descriptor < 0)
        throwSampleIo(m_file, errno);
}

SampleLog::~SampleLog()
{
    if (m_descriptor >= 0)
        ::close(m_descriptor);
}

void SampleLog::readRows()
{
    const std::string text = readTextFile(m_file, kSamplesLimitBytes);
    std::string matching;
    bool othersFound = false;
    const auto whole = forEachLine(
        text, m_file.string(),
        [&](std::string_view line, const std::optional<nlohmann::json> &json, const std::string &place) {
            try {
                if (!json)
                    throw Error(ErrorKind::BadFormat, place + " is no JSON.");
                const JsonNode row(*json, place);
                if (row.at("x_protocol").string() != m_origin.protocol || row.at("x_model").string() != m_origin.model)
                    throw Error(ErrorKind::BadFormat, place + " is of another origin.");
                SampleResult sample = sampleFromRow(row);
                m_finished.emplace(sample.docId, std::move(sample));
                matching.append(line).append("\n");
            } catch (const Error &) {
                othersFound = true;
            }
        });
    if (othersFound) {
        const auto old = freeOldName(m_file);
        std::error_code error;
        std::filesystem::rename(m_file, old, error);
        if (error)
            throwSampleIo(old, error.value());
        if (!matching.empty())
            writeFileAtomically(m_file, matching);
    } else if (whole < text.size()) {
        std::error_code error;
        std::filesystem::resize_file(m_file, whole, error);
        if (error)
            throwSampleIo(m_file, error.value());
    }
}

void SampleLog::appendLine(const std::string &line)
{
    std::size_t written = 0;
    while (written < line.size()) {
        const ssize_t count = ::write(m_descriptor, line.data() + written, line.size() - written);
        if (count < 0) {
            if (errno == EINTR)
                continue;
            throwSampleIo(m_file, errno);
        }
        written += static_cast<std::size_t>(count);
    }
}

void SampleLog::appendScored(const TaskItem &item, const SampleResult &sample,
                             const std::vector<ContinuationScore> &scores)
{
    OrderedJson row = rowHead(item, sample);
    OrderedJson responses = OrderedJson::array(), filtered = OrderedJson::array();
    for (std::size_t i = 0; i < scores.size(); ++i) {
        row["arguments"]["gen_args_" + std::to_string(i)] = {{"arg_0", item.contextOf(i)}, {"arg_1", item.choices[i]}};
        const OrderedJson answer = OrderedJson::array({scores[i].logprob, scores[i].isGreedy});
        responses.push_back(OrderedJson::array({answer}));
        filtered.push_back(answer);
    }
    row["resps"] = std::move(responses);
    row["filtered_resps"] = std::move(filtered);
    row["filter"] = "none";
    row["metrics"] = {"acc", "acc_norm"};
    addHashes(row, item, sample);
    row["acc"] = sample.correct ? 1.0 : 0.0;
    row["acc_norm"] = sample.correctNorm ? 1.0 : 0.0;
    addOwnKeys(row, sample, m_origin);
    appendLine(jsonLine(row));
}

void SampleLog::appendGenerated(const TaskItem &item, const SampleResult &sample, int maxNewTokens,
                                const std::vector<std::string> &stopStrings, double repetition)
{
    OrderedJson row = rowHead(item, sample);
    row["arguments"]["gen_args_0"]
        = {{"arg_0", sample.prompt},
           {"arg_1",
            {{"until", stopStrings}, {"max_gen_toks", maxNewTokens}, {"do_sample", false}, {"temperature", 0.0}}}};
    row["resps"] = OrderedJson::array({OrderedJson::array({sample.raw})});
    row["filtered_resps"] = OrderedJson::array({sample.extracted});
    row["filter"] = "none";
    row["metrics"] = {"exact_match"};
    addHashes(row, item, sample);
    row["exact_match"] = sample.correct ? 1.0 : 0.0;
    addOwnKeys(row, sample, m_origin);
    row["x_finish"] = sample.finish;
    row["x_think_closed"] = sample.traceState == "closed" || sample.traceState == "multiple";
    row["x_trace_state"] = sample.traceState;
    row["x_extracted"] = sample.extracted;
    row["x_repetition"] = repetition;
    row["x_raw"] = sample.raw;
    appendLine(jsonLine(row));
}

std::map<std::int64_t, SampleResult> readSamples(const std::filesystem::path &file)
{
    std::map<std::int64_t, SampleResult> samples;
    const std::string text = readTextFile(file, kSamplesLimitBytes);
    forEachLine(text, file.string(),
                [&](std::string_view, const std::optional<nlohmann::json> &json, const std::string &place) {
                    if (!json)
                        throw Error(ErrorKind::BadFormat, place + " is not valid JSON.");
                    SampleResult sample = sampleFromRow(JsonNode(*json, place));
                    samples.emplace(sample.docId, std::move(sample));
                });
    return samples;
}

std::filesystem::path writeResults(const std::filesystem::path &folder, const ResultsHeader &header,
                                   const std::vector<TaskResult> &results)
{
    const auto now = std::chrono::system_clock::now();
    OrderedJson json;
    for (const char *key : {"results", "groups", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better",
                            "n-samples", "task_hashes"})
        json[key] = OrderedJson::object();
    for (const TaskResult &result : results) {
        const std::string &task = result.report.task;
        if (result.report.n == 0) {
            json["x_not_available"][task] = result.report.note;
            continue;
        }
        const bool isGeneration = result.report.kind == "generation";
        json["results"][task] = taskScores(result);
        json["group_subtasks"][task] = OrderedJson::array();
        json["configs"][task] = {
            {"task", task}, {"output_type", isGeneration ? "generate_until" : "multiple_choice"}, {"num_fewshot", 0}};
        json["versions"][task] = 1.0;
        json["n-shot"][task] = 0;
        if (isGeneration)
            json["higher_is_better"][task] = {{"exact_match", true}};
        else
            json["higher_is_better"][task] = {{"acc", true}, {"acc_norm", true}};
        json["n-samples"][task] = {{"original", result.originalRows}, {"effective", result.report.n}};
        json["task_hashes"][task] = sha256Hex(result.spec.definition);
    }
    json["config"] = {{"model", "secateur"},
                      {"model_args", header.modelArguments},
                      {"model_num_parameters", header.parameters},
                      {"model_dtype", header.dtype},
                      {"model_sha", header.modelDigest},
                      {"batch_size", 1},
                      {"device", header.device},
                      {"limit", header.limit > 0 ? OrderedJson(header.limit) : OrderedJson(nullptr)},
                      {"bootstrap_iters", 0},
                      {"gen_kwargs", OrderedJson::object()},
                      {"random_seed", header.seed},
                      {"numpy_seed", header.seed},
                      {"torch_seed", header.seed},
                      {"fewshot_seed", header.seed}};
    json["date"] = std::chrono::duration<double>(now.time_since_epoch()).count();
    json["git_hash"] = nullptr;
    json["upper_git_hash"] = nullptr;
    json["lm_eval_version"] = nullptr;
    json["transformers_version"] = nullptr;
    json["max_length"] = header.maxLength;
    json["model_source"] = "secateur";
    json["model_name"] = header.modelName;
    json["model_name_sanitized"] = sanitizedModelName(header.modelName);
    json["system_instruction"] = nullptr;
    json["system_instruction_sha"] = nullptr;
    json["fewshot_as_multiturn"] = false;
    json["chat_template"] = header.chatTemplate.empty() ? OrderedJson(nullptr) : OrderedJson(header.chatTemplate);
    json["chat_template_sha"]
        = header.chatTemplate.empty() ? OrderedJson(nullptr) : OrderedJson(sha256Hex(header.chatTemplate));
    json["total_evaluation_time_seconds"] = OrderedJson(header.seconds).dump(); // a string, as lm-eval has it
    json["x_app"] = {{"name", "secateur"}, {"version", versionString()}};
    json["x_protocol"] = header.protocol;
    const auto path = folder / ("results_" + fileTime(now) + ".json");
    writeFileAtomically(path, json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    return path;
}

} // namespace secateur::workflow
