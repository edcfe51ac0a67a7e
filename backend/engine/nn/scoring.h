#pragma once

#include "backend/engine/nn/causal_lm.h"

#include <cstdint>
#include <vector>

namespace secateur {

/// Log-probability of each target and whether it is the most likely token.
struct TokenScores {
    std::vector<double> logprobs;
    std::vector<char> isGreedy; ///< written by several threads: no vector<bool>
};

/// Scores token \a targets[i] (N) against the head's output for row \a rows[i] of \a hidden (T, D), before the final
/// norm. The head computes a row once, however often it is asked for; its logits exist for a few rows at a time.
TokenScores scoreTargets(const Model::Impl &model, const Tensor &hidden, const TokenIds &rows, const TokenIds &targets);

} // namespace secateur
