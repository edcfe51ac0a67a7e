#pragma once

#include "backend/engine/detail/tensor.h"

#include <memory>

namespace secateur {

/// A low-rank branch beside a linear layer: y += scaling · B(A(dropout(x))). A [r, in], B [out, r], f32 or the model's
/// dtype.
struct LoraBranch {
    Tensor a;
    Tensor b;
    double scaling = 1;
    double dropout = 0; ///< applied in training only
};

/// y = x·Wᵀ + b, weight [out, in]; bias and branch may be absent. A factored linear has W = weight · factor.
struct Linear {
    Tensor weight; ///< [out, in], or B [out, r] of a factored linear
    Tensor bias; ///< undefined: none
    std::shared_ptr<LoraBranch> lora; ///< null: none
    Tensor factor; ///< A [r, in]; undefined: weight is the whole matrix

    bool defined() const { return weight.defined(); }
    std::int64_t inputs() const { return (factor.defined() ? factor : weight).size(1); }
    std::int64_t outputs() const { return weight.size(0); }
    /// W [out, in] in f32, without the branch.
    Tensor matrix() const;
    /// x (…, in) → (…, out). \a training switches the branch's dropout on.
    Tensor operator()(const Tensor &x, bool training = false) const;
    /// The same in f32: with bf16 weights too the sums are not rounded, where a kernel of our own computes them.
    Tensor sums(const Tensor &x) const;
};

} // namespace secateur
