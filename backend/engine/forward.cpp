#include "backend/engine/forward.h"

#include "backend/engine/detail/guards.h"
#include "backend/engine/nn/attention.h"
#include "backend/engine/nn/blocks.h"
#include "backend/engine/nn/checks.h"
#include "backend/engine/nn/scoring.h"

#include <ATen/ops/stack.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>

namespace secateur {

namespace {

/// A continuation after its context, and where its score goes.
struct ScoredSequence {
    TokenIds ids; ///< without the last token, which is only predicted
    const TokenIds *continuation = nullptr;
    ContinuationScore *score = nullptr;
    bool startsItem = false; ///< shares no context with the one before
};

ScoredSequence scoredSequence(std::span<const std::int32_t> context, const TokenIds &continuation,
                              ContinuationScore *score)
{
    ScoredSequence sequence{TokenIds(context.begin(), context.end()), &continuation, score};
    sequence.ids.insert(sequence.ids.end(), continuation.begin(), continuation.end() - 1);
    return sequence;
}

/// Whole items that make about 1024 rows; more when much of the text in front would have to be computed again.
std::size_t endOfBatch(std::span<const ScoredSequence> work, std::size_t first)
{
    constexpr std::int64_t kRows = 1024, kMostRows = 4096;
    const auto sharedWithPrevious
        = [&](std::size_t i) { return i > 0 ? commonPrefix(work[i - 1].ids, work[i].ids) : std::int64_t{0}; };
    const std::int64_t most = std::clamp(4 * sharedWithPrevious(first), kRows, kMostRows);
    std::int64_t rows = 0;
    std::size_t end = first; // of the items that fit
    for (std::size_t i = first; i < work.size(); ++i) {
        if (work[i].startsItem)
            end = i;
        rows += static_cast<std::int64_t>(work[i].ids.size()) - (i > first ? sharedWithPrevious(i) : 0);
        if (rows > most && end > first)
            return end;
    }
    return work.size();
}

void scoreTogether(const Model::Impl &model, std::span<const ScoredSequence> work)
{
    std::vector<TokenIds> sequences;
    for (const ScoredSequence &sequence : work)
        sequences.push_back(sequence.ids);
    const SharedPrefixBatch batch = sharePrefixes(sequences, model.device());
    const Attend attend = [&](int, const Tensor &q, const Tensor &k, const Tensor &v) {
        return sharedPrefixAttention(q, k, v, batch, model.config.slidingWindow);
    };
    const Tensor hidden = runBlocks(model, batch.ids, batch.positions, attend); // (T, D)

    TokenIds rows, targets;
    for (std::size_t i = 0; i < work.size(); ++i) {
        // each token is predicted by the row in front of it: the last ones, as many as the continuation has tokens
        rows.insert(rows.end(), batch.rows[i].end() - std::ssize(*work[i].continuation), batch.rows[i].end());
        targets.insert(targets.end(), work[i].continuation->begin(), work[i].continuation->end());
    }
    const TokenScores scores = scoreTargets(model, hidden, rows, targets);

    std::size_t next = 0;
    for (const ScoredSequence &sequence : work) {
        ContinuationScore score{0, true, static_cast<std::int64_t>(sequence.continuation->size())};
        for (std::int64_t i = 0; i < score.tokens; ++i, ++next) {
            score.logprob += scores.logprobs[next];
            score.isGreedy = score.isGreedy && scores.isGreedy[next];
        }
        if (!std::isfinite(score.logprob)) {
            TokenIds whole = sequence.ids;
            whole.push_back(sequence.continuation->back());
            locateNonFinite(model, {whole});
        }
        *sequence.score = score;
    }
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

std::vector<std::vector<ContinuationScore>> scoreContinuations(const Model &model, std::span<const ScoringItem> items)
{
    const Model::Impl &impl = model.impl();
    ModelConfig unlimited = impl.config;
    unlimited.maxPositions = 0; // long contexts are cut, not refused
    const std::size_t limit
        = impl.config.maxPositions > 0 ? static_cast<std::size_t>(impl.config.maxPositions) : SIZE_MAX;
    std::vector<std::vector<ContinuationScore>> scores;
    std::vector<ScoredSequence> work;
    for (const ScoringItem &item : items) {
        requireSequence(unlimited, item.context, "The context");
        std::size_t longest = 1;
        for (const TokenIds &continuation : item.continuations) {
            if (!continuation.empty())
                requireSequence(impl.config, continuation, "The continuation");
            longest = std::max(longest, continuation.size());
        }
        const bool fits = item.context.size() + longest - 1 <= limit;
        std::vector<ContinuationScore> &own
            = scores.emplace_back(item.continuations.size(), ContinuationScore{0, true, 0});
        bool startsItem = true;
        for (std::size_t c = 0; c < item.continuations.size(); ++c) {
            const TokenIds &continuation = item.continuations[c];
            if (continuation.empty())
                continue;
            // the last token is never fed, so one more than the context fits
            const std::size_t keep
                = fits ? item.context.size() : std::min(item.context.size(), limit + 1 - continuation.size());
            work.push_back(scoredSequence(std::span(item.context).last(keep), continuation, &own[c]));
            work.back().startsItem = std::exchange(startsItem, !fits); // cut contexts begin at different tokens
        }
    }
    withoutGradients([&] {
        for (std::size_t first = 0; first < work.size();) {
            const std::size_t end = endOfBatch(work, first);
            scoreTogether(impl, std::span(work).subspan(first, end - first));
            first = end;
        }
    });
    return scores;
}

std::vector<ContinuationScore> scoreContinuations(const Model &model, const TokenIds &context,
                                                  const std::vector<TokenIds> &continuations)
{
    const ScoringItem item{context, continuations};
    return scoreContinuations(model, {&item, 1}).front();
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
                TokenIds rows(targets.size());
                std::iota(rows.begin(), rows.end(), static_cast<std::int32_t>(i * chunkLength));
                const TokenScores scores = scoreTargets(impl, hidden, rows, targets);
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
