#pragma once

#include "app/app_services.h"
#include "app/subject.h"
#include "backend/core/metric_feed.h"
#include "backend/workflow/recover.h"
#include "backend/workflow/training_data.h"

#include <QObject>
#include <QString>

#include <deque>
#include <memory>

class QTimer;

namespace secateur {

/// A data set as counted through the model's tokenizer, or why it cannot be used.
struct TrainingDataSummary {
    workflow::TrainingDataCard card;
    ErrorInfo problem; ///< without a message: none
    bool isUsable() const { return problem.message.empty(); }
};
using TrainingDataSummaryPtr = std::shared_ptr<const TrainingDataSummary>;

/// Runs LoRA recovery, feeds the live chart and puts runs into the workspace. A stopped run is kept.
class RecoveryController : public QObject {
    Q_OBJECT
public:
    explicit RecoveryController(const AppServices &services, QObject *parent = nullptr);

    /// Trains the model of \a subject. Runs wait in the queue behind each other.
    void start(const Subject &subject, const QString &data, const RecoveryOptions &options);
    /// Ends the current run after its step and keeps the weights.
    void stopAndKeep();
    bool isRunning() const { return !m_runs.empty(); }
    QString currentRun() const; ///< id of the run that is trained or first in the queue; empty: none
    QString currentTitle() const;
    int plannedSteps() const;
    const std::vector<TrainingPoint> &livePoints() const { return m_points; }

    /// Counts \a sources in this order, beside whatever the compute thread does; what was asked before is given up.
    void describeData(const QStringList &sources, const RecoveryOptions &options);

Q_SIGNALS:
    void runningChanged();
    void pointsArrived();
    void dataDescribed(const secateur::TrainingDataSummaryPtr &summary);
    void runFinished(const QString &id);

private:
    struct Pending {
        int job = 0;
        std::string id;
        QString title;
        int steps = 0;
        std::shared_ptr<MetricFeed> feed;
    };
    AppServices m_services;
    QTimer *m_poll;
    std::deque<Pending> m_runs; ///< in the order of the queue
    std::vector<TrainingPoint> m_points; ///< of the first of m_runs
    JobRunner m_reader; ///< a thread of its own: counting touches no tensor and must not wait for a run
    int m_countGeneration = 0;

    void drain();
    void finish(const std::string &id);
};

} // namespace secateur

Q_DECLARE_METATYPE(secateur::TrainingDataSummaryPtr)
