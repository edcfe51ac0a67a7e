#include "backend/engine/nn/attention.h"

#include "backend/engine/kernels/causal_attention.h"
#include "backend/engine/nn/row_ops.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <span>

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

bool attentionAllowsKernels(const Tensor &q, const Tensor &k, const Tensor &v)
{
    return canAttendCausally() && allowsRowKernels(q) && allowsRowKernels(k) && allowsRowKernels(v);
}

/// The kernel over \a segments, whose `keys` count rows of \a k and \a v.
Tensor attentionByKernel(const Tensor &q, const Tensor &k, const Tensor &v,
                         std::span<const SharedPrefixBatch::Segment> segments, std::int64_t window)
{
    const Tensor queries = q.to(at::kFloat);
    const Tensor keys = k.to(at::kFloat);
    const Tensor values = v.to(at::kFloat);
    const std::int64_t heads = q.size(1);
    const std::int64_t groups = k.size(1);
    const std::int64_t headDim = q.size(2);
    const Tensor result = at::empty({q.size(0), heads * headDim}, queries.options());

    struct Piece {
        CausalGroup group;
        std::int64_t first = 0, last = 0;
    };
    constexpr std::int64_t kPieceQueries = 252; // keys are laid out once per piece
    std::vector<Piece> pieces;
    for (const SharedPrefixBatch::Segment &segment : segments) {
        const std::int64_t length = segment.last - segment.first;
        for (std::int64_t g = 0; g < groups; ++g) {
            CausalGroup group;
            group.queryHeads = heads / groups;
            group.headDim = headDim;
            group.qStride = group.outStride = heads * headDim;
            group.kStride = group.vStride = groups * headDim;
            const std::int64_t row = segment.first * group.qStride + g * group.queryHeads * headDim;
            group.q = queries.const_data_ptr<float>() + row;
            group.out = result.mutable_data_ptr<float>() + row;
            group.k = keys.const_data_ptr<float>() + segment.keys * group.kStride + g * headDim;
            group.v = values.const_data_ptr<float>() + segment.keys * group.vStride + g * headDim;
            group.past = segment.past;
            group.window = window;
            group.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(headDim)));
            for (std::int64_t first = 0; first < length; first += kPieceQueries)
                pieces.push_back({group, first, std::min(first + kPieceQueries, length)});
        }
    }
    std::atomic<std::size_t> next{0}; // pieces differ in length: whoever is free takes the next one
    at::parallel_for(0, at::get_num_threads(), 1, [&](std::int64_t, std::int64_t) {
        for (std::size_t i = next++; i < pieces.size(); i = next++)
            causalAttention(pieces[i].group, pieces[i].first, pieces[i].last);
    });
    return result.to(q.scalar_type());
}

/// The last q.size(0) positions of one sequence against all its keys: q (N, H, h), k and v (T, K, h) → (N, H·h).
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

} // namespace

Tensor packedAttention(const Tensor &q, const Tensor &k, const Tensor &v, const std::vector<std::int64_t> &offsets,
                       std::int64_t window)
{
    if (attentionAllowsKernels(q, k, v)) {
        std::vector<SharedPrefixBatch::Segment> segments;
        for (std::size_t s = 0; s + 1 < offsets.size(); ++s)
            segments.push_back({offsets[s], offsets[s + 1], 0, offsets[s]});
        return attentionByKernel(q, k, v, segments, window);
    }
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

Tensor sharedPrefixAttention(const Tensor &q, const Tensor &k, const Tensor &v, const SharedPrefixBatch &batch,
                             std::int64_t window)
{
    const Tensor keys = at::index_select(k, 0, batch.keyRows);
    const Tensor values = at::index_select(v, 0, batch.keyRows);
    if (attentionAllowsKernels(q, keys, values))
        return attentionByKernel(q, keys, values, batch.segments, window);
    std::vector<Tensor> parts;
    for (const SharedPrefixBatch::Segment &segment : batch.segments) {
        const std::int64_t own = segment.last - segment.first;
        const Tensor queries = q.narrow(0, segment.first, own);
        const auto seen = [&](const Tensor &x) { return x.narrow(0, segment.keys, segment.past + own); };
        parts.push_back(segment.past == 0 ? packedAttention(queries, seen(keys), seen(values), {0, own}, window)
                                          : cachedAttention(queries, seen(keys), seen(values), window));
    }
    return parts.size() == 1 ? parts.front() : at::cat(parts, 0);
}

} // namespace secateur
