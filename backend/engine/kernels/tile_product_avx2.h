#pragma once

#include "backend/engine/kernels/dispatch.h"

#include <cstdint>

#if SECATEUR_X86_KERNELS

namespace secateur {

/// packPanel() of tile_product.h at KernelLevel::Avx2.
void packPanelAvx2(const std::uint32_t *weight, std::int64_t stride, std::int64_t out, std::int64_t units,
                   std::int64_t first, std::uint32_t *panel);

/// tileProductF32() of tile_product.h at KernelLevel::Avx2, with the same sums to the last bit: the chains are the
/// same.
void tileProductF32Avx2(const float *a, std::int64_t aStride, std::int64_t rows, const float *b, std::int64_t bStride,
                        std::int64_t units, std::int64_t columns, float *c, std::int64_t cStride);

} // namespace secateur

#endif
