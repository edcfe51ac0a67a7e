#pragma once

#include <cstdint>

namespace secateur {

/// The query heads of one sequence that share one key and value head, all f32. Token t of the queries starts at
/// q + t·qStride with `queryHeads` heads of `headDim` values each; keys and values at k + t·kStride and v + t·vStride.
struct CausalGroup {
    const float *q = nullptr;
    const float *k = nullptr;
    const float *v = nullptr;
    float *out = nullptr; ///< laid out as q, with outStride
    std::int64_t qStride = 0, kStride = 0, vStride = 0, outStride = 0;
    std::int64_t queryHeads = 1;
    std::int64_t headDim = 0;
    std::int64_t past = 0; ///< keys in front of the first query: query i sees keys 0 … past + i
    std::int64_t window = 0; ///< > 0: only that many latest ones
    float scale = 1;
};

/// true when causalAttention() runs on this processor (AVX2 or better).
bool canAttendCausally();

/// softmax(q·kᵀ·scale)·v for the queries [first, last) of \a group. A query's result does not depend on which others
/// are computed with it, to the last bit. Safe to call from several threads for different queries.
void causalAttention(const CausalGroup &group, std::int64_t first, std::int64_t last);

} // namespace secateur
