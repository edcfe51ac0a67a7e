#include "app/cli/shell.h"
#include "app/cli/verbs.h"

#include "backend/workflow/compare.h"
#include "backend/workflow/evaluate.h"
#include "backend/workflow/recover.h"

#include <CLI/CLI.hpp>

#include <cmath>
#include <memory>
#include <utility>

namespace secateur::cli {

namespace {

struct RecoverArguments {
    std::string model;
    workflow::RecoverRequest request;
    std::string out;
};

void recoverModel(Shell &shell, RecoverArguments arguments)
{
    const auto model = shell.openBase(arguments.model);
    workflow::RecoverRequest request = std::move(arguments.request);
    request.options.seed = shell.options.seed;
    request.outputFolder = arguments.out;
    request.basePath = arguments.model;
    if (!shell.options.adapter.empty())
        request.start = std::make_shared<const Adapter>(loadAdapter(shell.options.adapter, *model.model));
    const auto outcome = workflow::recover(model, *model.model, request, shell.context());
    const RunRecord &record = outcome.record;
    std::string text = record.name + " on " + record.dataName;
    if (!record.losses.empty())
        text += ": loss " + fixed(record.losses.front(), 4) + " to " + fixed(record.losses.back(), 4) + ", "
            + fixed(record.tokensPerSecond, 0) + " tokens/s";
    text += "\n";
    if (record.droppedSamples > 0)
        text += std::to_string(record.droppedSamples) + " samples were too long and left out\n";
    text += "Adapter in " + arguments.out + "\n";
    shell.result({{"losses", record.losses},
                  {"learning_rates", record.learningRates},
                  {"tokens_per_s", record.tokensPerSecond},
                  {"adapter", arguments.out},
                  {"steps", record.losses.size()},
                  {"cancelled", outcome.training.cancelled},
                  {"dropped_samples", record.droppedSamples},
                  {"data_sha256", record.dataSha256}},
                 text);
    if (outcome.training.cancelled)
        throw Cancelled{}; // what was trained so far is kept
}

struct EvaluateArguments {
    std::string model, data, out, name;
    EvaluationOptions options;
    std::vector<std::string> limits; ///< "task=rows"
    bool noChat = false;
};

Json taskJson(const TaskReport &task)
{
    if (task.n == 0)
        return {{"n", 0}, {"note", task.note}};
    const bool isGeneration = task.kind == "generation";
    const auto error = [&](double mean) {
        return task.n < 2 ? Json(nullptr) : Json(std::sqrt(mean * (1 - mean) / static_cast<double>(task.n - 1)));
    };
    Json json = {{isGeneration ? "exact_match" : "acc", task.accuracy}, {"stderr", error(task.accuracy)}};
    if (task.accuracyNorm >= 0) {
        json["acc_norm"] = task.accuracyNorm;
        json["acc_norm_stderr"] = error(task.accuracyNorm);
    }
    json["n"] = task.n;
    json["low"] = task.low;
    json["high"] = task.high;
    json["cap_hit"] = task.capHitShare < 0 ? Json(nullptr) : Json(task.capHitShare);
    if (isGeneration)
        json["trace"]
            = {{"closed", task.traceClosed}, {"truncated", task.traceTruncated}, {"absent", task.traceAbsent}};
    json["seconds"] = task.seconds;
    return json;
}

std::string taskText(const TaskReport &task)
{
    if (task.n == 0)
        return "  " + task.task + ": " + task.note + "\n";
    std::string text = "  " + task.task + ": " + fixed(100 * task.accuracy, 1) + " % [" + fixed(100 * task.low, 1)
        + ", " + fixed(100 * task.high, 1) + "] of " + std::to_string(task.n);
    if (task.accuracyNorm >= 0)
        text += ", normalised " + fixed(100 * task.accuracyNorm, 1) + " %";
    if (task.capHitShare >= 0)
        text += ", " + fixed(100 * task.capHitShare, 1) + " % at the cap";
    return text + "\n";
}

void evaluateModel(Shell &shell, const EvaluateArguments &arguments)
{
    const auto model = shell.openModel(arguments.model);
    workflow::EvaluateRequest request;
    request.options = arguments.options;
    for (const std::string &limit : arguments.limits) {
        const auto equals = limit.find('=');
        const std::string task = limit.substr(0, equals);
        std::int64_t rows = -1;
        if (equals == std::string::npos || !CLI::detail::lexical_cast(limit.substr(equals + 1), rows) || rows < 0)
            throw Error(ErrorKind::InvalidArgument, "Option --limits is '" + limit + "', but must be TASK=ROWS.",
                        "For example --limits piqa=40,gsm8k=10.");
        request.options.limits[task] = rows;
    }
    request.options.chat = !arguments.noChat;
    request.options.seed = shell.options.seed;
    request.dataFolder = arguments.data;
    request.outputFolder = arguments.out;
    request.modelName = arguments.name.empty() ? model.info.name : arguments.name;
    request.subject = "dense";
    request.state = shell.options.adapter.empty() ? "dense" : "recovered";
    const auto report = workflow::evaluate(model, *model.model, request, shell.context());
    Json results = Json::object();
    std::string text = report.modelName + " (" + report.protocol + ")\n";
    std::string missing;
    bool anyRun = false;
    for (const TaskReport &task : report.tasks) {
        results[task.task] = taskJson(task);
        text += taskText(task);
        anyRun = anyRun || task.n > 0;
        missing += task.n == 0 ? (missing.empty() ? "" : ", ") + task.task + " " + task.note : std::string();
    }
    shell.result({{"results", std::move(results)}, {"model", report.modelName}, {"protocol", report.protocol}}, text);
    if (!anyRun)
        throw Error(ErrorKind::NotFound, "No task could be run: " + missing + ".",
                    "Name the folder with the task data in --data.");
}

struct CompareArguments {
    std::string a, b;
};

void compareFolders(Shell &shell, const CompareArguments &arguments)
{
    Json tasks = Json::object();
    std::string text;
    for (const auto &[task, one] : workflow::compareResults(arguments.a, arguments.b)) {
        tasks[task] = {{"n", one.n},
                       {"a", one.accuracyA},
                       {"b", one.accuracyB},
                       {"delta", one.delta},
                       {"interval", {one.low, one.high}},
                       {"mcnemar_p", one.mcnemarP},
                       {"flips", {{"right_to_wrong", one.rightToWrong}, {"wrong_to_right", one.wrongToRight}}}};
        text += task + ": " + fixed(100 * one.accuracyA, 1) + " % to " + fixed(100 * one.accuracyB, 1) + " %, change "
            + fixed(100 * one.delta, 1) + " [" + fixed(100 * one.low, 1) + ", " + fixed(100 * one.high, 1)
            + "] points, McNemar p " + fixed(one.mcnemarP, 4) + ", " + std::to_string(one.rightToWrong)
            + " right to wrong, " + std::to_string(one.wrongToRight) + " wrong to right, n " + std::to_string(one.n)
            + "\n";
    }
    shell.result({{"tasks", std::move(tasks)}}, text);
}

void addRecoverVerb(CLI::App &program, Shell &shell)
{
    auto *verb = program.add_subcommand("recover", "Train a LoRA adapter");
    const auto arguments = std::make_shared<RecoverArguments>();
    RecoveryOptions &options = arguments->request.options;
    verb->add_option("MODEL", arguments->model, "model")->required();
    verb->add_option("--data", arguments->request.data, "text, JSONL or bundled")->required();
    verb->add_option("--kind", options.kind, "lora")->capture_default_str();
    verb->add_option("--steps", options.steps, "optimiser steps")->check(CLI::PositiveNumber)->capture_default_str();
    verb->add_option("--out", arguments->out, "adapter folder to write")->required();
    verb->add_option("--rank", options.rank, "rank of the branches")->check(CLI::PositiveNumber)->capture_default_str();
    verb->add_option("--alpha", options.alpha, "scaling = alpha / rank")->capture_default_str();
    verb->add_option("--dropout", options.dropout, "")->check(CLI::Range(0.0, 0.99))->capture_default_str();
    verb->add_flag("--rslora", options.rsLora, "scaling = alpha / √rank");
    verb->add_option("--targets", options.targets, "linears, comma-separated")->delimiter(',');
    verb->add_option("--batch-tokens", options.batchTokens, "tokens of a step")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    verb->add_option("--max-length", options.maxLength, "longer samples are left out")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    verb->add_option("--learning-rate", options.learningRate, "peak")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    verb->add_option("--schedule", options.schedule, "")
        ->check(CLI::IsMember({"cosine", "linear", "constant"}))
        ->capture_default_str();
    verb->add_option("--warmup", options.warmupFraction, "share of the steps")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    verb->add_option("--weight-decay", options.weightDecay, "")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_option("--clip-norm", options.clipNorm, "0 = no clipping")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    verb->callback([&shell, arguments] { shell.verb = [&shell, arguments] { recoverModel(shell, *arguments); }; });
}

} // namespace

void addTrainVerbs(CLI::App &program, Shell &shell)
{
    addRecoverVerb(program, shell);

    auto *evaluateVerb = program.add_subcommand("evaluate", "Run tasks; finished samples are not run again");
    const auto evaluation = std::make_shared<EvaluateArguments>();
    evaluateVerb->add_option("MODEL", evaluation->model, "model")->required();
    evaluateVerb->add_option("--tasks", evaluation->options.tasks, "task ids, comma-separated")
        ->delimiter(',')
        ->required();
    evaluateVerb->add_option("--data", evaluation->data, "folder with piqa/, gsm8k/, …");
    evaluateVerb->add_option("--limit", evaluation->options.limit, "first rows only, 0 = all")
        ->check(CLI::NonNegativeNumber);
    evaluateVerb->add_option("--limits", evaluation->limits, "TASK=ROWS, comma-separated, in place of --limit")
        ->delimiter(',');
    evaluateVerb->add_option("--out", evaluation->out, "folder for rows and results")->required();
    evaluateVerb->add_option("--max-new-tokens", evaluation->options.maxNewTokens, "cap of generated answers")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    evaluateVerb->add_flag("--no-chat", evaluation->noChat, "prompts without the chat template");
    evaluateVerb->add_option("--name", evaluation->name, "name of the model in the results");
    evaluateVerb->callback(
        [&shell, evaluation] { shell.verb = [&shell, evaluation] { evaluateModel(shell, *evaluation); }; });

    auto *compareVerb = program.add_subcommand("compare", "Two evaluations, paired by sample");
    const auto comparison = std::make_shared<CompareArguments>();
    compareVerb->add_option("OUT_A", comparison->a, "output folder of an evaluation")->required();
    compareVerb->add_option("OUT_B", comparison->b, "another one")->required();
    compareVerb->callback(
        [&shell, comparison] { shell.verb = [&shell, comparison] { compareFolders(shell, *comparison); }; });
}

} // namespace secateur::cli
