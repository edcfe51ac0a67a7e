#pragma once

#include <cstdint>

namespace secateur {

/// A weight matrix [out, in], row-major, f32 or bf16, not owned.
struct WeightRows {
    const void *data = nullptr;
    bool isBf16 = false;
    std::int64_t out = 0;
    std::int64_t in = 0;
};

/// y[r][o] = Σ_k x[r][k]·W[o][k] for o in [first, last): products with a few rows, which only stream the weights.
/// x [rows, in] and y [rows, yStride] are f32, and so are the sums. Each output is summed in one order whatever the
/// number of rows, so a row has the same result in every batch, to the last bit.
/// \a room: rowProductRoom() values. With it, processors with AVX-512 round x to bf16 beside bf16 weights, as a bf16
/// model does everywhere; without it (nullptr) x keeps its precision.
void rowProduct(const WeightRows &weight, const float *x, std::int64_t rows, std::int64_t first, std::int64_t last,
                float *y, std::int64_t yStride, float *room = nullptr);
constexpr std::int64_t rowProductRoom(std::int64_t rows, std::int64_t in)
{
    return rows * ((in + 31) / 32 * 32);
}

} // namespace secateur
