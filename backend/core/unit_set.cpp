#include "backend/core/unit_set.h"

#include <algorithm>

namespace secateur {

namespace {

using UnitMap = std::map<int, std::set<int>>;

void uniteUnitMaps(UnitMap &into, const UnitMap &from)
{
    for (const auto &[block, units] : from) {
        if (!units.empty())
            into[block].insert(units.begin(), units.end());
    }
}

void subtractUnitMap(UnitMap &from, const UnitMap &what)
{
    for (const auto &[block, units] : what) {
        const auto found = from.find(block);
        if (found == from.end())
            continue;
        for (const int unit : units)
            found->second.erase(unit);
        if (found->second.empty())
            from.erase(found);
    }
}

bool containsUnitMap(const UnitMap &all, const UnitMap &part)
{
    for (const auto &[block, units] : part) {
        if (units.empty())
            continue;
        const auto found = all.find(block);
        if (found == all.end()
            || !std::includes(found->second.begin(), found->second.end(), units.begin(), units.end()))
            return false;
    }
    return true;
}

bool intersectUnitMaps(const UnitMap &left, const UnitMap &right)
{
    for (const auto &[block, units] : right) {
        const auto found = left.find(block);
        if (found == left.end())
            continue;
        for (const int unit : units) {
            if (found->second.contains(unit))
                return true;
        }
    }
    return false;
}

std::int64_t countUnitMap(const UnitMap &units)
{
    std::int64_t count = 0;
    for (const auto &[block, members] : units)
        count += static_cast<std::int64_t>(members.size());
    return count;
}

} // namespace

std::int64_t UnitSet::count() const
{
    return static_cast<std::int64_t>(blocks.size()) + countUnitMap(kvGroups) + countUnitMap(ffnChannels);
}

UnitSet unitsUnion(UnitSet left, const UnitSet &right)
{
    left.blocks.insert(right.blocks.begin(), right.blocks.end());
    uniteUnitMaps(left.kvGroups, right.kvGroups);
    uniteUnitMaps(left.ffnChannels, right.ffnChannels);
    return left;
}

UnitSet unitsMinus(UnitSet left, const UnitSet &right)
{
    for (const int block : right.blocks)
        left.blocks.erase(block);
    subtractUnitMap(left.kvGroups, right.kvGroups);
    subtractUnitMap(left.ffnChannels, right.ffnChannels);
    return left;
}

bool unitsContain(const UnitSet &all, const UnitSet &part)
{
    return std::includes(all.blocks.begin(), all.blocks.end(), part.blocks.begin(), part.blocks.end())
        && containsUnitMap(all.kvGroups, part.kvGroups) && containsUnitMap(all.ffnChannels, part.ffnChannels);
}

bool unitsIntersect(const UnitSet &left, const UnitSet &right)
{
    for (const int block : right.blocks) {
        if (left.blocks.contains(block))
            return true;
    }
    return intersectUnitMaps(left.kvGroups, right.kvGroups) || intersectUnitMaps(left.ffnChannels, right.ffnChannels);
}

UnitSet unitsOfKind(const UnitSet &units, UnitKind kind)
{
    UnitSet result;
    switch (kind) {
    case UnitKind::Block:
        result.blocks = units.blocks;
        break;
    case UnitKind::KvGroup:
        result.kvGroups = units.kvGroups;
        break;
    case UnitKind::FfnChannel:
        result.ffnChannels = units.ffnChannels;
        break;
    }
    return result;
}

std::int64_t countOfKind(const UnitSet &units, UnitKind kind)
{
    switch (kind) {
    case UnitKind::Block:
        return static_cast<std::int64_t>(units.blocks.size());
    case UnitKind::KvGroup:
        return countUnitMap(units.kvGroups);
    case UnitKind::FfnChannel:
        return countUnitMap(units.ffnChannels);
    }
    return 0;
}

UnitSet blockUnits(const std::set<int> &blocks)
{
    UnitSet units;
    units.blocks = blocks;
    return units;
}

} // namespace secateur
