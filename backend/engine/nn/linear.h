#pragma once

#include "backend/engine/detail/tensor.h"

#include <memory>

namespace secateur {

/// A low-rank branch beside a linear layer: y += scaling · B(A(dropout(x))). A [r, in], B [out, r], f32 or the model's dtype.
struct LoraBranch {
    Tensor a;
    Tensor b;
    double scaling = 1;
    double dropout = 0; ///< applied in training only
};

/// y = x·Wᵀ + b, weight [out, in]; bias and branch may be absent.
struct Linear {
    Tensor weight;
    Tensor bias; ///< undefined: none
    std::shared_ptr<LoraBranch> lora; ///< null: none

    bool defined() const { return weight.defined(); }
    /// x (…, in) → (…, out). \a training switches the branch's dropout on.
    Tensor operator()(const Tensor &x, bool training = false) const;
};

} // namespace secateur
