#include "app/pages/recovery_estimate.h"

#include <algorithm>
#include <string>

namespace secateur {

namespace {

constexpr std::int64_t kPartTokens = 1024; ///< a step is cut into backward passes of about this size

std::int64_t adapterParameters(const ModelConfig &config, const RecoveryOptions &options)
{
    std::int64_t parameters = 0;
    const std::int64_t hidden = config.hiddenSize;
    for (const BlockShape &block : config.blocks) {
        const std::int64_t queries = std::int64_t(block.queryHeads) * config.headDim;
        const std::int64_t keys = std::int64_t(block.kvHeads) * config.headDim;
        for (const std::string &target : options.targets) {
            if (block.hasAttention && (target == "q_proj" || target == "o_proj"))
                parameters += options.rank * (hidden + queries);
            else if (block.hasAttention && (target == "k_proj" || target == "v_proj"))
                parameters += options.rank * (hidden + keys);
            else if (block.hasMlp && (target == "gate_proj" || target == "up_proj" || target == "down_proj"))
                parameters += options.rank * (hidden + block.intermediateSize);
        }
    }
    return parameters;
}

/// Elements per token that the backward pass needs.
std::int64_t keptElements(const ModelConfig &config, bool recompute)
{
    const std::int64_t hidden = config.hiddenSize;
    std::int64_t kept = 0;
    std::int64_t largest = 0;
    for (const BlockShape &block : config.blocks) {
        const std::int64_t queries = std::int64_t(block.queryHeads) * config.headDim;
        const std::int64_t keys = std::int64_t(block.kvHeads) * config.headDim;
        // Inputs of the two norms and of the branches, queries, keys and values, attention output, three FFN widths.
        const std::int64_t own = 4 * hidden + (block.hasAttention ? 2 * queries + 2 * keys : 0)
            + (block.hasMlp ? 3 * std::int64_t(block.intermediateSize) : 0);
        kept += own;
        largest = std::max(largest, own);
    }
    // Recomputed: the input of every block, and one block at a time in full.
    return recompute ? hidden * static_cast<std::int64_t>(config.blocks.size()) + largest : kept;
}

} // namespace

RecoveryEstimate estimateRecovery(const ModelConfig &config, const RecoveryOptions &options,
                                  const RecoverySetting &setting)
{
    RecoveryEstimate estimate;
    const std::int64_t parameters = totalParameters(config);
    const bool distills = options.kind == "distill";
    estimate.weights = parameters * setting.bytesPerElement;
    if (distills)
        estimate.weights += setting.parentParameters * setting.bytesPerElement;
    estimate.trainedParameters = options.trainsWeights() ? parameters : adapterParameters(config, options);
    estimate.trained = estimate.trainedParameters * 4 * 4;

    const std::int64_t longest = setting.longestSample > 0
        ? std::min<std::int64_t>(setting.longestSample, options.maxLength)
        : options.maxLength;
    const std::int64_t tokens = std::min<std::int64_t>(options.batchTokens, std::max(kPartTokens, longest));
    // All weights are trained in f32; logits only where the loss is counted: at most every token, with their gradient,
    // and those of the parent beside them.
    const int bytes = options.autocast ? 2 : options.trainsWeights() ? 4 : setting.bytesPerElement;
    const std::int64_t logits = std::int64_t(distills ? 4 : 2) * config.vocabSize;
    estimate.activations = tokens * (keptElements(config, options.recompute) + logits) * bytes;
    return estimate;
}

} // namespace secateur
