#pragma once

#include "backend/core/model_config.h"

#include <cstdint>
#include <string>
#include <vector>

namespace secateur {

/// A stored tensor of one decoder block.
struct BlockTensor {
    enum class Part { AttentionNorm, Query, Key, Value, Output, HeadNorm, MlpNorm, Gate, Up, Down };
    Part part = Part::AttentionNorm;
    std::string name; ///< without the block prefix: "self_attn.q_proj.weight"
    std::vector<std::int64_t> shape; ///< [out, in] of a weight, [out] of a bias or norm
};

/// The tensors of a block of shape \a block in the order of computation. A factored linear W = B·A is stored as
/// "<name>.A.weight" and "<name>.B.weight".
std::vector<BlockTensor> blockTensors(const ModelConfig &config, const BlockShape &block);

} // namespace secateur
