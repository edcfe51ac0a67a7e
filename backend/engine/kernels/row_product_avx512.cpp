#include "backend/engine/kernels/row_product_avx512.h"

#include "backend/engine/kernels/bf16_rows.h"

#if SECATEUR_X86_KERNELS

#include <immintrin.h>

#include <algorithm>

namespace secateur {

namespace {

// Whatever the tile, an output is the same chain of steps over its inputs followed by the same tree over the lanes. A
// step multiplies 16 f32 values, or 32 bf16 values in pairs, or 16 even and then 16 odd bf16 values widened to f32.
//
// One or two rows wait for the weights, so the next tile's are called into the first-level cache. More rows compute
// longer than that: a block of weights that the first-level cache holds is used by all of them, and meanwhile the next
// block comes into the second-level cache, an even share of it with every group of rows.

/// What a group of rows calls in of the weights `distance` outputs on: every line number \a group of `groups`. One at
/// a time: many at once would hold up the loads of what is computed.
struct RowPrefetch {
    std::int64_t distance = 0, group = 0, groups = 1;
};

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

/// Calls in weights while step k is computed.
template <int Rows, int Outputs, typename Weight>
SECATEUR_AVX512 inline void rowTilePrefetch(const Weight *weight, std::int64_t in, std::int64_t k,
                                            const RowPrefetch &next, std::int64_t &line)
{
    if constexpr (Rows <= 2) {
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o)
            _mm_prefetch(reinterpret_cast<const char *>(weight + (Outputs + o) * in + k), _MM_HINT_T0);
    } else {
        for (; line < Outputs; line += next.groups)
            _mm_prefetch(reinterpret_cast<const char *>(weight + (next.distance + line) * in + k), _MM_HINT_T1);
        line -= Outputs;
    }
}

template <int Rows, int Outputs> SECATEUR_AVX512 inline void rowTileClear(__m512 (&sums)[Rows][Outputs])
{
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o)
            sums[r][o] = _mm512_setzero_ps();
}

// A load under a mask costs the ports that multiply, so only the last step, which may be a part of one, has it.

template <int Rows, int Outputs, bool IsPart>
SECATEUR_AVX512 inline void rowStep(const float *weight, std::int64_t in, const float *x, std::int64_t xStride,
                                    std::int64_t k, __m512 (&sums)[Rows][Outputs])
{
    const auto mask = static_cast<__mmask16>(IsPart ? (1 << (in - k)) - 1 : 0xFFFF);
    __m512 weights[Outputs];
#pragma GCC unroll 8
    for (int o = 0; o < Outputs; ++o)
        weights[o] = IsPart ? _mm512_maskz_loadu_ps(mask, weight + o * in + k) : _mm512_loadu_ps(weight + o * in + k);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
        const __m512 value
            = IsPart ? _mm512_maskz_loadu_ps(mask, x + r * xStride + k) : _mm512_loadu_ps(x + r * xStride + k);
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o)
            sums[r][o] = _mm512_fmadd_ps(value, weights[o], sums[r][o]);
    }
}

template <int Rows, int Outputs, bool IsPart>
SECATEUR_AVX512 inline void rowStep(const std::uint16_t *weight, std::int64_t in, const float *x, std::int64_t xStride,
                                    std::int64_t k, __m512 (&sums)[Rows][Outputs])
{
    const auto mask = static_cast<__mmask32>(IsPart ? (1U << (in - k)) - 1 : 0xFFFFFFFF);
    const __m512i odd = _mm512_set1_epi32(static_cast<int>(0xFFFF0000U));
    __m512 weights[Outputs];
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o) {
            const __m512i pairs = IsPart ? _mm512_maskz_loadu_epi16(mask, weight + o * in + k)
                                         : _mm512_loadu_si512(weight + o * in + k);
            weights[o] = _mm512_castsi512_ps(half == 0 ? _mm512_slli_epi32(pairs, 16) : _mm512_and_si512(odd, pairs));
        }
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r) {
            const __m512 value = _mm512_loadu_ps(x + r * xStride + k + 16 * half);
#pragma GCC unroll 8
            for (int o = 0; o < Outputs; ++o)
                sums[r][o] = _mm512_fmadd_ps(value, weights[o], sums[r][o]);
        }
    }
}

/// With f32 weights, or with bf16 ones and inputs as widenRowsAvx512() lays them out.
template <int Rows, int Outputs, typename Weight>
SECATEUR_AVX512 void rowTileF32(const Weight *weight, std::int64_t in, const float *x, std::int64_t xStride, float *y,
                                std::int64_t yStride, const RowPrefetch &next)
{
    constexpr std::int64_t kStep = 64 / sizeof(Weight); // a cache line
    __m512 sums[Rows][Outputs];
    rowTileClear(sums);
    std::int64_t line = next.group;
    std::int64_t k = 0;
    for (; k + kStep <= in; k += kStep) {
        rowTilePrefetch<Rows, Outputs>(weight, in, k, next, line);
        rowStep<Rows, Outputs, false>(weight, in, x, xStride, k, sums);
    }
    if (k < in)
        rowStep<Rows, Outputs, true>(weight, in, x, xStride, k, sums);
    rowProduct512Store(sums, y, yStride);
}

template <int Rows, int Outputs, bool IsPart>
SECATEUR_AVX512_BF16 inline void rowStepBf16(const std::uint16_t *weight, std::int64_t in, const std::uint16_t *x,
                                             std::int64_t xStride, std::int64_t k, __m512 (&sums)[Rows][Outputs])
{
    const auto mask = static_cast<__mmask32>(IsPart ? (1U << (in - k)) - 1 : 0xFFFFFFFF);
    __m512bh weights[Outputs];
#pragma GCC unroll 8
    for (int o = 0; o < Outputs; ++o)
        weights[o] = reinterpret_cast<__m512bh>(IsPart ? _mm512_maskz_loadu_epi16(mask, weight + o * in + k)
                                                       : _mm512_loadu_si512(weight + o * in + k));
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
        const auto value = reinterpret_cast<__m512bh>(IsPart ? _mm512_maskz_loadu_epi16(mask, x + r * xStride + k)
                                                             : _mm512_loadu_si512(x + r * xStride + k));
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o)
            sums[r][o] = _mm512_dpbf16_ps(sums[r][o], value, weights[o]);
    }
}

template <int Rows, int Outputs>
SECATEUR_AVX512_BF16 void rowTileBf16(const std::uint16_t *weight, std::int64_t in, const std::uint16_t *x,
                                      std::int64_t xStride, float *y, std::int64_t yStride, const RowPrefetch &next)
{
    __m512 sums[Rows][Outputs];
    rowTileClear(sums);
    std::int64_t line = next.group;
    std::int64_t k = 0;
    for (; k + 32 <= in; k += 32) {
        rowTilePrefetch<Rows, Outputs>(weight, in, k, next, line);
        rowStepBf16<Rows, Outputs, false>(weight, in, x, xStride, k, sums);
    }
    if (k < in)
        rowStepBf16<Rows, Outputs, true>(weight, in, x, xStride, k, sums);
    rowProduct512Store(sums, y, yStride);
}

struct RowTilesF32 {
    template <int Rows, int Outputs> static constexpr auto run = rowTileF32<Rows, Outputs, float>;
};

struct RowTilesWide {
    template <int Rows, int Outputs> static constexpr auto run = rowTileF32<Rows, Outputs, std::uint16_t>;
};

struct RowTilesBf16 {
    template <int Rows, int Outputs> static constexpr auto run = rowTileBf16<Rows, Outputs>;
};

template <typename Tiles, int Rows, int Outputs, typename Weight, typename Value>
void rowTileRange(const Weight *weight, std::int64_t in, const Value *x, std::int64_t xStride, std::int64_t first,
                  std::int64_t last, float *y, std::int64_t yStride, const RowPrefetch &next)
{
    std::int64_t o = first;
    for (; o + Outputs <= last; o += Outputs)
        Tiles::template run<Rows, Outputs>(weight + o * in, in, x, xStride, y + o, yStride, next);
    for (; o < last; ++o)
        Tiles::template run<Rows, 1>(weight + o * in, in, x, xStride, y + o, yStride, next);
}

template <typename Tiles, typename Weight, typename Value>
void rowTilesOver(const Weight *weight, std::int64_t in, const Value *x, std::int64_t xStride, std::int64_t rows,
                  std::int64_t first, std::int64_t last, float *y, std::int64_t yStride)
{
    if (rows == 1) {
        rowTileRange<Tiles, 1, 8>(weight, in, x, xStride, first, last, y, yStride, {});
        return;
    }
    if (rows == 2) {
        rowTileRange<Tiles, 2, 8>(weight, in, x, xStride, first, last, y, yStride, {});
        return;
    }
    constexpr std::int64_t kBlockBytes = 28 << 10; // beside the rows of a group in the first-level cache
    const std::int64_t block
        = std::clamp<std::int64_t>(kBlockBytes / (in * static_cast<std::int64_t>(sizeof(Weight))) / 4, 1, 4) * 4;
    const std::int64_t groups = rows / 6 + (rows % 6 >= 3 ? 1 : 0); // that call weights in
    for (std::int64_t from = first; from < last; from += block) {
        const std::int64_t to = std::min(from + block, last);
        std::int64_t r = 0;
        std::int64_t group = 0;
        const auto share = [&] { return RowPrefetch{block, group++, groups}; };
        for (; r + 6 <= rows; r += 6)
            rowTileRange<Tiles, 6, 4>(weight, in, x + r * xStride, xStride, from, to, y + r * yStride, yStride,
                                      share());
        for (; r + 3 <= rows; r += 3)
            rowTileRange<Tiles, 3, 4>(weight, in, x + r * xStride, xStride, from, to, y + r * yStride, yStride,
                                      share());
        for (; r + 2 <= rows; r += 2)
            rowTileRange<Tiles, 2, 4>(weight, in, x + r * xStride, xStride, from, to, y + r * yStride, yStride, {});
        if (r < rows)
            rowTileRange<Tiles, 1, 4>(weight, in, x + r * xStride, xStride, from, to, y + r * yStride, yStride, {});
    }
}

/// Rows of bf16 values as f32: of each 32 first the even ones, then the odd ones; zeros behind the last.
SECATEUR_AVX512 void widenRowsAvx512(const float *x, std::int64_t rows, std::int64_t in, std::int64_t stride,
                                     float *out)
{
    constexpr std::int64_t kPiece = 256;
    std::uint16_t rounded[kPiece];
    for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t first = 0; first < in; first += kPiece) {
            const std::int64_t count = std::min(kPiece, in - first);
            toBf16(x + r * in + first, count, rounded);
            std::fill(rounded + count, rounded + (count + 31) / 32 * 32, std::uint16_t{0});
            for (std::int64_t k = 0; k < count; k += 32) {
                const __m512i pairs = _mm512_loadu_si512(rounded + k);
                float *place = out + r * stride + first + k;
                _mm512_storeu_si512(place, _mm512_slli_epi32(pairs, 16));
                _mm512_storeu_si512(place + 16,
                                    _mm512_and_si512(_mm512_set1_epi32(static_cast<int>(0xFFFF0000U)), pairs));
            }
        }
    }
}

} // namespace

void rowProductAvx512(const float *weight, std::int64_t in, const float *x, std::int64_t rows, std::int64_t first,
                      std::int64_t last, float *y, std::int64_t yStride)
{
    rowTilesOver<RowTilesF32>(weight, in, x, in, rows, first, last, y, yStride);
}

void rowProductAvx512Wide(const std::uint16_t *weight, std::int64_t in, const float *x, std::int64_t rows,
                          std::int64_t first, std::int64_t last, float *y, std::int64_t yStride, float *room)
{
    const std::int64_t stride = (in + 31) / 32 * 32;
    widenRowsAvx512(x, rows, in, stride, room);
    rowTilesOver<RowTilesWide>(weight, in, room, stride, rows, first, last, y, yStride);
}

void rowProductAvx512Bf16(const std::uint16_t *weight, std::int64_t in, const std::uint16_t *x, std::int64_t rows,
                          std::int64_t first, std::int64_t last, float *y, std::int64_t yStride)
{
    rowTilesOver<RowTilesBf16>(weight, in, x, in, rows, first, last, y, yStride);
}

} // namespace secateur

#endif
