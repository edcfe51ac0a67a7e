#include "backend/engine/transforms/slicing.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

namespace secateur {

namespace {

void slicingAppendRange(std::vector<std::int64_t> &indices, std::int64_t first, std::int64_t count)
{
    for (std::int64_t index = first; index < first + count; ++index)
        indices.push_back(index);
}

bool slicingKeepsAll(const std::vector<std::int64_t> &indices, std::int64_t size)
{
    return static_cast<std::int64_t>(indices.size()) == size;
}

/// The matrix that meets the inputs: the whole weight or A.
Tensor &slicingInputSide(Linear &linear)
{
    return linear.factor.defined() ? linear.factor : linear.weight;
}

Tensor slicingIndex(const std::vector<std::int64_t> &indices, const at::Device &device)
{
    Tensor host = at::empty({static_cast<std::int64_t>(indices.size())}, at::kLong);
    std::copy(indices.begin(), indices.end(), host.mutable_data_ptr<std::int64_t>());
    return host.to(device);
}

/// 1 for kept columns, 0 elsewhere: (in).
Tensor slicingIndicator(const Tensor &weight, const std::vector<std::int64_t> &columns)
{
    Tensor indicator = at::zeros({weight.size(1)}, weight.options());
    return indicator.index_fill_(0, slicingIndex(columns, weight.device()), 1);
}

} // namespace

KeptUnits keptUnits(const BlockShape &shape, int headDim, const std::set<int> &removedGroups,
                    const std::set<int> &removedChannels)
{
    KeptUnits kept;
    if (shape.hasAttention) {
        const std::int64_t groupRows = static_cast<std::int64_t>(shape.queryHeads / shape.kvHeads) * headDim;
        for (int group = 0; group < shape.kvHeads; ++group) {
            if (removedGroups.contains(group))
                continue;
            slicingAppendRange(kept.queryRows, group * groupRows, groupRows);
            slicingAppendRange(kept.kvRows, static_cast<std::int64_t>(group) * headDim, headDim);
        }
    }
    if (shape.hasMlp) {
        for (int channel = 0; channel < shape.intermediateSize; ++channel) {
            if (!removedChannels.contains(channel))
                kept.ffnChannels.push_back(channel);
        }
    }
    return kept;
}

Linear withRows(const Linear &linear, const std::vector<std::int64_t> &rows)
{
    if (slicingKeepsAll(rows, linear.outputs()))
        return linear;
    const Tensor index = slicingIndex(rows, linear.weight.device());
    Linear result;
    result.weight = at::index_select(linear.weight, 0, index); // [out', in]
    result.factor = linear.factor;
    if (linear.bias.defined())
        result.bias = at::index_select(linear.bias, 0, index); // [out']
    if (linear.lora) {
        result.lora = std::make_shared<LoraBranch>(*linear.lora);
        result.lora->b = at::index_select(linear.lora->b, 0, index); // [out', r]
    }
    return result;
}

Linear withColumns(const Linear &linear, const std::vector<std::int64_t> &columns)
{
    if (slicingKeepsAll(columns, linear.inputs()))
        return linear;
    const Tensor index = slicingIndex(columns, linear.weight.device());
    Linear result = linear;
    Tensor &side = slicingInputSide(result); // [·, in]
    side = at::index_select(side, 1, index);
    if (linear.lora) {
        result.lora = std::make_shared<LoraBranch>(*linear.lora);
        result.lora->a = at::index_select(linear.lora->a, 1, index); // [r, in']
    }
    return result;
}

Linear withOthersZero(const Linear &linear, const std::vector<std::int64_t> &columns)
{
    if (slicingKeepsAll(columns, linear.inputs()))
        return linear;
    Linear result = linear;
    Tensor &side = slicingInputSide(result); // [·, in]
    const Tensor indicator = slicingIndicator(side, columns); // (in)
    side = side * indicator;
    if (linear.lora) {
        result.lora = std::make_shared<LoraBranch>(*linear.lora);
        result.lora->a = linear.lora->a * indicator.to(linear.lora->a.scalar_type()); // [r, in]
    }
    return result;
}

Linear silenced(const Linear &linear)
{
    Linear result;
    result.weight = at::zeros_like(linear.weight);
    result.factor = linear.factor;
    if (linear.bias.defined())
        result.bias = at::zeros_like(linear.bias);
    return result;
}

} // namespace secateur
