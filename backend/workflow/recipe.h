#pragma once

#include "backend/core/job_context.h"
#include "backend/core/model_info.h"
#include "backend/core/run_config.h"
#include "backend/core/session.h"

#include <filesystem>
#include <functional>
#include <string>

namespace secateur::workflow {

struct RecipeResult {
    std::filesystem::path sessionFile;
    Session session;
};

/// Runs a whole pipeline written as JSON, step by step through the other workflows:
/// {"model", "calibration": {source, samples, length, seed, maps,
/// twin: the sibling}, "plans": [{"name", "blocks": […]} | {"name",
/// "ffn_channels": {"3": [..]}, …} | {"name", "method", "remove"|"sparsity", "uniform", "multiple"}], "recover":
/// {"name", "plan", "data", steps, …} or a list of them, "evaluate": {tasks, limit, limits: {task: rows}, data,
/// subjects, siblings: [other models], chat, max_new_tokens}, "export": {folder, subject, dtype} or a list of them,
/// "session": path}. Subjects are "dense" and the names of plans and recoveries. The whole file is checked before
/// anything runs: Error(BadFormat) names file and JSON pointer. Paths of inputs are relative to the recipe; so are
/// those of outputs (session, adapters, exports, results) unless \a outputFolder is given. Steps that are not named are
/// left out. \a log gets one line per step.
RecipeResult runRecipe(const std::filesystem::path &recipe, const ComputeSettings &settings, const JobContext &context,
                       const std::function<void(const std::string &)> &log = {},
                       const std::filesystem::path &outputFolder = {});

/// What a session stores of an open model. \a argument: how it was named ("bundled:smollm2" is kept as it is, paths
/// become relative to the session file's folder).
SessionModel describeModel(const ModelInfo &info, const std::string &argument,
                           const std::filesystem::path &sessionFile);

/// Now, ISO 8601 in UTC with seconds.
std::string utcTimestamp();

} // namespace secateur::workflow
