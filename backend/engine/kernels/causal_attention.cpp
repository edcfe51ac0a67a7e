#include "backend/engine/kernels/causal_attention.h"

#include "backend/engine/kernels/dispatch.h"
#include "backend/engine/kernels/tile_product.h"

#if SECATEUR_X86_KERNELS
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <vector>

namespace secateur {

bool canAttendCausally()
{
    return usesAvx2Kernels();
}

#if SECATEUR_X86_KERNELS

namespace {

/// e^x as in row_math.cpp, 16 lanes; NaN passes through.
SECATEUR_AVX512 inline __m512 causalExp(__m512 x)
{
    x = _mm512_min_ps(_mm512_set1_ps(88.0F), _mm512_max_ps(_mm512_set1_ps(-87.0F), x));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504F)),
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375F), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4F), r);
    __m512 p = _mm512_set1_ps(1.0F / 5040);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F / 720));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0F));
    return _mm512_scalef_ps(p, n);
}

/// scores[from, to) become exp(scale·(score − largest)), all others of [0, count) zero; returns their sum.
SECATEUR_AVX512 float causalWeightsAvx512(float *scores, std::int64_t from, std::int64_t to, std::int64_t count,
                                          float scale)
{
    const auto maskOf = [](std::int64_t at, std::int64_t low, std::int64_t high) {
        const std::int64_t begin = std::clamp<std::int64_t>(low - at, 0, 16);
        const std::int64_t end = std::clamp<std::int64_t>(high - at, 0, 16);
        return static_cast<__mmask16>(((1U << end) - 1) & ~((1U << begin) - 1));
    };
    __m512 largest = _mm512_set1_ps(-3.4e38F);
    for (std::int64_t j = from / 16 * 16; j < to; j += 16)
        largest = _mm512_mask_max_ps(largest, maskOf(j, from, to), largest, _mm512_loadu_ps(scores + j));
    const __m512 shift = _mm512_set1_ps(_mm512_reduce_max_ps(largest));
    const __m512 factor = _mm512_set1_ps(scale);
    __m512 sums = _mm512_setzero_ps();
    for (std::int64_t j = 0; j < count; j += 16) {
        const __m512 difference = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(scores + j), shift), factor);
        const __m512 weight = _mm512_maskz_mov_ps(maskOf(j, from, to), causalExp(difference));
        _mm512_storeu_ps(scores + j, weight);
        sums = _mm512_add_ps(sums, weight);
    }
    return _mm512_reduce_add_ps(sums);
}

/// causalExp() in 8 lanes.
SECATEUR_AVX2 inline __m256 causalExpAvx2(__m256 x)
{
    x = _mm256_min_ps(_mm256_set1_ps(88.0F), _mm256_max_ps(_mm256_set1_ps(-87.0F), x));
    const __m256 n
        = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504F)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375F), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4F), r);
    __m256 p = _mm256_set1_ps(1.0F / 5040);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F / 720));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5F));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F));
    const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

/// All ones where lane i of 8 has from ≤ at + i < to.
SECATEUR_AVX2 inline __m256 causalMaskAvx2(std::int64_t at, std::int64_t from, std::int64_t to)
{
    const __m256i index
        = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(static_cast<int>(at)));
    const __m256i isBefore = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(from)), index);
    const __m256i isInFront = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(to)), index);
    return _mm256_castsi256_ps(_mm256_andnot_si256(isBefore, isInFront));
}

SECATEUR_AVX2 float causalWeightsAvx2(float *scores, std::int64_t from, std::int64_t to, std::int64_t count,
                                      float scale)
{
    const __m256 least = _mm256_set1_ps(-3.4e38F);
    __m256 largest = least;
    for (std::int64_t j = from / 8 * 8; j < to; j += 8)
        largest
            = _mm256_max_ps(largest, _mm256_blendv_ps(least, _mm256_loadu_ps(scores + j), causalMaskAvx2(j, from, to)));
    float eight[8];
    _mm256_storeu_ps(eight, largest);
    const __m256 shift = _mm256_set1_ps(*std::max_element(eight, eight + 8));
    const __m256 factor = _mm256_set1_ps(scale);
    __m256 sums = _mm256_setzero_ps();
    for (std::int64_t j = 0; j < count; j += 8) {
        const __m256 difference = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(scores + j), shift), factor);
        const __m256 weight = _mm256_and_ps(causalMaskAvx2(j, from, to), causalExpAvx2(difference));
        _mm256_storeu_ps(scores + j, weight);
        sums = _mm256_add_ps(sums, weight);
    }
    _mm256_storeu_ps(eight, sums);
    float sum = 0;
    for (const float lane : eight)
        sum += lane;
    return sum;
}

float causalWeights(float *scores, std::int64_t from, std::int64_t to, std::int64_t count, float scale)
{
    return kernelLevel() >= KernelLevel::Avx512 ? causalWeightsAvx512(scores, from, to, count, scale)
                                                : causalWeightsAvx2(scores, from, to, count, scale);
}

/// Keys [first, last) as panels [headDim][32].
void causalPackKeys(const CausalGroup &group, std::int64_t first, std::int64_t last, std::vector<std::uint32_t> &panels)
{
    const std::int64_t count = (last - first + kTileColumns - 1) / kTileColumns;
    const std::int64_t size = group.headDim * kTileColumns;
    panels.resize(static_cast<std::size_t>(count * size));
    for (std::int64_t panel = 0; panel < count; ++panel)
        packPanel(reinterpret_cast<const std::uint32_t *>(group.k), group.kStride, last, group.headDim,
                  first + panel * kTileColumns, panels.data() + panel * size);
}

} // namespace

void causalAttention(const CausalGroup &group, std::int64_t first, std::int64_t last)
{
    thread_local std::vector<std::uint32_t> panels;
    thread_local std::vector<float> scores; // [12][keys]
    const std::int64_t headDim = group.headDim;
    const auto firstKeyOf = [&](std::int64_t query) {
        return group.window > 0 ? std::max<std::int64_t>(0, group.past + query + 1 - group.window) : 0;
    };
    // keys before it are seen by nobody here; whole panels, so that a key has the same lane in every call
    const std::int64_t base = firstKeyOf(first) / kTileColumns * kTileColumns;
    causalPackKeys(group, base, group.past + last, panels);
    const std::int64_t stride = (group.past + last - base + kTileColumns - 1) / kTileColumns * kTileColumns;
    scores.resize(static_cast<std::size_t>(kTileRows * stride));
    for (std::int64_t head = 0; head < group.queryHeads; ++head) {
        for (std::int64_t query = first; query < last; query += kTileRows) {
            const std::int64_t rows = std::min(kTileRows, last - query);
            const std::int64_t from = (firstKeyOf(query) - base) / kTileColumns * kTileColumns;
            const std::int64_t keys = group.past + query + rows - base - from; // that any of these rows sees
            for (std::int64_t j = 0; j < keys; j += kTileColumns)
                tileProductF32(group.q + query * group.qStride + head * headDim, group.qStride, rows,
                               reinterpret_cast<const float *>(panels.data()) + (from + j) * headDim, kTileColumns,
                               headDim, kTileColumns, scores.data() + j, stride);
            std::array<float, kTileRows> factors{};
            for (std::int64_t r = 0; r < rows; ++r)
                factors[static_cast<std::size_t>(r)] = 1
                    / causalWeights(scores.data() + r * stride, firstKeyOf(query + r) - base - from,
                                    keys - rows + r + 1, keys, group.scale);
            float *out = group.out + query * group.outStride + head * headDim;
            for (std::int64_t c = 0; c < headDim; c += kTileColumns)
                tileProductF32(scores.data(), stride, rows, group.v + (base + from) * group.vStride + c, group.vStride,
                               keys, std::min(kTileColumns, headDim - c), out + c, group.outStride);
            for (std::int64_t r = 0; r < rows; ++r)
                for (std::int64_t c = 0; c < headDim; ++c)
                    out[r * group.outStride + c] *= factors[static_cast<std::size_t>(r)];
        }
    }
}

#else

void causalAttention(const CausalGroup &, std::int64_t, std::int64_t)
{ }

#endif

} // namespace secateur
