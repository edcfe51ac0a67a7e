#include "app/controllers/recovery_controller.h"

#include "app/output_folders.h"
#include "app/qt_paths.h"
#include "app/settings/app_settings.h"
#include "app/user_prompts.h"
#include "app/workspace.h"
#include "backend/engine/compute_device.h"
#include "backend/workflow/recovery_recipes.h"
#include "widgets/theme/number_text.h"

#include <QTimer>

#include <algorithm>
#include <mutex>

namespace secateur {

/// What a run says while it goes on, on its way from the compute thread.
struct RecoveryController::Feed {
    MetricFeed metrics;
    std::mutex mutex;
    std::vector<workflow::ProbeRound> rounds;
};

namespace {

constexpr int kPollMs = 150;
constexpr int kProbeTokens = 128;

/// Subject and data of a job on the compute thread; the request's values are made where the window is.
workflow::RecoverOutcome trainSubject(workflow::Workbench &bench, const RecoveryOrder &order, const std::string &id,
                                      workflow::RecoverRequest request, const JobContext &context, MetricFeed *feed)
{
    // Training begins at the model without another adapter: a run continues from a plan, not from a run.
    Subject base = order.subject;
    base.run.clear();
    std::optional<Model> fresh;
    if (order.newWeights)
        fresh = workflow::untrainedLike(modelOf(bench, base), request.options);
    const Model &model = fresh ? *fresh : modelOf(bench, base);
    if (!order.startAdapter.empty())
        request.start = std::make_shared<const Adapter>(loadAdapter(order.startAdapter, model));
    workflow::RecoverOutcome outcome = workflow::recover(bench.dense(), model, request, context, feed);
    if (outcome.training.adapter)
        bench.setRun(id, base.plan ? &*base.plan : nullptr, *outcome.training.adapter);
    else if (outcome.training.model)
        bench.setRun(id, *outcome.training.model);
    outcome.training.adapter.reset(); // tensors stay on this thread
    outcome.training.model.reset();
    if (order.resume) { // the new run has what the old one left
        std::error_code ignored;
        std::filesystem::remove_all(workflow::checkpointFolder(order.resume->output), ignored);
    }
    return outcome;
}

} // namespace

QString RecoveryController::kindText(const RecoveryOptions &options)
{
    return options.kind == "full"   ? tr("All weights")
        : options.kind == "distill" ? tr("Distillation")
        : options.kind == "scratch" ? tr("From new weights")
                                    : tr("LoRA");
}

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

const RecoveryOptions &RecoveryController::currentOptions() const
{
    static const RecoveryOptions none;
    return m_runs.empty() ? none : m_runs.front().options;
}

std::filesystem::path RecoveryController::outputOf(const QString &run) const
{
    for (const Pending &pending : m_runs) {
        if (pending.id == run.toStdString())
            return pending.output;
    }
    return m_services.workspace.adapterFolder(run.toStdString());
}

/// An interrupted run of an earlier start may lie where a new session would count again from one.
std::string RecoveryController::freeRunId() const
{
    while (true) {
        const std::string id = m_services.workspace.reserveId("run");
        const auto folder = adapterFolderFor(m_services.workspace, id);
        if (!std::filesystem::exists(folder) && !std::filesystem::exists(workflow::checkpointFolder(folder)))
            return id;
    }
}

void RecoveryController::start(const RecoveryOrder &order)
{
    const std::string id = freeRunId();
    const auto folder = adapterFolderFor(m_services.workspace, id);
    auto feed = std::make_shared<Feed>();
    workflow::RecoverRequest request;
    request.data = order.data.toStdString();
    request.options = order.options;
    request.outputFolder = folder;
    request.basePath = order.subject.name;
    request.plan = order.subject.plan;
    request.keepHistory = true;
    for (const QString &question : probes())
        request.probes.push_back(question.toStdString());
    request.probeTokens = kProbeTokens;
    request.onProbes = [feed](const workflow::ProbeRound &round) {
        const std::lock_guard lock(feed->mutex);
        feed->rounds.push_back(round);
    };
    if (order.resume)
        request.resume = order.resume->checkpoint;
    const QString title = tr("%1 recovery, %n step(s)", nullptr, order.options.steps).arg(kindText(order.options));
    const QString subject = qString(order.subject.name);
    const int job = m_services.runner.submit<workflow::RecoverOutcome>(
        title, subject, this,
        [&bench = m_services.bench, order, id, request, feed](const JobContext &context) {
            return trainSubject(*bench, order, id, request, context, &feed->metrics);
        },
        [this, order, id, folder, title](Outcome<workflow::RecoverOutcome> outcome) {
            const double pausedSeconds = finish(id);
            if (auto *value = std::get_if<std::shared_ptr<const workflow::RecoverOutcome>>(&outcome))
                keep(order, id, folder, **value, pausedSeconds);
            else if (const auto *error = std::get_if<ErrorInfo>(&outcome))
                reportFailure(order, *error);
            else
                m_services.messages.log(tr("%1 was cancelled; nothing was changed").arg(title));
            findUnfinished();
        });
    Pending pending;
    pending.job = job;
    pending.id = id;
    pending.title = subject;
    pending.options = order.options;
    pending.output = folder;
    pending.questions = request.probes;
    if (order.resume)
        pending.resumedFrom = order.resume->output;
    pending.feed = std::move(feed);
    m_runs.push_back(std::move(pending));
    if (m_runs.size() == 1)
        m_live = {};
    m_poll->start();
    Q_EMIT runningChanged();
}

void RecoveryController::keep(const RecoveryOrder &order, const std::string &id, const std::filesystem::path &folder,
                              const workflow::RecoverOutcome &outcome, double pausedSeconds)
{
    RunRecord record = outcome.record;
    record.id = id;
    record.plan = order.subject.plan ? order.subject.plan->id : std::string();
    const auto done = static_cast<int>(record.losses.size());
    if (done == 0) {
        m_services.messages.log(tr("%1 was stopped before its first step").arg(qString(order.subject.name)));
        return;
    }
    const bool isWhole = !outcome.training.cancelled && !outcome.training.stoppedEarly;
    const QString kind = kindText(record.options);
    record.name = (isWhole ? tr("%1, %n step(s)", nullptr, done).arg(kind)
                           : tr("%1, %2 of %3 steps").arg(kind).arg(done).arg(record.options.steps))
                      .toStdString();
    const double seconds = outcome.training.seconds;
    if (pausedSeconds > 0 && seconds > pausedSeconds) // the run itself does not know that it waited
        record.tokensPerSecond *= seconds / (seconds - pausedSeconds);
    if (!record.plan.empty() && !m_services.workspace.plan(record.plan)) {
        m_services.messages.log(
            tr("The plan of %1 was deleted; its weights are in %2").arg(qString(record.name), fromPath(folder)));
        return;
    }
    m_services.workspace.addRun(record, folder);
    const QString losses = record.losses.empty()
        ? QString()
        : tr("loss %1 → %2").arg(significant(record.losses.front(), 3), significant(record.losses.back(), 3));
    m_services.messages.reportFinished(
        tr("%1 finished in %2").arg(qString(record.name), duration(static_cast<qint64>(seconds + 0.5))), losses);
    Q_EMIT runFinished(qString(id));
}

void RecoveryController::reportFailure(const RecoveryOrder &order, const ErrorInfo &error)
{
    RecoveryOrder smaller = order;
    if (error.kind != ErrorKind::OutOfMemory || !workflow::halveStep(smaller.options)) {
        m_services.messages.reportError(qString(order.subject.name), error, [this, order] { start(order); });
        return;
    }
    smaller.resume.reset(); // its options were those that did not fit
    const bool retries
        = m_services.prompts.confirm(tr("Not enough memory"),
                                     tr("%1\n\nModel, plans and earlier runs are as they were. Retry with %2 instead "
                                        "of %3 tokens per step, and with "
                                        "activations computed again in the backward pass?")
                                         .arg(qString(error.message), exactCount(smaller.options.batchTokens),
                                              exactCount(order.options.batchTokens)),
                                     tr("Halve the batch and retry"));
    if (retries)
        start(smaller);
    else
        m_services.messages.log(qString(error.message));
}

void RecoveryController::stopAndKeep()
{
    if (!m_runs.empty())
        m_services.runner.cancel(m_runs.front().job);
}

void RecoveryController::setPaused(bool paused)
{
    if (m_runs.empty() || m_runs.front().isPaused == paused)
        return;
    Pending &run = m_runs.front();
    run.isPaused = paused;
    if (paused)
        run.pausedSince.start();
    else
        run.pausedMs += run.pausedSince.elapsed();
    m_services.runner.setPaused(run.job, paused);
    Q_EMIT runningChanged();
}

void RecoveryController::drain()
{
    if (m_runs.empty())
        return;
    Feed &feed = *m_runs.front().feed;
    workflow::RunHistory &history = m_live.history;
    const std::vector<TrainingPoint> fresh = feed.metrics.since(history.points.size());
    std::vector<HeldOutPoint> heldOut = feed.metrics.heldOut();
    std::vector<workflow::ProbeRound> rounds;
    {
        const std::lock_guard lock(feed.mutex);
        rounds = feed.rounds;
    }
    if (fresh.empty() && heldOut.size() == history.heldOut.size() && rounds.size() == history.probes.size())
        return;
    history.points.insert(history.points.end(), fresh.begin(), fresh.end());
    m_live.memory.resize(history.points.size(), static_cast<std::int64_t>(memoryUse().resident));
    history.heldOut = std::move(heldOut);
    if (rounds.size() != history.probes.size()) {
        history.probes = std::move(rounds);
        history.questions = m_runs.front().questions;
        readKeptAdapters();
    }
    Q_EMIT pointsArrived();
}

double RecoveryController::finish(const std::string &id)
{
    drain();
    double pausedSeconds = 0;
    const auto found = std::find_if(m_runs.begin(), m_runs.end(), [&](const Pending &run) { return run.id == id; });
    if (found != m_runs.end()) {
        if (found->isPaused)
            found->pausedMs += found->pausedSince.elapsed();
        pausedSeconds = static_cast<double>(found->pausedMs) / 1000;
        m_runs.erase(found);
    }
    m_live = {};
    if (m_runs.empty())
        m_poll->stop();
    Q_EMIT runningChanged();
    return pausedSeconds;
}

} // namespace secateur
