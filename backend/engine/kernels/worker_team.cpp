#include "backend/engine/kernels/worker_team.h"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace secateur {

namespace {

void workerPause()
{
#if defined(__x86_64__)
    _mm_pause();
#endif
}

/// Waits until \a value differs from \a old: first spinning, then giving the core away, so that a busy machine does not
/// lose whole time slices.
void workerSpin(const std::atomic<std::uint32_t> &value, std::uint32_t old)
{
    for (int i = 0; value.load(std::memory_order_acquire) == old; ++i) {
        if (i < 4000)
            workerPause();
        else
            std::this_thread::yield();
    }
}

} // namespace

WorkerTeam::WorkerTeam(int members) : m_members(std::max(1, members))
{
    for (int member = 1; member < m_members; ++member)
        m_threads.emplace_back([this, member] { serve(member); });
}

WorkerTeam::~WorkerTeam()
{
    m_stopping.store(true);
    m_round.fetch_add(1);
    m_round.notify_all();
}

void WorkerTeam::serve(int member)
{
    std::uint32_t seen = 0;
    for (;;) {
        // between tokens there is little time: spin a moment before sleeping
        for (int i = 0; i < 20000 && m_round.load(std::memory_order_acquire) == seen; ++i)
            workerPause();
        m_round.wait(seen, std::memory_order_acquire);
        seen = m_round.load(std::memory_order_acquire);
        if (m_stopping.load())
            return;
        (*m_work)(member);
        barrier();
    }
}

void WorkerTeam::run(const std::function<void(int)> &work)
{
    m_work = &work;
    if (m_members > 1) {
        m_round.fetch_add(1, std::memory_order_release);
        m_round.notify_all();
    }
    work(0);
    barrier();
}

void WorkerTeam::barrier()
{
    if (m_members == 1)
        return;
    const std::uint32_t phase = m_phase.load(std::memory_order_acquire);
    if (m_arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == m_members) {
        m_arrived.store(0, std::memory_order_relaxed);
        m_phase.fetch_add(1, std::memory_order_release);
    } else {
        workerSpin(m_phase, phase);
    }
}

WorkRange workRange(std::int64_t total, int member, int members, std::int64_t grain)
{
    const std::int64_t pieces = (total + grain - 1) / grain;
    const std::int64_t first = pieces * member / members * grain;
    const std::int64_t last = pieces * (member + 1) / members * grain;
    return {std::min(first, total), std::min(last, total)};
}

} // namespace secateur
