#pragma once

#include "app/app_services.h"
#include "backend/core/pruning_plan.h"
#include "backend/workflow/plan.h"

#include <QObject>
#include <QString>

#include <memory>
#include <optional>
#include <vector>

namespace secateur {

/// What the Plan view asks for.
struct PlanDraft {
    workflow::PlanRequest request;
    QString parent; ///< id of the plan it becomes a child of; empty: the dense model
    QString name; ///< empty: made from the method
};

/// What would happen. Immutable; the document knows nothing of it yet.
struct PlanPreview {
    PruningPlan plan; ///< without an id
    Budget budget;
    ModelConfig pruned;
    std::vector<TensorChange> changes;
    QString snapped; ///< what was asked and what will happen instead; empty: nothing was snapped
    QString problem; ///< why it cannot be done; empty: it can
    QString hint;
    bool isPossible() const { return problem.isEmpty(); }
};
using PlanPreviewPtr = std::shared_ptr<const PlanPreview>;

/// Makes plans: previews them while the user turns knobs, prunes and checks them, and puts them into the tree.
class PruningController : public QObject {
    Q_OBJECT
public:
    explicit PruningController(const AppServices &services, QObject *parent = nullptr);

    /// Computes the preview beside the GUI thread; only the newest request is answered.
    void preview(const PlanDraft &draft);
    /// Prunes, checks, and creates the plan when every check held.
    void scoreAndPrune(const PlanPreviewPtr &preview);
    /// The plan becomes a record at once; its model is made when it is needed.
    void keepAsDraft(const PlanPreviewPtr &preview);
    /// Plan files: a plan for another model is refused.
    void openPlan(const QString &file);
    void savePlanFile(const QString &id);

Q_SIGNALS:
    void previewReady(const secateur::PlanPreviewPtr &preview);
    void planCreated(const QString &id);

private:
    AppServices m_services;
    quint64 m_generation = 0;
};

/// The preview of \a draft as a pure function of values; needs no model and may run on any thread. \a analysis may be
/// null for plans from the selection.
PlanPreview makePreview(const PlanDraft &draft, const ModelConfig &dense, const std::string &digest,
                        const AnalysisResult *analysis, const UnitSet &selection, const UnitSet &locked,
                        const UnitSet &parentRemoved);

/// A plan with the same removed units, if there is one.
const PruningPlan *samePlan(const std::vector<PruningPlan> &plans, const UnitSet &removed);

} // namespace secateur

Q_DECLARE_METATYPE(secateur::PlanPreviewPtr)
