#include "backend/engine/nn/scoring.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/logsumexp.h>

#include <algorithm>

namespace secateur {

TokenScores scoreTargets(const Model::Impl &model, const Tensor &hidden, const TokenIds &targets)
{
    TokenScores scores;
    scores.logprobs.reserve(targets.size());
    scores.isGreedy.reserve(targets.size());
    const Tensor wanted = idsTensor(targets, hidden.device()); // (N)
    constexpr std::int64_t kRows = 256;
    for (std::int64_t row = 0; row < hidden.size(0); row += kRows) {
        const std::int64_t rows = std::min(kRows, hidden.size(0) - row);
        const Tensor logits = logitsOf(model, hidden.narrow(0, row, rows)); // (rows, V)
        const Tensor target = wanted.narrow(0, row, rows);
        const Tensor logprob = at::gather(logits, 1, target.unsqueeze(1)).squeeze(1) - at::logsumexp(logits, 1);
        for (const float value : toVector(logprob))
            scores.logprobs.push_back(value);
        const Tensor greedy = at::argmax(logits, 1).eq(target).cpu();
        const bool *isGreedy = greedy.const_data_ptr<bool>();
        scores.isGreedy.insert(scores.isGreedy.end(), isGreedy, isGreedy + rows);
    }
    return scores;
}

} // namespace secateur
