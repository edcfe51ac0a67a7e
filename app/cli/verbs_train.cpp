#include "app/cli/shell.h"
#include "app/cli/verbs.h"

#include "backend/engine/compute_device.h"
#include "backend/engine/process_group.h"
#include "backend/workflow/compare.h"
#include "backend/workflow/evaluate.h"
#include "backend/workflow/job_folder.h"
#include "backend/workflow/recover.h"

#include <CLI/CLI.hpp>

#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

namespace secateur::cli {

namespace {

struct RecoverArguments {
    std::string model, parent, out, resume, optionsFile, jobFolder;
    std::vector<std::string> ranks; ///< "pattern=rank"
    workflow::RecoverRequest request;
};

/// What the command line that started the run said, so that --resume needs nothing else.
std::map<std::string, std::string> recoverOrigin(const Shell &shell, const RecoverArguments &arguments)
{
    const auto place = [](const std::string &path) {
        const bool isPath = !path.empty() && !path.starts_with("bundled");
        return isPath ? std::filesystem::absolute(path).string() : path;
    };
    const ComputeSettings &compute = shell.options.compute;
    return {{"model", place(arguments.model)},
            {"parent", place(arguments.parent)},
            {"data", place(arguments.request.data)},
            {"adapter", place(shell.options.adapter)},
            {"out", place(arguments.out)},
            {"device", compute.device},
            {"dtype", resolveDtype(compute)},
            {"threads", std::to_string(compute.threads)},
            {"kernels", compute.kernels}};
}

/// Fills what the command line leaves open from the checkpoint.
void recoverFromCheckpoint(Shell &shell, RecoverArguments &arguments)
{
    CheckpointRecord checkpoint = workflow::findCheckpoint(arguments.resume);
    const auto fill = [&](const char *key, std::string &value) {
        const auto found = checkpoint.origin.find(key);
        if (value.empty() && found != checkpoint.origin.end())
            value = found->second;
    };
    fill("model", arguments.model);
    fill("parent", arguments.parent);
    fill("data", arguments.request.data);
    fill("adapter", shell.options.adapter);
    fill("out", arguments.out);
    ComputeSettings &compute = shell.options.compute;
    compute.device.clear(); // the same numbers come from the same place alone
    compute.dtype.clear();
    fill("device", compute.device);
    fill("dtype", compute.dtype);
    if (const auto found = checkpoint.origin.find("kernels"); found != checkpoint.origin.end())
        compute.kernels = found->second;
    if (const auto found = checkpoint.origin.find("threads"); compute.threads == 0 && found != checkpoint.origin.end())
        CLI::detail::lexical_cast(found->second, compute.threads);
    shell.options.seed = checkpoint.options.seed;
    arguments.request.options = checkpoint.options;
    arguments.request.resume = std::move(checkpoint);
}

void recoverRequire(const std::string &value, const char *name)
{
    if (value.empty())
        throw Error(ErrorKind::InvalidArgument, std::string("recover needs ") + name + ".",
                    "Only a run that is resumed knows it already.");
}

void recoverRanks(RecoverArguments &arguments)
{
    for (const std::string &text : arguments.ranks) {
        const auto equals = text.rfind('=');
        int rank = 0;
        if (equals == std::string::npos || !CLI::detail::lexical_cast(text.substr(equals + 1), rank))
            throw Error(ErrorKind::InvalidArgument, "Option --rank-pattern is '" + text + "', but must be MODULE=RANK.",
                        "For example --rank-pattern 0.self_attn.q_proj=16.");
        arguments.request.options.rankPattern[text.substr(0, equals)] = rank;
    }
}

std::string recoverText(const RunRecord &record, const TrainingResult &training, const std::string &out)
{
    std::string text = record.name + " on " + record.dataName;
    if (!record.losses.empty())
        text += ": loss " + fixed(record.losses.front(), 4) + " to " + fixed(record.losses.back(), 4) + ", "
            + fixed(record.tokensPerSecond, 0) + " tokens/s";
    text += "\n";
    if (record.droppedSamples > 0)
        text += std::to_string(record.droppedSamples) + " samples were too long and left out\n";
    if (!training.heldOut.empty())
        text += "Loss on " + std::to_string(training.heldOutSamples)
            + " samples held out: " + fixed(training.heldOut.front().loss, 4) + " to "
            + fixed(training.heldOut.back().loss, 4) + (training.stoppedEarly ? ", no longer falling" : "") + "\n";
    return text + (training.adapter ? "Adapter in " : "Model in ") + out + "\n";
}

void recoverElsewhere(Shell &shell, const RecoverArguments &arguments)
{
    workflow::JobFolderRequest job;
    job.folder = arguments.jobFolder;
    job.program = std::filesystem::read_symlink("/proc/self/exe");
    job.model = arguments.model;
    job.parent = arguments.parent;
    job.adapter = shell.options.adapter;
    job.data = arguments.request.data;
    job.options = arguments.request.options;
    job.options.seed = shell.options.seed;
    job.compute = shell.options.compute;
    checkRecoveryOptions(job.options);
    const std::string out = workflow::writeJobFolder(job).string();
    shell.result({{"job_folder", arguments.jobFolder}, {"out", out}},
                 "Job in " + arguments.jobFolder
                     + ": run recover.sh there, or sbatch job.sbatch. The result will be in " + out + "\n");
}

/// The processes that a launcher started with this one, as the environment says; null: there are none. Met before the
/// model is read, so that no one waits long for one that failed at that.
std::shared_ptr<const ProcessGroup> recoverGroup(Shell &shell)
{
    const auto processes = processSettings();
    if (!processes)
        return nullptr;
    shell.isQuiet = processes->rank > 0;
    ComputeSettings &compute = shell.options.compute;
    compute.device = deviceOfProcess(compute.device, *processes);
    compute.threads = threadsOfProcess(compute.threads, *processes);
    return std::make_shared<const ProcessGroup>(*processes);
}

void recoverModel(Shell &shell, RecoverArguments arguments)
{
    if (!arguments.resume.empty())
        recoverFromCheckpoint(shell, arguments);
    if (!arguments.optionsFile.empty()) {
        arguments.request.options = workflow::readJobOptions(arguments.optionsFile);
        shell.options.seed = arguments.request.options.seed;
    }
    recoverRequire(arguments.model, "MODEL");
    recoverRequire(arguments.request.data, "--data");
    recoverRanks(arguments);
    if (!arguments.jobFolder.empty()) {
        recoverElsewhere(shell, arguments);
        return;
    }
    recoverRequire(arguments.out, "--out");
    arguments.request.origin = recoverOrigin(shell, arguments);
    workflow::RecoverRequest request = std::move(arguments.request);
    request.options.seed = shell.options.seed;
    request.group = recoverGroup(shell);
    const auto model = request.options.kind == "scratch"
        ? workflow::openUntrained(arguments.model, request.options, shell.options.compute)
        : shell.openBase(arguments.model);
    request.outputFolder = arguments.out;
    request.basePath = arguments.model;
    if (request.options.kind == "distill") {
        recoverRequire(arguments.parent, "--parent");
        request.parent = shell.openBase(arguments.parent).model;
    }
    if (!shell.options.adapter.empty())
        request.start = std::make_shared<const Adapter>(loadAdapter(shell.options.adapter, *model.model));
    const auto outcome = workflow::recover(model, *model.model, request, shell.context());
    const RunRecord &record = outcome.record;
    Json heldOut = Json::array();
    for (const HeldOutPoint &point : outcome.training.heldOut)
        heldOut.push_back({{"step", point.step}, {"loss", point.loss}});
    shell.result({{"losses", record.losses},
                  {"learning_rates", record.learningRates},
                  {"held_out", std::move(heldOut)},
                  {"tokens_per_s", record.tokensPerSecond},
                  {outcome.training.adapter ? "adapter" : "model", arguments.out},
                  {"steps", record.losses.size()},
                  {"cancelled", outcome.training.cancelled},
                  {"stopped_early", outcome.training.stoppedEarly},
                  {"dropped_samples", record.droppedSamples},
                  {"data_sha256", record.dataSha256}},
                 recoverText(record, outcome.training, arguments.out));
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
    auto *verb = program.add_subcommand("recover", "Train an adapter or all weights");
    verb->footer(
        "Several processes share every step when a launcher (torchrun, srun, mpirun) or RANK and WORLD_SIZE say "
        "so; they meet at MASTER_ADDR and MASTER_PORT or in the new file SECATEUR_RENDEZVOUS, and wait "
        "SECATEUR_PROCESS_TIMEOUT seconds for each other (600).");
    const auto arguments = std::make_shared<RecoverArguments>();
    RecoveryOptions &options = arguments->request.options;
    verb->add_option("MODEL", arguments->model, "model; with --kind scratch a folder with config.json and tokenizer");
    verb->add_option("--data", arguments->request.data, "text, JSONL or bundled");
    verb->add_option("--out", arguments->out, "adapter or model folder to write");
    verb->add_option("--resume", arguments->resume,
                     "go on behind the last checkpoint of this output folder, as the run was started");
    verb->add_option("--job-folder", arguments->jobFolder,
                     "write scripts that train elsewhere into this new folder, and do not train")
        ->excludes("--resume");
    verb->add_option("--options", arguments->optionsFile, "options.json of a job folder, in place of those below")
        ->excludes("--resume");
    verb->add_option("--checkpoint-steps", options.checkpointSteps,
                     "a checkpoint after so many steps, 0 = when stopped")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    verb->add_option("--kind", options.kind, "lora, full, distill or scratch: what is trained, and from where")
        ->capture_default_str();
    verb->add_option("--parent", arguments->parent, "model to distil from");
    verb->add_option("--distill-weight", options.distillWeight, "share of the divergence from the parent in the loss")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    verb->add_option("--temperature", options.temperature, "of the divergence")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    verb->add_option("--steps", options.steps, "optimiser steps")->check(CLI::PositiveNumber)->capture_default_str();
    verb->add_option("--rank", options.rank, "rank of the branches; 0 = distil into all weights")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    verb->add_option("--rank-pattern", arguments->ranks, "MODULE=RANK, comma-separated, in place of --rank")
        ->delimiter(',');
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
    verb->add_flag("--split-long", options.splitLong, "longer texts become several samples");
    verb->add_option("--prompt-weight", options.promptWeight, "weight of tokens outside the answers in the loss")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    verb->add_option("--held-out", options.heldOut, "share of the samples that is measured, not trained on")
        ->check(CLI::Range(0.0, 0.9))
        ->capture_default_str();
    verb->add_option("--held-out-every", options.heldOutEvery, "steps between two measurements")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    verb->add_option("--patience", options.patience, "measurements without progress that end the run, 0 = never")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    verb->add_option("--optimizer", options.optimizer, "adamw, or muon: for block matrices, AdamW for the rest")
        ->capture_default_str();
    verb->add_option("--muon-rate", options.muonRate, "peak")->check(CLI::PositiveNumber)->capture_default_str();
    verb->add_option("--learning-rate", options.learningRate, "peak")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    verb->add_option("--schedule", options.schedule, "cosine, linear, constant, or flat: level, then linear")
        ->capture_default_str();
    verb->add_option("--warmup", options.warmupFraction, "share of the steps")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    verb->add_option("--flat", options.flatFraction, "share of the steps after which a flat schedule falls")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    verb->add_option("--final-share", options.finalShare, "share of the peak rate at the end")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    verb->add_option("--weight-decay", options.weightDecay, "")->check(CLI::NonNegativeNumber)->capture_default_str();
    verb->add_option("--beta2", options.beta2, "")->check(CLI::Range(0.0, 0.999999))->capture_default_str();
    verb->add_option("--clip-norm", options.clipNorm, "0 = no clipping")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    verb->add_flag("--autocast", options.autocast, "bf16 matrix products");
    verb->add_flag("--recompute", options.recompute, "less memory, more time");
    verb->add_option("--layer-drop", options.layerDrop,
                     "chance to leave out the last block, earlier ones in proportion")
        ->check(CLI::Range(0.0, 0.99))
        ->capture_default_str();
    verb->add_option("--layer-drop-from", options.layerDropFrom, "share of the steps after which blocks are left out")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    verb->add_option("--init-embedding", options.initEmbedding, "scratch: standard deviation of the embedding")
        ->check(CLI::NonNegativeNumber);
    verb->add_option("--init-gain", options.initGain, "scratch: matrices N(0, gain / √inputs)")
        ->check(CLI::NonNegativeNumber);
    verb->add_flag("--init-zero-outputs", options.initZeroOutputs, "scratch: o_proj and down_proj begin at zero");
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
