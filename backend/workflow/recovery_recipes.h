#pragma once

#include "backend/core/run_config.h"

#include <cstdint>
#include <string>
#include <vector>

namespace secateur::workflow {

/// A setting that somebody has published, or that fits a common wish.
struct RecoveryRecipe {
    std::string id; ///< "study", "slicegpt"
    std::string source; ///< where its numbers come from
    RecoveryOptions options; ///< steps as far as the data do not decide
    double epochs = 0; ///< 0: options.steps holds
    int warmupSteps = 0; ///< 0: options.warmupFraction holds
};

/// In the order of a list to choose from; the first is the default.
const std::vector<RecoveryRecipe> &recoveryRecipes();
const RecoveryRecipe *recoveryRecipe(const std::string &id); ///< null: unknown

/// The options of \a recipe for data of \a tokens tokens (0: not counted yet, the recipe's own steps are kept).
RecoveryOptions recipeOptions(const RecoveryRecipe &recipe, std::int64_t tokens);

/// true when \a a and \a b train the same way: seed and checkpoints aside.
bool isSameRecipe(const RecoveryOptions &a, const RecoveryOptions &b);

/// Options that need less memory for a step: half the tokens, and activations computed again. false when nothing is
/// left to halve.
bool halveStep(RecoveryOptions &options);

} // namespace secateur::workflow
