#include "backend/engine/nn/linear.h"

#include "backend/engine/nn/dropout.h"
#include "backend/engine/nn/frozen_product.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>

namespace secateur {

namespace {

/// x·Wᵀ + b: by the kernels where they know the types and the weights are not trained, else by LibTorch. \a keepsSums:
/// in f32 where the kernels give it and no gradient is asked for.
Tensor linearProduct(const Tensor &x, const Tensor &weight, const Tensor &bias, bool keepsSums = false)
{
    const bool isAutocast = at::autocast::is_autocast_enabled(x.device().type());
    const bool wantsGradient = c10::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
    if (!isAutocast && !wantsGradient && allowsRowsProduct(x, weight, bias))
        return rowsProduct(x, weight, bias, keepsSums);
    if (!isAutocast && wantsGradient && !weight.requires_grad() && allowsFrozenProduct(x, weight, bias))
        return frozenProduct(x, weight, bias);
    return at::linear(x, weight, bias);
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
