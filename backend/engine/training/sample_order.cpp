#include "backend/engine/training/sample_order.h"

#include <algorithm>
#include <utility>

namespace secateur {

namespace {

std::int64_t orderLength(const TrainingSample *sample)
{
    return static_cast<std::int64_t>(sample->ids.size());
}

} // namespace

SampleOrder::SampleOrder(SampleRefs samples, std::uint64_t seed) : m_samples(std::move(samples)), m_engine(seed)
{
    shuffle();
}

void SampleOrder::shuffle()
{
    // std::shuffle differs between standard libraries; this order belongs to the seed alone
    for (std::size_t last = m_samples.size(); last > 1; --last)
        std::swap(m_samples[last - 1], m_samples[m_engine() % last]);
    m_next = 0;
}

SampleRefs SampleOrder::nextStep(std::int64_t tokens)
{
    SampleRefs step;
    std::set<const TrainingSample *> used;
    std::int64_t total = 0;
    while (true) {
        if (m_next == m_samples.size())
            shuffle();
        const TrainingSample *sample = m_samples[m_next];
        if (!step.empty() && (total + orderLength(sample) > tokens || used.contains(sample)))
            return step;
        step.push_back(sample);
        used.insert(sample);
        total += orderLength(sample);
        ++m_next;
    }
}

std::vector<SampleRefs> microBatches(SampleRefs step, std::int64_t tokens)
{
    std::stable_sort(step.begin(), step.end(),
                     [](const TrainingSample *a, const TrainingSample *b) { return orderLength(a) > orderLength(b); });
    std::vector<SampleRefs> batches;
    std::int64_t total = 0;
    for (const TrainingSample *sample : step) {
        if (batches.empty() || total + orderLength(sample) > tokens) {
            batches.emplace_back();
            total = 0;
        }
        batches.back().push_back(sample);
        total += orderLength(sample);
    }
    return batches;
}

} // namespace secateur
