#pragma once

#include "backend/engine/nn/shared_prefixes.h"

#include <cstdint>
#include <vector>

namespace secateur {

/// Causal attention inside each sequence of a packed batch: q (T, H, h), k and v (T, K, h) → (T, H·h).
/// \a offsets as in PackedBatch; \a window > 0 lets a query see that many latest keys only.
Tensor packedAttention(const Tensor &q, const Tensor &k, const Tensor &v, const std::vector<std::int64_t> &offsets,
                       std::int64_t window);

/// The same along each sequence of a batch that shares prefixes.
Tensor sharedPrefixAttention(const Tensor &q, const Tensor &k, const Tensor &v, const SharedPrefixBatch &batch,
                             std::int64_t window);

} // namespace secateur
