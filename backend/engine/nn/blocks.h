#pragma once

#include "backend/engine/nn/causal_lm.h"

#include <functional>

namespace secateur {

/// Mixes tokens inside block \a block: q (T, H, h), k and v (T, K, h), rotated → (T, H·h).
using Attend = std::function<Tensor(int block, const Tensor &q, const Tensor &k, const Tensor &v)>;

/// One block over \a hidden (T, D); \a rotary: cos and sin of the rows, as rotaryTables() gives them. `taps.hidden` is
/// left to the caller.
Tensor runBlock(const Model::Impl &model, int index, Tensor hidden, const std::pair<Tensor, Tensor> &rotary,
                const Attend &attend, const ForwardTaps &taps = {}, bool training = false);

/// The blocks over the rows of \a ids at \a positions, with attention left to \a attend: (T, D), before the final norm.
Tensor runBlocks(const Model::Impl &model, const Tensor &ids, const Tensor &positions, const Attend &attend,
                 const ForwardTaps &taps = {}, bool training = false);

} // namespace secateur
