#include "backend/workflow/recovery_history.h"

#include "backend/io/atomic_file.h"
#include "backend/io/json_node.h"
#include "backend/io/record_json.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>
#include <system_error>

namespace secateur::workflow {

namespace {

constexpr std::string_view kHistorySuffix = ".history";
constexpr std::string_view kHistoryStep = "step-";

std::filesystem::path historyBeside(std::filesystem::path output, std::string_view suffix)
{
    if (!output.has_filename())
        output = output.parent_path(); // "folder/"
    output += suffix;
    return output;
}

/// The number behind "step-"; −1: another name.
std::int64_t historyStep(const std::filesystem::path &folder)
{
    const std::string name = folder.filename().string();
    if (!name.starts_with(kHistoryStep))
        return -1;
    std::int64_t step = -1;
    const char *end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + kHistoryStep.size(), end, step);
    return error == std::errc() && rest == end ? step : -1;
}

std::vector<std::int64_t> keptSteps(const std::filesystem::path &folder)
{
    std::vector<std::int64_t> steps;
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        if (historyStep(it->path()) >= 0)
            steps.push_back(historyStep(it->path()));
    }
    std::sort(steps.begin(), steps.end());
    return steps;
}

nlohmann::json probeJson(const ProbeRound &round)
{
    auto answers = nlohmann::json::array();
    for (const ProbeAnswer &answer : round.answers)
        answers.push_back({{"text", answer.text},
                           {"answer", answer.answer},
                           {"trace_tokens", answer.traceTokens},
                           {"answer_tokens", answer.answerTokens},
                           {"finish", answer.finish}});
    return {{"step", round.step}, {"answers", answers}};
}

ProbeRound probeFromJson(const JsonNode &node)
{
    ProbeRound round;
    round.step = node.at("step").integer(0);
    for (const JsonNode &item : node.at("answers").items())
        round.answers.push_back({item.at("text").string(), item.at("answer").string(),
                                 item.at("trace_tokens").integer(0), item.at("answer_tokens").integer(0),
                                 item.at("finish").string()});
    return round;
}

std::vector<JsonNode> historyRow(const JsonNode &node, std::size_t size)
{
    std::vector<JsonNode> row = node.items();
    if (row.size() != size)
        node.fail("is not a list of " + std::to_string(size) + " numbers");
    return row;
}

std::optional<UnfinishedRun> readUnfinished(const std::filesystem::path &folder, const std::string &modelDigest)
{
    UnfinishedRun run;
    run.checkpoint = latestCheckpoint(folder);
    const auto &origin = run.checkpoint.origin;
    const auto text = [&](const char *key) {
        const auto found = origin.find(key);
        return found == origin.end() ? std::string() : found->second;
    };
    run.data = text("data");
    if (text("model_digest") != modelDigest || run.data.empty() || run.checkpoint.step >= run.checkpoint.options.steps)
        return std::nullopt;
    const std::string plan = text("plan_json");
    if (!plan.empty()) {
        const std::string label = run.checkpoint.folder.string();
        const nlohmann::json json = parseJsonText(plan, label);
        run.plan = planFromJson(JsonNode(json, label));
    }
    run.output = folder;
    run.output.replace_extension(); // without ".checkpoints"
    return run;
}

} // namespace

std::filesystem::path historyFolder(const std::filesystem::path &output)
{
    return historyBeside(output, kHistorySuffix);
}

std::filesystem::path historyAdapter(const std::filesystem::path &output, std::int64_t step)
{
    char name[32];
    std::snprintf(name, sizeof name, "step-%06lld", static_cast<long long>(step));
    return historyFolder(output) / name;
}

void saveHistory(const std::filesystem::path &output, const RunHistory &history)
{
    auto points = nlohmann::json::array();
    for (const TrainingPoint &point : history.points)
        points.push_back({point.step, numberToJson(point.loss), numberToJson(point.learningRate),
                          numberToJson(point.tokensPerSecond), numberToJson(point.gradientNorm)});
    auto heldOut = nlohmann::json::array();
    for (const HeldOutPoint &point : history.heldOut)
        heldOut.push_back({point.step, numberToJson(point.loss)});
    auto probes = nlohmann::json::array();
    for (const ProbeRound &round : history.probes)
        probes.push_back(probeJson(round));
    const nlohmann::json json
        = {{"format", "secateur run history"}, {"version", 1},    {"points", points}, {"held_out", heldOut},
           {"questions", history.questions},   {"probes", probes}};
    std::filesystem::create_directories(historyFolder(output));
    writeFileAtomically(historyFolder(output) / "run.json", prettyJson(json));
}

RunHistory loadHistory(const std::filesystem::path &output)
{
    RunHistory history;
    std::error_code error;
    const std::filesystem::path folder = historyFolder(output);
    history.adapters = keptSteps(folder);
    const std::string file = (folder / "run.json").string();
    if (!std::filesystem::exists(file, error))
        return history;
    const nlohmann::json json = parseJsonText(readTextFile(file), file);
    const JsonNode root(json, file);
    for (const JsonNode &node : root.at("points").items()) {
        const auto row = historyRow(node, 5);
        history.points.push_back(
            {row[0].integer(1), row[1].number(), row[2].number(), row[3].number(), row[4].number()});
    }
    for (const JsonNode &node : root.at("held_out").items()) {
        const auto row = historyRow(node, 2);
        history.heldOut.push_back({row[0].integer(0), row[1].number()});
    }
    root.read("questions", history.questions);
    for (const JsonNode &node : root.at("probes").items())
        history.probes.push_back(probeFromJson(node));
    return history;
}

void keepAdapter(const std::filesystem::path &output, const CheckpointRecord &checkpoint)
{
    const std::filesystem::path source = checkpoint.folder / "adapter";
    if (!std::filesystem::is_directory(source))
        return;
    const std::filesystem::path target = historyAdapter(output, checkpoint.step);
    std::filesystem::create_directories(target.parent_path());
    AtomicFolder folder(target);
    for (const auto &entry : std::filesystem::directory_iterator(source))
        std::filesystem::copy_file(entry.path(), folder.path() / entry.path().filename());
    folder.commit();
    const std::vector<std::int64_t> kept = keptSteps(target.parent_path());
    if (kept.size() <= kKeptAdapters)
        return;
    for (std::size_t i = 1; i + 1 < kept.size(); i += 2) { // the first and the newest stay
        std::error_code ignored;
        std::filesystem::remove_all(historyAdapter(output, kept[i]), ignored);
    }
}

std::vector<UnfinishedRun> unfinishedRuns(const std::vector<std::filesystem::path> &folders,
                                          const std::string &modelDigest)
{
    std::vector<std::pair<std::filesystem::file_time_type, UnfinishedRun>> found;
    for (const std::filesystem::path &root : folders) {
        std::error_code error;
        for (std::filesystem::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
            if (it->path().extension() != ".checkpoints")
                continue;
            try {
                if (auto run = readUnfinished(it->path(), modelDigest))
                    found.emplace_back(std::filesystem::last_write_time(run->checkpoint.folder), std::move(*run));
            } catch (const Error &) {
                // a folder of something else, or half written: nothing to go on from
            } catch (const std::filesystem::filesystem_error &) {
                // removed in this moment
            }
        }
    }
    std::stable_sort(found.begin(), found.end(), [](const auto &a, const auto &b) { return a.first > b.first; });
    std::vector<UnfinishedRun> runs;
    for (auto &[time, run] : found)
        runs.push_back(std::move(run));
    return runs;
}

} // namespace secateur::workflow
