#include "backend/core/model_info.h"

#include <algorithm>

namespace secateur {

MemoryEstimate estimateMemory(const ModelConfig &config, int bytesPerElement, std::int64_t batchTokens,
                              std::int64_t context)
{
    const auto element = static_cast<std::uint64_t>(bytesPerElement);
    MemoryEstimate estimate;
    estimate.weights = static_cast<std::uint64_t>(totalParameters(config)) * element;

    // Calibration keeps every hidden state of a batch, and the widest block's intermediates while it runs.
    std::int64_t widest = 0;
    for (const BlockShape &block : config.blocks) {
        const std::int64_t attention
            = block.hasAttention ? std::int64_t(2 * block.queryHeads + 2 * block.kvHeads) * config.headDim : 0;
        const std::int64_t mlp = block.hasMlp ? 3 * std::int64_t(block.intermediateSize) : 0;
        widest = std::max({widest, attention, mlp});
    }
    const std::int64_t states = std::int64_t(config.layers() + 1) * config.hiddenSize;
    estimate.activations = static_cast<std::uint64_t>(batchTokens * (states + widest)) * element;
    estimate.cache = static_cast<std::uint64_t>(kvBytesPerToken(config, bytesPerElement) * context);
    return estimate;
}

} // namespace secateur
