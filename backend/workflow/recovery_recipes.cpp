#include "backend/workflow/recovery_recipes.h"

#include <algorithm>
#include <cmath>

namespace secateur::workflow {

namespace {

constexpr int kSmallestStep = 64; ///< tokens: below, a step holds hardly a sample

std::vector<RecoveryRecipe> makeRecipes()
{
    std::vector<RecoveryRecipe> recipes;
    const auto add = [&](const char *id, const char *source) -> RecoveryRecipe & {
        recipes.push_back({.id = id, .source = source, .options = {}, .epochs = 0, .warmupSteps = 0});
        return recipes.back();
    };
    add("study", "r 8, alpha 16 on all linears, as the study's think models; 100 steps");
    RecoveryOptions &quick = add("short", "a first look within minutes").options;
    quick.steps = 20;
    quick.batchTokens = 1024;
    quick.learningRate = 4e-4;

    RecoveryOptions &instruct = add("study-instruct", "the study, instruct: 10 000 steps of 2 × 4096 tokens").options;
    instruct.steps = 10000;
    instruct.batchTokens = 2 * 4096;
    instruct.maxLength = 4096;
    instruct.learningRate = 4e-4;
    RecoveryOptions &think = add("study-think", "the study, think: 3 000 steps of 2 × 4096 tokens, early stop").options;
    think = instruct;
    think.steps = 3000;
    think.heldOut = 0.02;
    think.heldOutEvery = 100;
    think.patience = 5;

    RecoveryRecipe &llmPruner
        = add("llm-pruner", "LLM-Pruner (2305.11627): 64 samples of at most 256 tokens, 2 epochs");
    llmPruner.options.learningRate = 1e-4;
    llmPruner.options.schedule = "linear";
    llmPruner.options.batchTokens = 64 * 256;
    llmPruner.options.maxLength = 256;
    llmPruner.epochs = 2;
    llmPruner.warmupSteps = 100;
    RecoveryRecipe &sliceGpt = add("slicegpt", "SliceGPT (2401.15024): r 32, alpha 10, 1 epoch, early stop");
    sliceGpt.options.rank = 32;
    sliceGpt.options.alpha = 10;
    sliceGpt.options.schedule = "linear";
    sliceGpt.options.batchTokens = 3 * 1024;
    sliceGpt.options.heldOut = 0.05;
    sliceGpt.options.patience = 3;
    sliceGpt.epochs = 1;
    sliceGpt.warmupSteps = 400;
    RecoveryOptions &skipGpt
        = add("skipgpt", "SkipGPT stage 2 (2506.04179): r 16, alpha 32 on q, v, gate; 10 000 steps").options;
    skipGpt.rank = 16;
    skipGpt.alpha = 32;
    skipGpt.dropout = 0.1;
    skipGpt.targets = {"q_proj", "v_proj", "gate_proj"};
    skipGpt.steps = 10000;
    skipGpt.batchTokens = 8 * 4096;
    skipGpt.maxLength = 4096;

    RecoveryOptions &full = add("full", "all weights at a tenth of the adapter's rate").options;
    full.kind = "full";
    full.learningRate = 2e-5;
    add("distill", "an adapter that follows the dense parent (Hinton 2015)").options.kind = "distill";
    return recipes;
}

} // namespace

const std::vector<RecoveryRecipe> &recoveryRecipes()
{
    static const std::vector<RecoveryRecipe> recipes = makeRecipes();
    return recipes;
}

const RecoveryRecipe *recoveryRecipe(const std::string &id)
{
    const auto found = std::find_if(recoveryRecipes().begin(), recoveryRecipes().end(),
                                    [&](const RecoveryRecipe &recipe) { return recipe.id == id; });
    return found == recoveryRecipes().end() ? nullptr : &*found;
}

RecoveryOptions recipeOptions(const RecoveryRecipe &recipe, std::int64_t tokens)
{
    RecoveryOptions options = recipe.options;
    if (recipe.epochs > 0 && tokens > 0) {
        const double steps = std::ceil(recipe.epochs * static_cast<double>(tokens) / options.batchTokens);
        options.steps = static_cast<int>(std::clamp(steps, 1.0, 1e6));
    }
    if (recipe.warmupSteps > 0) // never more than a tenth: a short run would only warm up
        options.warmupFraction = std::min(0.1, static_cast<double>(recipe.warmupSteps) / options.steps);
    return options;
}

bool isSameRecipe(const RecoveryOptions &a, const RecoveryOptions &b)
{
    RecoveryOptions one = a;
    one.seed = b.seed;
    one.checkpointSteps = b.checkpointSteps;
    return one == b;
}

bool halveStep(RecoveryOptions &options)
{
    if (options.batchTokens <= kSmallestStep && options.recompute)
        return false;
    // A step is cut into parts of its own size anyway, so that halving alone may change nothing.
    options.recompute = true;
    options.batchTokens = std::max(options.batchTokens / 2, std::min(options.batchTokens, kSmallestStep));
    return true;
}

} // namespace secateur::workflow
