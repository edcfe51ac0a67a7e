#pragma once

#include "backend/stats/twin_maps.h"

#include <QString>

namespace secateur {

/// What the maps of two siblings say about each other, in words: one sentence, then its evidence. Nothing is claimed
/// that the interval or the test does not carry.
struct TwinStatement {
    QString sentence;
    QString evidence;
};

/// \a influence compares the block influence of both (null: not there), \a shown the map on view; \a first and
/// \a second are the names in the order of the difference.
TwinStatement twinStatement(const TwinComparison *influence, const TwinComparison &shown, const QString &first,
                            const QString &second);

} // namespace secateur
