#include "backend/engine/detail/tensor.h"

#include <ATen/ops/empty.h>

#include <cstring>

namespace secateur {

Tensor idsTensor(const TokenIds &ids, const at::Device &device)
{
    Tensor host = at::empty({static_cast<std::int64_t>(ids.size())}, at::kLong);
    std::int64_t *out = host.mutable_data_ptr<std::int64_t>();
    for (const std::int32_t id : ids)
        *out++ = id;
    return host.to(device);
}

std::vector<float> toVector(const Tensor &tensor)
{
    const Tensor host = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
    std::vector<float> values(static_cast<std::size_t>(host.numel()));
    if (!values.empty())
        std::memcpy(values.data(), host.const_data_ptr<float>(), values.size() * sizeof(float));
    return values;
}

} // namespace secateur
