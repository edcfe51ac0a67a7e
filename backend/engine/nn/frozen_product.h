#pragma once

#include "backend/engine/detail/tensor.h"

namespace secateur {

/// true when rowsProduct() knows these types and layouts: contiguous, on the CPU, f32 or bf16.
bool allowsRowsProduct(const Tensor &x, const Tensor &weight, const Tensor &bias);

/// x·Wᵀ + b by the kernels, without autograd: x (T, in), weight [out, in] → (T, out); f32 with \a keepsSums.
Tensor rowsProduct(const Tensor &x, const Tensor &weight, const Tensor &bias, bool keepsSums = false);

/// The same with a gradient for x alone: the weights are not trained. Where allowsFrozenProduct() holds.
bool allowsFrozenProduct(const Tensor &x, const Tensor &weight, const Tensor &bias);
Tensor frozenProduct(const Tensor &x, const Tensor &weight, const Tensor &bias);

} // namespace secateur
