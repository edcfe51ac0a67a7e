#include "backend/engine/nn/linear.h"

#include "backend/engine/nn/dropout.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

namespace secateur {

Tensor Linear::matrix() const
{
    const Tensor whole = weight.to(at::kFloat);
    return factor.defined() ? at::mm(whole, factor.to(at::kFloat)) : whole;
}

Tensor Linear::operator()(const Tensor &x, bool training) const
{
    Tensor y = at::linear(factor.defined() ? at::linear(x, factor) : x, weight, bias); // (…, out)
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
