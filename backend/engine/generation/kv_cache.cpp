#include "backend/engine/generation/kv_cache.h"

#include "backend/engine/nn/attention.h"
#include "backend/engine/nn/blocks.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>

namespace secateur {

KvCache::KvCache(const Model::Impl &model, std::int64_t slots, std::int64_t capacity, bool cleared)
    : m_lengths(static_cast<std::size_t>(slots)), m_capacity(capacity)
{
    const auto options = at::TensorOptions().dtype(model.dtype()).device(model.device());
    const std::int64_t headDim = model.config.headDim;
    for (const DecoderBlock &block : model.blocks) {
        const std::int64_t heads = block.q.defined() ? block.shape.kvHeads : 0;
        const auto make = [&] { // memory that is never touched costs nothing
            return cleared ? at::zeros({slots, heads, capacity, headDim}, options)
                           : at::empty({slots, heads, capacity, headDim}, options);
        };
        m_keys.push_back(make());
        m_values.push_back(make());
    }
}

std::uint64_t KvCache::slotBytes(const Model::Impl &model, std::int64_t capacity)
{
    const auto element = static_cast<int>(c10::elementSize(model.dtype()));
    return static_cast<std::uint64_t>(kvBytesPerToken(model.config, element) * capacity);
}

Tensor KvCache::prefill(const Model::Impl &model, const std::vector<TokenIds> &prompts,
                        const std::vector<std::int64_t> &slots)
{
    const SharedPrefixBatch batch = sharePrefixes(prompts, model.device());
    std::vector<Tensor> rows; // of each prompt
    TokenIds last;
    for (std::size_t i = 0; i < slots.size(); ++i) {
        rows.push_back(idsTensor(batch.rows[i], model.device()));
        last.push_back(batch.rows[i].back());
    }
    const Attend attend = [&](int block, const Tensor &q, const Tensor &k, const Tensor &v) {
        for (std::size_t i = 0; i < slots.size(); ++i) {
            const auto store = [&](const Tensor &cache, const Tensor &x) { // (T, K, h) → [K, T, h]
                cache.select(0, slots[i])
                    .narrow(1, 0, rows[i].size(0))
                    .copy_(at::index_select(x, 0, rows[i]).transpose(0, 1));
            };
            store(keys(block), k);
            store(values(block), v);
        }
        return sharedPrefixAttention(q, k, v, batch, model.config.slidingWindow);
    };
    const Tensor hidden = runBlocks(model, batch.ids, batch.positions, attend); // (T, D)
    for (std::size_t i = 0; i < slots.size(); ++i)
        setLength(slots[i], rows[i].size(0));
    return at::index_select(hidden, 0, idsTensor(last, model.device()));
}

} // namespace secateur
