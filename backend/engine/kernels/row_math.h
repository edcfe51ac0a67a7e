#pragma once

#include <cstdint>

namespace secateur {

/// out = x / sqrt(mean(x²) + eps) · weight over \a size values; out may be x.
void normRow(const float *x, const float *weight, double eps, std::int64_t size, float *out);

/// gate = silu(gate) · up over \a size values.
void siluProduct(float *gate, const float *up, std::int64_t size);

/// Rotates the halves of one head in place: x [h], cos and sin [h/2].
void rotateHead(float *x, const float *cos, const float *sin, std::int64_t headDim);

/// Attention of \a queries query heads [queries, h] that share keys and values [length, h] (f32 or bf16, one head each,
/// contiguous) → out [queries, h]. \a scores is room for queries × length values.
void attendHead(const float *q, std::int64_t queries, const void *keys, const void *values, bool isBf16,
                std::int64_t length, std::int64_t headDim, float scale, float *scores, float *out);

/// log Σ exp(x) over \a size ≥ 1 values, without overflow; not finite when one of them is NaN or +∞. \a largestAt: the
/// first of the largest values.
double logSumExp(const float *x, std::int64_t size, std::int64_t *largestAt);

/// sums[c] += Σ_t x[t][c]² for x [rows, columns]; short sums in f32, then double.
void addColumnSquares(const float *x, std::int64_t rows, std::int64_t columns, double *sums);

} // namespace secateur
