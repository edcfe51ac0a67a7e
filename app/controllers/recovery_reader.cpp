// What the Recovery view reads from files: data sets, histories of runs, interrupted runs.
#include "app/controllers/recovery_controller.h"

#include "app/output_folders.h"
#include "app/qt_paths.h"
#include "app/settings/app_settings.h"
#include "app/user_prompts.h"
#include "app/workspace.h"

#include <QDir>

#include <algorithm>

namespace secateur {

void RecoveryController::describeData(const QStringList &sources, const RecoveryOptions &options)
{
    const int generation = ++m_countGeneration;
    m_reader.cancelAll();
    const LoadedWeights *weights = m_services.workspace.weights();
    if (!weights || !weights->tokenizer)
        return;
    for (const QString &source : sources) {
        workflow::TrainingDataQuestion question;
        question.source = source.toStdString();
        question.model = weights->path;
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

void RecoveryController::readHistory(const QString &run)
{
    const std::filesystem::path output = outputOf(run);
    if (output.empty())
        return;
    m_history.submit<workflow::RunHistory>(
        QString(), QString(), this, [output](const JobContext &) { return workflow::loadHistory(output); },
        [this, run](Outcome<workflow::RunHistory> outcome) {
            if (auto *history = std::get_if<RunHistoryPtr>(&outcome))
                Q_EMIT historyRead(run, *history);
            else if (const auto *error = std::get_if<ErrorInfo>(&outcome))
                m_services.messages.log(qString(error->message)); // the record itself is whole
        });
}

/// Of the run that goes on: older ones are thinned out, so only the folder knows.
void RecoveryController::readKeptAdapters()
{
    const Pending &run = m_runs.front();
    m_history.submit<workflow::RunHistory>(
        QString(), QString(), this, [output = run.output](const JobContext &) { return workflow::loadHistory(output); },
        [this, id = run.id](Outcome<workflow::RunHistory> outcome) {
            const auto *history = std::get_if<RunHistoryPtr>(&outcome);
            if (!history || m_runs.empty() || m_runs.front().id != id)
                return;
            m_live.history.adapters = (*history)->adapters;
            Q_EMIT pointsArrived();
        });
}

void RecoveryController::findUnfinished()
{
    const Workspace &workspace = m_services.workspace;
    m_unfinished.clear();
    Q_EMIT unfinishedChanged();
    if (!workspace.hasModel() || !workspace.hasWeights())
        return;
    std::vector<std::filesystem::path> folders{adapterFolderFor(workspace, "run").parent_path()};
    // Documents that were never saved: what they left after a crash lies in folders of their own.
    for (const QString &name : QDir(scratchRoot()).entryList(QDir::Dirs | QDir::NoDotAndDotDot)) {
        const auto folder = toPath(scratchRoot() + u"/"_qs + name) / "adapters";
        if (folder != folders.front())
            folders.push_back(folder);
    }
    m_history.submit<UnfinishedRuns>(
        QString(), QString(), this,
        [folders, digest = workspace.session().model.digest](const JobContext &) {
            return workflow::unfinishedRuns(folders, digest);
        },
        [this](Outcome<UnfinishedRuns> outcome) {
            const auto *found = std::get_if<std::shared_ptr<const UnfinishedRuns>>(&outcome);
            if (!found)
                return;
            m_unfinished.clear();
            for (const workflow::UnfinishedRun &run : **found) {
                const bool isRunning = std::any_of(m_runs.begin(), m_runs.end(), [&](const Pending &pending) {
                    return pending.output == run.output || pending.resumedFrom == run.output;
                });
                if (!isRunning)
                    m_unfinished.push_back(run);
            }
            Q_EMIT unfinishedChanged();
        });
}

void RecoveryController::resume(const workflow::UnfinishedRun &run)
{
    Workspace &workspace = m_services.workspace;
    RecoveryOrder order;
    order.subject = workspace.subject(u"dense"_qs);
    if (run.plan) {
        // The plan may be gone with the document that was never saved; its units came with the checkpoint.
        const PruningPlan *known = workspace.plan(run.plan->id);
        PruningPlan plan = known && known->removed == run.plan->removed ? *known : *run.plan;
        if (!known || known->removed != run.plan->removed) {
            plan.id = workspace.reserveId("plan");
            workspace.createPlan(plan);
        }
        order.subject = workspace.subject(qString(plan.id));
    }
    order.data = qString(run.data);
    order.options = run.checkpoint.options;
    order.resume = run;
    start(order);
    findUnfinished();
}

void RecoveryController::discard(const workflow::UnfinishedRun &run)
{
    const bool agreed = m_services.prompts.confirm(
        tr("Discard the interrupted run?"),
        tr("Its %1 steps are lost. Runs in the session stay.").arg(run.checkpoint.step), tr("Discard"));
    if (!agreed)
        return;
    std::error_code ignored;
    std::filesystem::remove_all(workflow::checkpointFolder(run.output), ignored);
    if (!std::filesystem::exists(run.output, ignored)) // no record looks back at it
        std::filesystem::remove_all(workflow::historyFolder(run.output), ignored);
    findUnfinished();
}

QStringList RecoveryController::probes() const
{
    QStringList standard;
    for (const std::string &question : workflow::defaultProbes())
        standard += qString(question);
    return m_services.settings.probes(standard);
}

void RecoveryController::setProbes(const QStringList &questions)
{
    m_services.settings.setProbes(questions);
}

} // namespace secateur
