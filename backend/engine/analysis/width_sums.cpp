#include "backend/engine/analysis/width_sums.h"

#include "backend/engine/nn/row_ops.h"

#include <ATen/ops/abs.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>

#include <algorithm>
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

void widthAddSquares(const Tensor &x, std::vector<double> &sums)
{
    sums.resize(static_cast<std::size_t>(x.size(1)));
    addSquares(x, sums);
}

/// The weight that acts in \a rows rows from \a first on: with the low-rank branch, if there is one.
Tensor widthEffectiveRows(const Linear &linear, std::int64_t first, std::int64_t rows)
{
    Tensor weight = linear.weight.narrow(0, first, rows).to(at::kFloat);
    if (linear.factor.defined())
        weight = at::mm(weight, linear.factor.to(at::kFloat));
    if (!linear.lora)
        return weight;
    return weight + at::mm(linear.lora->b.narrow(0, first, rows), linear.lora->a).to(at::kFloat) * linear.lora->scaling;
}

/// Sum of |w| per row (dimension 1) or per column (dimension 0). Goes by bands of rows: the copies stay small.
std::vector<double> widthAbsoluteSums(const Linear &linear, std::int64_t dimension)
{
    const std::int64_t rows = linear.outputs();
    const std::int64_t columns = linear.inputs();
    const std::int64_t band = std::max<std::int64_t>(1, (1 << 18) / std::max<std::int64_t>(1, columns));
    std::vector<double> sums(static_cast<std::size_t>(dimension == 1 ? rows : columns));
    for (std::int64_t first = 0; first < rows; first += band) {
        const std::int64_t count = std::min(band, rows - first);
        const Tensor part
            = at::sum(at::abs(widthEffectiveRows(linear, first, count)), dimension, false, at::kDouble).cpu();
        const double *data = part.const_data_ptr<double>();
        double *out = sums.data() + (dimension == 1 ? first : 0);
        for (std::int64_t i = 0; i < part.numel(); ++i)
            out[i] += data[i];
    }
    return sums;
}

} // namespace

WidthSums::WidthSums(int layers)
    : m_attention(static_cast<std::size_t>(layers)), m_mlp(static_cast<std::size_t>(layers))
{ }

void WidthSums::addAttentionOutput(int block, const Tensor &x)
{
    widthAddSquares(x, m_attention[static_cast<std::size_t>(block)]);
}

void WidthSums::addMlpProduct(int block, const Tensor &x)
{
    widthAddSquares(x, m_mlp[static_cast<std::size_t>(block)]);
}

bool WidthSums::isFinite() const
{
    return widthIsFinite(m_attention) && widthIsFinite(m_mlp);
}

UnitScores kvGroupScores(const DecoderBlock &block, int headDim, const std::vector<double> &squares)
{
    UnitScores scores;
    if (!block.o.defined())
        return scores;
    const auto groups = static_cast<std::size_t>(block.shape.kvHeads);
    const auto headWidth = static_cast<std::size_t>(headDim);
    const std::size_t queryWidth = squares.size() / groups; // channels of q and o that belong to one group
    const std::vector<double> q = widthAbsoluteSums(block.q, 1);
    const std::vector<double> k = widthAbsoluteSums(block.k, 1);
    const std::vector<double> v = widthAbsoluteSums(block.v, 1);
    const std::vector<double> o = widthAbsoluteSums(block.o, 0);
    const auto outputs = static_cast<double>(block.o.outputs());
    for (std::size_t group = 0; group < groups; ++group) {
        double magnitude = 0;
        double activation = 0;
        for (std::size_t c = group * queryWidth; c < (group + 1) * queryWidth; ++c) {
            magnitude += q[c] + o[c];
            activation += o[c] / outputs * std::sqrt(squares[c]);
        }
        for (std::size_t c = group * headWidth; c < (group + 1) * headWidth; ++c)
            magnitude += k[c] + v[c];
        scores.weightMagnitude.push_back(magnitude);
        scores.activationWeight.push_back(activation);
    }
    return scores;
}

UnitScores ffnChannelScores(const DecoderBlock &block, const std::vector<double> &squares)
{
    UnitScores scores;
    if (!block.down.defined())
        return scores;
    const std::vector<double> gate = widthAbsoluteSums(block.gate, 1);
    const std::vector<double> up = widthAbsoluteSums(block.up, 1);
    const std::vector<double> down = widthAbsoluteSums(block.down, 0);
    const auto outputs = static_cast<double>(block.down.outputs());
    for (std::size_t c = 0; c < squares.size(); ++c) {
        scores.weightMagnitude.push_back(gate[c] + up[c] + down[c]);
        scores.activationWeight.push_back(down[c] / outputs * std::sqrt(squares[c]));
    }
    return scores;
}

} // namespace secateur
