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
};

struct GeneratedSequence {
    TokenIds ids;        ///< new tokens, without the stop token
    std::string finish;  ///< "stop" or "length"
};

struct GenerationResult {
    std::vector<GeneratedSequence> sequences; ///< in the order of the prompts
    double prefillSeconds = 0, decodeSeconds = 0;
    std::int64_t prefillTokens = 0, decodeTokens = 0;
};

/// Greedy or sampled decoding with a KV cache; blocks without attention have no cache. Each sample draws from its own
/// generator seeded with (seed, index), so results do not depend on the batch. \a tokenizer is needed for stop strings
/// only. \a onToken (may be empty) is called on the compute thread as (sequence index, id).
/// Prompt + new tokens beyond the context: Error(InvalidArgument) with both numbers. Empty prompt: the same.
GenerationResult generate(const Model &model, const GenerationRequest &request, const Tokenizer *tokenizer,
                          const JobContext &context = {},
                          const std::function<void(std::size_t, std::int32_t)> &onToken = {});

} // namespace secateur
