#include "backend/engine/kernels/tile_product.h"

#include "backend/engine/kernels/tile_product_avx2.h"

#if SECATEUR_X86_KERNELS

#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace secateur {

namespace {

SECATEUR_AVX512 inline __mmask16 tileMask(std::int64_t count)
{
    return static_cast<__mmask16>(count >= 16 ? 0xFFFF : count <= 0 ? 0 : (1 << count) - 1);
}

/// Up to 16 × 16 units: unit c of row r goes to out[c·32 + r]; rows that do not exist count as zero.
SECATEUR_AVX512 void transposeUnits(const std::uint32_t *in, std::int64_t stride, std::int64_t rows,
                                    std::int64_t columns, std::uint32_t *out)
{
    const __mmask16 mask = tileMask(columns);
    __m512i a[16];
    __m512i b[16];
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r)
        a[r] = _mm512_maskz_loadu_epi32(r < rows ? mask : __mmask16{0}, in + (r < rows ? r : 0) * stride);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) { // pairs of rows
        b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) { // fours: a[4i + j] has column 4q + j in quarter q
        a[4 * i] = _mm512_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 1] = _mm512_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 2] = _mm512_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
        a[4 * i + 3] = _mm512_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
        const __m512i low01 = _mm512_shuffle_i32x4(a[j], a[4 + j], 0x88); // quarters 0, 2 of rows 0–3, then of 4–7
        const __m512i high01 = _mm512_shuffle_i32x4(a[j], a[4 + j], 0xDD); // quarters 1, 3
        const __m512i low23 = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0x88);
        const __m512i high23 = _mm512_shuffle_i32x4(a[8 + j], a[12 + j], 0xDD);
        b[j] = _mm512_shuffle_i32x4(low01, low23, 0x88);
        b[4 + j] = _mm512_shuffle_i32x4(high01, high23, 0x88);
        b[8 + j] = _mm512_shuffle_i32x4(low01, low23, 0xDD);
        b[12 + j] = _mm512_shuffle_i32x4(high01, high23, 0xDD);
    }
#pragma GCC unroll 16
    for (int c = 0; c < 16; ++c)
        if (c < columns)
            _mm512_storeu_si512(out + c * kTileColumns, b[c]);
}

// Two versions of one loop: a function's instruction set cannot depend on a template's argument.

/// \a IsWhole: 32 columns; a load under a mask costs the ports that multiply.
template <int Rows, bool IsWhole>
SECATEUR_AVX512 void tileRowsF32(const float *a, std::int64_t aStride, const float *b, std::int64_t bStride,
                                 std::int64_t units, std::int64_t columns, float *c, std::int64_t cStride)
{
    const __mmask16 mask0 = tileMask(columns);
    const __mmask16 mask1 = tileMask(columns - 16);
    __m512 sums[Rows][2];
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r)
        sums[r][0] = sums[r][1] = _mm512_setzero_ps();
    for (std::int64_t u = 0; u < units; ++u, b += bStride, ++a) {
        const __m512 b0 = IsWhole ? _mm512_loadu_ps(b) : _mm512_maskz_loadu_ps(mask0, b);
        const __m512 b1 = IsWhole ? _mm512_loadu_ps(b + 16) : _mm512_maskz_loadu_ps(mask1, b + 16);
        const float *group = a; // three rows at a time: their addresses are one register and a multiple of the stride
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r) {
            const __m512 value = _mm512_set1_ps(group[(r % 3) * aStride]);
            sums[r][0] = _mm512_fmadd_ps(value, b0, sums[r][0]);
            sums[r][1] = _mm512_fmadd_ps(value, b1, sums[r][1]);
            if (r % 3 == 2)
                group += 3 * aStride;
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
        _mm512_mask_storeu_ps(c + r * cStride, mask0, sums[r][0]);
        _mm512_mask_storeu_ps(c + r * cStride + 16, mask1, sums[r][1]);
    }
}

template <int Rows, bool IsWhole>
SECATEUR_AVX512_BF16 void tileRowsBf16(const std::uint32_t *a, std::int64_t aStride, const std::uint32_t *b,
                                       std::int64_t bStride, std::int64_t units, std::int64_t columns, float *c,
                                       std::int64_t cStride)
{
    const __mmask16 mask0 = tileMask(columns);
    const __mmask16 mask1 = tileMask(columns - 16);
    __m512 sums[Rows][2];
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r)
        sums[r][0] = sums[r][1] = _mm512_setzero_ps();
    for (std::int64_t u = 0; u < units; ++u, b += bStride, ++a) {
        const auto b0
            = reinterpret_cast<__m512bh>(IsWhole ? _mm512_loadu_si512(b) : _mm512_maskz_loadu_epi32(mask0, b));
        const auto b1 = reinterpret_cast<__m512bh>(IsWhole ? _mm512_loadu_si512(b + 16)
                                                           : _mm512_maskz_loadu_epi32(mask1, b + 16));
        const std::uint32_t *group = a;
#pragma GCC unroll 12
        for (int r = 0; r < Rows; ++r) {
            const auto value
                = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(group[(r % 3) * aStride])));
            sums[r][0] = _mm512_dpbf16_ps(sums[r][0], value, b0);
            sums[r][1] = _mm512_dpbf16_ps(sums[r][1], value, b1);
            if (r % 3 == 2)
                group += 3 * aStride;
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
        _mm512_mask_storeu_ps(c + r * cStride, mask0, sums[r][0]);
        _mm512_mask_storeu_ps(c + r * cStride + 16, mask1, sums[r][1]);
    }
}

} // namespace

void packPanel(const std::uint32_t *weight, std::int64_t stride, std::int64_t out, std::int64_t units,
               std::int64_t first, std::uint32_t *panel)
{
    if (kernelLevel() < KernelLevel::Avx512) {
        packPanelAvx2(weight, stride, out, units, first, panel);
        return;
    }
    for (std::int64_t half = 0; half < kTileColumns; half += 16) {
        const std::int64_t rows = std::clamp<std::int64_t>(out - first - half, 0, 16);
        const std::uint32_t *from = weight + (rows > 0 ? first + half : 0) * stride;
        for (std::int64_t u = 0; u < units; u += 16)
            transposeUnits(from + u, stride, rows, std::min<std::int64_t>(16, units - u),
                           panel + u * kTileColumns + half);
    }
}

void packPanelWide(const std::uint32_t *weight, std::int64_t stride, std::int64_t out, std::int64_t units,
                   std::int64_t first, std::uint32_t *panel)
{
    const std::uint32_t *pairs = panel + units * kTileColumns; // laid out at the end, taken apart from the front
    packPanel(weight, stride, out, units, first, panel + units * kTileColumns);
    for (std::int64_t unit = 0; unit < units; ++unit, pairs += kTileColumns, panel += 2 * kTileColumns) {
        for (std::int64_t c = 0; c < kTileColumns; ++c) {
            const std::uint32_t pair = pairs[c];
            panel[c] = pair << 16;
            panel[kTileColumns + c] = pair & 0xFFFF0000U;
        }
    }
}

void packColumnsF32(const float *weight, std::int64_t rows, std::int64_t columns, std::int64_t first,
                    std::uint32_t *panel)
{
    const std::int64_t count = std::min(kTileColumns, columns - first);
    for (std::int64_t row = 0; row < rows; ++row, panel += kTileColumns) {
        std::memcpy(panel, weight + row * columns + first, static_cast<std::size_t>(count) * sizeof(float));
        std::fill(panel + count, panel + kTileColumns, 0U);
    }
}

void packColumnsWide(const std::uint16_t *weight, std::int64_t rows, std::int64_t columns, std::int64_t first,
                     std::uint32_t *panel)
{
    const std::int64_t count = std::min(kTileColumns, columns - first);
    for (std::int64_t row = 0; row < rows; ++row, panel += kTileColumns) {
        const std::uint16_t *values = weight + row * columns + first;
        for (std::int64_t c = 0; c < count; ++c)
            panel[c] = static_cast<std::uint32_t>(values[c]) << 16;
        std::fill(panel + count, panel + kTileColumns, 0U);
    }
}

void packColumnsBf16(const std::uint16_t *weight, std::int64_t rows, std::int64_t columns, std::int64_t first,
                     std::uint32_t *panel)
{
    const std::int64_t count = std::min(kTileColumns, columns - first);
    for (std::int64_t row = 0; row < rows; row += 2, panel += kTileColumns) {
        const std::uint16_t *even = weight + row * columns + first;
        const std::uint16_t *odd = even + columns;
        for (std::int64_t c = 0; c < count; ++c)
            panel[c] = even[c] | static_cast<std::uint32_t>(odd[c]) << 16;
        std::fill(panel + count, panel + kTileColumns, 0U);
    }
}

void tileProductF32(const float *a, std::int64_t aStride, std::int64_t rows, const float *b, std::int64_t bStride,
                    std::int64_t units, std::int64_t columns, float *c, std::int64_t cStride)
{
    if (kernelLevel() < KernelLevel::Avx512) {
        tileProductF32Avx2(a, aStride, rows, b, bStride, units, columns, c, cStride);
        return;
    }
    const auto run = [&]<int Rows>() {
        for (; rows >= Rows; rows -= Rows, a += Rows * aStride, c += Rows * cStride) {
            if (columns == kTileColumns)
                tileRowsF32<Rows, true>(a, aStride, b, bStride, units, columns, c, cStride);
            else
                tileRowsF32<Rows, false>(a, aStride, b, bStride, units, columns, c, cStride);
        }
    };
    run.template operator()<12>();
    run.template operator()<6>();
    run.template operator()<3>();
    run.template operator()<1>();
}

void tileProductBf16(const std::uint32_t *a, std::int64_t aStride, std::int64_t rows, const std::uint32_t *b,
                     std::int64_t bStride, std::int64_t units, std::int64_t columns, float *c, std::int64_t cStride)
{
    const auto run = [&]<int Rows>() {
        for (; rows >= Rows; rows -= Rows, a += Rows * aStride, c += Rows * cStride) {
            if (columns == kTileColumns)
                tileRowsBf16<Rows, true>(a, aStride, b, bStride, units, columns, c, cStride);
            else
                tileRowsBf16<Rows, false>(a, aStride, b, bStride, units, columns, c, cStride);
        }
    };
    run.template operator()<12>();
    run.template operator()<6>();
    run.template operator()<3>();
    run.template operator()<1>();
}

} // namespace secateur

#endif
