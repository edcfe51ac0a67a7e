#include "backend/engine/kernels/row_product.h"

#include "backend/engine/kernels/bf16_rows.h"
#include "backend/engine/kernels/dispatch.h"
#include "backend/engine/kernels/row_product_avx512.h"

#include <algorithm>
#include <bit>

#if SECATEUR_X86_KERNELS
#include <immintrin.h>
#endif

namespace secateur {

namespace {

/// Outputs that are finished for all rows before the next ones: their weights, of \a bytes each, stay in the
/// first-level cache between groups of rows.
constexpr std::int64_t rowProductBlock(std::int64_t bytes)
{
    return std::clamp<std::int64_t>((20 << 10) / bytes / 4, 1, 4) * 4;
}

float rowProductValue(float value)
{
    return value;
}

float rowProductValue(std::uint16_t bits)
{
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

template <typename Weight>
void rowProductPortable(const Weight *weight, std::int64_t in, const float *x, std::int64_t rows, std::int64_t first,
                        std::int64_t last, float *y, std::int64_t yStride)
{
    constexpr int kLanes = 8; // independent sums, as the vector version has
    for (std::int64_t o = first; o < last; ++o) {
        const Weight *w = weight + o * in;
        for (std::int64_t r = 0; r < rows; ++r) {
            float lanes[kLanes] = {};
            std::int64_t k = 0;
            for (; k + kLanes <= in; k += kLanes)
                for (int lane = 0; lane < kLanes; ++lane)
                    lanes[lane] += x[r * in + k + lane] * rowProductValue(w[k + lane]);
            float sum = 0;
            for (const float lane : lanes)
                sum += lane;
            for (; k < in; ++k)
                sum += x[r * in + k] * rowProductValue(w[k]);
            y[r * yStride + o] = sum;
        }
    }
}

#if SECATEUR_X86_KERNELS

SECATEUR_AVX2 inline __m256 rowProductLoad(const float *weight)
{
    return _mm256_loadu_ps(weight);
}

SECATEUR_AVX2 inline __m256 rowProductLoad(const std::uint16_t *weight)
{
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i *>(weight));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

SECATEUR_AVX2 inline float rowProductSum(__m256 lanes)
{
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/// Rows × Outputs sums held in registers.
template <int Rows, int Outputs, typename Weight>
SECATEUR_AVX2 void rowProductTile(const Weight *weight, std::int64_t in, const float *x, float *y, std::int64_t yStride)
{
    __m256 sums[Rows][Outputs];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o)
            sums[r][o] = _mm256_setzero_ps();
    std::int64_t k = 0;
    for (; k + 8 <= in; k += 8) {
        __m256 values[Rows];
#pragma GCC unroll 8
        for (int r = 0; r < Rows; ++r)
            values[r] = _mm256_loadu_ps(x + r * in + k);
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o) {
            const __m256 w = rowProductLoad(weight + o * in + k);
#pragma GCC unroll 8
            for (int r = 0; r < Rows; ++r)
                sums[r][o] = _mm256_fmadd_ps(values[r], w, sums[r][o]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
        for (int o = 0; o < Outputs; ++o) {
            float sum = rowProductSum(sums[r][o]);
            for (std::int64_t tail = k; tail < in; ++tail)
                sum += x[r * in + tail] * rowProductValue(weight[o * in + tail]);
            y[r * yStride + o] = sum;
        }
    }
}

template <int Rows, int Outputs, typename Weight>
SECATEUR_AVX2 void rowProductRange(const Weight *weight, std::int64_t in, const float *x, std::int64_t first,
                                   std::int64_t last, float *y, std::int64_t yStride)
{
    std::int64_t o = first;
    for (; o + Outputs <= last; o += Outputs)
        rowProductTile<Rows, Outputs>(weight + o * in, in, x, y + o, yStride);
    for (; o < last; ++o)
        rowProductTile<Rows, 1>(weight + o * in, in, x, y + o, yStride);
}

template <typename Weight>
SECATEUR_AVX2 void rowProductAvx2(const Weight *weight, std::int64_t in, const float *x, std::int64_t rows,
                                  std::int64_t first, std::int64_t last, float *y, std::int64_t yStride)
{
    if (rows == 1) {
        rowProductRange<1, 8>(weight, in, x, first, last, y, yStride);
        return;
    }
    const std::int64_t block = rowProductBlock(in * static_cast<std::int64_t>(sizeof(Weight)));
    for (std::int64_t from = first; from < last; from += block) {
        const std::int64_t to = std::min(from + block, last);
        std::int64_t r = 0;
        for (; rows - r == 3 || rows - r > 4; r += 3) // four are two twos
            rowProductRange<3, 4>(weight, in, x + r * in, from, to, y + r * yStride, yStride);
        for (; rows - r >= 2; r += 2)
            rowProductRange<2, 4>(weight, in, x + r * in, from, to, y + r * yStride, yStride);
        if (r < rows)
            rowProductRange<1, 4>(weight, in, x + r * in, from, to, y + r * yStride, yStride);
    }
}

#endif

template <typename Weight>
void rowProductOf(const Weight *weight, std::int64_t in, const float *x, std::int64_t rows, std::int64_t first,
                  std::int64_t last, float *y, std::int64_t yStride)
{
#if SECATEUR_X86_KERNELS
    if (usesAvx2Kernels()) {
        rowProductAvx2(weight, in, x, rows, first, last, y, yStride);
        return;
    }
#endif
    rowProductPortable(weight, in, x, rows, first, last, y, yStride);
}

} // namespace

void rowProduct(const WeightRows &weight, const float *x, std::int64_t rows, std::int64_t first, std::int64_t last,
                float *y, std::int64_t yStride, float *room)
{
#if SECATEUR_X86_KERNELS
    const KernelLevel level = kernelLevel();
    if (weight.isBf16 && room && level >= KernelLevel::Avx512Bf16) {
        auto *rounded = reinterpret_cast<std::uint16_t *>(room);
        toBf16(x, rows * weight.in, rounded);
        rowProductAvx512Bf16(static_cast<const std::uint16_t *>(weight.data), weight.in, rounded, rows, first, last, y,
                             yStride);
        return;
    }
    if (weight.isBf16 && room && level >= KernelLevel::Avx512) {
        rowProductAvx512Wide(static_cast<const std::uint16_t *>(weight.data), weight.in, x, rows, first, last, y,
                             yStride, room);
        return;
    }
    if (!weight.isBf16 && level >= KernelLevel::Avx512) {
        rowProductAvx512(static_cast<const float *>(weight.data), weight.in, x, rows, first, last, y, yStride);
        return;
    }
#endif
    if (weight.isBf16)
        rowProductOf(static_cast<const std::uint16_t *>(weight.data), weight.in, x, rows, first, last, y, yStride);
    else
        rowProductOf(static_cast<const float *>(weight.data), weight.in, x, rows, first, last, y, yStride);
}

} // namespace secateur
