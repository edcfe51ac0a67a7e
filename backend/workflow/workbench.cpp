#include "backend/workflow/workbench.h"

#include "backend/engine/compute_device.h"
#include "backend/engine/transforms.h"
#include "backend/io/weight_files.h"
#include "backend/workflow/bundled_models.h"

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

namespace secateur::workflow {

namespace {

constexpr std::string_view kProbeText
    = "Prune in late winter, when the plum tree still sleeps: first 3 dead branches, then "
      "the crossing ones, never more than a fifth of the crown in 1 year.";

} // namespace

std::filesystem::path resolveModelPath(const std::string &argument)
{
    if (argument.empty())
        throw Error(ErrorKind::InvalidArgument, "No model was given.", "Give a model folder or a GGUF file.");
    std::error_code error;
    if (std::filesystem::exists(argument, error))
        return argument;
    if (isBundled(argument))
        return bundledModelPath(argument);
    throw Error(ErrorKind::NotFound, "There is no file or folder '" + argument + "'.",
                "A model is a Hugging Face folder, a GGUF file, or one like bundled:mini-think.");
}

LoadedModel openHeaders(const std::string &argument, const ComputeSettings &settings)
{
    applyComputeSettings(settings);
    LoadedModel opened;
    opened.info = inspectModel(resolveModelPath(argument));
    try {
        opened.tokenizer = loadTokenizer(opened.info.path);
    } catch (const Error &error) {
        // Weights are useful without a tokenizer; requireTokenizer() gives the reason to those who need one.
        if (error.kind() != ErrorKind::NotFound && error.kind() != ErrorKind::Unsupported)
            throw;
    }
    try {
        if (auto chatTemplate = loadChatTemplate(opened.info.path))
            opened.chatTemplate = std::make_shared<const ChatTemplate>(std::move(*chatTemplate));
    } catch (const Error &) {
        // chatTemplateIfAny() gives the reason
    }
    return opened;
}

void loadWeights(LoadedModel &opened, const ComputeSettings &settings, const std::filesystem::path &adapter,
                 const JobContext &context)
{
    Model model = loadModel(opened.info, settings, context);
    if (!adapter.empty())
        model = withAdapter(model, loadAdapter(adapter, model));
    opened.model = std::make_shared<const Model>(std::move(model));
}

LoadedModel openModel(const std::string &argument, const ComputeSettings &settings,
                      const std::filesystem::path &adapter, const JobContext &context)
{
    LoadedModel opened = openHeaders(argument, settings);
    loadWeights(opened, settings, adapter, context);
    return opened;
}

const Tokenizer &requireTokenizer(const LoadedModel &model)
{
    if (!model.tokenizer) {
        if (!model.info.path.empty())
            loadTokenizer(model.info.path); // throws what openModel() left out
        throw Error(ErrorKind::NotFound, "Model '" + model.info.name + "' has no tokenizer.",
                    "Put tokenizer.json into the model's folder.");
    }
    return *model.tokenizer;
}

const ChatTemplate *chatTemplateIfAny(const LoadedModel &model)
{
    if (!model.chatTemplate && !model.info.path.empty())
        loadChatTemplate(model.info.path); // throws what openModel() left out
    return model.chatTemplate.get();
}

const ChatTemplate &requireChatTemplate(const LoadedModel &model)
{
    const ChatTemplate *chatTemplate = chatTemplateIfAny(model);
    if (!chatTemplate)
        throw Error(ErrorKind::NotFound, "Model '" + model.info.name + "' has no chat template.",
                    "Put chat_template.jinja into the model's folder.");
    return *chatTemplate;
}

TokenIds probeTokens(const LoadedModel &model)
{
    TokenIds ids;
    const auto vocabulary = model.model ? model.model->config().vocabSize : 0;
    if (model.tokenizer)
        ids = model.tokenizer->encode(kProbeText);
    if (ids.empty() || std::any_of(ids.begin(), ids.end(), [=](std::int32_t id) { return id >= vocabulary; })) {
        ids.clear();
        for (int i = 0; i < 32; ++i)
            ids.push_back((i * 37 + 11) % std::max(1, vocabulary));
    }
    std::size_t limit = 32;
    if (model.model && model.model->config().maxPositions > 0)
        limit = std::min(limit, static_cast<std::size_t>(model.model->config().maxPositions));
    ids.resize(std::min(ids.size(), limit));
    return ids;
}

void Workbench::setDense(LoadedModel dense)
{
    clear();
    m_dense = std::move(dense);
}

const LoadedModel &Workbench::dense() const
{
    if (!hasDense())
        throw Error(ErrorKind::InvalidArgument, "No model is open.", "Open a model first.");
    return m_dense;
}

const Model &Workbench::planModel(const PruningPlan &plan)
{
    const LoadedModel &base = dense();
    if (!plan.modelDigest.empty() && plan.modelDigest != base.info.digest)
        throw Error(ErrorKind::InvalidArgument,
                    "Plan '" + (plan.name.empty() ? plan.id : plan.name) + "' was made for the model with digest "
                        + plan.modelDigest + ", but '" + base.info.name + "' has digest " + base.info.digest + ".",
                    "Open the model that the plan was made for.");
    if (const auto it = m_plans.find(plan.id); it != m_plans.end() && it->second.first.removed == plan.removed)
        return it->second.second;
    validatePlan(plan, base.model->config());
    Model pruned = prune(*base.model, plan.removed);
    return m_plans.insert_or_assign(plan.id, std::pair(plan, std::move(pruned))).first->second.second;
}

void Workbench::forgetPlan(const std::string &planId)
{
    m_plans.erase(planId);
}

void Workbench::setRun(const std::string &runId, const PruningPlan *plan, const Adapter &adapter)
{
    const Model &base = plan ? planModel(*plan) : *dense().model;
    m_runs.insert_or_assign(runId, std::pair(std::optional(adapter), withAdapter(base, adapter)));
}

void Workbench::setRun(const std::string &runId, const Model &model)
{
    m_runs.insert_or_assign(runId, std::pair(std::optional<Adapter>(), model));
}

const Model &Workbench::runModel(const std::string &runId) const
{
    const auto it = m_runs.find(runId);
    if (it == m_runs.end())
        throw Error(ErrorKind::NotFound, "The adapter of run '" + runId + "' is not loaded.",
                    "Open the session together with its adapter folder, or train again.");
    return it->second.second;
}

const Adapter *Workbench::runAdapter(const std::string &runId) const
{
    const auto it = m_runs.find(runId);
    return it == m_runs.end() || !it->second.first ? nullptr : &*it->second.first;
}

void Workbench::clear()
{
    m_runs.clear();
    m_plans.clear();
    m_dense = {};
}

void openRun(Workbench &bench, const std::string &runId, const PruningPlan *plan, const std::filesystem::path &folder)
{
    const Model &base = plan ? bench.planModel(*plan) : *bench.dense().model;
    if (std::filesystem::exists(folder / "adapter_config.json")) {
        bench.setRun(runId, plan, loadAdapter(folder, base));
        return;
    }
    ComputeSettings settings;
    settings.device = base.device();
    bench.setRun(runId, loadModel(inspectModel(folder), settings));
}

} // namespace secateur::workflow
