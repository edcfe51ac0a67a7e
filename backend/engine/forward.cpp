#include "backend/engine/forward.h"

#include "backend/engine/detail/guards.h"
#include "backend/engine/nn/attention.h"
#include "backend/engine/nn/blocks.h"
#include "backend/engine/nn/checks.h"
#include "backend/engine/nn/scoring.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace secateur {

namespace {

/// One context followed by several continuations, each of which sees the context and itself: rows are the context, then
/// every continuation without its last token.
std::vector<ContinuationScore> scoreAfterSharedContext(const Model::Impl &model, const TokenIds &context,
                                                       const std::vector<const TokenIds *> &continuations)
{
    const auto contextLength = static_cast<std::int64_t>(context.size());
    std::vector<TokenIds> sequences{context};
    for (const TokenIds *continuation : continuations)
        sequences.emplace_back(continuation->begin(), continuation->end() - 1);
    PackedBatch batch = packSequences(sequences, model.device());
    batch.positions.narrow(0, contextLength, batch.tokens() - contextLength).add_(contextLength);

    const std::int64_t window = model.config.slidingWindow;
    const Attend attend = [&](int, const Tensor &q, const Tensor &k, const Tensor &v) {
        const auto part = [&](const Tensor &x, std::size_t i) {
            return x.narrow(0, batch.offsets[i], batch.offsets[i + 1] - batch.offsets[i]);
        };
        const Tensor sharedKeys = part(k, 0);
        const Tensor sharedValues = part(v, 0);
        std::vector<Tensor> mixed{packedAttention(part(q, 0), sharedKeys, sharedValues, {0, contextLength}, window)};
        for (std::size_t i = 1; i < sequences.size(); ++i) {
            if (sequences[i].empty())
                continue;
            mixed.push_back(cachedAttention(part(q, i), at::cat({sharedKeys, part(k, i)}, 0),
                                            at::cat({sharedValues, part(v, i)}, 0), window));
        }
        return mixed.size() == 1 ? mixed.front() : at::cat(mixed, 0);
    };
    const Tensor hidden = runBlocks(model, batch.ids, batch.positions, attend); // (T, D)

    // the head sees the last context row once per continuation and the continuations' own rows
    std::vector<Tensor> rows;
    TokenIds targets;
    for (std::size_t i = 0; i < continuations.size(); ++i) {
        rows.push_back(hidden.narrow(0, contextLength - 1, 1));
        rows.push_back(hidden.narrow(0, batch.offsets[i + 1], batch.offsets[i + 2] - batch.offsets[i + 1]));
        targets.insert(targets.end(), continuations[i]->begin(), continuations[i]->end());
    }
    const TokenScores scores = scoreTargets(model, at::cat(rows, 0), targets);

    std::vector<ContinuationScore> results;
    std::size_t next = 0;
    for (const TokenIds *continuation : continuations) {
        ContinuationScore score{0, true, static_cast<std::int64_t>(continuation->size())};
        for (std::size_t i = 0; i < continuation->size(); ++i, ++next) {
            score.logprob += scores.logprobs[next];
            score.isGreedy = score.isGreedy && scores.isGreedy[next];
        }
        if (!std::isfinite(score.logprob)) {
            TokenIds whole = context;
            whole.insert(whole.end(), continuation->begin(), continuation->end());
            locateNonFinite(model, {whole});
        }
        results.push_back(score);
    }
    return results;
}

} // namespace

SequenceOutputs forwardSequence(const Model &model, const TokenIds &ids, bool withHidden)
{
    const Model::Impl &impl = model.impl();
    requireSequence(impl.config, ids, "The sequence");
    return withoutGradients([&] {
        SequenceOutputs outputs;
        outputs.tokens = static_cast<std::int64_t>(ids.size());
        std::vector<Tensor> states;
        ForwardTaps taps;
        if (withHidden)
            taps.hidden = [&](int, const Tensor &hidden) { states.push_back(hidden.to(at::kFloat)); };
        const Tensor hidden = forwardHidden(impl, packSequences({ids}, impl.device()), taps); // (T, D)
        const Tensor logits = logitsOf(impl, hidden); // (T, V)
        if (!isFinite(logits))
            locateNonFinite(impl, {ids});
        outputs.logits = toVector(logits);
        if (withHidden)
            outputs.hidden = toVector(at::stack(states)); // (L+1, T, D)
        return outputs;
    });
}

std::vector<ContinuationScore> scoreContinuations(const Model &model, const TokenIds &context,
                                                  const std::vector<TokenIds> &continuations)
{
    const Model::Impl &impl = model.impl();
    ModelConfig unlimited = impl.config;
    unlimited.maxPositions = 0; // long contexts are cut, not refused
    requireSequence(unlimited, context, "The context");
    std::vector<const TokenIds *> shared;
    std::size_t longest = 0;
    for (const TokenIds &continuation : continuations) {
        if (continuation.empty())
            continue;
        requireSequence(impl.config, continuation, "The continuation");
        shared.push_back(&continuation);
        longest = std::max(longest, continuation.size());
    }
    return withoutGradients([&] {
        const std::size_t limit
            = impl.config.maxPositions > 0 ? static_cast<std::size_t>(impl.config.maxPositions) : SIZE_MAX;
        const bool fits = context.size() + longest - 1 <= limit;
        std::vector<ContinuationScore> scores;
        std::vector<ContinuationScore> together;
        if (fits && !shared.empty())
            together = scoreAfterSharedContext(impl, context, shared);
        std::size_t next = 0;
        for (const TokenIds &continuation : continuations) {
            if (continuation.empty()) {
                scores.push_back({0, true, 0});
            } else if (fits) {
                scores.push_back(together[next++]);
            } else {
                // the last token is never fed, so one more than the context fits
                const std::size_t keep = std::min(context.size(), limit + 1 - continuation.size());
                const TokenIds cut(context.end() - static_cast<std::ptrdiff_t>(keep), context.end());
                scores.push_back(scoreAfterSharedContext(impl, cut, {&continuation}).front());
            }
        }
        return scores;
    });
}

PerplexityResult perplexity(const Model &model, const TokenIds &ids, std::int64_t chunkLength, std::int64_t maxChunks,
                            const JobContext &context)
{
    const Model::Impl &impl = model.impl();
    if (chunkLength < 2) {
        throw Error(ErrorKind::InvalidArgument,
                    "The chunk length is " + std::to_string(chunkLength) + ", it must be at least 2.");
    }
    std::int64_t chunks = static_cast<std::int64_t>(ids.size()) / chunkLength;
    if (maxChunks > 0)
        chunks = std::min(chunks, maxChunks);
    if (chunks == 0) {
        throw Error(ErrorKind::InvalidArgument,
                    "The text has " + std::to_string(ids.size()) + " tokens, one chunk needs "
                        + std::to_string(chunkLength) + ".",
                    "Use a longer text or a shorter chunk length.");
    }
    std::vector<TokenIds> pieces;
    for (std::int64_t i = 0; i < chunks; ++i) {
        pieces.emplace_back(ids.begin() + i * chunkLength, ids.begin() + (i + 1) * chunkLength);
        requireSequence(impl.config, pieces.back(), "Chunk " + std::to_string(i));
    }
    return withoutGradients([&] {
        const auto start = std::chrono::steady_clock::now();
        constexpr std::int64_t kBatchTokens = 1024;
        const std::int64_t perBatch = std::max<std::int64_t>(1, kBatchTokens / chunkLength);
        double sum = 0;
        for (std::int64_t first = 0; first < chunks; first += perBatch) {
            const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
            context.checkpoint({"perplexity", first, chunks,
                                first > 0 ? static_cast<double>(first * chunkLength) / elapsed.count() : 0});
            const std::int64_t count = std::min(perBatch, chunks - first);
            const std::vector<TokenIds> batch(pieces.begin() + first, pieces.begin() + first + count);
            const Tensor hidden = forwardHidden(impl, packSequences(batch, impl.device())); // (count·S, D)
            for (std::int64_t i = 0; i < count; ++i) {
                const TokenIds &piece = batch[static_cast<std::size_t>(i)];
                const TokenIds targets(piece.begin() + 1, piece.end());
                const TokenScores scores
                    = scoreTargets(impl, hidden.narrow(0, i * chunkLength, chunkLength - 1), targets);
                double negative = 0;
                for (const double logprob : scores.logprobs)
                    negative -= logprob;
                if (!std::isfinite(negative))
                    locateNonFinite(impl, {piece});
                sum += negative / static_cast<double>(chunkLength - 1);
            }
        }
        context.checkpoint({"perplexity", chunks, chunks});
        return PerplexityResult{std::exp(sum / static_cast<double>(chunks)), chunks, chunks * chunkLength};
    });
}

} // namespace secateur
