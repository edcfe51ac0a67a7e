#pragma once

#include "backend/engine/detail/tensor.h"

#include <cstdint>
#include <vector>

namespace secateur {

/// Cosines between the hidden states of all blocks, summed over tokens, and angles at the last token of each sequence.
/// Holds the states of one batch at a time; sums are double precision.
class SimilaritySums {
public:
    explicit SimilaritySums(int layers);

    /// Starts a batch; \a offsets as in PackedBatch.
    void beginBatch(const std::vector<std::int64_t> &offsets, std::int64_t hiddenSize, const at::Device &device);
    /// State 0 … L of the batch, each once: (T, D).
    void add(int state, const Tensor &hidden);
    /// Adds the batch to the sums. Returns false when a value was not finite; the sums are unusable then.
    bool endBatch();

    /// Mean over tokens of 1 − cos(h_i, h_j): [L+1, L+1].
    std::vector<double> meanDistances() const;
    /// Mean over sequences of arccos(cos(h_i, h_j)) / π at the last token: [L+1, L+1].
    std::vector<double> meanAngles() const;

private:
    std::int64_t m_states = 0;
    std::int64_t m_tokens = 0;
    std::int64_t m_sequences = 0;
    std::int64_t m_batchTokens = 0;
    Tensor m_lastRows; ///< [S] rows of the last tokens
    Tensor m_unit; ///< [L+1, T, D] f32, every token scaled to length 1
    Tensor m_last; ///< [S, L+1, D] f64, the last tokens, length 1
    Tensor m_gramSum; ///< [L+1, L+1] f64
    Tensor m_angleSum; ///< [L+1, L+1] f64
};

} // namespace secateur
