#include "backend/engine/nn/attention.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scaled_dot_product_attention.h>

namespace secateur {

namespace {

/// true where the query at position past + i may see key j: (n, past + n).
Tensor attentionMask(std::int64_t queries, std::int64_t keys, std::int64_t window, const at::Device &device)
{
    const Tensor i = at::arange(keys - queries, keys, at::TensorOptions().dtype(at::kLong).device(device)).unsqueeze(1);
    const Tensor j = at::arange(keys, at::TensorOptions().dtype(at::kLong).device(device)).unsqueeze(0);
    Tensor mask = j <= i;
    if (window > 0)
        mask = mask & (j > i - window);
    return mask;
}

/// q (S, t, H, h), k and v (S, t, K, h): S sequences of one length t → (S·t, H·h).
Tensor attentionOfEqual(const Tensor &q, const Tensor &k, const Tensor &v, std::int64_t window)
{
    const std::int64_t length = q.size(1);
    const bool grouped = q.size(2) != k.size(2);
    const bool windowed = window > 0 && window < length;
    const Tensor result = windowed
        ? at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                           attentionMask(length, length, window, q.device()), 0.0, false, std::nullopt,
                                           grouped)
        : at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), {}, 0.0, true,
                                           std::nullopt, grouped); // (S, H, t, h)
    return result.transpose(1, 2).reshape({q.size(0) * length, q.size(2) * q.size(3)});
}

} // namespace

Tensor packedAttention(const Tensor &q, const Tensor &k, const Tensor &v, const std::vector<std::int64_t> &offsets,
                       std::int64_t window)
{
    std::vector<Tensor> parts;
    const std::size_t sequences = offsets.size() - 1;
    for (std::size_t first = 0; first < sequences;) {
        const std::int64_t length = offsets[first + 1] - offsets[first];
        std::size_t last = first + 1; // a run of neighbours of one length goes through one call
        while (last < sequences && offsets[last + 1] - offsets[last] == length)
            ++last;
        const auto run = static_cast<std::int64_t>(last - first);
        const auto take = [&](const Tensor &x) {
            return x.narrow(0, offsets[first], run * length).view({run, length, x.size(1), x.size(2)});
        };
        parts.push_back(attentionOfEqual(take(q), take(k), take(v), window));
        first = last;
    }
    return parts.size() == 1 ? parts.front() : at::cat(parts, 0);
}

Tensor cachedAttention(const Tensor &q, const Tensor &k, const Tensor &v, std::int64_t window)
{
    const std::int64_t queries = q.size(0);
    const std::int64_t keys = k.size(0);
    const bool grouped = q.size(1) != k.size(1);
    std::optional<Tensor> mask; // one query sees everything that is there
    if (queries > 1)
        mask = attentionMask(queries, keys, window, q.device());
    const bool cut = queries == 1 && window > 0 && window < keys;
    const auto take
        = [&](const Tensor &x) { return (cut ? x.narrow(0, keys - window, window) : x).unsqueeze(0).transpose(1, 2); };
    const Tensor result = at::scaled_dot_product_attention(q.unsqueeze(0).transpose(1, 2), take(k), take(v), mask, 0.0,
                                                           false, std::nullopt, grouped); // (1, H, N, h)
    return result.transpose(1, 2).reshape({queries, q.size(1) * q.size(2)});
}

} // namespace secateur
