#pragma once

#include "backend/engine/nn/causal_lm.h"

#include <cstdint>
#include <vector>

namespace secateur {

/// Log-probability of one target per row and whether it is the most likely token.
struct TokenScores {
    std::vector<double> logprobs;
    std::vector<bool> isGreedy;
};

/// Scores \a targets (N) against the head's output for the rows of \a hidden (N, D), before the final norm. The logits
/// exist for a few rows at a time only.
TokenScores scoreTargets(const Model::Impl &model, const Tensor &hidden, const TokenIds &targets);

} // namespace secateur
