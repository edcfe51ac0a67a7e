#pragma once

#include "backend/engine/kernels/dispatch.h"

#include <cstdint>

#if SECATEUR_X86_KERNELS

namespace secateur {

/// rowProduct() for f32 weights [out, in] at KernelLevel::Avx512.
void rowProductAvx512(const float *weight, std::int64_t in, const float *x, std::int64_t rows, std::int64_t first,
                      std::int64_t last, float *y, std::int64_t yStride);

/// rowProduct() for bf16 weights at KernelLevel::Avx512: x is rounded to bf16 and both are multiplied as f32. \a room
/// as for rowProduct().
void rowProductAvx512Wide(const std::uint16_t *weight, std::int64_t in, const float *x, std::int64_t rows,
                          std::int64_t first, std::int64_t last, float *y, std::int64_t yStride, float *room);

/// rowProduct() for bf16 weights and inputs at KernelLevel::Avx512Bf16; the sums are f32.
void rowProductAvx512Bf16(const std::uint16_t *weight, std::int64_t in, const std::uint16_t *x, std::int64_t rows,
                          std::int64_t first, std::int64_t last, float *y, std::int64_t yStride);

} // namespace secateur

#endif
