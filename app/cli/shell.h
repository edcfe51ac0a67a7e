#pragma once

#include "backend/core/job_context.h"
#include "backend/core/run_config.h"
#include "backend/workflow/workbench.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

namespace secateur::cli {

/// Insertion order is what the reader sees.
using Json = nlohmann::ordered_json;

/// Options that every verb understands.
struct CommonOptions {
    ComputeSettings compute;
    std::uint64_t seed = 0;
    std::string adapter; ///< PEFT folder applied to MODEL; empty: none
    bool json = false;
};

/// Turns Ctrl+C and SIGTERM into a stop request. Make it first: threads started later inherit the blocked signals.
class StopOnSignal {
public:
    StopOnSignal();
    ~StopOnSignal();
    StopOnSignal(const StopOnSignal &) = delete;
    StopOnSignal &operator=(const StopOnSignal &) = delete;
    std::stop_token token() const { return m_stop.get_token(); }

private:
    std::stop_source m_stop;
    std::jthread m_watcher; ///< last member
};

/// What a verb works with: options, a context that reports progress, and the two output streams. Standard output gets
/// the result and nothing else; progress goes to standard error.
class Shell {
public:
    explicit Shell(std::stop_token stop);

    CommonOptions options;
    std::function<void()> verb; ///< set by the chosen sub-command
    bool isQuiet = false; ///< one of several processes of which another speaks: errors alone are said

    const JobContext &context() const { return m_context; }

    /// One JSON document with --json, otherwise \a text.
    void result(const Json &json, const std::string &text);
    /// A line about what was done, on standard error; silent with --json.
    void note(const std::string &text);
    /// A sentence about what was done differently from what was asked, on standard error, also with --json.
    void notice(const std::string &sentence);
    /// A part of the result on standard output at once, as it is.
    void piece(const std::string &text);
    /// One sentence on standard error.
    void error(const ErrorInfo &info);

    workflow::LoadedModel openModel(const std::string &model);
    /// With the adapter merged into the weights: for what is written to files.
    workflow::LoadedModel openMerged(const std::string &model);
    /// Without the adapter.
    workflow::LoadedModel openBase(const std::string &model);

private:
    void showProgress(const Progress &progress);
    void clearProgress();

    JobContext m_context;
    bool m_isTerminal;
    bool m_isLineOpen = false;
    std::chrono::steady_clock::time_point m_start, m_shown;
};

/// ErrorInfo of the exception in flight, with failed allocations and threads recognised as lack of memory.
ErrorInfo describeFailure();

/// "12 345 678"
std::string grouped(std::int64_t value);
/// Fixed notation, locale-free.
std::string fixed(double value, int digits);
/// "1.5 GiB"
std::string bytesText(std::uint64_t bytes);

} // namespace secateur::cli
