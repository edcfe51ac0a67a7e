#pragma once

#include "backend/engine/nn/causal_lm.h"

#include <set>
#include <vector>

namespace secateur {

/// The units of one block that stay, as ascending indices into the dense tensors.
struct KeptUnits {
    std::vector<std::int64_t> queryRows; ///< rows of q and columns of o
    std::vector<std::int64_t> kvRows; ///< rows of k and v
    std::vector<std::int64_t> ffnChannels; ///< rows of gate and up, columns of down
};

/// What is left of a block of \a shape when these KV groups and channels go. A group is one key head, one value head
/// and the query heads that read them.
KeptUnits keptUnits(const BlockShape &shape, int headDim, const std::set<int> &removedGroups,
                    const std::set<int> &removedChannels);

/// The linear with only these output rows: weight and bias rows, B rows of a branch. All rows: the same tensors.
Linear withRows(const Linear &linear, const std::vector<std::int64_t> &rows);

/// The linear with only these inputs: weight columns and A columns of a branch. All columns: the same tensors.
Linear withColumns(const Linear &linear, const std::vector<std::int64_t> &columns);

/// The linear with every other input switched off, on the same shape.
Linear withOthersZero(const Linear &linear, const std::vector<std::int64_t> &columns);

/// A linear of the same shape that answers 0.
Linear silenced(const Linear &linear);

} // namespace secateur
