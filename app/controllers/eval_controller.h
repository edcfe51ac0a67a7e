#pragma once

#include "app/app_services.h"
#include "app/subject.h"
#include "app/user_prompts.h"
#include "backend/core/eval_report.h"

#include <QObject>
#include <QString>

#include <memory>
#include <vector>

class QTimer;

namespace secateur {

/// Evaluates models task by task. The dense model comes first, so that no pruned number stands alone; what is running
/// is published as it grows.
class EvalController : public QObject {
    Q_OBJECT
public:
    explicit EvalController(const AppServices &services, QObject *parent = nullptr);
    ~EvalController() override;

    /// Looks for the tasks and their data, asks, then starts.
    void ask(const QString &subject);
    /// Evaluates \a choice.subjects in order, the dense model first; samples that are on disk are not run again.
    void start(const EvaluationChoice &choice);
    bool isRunning() const { return m_waiting > 0; }
    /// A report that is still growing; null: none.
    EvaluationReportPtr runningReport() const { return m_running; }
    const EvaluationOptions &runningOptions() const { return m_runningOptions; }

Q_SIGNALS:
    void runningChanged(); ///< the growing report has more, or none is running any more
    void reportReady(const QString &subject);

private:
    struct Live;
    AppServices m_services;
    QTimer *m_poll;
    EvaluationChoice m_last;
    std::vector<std::shared_ptr<Live>> m_lives; ///< in the order of the queue
    EvaluationReportPtr m_running;
    EvaluationOptions m_runningOptions;
    quint64 m_seenVersion = 0;
    int m_waiting = 0;

    void startOne(const Subject &subject, const EvaluationChoice &choice);
    void drain();
};

} // namespace secateur
