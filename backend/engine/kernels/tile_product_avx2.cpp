#include "backend/engine/kernels/tile_product_avx2.h"

#include "backend/engine/kernels/tile_product.h"

#if SECATEUR_X86_KERNELS

#include <immintrin.h>

#include <algorithm>

namespace secateur {

namespace {

constexpr std::int64_t kAvx2Columns = 16; ///< of sums in registers, for up to 6 rows

SECATEUR_AVX2 inline __m256i laneMask(std::int64_t count)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(std::clamp<std::int64_t>(count, 0, 8))), lanes);
}

/// Up to 8 × 8 units: unit c of row r goes to out[c·32 + r]; rows that do not exist count as zero.
SECATEUR_AVX2 void transposeEight(const std::uint32_t *in, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                                  std::uint32_t *out)
{
    const __m256i mask = laneMask(columns);
    __m256 a[8];
    __m256 b[8];
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r)
        a[r] = r < rows ? _mm256_maskload_ps(reinterpret_cast<const float *>(in + r * stride), mask)
                        : _mm256_setzero_ps();
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) { // pairs of rows
        b[2 * i] = _mm256_unpacklo_ps(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm256_unpackhi_ps(a[2 * i], a[2 * i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) { // fours: a[4i + j] has columns j and 4 + j
        a[4 * i] = _mm256_shuffle_ps(b[4 * i], b[4 * i + 2], 0x44);
        a[4 * i + 1] = _mm256_shuffle_ps(b[4 * i], b[4 * i + 2], 0xEE);
        a[4 * i + 2] = _mm256_shuffle_ps(b[4 * i + 1], b[4 * i + 3], 0x44);
        a[4 * i + 3] = _mm256_shuffle_ps(b[4 * i + 1], b[4 * i + 3], 0xEE);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
        b[j] = _mm256_permute2f128_ps(a[j], a[4 + j], 0x20);
        b[4 + j] = _mm256_permute2f128_ps(a[j], a[4 + j], 0x31);
    }
#pragma GCC unroll 8
    for (int c = 0; c < 8; ++c)
        if (c < columns)
            _mm256_storeu_ps(reinterpret_cast<float *>(out + c * kTileColumns), b[c]);
}

/// Rows × 16 sums; \a IsPart: only the first \a columns of them exist.
template <int Rows, bool IsPart>
SECATEUR_AVX2 void tileRowsAvx2(const float *a, std::int64_t aStride, const float *b, std::int64_t bStride,
                                std::int64_t units, std::int64_t columns, float *c, std::int64_t cStride)
{
    const __m256i mask0 = laneMask(columns);
    const __m256i mask1 = laneMask(columns - 8);
    __m256 sums[Rows][2];
#pragma GCC unroll 6
    for (int r = 0; r < Rows; ++r)
        sums[r][0] = sums[r][1] = _mm256_setzero_ps();
    const float *lower = a + 3 * aStride; // addresses of three rows are one register and a multiple of the stride
    for (std::int64_t u = 0; u < units; ++u, b += bStride, ++a, ++lower) {
        const __m256 b0 = IsPart ? _mm256_maskload_ps(b, mask0) : _mm256_loadu_ps(b);
        const __m256 b1 = IsPart ? _mm256_maskload_ps(b + 8, mask1) : _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
        for (int r = 0; r < Rows; ++r) {
            const __m256 value = _mm256_broadcast_ss(r < 3 ? a + r * aStride : lower + (r - 3) * aStride);
            sums[r][0] = _mm256_fmadd_ps(value, b0, sums[r][0]);
            sums[r][1] = _mm256_fmadd_ps(value, b1, sums[r][1]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < Rows; ++r) {
        if (IsPart) {
            _mm256_maskstore_ps(c + r * cStride, mask0, sums[r][0]);
            _mm256_maskstore_ps(c + r * cStride + 8, mask1, sums[r][1]);
        } else {
            _mm256_storeu_ps(c + r * cStride, sums[r][0]);
            _mm256_storeu_ps(c + r * cStride + 8, sums[r][1]);
        }
    }
}

template <bool IsPart>
void tileColumnsAvx2(const float *a, std::int64_t aStride, std::int64_t rows, const float *b, std::int64_t bStride,
                     std::int64_t units, std::int64_t columns, float *c, std::int64_t cStride)
{
    const auto run = [&]<int Rows>() {
        for (; rows >= Rows; rows -= Rows, a += Rows * aStride, c += Rows * cStride)
            tileRowsAvx2<Rows, IsPart>(a, aStride, b, bStride, units, columns, c, cStride);
    };
    run.template operator()<6>();
    run.template operator()<4>();
    run.template operator()<2>();
    run.template operator()<1>();
}

} // namespace

void packPanelAvx2(const std::uint32_t *weight, std::int64_t stride, std::int64_t out, std::int64_t units,
                   std::int64_t first, std::uint32_t *panel)
{
    for (std::int64_t part = 0; part < kTileColumns; part += 8) {
        const std::int64_t rows = std::clamp<std::int64_t>(out - first - part, 0, 8);
        const std::uint32_t *from = weight + (rows > 0 ? first + part : 0) * stride;
        for (std::int64_t u = 0; u < units; u += 8)
            transposeEight(from + u, stride, rows, std::min<std::int64_t>(8, units - u),
                           panel + u * kTileColumns + part);
    }
}

void tileProductF32Avx2(const float *a, std::int64_t aStride, std::int64_t rows, const float *b, std::int64_t bStride,
                        std::int64_t units, std::int64_t columns, float *c, std::int64_t cStride)
{
    for (; columns > 0; columns -= kAvx2Columns, b += kAvx2Columns, c += kAvx2Columns) {
        if (columns >= kAvx2Columns)
            tileColumnsAvx2<false>(a, aStride, rows, b, bStride, units, kAvx2Columns, c, cStride);
        else
            tileColumnsAvx2<true>(a, aStride, rows, b, bStride, units, columns, c, cStride);
    }
}

} // namespace secateur

#endif
