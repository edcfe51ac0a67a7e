#include "backend/engine/nn/linear.h"

#include <ATen/ops/dropout.h>
#include <ATen/ops/linear.h>

namespace secateur {

Tensor Linear::operator()(const Tensor &x, bool training) const
{
    Tensor y = at::linear(x, weight, bias); // (…, out)
    if (!lora)
        return y;
    // the branch computes in its own dtype: f32 adapters beside bf16 weights keep their precision
    Tensor branchInput = x.to(lora->a.scalar_type()); // (…, in)
    if (training && lora->dropout > 0)
        branchInput = at::dropout(branchInput, lora->dropout, true);
    const Tensor branch = at::linear(at::linear(branchInput, lora->a), lora->b); // (…, out)
    return y + (branch * lora->scaling).to(y.scalar_type());
}

} // namespace secateur
