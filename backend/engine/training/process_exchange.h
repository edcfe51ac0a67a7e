#pragma once

#include "backend/engine/detail/tensor.h"
#include "backend/engine/process_group.h"

namespace secateur {

/// What the processes of a group do with tensors.
struct ProcessGroup::Impl {
    virtual ~Impl() = default;

    enum class Operation { Sum, Maximum };
    /// In place, over all processes. \a tensor is contiguous and on the CPU.
    virtual void reduce(const Tensor &tensor, Operation operation) = 0;
};

} // namespace secateur
