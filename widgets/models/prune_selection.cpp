#include "widgets/models/prune_selection.h"

#include "widgets/theme/number_text.h"

#include <QStringList>

#include <algorithm>
#include <utility>

namespace secateur {

namespace {

using UnitMap = std::map<int, std::set<int>>;

/// Members of \a units in [0, limit); copies the set whole when nothing has to go.
std::set<int> membersBelow(const std::set<int> &units, int limit)
{
    if (units.empty() || (*units.begin() >= 0 && *units.rbegin() < limit))
        return units;
    return std::set<int>(units.lower_bound(0), units.lower_bound(limit));
}

} // namespace

QString countedUnits(UnitKind kind, std::int64_t count)
{
    // Two sources per kind, so that the untranslated text is right, too.
    switch (kind) {
    case UnitKind::Block:
        return (count == 1 ? PruneSelection::tr("%1 block") : PruneSelection::tr("%1 blocks")).arg(exactCount(count));
    case UnitKind::KvGroup:
        return (count == 1 ? PruneSelection::tr("%1 KV group") : PruneSelection::tr("%1 KV groups"))
            .arg(exactCount(count));
    case UnitKind::FfnChannel:
        return (count == 1 ? PruneSelection::tr("%1 channel") : PruneSelection::tr("%1 channels"))
            .arg(exactCount(count));
    }
    return {};
}

PruneSelection::PruneSelection(QObject *parent) : QObject(parent)
{ }

void PruneSelection::setConfig(const ModelConfig &config)
{
    m_config = config;
    const bool hadSelection = !m_selected.empty();
    const bool hadLocks = !m_locked.empty();
    m_selected = {};
    m_locked = {};
    m_highlighted = {};
    m_gesture = 0;
    Q_EMIT configChanged();
    if (hadSelection)
        Q_EMIT changed();
    if (hadLocks)
        Q_EMIT lockedChanged();
}

std::int64_t PruneSelection::unitCount(UnitKind kind) const
{
    if (kind == UnitKind::Block)
        return m_config.layers();
    std::int64_t count = 0;
    for (const BlockShape &block : m_config.blocks)
        count += kind == UnitKind::KvGroup ? block.kvHeads : block.intermediateSize;
    return count;
}

UnitSet PruneSelection::existing(const UnitSet &units) const
{
    const int layers = m_config.layers();
    UnitSet result;
    result.blocks = membersBelow(units.blocks, layers);
    for (const auto &[block, members] : units.kvGroups) {
        if (block < 0 || block >= layers)
            continue;
        if (std::set<int> kept = membersBelow(members, m_config.blocks[static_cast<std::size_t>(block)].kvHeads);
            !kept.empty())
            result.kvGroups.emplace(block, std::move(kept));
    }
    for (const auto &[block, members] : units.ffnChannels) {
        if (block < 0 || block >= layers)
            continue;
        if (std::set<int> kept
            = membersBelow(members, m_config.blocks[static_cast<std::size_t>(block)].intermediateSize);
            !kept.empty())
            result.ffnChannels.emplace(block, std::move(kept));
    }
    return result;
}

UnitSet PruneSelection::selectable(const UnitSet &units) const
{
    UnitSet result = existing(units);
    if (m_locked.empty())
        return result;
    for (const int block : m_locked.blocks) {
        result.blocks.erase(block);
        result.kvGroups.erase(block);
        result.ffnChannels.erase(block);
    }
    for (const auto &[block, members] : m_locked.kvGroups)
        result.blocks.erase(block);
    for (const auto &[block, members] : m_locked.ffnChannels)
        result.blocks.erase(block);
    return unitsMinus(std::move(result), m_locked);
}

bool PruneSelection::isProtected(UnitKind kind, int block, int unit) const
{
    if (m_locked.blocks.contains(block))
        return true;
    const auto inside = [block](const UnitMap &units) { return units.find(block); };
    const auto groups = inside(m_locked.kvGroups);
    const auto channels = inside(m_locked.ffnChannels);
    switch (kind) {
    case UnitKind::Block:
        return groups != m_locked.kvGroups.end() || channels != m_locked.ffnChannels.end();
    case UnitKind::KvGroup:
        return groups != m_locked.kvGroups.end() && groups->second.contains(unit);
    case UnitKind::FfnChannel:
        return channels != m_locked.ffnChannels.end() && channels->second.contains(unit);
    }
    return false;
}

void PruneSelection::apply(UnitSet selected, UnitSet locked, bool commit)
{
    const bool selectionDiffers = selected != m_selected;
    const bool locksDiffer = locked != m_locked;
    if (!selectionDiffers && !locksDiffer)
        return;
    const bool commitNow = commit && m_gesture == 0;
    UnitSet selectedBefore = commitNow ? m_selected : UnitSet{};
    UnitSet lockedBefore = commitNow ? m_locked : UnitSet{};
    m_selected = std::move(selected);
    m_locked = std::move(locked);
    if (locksDiffer)
        Q_EMIT lockedChanged();
    if (selectionDiffers)
        Q_EMIT changed();
    if (commitNow)
        Q_EMIT committed(selectedBefore, lockedBefore);
}

void PruneSelection::setSelected(const UnitSet &units)
{
    apply(selectable(units), m_locked, true);
}

void PruneSelection::replace(const UnitSet &units, UnitKind kind)
{
    UnitSet next = m_selected;
    if (kind == UnitKind::Block || !units.blocks.empty())
        next.blocks.clear();
    if (kind == UnitKind::KvGroup || !units.kvGroups.empty())
        next.kvGroups.clear();
    if (kind == UnitKind::FfnChannel || !units.ffnChannels.empty())
        next.ffnChannels.clear();
    apply(unitsUnion(std::move(next), selectable(units)), m_locked, true);
}

void PruneSelection::add(const UnitSet &units)
{
    apply(unitsUnion(m_selected, selectable(units)), m_locked, true);
}

void PruneSelection::remove(const UnitSet &units)
{
    apply(unitsMinus(m_selected, units), m_locked, true);
}

void PruneSelection::toggle(const UnitSet &units)
{
    const UnitSet possible = selectable(units);
    if (unitsContain(m_selected, possible))
        remove(possible);
    else
        add(possible);
}

void PruneSelection::invert(UnitKind kind)
{
    UnitSet all;
    for (int block = 0; block < m_config.layers(); ++block) {
        const BlockShape &shape = m_config.blocks[static_cast<std::size_t>(block)];
        if (kind == UnitKind::Block) {
            all.blocks.insert(all.blocks.end(), block);
            continue;
        }
        const int width = kind == UnitKind::KvGroup ? shape.kvHeads : shape.intermediateSize;
        std::set<int> &members = kind == UnitKind::KvGroup ? all.kvGroups[block] : all.ffnChannels[block];
        for (int unit = 0; unit < width; ++unit)
            members.insert(members.end(), unit);
    }
    const UnitSet chosen = unitsOfKind(m_selected, kind);
    const UnitSet rest = unitsMinus(m_selected, chosen);
    apply(unitsUnion(rest, selectable(unitsMinus(std::move(all), chosen))), m_locked, true);
}

void PruneSelection::clear()
{
    apply({}, m_locked, true);
}

void PruneSelection::lock(const UnitSet &units)
{
    const UnitSet added = existing(units);
    UnitSet locked = unitsUnion(m_locked, added);
    // What the new locks protect leaves the selection, so that nothing is both locked and marked for removal.
    const UnitSet before = std::exchange(m_locked, locked);
    UnitSet kept = selectable(m_selected);
    m_locked = before;
    apply(std::move(kept), std::move(locked), true);
}

void PruneSelection::unlock(const UnitSet &units)
{
    apply(m_selected, unitsMinus(m_locked, units), true);
}

void PruneSelection::toggleLock(const UnitSet &units)
{
    const UnitSet there = existing(units);
    if (there.empty())
        return;
    if (unitsContain(m_locked, there))
        unlock(there);
    else
        lock(there);
}

void PruneSelection::restore(const UnitSet &selected, const UnitSet &locked)
{
    UnitSet locks = existing(locked);
    const UnitSet before = std::exchange(m_locked, locks);
    UnitSet chosen = selectable(selected);
    m_locked = before;
    apply(std::move(chosen), std::move(locks), false);
}

void PruneSelection::setHighlighted(const UnitSet &units)
{
    if (units == m_highlighted)
        return;
    m_highlighted = units;
    Q_EMIT highlightedChanged();
}

void PruneSelection::beginGesture()
{
    if (m_gesture++ == 0) {
        m_gestureSelected = m_selected;
        m_gestureLocked = m_locked;
    }
}

void PruneSelection::endGesture()
{
    if (m_gesture == 0 || --m_gesture > 0)
        return;
    const UnitSet selectedBefore = std::exchange(m_gestureSelected, {});
    const UnitSet lockedBefore = std::exchange(m_gestureLocked, {});
    if (selectedBefore != m_selected || lockedBefore != m_locked)
        Q_EMIT committed(selectedBefore, lockedBefore);
}

QString PruneSelection::headline() const
{
    QStringList parts;
    for (const UnitKind kind : {UnitKind::Block, UnitKind::KvGroup, UnitKind::FfnChannel}) {
        if (const std::int64_t count = countOfKind(m_selected, kind))
            parts << countedUnits(kind, count);
    }
    return parts.isEmpty() ? tr("Nothing selected") : tr("%1 selected").arg(parts.join(QStringLiteral(", ")));
}

} // namespace secateur
