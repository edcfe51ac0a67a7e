#pragma once

#include "backend/engine/model.h"

#include <span>
#include <vector>

namespace secateur {

struct SequenceOutputs {
    std::int64_t tokens = 0;
    std::vector<float> logits; ///< [T, V]
    std::vector<float> hidden; ///< [L+1, T, D], before the final norm; empty unless asked
};

/// One full causal forward of one sequence, logits at every position, f32.
/// Throws Error(InvalidArgument) for an empty sequence, an id outside the vocabulary or a sequence beyond the context,
/// Error(Numeric) naming layer and token when a value is not finite.
SequenceOutputs forwardSequence(const Model &model, const TokenIds &ids, bool withHidden);

/// Σ log p of the continuation and whether it is the greedy one.
struct ContinuationScore {
    double logprob = 0;
    bool isGreedy = false;
    std::int64_t tokens = 0;
};

/// Log-likelihood of each continuation after the one context, which is computed once. The first scored token is
/// predicted by the last context token; an empty context throws Error(InvalidArgument).
/// Contexts beyond the model's positions are cut from the left, as lm-eval does. Each continuation scores as it would
/// alone, up to rounding: f32 sums differ by 1e-6 of their size.
std::vector<ContinuationScore> scoreContinuations(const Model &model, const TokenIds &context,
                                                  const std::vector<TokenIds> &continuations);

/// The same for several items, packed into common forward passes: weights are read once for many items, and what texts
/// have in common in front, examples before a question or the beginning of two choices, is computed once. What an item
/// gets does not depend on the others by more than rounding (1e-6 relative; on processors with AVX-512 not at all).
struct ScoringItem {
    TokenIds context;
    std::vector<TokenIds> continuations;
};
std::vector<std::vector<ContinuationScore>> scoreContinuations(const Model &model, std::span<const ScoringItem> items);

/// Perplexity of non-overlapping chunks of \a chunkLength, remainder dropped: exp(mean over chunks of the mean NLL of
/// tokens 2…S). \a maxChunks 0 = all. Throws Error(InvalidArgument) when there is not one whole chunk.
struct PerplexityResult {
    double perplexity = 0;
    std::int64_t chunks = 0;
    std::int64_t tokens = 0;
};
PerplexityResult perplexity(const Model &model, const TokenIds &ids, std::int64_t chunkLength, std::int64_t maxChunks,
                            const JobContext &context = {});

} // namespace secateur
