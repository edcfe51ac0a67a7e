#include "backend/workflow/prune.h"

#include "backend/core/resource_path.h"
#include "backend/engine/forward.h"
#include "backend/engine/generation.h"
#include "backend/io/atomic_file.h"
#include "backend/io/session_file.h"
#include "backend/io/weight_files.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>

namespace secateur::workflow {

namespace {

constexpr std::string_view kSamplePrompt = "The most important thing about pruning a tree is";
constexpr int kSampleTokens = 24;
constexpr const char *kProvenanceFile = "secateur.json";

std::string shortNumber(double value)
{
    char text[32];
    const auto end = std::to_chars(text, text + sizeof(text), value, std::chars_format::general, 3).ptr;
    return {text, end};
}

void throwIfFailed(const std::vector<CheckResult> &checks, const std::string &subject)
{
    for (const CheckResult &check : checks)
        if (!check.passed)
            throw Error(ErrorKind::CheckFailed,
                        subject + " failed the check '" + check.name + "': " + check.detail + ".");
}

std::string sampleContinuation(const LoadedModel &dense, const Model &model, const JobContext &context)
{
    if (!dense.tokenizer)
        return {};
    GenerationRequest request;
    request.prompts = {dense.tokenizer->encode(kSamplePrompt, true)};
    const auto length = static_cast<std::int64_t>(request.prompts.front().size());
    const std::int64_t room = model.config().maxPositions > 0 ? model.config().maxPositions - length : kSampleTokens;
    request.options.maxNewTokens = static_cast<int>(std::min<std::int64_t>(kSampleTokens, room));
    if (request.options.maxNewTokens < 1)
        return {};
    const auto result = generate(model, request, dense.tokenizer.get(), context);
    return dense.tokenizer->decode(result.sequences.front().ids);
}

/// dtype in the file: what was asked, or the stored type unless that was quantised.
std::string exportDtype(const LoadedModel &dense, const Model &model, const std::string &asked)
{
    std::string name;
    std::transform(asked.begin(), asked.end(), std::back_inserter(name),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    if (name == "AUTO") {
        const std::string stored = dense.info.dtypes.empty() ? "F32" : dense.info.dtypes.front();
        if (stored == "BF16" || stored == "F16")
            return stored;
        return model.dtype() == "bf16" ? "BF16" : "F32"; // weights rounded to bf16 are whole in BF16
    }
    if (name == "F32" || name == "FLOAT32")
        return "F32";
    if (name == "BF16" || name == "BFLOAT16")
        return "BF16";
    if (name == "F16" || name == "FLOAT16")
        return "F16";
    throw Error(ErrorKind::InvalidArgument, "There is no export dtype '" + asked + "'.",
                "Known: auto, f32, bf16, f16.");
}

/// true when writing \a model as \a dtype rounds no weight, whatever was merged into it.
bool exportIsLossless(const Model &model, const std::string &dtype)
{
    return dtype == "F32" || (dtype == "BF16" && model.dtype() == "bf16");
}

CheckResult reloadCheck(const LoadedModel &dense, const Model &model, const Model &again, const std::string &dtype)
{
    const TokenIds probe = probeTokens(dense);
    const auto before = forwardSequence(model, probe, false).logits;
    const auto after = forwardSequence(again, probe, false).logits;
    CheckResult check{"loaded again", false, {}};
    if (before.size() != after.size()) {
        check.detail = "the exported model has another vocabulary";
        return check;
    }
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
        largest = std::max(largest, std::abs(static_cast<double>(before[i])));
        difference = std::max(difference, std::abs(static_cast<double>(before[i]) - static_cast<double>(after[i])));
    }
    // Equal weights give equal logits up to the kernels chosen for another memory alignment. Rounding to 8 (BF16) or 11
    // (F16) significant bits moves logits more, but a wrong tensor moves them by their own size.
    const double share = exportIsLossless(model, dtype) ? 1e-5 : dtype == "F16" ? 0.05 : 0.25;
    check.passed = difference <= share * largest;
    check.detail = difference == 0 ? "all logits are equal"
                                   : "logits differ by " + shortNumber(difference) + " at most, allowed are "
            + shortNumber(share * largest) + " for " + dtype;
    return check;
}

std::string loaderSentence(const ModelConfig &config)
{
    return config.isUniform()
        ? "It has the same widths in every block and loads in the stock `transformers` classes."
        : "Its blocks have different widths (`per_layer_config` in `config.json`), which stock loaders do not read; "
          "Secateur does.";
}

std::string modelCard(const LoadedModel &dense, const Model &model, const ExportRequest &request,
                      const std::string &dtype, bool hasBaseCard)
{
    const std::int64_t before = totalParameters(*dense.info.config);
    const std::int64_t after = model.parameters();
    const std::string name = request.modelName.empty() ? request.folder.filename().string() : request.modelName;
    std::string card
        = "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- pruned\n- secateur\n---\n\n# "
        + name + "\n\nMade from `" + dense.info.name + "` with Secateur " + versionString() + ".\n\n";
    card += "| | dense | this model |\n| --- | ---: | ---: |\n";
    card += "| parameters | " + std::to_string(before) + " | " + std::to_string(after) + " |\n";
    card += "| blocks | " + std::to_string(dense.info.config->layers()) + " | "
        + std::to_string(model.config().layers()) + " |\n\n";
    const auto &removed = request.plan.removed;
    if (!removed.empty()) {
        card += "Plan: " + request.plan.name + " (method `" + request.plan.method + "`).\n";
        if (!removed.blocks.empty())
            card += "Removed blocks (0-based): " + describeBlocks(removed.blocks) + ".\n";
        if (!removed.kvGroups.empty())
            card += "KV groups were removed in " + std::to_string(removed.kvGroups.size()) + " blocks.\n";
        if (!removed.ffnChannels.empty())
            card += "FFN channels were removed in " + std::to_string(removed.ffnChannels.size()) + " blocks.\n";
        card += "The complete plan is in `secateur_plan.json`; indices are those of the dense model.\n\n";
    }
    card += loaderSentence(model.config()) + " Weights are " + dtype + ".\n";
    card += "Digest of the dense model: `" + dense.info.digest + "`.\n\n";
    card += "The licence of the dense model applies.";
    if (hasBaseCard)
        card += " Its own card is `README_base_model.md`.";
    return card + "\n";
}

std::string provenanceText(const LoadedModel &dense, const Model &model, const ExportRequest &request,
                           const std::string &dtype)
{
    nlohmann::ordered_json json;
    json["format"] = "secateur-export";
    json["format_version"] = "1.0.0";
    json["app"] = {{"name", "secateur"}, {"version", versionString()}};
    json["base_model"] = {
        {"name", dense.info.name}, {"digest", dense.info.digest}, {"parameters", totalParameters(*dense.info.config)}};
    json["parameters"] = model.parameters();
    json["dtype"] = dtype;
    std::vector<int> original;
    for (const BlockShape &block : model.config().blocks)
        original.push_back(block.originalIndex);
    json["original_blocks"] = original;
    json["plan"]
        = request.plan.removed.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json("secateur_plan.json");
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

/// An export may replace an older export, never a folder of something else.
void checkExportTarget(const std::filesystem::path &folder)
{
    std::error_code error;
    if (folder.empty())
        throw Error(ErrorKind::InvalidArgument, "No export folder was given.");
    if (!std::filesystem::exists(folder, error))
        return;
    if (!std::filesystem::is_directory(folder, error))
        throw Error(ErrorKind::InvalidArgument, "'" + folder.string() + "' is a file, not a folder.",
                    "Choose another folder.");
    if (!std::filesystem::is_empty(folder, error) && !std::filesystem::exists(folder / kProvenanceFile, error))
        throw Error(ErrorKind::InvalidArgument,
                    "The folder '" + folder.string() + "' is not empty and was not exported by this program.",
                    "Choose a new or empty folder.");
}

void writeCompanions(const LoadedModel &dense, const std::filesystem::path &folder, bool *hasBaseCard)
{
    static const std::set<std::string> kOwn = {"config.json", kProvenanceFile, "secateur_plan.json"};
    for (const CompanionFile &file : companionFiles(dense.info)) {
        if (kOwn.contains(file.name))
            continue;
        const bool isCard = file.name == "README.md";
        *hasBaseCard |= isCard;
        writeFileAtomically(folder / (isCard ? "README_base_model.md" : file.name), file.contents);
    }
}

} // namespace

PruneOutcome pruneAndCheck(Workbench &bench, const PruningPlan &plan, const JobContext &context)
{
    const LoadedModel &dense = bench.dense();
    context.checkpoint({"prune.apply", 0, 2});
    const Model &pruned = bench.planModel(plan);
    PruneOutcome outcome;
    outcome.parametersBefore = dense.model->parameters();
    outcome.parametersAfter = pruned.parameters();
    try {
        context.checkpoint({"prune.check", 1, 2});
        outcome.checks = sanityGate(*dense.model, pruned, probeTokens(dense));
        for (CheckResult &check : outcome.checks) {
            // Units that did nothing (an exact identity) leave equal logits, and yet the model is smaller.
            if (check.name == "differs from dense" && !check.passed && outcome.checks.front().passed
                && outcome.parametersAfter < outcome.parametersBefore) {
                check.passed = true;
                check.detail += "; the model has fewer parameters";
            }
        }
        throwIfFailed(outcome.checks, "The pruned model");
        outcome.continuation = sampleContinuation(dense, pruned, context);
    } catch (...) {
        bench.forgetPlan(plan.id);
        throw;
    }
    context.checkpoint({"prune.check", 2, 2});
    return outcome;
}

ExportOutcome exportModel(const LoadedModel &dense, const Model &model, const ExportRequest &request,
                          const JobContext &context)
{
    checkExportTarget(request.folder);
    const std::string dtype = exportDtype(dense, model, request.dtype);
    ExportOutcome outcome;
    AtomicFolder folder(request.folder);
    saveWeights(model, folder.path(), dtype,
                {{"secateur.version", versionString()},
                 {"secateur.base_model_digest", dense.info.digest},
                 {"secateur.plan", request.plan.name}},
                5'000'000'000, context);
    bool hasBaseCard = false;
    writeCompanions(dense, folder.path(), &hasBaseCard);
    writeFileAtomically(folder.path() / "README.md", modelCard(dense, model, request, dtype, hasBaseCard));
    writeFileAtomically(folder.path() / kProvenanceFile, provenanceText(dense, model, request, dtype));
    if (!request.plan.removed.empty())
        savePlan(folder.path() / "secateur_plan.json", request.plan);

    context.checkpoint({"export.check", 0, 1});
    const Model again = loadModel(inspectModel(folder.path()), {model.device(), model.dtype(), 0}, context);
    outcome.checks.push_back(
        {"parameter count", again.parameters() == model.parameters(),
         std::to_string(again.parameters()) + " in the files, " + std::to_string(model.parameters()) + " in memory"});
    outcome.checks.push_back(reloadCheck(dense, model, again, dtype));
    throwIfFailed(outcome.checks, "The export to '" + request.folder.string() + "'");

    for (const auto &entry : std::filesystem::directory_iterator(folder.path()))
        outcome.files.push_back(entry.path().filename().string());
    std::sort(outcome.files.begin(), outcome.files.end());
    if (model.config().isUniform())
        outcome.loadableBy.push_back("transformers");
    outcome.loadableBy.push_back("secateur");
    context.checkpoint({"export.check", 1, 1});
    folder.commit();
    return outcome;
}

} // namespace secateur::workflow
