#pragma once

#include "backend/core/run_config.h"
#include "backend/engine/model.h"
#include "backend/text/tokenizer.h"

#include <functional>
#include <string>
#include <vector>

namespace secateur {

struct GenerationRequest {
    std::vector<TokenIds> prompts;
    GenerationOptions options;
    int batch = 16; ///< sequences decoded together at most
    std::uint64_t cacheBytes = 0; ///< room for keys and values; 0: most of what the device has free
};

struct GeneratedSequence {
    TokenIds ids; ///< new tokens, without the stop token
    std::string finish; ///< "stop", "length" or "loop"
};

struct GenerationResult {
    std::vector<GeneratedSequence> sequences; ///< in the order of the prompts
    int batch = 0; ///< sequences that were decoded together at most
    double prefillSeconds = 0, decodeSeconds = 0;
    std::int64_t prefillTokens = 0, decodeTokens = 0;
};

/// Greedy or sampled decoding with a KV cache; blocks without attention have no cache. Each sample draws from its own
/// generator seeded with (seed, index). On the CPU the decoding steps of a sequence are bitwise the same in every
/// batch; prompts that are computed together round by 1e-6 of their logits, so a token depends on the batch only where
/// the choice is that close. \a tokenizer is needed for stop strings only. \a onToken (may be empty) is called on the
/// compute thread as (sequence index, id).
/// A batch whose keys and values do not fit is made smaller, which \a context gets as a notice.
/// Prompt + new tokens beyond the context: Error(InvalidArgument) with both numbers. Empty prompt: the same.
/// Error(OutOfMemory) when not even one sequence fits; Error(Numeric) naming block and token when a value is not
/// finite.
GenerationResult generate(const Model &model, const GenerationRequest &request, const Tokenizer *tokenizer,
                          const JobContext &context = {},
                          const std::function<void(std::size_t, std::int32_t)> &onToken = {});

} // namespace secateur
