#include "backend/engine/kernels/bf16_rows.h"

#include "backend/engine/kernels/dispatch.h"

#include <bit>

#if SECATEUR_X86_KERNELS
#include <immintrin.h>
#endif

namespace secateur {

namespace {

std::uint16_t bf16RowsRounded(float value)
{
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7FFFFFFF) > 0x7F800000)
        return static_cast<std::uint16_t>((bits >> 16) | 0x40); // NaN stays NaN
    return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

#if SECATEUR_X86_KERNELS

/// Whole groups of 16; returns how many values are done.
SECATEUR_AVX512 std::int64_t toBf16Avx512(const float *values, std::int64_t size, std::uint16_t *out)
{
    const __m512i half = _mm512_set1_epi32(0x7FFF);
    const __m512i one = _mm512_set1_epi32(1);
    const __m512i quiet = _mm512_set1_epi32(0x40);
    std::int64_t i = 0;
    for (; i + 16 <= size; i += 16) {
        const __m512 value = _mm512_loadu_ps(values + i);
        const __m512i bits = _mm512_castps_si512(value);
        const __m512i upper = _mm512_srli_epi32(bits, 16);
        const __m512i odd = _mm512_and_si512(upper, one);
        const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, half), odd), 16);
        const __mmask16 isNan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
        const __m512i result = _mm512_mask_or_epi32(rounded, isNan, upper, quiet);
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(out + i), _mm512_cvtepi32_epi16(result));
    }
    return i;
}

SECATEUR_AVX2 std::int64_t fromBf16Avx2(const std::uint16_t *values, std::int64_t size, float *out)
{
    std::int64_t i = 0;
    for (; i + 8 <= size; i += 8) {
        const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i *>(values + i));
        _mm256_storeu_ps(out + i, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16)));
    }
    return i;
}

#endif

} // namespace

void toBf16(const float *values, std::int64_t size, std::uint16_t *out)
{
    std::int64_t i = 0;
#if SECATEUR_X86_KERNELS
    if (kernelLevel() >= KernelLevel::Avx512)
        i = toBf16Avx512(values, size, out);
#endif
    for (; i < size; ++i)
        out[i] = bf16RowsRounded(values[i]);
}

void fromBf16(const std::uint16_t *values, std::int64_t size, float *out)
{
    std::int64_t i = 0;
#if SECATEUR_X86_KERNELS
    if (usesAvx2Kernels())
        i = fromBf16Avx2(values, size, out);
#endif
    for (; i < size; ++i)
        out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(values[i]) << 16);
}

} // namespace secateur
