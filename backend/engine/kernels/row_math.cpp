#include "backend/engine/kernels/row_math.h"

#include "backend/engine/kernels/dispatch.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#if SECATEUR_X86_KERNELS
#include <immintrin.h>
#endif

namespace secateur {

namespace {

float rowMathValue(const float *data, std::int64_t index)
{
    return data[index];
}

float rowMathValue(const std::uint16_t *data, std::int64_t index)
{
    return std::bit_cast<float>(static_cast<std::uint32_t>(data[index]) << 16);
}

#if SECATEUR_X86_KERNELS

SECATEUR_AVX2 inline float rowMathSum(__m256 lanes)
{
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

SECATEUR_AVX2 inline __m256 rowMathLoad(const float *data)
{
    return _mm256_loadu_ps(data);
}

SECATEUR_AVX2 inline __m256 rowMathLoad(const std::uint16_t *data)
{
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i *>(data));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

/// e^x, relative error below 2e-7: x = n·ln 2 + r with |r| ≤ ln 2 / 2, Taylor polynomial of degree 7 in r, times 2^n.
SECATEUR_AVX2 inline __m256 rowMathExp(__m256 x)
{
    // min and max give their second operand when one is NaN: it must come out again
    x = _mm256_min_ps(_mm256_set1_ps(88.0F), _mm256_max_ps(_mm256_set1_ps(-87.0F), x));
    const __m256 n
        = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504F)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    // ln 2 in two parts, the first with few bits so that n times it is exact
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
    const __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(exponent));
}

SECATEUR_AVX2 void normRowAvx2(const float *x, const float *weight, double eps, std::int64_t size, float *out)
{
    __m256 squares = _mm256_setzero_ps();
    std::int64_t i = 0;
    for (; i + 8 <= size; i += 8) {
        const __m256 value = _mm256_loadu_ps(x + i);
        squares = _mm256_fmadd_ps(value, value, squares);
    }
    double sum = rowMathSum(squares);
    for (; i < size; ++i)
        sum += static_cast<double>(x[i]) * x[i];
    const auto scale = static_cast<float>(1 / std::sqrt(sum / static_cast<double>(size) + eps));
    const __m256 scales = _mm256_set1_ps(scale);
    for (i = 0; i + 8 <= size; i += 8) {
        const __m256 value = _mm256_mul_ps(_mm256_loadu_ps(x + i), scales);
        _mm256_storeu_ps(out + i, _mm256_mul_ps(value, _mm256_loadu_ps(weight + i)));
    }
    for (; i < size; ++i)
        out[i] = x[i] * scale * weight[i];
}

SECATEUR_AVX2 void siluProductAvx2(float *gate, const float *up, std::int64_t size)
{
    const __m256 one = _mm256_set1_ps(1.0F);
    std::int64_t i = 0;
    for (; i + 8 <= size; i += 8) {
        const __m256 g = _mm256_loadu_ps(gate + i);
        const __m256 e = rowMathExp(_mm256_sub_ps(_mm256_setzero_ps(), g));
        const __m256 silu = _mm256_div_ps(g, _mm256_add_ps(one, e));
        _mm256_storeu_ps(gate + i, _mm256_mul_ps(silu, _mm256_loadu_ps(up + i)));
    }
    for (; i < size; ++i)
        gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
}

SECATEUR_AVX2 void rotateHeadAvx2(float *x, const float *cos, const float *sin, std::int64_t headDim)
{
    const std::int64_t half = headDim / 2;
    std::int64_t i = 0;
    for (; i + 8 <= half; i += 8) {
        const __m256 low = _mm256_loadu_ps(x + i);
        const __m256 high = _mm256_loadu_ps(x + half + i);
        const __m256 c = _mm256_loadu_ps(cos + i);
        const __m256 s = _mm256_loadu_ps(sin + i);
        _mm256_storeu_ps(x + i, _mm256_fnmadd_ps(high, s, _mm256_mul_ps(low, c)));
        _mm256_storeu_ps(x + half + i, _mm256_fmadd_ps(low, s, _mm256_mul_ps(high, c)));
    }
    for (; i < half; ++i) {
        const float low = x[i];
        const float high = x[half + i];
        x[i] = low * cos[i] - high * sin[i];
        x[half + i] = high * cos[i] + low * sin[i];
    }
}

/// Softmax in place; returns nothing finite when the input was not.
SECATEUR_AVX2 void softmaxAvx2(float *scores, std::int64_t length)
{
    float largest = scores[0];
    for (std::int64_t j = 1; j < length; ++j)
        largest = std::max(largest, scores[j]);
    const __m256 shift = _mm256_set1_ps(largest);
    __m256 sums = _mm256_setzero_ps();
    std::int64_t j = 0;
    for (; j + 8 <= length; j += 8) {
        const __m256 e = rowMathExp(_mm256_sub_ps(_mm256_loadu_ps(scores + j), shift));
        _mm256_storeu_ps(scores + j, e);
        sums = _mm256_add_ps(sums, e);
    }
    float sum = rowMathSum(sums);
    for (; j < length; ++j) {
        scores[j] = std::exp(scores[j] - largest);
        sum += scores[j];
    }
    const float scale = 1 / sum;
    for (j = 0; j < length; ++j)
        scores[j] *= scale;
}

template <typename Value>
SECATEUR_AVX2 void attendHeadAvx2(const float *q, std::int64_t queries, const Value *keys, const Value *values,
                                  std::int64_t length, std::int64_t headDim, float scale, float *scores, float *out)
{
    const std::int64_t whole = headDim / 8 * 8;
    for (std::int64_t j = 0; j < length; ++j) {
        const Value *key = keys + j * headDim;
        for (std::int64_t r = 0; r < queries; ++r) {
            const float *query = q + r * headDim;
            __m256 products = _mm256_setzero_ps();
            for (std::int64_t c = 0; c < whole; c += 8)
                products = _mm256_fmadd_ps(_mm256_loadu_ps(query + c), rowMathLoad(key + c), products);
            float dot = rowMathSum(products);
            for (std::int64_t c = whole; c < headDim; ++c)
                dot += query[c] * rowMathValue(key, c);
            scores[r * length + j] = dot * scale;
        }
    }
    for (std::int64_t r = 0; r < queries; ++r)
        softmaxAvx2(scores + r * length, length);
    std::fill(out, out + queries * headDim, 0.0F);
    for (std::int64_t r = 0; r < queries; ++r) {
        float *sum = out + r * headDim;
        std::int64_t c = 0;
        for (; c + 32 <= whole; c += 32) { // four vectors of the output stay in registers over all keys
            __m256 a = _mm256_setzero_ps();
            __m256 b = _mm256_setzero_ps();
            __m256 d = _mm256_setzero_ps();
            __m256 e = _mm256_setzero_ps();
            for (std::int64_t j = 0; j < length; ++j) {
                const Value *value = values + j * headDim + c;
                const __m256 weight = _mm256_set1_ps(scores[r * length + j]);
                a = _mm256_fmadd_ps(weight, rowMathLoad(value), a);
                b = _mm256_fmadd_ps(weight, rowMathLoad(value + 8), b);
                d = _mm256_fmadd_ps(weight, rowMathLoad(value + 16), d);
                e = _mm256_fmadd_ps(weight, rowMathLoad(value + 24), e);
            }
            _mm256_storeu_ps(sum + c, a);
            _mm256_storeu_ps(sum + c + 8, b);
            _mm256_storeu_ps(sum + c + 16, d);
            _mm256_storeu_ps(sum + c + 24, e);
        }
        for (; c < headDim; ++c) {
            float total = 0;
            for (std::int64_t j = 0; j < length; ++j)
                total += scores[r * length + j] * rowMathValue(values, j * headDim + c);
            sum[c] = total;
        }
    }
}

SECATEUR_AVX2 float largestAvx2(const float *x, std::int64_t size)
{
    __m256 lanes = _mm256_set1_ps(-HUGE_VALF);
    std::int64_t i = 0;
    for (; i + 8 <= size; i += 8)
        lanes = _mm256_max_ps(_mm256_loadu_ps(x + i), lanes);
    float eight[8];
    _mm256_storeu_ps(eight, lanes);
    float largest = *std::max_element(eight, eight + 8);
    for (; i < size; ++i)
        largest = std::max(largest, x[i]);
    return largest;
}

SECATEUR_AVX2 float expSumAvx2(const float *x, std::int64_t size, float shift)
{
    const __m256 shifts = _mm256_set1_ps(shift);
    __m256 sums = _mm256_setzero_ps();
    std::int64_t i = 0;
    for (; i + 8 <= size; i += 8)
        sums = _mm256_add_ps(sums, rowMathExp(_mm256_sub_ps(_mm256_loadu_ps(x + i), shifts)));
    float sum = rowMathSum(sums);
    for (; i < size; ++i)
        sum += std::exp(x[i] - shift);
    return sum;
}

SECATEUR_AVX2 void squareRowsAvx2(const float *x, std::int64_t rows, std::int64_t columns, float *sums)
{
    for (std::int64_t row = 0; row < rows; ++row, x += columns) {
        std::int64_t c = 0;
        for (; c + 8 <= columns; c += 8) {
            const __m256 value = _mm256_loadu_ps(x + c);
            _mm256_storeu_ps(sums + c, _mm256_fmadd_ps(value, value, _mm256_loadu_ps(sums + c)));
        }
        for (; c < columns; ++c)
            sums[c] += x[c] * x[c];
    }
}

#endif

float largestOf(const float *x, std::int64_t size)
{
#if SECATEUR_X86_KERNELS
    if (usesAvx2Kernels())
        return largestAvx2(x, size);
#endif
    float largest = -HUGE_VALF;
    for (std::int64_t i = 0; i < size; ++i)
        largest = std::max(largest, x[i]);
    return largest;
}

float expSumOf(const float *x, std::int64_t size, float shift)
{
#if SECATEUR_X86_KERNELS
    if (usesAvx2Kernels())
        return expSumAvx2(x, size, shift);
#endif
    float sum = 0;
    for (std::int64_t i = 0; i < size; ++i)
        sum += std::exp(x[i] - shift);
    return sum;
}

template <typename Value>
void attendHeadPortable(const float *q, std::int64_t queries, const Value *keys, const Value *values,
                        std::int64_t length, std::int64_t headDim, float scale, float *scores, float *out)
{
    for (std::int64_t r = 0; r < queries; ++r) {
        float *row = scores + r * length;
        float largest = -HUGE_VALF;
        for (std::int64_t j = 0; j < length; ++j) {
            float dot = 0;
            for (std::int64_t c = 0; c < headDim; ++c)
                dot += q[r * headDim + c] * rowMathValue(keys, j * headDim + c);
            row[j] = dot * scale;
            largest = std::max(largest, row[j]);
        }
        float sum = 0;
        for (std::int64_t j = 0; j < length; ++j) {
            row[j] = std::exp(row[j] - largest);
            sum += row[j];
        }
        for (std::int64_t c = 0; c < headDim; ++c) {
            float total = 0;
            for (std::int64_t j = 0; j < length; ++j)
                total += row[j] * rowMathValue(values, j * headDim + c);
            out[r * headDim + c] = total / sum;
        }
    }
}

template <typename Value>
void attendHeadOf(const float *q, std::int64_t queries, const Value *keys, const Value *values, std::int64_t length,
                  std::int64_t headDim, float scale, float *scores, float *out)
{
#if SECATEUR_X86_KERNELS
    if (usesAvx2Kernels()) {
        attendHeadAvx2(q, queries, keys, values, length, headDim, scale, scores, out);
        return;
    }
#endif
    attendHeadPortable(q, queries, keys, values, length, headDim, scale, scores, out);
}

} // namespace

void normRow(const float *x, const float *weight, double eps, std::int64_t size, float *out)
{
#if SECATEUR_X86_KERNELS
    if (usesAvx2Kernels()) {
        normRowAvx2(x, weight, eps, size, out);
        return;
    }
#endif
    double sum = 0;
    for (std::int64_t i = 0; i < size; ++i)
        sum += static_cast<double>(x[i]) * x[i];
    const auto scale = static_cast<float>(1 / std::sqrt(sum / static_cast<double>(size) + eps));
    for (std::int64_t i = 0; i < size; ++i)
        out[i] = x[i] * scale * weight[i];
}

void siluProduct(float *gate, const float *up, std::int64_t size)
{
#if SECATEUR_X86_KERNELS
    if (usesAvx2Kernels()) {
        siluProductAvx2(gate, up, size);
        return;
    }
#endif
    for (std::int64_t i = 0; i < size; ++i)
        gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
}

void rotateHead(float *x, const float *cos, const float *sin, std::int64_t headDim)
{
#if SECATEUR_X86_KERNELS
    if (usesAvx2Kernels()) {
        rotateHeadAvx2(x, cos, sin, headDim);
        return;
    }
#endif
    const std::int64_t half = headDim / 2;
    for (std::int64_t i = 0; i < half; ++i) {
        const float low = x[i];
        const float high = x[half + i];
        x[i] = low * cos[i] - high * sin[i];
        x[half + i] = high * cos[i] + low * sin[i];
    }
}

void attendHead(const float *q, std::int64_t queries, const void *keys, const void *values, bool isBf16,
                std::int64_t length, std::int64_t headDim, float scale, float *scores, float *out)
{
    if (isBf16) {
        attendHeadOf(q, queries, static_cast<const std::uint16_t *>(keys), static_cast<const std::uint16_t *>(values),
                     length, headDim, scale, scores, out);
    } else {
        attendHeadOf(q, queries, static_cast<const float *>(keys), static_cast<const float *>(values), length, headDim,
                     scale, scores, out);
    }
}

double logSumExp(const float *x, std::int64_t size, std::int64_t *largestAt)
{
    const float largest = largestOf(x, size);
    const float *place = std::find(x, x + size, largest);
    *largestAt = place == x + size ? 0 : place - x; // not there among NaN only
    constexpr std::int64_t kShort = 4096; // as many as an f32 sum takes without losing small ones
    double sum = 0;
    for (std::int64_t first = 0; first < size; first += kShort)
        sum += expSumOf(x + first, std::min(kShort, size - first), largest);
    return largest + std::log(sum);
}

void addColumnSquares(const float *x, std::int64_t rows, std::int64_t columns, double *sums)
{
    constexpr std::int64_t kRows = 32;
    std::vector<float> part(static_cast<std::size_t>(columns));
    for (std::int64_t first = 0; first < rows; first += kRows) {
        const std::int64_t count = std::min(kRows, rows - first);
        const float *block = x + first * columns;
        std::fill(part.begin(), part.end(), 0.0F);
#if SECATEUR_X86_KERNELS
        if (usesAvx2Kernels())
            squareRowsAvx2(block, count, columns, part.data());
        else
#endif
            for (std::int64_t i = 0; i < count * columns; ++i)
                part[static_cast<std::size_t>(i % columns)] += block[i] * block[i];
        for (std::int64_t c = 0; c < columns; ++c)
            sums[c] += part[static_cast<std::size_t>(c)];
    }
}

} // namespace secateur
