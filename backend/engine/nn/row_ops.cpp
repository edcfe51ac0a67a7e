#include "backend/engine/nn/row_ops.h"

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

bool allowsRowKernels(const Tensor &x)
{
    return !c10::GradMode::is_enabled() && x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
}

Tensor rmsNorm(const Tensor &x, const Tensor &weight, double eps)
{
    const std::int64_t size = x.size(-1);
    if (allowsRowKernels(x) && allowsRowKernels(weight)) {
        Tensor result = at::empty_like(x);
        const float *in = x.const_data_ptr<float>();
        const float *scale = weight.const_data_ptr<float>();
        float *out = result.mutable_data_ptr<float>();
        at::parallel_for(0, x.numel() / size, 32, [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t row = first; row < last; ++row)
                normRow(in + row * size, scale, eps, size, out + row * size);
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
    float *product = gate.mutable_data_ptr<float>();
    const float *factor = up.const_data_ptr<float>();
    at::parallel_for(0, gate.numel(), 1 << 14, [&](std::int64_t first, std::int64_t last) {
        siluProduct(product + first, factor + first, last - first);
    });
    return gate;
}

Tensor applyRotary(const Tensor &x, const Tensor &cos, const Tensor &sin)
{
    const std::int64_t heads = x.size(1);
    const std::int64_t headDim = x.size(2);
    if (allowsRowKernels(x) && allowsRowKernels(cos) && allowsRowKernels(sin)) {
        float *data = x.mutable_data_ptr<float>();
        const float *cosines = cos.const_data_ptr<float>();
        const float *sines = sin.const_data_ptr<float>();
        at::parallel_for(0, x.size(0), 32, [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t row = first; row < last; ++row)
                for (std::int64_t head = 0; head < heads; ++head)
                    rotateHead(data + (row * heads + head) * headDim, cosines + row * headDim, sines + row * headDim,
                               headDim);
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
        const float *data = x.const_data_ptr<float>();
        constexpr std::int64_t kPart = 256; // parts are added in order: the same sums for every number of threads
        const std::int64_t parts = (x.size(0) + kPart - 1) / kPart;
        std::vector<double> partSums(static_cast<std::size_t>(parts * columns));
        at::parallel_for(0, parts, 1, [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t part = first; part < last; ++part)
                addColumnSquares(data + part * kPart * columns, std::min(kPart, x.size(0) - part * kPart), columns,
                                 partSums.data() + part * columns);
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
