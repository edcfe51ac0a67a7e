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
#include <cstdint>

namespace secateur {

namespace {

/// One context with the continuations that see it and themselves, and where their scores go.
struct SharedContext {
    TokenIds context;
    std::vector<const TokenIds *> continuations;
    std::vector<ContinuationScore *> scores;

    std::int64_t rows() const
    {
        std::size_t count = context.size();
        for (const TokenIds *continuation : continuations)
            count += continuation->size() - 1;
        return static_cast<std::int64_t>(count);
    }
};

/// Rows of the packed batch are all contexts, then every continuation without its last token.
void scoreTogether(const Model::Impl &model, std::span<const SharedContext> items)
{
    std::vector<TokenIds> sequences;
    for (const SharedContext &item : items)
        sequences.push_back(item.context);
    for (const SharedContext &item : items)
        for (const TokenIds *continuation : item.continuations)
            sequences.emplace_back(continuation->begin(), continuation->end() - 1);
    PackedBatch batch = packSequences(sequences, model.device());
    const std::vector<std::int64_t> contextOffsets(
        batch.offsets.begin(), batch.offsets.begin() + static_cast<std::ptrdiff_t>(items.size()) + 1);
    std::vector<std::size_t> itemOf; // of each continuation
    for (std::size_t i = 0; i < items.size(); ++i)
        itemOf.insert(itemOf.end(), items[i].continuations.size(), i);
    const auto part = [&](const Tensor &x, std::size_t sequence) {
        return x.narrow(0, batch.offsets[sequence], batch.offsets[sequence + 1] - batch.offsets[sequence]);
    };
    for (std::size_t c = 0; c < itemOf.size(); ++c)
        part(batch.positions, items.size() + c).add_(static_cast<std::int64_t>(items[itemOf[c]].context.size()));

    const std::int64_t window = model.config.slidingWindow;
    const Attend attend = [&](int, const Tensor &q, const Tensor &k, const Tensor &v) {
        const auto contexts = [&](const Tensor &x) { return x.narrow(0, 0, contextOffsets.back()); };
        std::vector<Tensor> mixed{packedAttention(contexts(q), contexts(k), contexts(v), contextOffsets, window)};
        for (std::size_t c = 0; c < itemOf.size(); ++c) {
            const std::size_t own = items.size() + c;
            if (sequences[own].empty())
                continue;
            mixed.push_back(cachedAttention(part(q, own), at::cat({part(k, itemOf[c]), part(k, own)}, 0),
                                            at::cat({part(v, itemOf[c]), part(v, own)}, 0), window));
        }
        return mixed.size() == 1 ? mixed.front() : at::cat(mixed, 0);
    };
    const Tensor hidden = runBlocks(model, batch.ids, batch.positions, attend); // (T, D)

    // the head sees the last context row once per continuation and the continuations' own rows
    std::vector<Tensor> rows;
    TokenIds targets;
    for (std::size_t c = 0; c < itemOf.size(); ++c) {
        rows.push_back(hidden.narrow(0, contextOffsets[itemOf[c] + 1] - 1, 1));
        rows.push_back(part(hidden, items.size() + c));
    }
    for (const SharedContext &item : items)
        for (const TokenIds *continuation : item.continuations)
            targets.insert(targets.end(), continuation->begin(), continuation->end());
    const TokenScores scores = scoreTargets(model, at::cat(rows, 0), targets);

    std::size_t next = 0;
    for (const SharedContext &item : items) {
        for (std::size_t c = 0; c < item.continuations.size(); ++c) {
            const TokenIds &continuation = *item.continuations[c];
            ContinuationScore score{0, true, static_cast<std::int64_t>(continuation.size())};
            for (std::size_t i = 0; i < continuation.size(); ++i, ++next) {
                score.logprob += scores.logprobs[next];
                score.isGreedy = score.isGreedy && scores.isGreedy[next];
            }
            if (!std::isfinite(score.logprob)) {
                TokenIds whole = item.context;
                whole.insert(whole.end(), continuation.begin(), continuation.end());
                locateNonFinite(model, {whole});
            }
            *item.scores[c] = score;
        }
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
    std::vector<SharedContext> work;
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
        SharedContext shared{item.context, {}, {}};
        for (std::size_t c = 0; c < item.continuations.size(); ++c) {
            const TokenIds &continuation = item.continuations[c];
            if (continuation.empty())
                continue;
            if (fits) {
                shared.continuations.push_back(&continuation);
                shared.scores.push_back(&own[c]);
            } else {
                // the last token is never fed, so one more than the context fits
                const std::size_t keep = std::min(item.context.size(), limit + 1 - continuation.size());
                work.push_back({TokenIds(item.context.end() - static_cast<std::ptrdiff_t>(keep), item.context.end()),
                                {&continuation},
                                {&own[c]}});
            }
        }
        if (!shared.continuations.empty())
            work.push_back(std::move(shared));
    }
    withoutGradients([&] {
        constexpr std::int64_t kRows = 1024; // in one forward pass
        for (std::size_t first = 0; first < work.size();) {
            std::size_t last = first + 1;
            for (std::int64_t rows = work[first].rows(); last < work.size() && rows + work[last].rows() <= kRows;)
                rows += work[last++].rows();
            scoreTogether(impl, std::span(work).subspan(first, last - first));
            first = last;
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
