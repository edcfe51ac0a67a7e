#pragma once

#include "backend/engine/detail/tensor.h"

namespace secateur {

/// x with a share of its elements set to zero and the rest scaled up, so that the mean stays. Draws one number from the
/// device's global generator; the same state gives the same mask for every number of threads.
Tensor droppedOut(const Tensor &x, double probability);

} // namespace secateur
