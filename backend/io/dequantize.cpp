#include "backend/io/dequantize.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace secateur {

namespace {

template <typename T> T storedValue(const std::byte *bytes)
{
    T value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

float storedHalf(const std::byte *bytes)
{
    return halfToFloat(storedValue<std::uint16_t>(bytes));
}

int lowNibble(std::byte value)
{
    return std::to_integer<int>(value) & 15;
}

int highNibble(std::byte value)
{
    return std::to_integer<int>(value) >> 4;
}

void widenF32(const std::byte *blocks, std::size_t count, float *out)
{
    std::memcpy(out, blocks, count * sizeof(float));
}

void widenF64(const std::byte *blocks, std::size_t count, float *out)
{
    for (std::size_t i = 0; i < count; ++i)
        out[i] = static_cast<float>(storedValue<double>(blocks + 8 * i));
}

void widenF16(const std::byte *blocks, std::size_t count, float *out)
{
    for (std::size_t i = 0; i < count; ++i)
        out[i] = storedHalf(blocks + 2 * i);
}

void widenBf16(const std::byte *blocks, std::size_t count, float *out)
{
    for (std::size_t i = 0; i < count; ++i)
        out[i] = std::bit_cast<float>(std::uint32_t(storedValue<std::uint16_t>(blocks + 2 * i)) << 16);
}

// The block formats below are those of ggml: a half scale d, sometimes a half offset m, then packed integers. The low
// nibbles of 16 bytes hold the first half of a block of 32, the high nibbles the second half.

/// d · q
void expandQ8_0(const std::byte *blocks, std::size_t count, float *out)
{
    for (std::size_t b = 0; b < count; ++b, blocks += 34, out += 32) {
        const float d = storedHalf(blocks);
        for (int i = 0; i < 32; ++i)
            out[i] = d * static_cast<float>(storedValue<std::int8_t>(blocks + 2 + i));
    }
}

/// d · (q − 8)
void expandQ4_0(const std::byte *blocks, std::size_t count, float *out)
{
    for (std::size_t b = 0; b < count; ++b, blocks += 18, out += 32) {
        const float d = storedHalf(blocks);
        for (int i = 0; i < 16; ++i) {
            out[i] = d * static_cast<float>(lowNibble(blocks[2 + i]) - 8);
            out[i + 16] = d * static_cast<float>(highNibble(blocks[2 + i]) - 8);
        }
    }
}

/// d · q + m
void expandQ4_1(const std::byte *blocks, std::size_t count, float *out)
{
    for (std::size_t b = 0; b < count; ++b, blocks += 20, out += 32) {
        const float d = storedHalf(blocks);
        const float m = storedHalf(blocks + 2);
        for (int i = 0; i < 16; ++i) {
            out[i] = d * static_cast<float>(lowNibble(blocks[4 + i])) + m;
            out[i + 16] = d * static_cast<float>(highNibble(blocks[4 + i])) + m;
        }
    }
}

/// Bit \a index of 32, as the fifth bit of a number.
int fifthBit(std::uint32_t bits, int index)
{
    return static_cast<int>(bits >> index & 1) << 4;
}

/// d · (q − 16), the fifth bits in one word
void expandQ5_0(const std::byte *blocks, std::size_t count, float *out)
{
    for (std::size_t b = 0; b < count; ++b, blocks += 22, out += 32) {
        const float d = storedHalf(blocks);
        const auto high = storedValue<std::uint32_t>(blocks + 2);
        for (int i = 0; i < 16; ++i) {
            out[i] = d * static_cast<float>((lowNibble(blocks[6 + i]) | fifthBit(high, i)) - 16);
            out[i + 16] = d * static_cast<float>((highNibble(blocks[6 + i]) | fifthBit(high, i + 16)) - 16);
        }
    }
}

/// d · q + m, the fifth bits in one word
void expandQ5_1(const std::byte *blocks, std::size_t count, float *out)
{
    for (std::size_t b = 0; b < count; ++b, blocks += 24, out += 32) {
        const float d = storedHalf(blocks);
        const float m = storedHalf(blocks + 2);
        const auto high = storedValue<std::uint32_t>(blocks + 4);
        for (int i = 0; i < 16; ++i) {
            out[i] = d * static_cast<float>(lowNibble(blocks[8 + i]) | fifthBit(high, i)) + m;
            out[i + 16] = d * static_cast<float>(highNibble(blocks[8 + i]) | fifthBit(high, i + 16)) + m;
        }
    }
}

/// Scale and offset of one of the eight groups of a K block: 6 bits each, in 12 bytes.
struct GroupScale {
    int scale;
    int offset;
};

GroupScale groupScale(const std::byte *packed, int group)
{
    const auto at = [packed](int i) { return std::to_integer<int>(packed[i]); };
    if (group < 4)
        return {at(group) & 63, at(group + 4) & 63};
    return {(at(group + 4) & 15) | (at(group - 4) >> 6) << 4, at(group + 4) >> 4 | (at(group) >> 6) << 4};
}

/// Super-blocks of 256 in eight groups of 32: d · scale · q − dmin · offset
void expandQ4_K(const std::byte *blocks, std::size_t count, float *out)
{
    for (std::size_t b = 0; b < count; ++b, blocks += 144, out += 256) {
        const float d = storedHalf(blocks);
        const float dMin = storedHalf(blocks + 2);
        for (int group = 0; group < 8; ++group) {
            const auto [scale, offset] = groupScale(blocks + 4, group);
            const float factor = d * static_cast<float>(scale);
            const float minimum = dMin * static_cast<float>(offset);
            const std::byte *packed = blocks + 16 + group / 2 * 32;
            for (int i = 0; i < 32; ++i) {
                const int q = group % 2 == 0 ? lowNibble(packed[i]) : highNibble(packed[i]);
                out[group * 32 + i] = factor * static_cast<float>(q) - minimum;
            }
        }
    }
}

/// As Q4_K with a fifth bit per number
void expandQ5_K(const std::byte *blocks, std::size_t count, float *out)
{
    for (std::size_t b = 0; b < count; ++b, blocks += 176, out += 256) {
        const float d = storedHalf(blocks);
        const float dMin = storedHalf(blocks + 2);
        const std::byte *high = blocks + 16;
        for (int group = 0; group < 8; ++group) {
            const auto [scale, offset] = groupScale(blocks + 4, group);
            const float factor = d * static_cast<float>(scale);
            const float minimum = dMin * static_cast<float>(offset);
            const std::byte *packed = blocks + 48 + group / 2 * 32;
            for (int i = 0; i < 32; ++i) {
                const int low = group % 2 == 0 ? lowNibble(packed[i]) : highNibble(packed[i]);
                const int q = low | (std::to_integer<int>(high[i]) >> group & 1) << 4;
                out[group * 32 + i] = factor * static_cast<float>(q) - minimum;
            }
        }
    }
}

/// Super-blocks of 256 in sixteen groups of 16: d · scale · (q − 32); four low bits and two high bits apart
void expandQ6_K(const std::byte *blocks, std::size_t count, float *out)
{
    for (std::size_t b = 0; b < count; ++b, blocks += 210, out += 256) {
        const float d = storedHalf(blocks + 208);
        for (int i = 0; i < 256; ++i) {
            const int half = i / 128; // each half has 64 bytes of low bits and 32 of high bits
            const int quarter = i % 128 / 32; // which nibble, and which two bits
            const int lane = i % 32;
            const std::byte packed = blocks[half * 64 + quarter % 2 * 32 + lane];
            const int low = quarter < 2 ? lowNibble(packed) : highNibble(packed);
            const int high = std::to_integer<int>(blocks[128 + half * 32 + lane]) >> (2 * quarter) & 3;
            const float factor = d * static_cast<float>(storedValue<std::int8_t>(blocks + 192 + i / 16));
            out[i] = factor * static_cast<float>((low | high << 4) - 32);
        }
    }
}

constexpr Dequantizer kDequantizers[] = {
    {"F32", 1, 4, widenF32},        {"F64", 1, 8, widenF64},        {"F16", 1, 2, widenF16},
    {"BF16", 1, 2, widenBf16},      {"Q8_0", 32, 34, expandQ8_0},   {"Q4_0", 32, 18, expandQ4_0},
    {"Q4_1", 32, 20, expandQ4_1},   {"Q5_0", 32, 22, expandQ5_0},   {"Q5_1", 32, 24, expandQ5_1},
    {"Q4_K", 256, 144, expandQ4_K}, {"Q5_K", 256, 176, expandQ5_K}, {"Q6_K", 256, 210, expandQ6_K},
};

} // namespace

float halfToFloat(std::uint16_t bits)
{
    const std::uint32_t sign = std::uint32_t(bits & 0x8000) << 16;
    const std::uint32_t exponent = bits >> 10 & 31;
    const std::uint32_t mantissa = bits & 1023;
    if (exponent == 0) { // zero and subnormal: mantissa · 2^-24
        const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112; // infinity and NaN stay what they are
    return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

const Dequantizer *dequantizerFor(std::string_view dtype)
{
    for (const Dequantizer &dequantizer : kDequantizers)
        if (dequantizer.dtype == dtype)
            return &dequantizer;
    return nullptr;
}

} // namespace secateur
