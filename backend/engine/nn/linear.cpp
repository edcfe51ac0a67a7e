#include "backend/engine/nn/linear.h"

#include "backend/engine/kernels/matrix_product.h"
#include "backend/engine/kernels/worker_team.h"
#include "backend/engine/nn/dropout.h"
#include "backend/engine/nn/row_ops.h"

#include <ATen/Parallel.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include <algorithm>

namespace secateur {

namespace {

/// x·Wᵀ + b: by the kernels where they know the types and no gradient is asked for, else by LibTorch. \a keepsSums: in
/// f32 where the kernels give it.
Tensor linearProduct(const Tensor &x, const Tensor &weight, const Tensor &bias, bool keepsSums = false)
{
    const std::int64_t in = weight.size(1);
    const bool isBf16 = weight.scalar_type() == at::kBFloat16;
    if (x.dim() != 2 || x.scalar_type() != weight.scalar_type() || !allowsRowKernels(x) || !allowsRowKernels(weight)
        || (bias.defined() && !allowsRowKernels(bias)) || !canMultiplyMatrices(isBf16, in))
        return at::linear(x, weight, bias);
    const std::int64_t rows = x.size(0);
    const WeightRows view{weight.const_data_ptr(), isBf16, weight.size(0), in};
    Tensor y = at::empty({rows, view.out}, keepsSums ? x.options().dtype(at::kFloat) : x.options());
    const void *input = x.const_data_ptr();
    const void *offset = bias.defined() ? bias.const_data_ptr() : nullptr;
    void *output = y.mutable_data_ptr();
    // each thread takes a range of rows, and when these get short a range of outputs too: weights are laid out anew
    // for every range of rows
    constexpr std::int64_t kRowsWorthLayout = 192;
    const std::int64_t threads = at::get_num_threads();
    const std::int64_t rowParts = std::clamp<std::int64_t>(rows / kRowsWorthLayout, 1, threads);
    const std::int64_t outParts = std::max<std::int64_t>(1, threads / rowParts);
    at::parallel_for(0, rowParts * outParts, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t part = first; part < last; ++part) {
            const WorkRange own = workRange(rows, static_cast<int>(part / outParts), static_cast<int>(rowParts), 12);
            const WorkRange outs
                = workRange(view.out, static_cast<int>(part % outParts), static_cast<int>(outParts), 32);
            matrixProduct(view, input, own.first, own.last, outs.first, outs.last, offset, output, keepsSums);
        }
    });
    return y;
}

} // namespace

Tensor Linear::matrix() const
{
    const Tensor whole = weight.to(at::kFloat);
    return factor.defined() ? at::mm(whole, factor.to(at::kFloat)) : whole;
}

Tensor Linear::sums(const Tensor &x) const
{
    if (lora || factor.defined())
        return (*this)(x).to(at::kFloat);
    return linearProduct(x, weight, bias, true).to(at::kFloat);
}

Tensor Linear::operator()(const Tensor &x, bool training) const
{
    Tensor y = linearProduct(factor.defined() ? linearProduct(x, factor, {}) : x, weight, bias); // (…, out)
    if (!lora)
        return y;
    // the branch computes in its own dtype: f32 adapters beside bf16 weights keep their precision
    Tensor branchInput = x.to(lora->a.scalar_type()); // (…, in)
    if (training && lora->dropout > 0)
        branchInput = droppedOut(branchInput, lora->dropout);
    const Tensor narrow = at::linear(branchInput, lora->a) * lora->scaling; // (…, r), scaled where it is cheapest
    if (y.dim() == 2 && y.scalar_type() == narrow.scalar_type())
        return at::addmm(y, narrow, lora->b.t()); // one pass over (T, out) instead of three
    return y + at::linear(narrow, lora->b).to(y.scalar_type());
}

} // namespace secateur
