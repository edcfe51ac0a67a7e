#include "backend/workflow/recover.h"

#include "backend/engine/compute_device.h"
#include "backend/engine/process_group.h"
#include "backend/io/atomic_file.h"
#include "backend/io/digest.h"
#include "backend/io/json_node.h"
#include "backend/io/record_json.h"
#include "backend/workflow/calibrate.h"
#include "backend/workflow/checkpoint_watch.h"
#include "backend/workflow/prune.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

namespace secateur::workflow {

namespace {

/// Refuses a checkpoint of another model or of other data.
void requireSameOrigin(const CheckpointRecord &checkpoint, const std::map<std::string, std::string> &origin)
{
    for (const auto &[key, what] : {std::pair("model_digest", "model"), std::pair("data_sha256", "data")}) {
        const auto before = checkpoint.origin.find(key);
        if (before != checkpoint.origin.end() && before->second != origin.at(key))
            throw Error(ErrorKind::InvalidArgument,
                        "The checkpoint " + checkpoint.folder.string() + " belongs to a run with other " + what
                            + ": digest " + before->second.substr(0, 12) + ", not " + origin.at(key).substr(0, 12)
                            + ".",
                        "Resume with the model and data that the run was started with.");
    }
}

std::string runName(const RecoveryOptions &options, std::size_t done, bool isWhole)
{
    const std::string kind = options.kind == "full" ? "All weights"
        : options.kind == "distill"                 ? "Distillation"
        : options.kind == "scratch"                 ? "From scratch"
                                                    : "LoRA";
    return kind + ", " + std::to_string(done) + (isWhole ? std::string() : " of " + std::to_string(options.steps))
        + (options.steps == 1 ? " step" : " steps");
}

/// \a info, and where the last checkpoint lies if there is one. Any process of a run may say so, also one that writes
/// none itself.
Error recoverKeptError(ErrorInfo info, const std::filesystem::path &output)
{
    std::error_code ignored;
    if (!output.empty() && std::filesystem::is_directory(checkpointFolder(output), ignored)) {
        try {
            const CheckpointRecord kept = latestCheckpoint(checkpointFolder(output));
            info.hint += (info.hint.empty() ? "" : " ") + std::string("The weights after step ")
                + std::to_string(kept.step) + " are in '" + kept.folder.string() + "'.";
        } catch (const Error &) { // NOLINT(bugprone-empty-catch): none is whole, the first error is what matters
        }
    }
    return Error(std::move(info));
}

void writeOutput(const LoadedModel &dense, const RecoverRequest &request, const RecoverOutcome &outcome,
                 const JobContext &context)
{
    if (outcome.training.adapter) {
        saveAdapter(*outcome.training.adapter, request.outputFolder, request.basePath);
        return;
    }
    ExportRequest wanted;
    wanted.folder = request.outputFolder;
    wanted.modelName = request.outputFolder.filename().string();
    if (outcome.record.options.kind == "scratch")
        wanted.dtype = "F32";
    // after a stop the weights are written all the same
    exportModel(dense, *outcome.training.model, wanted, outcome.training.cancelled ? JobContext() : context);
}

} // namespace

std::filesystem::path checkpointFolder(const std::filesystem::path &output)
{
    std::filesystem::path folder = output.has_filename() ? output : output.parent_path(); // "folder/"
    folder += ".checkpoints";
    return folder;
}

CheckpointRecord findCheckpoint(const std::filesystem::path &folder)
{
    std::error_code error;
    const std::filesystem::path beside = checkpointFolder(folder);
    return latestCheckpoint(std::filesystem::is_directory(beside, error) ? beside : folder);
}

LoadedModel openUntrained(const std::string &argument, const RecoveryOptions &options, const ComputeSettings &settings)
{
    applyComputeSettings(settings);
    const std::filesystem::path folder = argument;
    const std::string file = (folder / "config.json").string();
    LoadedModel opened;
    const std::string text = readTextFile(file);
    opened.info.path = folder;
    opened.info.name = folder.filename().string();
    opened.info.config = parseModelConfig(text, file);
    opened.info.modelType = opened.info.config->modelType;
    opened.info.digest = sha256Hex(text);
    opened.tokenizer = loadTokenizer(folder);
    if (auto chatTemplate = loadChatTemplate(folder))
        opened.chatTemplate = std::make_shared<const ChatTemplate>(std::move(*chatTemplate));
    InitialWeights initial;
    const nlohmann::json json = parseJsonText(text, file);
    JsonNode(json, file).read("initializer_range", initial.matrix);
    initial.embedding = options.initEmbedding > 0 ? options.initEmbedding : initial.matrix;
    initial.gain = options.initGain;
    initial.zeroOutputs = options.initZeroOutputs;
    ComputeSettings exact = settings;
    exact.dtype = "f32";
    opened.model = std::make_shared<const Model>(randomModel(*opened.info.config, options.seed, exact, initial));
    return opened;
}

Model untrainedLike(const Model &model, const RecoveryOptions &options)
{
    ComputeSettings settings;
    settings.device = model.device();
    settings.dtype = "f32";
    InitialWeights initial;
    if (options.initEmbedding > 0)
        initial.embedding = options.initEmbedding;
    initial.gain = options.initGain;
    initial.zeroOutputs = options.initZeroOutputs;
    return randomModel(model.config(), options.seed, settings, initial);
}

RecoverOutcome recover(const LoadedModel &dense, const Model &model, const RecoverRequest &request,
                       const JobContext &context, MetricFeed *feed)
{
    RecoveryOptions options = request.resume ? request.resume->options : request.options;
    checkRecoveryOptions(options);
    context.checkpoint({"recover.data", 0, 0});
    if (model.config().maxPositions > 0)
        options.maxLength = std::min(options.maxLength, model.config().maxPositions);
    const Tokenizer &tokenizer = requireTokenizer(dense);
    TrainingData data;
    try {
        data = makeTrainingData(dataSource(request.data, dense.info.path, true), tokenizer, dense.chatTemplate.get(),
                                options);
    } catch (const Error &) {
        chatTemplateIfAny(dense); // a template that cannot be read is the better reason
        throw;
    }
    requireSamples(data, options.maxLength);

    TrainingInputs inputs;
    inputs.feed = feed;
    inputs.start = request.start.get();
    inputs.parent = request.parent ? request.parent.get() : dense.model.get();
    inputs.origin = request.origin;
    inputs.origin["model_digest"] = dense.info.digest;
    inputs.origin["data_sha256"] = data.sha256;
    inputs.origin.try_emplace("data", request.data);
    if (request.plan)
        inputs.origin["plan_json"] = compactJson(toJson(*request.plan));
    inputs.group = request.group.get();
    const bool writes = !request.outputFolder.empty() && (!request.group || request.group->rank() == 0);
    if (writes)
        inputs.checkpoints = checkpointFolder(request.outputFolder);
    if (request.resume) {
        requireSameOrigin(*request.resume, inputs.origin);
        inputs.resume = &*request.resume;
    }

    RecoverOutcome outcome;
    CheckpointWatch watch(dense, model, request, options, context);
    try {
        outcome.training = train(model, data.samples, options, watch.context(), inputs);
        watch.finish(outcome.training);
        outcome.probes = watch.rounds();
    } catch (const Error &error) {
        throw recoverKeptError(error.info(), request.outputFolder);
    }
    RunRecord &record = outcome.record;
    record.options = options;
    record.dataName = data.name;
    record.dataSha256 = data.sha256;
    record.droppedSamples = data.dropped + outcome.training.droppedSamples;
    for (const TrainingPoint &point : outcome.training.points) {
        record.losses.push_back(point.loss);
        record.learningRates.push_back(point.learningRate);
    }
    const std::int64_t before = request.resume ? request.resume->tokens : 0;
    if (outcome.training.seconds > 0)
        record.tokensPerSecond = static_cast<double>(outcome.training.tokens - before) / outcome.training.seconds;
    const auto done = record.losses.size();
    record.name = runName(options, done, !outcome.training.cancelled && !outcome.training.stoppedEarly);
    if (writes && done > 0) {
        writeOutput(dense, request, outcome, context);
        std::error_code ignored;
        if (!outcome.training.cancelled)
            std::filesystem::remove_all(inputs.checkpoints, ignored);
    }
    return outcome;
}

} // namespace secateur::workflow
