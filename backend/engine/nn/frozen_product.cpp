#include "backend/engine/nn/frozen_product.h"

#include "backend/engine/kernels/matrix_product.h"
#include "backend/engine/kernels/worker_team.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace secateur {

namespace {

bool frozenAllows(const Tensor &x)
{
    return x.is_cpu() && x.is_contiguous() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

WeightRows frozenRows(const Tensor &weight)
{
    return {weight.const_data_ptr(), weight.scalar_type() == at::kBFloat16, weight.size(0), weight.size(1)};
}

/// Calls \a work(rows, results) for parts of a product: each thread takes a range of rows, and when these get short a
/// range of results too, since weights are laid out anew for every range of rows.
template <typename Work> void frozenParts(std::int64_t rows, std::int64_t results, const Work &work)
{
    constexpr std::int64_t kRowsWorthLayout = 192;
    const std::int64_t threads = at::get_num_threads();
    const std::int64_t rowParts = std::clamp<std::int64_t>(rows / kRowsWorthLayout, 1, threads);
    const std::int64_t parts = std::max<std::int64_t>(1, threads / rowParts);
    at::parallel_for(0, rowParts * parts, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t part = first; part < last; ++part)
            work(workRange(rows, static_cast<int>(part / parts), static_cast<int>(rowParts), 12),
                 workRange(results, static_cast<int>(part % parts), static_cast<int>(parts), 32));
    });
}

class FrozenProduct : public torch::autograd::Function<FrozenProduct> {
public:
    static Tensor forward(torch::autograd::AutogradContext *context, const Tensor &x, const Tensor &weight)
    {
        context->saved_data["weight"] = weight; // a constant: no version to check, nothing to differentiate
        return rowsProduct(x, weight, {});
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients)
    {
        const Tensor weight = context->saved_data["weight"].toTensor();
        const Tensor dy = gradients[0].to(weight.scalar_type()).contiguous(); // (T, out)
        const Tensor dx = at::empty({dy.size(0), weight.size(1)}, dy.options());
        const WeightRows view = frozenRows(weight);
        frozenParts(dy.size(0), view.in, [&](const WorkRange &rows, const WorkRange &ins) {
            matrixProductBack(view, dy.const_data_ptr(), rows.first, rows.last, ins.first, ins.last,
                              dx.mutable_data_ptr());
        });
        return {dx, Tensor()};
    }
};

} // namespace

bool allowsRowsProduct(const Tensor &x, const Tensor &weight, const Tensor &bias)
{
    const bool isBf16 = weight.scalar_type() == at::kBFloat16;
    return x.dim() == 2 && x.scalar_type() == weight.scalar_type() && frozenAllows(x) && frozenAllows(weight)
        && (!bias.defined() || (frozenAllows(bias) && bias.scalar_type() == weight.scalar_type()))
        && canMultiplyMatrices(isBf16, weight.size(1));
}

bool allowsFrozenProduct(const Tensor &x, const Tensor &weight, const Tensor &bias)
{
    // the way back sums over the outputs
    return allowsRowsProduct(x, weight, bias)
        && canMultiplyMatrices(weight.scalar_type() == at::kBFloat16, weight.size(0));
}

Tensor rowsProduct(const Tensor &x, const Tensor &weight, const Tensor &bias, bool keepsSums)
{
    const WeightRows view = frozenRows(weight);
    Tensor y = at::empty({x.size(0), view.out}, keepsSums ? x.options().dtype(at::kFloat) : x.options());
    const void *offset = bias.defined() ? bias.const_data_ptr() : nullptr;
    frozenParts(x.size(0), view.out, [&](const WorkRange &rows, const WorkRange &outs) {
        matrixProduct(view, x.const_data_ptr(), rows.first, rows.last, outs.first, outs.last, offset,
                      y.mutable_data_ptr(), keepsSums);
    });
    return y;
}

Tensor frozenProduct(const Tensor &x, const Tensor &weight, const Tensor &bias)
{
    const Tensor y = FrozenProduct::apply(x, weight);
    return bias.defined() ? y + bias : y;
}

} // namespace secateur
