#include "backend/engine/kernels/matrix_product.h"

#include "backend/engine/kernels/bf16_rows.h"
#include "backend/engine/kernels/dispatch.h"
#include "backend/engine/kernels/tile_product.h"

#include <algorithm>
#include <array>
#include <vector>

namespace secateur {

bool canMultiplyMatrices(bool isBf16, std::int64_t in)
{
    return isBf16 ? usesAvx2Kernels() && in % 2 == 0 && !hasBf16Tiles() : usesAvx2Kernels();
}

#if SECATEUR_X86_KERNELS

namespace {

bool multipliesInPairs(const WeightRows &weight)
{
    return weight.isBf16 && kernelLevel() >= KernelLevel::Avx512Bf16;
}

/// Results whose weights are laid out at a time: they stay in the second-level cache while all rows pass.
std::int64_t matrixProductBlock(std::int64_t units)
{
    constexpr std::int64_t kPanelWords = 64 << 10; // 256 kB
    return std::clamp<std::int64_t>(kPanelWords / (units * kTileColumns), 1, 8) * kTileColumns;
}

void matrixTileF32(const float *x, std::int64_t in, std::int64_t rows, const std::uint32_t *panel, std::int64_t columns,
                   const float *bias, float *y, std::int64_t out)
{
    tileProductF32(x, in, rows, reinterpret_cast<const float *>(panel), kTileColumns, in, columns, y, out);
    if (!bias)
        return;
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t o = 0; o < columns; ++o)
            y[r * out + o] += bias[o];
}

/// One product with panels that \a pack lays out: \a inner values are summed for each of \a width results of a row.
struct MatrixWork {
    bool isBf16 = false;
    bool isPaired = false; ///< bf16 values are multiplied in pairs, not as f32
    std::int64_t inner = 0, width = 0;
    std::int64_t firstRow = 0, lastRow = 0, first = 0, last = 0; ///< rows and results to compute
    const void *x = nullptr, *bias = nullptr;
    void *y = nullptr;
    bool keepsSums = false;
};

/// Rows from \a row on and the results of one panel, from \a first on; \a x: all rows as the panels want them.
void matrixTileBf16(const MatrixWork &work, const void *x, std::int64_t row, std::int64_t rows,
                    const std::uint32_t *panel, std::int64_t first, std::int64_t columns)
{
    std::array<float, kTileRows * kTileColumns> sums; // NOLINT(cppcoreguidelines-pro-type-member-init): written first
    if (work.isPaired)
        tileProductBf16(static_cast<const std::uint32_t *>(x) + row * work.inner / 2, work.inner / 2, rows, panel,
                        kTileColumns, work.inner / 2, columns, sums.data(), kTileColumns);
    else
        tileProductF32(static_cast<const float *>(x) + row * work.inner, work.inner, rows,
                       reinterpret_cast<const float *>(panel), kTileColumns, work.inner, columns, sums.data(),
                       kTileColumns);
    std::array<float, kTileColumns> offsets{};
    if (work.bias)
        fromBf16(static_cast<const std::uint16_t *>(work.bias) + first, columns, offsets.data());
    for (std::int64_t r = 0; r < rows; ++r) {
        float *sum = sums.data() + r * kTileColumns;
        for (std::int64_t o = 0; work.bias && o < columns; ++o)
            sum[o] += offsets[static_cast<std::size_t>(o)];
        const std::int64_t place = (row + r) * work.width + first;
        if (work.keepsSums)
            std::copy_n(sum, columns, static_cast<float *>(work.y) + place);
        else
            toBf16(sum, columns, static_cast<std::uint16_t *>(work.y) + place);
    }
}

template <typename Pack> void matrixWork(const MatrixWork &work, const Pack &pack)
{
    const std::int64_t units = work.isPaired ? work.inner / 2 : work.inner;
    const std::int64_t step = matrixProductBlock(units);
    const std::int64_t most = std::min(step, work.last - work.first);
    const std::int64_t panelSize = units * kTileColumns;
    thread_local std::vector<std::uint32_t> packed; // kept: there is a product every few milliseconds
    packed.resize(static_cast<std::size_t>((most + kTileColumns - 1) / kTileColumns * panelSize));
    thread_local std::vector<float> widened;
    const void *x = work.x;
    if (work.isBf16 && !work.isPaired) {
        const std::int64_t count = (work.lastRow - work.firstRow) * work.inner;
        widened.resize(static_cast<std::size_t>(count));
        fromBf16(static_cast<const std::uint16_t *>(x) + work.firstRow * work.inner, count, widened.data());
        x = widened.data() - work.firstRow * work.inner;
    }
    for (std::int64_t block = work.first; block < work.last; block += step) {
        const std::int64_t end = std::min(block + step, work.last);
        for (std::int64_t o = block; o < end; o += kTileColumns)
            pack(o, end, packed.data() + (o - block) / kTileColumns * panelSize);
        for (std::int64_t r = work.firstRow; r < work.lastRow; r += kTileRows) {
            const std::int64_t rows = std::min(kTileRows, work.lastRow - r);
            for (std::int64_t o = block; o < end; o += kTileColumns) {
                const std::uint32_t *panel = packed.data() + (o - block) / kTileColumns * panelSize;
                const std::int64_t columns = std::min(kTileColumns, end - o);
                if (work.isBf16) {
                    matrixTileBf16(work, x, r, rows, panel, o, columns);
                } else {
                    matrixTileF32(static_cast<const float *>(x) + r * work.inner, work.inner, rows, panel, columns,
                                  work.bias ? static_cast<const float *>(work.bias) + o : nullptr,
                                  static_cast<float *>(work.y) + r * work.width + o, work.width);
                }
            }
        }
    }
}

} // namespace

void matrixProduct(const WeightRows &weight, const void *x, std::int64_t firstRow, std::int64_t lastRow,
                   std::int64_t firstOut, std::int64_t lastOut, const void *bias, void *y, bool keepsSums)
{
    const bool isPaired = multipliesInPairs(weight);
    const std::int64_t units = weight.isBf16 ? weight.in / 2 : weight.in;
    matrixWork(
        {weight.isBf16, isPaired, weight.in, weight.out, firstRow, lastRow, firstOut, lastOut, x, bias, y, keepsSums},
        [&](std::int64_t first, std::int64_t end, std::uint32_t *panel) {
            const auto *words = static_cast<const std::uint32_t *>(weight.data);
            if (weight.isBf16 && !isPaired)
                packPanelWide(words, units, end, units, first, panel);
            else
                packPanel(words, units, end, units, first, panel);
        });
}

void matrixProductBack(const WeightRows &weight, const void *dy, std::int64_t firstRow, std::int64_t lastRow,
                       std::int64_t firstIn, std::int64_t lastIn, void *dx)
{
    const bool isPaired = multipliesInPairs(weight);
    matrixWork(
        {weight.isBf16, isPaired, weight.out, weight.in, firstRow, lastRow, firstIn, lastIn, dy, nullptr, dx, false},
        [&](std::int64_t first, std::int64_t, std::uint32_t *panel) {
            if (!weight.isBf16)
                packColumnsF32(static_cast<const float *>(weight.data), weight.out, weight.in, first, panel);
            else if (isPaired)
                packColumnsBf16(static_cast<const std::uint16_t *>(weight.data), weight.out, weight.in, first, panel);
            else
                packColumnsWide(static_cast<const std::uint16_t *>(weight.data), weight.out, weight.in, first, panel);
        });
}

#else

void matrixProduct(const WeightRows &, const void *, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                   const void *, void *, bool)
{ }

void matrixProductBack(const WeightRows &, const void *, std::int64_t, std::int64_t, std::int64_t, std::int64_t, void *)
{ }

#endif

} // namespace secateur
