#pragma once

#include "backend/core/run_config.h"

#include <cstdint>
#include <random>
#include <span>

namespace secateur {

/// Chooses the next token of one sequence: greedy at temperature 0 (equal logits: lowest id), otherwise temperature,
/// then top-k, then top-p, then min-p as transformers does. Draws depend on the seed and the sequence's number only.
class Sampler {
public:
    Sampler(const GenerationOptions &options, std::size_t sequence);

    /// −1 when a logit is not finite.
    std::int32_t pick(std::span<const float> logits);

private:
    double uniform();

    double m_temperature = 0;
    double m_topP = 1;
    int m_topK = 0;
    double m_minP = 0;
    std::mt19937_64 m_engine;
};

} // namespace secateur
