#pragma once

#include "backend/core/eval_report.h"
#include "backend/core/run_config.h"
#include "backend/engine/forward.h"
#include "backend/workflow/workbench.h"

#include <filesystem>
#include <functional>
#include <map>

namespace secateur::workflow {

struct EvaluateRequest {
    EvaluationOptions options;
    std::filesystem::path dataFolder; ///< folder with piqa/, gsm8k/, …
    std::filesystem::path outputFolder; ///< lm-eval layout, appended per sample, resumable; empty: nothing written
    std::string modelName, subject, state; ///< copied into the report
};
/// Runs every task; a task without data becomes a TaskReport with a note. Finished samples in \a outputFolder made
/// under the same protocol and by a model of the same weights are not run again. \a onTask reports each task as it
/// grows.
EvaluationReport evaluate(const LoadedModel &dense, const Model &model, const EvaluateRequest &request,
                          const JobContext &context, const std::function<void(const TaskReport &)> &onTask = {});

/// Log-likelihood of texts as the tasks compute it: context and whole text are tokenised separately, trailing blanks of
/// the context move to the continuation, an empty context is the model's BOS (or EOS) token.
struct TextRequest {
    std::string context;
    std::string continuation;
};
std::vector<ContinuationScore> scoreTexts(const LoadedModel &dense, const Model &model,
                                          const std::vector<TextRequest> &requests, const JobContext &context);

} // namespace secateur::workflow
