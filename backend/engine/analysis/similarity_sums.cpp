#include "backend/engine/analysis/similarity_sums.h"

#include <ATen/ops/acos.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/div.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace secateur {

namespace {

/// Length of each row, never 0: a zero vector stays zero.
Tensor similarityLengths(const Tensor &rows)
{
    return at::clamp_min(at::linalg_vector_norm(rows, 2, at::IntArrayRef{-1}, true), 1e-30);
}

} // namespace

SimilaritySums::SimilaritySums(int layers)
    : m_states(layers + 1),
      m_gramSum(at::zeros({m_states, m_states}, at::kDouble)),
      m_angleSum(at::zeros({m_states, m_states}, at::kDouble))
{ }

void SimilaritySums::beginBatch(const std::vector<std::int64_t> &offsets, std::int64_t hiddenSize,
                                const at::Device &device)
{
    const auto sequences = static_cast<std::int64_t>(offsets.size()) - 1;
    m_batchTokens = offsets.back();
    const auto wide = at::TensorOptions().dtype(at::kFloat).device(device);
    if (!m_unit.defined() || m_unit.size(1) != m_batchTokens)
        m_unit = at::empty({m_states, m_batchTokens, hiddenSize}, wide);
    m_last = at::empty({sequences, m_states, hiddenSize}, wide.dtype(at::kDouble));
    m_lastRows = at::empty({sequences}, at::kLong);
    for (std::int64_t s = 0; s < sequences; ++s)
        m_lastRows.mutable_data_ptr<std::int64_t>()[s] = offsets[static_cast<std::size_t>(s) + 1] - 1;
    m_lastRows = m_lastRows.to(device);
}

void SimilaritySums::add(int state, const Tensor &hidden)
{
    const Tensor wide = hidden.to(at::kFloat); // (T, D)
    Tensor unit = m_unit.select(0, state);
    at::div_out(unit, wide, similarityLengths(wide));
    // angles of nearly equal states need more digits than f32 has
    const Tensor last = at::index_select(wide, 0, m_lastRows).to(at::kDouble); // (S, D)
    m_last.select(1, state).copy_(last / similarityLengths(last));
}

bool SimilaritySums::endBatch()
{
    // the sum over tokens of the Gram matrices of unit vectors is one product of the flattened states; pieces keep the
    // f32 sums short
    const Tensor flat = m_unit.flatten(1); // (L+1, T·D)
    constexpr std::int64_t kPiece = 16384;
    Tensor gram = at::zeros({m_states, m_states}, m_last.options());
    for (std::int64_t first = 0; first < flat.size(1); first += kPiece) {
        const Tensor piece = flat.narrow(1, first, std::min(kPiece, flat.size(1) - first));
        gram += at::mm(piece, piece.t());
    }
    const Tensor cosines = at::clamp(at::bmm(m_last, m_last.transpose(1, 2)), -1.0, 1.0); // (S, L+1, L+1)
    m_gramSum += gram.cpu();
    m_angleSum += at::sum(at::acos(cosines), 0).cpu();
    m_tokens += m_batchTokens;
    m_sequences += m_last.size(0);
    return std::isfinite(at::sum(m_gramSum).item<double>()) && std::isfinite(at::sum(m_angleSum).item<double>());
}

std::vector<double> SimilaritySums::meanDistances() const
{
    const double *gram = m_gramSum.const_data_ptr<double>();
    const auto size = static_cast<std::size_t>(m_states);
    std::vector<double> distances(size * size);
    for (std::size_t i = 0; i < size; ++i) {
        for (std::size_t j = 0; j < size; ++j) {
            // |u_i − u_j|² / 2: rounding in the lengths cancels, equal states are exactly 0 apart
            const double twice = gram[i * size + i] + gram[j * size + j] - gram[i * size + j] - gram[j * size + i];
            distances[i * size + j] = twice / 2 / static_cast<double>(m_tokens);
        }
    }
    return distances;
}

std::vector<double> SimilaritySums::meanAngles() const
{
    const double *sum = m_angleSum.const_data_ptr<double>();
    std::vector<double> angles(sum, sum + m_angleSum.numel());
    for (double &angle : angles)
        angle /= std::numbers::pi * static_cast<double>(m_sequences);
    return angles;
}

} // namespace secateur
