#pragma once

#include "backend/core/process_settings.h"

#include <memory>
#include <span>
#include <string>

namespace secateur {

/// The processes of one training run, connected by LibTorch's c10d over TCP. Every call is made by all of them in the
/// same order and blocks until all have made it. Compute thread only.
class ProcessGroup {
public:
    /// Meets the others and checks with small sums that numbers arrive as they were sent. Throws Error(Io) when they do
    /// not come within the time limit, Error(CheckFailed) when a sum is wrong.
    explicit ProcessGroup(const ProcessSettings &settings);
    ~ProcessGroup();
    ProcessGroup(const ProcessGroup &) = delete;
    ProcessGroup &operator=(const ProcessGroup &) = delete;

    int rank() const { return m_settings.rank; }
    int size() const { return m_settings.size; }

    /// Element by element over all processes; every process gets the same bits. Throws Error(Io) when another process
    /// has ended or does not answer within the time limit.
    void sum(std::span<double> values) const;
    void maximum(std::span<double> values) const;

    struct Impl; ///< backend/engine/training/process_exchange.h
    Impl &impl() const { return *m_impl; }

private:
    ProcessSettings m_settings;
    std::unique_ptr<Impl> m_impl;
};

/// "cuda:N" with this process's own card where \a device is "cuda", else \a device.
std::string deviceOfProcess(const std::string &device, const ProcessSettings &settings);

/// Threads of this process where \a threads is 0, for all cores: its share of those that it may use.
int threadsOfProcess(int threads, const ProcessSettings &settings);

} // namespace secateur
