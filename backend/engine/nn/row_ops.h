#pragma once

#include "backend/engine/detail/tensor.h"

#include <vector>

namespace secateur {

/// silu(gate) ⊙ up. Without gradients the memory of \a gate is used again.
Tensor gatedProduct(const Tensor &gate, const Tensor &up);

/// Adds Σ_t x[t][c]² of x (T, C) to \a sums [C].
void addSquares(const Tensor &x, std::vector<double> &sums);

/// true when nobody records gradients and the rows of \a x are f32 or bf16 on the CPU, one after the other: the kernels
/// that work row by row, in place and in one pass, may be used.
bool allowsRowKernels(const Tensor &x);

} // namespace secateur
