#pragma once

#include "backend/core/job_context.h"
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
/// {"model", "calibration": {source, samples, length, seed}, "plans": [{"name", "blocks": […]} | {"name",
/// "ffn_channels":
/// {"3": [..]}, …} | {"name", "method", "remove"|"sparsity"}], "recover": {…, "plan": name}, "evaluate": {tasks, limit,
/// data, subjects}, "export": {folder, subject}, "session": path}. Paths are relative to the recipe. \a log gets one
/// line per step.
RecipeResult runRecipe(const std::filesystem::path &recipe, const ComputeSettings &settings, const JobContext &context,
                       const std::function<void(const std::string &)> &log = {});

} // namespace secateur::workflow
