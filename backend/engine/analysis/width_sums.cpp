#include "backend/engine/analysis/width_sums.h"

#include "backend/engine/nn/row_ops.h"

#include <ATen/ops/abs.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>

#include <cmath>

namespace secateur {

namespace {

bool widthIsFinite(const std::vector<std::vector<double>> &sums)
{
    double total = 0;
    for (const std::vector<double> &block : sums)
        for (const double value : block)
            total += value;
    return std::isfinite(total);
}

/// The weight that acts: with the low-rank branch, if there is one.
Tensor widthEffectiveWeight(const Linear &linear)
{
    const Tensor weight = linear.matrix();
    if (!linear.lora)
        return weight;
    return weight + at::mm(linear.lora->b, linear.lora->a).to(at::kFloat) * linear.lora->scaling;
}

/// Sum of |w| per row (dimension 1) or per column (dimension 0).
std::vector<double> widthAbsoluteSums(const Linear &linear, std::int64_t dimension)
{
    const Tensor sums = at::sum(at::abs(widthEffectiveWeight(linear)), dimension, false, at::kDouble).cpu();
    const double *data = sums.const_data_ptr<double>();
    return {data, data + sums.numel()};
}

} // namespace

WidthSums::WidthSums(const Model::Impl &model) : m_attention(model.blocks.size()), m_mlp(model.blocks.size())
{
    for (std::size_t i = 0; i < model.blocks.size(); ++i) {
        const DecoderBlock &block = model.blocks[i];
        if (block.o.defined())
            m_attention[i].resize(static_cast<std::size_t>(block.o.inputs()));
        if (block.down.defined())
            m_mlp[i].resize(static_cast<std::size_t>(block.down.inputs()));
    }
}

void WidthSums::addAttentionOutput(int block, const Tensor &x)
{
    addSquares(x, m_attention[static_cast<std::size_t>(block)]);
}

void WidthSums::addMlpProduct(int block, const Tensor &x)
{
    addSquares(x, m_mlp[static_cast<std::size_t>(block)]);
}

bool WidthSums::isFinite() const
{
    return widthIsFinite(m_attention) && widthIsFinite(m_mlp);
}

UnitScores kvGroupScores(const Model::Impl &model, int block, const std::vector<double> &squares)
{
    const DecoderBlock &weights = model.blocks[static_cast<std::size_t>(block)];
    UnitScores scores;
    if (!weights.o.defined())
        return scores;
    const auto groups = static_cast<std::size_t>(weights.shape.kvHeads);
    const auto headDim = static_cast<std::size_t>(model.config.headDim);
    const std::size_t queryWidth = squares.size() / groups; // channels of q and o that belong to one group
    const std::vector<double> q = widthAbsoluteSums(weights.q, 1);
    const std::vector<double> k = widthAbsoluteSums(weights.k, 1);
    const std::vector<double> v = widthAbsoluteSums(weights.v, 1);
    const std::vector<double> o = widthAbsoluteSums(weights.o, 0);
    const auto outputs = static_cast<double>(weights.o.outputs());
    for (std::size_t group = 0; group < groups; ++group) {
        double magnitude = 0;
        double activation = 0;
        for (std::size_t c = group * queryWidth; c < (group + 1) * queryWidth; ++c) {
            magnitude += q[c] + o[c];
            activation += o[c] / outputs * std::sqrt(squares[c]);
        }
        for (std::size_t c = group * headDim; c < (group + 1) * headDim; ++c)
            magnitude += k[c] + v[c];
        scores.weightMagnitude.push_back(magnitude);
        scores.activationWeight.push_back(activation);
    }
    return scores;
}

UnitScores ffnChannelScores(const Model::Impl &model, int block, const std::vector<double> &squares)
{
    const DecoderBlock &weights = model.blocks[static_cast<std::size_t>(block)];
    UnitScores scores;
    if (!weights.down.defined())
        return scores;
    const std::vector<double> gate = widthAbsoluteSums(weights.gate, 1);
    const std::vector<double> up = widthAbsoluteSums(weights.up, 1);
    const std::vector<double> down = widthAbsoluteSums(weights.down, 0);
    const auto outputs = static_cast<double>(weights.down.outputs());
    for (std::size_t c = 0; c < squares.size(); ++c) {
        scores.weightMagnitude.push_back(gate[c] + up[c] + down[c]);
        scores.activationWeight.push_back(down[c] / outputs * std::sqrt(squares[c]));
    }
    return scores;
}

} // namespace secateur
