#include "backend/engine/kernels/row_product_avx512.h"

#if SECATEUR_X86_KERNELS

#include <immintrin.h>

#include <algorithm>

namespace secateur {

namespace {

// The two versions differ in what one step multiplies: 16 f32 products per register, or 32 bf16 products summed in
// pairs. Whatever the tile, an output is the same chain of steps over its inputs followed by the same tree over the
// lanes.

constexpr std::int64_t kRowProduct512Block = 16; ///< outputs that are finished for all rows before the next ones

SECATEUR_AVX512 inline float rowProduct512Sum(__m512 lanes)
{
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/// Four trees of rowProduct512Sum() at once.
SECATEUR_AVX512 inline __m128 rowProduct512Sums(__m512 a, __m512 b, __m512 c, __m512 d)
{
    const __m512 low = _mm512_shuffle_f32x4(a, b, 0x44); // a0 a1 b0 b1, quarters
    const __m512 high = _mm512_shuffle_f32x4(a, b, 0xEE); // a2 a3 b2 b3
    const __m512 ab = _mm512_add_ps(low, high); // a0+a2, a1+a3, b0+b2, b1+b3
    const __m512 lowCd = _mm512_shuffle_f32x4(c, d, 0x44);
    const __m512 highCd = _mm512_shuffle_f32x4(c, d, 0xEE);
    const __m512 cd = _mm512_add_ps(lowCd, highCd);
    // quarters a, b, c, d
    const __m512 four = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
    const __m512 two = _mm512_add_ps(four, _mm512_shuffle_ps(four, four, 0xEE));
    const __m512 one = _mm512_add_ps(two, _mm512_shuffle_ps(two, two, 0xF5));
    const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    return _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, one));
}

template <int Rows, int Outputs>
SECATEUR_AVX512 inline void rowProduct512Store(const __m512 (&sums)[Rows][Outputs], float *y, std::int64_t yStride)
{
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
        if constexpr (Outputs % 4 == 0) {
#pragma GCC unroll 8
            for (int o = 0; o < Outputs; o += 4)
                _mm_storeu_ps(y + r * yStride + o,
                              rowProduct512Sums(sums[r][o], sums[r][o + 1], sums[r][o + 2], sums[r][o + 3]));
        } else {
#pragma GCC unroll 8
            for (int o = 0; o < Outputs; ++o)
                y[r * yStride + o] = rowProduct512Sum(sums[r][o]);
        }
    }
}

template <int Rows, int Outputs>
SECATEUR_AVX512 void rowTileF32(const float *weight, std::int64_t in, const float *x, float *y, std::int64_t yStride)
{
    __m512 sums[Rows][Outputs];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o)
            sums[r][o] = _mm512_setzero_ps();
    for (std::int64_t k = 0; k < in; k += 16) {
        const auto mask = static_cast<__mmask16>(in - k >= 16 ? 0xFFFF : (1 << (in - k)) - 1);
        __m512 values[Rows];
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r)
            values[r] = _mm512_maskz_loadu_ps(mask, x + r * in + k);
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o) {
            const __m512 w = _mm512_maskz_loadu_ps(mask, weight + o * in + k);
            // the next tile's weights: few streams at a time do not fill the way from memory
            _mm_prefetch(reinterpret_cast<const char *>(weight + (Outputs + o) * in + k), _MM_HINT_T0);
#pragma GCC unroll 8
            for (int r = 0; r < Rows; ++r)
                sums[r][o] = _mm512_fmadd_ps(values[r], w, sums[r][o]);
        }
    }
    rowProduct512Store(sums, y, yStride);
}

template <int Rows, int Outputs>
SECATEUR_AVX512_BF16 void rowTileBf16(const std::uint16_t *weight, std::int64_t in, const std::uint16_t *x, float *y,
                                      std::int64_t yStride)
{
    __m512 sums[Rows][Outputs];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o)
            sums[r][o] = _mm512_setzero_ps();
    for (std::int64_t k = 0; k < in; k += 32) {
        const auto mask = static_cast<__mmask32>(in - k >= 32 ? 0xFFFFFFFF : (1U << (in - k)) - 1);
        __m512bh values[Rows];
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r)
            values[r] = reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(mask, x + r * in + k));
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o) {
            const auto w = reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(mask, weight + o * in + k));
            // the next tile's weights: few streams at a time do not fill the way from memory
            _mm_prefetch(reinterpret_cast<const char *>(weight + (Outputs + o) * in + k), _MM_HINT_T0);
#pragma GCC unroll 8
            for (int r = 0; r < Rows; ++r)
                sums[r][o] = _mm512_dpbf16_ps(sums[r][o], values[r], w);
        }
    }
    rowProduct512Store(sums, y, yStride);
}

struct RowTilesF32 {
    template <int Rows, int Outputs>
    static void run(const float *weight, std::int64_t in, const float *x, float *y, std::int64_t yStride)
    {
        rowTileF32<Rows, Outputs>(weight, in, x, y, yStride);
    }
};

struct RowTilesBf16 {
    template <int Rows, int Outputs>
    static void run(const std::uint16_t *weight, std::int64_t in, const std::uint16_t *x, float *y,
                    std::int64_t yStride)
    {
        rowTileBf16<Rows, Outputs>(weight, in, x, y, yStride);
    }
};

template <typename Tiles, int Rows, int Outputs, typename Value>
void rowTileRange(const Value *weight, std::int64_t in, const Value *x, std::int64_t first, std::int64_t last, float *y,
                  std::int64_t yStride)
{
    std::int64_t o = first;
    for (; o + Outputs <= last; o += Outputs)
        Tiles::template run<Rows, Outputs>(weight + o * in, in, x, y + o, yStride);
    for (; o < last; ++o)
        Tiles::template run<Rows, 1>(weight + o * in, in, x, y + o, yStride);
}

template <typename Tiles, typename Value>
void rowTilesOver(const Value *weight, std::int64_t in, const Value *x, std::int64_t rows, std::int64_t first,
                  std::int64_t last, float *y, std::int64_t yStride)
{
    for (std::int64_t from = first; from < last; from += kRowProduct512Block) {
        const std::int64_t to = std::min(from + kRowProduct512Block, last);
        std::int64_t r = 0;
        for (; r + 4 <= rows; r += 4)
            rowTileRange<Tiles, 4, 4>(weight, in, x + r * in, from, to, y + r * yStride, yStride);
        for (; r + 2 <= rows; r += 2)
            rowTileRange<Tiles, 2, 8>(weight, in, x + r * in, from, to, y + r * yStride, yStride);
        if (r < rows)
            rowTileRange<Tiles, 1, 8>(weight, in, x + r * in, from, to, y + r * yStride, yStride);
    }
}

} // namespace

void rowProductAvx512(const float *weight, std::int64_t in, const float *x, std::int64_t rows, std::int64_t first,
                      std::int64_t last, float *y, std::int64_t yStride)
{
    rowTilesOver<RowTilesF32>(weight, in, x, rows, first, last, y, yStride);
}

void rowProductAvx512Bf16(const std::uint16_t *weight, std::int64_t in, const std::uint16_t *x, std::int64_t rows,
                          std::int64_t first, std::int64_t last, float *y, std::int64_t yStride)
{
    rowTilesOver<RowTilesBf16>(weight, in, x, rows, first, last, y, yStride);
}

} // namespace secateur

#endif
