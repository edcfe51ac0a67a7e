#pragma once

#include "backend/engine/nn/causal_lm.h"

#include <vector>

namespace secateur {

/// Keys and values of several sequences, allocated once: per block with attention [slots, K, capacity, h].
class KvCache {
public:
    /// \a cleared: masked products read positions that nothing was written to, which must be finite then.
    KvCache(const Model::Impl &model, std::int64_t slots, std::int64_t capacity, bool cleared);
    /// Bytes of one slot.
    static std::uint64_t slotBytes(const Model::Impl &model, std::int64_t capacity);

    const Tensor &keys(int block) const { return m_keys[static_cast<std::size_t>(block)]; }
    const Tensor &values(int block) const { return m_values[static_cast<std::size_t>(block)]; }
    std::int64_t slots() const { return static_cast<std::int64_t>(m_lengths.size()); }
    std::int64_t capacity() const { return m_capacity; }
    std::int64_t length(std::int64_t slot) const { return m_lengths[static_cast<std::size_t>(slot)]; }
    void setLength(std::int64_t slot, std::int64_t length) { m_lengths[static_cast<std::size_t>(slot)] = length; }

    /// Computes the prompts, one per slot, and fills these slots. Returns the hidden states of the last tokens, before
    /// the final norm: (N, D).
    Tensor prefill(const Model::Impl &model, const std::vector<TokenIds> &prompts,
                   const std::vector<std::int64_t> &slots);

private:
    std::vector<Tensor> m_keys;
    std::vector<Tensor> m_values;
    std::vector<std::int64_t> m_lengths;
    std::int64_t m_capacity = 0;
};

} // namespace secateur
