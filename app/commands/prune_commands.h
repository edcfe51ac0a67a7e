#pragma once

#include "app/workspace.h"

#include <QUndoCommand>

#include <optional>

namespace secateur {

/// One committed edit of the selection or the locks. The edit has already happened when the command is made.
class SelectionCommand : public QUndoCommand {
public:
    SelectionCommand(PruneSelection *selection, const UnitSet &selectedBefore, const UnitSet &lockedBefore);
    void undo() override;
    void redo() override;

private:
    PruneSelection *m_selection;
    UnitSet m_selectedBefore, m_lockedBefore;
    UnitSet m_selectedAfter, m_lockedAfter;
    bool m_done = true;
};

/// A new plan. Undo takes what depends on it out as well, redo brings it back.
class CreatePlanCommand : public QUndoCommand {
public:
    CreatePlanCommand(Workspace *workspace, const PruningPlan &plan);
    void undo() override;
    void redo() override;

private:
    Workspace *m_workspace;
    PruningPlan m_plan;
    std::optional<RemovedRecords> m_removed;
};

class RenameCommand : public QUndoCommand {
public:
    RenameCommand(Workspace *workspace, const QString &id, const QString &before, const QString &after);
    void undo() override;
    void redo() override;

private:
    Workspace *m_workspace;
    QString m_id, m_before, m_after;
};

/// Removal of a plan or a run with everything that came from it.
class RemoveRecordCommand : public QUndoCommand {
public:
    RemoveRecordCommand(Workspace *workspace, const QString &id, const QString &name);
    void undo() override;
    void redo() override;

private:
    Workspace *m_workspace;
    QString m_id;
    RemovedRecords m_removed;
};

/// "Select block 13", "Deselect 384 channels", "Lock 3 blocks": what changed between two states.
QString describeSelectionChange(const UnitSet &selectedBefore, const UnitSet &lockedBefore,
                                const UnitSet &selectedAfter, const UnitSet &lockedAfter);

} // namespace secateur
