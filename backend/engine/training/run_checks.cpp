#include "backend/engine/training/run_checks.h"

#include "backend/core/error.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>

namespace secateur {

namespace {

[[noreturn]] void checkRefuse(const std::string &message, const std::string &hint = {})
{
    throw Error(ErrorKind::InvalidArgument, message, hint);
}

std::string checkNumber(double value)
{
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

void checkHolds(bool holds, const char *name, double value, const char *rule)
{
    if (!holds)
        checkRefuse(std::string("The ") + name + " of a recovery must be " + rule + ", not " + checkNumber(value)
                    + ".");
}

void checkShare(const char *name, double value)
{
    checkHolds(value >= 0 && value <= 1, name, value, "between 0 and 1");
}

void checkWord(const char *what, const std::string &word, std::initializer_list<const char *> known)
{
    if (std::find(known.begin(), known.end(), word) != known.end())
        return;
    std::string choices;
    for (const char *one : known)
        choices += (choices.empty() ? "" : one == *(known.end() - 1) ? " or " : ", ") + std::string(one);
    checkRefuse(std::string("The ") + what + " '" + word + "' is not known.", "Choose " + choices + ".");
}

} // namespace

void checkRecoveryOptions(const RecoveryOptions &options)
{
    checkWord("recovery kind", options.kind, {"lora", "full", "distill", "scratch"});
    checkWord("schedule", options.schedule, {"cosine", "linear", "constant", "flat"});
    checkWord("optimiser", options.optimizer, {"adamw", "muon"});
    if (!options.trainsWeights())
        checkHolds(options.rank >= 1, "rank", options.rank, "at least 1");
    if (options.optimizer == "muon" && !options.trainsWeights())
        checkRefuse("Muon trains whole matrices, not the branches of an adapter.", "Use adamw, or train all weights.");
    checkHolds(std::isfinite(options.alpha) && options.alpha > 0, "alpha", options.alpha, "above 0");
    checkHolds(options.dropout >= 0 && options.dropout < 1, "dropout", options.dropout, "at least 0 and below 1");
    checkHolds(options.steps >= 1, "number of steps", options.steps, "at least 1");
    checkHolds(options.batchTokens >= 1, "batch tokens", options.batchTokens, "at least 1");
    checkHolds(options.maxLength >= 2, "maximum length", options.maxLength, "at least 2");
    checkHolds(std::isfinite(options.learningRate) && options.learningRate > 0, "learning rate", options.learningRate,
               "above 0");
    checkHolds(std::isfinite(options.muonRate) && options.muonRate > 0, "rate of Muon", options.muonRate, "above 0");
    checkShare("warm-up fraction", options.warmupFraction);
    checkShare("flat fraction", options.flatFraction);
    checkShare("final share", options.finalShare);
    checkShare("prompt weight", options.promptWeight);
    checkShare("distillation weight", options.distillWeight);
    checkHolds(std::isfinite(options.temperature) && options.temperature > 0, "temperature", options.temperature,
               "above 0");
    checkHolds(options.layerDrop >= 0 && options.layerDrop < 1, "layer drop", options.layerDrop,
               "at least 0 and below 1");
    checkShare("begin of layer drop", options.layerDropFrom);
    if (options.layerDrop > 0 && !options.trainsWeights())
        checkRefuse("Layer drop needs all weights to be trained, not the branches of an adapter.",
                    "Set it to 0, or train all weights.");
    checkHolds(options.heldOut >= 0 && options.heldOut < 1, "held-out share", options.heldOut,
               "at least 0 and below 1");
    checkHolds(options.heldOutEvery >= 1, "distance of held-out measurements", options.heldOutEvery, "at least 1");
    checkHolds(options.patience >= 0, "patience", options.patience, "at least 0");
    checkHolds(options.checkpointSteps >= 0, "distance of checkpoints", options.checkpointSteps, "at least 0");
    checkHolds(std::isfinite(options.weightDecay) && options.weightDecay >= 0, "weight decay", options.weightDecay,
               "at least 0");
    checkHolds(options.beta1 >= 0 && options.beta1 < 1, "beta 1", options.beta1, "at least 0 and below 1");
    checkHolds(options.beta2 >= 0 && options.beta2 < 1, "beta 2", options.beta2, "at least 0 and below 1");
    checkHolds(std::isfinite(options.epsilon) && options.epsilon > 0, "epsilon", options.epsilon, "above 0");
    checkHolds(std::isfinite(options.clipNorm) && options.clipNorm >= 0, "gradient limit", options.clipNorm,
               "at least 0");
}

void checkParent(const Model::Impl &model, const Model *parent)
{
    if (!parent)
        checkRefuse("Distillation needs the dense parent to learn from.");
    if (parent->config().vocabSize != model.config.vocabSize)
        checkRefuse("The parent has a vocabulary of " + std::to_string(parent->config().vocabSize)
                        + ", but the model to train has one of " + std::to_string(model.config.vocabSize) + ".",
                    "Distil from the model that this one was made of.");
    if (parent->impl().device() != model.device())
        checkRefuse("The parent is on " + parent->device() + ", but the model to train is on " + model.device().str()
                    + ".");
}

UsableSamples usableSamples(const std::vector<TrainingSample> &samples, const RecoveryOptions &options,
                            const ModelConfig &config)
{
    UsableSamples usable;
    const auto limit = static_cast<std::size_t>(
        config.maxPositions > 0 ? std::min(options.maxLength, config.maxPositions) : options.maxLength);
    for (std::size_t index = 0; index < samples.size(); ++index) {
        const TrainingSample &sample = samples[index];
        const std::string where = "Training sample " + std::to_string(index);
        if (sample.ids.size() != sample.lossMask.size())
            checkRefuse(where + " has " + std::to_string(sample.ids.size()) + " tokens but a loss mask of "
                        + std::to_string(sample.lossMask.size()) + ".");
        if (!sample.weights.empty() && sample.weights.size() != sample.ids.size())
            checkRefuse(where + " has " + std::to_string(sample.ids.size()) + " tokens but "
                        + std::to_string(sample.weights.size()) + " weights.");
        for (const float weight : sample.weights) {
            if (!std::isfinite(weight) || weight < 0)
                checkRefuse(where + " has a token of weight " + checkNumber(static_cast<double>(weight)) + ".");
        }
        for (const std::int32_t id : sample.ids) {
            if (id < 0 || id >= config.vocabSize)
                checkRefuse(where + " holds token " + std::to_string(id) + ", outside the vocabulary of "
                                + std::to_string(config.vocabSize) + ".",
                            "Use the tokenizer of this model.");
        }
        if (sample.ids.size() > limit || scoredTokens(sample) == 0 || scoredWeight(sample) <= 0) {
            ++usable.dropped;
            continue;
        }
        const auto count = static_cast<double>(usable.size());
        const bool isHeldOut = std::floor((count + 1) * options.heldOut) > std::floor(count * options.heldOut);
        (isHeldOut ? usable.heldOut : usable.trained).push_back(&sample);
    }
    if (usable.trained.empty())
        checkRefuse("None of the " + std::to_string(samples.size()) + " training samples has a scored token within "
                        + std::to_string(limit) + " tokens.",
                    "Use shorter samples or a larger maximum length.");
    if (options.heldOut > 0 && usable.heldOut.empty())
        checkRefuse("Of " + std::to_string(usable.size()) + " samples a share of " + checkNumber(options.heldOut)
                        + " leaves none to hold out.",
                    "Raise the held-out share or use more samples.");
    return usable;
}

} // namespace secateur
