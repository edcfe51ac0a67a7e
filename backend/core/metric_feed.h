#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

namespace secateur {

struct TrainingPoint {
    std::int64_t step = 0; ///< 1-based
    double loss = 0; ///< nat per scored token
    double learningRate = 0;
    double tokensPerSecond = 0;
    double gradientNorm = 0;
};

/// Loss over the held-out samples after a step.
struct HeldOutPoint {
    std::int64_t step = 0; ///< 0: before the first
    double loss = 0; ///< nat per scored token
};

/// Append-only series from the compute thread to the GUI: no point is dropped. Both sides may call at any time.
class MetricFeed {
public:
    void append(const TrainingPoint &point)
    {
        const std::lock_guard lock(m_mutex);
        m_points.push_back(point);
    }
    void append(const HeldOutPoint &point)
    {
        const std::lock_guard lock(m_mutex);
        m_heldOut.push_back(point);
    }
    /// All measurements so far: they are few.
    std::vector<HeldOutPoint> heldOut() const
    {
        const std::lock_guard lock(m_mutex);
        return m_heldOut;
    }
    /// Points from index \a first on.
    std::vector<TrainingPoint> since(std::size_t first) const
    {
        const std::lock_guard lock(m_mutex);
        return first < m_points.size()
            ? std::vector<TrainingPoint>(m_points.begin() + static_cast<std::ptrdiff_t>(first), m_points.end())
            : std::vector<TrainingPoint>();
    }

private:
    mutable std::mutex m_mutex;
    std::vector<TrainingPoint> m_points;
    std::vector<HeldOutPoint> m_heldOut;
};

} // namespace secateur
