#pragma once

#include "backend/core/job_context.h"

#include <QObject>
#include <QPointer>
#include <QString>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>

namespace secateur {

struct CancelledTag { };

/// How a job ended. Exactly one alternative; a value is immutable once it is in here.
template <typename T> using Outcome = std::variant<std::shared_ptr<const T>, CancelledTag, ErrorInfo>;

/// What the Jobs dock shows of one job.
struct JobStatus {
    enum class State { Waiting, Running, Stopping, Done, Cancelled, Failed };
    int id = 0;
    QString title; ///< "Calibration sweep"
    QString subject; ///< model or plan name
    State state = State::Waiting;
    Progress progress;
    qint64 elapsedMs = 0;
    QString message; ///< error sentence when failed
    bool isPaused = false; ///< waits where it is, until it is told to go on or to stop
};

/// Runs jobs one after another on the single compute thread that owns every tensor.
///
/// Lives in the GUI thread. Results, errors and progress arrive in the GUI thread; a receiver that died in the meantime
/// is skipped. Destroying the runner stops the running job, drops the queued ones and joins.
class JobRunner : public QObject {
    Q_OBJECT
public:
    /// Run on the compute thread, before the first and after the last job. The place to set thread counts and to
    /// destroy what must die on that thread.
    struct Hooks {
        std::function<void()> threadStarted;
        std::function<void()> threadStopping;
    };

    explicit JobRunner(Hooks hooks = {}, QObject *parent = nullptr);
    ~JobRunner() override;

    bool isBusy() const { return m_pending > 0; }

    /// \a work runs on the compute thread as `T work(const JobContext &)`; \a done runs in the GUI thread as
    /// `void done(Outcome<T>)`, unless \a receiver is gone. Returns the job's id.
    template <typename T, typename Work, typename Done>
    int submit(QString title, QString subject, QObject *receiver, Work work, Done done)
    {
        return post(std::move(title), std::move(subject),
                    [this, guard = QPointer<QObject>(receiver), work = std::move(work),
                     done = std::move(done)](int id, const JobContext &context) mutable {
                        auto outcome = capture<T>(work, context);
                        QMetaObject::invokeMethod(
                            this,
                            [this, id, guard = std::move(guard), done = std::move(done),
                             outcome = std::move(outcome)]() mutable {
                                finish(id, stateOf(outcome), messageOf(outcome));
                                if (guard)
                                    done(std::move(outcome));
                            },
                            Qt::QueuedConnection);
                    });
    }

public Q_SLOTS:
    /// Thread-safe and immediate: sets a flag. A waiting job is dropped (its `done` gets CancelledTag).
    void cancel(int id);
    void cancelAll();
    /// Holds a job, running or waiting, at its next progress report, and lets it go on. The jobs behind it wait, too.
    /// GUI thread.
    void setPaused(int id, bool paused);

Q_SIGNALS:
    void jobChanged(const secateur::JobStatus &status); ///< added, progress, ended; GUI thread
    void busyChanged(bool busy);
    void noticed(const QString &sentence); ///< a job did something differently from what was asked; GUI thread

private:
    using Task = std::function<void(int, const JobContext &)>;
    struct Entry {
        int id;
        Task task;
        std::stop_source stop;
        bool isPaused = false; ///< under m_mutex
    };

    template <typename T, typename Work> static Outcome<T> capture(Work &work, const JobContext &context)
    {
        try {
            if (context.stopRequested())
                return CancelledTag{}; // cancelled while it waited: nothing of it runs
            return std::make_shared<const T>(work(context));
        } catch (const Cancelled &) {
            return CancelledTag{};
        } catch (...) {
            return describeCurrentException();
        }
    }
    template <typename T> static JobStatus::State stateOf(const Outcome<T> &outcome)
    {
        return outcome.index() == 0 ? JobStatus::State::Done
            : outcome.index() == 1  ? JobStatus::State::Cancelled
                                    : JobStatus::State::Failed;
    }
    template <typename T> static QString messageOf(const Outcome<T> &outcome)
    {
        const auto *error = std::get_if<ErrorInfo>(&outcome);
        return error ? QString::fromStdString(error->message) : QString();
    }

    int post(QString title, QString subject, Task task);
    void finish(int id, JobStatus::State state, const QString &message);
    void run(std::stop_token stop);

    struct Private;
    std::unique_ptr<Private> m_private; ///< statuses, progress mailbox
    int m_pending = 0; ///< GUI thread only
    Hooks m_hooks;
    std::mutex m_mutex;
    std::condition_variable_any m_wake;
    std::condition_variable_any m_continue; ///< a job is paused no longer
    std::deque<std::shared_ptr<Entry>> m_queue;
    std::shared_ptr<Entry> m_current;
    std::jthread m_thread; ///< last member: joined before anything else dies
};

} // namespace secateur

Q_DECLARE_METATYPE(secateur::JobStatus)
