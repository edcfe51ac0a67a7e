#include "backend/engine/nn/checks.h"

#include "backend/core/error.h"

#include <ATen/ops/all.h>
#include <ATen/ops/argmin.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/sum.h>

#include <algorithm>
#include <cmath>

namespace secateur {

void requireSequence(const ModelConfig &config, const TokenIds &ids, const std::string &what, std::int64_t extraTokens)
{
    if (ids.empty())
        throw Error(ErrorKind::InvalidArgument, what + " has no tokens.", "Give it at least one token.");
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (ids[i] < 0 || ids[i] >= config.vocabSize) {
            throw Error(ErrorKind::InvalidArgument,
                        what + " has token id " + std::to_string(ids[i]) + " at position " + std::to_string(i)
                            + ", the vocabulary ends at " + std::to_string(config.vocabSize - 1) + ".",
                        "The tokenizer does not belong to this model.");
        }
    }
    const auto length = static_cast<std::int64_t>(ids.size());
    if (config.maxPositions > 0 && length + extraTokens > config.maxPositions) {
        const std::string extra = extraTokens > 0 ? " and " + std::to_string(extraTokens) + " new ones" : "";
        throw Error(ErrorKind::InvalidArgument,
                    what + " has " + std::to_string(length) + " tokens" + extra + ", the context of the model is "
                        + std::to_string(config.maxPositions) + ".",
                    extraTokens > 0 ? "Shorten the prompt or generate fewer tokens." : "Use a shorter sequence.");
    }
}

bool isFinite(const Tensor &values)
{
    // the sum is finite only if every value is; an overflow of the sum alone is told apart by the slow way
    return values.numel() == 0 || std::isfinite(at::sum(values, at::kFloat).item<float>())
        || at::isfinite(values).all().item<bool>();
}

void requireFiniteRows(const Tensor &values, const std::vector<std::int64_t> &offsets, const std::string &where,
                       std::int64_t firstNumber)
{
    if (isFinite(values))
        return;
    const Tensor rows = at::isfinite(values).all(1).to(at::kInt); // (T)
    const std::int64_t row = at::argmin(rows).item<std::int64_t>();
    const auto after = std::upper_bound(offsets.begin(), offsets.end(), row);
    const auto sequence = static_cast<std::size_t>(after - offsets.begin()) - 1;
    const std::string name
        = firstNumber < 0 ? "" : " of sequence " + std::to_string(firstNumber + static_cast<std::int64_t>(sequence));
    throw Error(ErrorKind::Numeric,
                "A value is not finite " + where + ", at token " + std::to_string(row - offsets[sequence]) + name + ".",
                "The weights are damaged or the model overflows in this dtype; try f32.");
}

std::string stateName(int state)
{
    return state == 0 ? "in the embedding" : "after block " + std::to_string(state - 1);
}

void locateNonFinite(const Model::Impl &model, const std::vector<TokenIds> &sequences, std::int64_t firstNumber)
{
    const PackedBatch batch = packSequences(sequences, model.device());
    ForwardTaps taps;
    taps.hidden = [&](int state, const Tensor &hidden) {
        requireFiniteRows(hidden, batch.offsets, stateName(state), firstNumber);
    };
    const Tensor hidden = forwardHidden(model, batch, taps); // (T, D)
    constexpr std::int64_t kRows = 256;
    for (std::int64_t row = 0; row < hidden.size(0); row += kRows) {
        const Tensor logits = logitsOf(model, hidden.narrow(0, row, std::min(kRows, hidden.size(0) - row)));
        if (!isFinite(logits))
            throw Error(ErrorKind::Numeric, "The logits are not finite although every hidden state is.");
    }
}

} // namespace secateur
