#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace secateur {

/// Value of an IEEE 754 half, given as its bits.
float halfToFloat(std::uint16_t bits);

/// A stored type that can be widened to f32. Elements come in blocks; one table row per type, so a new one is a
/// function and a row.
struct Dequantizer {
    std::string_view dtype;
    std::size_t blockElements;
    std::size_t blockBytes;
    void (*convert)(const std::byte *blocks, std::size_t count, float *out);
};

/// nullptr when the type cannot be read.
const Dequantizer *dequantizerFor(std::string_view dtype);

} // namespace secateur
