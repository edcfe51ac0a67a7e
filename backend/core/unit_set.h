#pragma once

#include <cstdint>
#include <map>
#include <set>

namespace secateur {

enum class UnitKind { Block, KvGroup, FfnChannel };

/// A set of removed units. All indices are those of the dense model, 0-based.
/// Comparison and serialisation see ordered sets, so equal plans are equal whatever the order of clicks.
struct UnitSet {
    std::set<int> blocks;
    std::map<int, std::set<int>> kvGroups; ///< block → KV groups; a group is 1 key, 1 value, rep query heads
    std::map<int, std::set<int>> ffnChannels; ///< block → FFN channels

    bool empty() const { return blocks.empty() && kvGroups.empty() && ffnChannels.empty(); }
    std::int64_t count() const; ///< units in all
    bool operator==(const UnitSet &) const = default;
};

UnitSet unitsUnion(UnitSet left, const UnitSet &right);
UnitSet unitsMinus(UnitSet left, const UnitSet &right);
bool unitsContain(const UnitSet &all, const UnitSet &part);
bool unitsIntersect(const UnitSet &left, const UnitSet &right);
/// Units of one kind only.
UnitSet unitsOfKind(const UnitSet &units, UnitKind kind);
std::int64_t countOfKind(const UnitSet &units, UnitKind kind);
UnitSet blockUnits(const std::set<int> &blocks);

} // namespace secateur
