#pragma once

#include "backend/engine/training/batch_gradient.h"

#include <cstdint>
#include <random>
#include <set>
#include <vector>

namespace secateur {

/// Hands out the samples of one step after another: whole samples in seeded order, every sample once per epoch.
class SampleOrder {
public:
    SampleOrder(SampleRefs samples, std::uint64_t seed);

    /// Samples until \a tokens would be exceeded, at least one. A step may run over the end of an epoch, but never
    /// holds a sample twice.
    SampleRefs nextStep(std::int64_t tokens);

private:
    void shuffle();

    SampleRefs m_samples;
    std::size_t m_next = 0;
    std::mt19937_64 m_engine;
};

/// Splits a step into parts of at most \a tokens (or one sample), longest samples together: neighbours of equal length
/// share one attention call.
std::vector<SampleRefs> microBatches(SampleRefs step, std::int64_t tokens);

} // namespace secateur
