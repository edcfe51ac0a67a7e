#include "backend/engine/nn/scoring.h"

#include "backend/engine/kernels/row_math.h"
#include "backend/engine/nn/row_ops.h"

#include <ATen/Parallel.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/logsumexp.h>

#include <algorithm>
#include <utility>

namespace secateur {

namespace {

/// Who asks for one row of logits, and for which token.
using Asking = std::vector<std::pair<std::size_t, std::int32_t>>;

/// One pass over each row of \a logits (N, V) f32 on the CPU, while it is still in the cache.
void scoreRows(const Tensor &logits, std::span<const Asking> asking, TokenScores &scores)
{
    const std::int64_t vocabulary = logits.size(1);
    const float *values = logits.const_data_ptr<float>();
    at::parallel_for(0, logits.size(0), 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row) {
            const float *own = values + row * vocabulary;
            std::int64_t largest = 0;
            const double total = logSumExp(own, vocabulary, &largest);
            for (const auto &[index, target] : asking[static_cast<std::size_t>(row)]) {
                scores.logprobs[index] = own[target] - total;
                scores.isGreedy[index] = largest == target;
            }
        }
    });
}

/// The same by tensors, on any device.
void scoreTensor(const Tensor &logits, std::span<const Asking> asking, TokenScores &scores)
{
    TokenIds rows, targets;
    std::vector<std::size_t> indices;
    for (std::size_t row = 0; row < asking.size(); ++row) {
        for (const auto &[index, target] : asking[row]) {
            rows.push_back(static_cast<std::int32_t>(row));
            targets.push_back(target);
            indices.push_back(index);
        }
    }
    const Tensor row = idsTensor(rows, logits.device());
    const Tensor target = idsTensor(targets, logits.device());
    const Tensor wanted = at::gather(at::index_select(logits, 0, row), 1, target.unsqueeze(1)).squeeze(1);
    const std::vector<float> logprobs = toVector(wanted - at::logsumexp(logits, 1).index_select(0, row));
    const Tensor greedy = at::argmax(logits, 1).index_select(0, row).eq(target).cpu();
    for (std::size_t i = 0; i < indices.size(); ++i) {
        scores.logprobs[indices[i]] = logprobs[i];
        scores.isGreedy[indices[i]] = greedy.const_data_ptr<bool>()[i];
    }
}

} // namespace

TokenScores scoreTargets(const Model::Impl &model, const Tensor &hidden, const TokenIds &rows, const TokenIds &targets)
{
    TokenIds wanted; // each row once
    std::vector<Asking> asking; // for each of them
    std::vector<std::int32_t> place(static_cast<std::size_t>(hidden.size(0)), -1); // of a row among them
    for (std::size_t i = 0; i < rows.size(); ++i) {
        std::int32_t &at = place[static_cast<std::size_t>(rows[i])];
        if (at < 0) {
            at = static_cast<std::int32_t>(wanted.size());
            wanted.push_back(rows[i]);
            asking.emplace_back();
        }
        asking[static_cast<std::size_t>(at)].emplace_back(i, targets[i]);
    }

    TokenScores scores{std::vector<double>(rows.size()), std::vector<char>(rows.size())};
    constexpr std::int64_t kRows = 256;
    const Tensor order = idsTensor(wanted, hidden.device());
    for (std::int64_t first = 0; first < order.size(0); first += kRows) {
        const std::int64_t count = std::min(kRows, order.size(0) - first);
        const Tensor logits = logitsOf(model, at::index_select(hidden, 0, order.narrow(0, first, count))); // (n, V)
        const std::span some
            = std::span(asking).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
        if (allowsRowKernels(logits))
            scoreRows(logits, some, scores);
        else
            scoreTensor(logits, some, scores);
    }
    return scores;
}

} // namespace secateur
