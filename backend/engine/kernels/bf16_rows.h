#pragma once

#include <cstdint>

namespace secateur {

/// f32 → bf16, to the nearest, ties to even; NaN stays NaN. \a size values.
void toBf16(const float *values, std::int64_t size, std::uint16_t *out);

/// bf16 → f32, exact.
void fromBf16(const std::uint16_t *values, std::int64_t size, float *out);

} // namespace secateur
