#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace secateur {

/// A few threads that run one function together, with barriers inside it that cost less than a parallel region:
/// decoding one token has more than a hundred short steps. The calling thread is member 0. Not for use from several
/// threads.
class WorkerTeam {
public:
    explicit WorkerTeam(int members);
    ~WorkerTeam();
    WorkerTeam(const WorkerTeam &) = delete;
    WorkerTeam &operator=(const WorkerTeam &) = delete;

    int members() const { return m_members; }

    /// Runs \a work(member) on every member and returns when all have finished. \a work must not throw.
    void run(const std::function<void(int)> &work);
    /// Waits inside \a work until every member has come here.
    void barrier();

private:
    void serve(int member);

    int m_members = 1;
    const std::function<void(int)> *m_work = nullptr;
    std::atomic<std::uint32_t> m_round{0}; ///< raised for each run()
    std::atomic<bool> m_stopping{false};
    alignas(64) std::atomic<int> m_arrived{0};
    alignas(64) std::atomic<std::uint32_t> m_phase{0};
    std::vector<std::jthread> m_threads; ///< last: joined before the rest goes
};

/// The part [first, last) of \a total items that belongs to \a member of \a members, in steps of \a grain.
struct WorkRange {
    std::int64_t first = 0;
    std::int64_t last = 0;
};
WorkRange workRange(std::int64_t total, int member, int members, std::int64_t grain = 8);

} // namespace secateur
