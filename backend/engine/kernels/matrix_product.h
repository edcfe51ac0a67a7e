#pragma once

#include "backend/engine/kernels/row_product.h"

namespace secateur {

/// true when matrixProduct() knows weights of this kind on this processor: from AVX2 on, bf16 with an even inner
/// dimension and where LibTorch has no faster way (AMX). bf16 is multiplied in pairs where that is faster, else as f32.
bool canMultiplyMatrices(bool isBf16, std::int64_t in);

/// y[r][o] = Σ_k x[r][k]·W[o][k] + bias[o] for r in [firstRow, lastRow) and o in [firstOut, lastOut), for any number of
/// rows. x [rows, in], W, bias [out] (nullptr: none) and y [rows, out] are of one type, f32 or bf16; the sums are f32,
/// and with \a keepsSums y is too.
/// A row has the same result in every batch, to the last bit. Safe to call from several threads for different parts.
void matrixProduct(const WeightRows &weight, const void *x, std::int64_t firstRow, std::int64_t lastRow,
                   std::int64_t firstOut, std::int64_t lastOut, const void *bias, void *y, bool keepsSums = false);

/// The way back through the same weights: dx[r][k] = Σ_o dy[r][o]·W[o][k] for k in [firstIn, lastIn). dy [rows, out]
/// and dx [rows, in] are of W's type. Where canMultiplyMatrices() holds for W's outputs as the inner dimension.
void matrixProductBack(const WeightRows &weight, const void *dy, std::int64_t firstRow, std::int64_t lastRow,
                       std::int64_t firstIn, std::int64_t lastIn, void *dx);

} // namespace secateur
