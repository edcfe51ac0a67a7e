#pragma once

#include "backend/core/job_context.h"
#include "backend/core/model_info.h"
#include "backend/core/pruning_plan.h"
#include "backend/core/run_config.h"
#include "backend/engine/adapter.h"
#include "backend/engine/model.h"
#include "backend/text/chat_template.h"
#include "backend/text/tokenizer.h"

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace secateur::workflow {

/// A loaded model with what belongs to it. Compute thread only (the tokenizer and template may be used anywhere).
struct LoadedModel {
    ModelInfo info;
    std::shared_ptr<const Tokenizer> tokenizer; ///< null: the folder has none
    std::shared_ptr<const ChatTemplate> chatTemplate; ///< null: none
    std::shared_ptr<const Model> model;
};

/// Resolves names as in bundledModels(), and paths. Throws Error(NotFound).
std::filesystem::path resolveModelPath(const std::string &argument);

/// Opens headers, tokenizer and template: `model` stays null. A missing tokenizer or an unreadable template is no
/// error.
LoadedModel openHeaders(const std::string &argument, const ComputeSettings &settings);

/// Gives what openHeaders() opened its weights. \a adapter (may be empty): a PEFT folder applied to the model.
void loadWeights(LoadedModel &opened, const ComputeSettings &settings, const std::filesystem::path &adapter,
                 const JobContext &context);

/// Opens headers, tokenizer, template and weights. Both of the above.
LoadedModel openModel(const std::string &argument, const ComputeSettings &settings,
                      const std::filesystem::path &adapter, const JobContext &context);

/// What \a model needs for text. Throw the reason when the model has none or it cannot be read.
const Tokenizer &requireTokenizer(const LoadedModel &model);
const ChatTemplate &requireChatTemplate(const LoadedModel &model);
/// nullptr when the model has no template; throws Error(BadFormat) when it has one that cannot be read.
const ChatTemplate *chatTemplateIfAny(const LoadedModel &model);

/// A few token ids that every model of this vocabulary can read; \a model's tokenizer is used when it has one.
TokenIds probeTokens(const LoadedModel &model);

/// Models of one session on the compute thread: dense, and one per plan or run, made on demand from the dense weights
/// and kept. Subjects are record ids ("dense", "plan-1", "run-2").
class Workbench {
public:
    void setDense(LoadedModel dense);
    bool hasDense() const { return m_dense.model != nullptr; }
    const LoadedModel &dense() const; ///< throws Error(InvalidArgument) when there is none
    /// The plan's model; pruned on first use.
    /// Throws Error(InvalidArgument) naming both digests when the plan was made for another model.
    const Model &planModel(const PruningPlan &plan);
    void forgetPlan(const std::string &planId);
    void setRun(const std::string &runId, const PruningPlan *plan, const Adapter &adapter);
    void setRun(const std::string &runId, const Model &model); ///< of a run that trained all weights
    bool hasRun(const std::string &runId) const { return m_runs.contains(runId); }
    /// throws Error(NotFound) when the run's adapter is not loaded
    const Model &runModel(const std::string &runId) const;
    const Adapter *runAdapter(const std::string &runId) const; ///< null: not loaded, or all weights were trained
    void clear();

private:
    LoadedModel m_dense;
    std::map<std::string, std::pair<PruningPlan, Model>> m_plans;
    std::map<std::string, std::pair<std::optional<Adapter>, Model>> m_runs;
};

/// Gives \a bench the run in \a folder again: an adapter for the plan's model (null: the dense one), or a model folder
/// when all weights were trained. Throws as loadAdapter() and loadModel().
void openRun(Workbench &bench, const std::string &runId, const PruningPlan *plan, const std::filesystem::path &folder);

} // namespace secateur::workflow
