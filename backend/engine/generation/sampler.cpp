#include "backend/engine/generation/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace secateur {

namespace {

/// Spreads neighbouring numbers over all bits (SplitMix64), so that sequences get unrelated generators.
std::uint64_t samplerMix(std::uint64_t value)
{
    value += 0x9E3779B97F4A7C15;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
    return value ^ (value >> 31);
}

/// Index of the largest logit, the first of equals; −1 when one is not finite.
std::int32_t samplerLargest(std::span<const float> logits)
{
    constexpr float kLimit = std::numeric_limits<float>::max();
    std::size_t best = 0;
    bool finite = true;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        finite &= std::abs(logits[i]) <= kLimit; // false for NaN, too
        if (logits[i] > logits[best])
            best = i;
    }
    return finite && !logits.empty() ? static_cast<std::int32_t>(best) : -1;
}

} // namespace

Sampler::Sampler(const GenerationOptions &options, std::size_t sequence)
    : m_temperature(options.temperature),
      m_topP(options.topP),
      m_topK(options.topK),
      m_minP(options.minP),
      m_engine(samplerMix(samplerMix(options.seed) + sequence))
{ }

double Sampler::uniform()
{
    return static_cast<double>(m_engine() >> 11) * 0x1.0p-53;
}

std::int32_t Sampler::pick(std::span<const float> logits)
{
    const std::int32_t largest = samplerLargest(logits);
    if (largest < 0 || m_temperature <= 0)
        return largest;

    // candidates by falling logit, equal logits by id
    std::vector<std::int32_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    const auto before = [&](std::int32_t a, std::int32_t b) {
        const float left = logits[static_cast<std::size_t>(a)];
        const float right = logits[static_cast<std::size_t>(b)];
        return left != right ? left > right : a < b;
    };
    if (m_topK > 0 && static_cast<std::size_t>(m_topK) < ids.size()) {
        std::nth_element(ids.begin(), ids.begin() + m_topK, ids.end(), before);
        ids.resize(static_cast<std::size_t>(m_topK));
    }
    if (m_topP < 1)
        std::sort(ids.begin(), ids.end(), before);
    else
        std::sort(ids.begin(), ids.end()); // any fixed order will do

    const double top = logits[static_cast<std::size_t>(largest)];
    const auto share = [&](std::int32_t id) { // of the most likely token's probability
        return std::exp((logits[static_cast<std::size_t>(id)] - top) / m_temperature);
    };
    std::vector<double> cumulative(ids.size());
    double sum = 0;
    for (std::size_t i = 0; i < ids.size(); ++i)
        cumulative[i] = sum += share(ids[i]);
    if (m_topP < 1) { // the smallest set of likely tokens that holds topP of the mass, one at least
        const auto enough = std::lower_bound(cumulative.begin(), cumulative.end(), m_topP * sum);
        const auto keep = std::min<std::size_t>(static_cast<std::size_t>(enough - cumulative.begin()) + 1, ids.size());
        cumulative.resize(keep);
        ids.resize(keep);
        sum = cumulative.back();
    }
    if (m_minP > 0) {
        std::erase_if(ids, [&](std::int32_t id) { return share(id) < m_minP; });
        cumulative.clear();
        sum = 0;
        for (const std::int32_t id : ids)
            cumulative.push_back(sum += share(id));
    }
    const auto hit = std::upper_bound(cumulative.begin(), cumulative.end(), uniform() * sum);
    const auto index = std::min(static_cast<std::size_t>(hit - cumulative.begin()), cumulative.size() - 1);
    return ids[index];
}

} // namespace secateur
