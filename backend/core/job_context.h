#pragma once

#include "backend/core/error.h"

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>

namespace secateur {

struct Progress {
    std::string stage;      ///< stable id such as "analyze.sweep", translated by the GUI
    std::int64_t done = 0;
    std::int64_t total = 0; ///< 0: unknown, show a busy bar
    double tokensPerSecond = 0; ///< 0: not measured
};

/// What a long backend function needs from whoever runs it: a way to stop and a way to say how far it is.
/// Knows neither Qt nor threads, so tests and the command line can pass a default-constructed one.
class JobContext {
public:
    using ProgressSink = std::function<void(const Progress &)>;

    JobContext() = default;
    JobContext(std::stop_token stop, ProgressSink sink) : m_stop(std::move(stop)), m_sink(std::move(sink)) {}

    bool stopRequested() const noexcept { return m_stop.stop_requested(); }

    /// Call once per batch or layer. Reports progress, then throws Cancelled if a stop was requested.
    void checkpoint(const Progress &progress) const
    {
        if (m_sink)
            m_sink(progress);
        if (stopRequested())
            throw Cancelled{};
    }

private:
    std::stop_token m_stop;
    ProgressSink m_sink;
};

} // namespace secateur
