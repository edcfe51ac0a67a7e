#include "app/pages/recovery_estimate.h"

#include <string>

namespace secateur {

RecoveryEstimate estimateRecovery(const ModelConfig &config, const RecoveryOptions &options, int bytesPerElement)
{
    RecoveryEstimate estimate;
    const std::int64_t hidden = config.hiddenSize;
    std::int64_t kept = 0; // elements per token that the backward pass needs
    for (const BlockShape &block : config.blocks) {
        const std::int64_t queries = std::int64_t(block.queryHeads) * config.headDim;
        const std::int64_t keys = std::int64_t(block.kvHeads) * config.headDim;
        const std::int64_t ffn = block.intermediateSize;
        for (const std::string &target : options.targets) {
            if (block.hasAttention && (target == "q_proj" || target == "o_proj"))
                estimate.adapterParameters += options.rank * (hidden + queries);
            else if (block.hasAttention && (target == "k_proj" || target == "v_proj"))
                estimate.adapterParameters += options.rank * (hidden + keys);
            else if (block.hasMlp && (target == "gate_proj" || target == "up_proj" || target == "down_proj"))
                estimate.adapterParameters += options.rank * (hidden + ffn);
        }
        // Inputs of the two norms and of the branches, queries, keys and values, attention output, three FFN widths.
        kept += 4 * hidden + (block.hasAttention ? 2 * queries + 2 * keys : 0) + (block.hasMlp ? 3 * ffn : 0);
    }
    estimate.weights = totalParameters(config) * bytesPerElement;
    estimate.adapter = estimate.adapterParameters * 4 * 4;
    // Logits only where the loss is counted: at most every token, with their gradient.
    estimate.activations = std::int64_t(options.batchTokens) * (kept + 2 * config.vocabSize) * bytesPerElement;
    return estimate;
}

} // namespace secateur
