#pragma once

#include "backend/core/pruning_plan.h"
#include "backend/workflow/workbench.h"

#include <filesystem>
#include <optional>
#include <string>

namespace secateur {

/// One model of the session as a job needs it: values only, so that it can travel to the compute thread.
struct Subject {
    std::string id = "dense"; ///< "dense", "plan-1", "run-2"
    std::string name;
    std::string state = "dense"; ///< "dense", "pruned", "recovered"
    std::optional<PruningPlan> plan; ///< its own, or that of the run
    std::string run; ///< id of the run; empty: none
    std::filesystem::path adapter; ///< folder of the run's adapter
    bool isDense() const { return !plan && run.empty(); }
};

/// The model of \a subject, pruned or adapted on first use. Compute thread only; throws as the workbench does.
const Model &modelOf(workflow::Workbench &bench, const Subject &subject);

} // namespace secateur
