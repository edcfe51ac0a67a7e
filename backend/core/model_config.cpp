#include "backend/core/model_config.h"

#include <algorithm>

namespace secateur {

bool ModelConfig::isUniform() const
{
    return std::all_of(blocks.begin(), blocks.end(), [this](const BlockShape &block) {
        const BlockShape &first = blocks.front();
        return block.hasAttention && block.hasMlp && block.kvHeads == first.kvHeads
            && block.queryHeads == first.queryHeads && block.intermediateSize == first.intermediateSize;
    });
}

std::int64_t blockParameters(const ModelConfig &config, const BlockShape &block)
{
    const std::int64_t hidden = config.hiddenSize;
    std::int64_t count = 0;
    if (block.hasAttention) {
        const std::int64_t query = std::int64_t(block.queryHeads) * config.headDim;
        const std::int64_t keyValue = 2 * std::int64_t(block.kvHeads) * config.headDim;
        count += hidden * (2 * query + keyValue) + hidden; // q, o, k, v and the norm before them
        if (config.attentionBias)
            count += query + keyValue;
        if (config.attentionOutputBias)
            count += hidden;
        if (config.queryKeyNorm)
            count += 2 * std::int64_t(config.headDim);
    }
    if (block.hasMlp) {
        const std::int64_t width = block.intermediateSize;
        count += 3 * hidden * width + hidden; // gate, up, down and the norm before them
        if (config.mlpBias)
            count += 2 * width + hidden;
    }
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
