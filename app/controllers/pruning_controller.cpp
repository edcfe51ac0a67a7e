#include "app/controllers/pruning_controller.h"

#include "app/qt_paths.h"
#include "app/settings/app_settings.h"
#include "app/user_prompts.h"
#include "app/workspace.h"
#include "backend/io/session_file.h"
#include "backend/workflow/prune.h"
#include "widgets/models/prune_selection.h"
#include "widgets/theme/number_text.h"

#include <QFileInfo>
#include <QFuture>
#include <QPromise>
#include <QThreadPool>

#include <algorithm>

namespace secateur {

namespace {

QString selectionPlanName(const UnitSet &removed)
{
    QStringList parts;
    const auto count = [&](UnitKind kind) { return static_cast<int>(countOfKind(removed, kind)); };
    if (const int blocks = count(UnitKind::Block))
        parts.append(PruningController::tr("%n block(s)", nullptr, blocks));
    if (const int groups = count(UnitKind::KvGroup))
        parts.append(PruningController::tr("%n KV group(s)", nullptr, groups));
    if (const int channels = count(UnitKind::FfnChannel))
        parts.append(PruningController::tr("%n channel(s)", nullptr, channels));
    return PruningController::tr("Selection, %1").arg(parts.join(u", "_qs));
}

void finishPreview(PlanPreview &preview, const ModelConfig &dense)
{
    validatePlan(preview.plan, dense);
    preview.budget = computeBudget(dense, preview.plan.removed);
    preview.pruned = prunedConfig(dense, preview.plan.removed);
    preview.changes = summarizePreview(dependencyPreview(dense, preview.plan.removed));
}

} // namespace

PlanPreview makePreview(const PlanDraft &draft, const ModelConfig &dense, const std::string &digest,
                        const AnalysisResult *analysis, const UnitSet &selection, const UnitSet &locked,
                        const UnitSet &parentRemoved)
{
    PlanPreview preview;
    try {
        UnitSet added = selection;
        if (draft.request.method == "selection") {
            if (added.empty())
                throw Error(ErrorKind::InvalidArgument, PruningController::tr("Nothing is selected.").toStdString(),
                            PruningController::tr("Select units in the Importance view.").toStdString());
            preview.plan.method = "selection";
        } else {
            if (!analysis)
                throw Error(ErrorKind::InvalidArgument,
                            PruningController::tr("This method needs importance maps.").toStdString(),
                            PruningController::tr("Calibrate first.").toStdString());
            workflow::PlanRequest request = draft.request;
            request.locked = unitsUnion(request.locked, locked);
            // Blocks that the parent has taken out already cannot be taken out again.
            request.locked.blocks.insert(parentRemoved.blocks.begin(), parentRemoved.blocks.end());
            const workflow::PlanResult result = workflow::makePlan(request, dense, *analysis);
            preview.plan = result.plan;
            preview.snapped = qString(result.snapped);
            added = result.plan.removed;
        }
        preview.plan.removed = unitsUnion(added, parentRemoved);
        const bool isByHand = draft.request.method == "selection" || !parentRemoved.empty();
        if (draft.request.uniformWidths && isByHand) {
            workflow::PlanRequest request = draft.request;
            request.locked = locked;
            const SnapResult snap = workflow::uniformSelection(preview.plan.removed, request, dense, analysis);
            preview.plan.removed = snap.removed;
            if (!snap.added.empty())
                preview.snapped = qString(snap.explanation);
        }
        preview.plan.parent = draft.parent == u"dense" ? std::string() : draft.parent.toStdString();
        preview.plan.modelDigest = digest;
        if (draft.request.method == "selection")
            preview.plan.name = selectionPlanName(preview.plan.removed).toStdString();
        if (!draft.name.trimmed().isEmpty())
            preview.plan.name = draft.name.trimmed().toStdString();
        finishPreview(preview, dense);
    } catch (const Error &error) {
        preview.problem = qString(error.info().message);
        preview.hint = qString(error.info().hint);
    }
    return preview;
}

const PruningPlan *samePlan(const std::vector<PruningPlan> &plans, const UnitSet &removed)
{
    const auto found
        = std::find_if(plans.begin(), plans.end(), [&](const PruningPlan &plan) { return plan.removed == removed; });
    return found == plans.end() ? nullptr : &*found;
}

PruningController::PruningController(const AppServices &services, QObject *parent)
    : QObject(parent), m_services(services)
{ }

void PruningController::preview(const PlanDraft &draft)
{
    const Workspace &workspace = m_services.workspace;
    const quint64 generation = ++m_generation;
    if (!workspace.hasModel())
        return;
    // Sorting the scores of a large model takes longer than a frame; the compute thread may be busy with a training
    // run. Only values travel, so any thread will do.
    auto promise = std::make_shared<QPromise<PlanPreviewPtr>>();
    promise->start();
    promise->future().then(this, [this, generation](const PlanPreviewPtr &preview) {
        if (generation == m_generation)
            Q_EMIT previewReady(preview);
    });
    QThreadPool::globalInstance()->start(
        [promise, draft, config = workspace.config(), digest = workspace.session().model.digest,
         analysis = workspace.analysis(), selection = workspace.selection()->selected(),
         locked = workspace.selection()->locked(), removed = workspace.removedOf(draft.parent)] {
            promise->addResult(std::make_shared<const PlanPreview>(
                makePreview(draft, config, digest, analysis.get(), selection, locked, removed)));
            promise->finish();
        });
}

void PruningController::scoreAndPrune(const PlanPreviewPtr &preview)
{
    if (!preview || !preview->isPossible())
        return;
    PruningPlan plan = preview->plan;
    plan.id = m_services.workspace.reserveId("plan");
    startJob<workflow::PruneOutcome>(
        m_services, this, tr("Prune"), qString(plan.name),
        [&bench = m_services.bench, plan](const JobContext &context) {
            return workflow::pruneAndCheck(*bench, plan, context);
        },
        [this, plan](std::shared_ptr<const workflow::PruneOutcome> outcome) {
            if (plan.modelDigest != m_services.workspace.session().model.digest) {
                m_services.messages.log(
                    tr("Plan “%1” belongs to a model that is no longer open").arg(qString(plan.name)));
                return;
            }
            m_services.workspace.createPlan(plan);
            for (const CheckResult &check : outcome->checks)
                m_services.messages.log(tr("Check “%1”: %2").arg(qString(check.name), qString(check.detail)));
            m_services.messages.reportFinished(
                tr("Pruned: %1").arg(qString(plan.name)),
                tr("%1 → %2 parameters (%3), %4")
                    .arg(exactCount(outcome->parametersBefore), exactCount(outcome->parametersAfter),
                         relativeChange(static_cast<double>(outcome->parametersBefore),
                                        static_cast<double>(outcome->parametersAfter)),
                         tr("%n check(s) held", nullptr, static_cast<int>(outcome->checks.size()))));
            Q_EMIT planCreated(qString(plan.id));
        },
        [this, preview] { scoreAndPrune(preview); });
}

void PruningController::keepAsDraft(const PlanPreviewPtr &preview)
{
    if (!preview || !preview->isPossible())
        return;
    PruningPlan plan = preview->plan;
    plan.id = m_services.workspace.reserveId("plan");
    m_services.workspace.createPlan(plan);
    Q_EMIT planCreated(qString(plan.id));
}

void PruningController::openPlan(const QString &file)
{
    const auto path = toPath(file);
    startJob<PruningPlan>(
        m_services, this, tr("Open plan"), QFileInfo(file).fileName(),
        [path, config = m_services.workspace.config(),
         digest = m_services.workspace.session().model.digest](const JobContext &) {
            PruningPlan plan = loadPlan(path);
            if (!plan.modelDigest.empty() && plan.modelDigest != digest)
                throw Error(ErrorKind::InvalidArgument,
                            path.filename().string() + " was made for the model with digest "
                                + plan.modelDigest.substr(0, 12) + "…, the open model has " + digest.substr(0, 12)
                                + "…",
                            "Open the model that the plan was made for.");
            validatePlan(plan, config);
            return plan;
        },
        [this](std::shared_ptr<const PruningPlan> loaded) {
            PruningPlan plan = *loaded;
            plan.id = m_services.workspace.reserveId("plan");
            plan.parent.clear();
            plan.modelDigest = m_services.workspace.session().model.digest;
            m_services.workspace.createPlan(plan);
            Q_EMIT planCreated(qString(plan.id));
        });
}

void PruningController::savePlanFile(const QString &id)
{
    const PruningPlan *plan = m_services.workspace.plan(id.toStdString());
    if (!plan)
        return;
    const QString file = m_services.prompts.saveFile(
        tr("Save plan"), m_services.settings.lastFolder() + u"/"_qs + id + u".json"_qs, tr("Plans (*.json)"));
    if (file.isEmpty())
        return;
    startJob<bool>(
        m_services, this, tr("Save plan"), qString(plan->name),
        [path = toPath(file), plan = *plan](const JobContext &) {
            savePlan(path, plan);
            return true;
        },
        [this, file](std::shared_ptr<const bool>) {
            m_services.messages.reportFinished(tr("Plan saved"), QFileInfo(file).fileName());
        });
}

} // namespace secateur
