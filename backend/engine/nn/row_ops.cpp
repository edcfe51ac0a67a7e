#include "backend/engine/nn/row_ops.h"

#include "backend/engine/kernels/bf16_rows.h"
#include "backend/engine/kernels/dispatch.h"
#include "backend/engine/kernels/row_math.h"
#include "backend/engine/nn/causal_lm.h"
#include "backend/engine/nn/rotary.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/square.h>
#include <ATen/ops/sum.h>

#include <c10/core/GradMode.h>

#include <algorithm>

namespace secateur {

namespace {

/// Rows of an f32 or bf16 tensor as f32: a view of them, or a widened copy that store() writes back.
class WideRows {
public:
    explicit WideRows(const Tensor &tensor) : m_data(tensor.data_ptr()), m_isBf16(tensor.scalar_type() == at::kBFloat16)
    { }

    /// \a count values from \a first on; \a room is used for bf16. Not to be written unless the caller owns the tensor.
    float *load(std::int64_t first, std::int64_t count, std::vector<float> &room) const
    {
        if (!m_isBf16)
            return static_cast<float *>(m_data) + first;
        room.resize(static_cast<std::size_t>(count));
        fromBf16(static_cast<const std::uint16_t *>(m_data) + first, count, room.data());
        return room.data();
    }
    void store(std::int64_t first, std::int64_t count, const float *values) const
    {
        if (m_isBf16)
            toBf16(values, count, static_cast<std::uint16_t *>(m_data) + first);
    }

private:
    void *m_data = nullptr;
    bool m_isBf16 = false;
};

} // namespace

bool allowsRowKernels(const Tensor &x)
{
    return kernelLevel() > KernelLevel::None && !c10::GradMode::is_enabled() && x.is_cpu() && x.is_contiguous()
        && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

Tensor rmsNorm(const Tensor &x, const Tensor &weight, double eps)
{
    const std::int64_t size = x.size(-1);
    if (allowsRowKernels(x) && allowsRowKernels(weight)) {
        Tensor result = at::empty_like(x);
        const WideRows in(x);
        const WideRows out(result);
        const std::vector<float> scale = toVector(weight);
        at::parallel_for(0, x.numel() / size, 32, [&](std::int64_t first, std::int64_t last) {
            std::vector<float> inRoom;
            std::vector<float> outRoom;
            for (std::int64_t at = first * size; at < last * size; at += size) {
                float *normed = out.load(at, size, outRoom);
                normRow(in.load(at, size, inRoom), scale.data(), eps, size, normed);
                out.store(at, size, normed);
            }
        });
        return result;
    }
    const Tensor wide = x.to(at::kFloat);
    const Tensor scale = at::rsqrt(at::mean(wide * wide, -1, true) + eps); // (…, 1)
    return (wide * scale).to(x.scalar_type()) * weight;
}

Tensor gatedProduct(const Tensor &gate, const Tensor &up)
{
    if (!allowsRowKernels(gate) || !allowsRowKernels(up))
        return at::silu(gate) * up;
    const WideRows product(gate);
    const WideRows factor(up);
    constexpr std::int64_t kPiece = 2048; // stays in the first-level cache
    at::parallel_for(0, (gate.numel() + kPiece - 1) / kPiece, 8, [&](std::int64_t first, std::int64_t last) {
        std::vector<float> room;
        std::vector<float> factorRoom;
        for (std::int64_t at = first * kPiece; at < std::min(last * kPiece, gate.numel()); at += kPiece) {
            const std::int64_t count = std::min(kPiece, gate.numel() - at);
            float *values = product.load(at, count, room);
            siluProduct(values, factor.load(at, count, factorRoom), count);
            product.store(at, count, values);
        }
    });
    return gate;
}

Tensor applyRotary(const Tensor &x, const Tensor &cos, const Tensor &sin)
{
    const std::int64_t heads = x.size(1);
    const std::int64_t headDim = x.size(2);
    if (allowsRowKernels(x) && allowsRowKernels(cos) && allowsRowKernels(sin)) {
        const WideRows rows(x);
        const WideRows cosines(cos);
        const WideRows sines(sin);
        const std::int64_t width = heads * headDim;
        at::parallel_for(0, x.size(0), 32, [&](std::int64_t first, std::int64_t last) {
            std::vector<float> room;
            std::vector<float> cosRoom;
            std::vector<float> sinRoom;
            for (std::int64_t row = first; row < last; ++row) {
                float *values = rows.load(row * width, width, room);
                const float *cosine = cosines.load(row * headDim, headDim, cosRoom);
                const float *sine = sines.load(row * headDim, headDim, sinRoom);
                for (std::int64_t head = 0; head < heads; ++head)
                    rotateHead(values + head * headDim, cosine, sine, headDim);
                rows.store(row * width, width, values);
            }
        });
        return x;
    }
    const std::int64_t half = headDim / 2;
    const Tensor turned = at::cat({-x.narrow(2, half, half), x.narrow(2, 0, half)}, 2); // (T, heads, h)
    return x * cos.unsqueeze(1) + turned * sin.unsqueeze(1);
}

void addSquares(const Tensor &x, std::vector<double> &sums)
{
    const std::int64_t columns = x.size(1);
    if (allowsRowKernels(x)) {
        const WideRows rows(x);
        constexpr std::int64_t kPart = 256; // parts are added in order: the same sums for every number of threads
        const std::int64_t parts = (x.size(0) + kPart - 1) / kPart;
        std::vector<double> partSums(static_cast<std::size_t>(parts * columns));
        at::parallel_for(0, parts, 1, [&](std::int64_t first, std::int64_t last) {
            std::vector<float> room;
            constexpr std::int64_t kPiece = 32; // rows that addColumnSquares() sums in f32
            for (std::int64_t row = first * kPart; row < std::min(last * kPart, x.size(0)); row += kPiece) {
                const std::int64_t count = std::min(kPiece, x.size(0) - row);
                addColumnSquares(rows.load(row * columns, count * columns, room), count, columns,
                                 partSums.data() + row / kPart * columns);
            }
        });
        for (std::size_t i = 0; i < partSums.size(); ++i)
            sums[i % static_cast<std::size_t>(columns)] += partSums[i];
        return;
    }
    constexpr std::int64_t kRows = 256; // short f32 sums, then double
    for (std::int64_t row = 0; row < x.size(0); row += kRows) {
        const Tensor rows = x.narrow(0, row, std::min(kRows, x.size(0) - row)).to(at::kFloat);
        const std::vector<float> squares = toVector(at::sum(at::square(rows), 0));
        for (std::size_t c = 0; c < squares.size(); ++c)
            sums[c] += squares[c];
    }
}

} // namespace secateur
