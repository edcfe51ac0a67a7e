#include "app/cli/inputs.h"
#include "app/cli/shell.h"
#include "app/cli/verbs.h"

#include "backend/io/map_archive.h"
#include "backend/io/session_file.h"
#include "backend/io/weight_files.h"
#include "backend/workflow/calibrate.h"
#include "backend/workflow/plan.h"
#include "backend/workflow/prune.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace secateur::cli {

namespace {

void methods(Shell &shell)
{
    Json list = Json::array();
    std::string text;
    for (const workflow::MethodCard &card : workflow::methodCards()) {
        list.push_back({{"id", card.id},
                        {"title", card.title},
                        {"paper", card.paper},
                        {"paradigm", card.paradigm},
                        {"unit", card.unit},
                        {"needs", card.needs},
                        {"sweeps", card.sweeps},
                        {"summary", card.summary},
                        {"formula", card.formula},
                        {"options", card.options}});
        text += card.id + " (" + card.paradigm + ", " + card.unit + ")\n  " + card.summary + "\n  " + card.formula
            + "\n";
        if (!card.paper.empty())
            text += "  " + card.paper + "\n";
    }
    shell.result({{"methods", std::move(list)}}, text);
}

struct CalibrationArguments {
    std::string source;
    CLI::Option *samplesOption = nullptr, *lengthOption = nullptr;
    std::int64_t samples = 16, length = 256;

    void addTo(CLI::App &verb)
    {
        verb.add_option("--calibration", source, "text, JSONL, ids:F.json or bundled");
        samplesOption = verb.add_option("--samples", samples, "calibration samples, 0 = all")
                            ->check(CLI::NonNegativeNumber)
                            ->capture_default_str();
        lengthOption = verb.add_option("--length", length, "tokens of a sample, 0 = whole samples")
                           ->check(CLI::NonNegativeNumber)
                           ->capture_default_str();
    }

    workflow::CalibrationRequest request(std::uint64_t seed) const
    {
        workflow::CalibrationRequest result{source, samples, length, seed};
        if (source.starts_with("ids:")) { // given ids are used as they are unless asked otherwise
            result.samples = samplesOption->count() ? samples : 0;
            result.length = lengthOption->count() ? length : 0;
        }
        return result;
    }
};

struct AnalyzeArguments {
    std::string model, out;
    CalibrationArguments calibration;
    std::vector<std::string> maps;
    CLI::Option *budgetOption = nullptr;
    std::uint64_t memoryBudget = 0;
};

Json mapsJson(const AnalysisResult &analysis)
{
    Json maps = Json::array();
    for (const MetricMapPtr &map : analysis.maps) {
        const ValueRange range = finiteRange(*map);
        maps.push_back({{"name", map->id()},
                        {"rows", map->rows},
                        {"columns", map->columns},
                        {"min", range.low},
                        {"max", range.high}});
    }
    return maps;
}

std::string estimateText(const StreamingEstimate &estimate, std::uint64_t memoryBudget)
{
    return "Block by block from the files: about " + bytesText(estimate.peak()) + " of memory, at most "
        + bytesText(memoryBudget) + " (block " + bytesText(estimate.block) + ", batch " + bytesText(estimate.batch)
        + ", hidden states " + bytesText(estimate.states)
        + (estimate.statesInFile ? " in a temporary file" : " in memory") + "); " + std::to_string(estimate.passes)
        + " pass over the weights, " + bytesText(estimate.bytesRead) + " to read.";
}

/// In memory when the model fits, else block by block; \a memoryBudget asks for the latter.
AnalysisResult analysisOf(Shell &shell, const std::string &model, const workflow::AnalyzeRequest &request,
                          std::optional<std::uint64_t> memoryBudget)
{
    const ComputeSettings &compute = shell.options.compute;
    const bool hasAdapter = !shell.options.adapter.empty();
    if (memoryBudget && hasAdapter)
        throw Error(ErrorKind::InvalidArgument, "A model that is read block by block cannot carry an adapter.",
                    "Export the merged model first, or leave --memory-budget out.");
    workflow::LoadedModel opened = workflow::openHeaders(model, compute);
    if (!memoryBudget && !hasAdapter && !analysisFitsInMemory(opened.info, compute))
        memoryBudget = defaultMemoryBudget();
    if (!memoryBudget) {
        workflow::loadWeights(opened, compute, shell.options.adapter, shell.context());
        return workflow::analyze(opened, request, shell.context());
    }
    const auto start = std::chrono::steady_clock::now();
    const int layers = opened.info.config ? opened.info.config->layers() : 0;
    bool timed = layers < 2;
    const JobContext context({}, [&](const Progress &progress) {
        shell.context().checkpoint(progress);
        if (timed || progress.done == 0 || progress.done < progress.total / layers)
            return;
        timed = true;
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        shell.note("The first of " + std::to_string(layers) + " blocks took " + fixed(seconds, 1) + " s, about "
                   + fixed(seconds * (layers - 1), 0) + " s are left.");
    });
    return workflow::analyzeStreaming(
        opened, request, compute, *memoryBudget, context,
        [&](const StreamingEstimate &estimate) { shell.note(estimateText(estimate, *memoryBudget)); });
}

void analyzeModel(Shell &shell, const AnalyzeArguments &arguments)
{
    std::optional<std::uint64_t> memoryBudget;
    if (arguments.budgetOption->count())
        memoryBudget = arguments.memoryBudget;
    const AnalysisResult analysis = analysisOf(
        shell, arguments.model, {arguments.calibration.request(shell.options.seed), arguments.maps}, memoryBudget);
    writeMaps(arguments.out, analysis);
    std::string text = "Wrote " + std::to_string(analysis.maps.size()) + " maps on " + analysis.calibration.name + " ("
        + std::to_string(analysis.calibration.tokens) + " tokens, " + fixed(analysis.tokensPerSecond, 0)
        + " tokens/s) to " + arguments.out + "\n";
    for (const MetricMapPtr &map : analysis.maps) {
        const ValueRange range = finiteRange(*map);
        text += "  " + map->id() + "  " + std::to_string(map->rows) + " × " + std::to_string(map->columns) + "  "
            + fixed(range.low, 6) + " … " + fixed(range.high, 6) + "\n";
    }
    shell.result({{"maps", mapsJson(analysis)},
                  {"sweeps", analysis.sweeps},
                  {"tokens", analysis.calibration.tokens},
                  {"sequences", analysis.calibration.sequences},
                  {"calibration_sha256", analysis.calibration.sha256},
                  {"seconds", analysis.seconds},
                  {"tokens_per_s", analysis.tokensPerSecond},
                  {"file", arguments.out}},
                 text);
}

struct PlanArguments {
    std::string model, method, maps, out;
    double sparsity = -1;
    int remove = -1;
    CalibrationArguments calibration;
    std::vector<std::string> options;
};

/// The key=value options of a method; units by hand and locks among them.
struct PlanOptions {
    workflow::PlanRequest request;
    UnitSet units;
};

bool parseSwitch(const std::string &key, const std::string &value)
{
    if (value == "true" || value == "1" || value == "yes")
        return true;
    if (value == "false" || value == "0" || value == "no")
        return false;
    throw Error(ErrorKind::InvalidArgument, "Option " + key + " is '" + value + "', but must be true or false.");
}

PlanOptions parsePlanOptions(const PlanArguments &arguments)
{
    PlanOptions result;
    result.request.method = arguments.method;
    result.request.sparsity = arguments.sparsity;
    result.request.remove = arguments.remove;
    result.request.uniformWidths = arguments.method != "selection"; // units by hand are taken as they are unless asked
    for (const std::string &option : arguments.options) {
        const auto equals = option.find('=');
        const std::string key = option.substr(0, equals);
        const std::string value = equals == std::string::npos ? std::string() : option.substr(equals + 1);
        if (key == "uniform")
            result.request.uniformWidths = parseSwitch(key, value);
        else if (key == "multiple")
            result.request.ffnMultiple
                = std::max(1, parseUnits(value, key).empty() ? 1 : *parseUnits(value, key).begin());
        else if (key == "blocks")
            result.units.blocks = parseUnits(value, key);
        else if (key == "kv")
            result.units.kvGroups = parseUnitsByBlock(value, key);
        else if (key == "ffn")
            result.units.ffnChannels = parseUnitsByBlock(value, key);
        else if (key == "lock_blocks")
            result.request.locked.blocks = parseUnits(value, key);
        else if (key == "lock_kv")
            result.request.locked.kvGroups = parseUnitsByBlock(value, key);
        else if (key == "lock_ffn")
            result.request.locked.ffnChannels = parseUnitsByBlock(value, key);
        else
            throw Error(ErrorKind::InvalidArgument, "There is no plan option '" + key + "'.",
                        "Known: uniform, multiple, blocks, kv, ffn, lock_blocks, lock_kv, lock_ffn.");
    }
    return result;
}

/// The maps that the method selects from: from a file, or from a sweep over this map alone.
AnalysisResult analysisFor(Shell &shell, const PlanArguments &arguments, const ModelInfo &info)
{
    if (!arguments.maps.empty()) {
        AnalysisResult analysis = readMaps(arguments.maps);
        if (!analysis.modelDigest.empty() && analysis.modelDigest != info.digest)
            throw Error(ErrorKind::InvalidArgument,
                        "'" + arguments.maps + "' was made for the model with digest " + analysis.modelDigest
                            + ", but '" + info.name + "' has digest " + info.digest + ".");
        analysis.modelDigest = info.digest;
        return analysis;
    }
    const std::string map = workflow::mapOfMethod(arguments.method);
    workflow::AnalyzeRequest request{arguments.calibration.request(shell.options.seed), {map.substr(0, map.find('/'))}};
    if (arguments.calibration.source.empty()) {
        for (const workflow::MethodCard &card : workflow::methodCards())
            if (card.id == arguments.method && card.sweeps > 0)
                throw Error(ErrorKind::InvalidArgument, "Method '" + card.id + "' needs --calibration or --maps.");
        // Weights alone decide; the sweep needs some tokens all the same.
        request.calibration = {"bundled", 1, 16, 0};
    }
    return analysisOf(shell, arguments.model, request, std::nullopt);
}

Json removedJson(const UnitSet &removed)
{
    if (removed.kvGroups.empty() && removed.ffnChannels.empty())
        return removed.blocks;
    Json list = Json::array();
    for (const int block : removed.blocks)
        list.push_back({{"block", block}});
    for (const auto &[block, groups] : removed.kvGroups)
        list.push_back({{"block", block}, {"kv_groups", groups}});
    for (const auto &[block, channels] : removed.ffnChannels)
        list.push_back({{"block", block}, {"ffn_channels", channels}});
    return list;
}

std::string percent(double share)
{
    return fixed(100 * share, 2) + " %";
}

void plan(Shell &shell, const PlanArguments &arguments)
{
    const PlanOptions options = parsePlanOptions(arguments);
    workflow::mapOfMethod(arguments.method); // a wrong name is told before anything is read
    const ModelInfo info = inspectModel(workflow::resolveModelPath(arguments.model));
    if (!info.config)
        throw Error(ErrorKind::Unsupported, "'" + info.name + "' cannot be pruned: " + info.inspectOnlyReason + ".");
    workflow::PlanResult result;
    if (arguments.method == "selection") {
        if (options.units.empty())
            throw Error(ErrorKind::InvalidArgument, "Method 'selection' needs its units.",
                        "Give --option blocks=3,5, kv=1:0 or ffn=3:0-9.");
        result = workflow::makeSelectionPlan(options.units, *info.config, info.digest, options.request);
    } else {
        result = workflow::makePlan(options.request, *info.config, analysisFor(shell, arguments, info));
    }
    result.plan.id = "plan-1";
    savePlan(arguments.out, result.plan);
    const Budget &budget = result.budget;
    std::string text = result.plan.name + "\n";
    for (std::size_t i = 0; i < result.order.size() && i < 20; ++i)
        text += "  " + result.order[i] + (i < result.scores.size() ? "  " + fixed(result.scores[i], 6) : "") + "\n";
    if (result.order.size() > 20)
        text += "  … " + std::to_string(result.order.size() - 20) + " more\n";
    if (!result.snapped.empty())
        text += result.snapped + "\n";
    text += "nominal " + percent(budget.nominalSparsity) + ", parameters " + percent(budget.parameterSparsity) + " ("
        + grouped(budget.parametersBefore) + " to " + grouped(budget.parametersAfter) + "), FLOPs per token "
        + percent(budget.flopsSparsity) + "\n";
    if (!budget.loaderNote.empty())
        text += budget.loaderNote + "\n";
    shell.result({{"name", result.plan.name},
                  {"method", result.plan.method},
                  {"removed", removedJson(result.plan.removed)},
                  {"order", result.order},
                  {"scores", result.scores},
                  {"nominal", budget.nominalSparsity},
                  {"parameters", budget.parameterSparsity},
                  {"flops", budget.flopsSparsity},
                  {"parameters_before", budget.parametersBefore},
                  {"parameters_after", budget.parametersAfter},
                  {"loads_in_stock", budget.loadsInStock},
                  {"snapped", result.snapped},
                  {"file", arguments.out}},
                 text);
}

struct PruneArguments {
    std::string model, plan, out, exportDtype = "auto";
    bool gguf = false;
};

void appendChecks(const std::vector<CheckResult> &checks, Json &json, std::string &text)
{
    for (const CheckResult &check : checks) {
        json.push_back({{"name", check.name}, {"passed", check.passed}, {"detail", check.detail}});
        text += (check.passed ? "  ok  " : "  FAILED  ") + check.name + ": " + check.detail + "\n";
    }
}

void pruneModel(Shell &shell, const PruneArguments &arguments)
{
    if (arguments.gguf)
        throw Error(ErrorKind::Unsupported, "This version does not write GGUF files.",
                    "Export a Hugging Face folder and convert it with llama.cpp's convert_hf_to_gguf.py.");
    const PruningPlan pruningPlan = loadPlan(arguments.plan);
    workflow::Workbench bench;
    bench.setDense(shell.openMerged(arguments.model));
    const auto outcome = workflow::pruneAndCheck(bench, pruningPlan, shell.context());
    const auto exported = workflow::exportModel(
        bench.dense(), bench.planModel(pruningPlan),
        {arguments.out, arguments.exportDtype, std::filesystem::path(arguments.out).filename().string(), pruningPlan},
        shell.context());
    Json checks = Json::array();
    std::string text
        = grouped(outcome.parametersBefore) + " parameters before, " + grouped(outcome.parametersAfter) + " after\n";
    appendChecks(outcome.checks, checks, text);
    appendChecks(exported.checks, checks, text);
    text += "Loads in:";
    for (const std::string &loader : exported.loadableBy)
        text += " " + loader;
    text += "\n";
    if (!outcome.continuation.empty())
        text += "Says: " + outcome.continuation + "\n";
    shell.result({{"parameters_before", outcome.parametersBefore},
                  {"parameters_after", outcome.parametersAfter},
                  {"loadable_by", exported.loadableBy},
                  {"checks", std::move(checks)},
                  {"continuation", outcome.continuation},
                  {"files", exported.files},
                  {"folder", arguments.out}},
                 text);
}

} // namespace

void addPruneVerbs(CLI::App &program, Shell &shell)
{
    auto *methodsVerb = program.add_subcommand("methods", "List the pruning methods");
    methodsVerb->callback([&shell] { shell.verb = [&shell] { methods(shell); }; });

    auto *analyzeVerb = program.add_subcommand("analyze", "Importance maps from one sweep over calibration data");
    const auto analysis = std::make_shared<AnalyzeArguments>();
    analyzeVerb->add_option("MODEL", analysis->model, "model")->required();
    analysis->calibration.addTo(*analyzeVerb);
    analyzeVerb->get_option("--calibration")->required();
    analyzeVerb
        ->add_option(
            "--maps", analysis->maps,
            "block_cosine, block_influence, block_distance, head_importance, ffn_importance; all when left out")
        ->delimiter(',');
    analysis->budgetOption
        = analyzeVerb
              ->add_option("--memory-budget", analysis->memoryBudget,
                           "read the model block by block within this memory, e.g. 2G (K, M, G, T are powers of 1024); "
                           "without it only when the model does not fit into free memory")
              ->transform(CLI::AsSizeValue(false));
    analyzeVerb->add_option("--out", analysis->out, "HDF5 file to write")->required();
    analyzeVerb->callback([&shell, analysis] { shell.verb = [&shell, analysis] { analyzeModel(shell, *analysis); }; });

    auto *planVerb = program.add_subcommand("plan", "Choose what to remove");
    const auto planning = std::make_shared<PlanArguments>();
    planVerb->add_option("MODEL", planning->model, "model")->required();
    planVerb->add_option("--method", planning->method, "see the verb methods")->required();
    auto *sparsity
        = planVerb->add_option("--sparsity", planning->sparsity, "share of units")->check(CLI::Range(0.0, 1.0));
    planVerb->add_option("--remove", planning->remove, "number of units (width methods: per block)")
        ->check(CLI::NonNegativeNumber)
        ->excludes(sparsity);
    planning->calibration.addTo(*planVerb);
    planVerb->add_option("--maps", planning->maps, "maps .h5 in place of a sweep")
        ->excludes(planVerb->get_option("--calibration"));
    planVerb->add_option("--option", planning->options,
                         "key=value: uniform, multiple, blocks, kv, ffn, lock_blocks, lock_kv, lock_ffn");
    planVerb->add_option("--out", planning->out, "plan file to write")->required();
    planVerb->callback([&shell, planning] { shell.verb = [&shell, planning] { plan(shell, *planning); }; });

    auto *pruneVerb = program.add_subcommand("prune", "Take the units of a plan out and export the model");
    const auto pruning = std::make_shared<PruneArguments>();
    pruneVerb->add_option("MODEL", pruning->model, "model")->required();
    pruneVerb->add_option("--plan", pruning->plan, "plan file")->required();
    pruneVerb->add_option("--out", pruning->out, "folder to write")->required();
    pruneVerb->add_option("--export-dtype", pruning->exportDtype, "auto, f32, bf16, f16")->capture_default_str();
    pruneVerb->add_flag("--gguf", pruning->gguf, "write GGUF (not in this version)");
    pruneVerb->callback([&shell, pruning] { shell.verb = [&shell, pruning] { pruneModel(shell, *pruning); }; });
}

} // namespace secateur::cli
