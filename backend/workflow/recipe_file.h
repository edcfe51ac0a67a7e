#pragma once

#include "backend/core/pruning_plan.h"
#include "backend/workflow/calibrate.h"
#include "backend/workflow/evaluate.h"
#include "backend/workflow/plan.h"
#include "backend/workflow/recover.h"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace secateur::workflow {

struct RecipePlan {
    std::string name; ///< empty: as the method names it
    UnitSet units; ///< by hand; empty: by method
    PlanRequest request;
};

struct RecipeRecovery {
    std::string name;
    std::string plan; ///< name of the plan, empty: the dense model
    RecoverRequest request;
};

struct RecipeEvaluation {
    EvaluationOptions options;
    std::filesystem::path dataFolder;
    std::vector<std::string> subjects;
    std::vector<std::string> siblings; ///< whole models to compare with, as recipe.model
};

struct RecipeExport {
    std::string subject;
    std::string folder; ///< relative to the outputs
    std::string dtype = "auto";
};

/// A recipe as values: what runRecipe() does, in this order.
struct Recipe {
    std::string model;
    std::optional<AnalyzeRequest> calibration;
    std::string twin; ///< sibling whose maps stand beside: model, session or maps file; empty: none
    std::vector<RecipePlan> plans;
    std::vector<RecipeRecovery> recoveries;
    std::optional<RecipeEvaluation> evaluation;
    std::vector<RecipeExport> exports;
    std::string session = "session.json"; ///< relative to the outputs
};

/// Reads and checks the whole file. Throws Error(NotFound or BadFormat) naming file and JSON pointer; unknown keys and
/// names that do not exist are errors.
Recipe readRecipe(const std::filesystem::path &path);

} // namespace secateur::workflow
