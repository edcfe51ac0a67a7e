#include "app/commands/prune_commands.h"

#include <QCoreApplication>
#include <QStringList>

namespace secateur {

namespace {

QString commandText(const char *text)
{
    return QCoreApplication::translate("Commands", text);
}

/// "block 13", "3 blocks, 384 channels"
QString describeUnits(const UnitSet &units)
{
    QStringList parts;
    const auto count = [&](UnitKind kind) { return static_cast<int>(countOfKind(units, kind)); };
    if (units.count() == 1 && units.blocks.size() == 1)
        return commandText(QT_TRANSLATE_NOOP("Commands", "block %1")).arg(*units.blocks.begin());
    if (const int blocks = count(UnitKind::Block))
        parts.append(QCoreApplication::translate("Commands", "%n block(s)", nullptr, blocks));
    if (const int groups = count(UnitKind::KvGroup))
        parts.append(QCoreApplication::translate("Commands", "%n KV group(s)", nullptr, groups));
    if (const int channels = count(UnitKind::FfnChannel))
        parts.append(QCoreApplication::translate("Commands", "%n channel(s)", nullptr, channels));
    return parts.join(u", "_qs);
}

} // namespace

QString describeSelectionChange(const UnitSet &selectedBefore, const UnitSet &lockedBefore,
                                const UnitSet &selectedAfter, const UnitSet &lockedAfter)
{
    if (lockedBefore != lockedAfter) {
        const UnitSet locked = unitsMinus(lockedAfter, lockedBefore);
        if (!locked.empty())
            return commandText(QT_TRANSLATE_NOOP("Commands", "Lock %1")).arg(describeUnits(locked));
        return commandText(QT_TRANSLATE_NOOP("Commands", "Unlock %1"))
            .arg(describeUnits(unitsMinus(lockedBefore, lockedAfter)));
    }
    const UnitSet added = unitsMinus(selectedAfter, selectedBefore);
    const UnitSet removed = unitsMinus(selectedBefore, selectedAfter);
    if (selectedAfter.empty())
        return commandText(QT_TRANSLATE_NOOP("Commands", "Clear the selection"));
    if (removed.empty())
        return commandText(QT_TRANSLATE_NOOP("Commands", "Select %1")).arg(describeUnits(added));
    if (added.empty())
        return commandText(QT_TRANSLATE_NOOP("Commands", "Deselect %1")).arg(describeUnits(removed));
    return commandText(QT_TRANSLATE_NOOP("Commands", "Change the selection to %1")).arg(describeUnits(selectedAfter));
}

SelectionCommand::SelectionCommand(PruneSelection *selection, const UnitSet &selectedBefore,
                                   const UnitSet &lockedBefore)
    : m_selection(selection),
      m_selectedBefore(selectedBefore),
      m_lockedBefore(lockedBefore),
      m_selectedAfter(selection->selected()),
      m_lockedAfter(selection->locked())
{
    setText(describeSelectionChange(m_selectedBefore, m_lockedBefore, m_selectedAfter, m_lockedAfter));
}

void SelectionCommand::undo()
{
    m_selection->restore(m_selectedBefore, m_lockedBefore);
    m_done = false;
}

void SelectionCommand::redo()
{
    if (!m_done)
        m_selection->restore(m_selectedAfter, m_lockedAfter);
    m_done = true;
}

CreatePlanCommand::CreatePlanCommand(Workspace *workspace, const PruningPlan &plan)
    : m_workspace(workspace), m_plan(plan)
{
    setText(commandText(QT_TRANSLATE_NOOP("Commands", "Create plan “%1”")).arg(QString::fromStdString(plan.name)));
}

void CreatePlanCommand::undo()
{
    m_removed = m_workspace->take(QString::fromStdString(m_plan.id));
}

void CreatePlanCommand::redo()
{
    if (m_removed)
        m_workspace->putBack(*m_removed);
    else
        m_workspace->insertPlan(m_plan);
}

RenameCommand::RenameCommand(Workspace *workspace, const QString &id, const QString &before, const QString &after)
    : m_workspace(workspace), m_id(id), m_before(before), m_after(after)
{
    setText(commandText(QT_TRANSLATE_NOOP("Commands", "Rename “%1” to “%2”")).arg(before, after));
}

void RenameCommand::undo()
{
    m_workspace->applyName(m_id, m_before);
}

void RenameCommand::redo()
{
    m_workspace->applyName(m_id, m_after);
}

RemoveRecordCommand::RemoveRecordCommand(Workspace *workspace, const QString &id, const QString &name)
    : m_workspace(workspace), m_id(id)
{
    setText(commandText(QT_TRANSLATE_NOOP("Commands", "Delete “%1”")).arg(name));
}

void RemoveRecordCommand::undo()
{
    m_workspace->putBack(m_removed);
}

void RemoveRecordCommand::redo()
{
    m_removed = m_workspace->take(m_id);
}

} // namespace secateur
