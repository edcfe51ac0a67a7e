#pragma once

#include "backend/core/error.h"

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>

namespace secateur {

struct Progress {
    std::string stage; ///< stable id such as "analyze.sweep", translated by the GUI
    std::int64_t done = 0;
    std::int64_t total = 0; ///< 0: unknown, show a busy bar
    double tokensPerSecond = 0; ///< 0: not measured
};

/// What a long backend function needs from whoever runs it: a way to stop and a way to say how far it is.
/// Knows neither Qt nor threads, so tests and the command line can pass a default-constructed one.
class JobContext {
public:
    using ProgressSink = std::function<void(const Progress &)>;
    using NoticeSink = std::function<void(const std::string &)>;

    JobContext() = default;
    JobContext(std::stop_token stop, ProgressSink sink, NoticeSink notices = {})
        : m_stop(std::move(stop)), m_sink(std::move(sink)), m_notices(std::move(notices))
    { }

    bool stopRequested() const noexcept { return m_stop.stop_requested(); }

    /// Call once per batch or layer. Reports progress, then throws Cancelled if a stop was requested.
    void checkpoint(const Progress &progress) const
    {
        if (m_sink)
            m_sink(progress);
        if (stopRequested())
            throw Cancelled{};
    }

    /// Says one sentence about what was done differently from what was asked.
    void notice(const std::string &sentence) const
    {
        if (m_notices)
            m_notices(sentence);
    }

private:
    std::stop_token m_stop;
    ProgressSink m_sink;
    NoticeSink m_notices;
};

} // namespace secateur
