#include "backend/core/model_config.h"

#include "backend/core/block_tensors.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace secateur {

bool ModelConfig::isUniform() const
{
    return std::all_of(blocks.begin(), blocks.end(), [this](const BlockShape &block) {
        const BlockShape &first = blocks.front();
        return block.hasAttention && block.hasMlp && block.kvHeads == first.kvHeads
            && block.queryHeads == first.queryHeads && block.intermediateSize == first.intermediateSize
            && block.ranks.empty();
    });
}

std::int64_t blockParameters(const ModelConfig &config, const BlockShape &block)
{
    std::int64_t count = 0;
    for (const BlockTensor &tensor : blockTensors(config, block))
        count += std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t(1), std::multiplies<>());
    return count;
}

std::int64_t totalParameters(const ModelConfig &config)
{
    const std::int64_t table = std::int64_t(config.vocabSize) * config.hiddenSize;
    std::int64_t count = (config.tiedEmbeddings ? 1 : 2) * table + config.hiddenSize; // + final norm
    for (const BlockShape &block : config.blocks)
        count += blockParameters(config, block);
    return count;
}

double flopsPerToken(const ModelConfig &config, std::int64_t context)
{
    double flops = 2.0 * static_cast<double>(totalParameters(config));
    for (const BlockShape &block : config.blocks)
        if (block.hasAttention)
            flops += 4.0 * block.queryHeads * config.headDim * static_cast<double>(context);
    return flops;
}

std::int64_t kvBytesPerToken(const ModelConfig &config, int bytesPerElement)
{
    std::int64_t heads = 0;
    for (const BlockShape &block : config.blocks)
        if (block.hasAttention)
            heads += block.kvHeads;
    return 2 * heads * config.headDim * bytesPerElement;
}

} // namespace secateur
