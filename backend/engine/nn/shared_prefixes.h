#pragma once

#include "backend/engine/nn/causal_lm.h"

#include <cstdint>
#include <span>
#include <vector>

namespace secateur {

/// Sequences laid end to end as in PackedBatch, but what they have in common in front is there once only: choices after
/// one context, tasks after the same examples, samples of one prompt. Each token sees what it would see alone.
struct SharedPrefixBatch {
    /// Rows [first, last) see the `past` rows in front of them, which may be another sequence's, and themselves; all
    /// these are in `keyRows` from `keys` on.
    struct Segment {
        std::int64_t first = 0, last = 0, past = 0, keys = 0;
    };

    Tensor ids; ///< [T] int64
    Tensor positions; ///< [T] int64, in the row's own sequence
    std::vector<std::vector<std::int32_t>> rows; ///< of each sequence: the row of each of its tokens
    std::vector<Segment> segments; ///< in the order of their rows
    Tensor keyRows; ///< int64
};
SharedPrefixBatch sharePrefixes(std::span<const TokenIds> sequences, const at::Device &device);

/// Tokens that two sequences have in common in front.
std::int64_t commonPrefix(const TokenIds &a, const TokenIds &b);

} // namespace secateur
