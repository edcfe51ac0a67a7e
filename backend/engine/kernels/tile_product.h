#pragma once

#include "backend/engine/kernels/dispatch.h"

#include <cstdint>

#if SECATEUR_X86_KERNELS

// The inside of products with many rows, from KernelLevel::Avx2 on: up to 12 rows × 32 columns of sums (6 × 16 with
// AVX2) stay in registers while units of the inner dimension go by. A unit is 32 bits: one f32 value or two bf16 ones.
// Every sum is one chain over its units in order, whatever the tile, so a row has the same result in every batch, to
// the last bit.

namespace secateur {

constexpr std::int64_t kTileRows = 12;
constexpr std::int64_t kTileColumns = 32;

/// Rows [first, first + 32) of W [out, units], those that exist, as a panel [units][32].
void packPanel(const std::uint32_t *weight, std::int64_t stride, std::int64_t out, std::int64_t units,
               std::int64_t first, std::uint32_t *panel);

/// The same for bf16 weights whose units are pairs, each value widened to f32: a panel [2·units][32].
void packPanelWide(const std::uint32_t *weight, std::int64_t stride, std::int64_t out, std::int64_t units,
                   std::int64_t first, std::uint32_t *panel);

/// Columns [first, first + 32) of W [rows, columns], those that exist, as a panel [units][32] whose units are rows: f32
/// values, bf16 ones widened to f32, or pairs of bf16 ones from two rows (\a rows even).
void packColumnsF32(const float *weight, std::int64_t rows, std::int64_t columns, std::int64_t first,
                    std::uint32_t *panel);
void packColumnsWide(const std::uint16_t *weight, std::int64_t rows, std::int64_t columns, std::int64_t first,
                     std::uint32_t *panel);
void packColumnsBf16(const std::uint16_t *weight, std::int64_t rows, std::int64_t columns, std::int64_t first,
                     std::uint32_t *panel);

/// c[r][j] = Σ_u a[r][u]·b[u][j] for \a rows ≤ 12 and \a columns ≤ 32; nothing outside is read or written.
void tileProductF32(const float *a, std::int64_t aStride, std::int64_t rows, const float *b, std::int64_t bStride,
                    std::int64_t units, std::int64_t columns, float *c, std::int64_t cStride);
/// The same for bf16 pairs at KernelLevel::Avx512Bf16; c is f32.
void tileProductBf16(const std::uint32_t *a, std::int64_t aStride, std::int64_t rows, const std::uint32_t *b,
                     std::int64_t bStride, std::int64_t units, std::int64_t columns, float *c, std::int64_t cStride);

} // namespace secateur

#endif
