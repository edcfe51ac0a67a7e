#include "app/controllers/recovery_controller.h"

#include "app/output_folders.h"
#include "app/qt_paths.h"
#include "app/workspace.h"
#include "widgets/theme/number_text.h"

#include <QTimer>

#include <algorithm>

namespace secateur {

namespace {

constexpr int kPollMs = 150;

} // namespace

RecoveryController::RecoveryController(const AppServices &services, QObject *parent)
    : QObject(parent), m_services(services), m_poll(new QTimer(this))
{
    m_poll->setInterval(kPollMs);
    connect(m_poll, &QTimer::timeout, this, &RecoveryController::drain);
}

QString RecoveryController::currentRun() const
{
    return m_runs.empty() ? QString() : qString(m_runs.front().id);
}

QString RecoveryController::currentTitle() const
{
    return m_runs.empty() ? QString() : m_runs.front().title;
}

int RecoveryController::plannedSteps() const
{
    return m_runs.empty() ? 0 : m_runs.front().steps;
}

void RecoveryController::start(const Subject &subject, const QString &data, const RecoveryOptions &options)
{
    Workspace &workspace = m_services.workspace;
    const std::string id = workspace.reserveId("run");
    const auto folder = adapterFolderFor(workspace, id);
    auto feed = std::make_shared<MetricFeed>();
    workflow::RecoverRequest request;
    request.data = data.toStdString();
    request.options = options;
    request.outputFolder = folder;
    request.basePath = subject.name;
    const QString name = tr("LoRA, %n step(s)", nullptr, options.steps);
    const int job = startJob<workflow::RecoverOutcome>(
        m_services, this, tr("LoRA recovery, %n step(s)", nullptr, options.steps), qString(subject.name),
        [&bench = m_services.bench, subject, request, feed, id](const JobContext &context) {
            // The adapter trains on the model without another adapter: a run continues from a plan, not from a run.
            Subject base = subject;
            base.run.clear();
            const Model &model = modelOf(*bench, base);
            workflow::RecoverOutcome outcome = workflow::recover(bench->dense(), model, request, context, feed.get());
            if (outcome.training.adapter)
                bench->setRun(id, base.plan ? &*base.plan : nullptr, *outcome.training.adapter);
            outcome.training.adapter.reset(); // tensors stay on this thread
            return outcome;
        },
        [this, id, subject, folder, name](std::shared_ptr<const workflow::RecoverOutcome> outcome) {
            RunRecord record = outcome->record;
            record.id = id;
            record.plan = subject.plan ? subject.plan->id : std::string();
            record.name = outcome->training.cancelled
                ? tr("LoRA, %1 of %2 steps").arg(record.losses.size()).arg(record.options.steps).toStdString()
                : name.toStdString();
            if (!record.plan.empty() && !m_services.workspace.plan(record.plan)) {
                m_services.messages.log(
                    tr("The plan of %1 was deleted; its adapter is in %2").arg(qString(record.name), fromPath(folder)));
                return;
            }
            m_services.workspace.addRun(record, folder);
            const QString losses = record.losses.empty()
                ? QString()
                : tr("loss %1 → %2").arg(significant(record.losses.front(), 3), significant(record.losses.back(), 3));
            m_services.messages.reportFinished(
                tr("%1 finished in %2")
                    .arg(qString(record.name), duration(static_cast<qint64>(outcome->training.seconds + 0.5))),
                losses);
            Q_EMIT runFinished(qString(id));
        },
        [this, subject, data, options] { start(subject, data, options); }, [this, id] { finish(id); });
    m_runs.push_back({.job = job, .id = id, .title = qString(subject.name), .steps = options.steps, .feed = feed});
    if (m_runs.size() == 1)
        m_points.clear();
    m_poll->start();
    Q_EMIT runningChanged();
}

void RecoveryController::stopAndKeep()
{
    if (!m_runs.empty())
        m_services.runner.cancel(m_runs.front().job);
}

void RecoveryController::drain()
{
    if (m_runs.empty())
        return;
    const std::vector<TrainingPoint> fresh = m_runs.front().feed->since(m_points.size());
    if (fresh.empty())
        return;
    m_points.insert(m_points.end(), fresh.begin(), fresh.end());
    Q_EMIT pointsArrived();
}

void RecoveryController::finish(const std::string &id)
{
    drain();
    const auto found = std::find_if(m_runs.begin(), m_runs.end(), [&](const Pending &run) { return run.id == id; });
    if (found != m_runs.end())
        m_runs.erase(found);
    m_points.clear();
    if (m_runs.empty())
        m_poll->stop();
    Q_EMIT runningChanged();
}

void RecoveryController::describeData(const QStringList &sources, const RecoveryOptions &options)
{
    m_reader.cancelAll();
    const int generation = ++m_countGeneration;
    const LoadedWeights *weights = m_services.workspace.weights();
    if (!weights || !weights->tokenizer)
        return;
    for (const QString &source : sources) {
        workflow::TrainingDataQuestion question;
        question.source = source.toStdString();
        question.tokenizer = weights->tokenizer;
        question.chatTemplate = weights->chatTemplate;
        question.modelThinks = m_services.workspace.modelKind() == u"think";
        question.options = options;
        const int positions = m_services.workspace.config().maxPositions;
        if (positions > 0) // as the run will do
            question.options.maxLength = std::min(options.maxLength, positions);
        m_reader.submit<TrainingDataSummary>(
            QString(), QString(), this,
            [question](const JobContext &context) {
                TrainingDataSummary summary;
                try {
                    summary.card = workflow::describeTrainingData(question, context);
                } catch (const Error &error) {
                    summary.problem = error.info();
                }
                summary.card.source = question.source;
                return summary;
            },
            [this, generation](Outcome<TrainingDataSummary> outcome) {
                if (generation != m_countGeneration)
                    return;
                if (auto *summary = std::get_if<TrainingDataSummaryPtr>(&outcome))
                    Q_EMIT dataDescribed(*summary);
            });
    }
}

} // namespace secateur
