#include "backend/workflow/mini_pair.h"

#include "backend/core/error.h"
#include "backend/workflow/prune.h"
#include "backend/workflow/recover.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <system_error>
#include <utility>

namespace secateur::workflow {

namespace {

RecoveryOptions miniOptions(int steps, double scale, std::uint64_t seed)
{
    RecoveryOptions options;
    options.kind = "full";
    options.steps = std::max(1, static_cast<int>(std::lround(steps * scale)));
    options.batchTokens = 3072;
    options.maxLength = 224;
    options.optimizer = "muon";
    options.schedule = "flat";
    options.finalShare = 0.02;
    options.weightDecay = 0.1;
    options.beta2 = 0.95;
    options.checkpointSteps = 100;
    options.seed = seed;
    return options;
}

double lastTenth(const std::vector<double> &losses)
{
    const auto count = std::max<std::ptrdiff_t>(1, static_cast<std::ptrdiff_t>(losses.size() / 10));
    return std::accumulate(losses.end() - count, losses.end(), 0.0) / static_cast<double>(count);
}

/// A stopped run leaves its weights too, but keeps its checkpoints beside them.
bool isWhole(const std::filesystem::path &output)
{
    std::error_code ignored;
    return std::filesystem::exists(output / "config.json", ignored)
        && !std::filesystem::exists(checkpointFolder(output), ignored);
}

/// Goes on where an earlier attempt stopped.
std::optional<CheckpointRecord> earlierAttempt(const std::filesystem::path &output)
{
    std::error_code ignored;
    if (!std::filesystem::is_directory(checkpointFolder(output), ignored))
        return std::nullopt;
    try {
        return latestCheckpoint(checkpointFolder(output));
    } catch (const Error &error) {
        if (error.kind() == ErrorKind::NotFound)
            return std::nullopt;
        throw;
    }
}

} // namespace

std::vector<MiniPhase> miniPhases(double scale, std::uint64_t seed)
{
    RecoveryOptions base = miniOptions(2300, scale, seed);
    base.kind = "scratch";
    base.muonRate = 0.006;
    base.learningRate = 3e-3;
    base.warmupFraction = 0.01;
    base.layerDrop = 0.12;
    base.layerDropFrom = 0.55;
    base.initEmbedding = 0.1;
    base.initGain = 0.8;
    base.initZeroOutputs = true;
    const auto chat = [&](int steps) {
        RecoveryOptions options = miniOptions(steps, scale, seed);
        options.muonRate = 0.003;
        options.learningRate = 1.5e-3;
        options.warmupFraction = 0.02;
        options.layerDrop = 0.1;
        return options;
    };
    return {
        {"base", "base.jsonl", base}, {"instruct", "instruct.jsonl", chat(220)}, {"think", "think.jsonl", chat(400)}};
}

void makeMiniPair(const MiniPairRequest &request, const JobContext &context,
                  const std::function<void(const std::string &phase, double loss)> &finished)
{
    if (!std::isfinite(request.scale) || request.scale <= 0)
        throw Error(ErrorKind::InvalidArgument, "The scale of a training must be above 0.");
    const std::filesystem::path work = request.out / "work";
    ComputeSettings exact = request.compute;
    exact.dtype = "f32";
    for (const MiniPhase &phase : miniPhases(request.scale, request.seed)) {
        const bool isBase = phase.name == "base";
        const std::filesystem::path output = work / phase.name;
        // tokenizer and template come from the data; the base needs the template of neither
        LoadedModel model
            = openUntrained((request.data / (isBase ? "instruct" : phase.name)).string(), phase.options, exact);
        if (!isWhole(output)) {
            if (!isBase)
                model.model = openModel((work / "base").string(), exact, {}, context).model;
            RecoverRequest run;
            run.data = (request.data / phase.data).string();
            run.options = phase.options;
            run.outputFolder = output;
            run.resume = earlierAttempt(output);
            const RecoverOutcome outcome = recover(model, *model.model, run, context);
            if (outcome.training.cancelled)
                throw Cancelled{};
            finished(phase.name, lastTenth(outcome.record.losses));
        }
        if (isBase)
            continue;
        ExportRequest wanted;
        wanted.folder = request.out / phase.name;
        wanted.dtype = "BF16";
        wanted.modelName = "mini-" + phase.name;
        exportModel(model, *openModel(output.string(), exact, {}, context).model, wanted, context);
    }
}

} // namespace secateur::workflow
