#pragma once

// The only place that includes ATen's core. ivalue.h comes first, see the pitfalls of Qt and LibTorch macros;
// AT_PER_OPERATOR_HEADERS gives tensor–scalar operators without the whole of ATen.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/core/ivalue.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include "backend/core/calibration.h"

#include <string>

namespace secateur {

using Tensor = at::Tensor;

/// [T] int64 ids on \a device.
Tensor idsTensor(const TokenIds &ids, const at::Device &device);

/// f32 copy on the CPU as a vector, row-major.
std::vector<float> toVector(const Tensor &tensor);

} // namespace secateur
