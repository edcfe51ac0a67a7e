#pragma once

#include "app/app_services.h"
#include "app/subject.h"
#include "backend/core/metric_feed.h"
#include "backend/workflow/recover.h"
#include "backend/workflow/recovery_history.h"
#include "backend/workflow/training_data.h"

#include <QElapsedTimer>
#include <QObject>
#include <QString>
#include <QStringList>

#include <deque>
#include <filesystem>
#include <memory>
#include <optional>

class QTimer;

namespace secateur {

/// A data set as counted through the model's tokenizer, or why it cannot be used.
struct TrainingDataSummary {
    workflow::TrainingDataCard card;
    ErrorInfo problem; ///< without a message: none
    bool isUsable() const { return problem.message.empty(); }
};
using TrainingDataSummaryPtr = std::shared_ptr<const TrainingDataSummary>;
using RunHistoryPtr = std::shared_ptr<const workflow::RunHistory>;
using UnfinishedRuns = std::vector<workflow::UnfinishedRun>;

/// What is asked for when a run is queued.
struct RecoveryOrder {
    Subject subject;
    QString data;
    RecoveryOptions options;
    std::filesystem::path startAdapter = {}; ///< begin with this adapter; empty: a new one
    std::optional<workflow::UnfinishedRun> resume = {}; ///< go on behind its checkpoint
    bool newWeights = false; ///< the shape of the subject with new weights
};

/// What is known of the run that is being trained.
struct LiveRun {
    workflow::RunHistory history; ///< the adapters that are kept so far included
    std::vector<std::int64_t> memory; ///< resident bytes of the process when the point arrived, one for each point
};

/// Runs recovery training, feeds the live chart and puts runs into the workspace. A stopped run is kept, an interrupted
/// one is offered again.
class RecoveryController : public QObject {
    Q_OBJECT
public:
    explicit RecoveryController(const AppServices &services, QObject *parent = nullptr);

    static QString kindText(const RecoveryOptions &options); ///< "LoRA"

    /// Trains the model of the subject. Runs wait in the queue behind each other.
    void start(const RecoveryOrder &order);
    /// Ends the current run after its step and keeps the weights.
    void stopAndKeep();
    /// Holds the current run between two steps, and lets it go on.
    void setPaused(bool paused);
    bool isPaused() const { return !m_runs.empty() && m_runs.front().isPaused; }
    bool isRunning() const { return !m_runs.empty(); }
    QString currentRun() const; ///< id of the run that is trained or first in the queue; empty: none
    QString currentTitle() const;
    const RecoveryOptions &currentOptions() const; ///< of the run that is trained; the defaults when there is none
    int plannedSteps() const { return m_runs.empty() ? 0 : currentOptions().steps; }
    const std::vector<TrainingPoint> &livePoints() const { return m_live.history.points; }
    const LiveRun &live() const { return m_live; }

    /// Counts \a sources in this order, beside whatever the compute thread does; what was asked before is given up.
    void describeData(const QStringList &sources, const RecoveryOptions &options);
    /// Reads what is kept of a finished run.
    void readHistory(const QString &run);
    /// Looks for runs of this model that were interrupted.
    void findUnfinished();
    const UnfinishedRuns &unfinished() const { return m_unfinished; }
    void resume(const workflow::UnfinishedRun &run);
    void discard(const workflow::UnfinishedRun &run); ///< asks first
    /// Where \a run, current or finished, has its result and, beside it, its history; empty: nowhere.
    std::filesystem::path outputOf(const QString &run) const;
    /// What to do about an error of a run: a run that ran out of memory is offered again with smaller steps.
    void reportFailure(const RecoveryOrder &order, const ErrorInfo &error);

    QStringList probes() const;
    void setProbes(const QStringList &questions);

Q_SIGNALS:
    void runningChanged(); ///< another run, none, or paused
    void pointsArrived(); ///< losses, held-out losses or answers
    void dataDescribed(const secateur::TrainingDataSummaryPtr &summary);
    void historyRead(const QString &run, const secateur::RunHistoryPtr &history);
    void unfinishedChanged();
    void runFinished(const QString &id);

private:
    struct Feed;
    struct Pending {
        int job = 0;
        std::string id;
        QString title;
        RecoveryOptions options;
        std::filesystem::path output;
        std::filesystem::path resumedFrom; ///< its output; empty: begins anew
        std::vector<std::string> questions;
        std::shared_ptr<Feed> feed;
        bool isPaused = false;
        QElapsedTimer pausedSince;
        qint64 pausedMs = 0;
    };
    AppServices m_services;
    QTimer *m_poll;
    std::deque<Pending> m_runs; ///< in the order of the queue
    LiveRun m_live; ///< of the first of m_runs
    UnfinishedRuns m_unfinished;
    int m_countGeneration = 0;
    // Threads of their own: reading touches no tensor and must not wait for a run.
    JobRunner m_reader; ///< data sets; what is asked later ends what was asked before
    JobRunner m_history; ///< histories and interrupted runs

    std::string freeRunId() const;
    void drain();
    void readKeptAdapters();
    double finish(const std::string &id);
    void keep(const RecoveryOrder &order, const std::string &id, const std::filesystem::path &folder,
              const workflow::RecoverOutcome &outcome, double pausedSeconds);
};

} // namespace secateur

Q_DECLARE_METATYPE(secateur::TrainingDataSummaryPtr)
Q_DECLARE_METATYPE(secateur::RunHistoryPtr)
