#pragma once

#include "backend/engine/transforms.h"
#include "backend/workflow/workbench.h"

#include <filesystem>
#include <string>
#include <vector>

namespace secateur::workflow {

struct PruneOutcome {
    std::int64_t parametersBefore = 0;
    std::int64_t parametersAfter = 0;
    std::vector<CheckResult> checks;
    std::string continuation; ///< sample of what the pruned model says
};

/// Applies and verifies; throws Error(CheckFailed) naming the first failed check.
PruneOutcome pruneAndCheck(Workbench &bench, const PruningPlan &plan, const JobContext &context);

struct ExportRequest {
    std::filesystem::path folder; ///< must not exist yet, or be empty, or be a folder that was exported before
    std::string dtype = "auto"; ///< "auto": F32 when the source was quantised or F32, else the stored type
    std::string modelName; ///< for the model card
    PruningPlan plan; ///< provenance; may be empty for a merged recovery
};
struct ExportOutcome {
    std::vector<std::string> files;
    std::vector<std::string> loadableBy; ///< "transformers" and "secateur", or "secateur" alone
    std::vector<CheckResult> checks; ///< re-load, equal logits
};
/// HF folder: weights, config, tokenizer, template, generation config, licence, model card, provenance (secateur.json,
/// secateur_plan.json); loaded again and compared before it is renamed into place. An adapter must have been merged
/// into \a model. Throws Error(CheckFailed) and leaves nothing behind when the files do not say what \a model says.
ExportOutcome exportModel(const LoadedModel &dense, const Model &model, const ExportRequest &request,
                          const JobContext &context);

} // namespace secateur::workflow
