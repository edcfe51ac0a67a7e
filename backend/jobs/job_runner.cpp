#include "backend/jobs/job_runner.h"

#include <chrono>
#include <map>
#include <optional>
#include <vector>

namespace secateur {

struct JobRunner::Private {
    using Clock = std::chrono::steady_clock;

    struct Row {
        JobStatus status;
        std::optional<Clock::time_point> started;
    };

    // GUI thread
    std::map<int, Row> rows; ///< jobs that have not ended
    int nextId = 1;

    // any thread, under JobRunner::m_mutex
    std::map<int, Progress> mailbox; ///< latest progress; present = an event is on its way
    std::vector<std::shared_ptr<Entry>> dropped; ///< cancelled while waiting; freed on the compute thread

    void stampElapsed(Row &row) const
    {
        if (row.started)
            row.status.elapsedMs
                = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - *row.started).count();
    }
};

JobRunner::JobRunner(Hooks hooks, QObject *parent)
    : QObject(parent),
      m_private(std::make_unique<Private>()),
      m_hooks(std::move(hooks)),
      m_thread([this](std::stop_token stop) { run(std::move(stop)); })
{ }

JobRunner::~JobRunner()
{
    {
        const std::lock_guard lock(m_mutex);
        if (m_current)
            m_current->stop.request_stop();
        m_thread.request_stop();
    }
    m_thread.join(); // what is still queued is dropped there; events on their way die with this object
}

int JobRunner::post(QString title, QString subject, Task task)
{
    const int id = m_private->nextId++;
    auto &row = m_private->rows[id];
    row.status.id = id;
    row.status.title = std::move(title);
    row.status.subject = std::move(subject);
    const JobStatus status = row.status;
    if (m_pending++ == 0)
        Q_EMIT busyChanged(true);
    Q_EMIT jobChanged(status);
    {
        const std::lock_guard lock(m_mutex);
        m_queue.push_back(std::make_shared<Entry>(Entry{id, std::move(task), {}, false}));
    }
    m_wake.notify_one();
    return id;
}

void JobRunner::cancel(int id)
{
    std::shared_ptr<Entry> waiting;
    {
        const std::lock_guard lock(m_mutex);
        if (m_current && m_current->id == id) {
            m_current->stop.request_stop();
        } else {
            for (auto it = m_queue.begin(); it != m_queue.end(); ++it) {
                if ((*it)->id == id) {
                    waiting = *it;
                    m_queue.erase(it);
                    break;
                }
            }
            if (!waiting)
                return; // ended already
            waiting->stop.request_stop();
        }
    }
    if (waiting) {
        // With a stopped token the task does no work: it only sends CancelledTag on its way.
        waiting->task(id, JobContext(waiting->stop.get_token(), {}));
        const std::lock_guard lock(m_mutex);
        m_private->dropped.push_back(std::move(waiting));
        m_wake.notify_one();
        return;
    }
    QMetaObject::invokeMethod(
        this,
        [this, id] {
            const auto it = m_private->rows.find(id);
            if (it == m_private->rows.end() || it->second.status.state == JobStatus::State::Stopping)
                return;
            it->second.status.state = JobStatus::State::Stopping;
            m_private->stampElapsed(it->second);
            const JobStatus status = it->second.status;
            Q_EMIT jobChanged(status);
        },
        Qt::QueuedConnection);
}

void JobRunner::setPaused(int id, bool paused)
{
    const auto row = m_private->rows.find(id);
    if (row == m_private->rows.end() || row->second.status.isPaused == paused)
        return;
    {
        const std::lock_guard lock(m_mutex);
        if (m_current && m_current->id == id)
            m_current->isPaused = paused;
        for (const auto &entry : m_queue) {
            if (entry->id == id)
                entry->isPaused = paused;
        }
    }
    m_continue.notify_all();
    row->second.status.isPaused = paused;
    m_private->stampElapsed(row->second);
    const JobStatus status = row->second.status;
    Q_EMIT jobChanged(status);
}

void JobRunner::cancelAll()
{
    std::vector<int> ids;
    {
        const std::lock_guard lock(m_mutex);
        for (const auto &entry : m_queue)
            ids.push_back(entry->id);
        if (m_current)
            ids.push_back(m_current->id);
    }
    for (const int id : ids)
        cancel(id);
}

void JobRunner::finish(int id, JobStatus::State state, const QString &message)
{
    const auto it = m_private->rows.find(id);
    if (it == m_private->rows.end())
        return;
    m_private->stampElapsed(it->second);
    JobStatus status = std::move(it->second.status);
    status.state = state;
    status.message = message;
    m_private->rows.erase(it);
    const bool idle = --m_pending == 0;
    Q_EMIT jobChanged(status);
    if (idle)
        Q_EMIT busyChanged(false);
}

void JobRunner::run(std::stop_token stop)
{
    if (m_hooks.threadStarted)
        m_hooks.threadStarted();

    while (true) {
        std::shared_ptr<Entry> entry;
        std::vector<std::shared_ptr<Entry>> dropped;
        {
            std::unique_lock lock(m_mutex);
            m_wake.wait(lock, stop, [this] { return !m_queue.empty() || !m_private->dropped.empty(); });
            dropped.swap(m_private->dropped);
            if (stop.stop_requested())
                break;
            if (!m_queue.empty()) {
                entry = std::move(m_queue.front());
                m_queue.pop_front();
                m_current = entry;
            }
        }
        dropped.clear();
        if (!entry)
            continue;

        const int id = entry->id;
        QMetaObject::invokeMethod(
            this,
            [this, id, started = Private::Clock::now()] {
                const auto it = m_private->rows.find(id);
                if (it == m_private->rows.end())
                    return;
                it->second.started = started;
                if (it->second.status.state == JobStatus::State::Waiting)
                    it->second.status.state = JobStatus::State::Running;
                m_private->stampElapsed(it->second);
                const JobStatus status = it->second.status;
                Q_EMIT jobChanged(status);
            },
            Qt::QueuedConnection);

        const auto send = [this, id](const Progress &progress) {
            {
                const std::lock_guard lock(m_mutex);
                const bool onItsWay = !m_private->mailbox.insert_or_assign(id, progress).second;
                if (onItsWay)
                    return;
            }
            QMetaObject::invokeMethod(
                this,
                [this, id] {
                    Progress latest;
                    {
                        const std::lock_guard lock(m_mutex);
                        auto node = m_private->mailbox.extract(id);
                        latest = std::move(node.mapped());
                    }
                    const auto it = m_private->rows.find(id);
                    if (it == m_private->rows.end())
                        return;
                    it->second.status.progress = std::move(latest);
                    m_private->stampElapsed(it->second);
                    const JobStatus status = it->second.status;
                    Q_EMIT jobChanged(status);
                },
                Qt::QueuedConnection);
        };
        // Between two pieces of work nothing is half done: the place to wait.
        const auto publish = [this, &send, &entry](const Progress &progress) {
            send(progress);
            std::unique_lock lock(m_mutex);
            m_continue.wait(lock, entry->stop.get_token(), [&entry] { return !entry->isPaused; });
        };
        const auto notice = [this](const std::string &sentence) {
            QMetaObject::invokeMethod(
                this, [this, text = QString::fromStdString(sentence)] { Q_EMIT noticed(text); }, Qt::QueuedConnection);
        };
        entry->task(id, JobContext(entry->stop.get_token(), publish, notice));
        {
            const std::lock_guard lock(m_mutex);
            m_current.reset();
        }
        entry.reset(); // what the work captured dies here, on the compute thread
    }

    std::deque<std::shared_ptr<Entry>> queued;
    {
        const std::lock_guard lock(m_mutex);
        queued.swap(m_queue);
    }
    queued.clear();
    if (m_hooks.threadStopping)
        m_hooks.threadStopping();
}

} // namespace secateur
