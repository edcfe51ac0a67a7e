#include "backend/engine/generation/decoder.h"
#include "backend/engine/kernels/dispatch.h"
#include "backend/engine/nn/blocks.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <optional>

namespace secateur {

namespace {

class TensorDecoder : public Decoder {
public:
    TensorDecoder(const Model::Impl &model, KvCache &cache) : m_model(model), m_cache(cache) { }

    std::span<const float> step(const std::vector<DecodeRow> &rows) override
    {
        // every slot takes part, idle ones with a token whose result is thrown away: shapes stay the same and no cache
        // is copied
        const std::int64_t slots = m_cache.slots();
        TokenIds ids(static_cast<std::size_t>(slots), 0);
        TokenIds positions(static_cast<std::size_t>(slots), 0);
        std::int64_t longest = 1;
        for (const DecodeRow &row : rows) {
            const std::int64_t length = m_cache.length(row.slot);
            ids[static_cast<std::size_t>(row.slot)] = row.id;
            positions[static_cast<std::size_t>(row.slot)] = static_cast<std::int32_t>(length);
            longest = std::max(longest, length + 1);
        }
        const at::Device device = m_model.device();
        const Tensor position = idsTensor(positions, device); // (slots)
        const std::int64_t window = m_model.config.slidingWindow;
        const bool seesAll
            = std::all_of(positions.begin(), positions.end(), [&](std::int32_t last) { return last + 1 == longest; })
            && (window == 0 || longest <= window);
        std::optional<Tensor> mask; // (slots, 1, 1, longest); sequences of one length, or just one, need none
        if (!seesAll) {
            const Tensor key = at::arange(longest, at::TensorOptions().dtype(at::kLong).device(device));
            Tensor seen = key.unsqueeze(0) <= position.unsqueeze(1); // (slots, longest)
            if (window > 0)
                seen = seen & (key.unsqueeze(0) > position.unsqueeze(1) - window);
            mask = seen.unsqueeze(1).unsqueeze(1);
        }

        const Attend attend = [&](int block, const Tensor &q, const Tensor &k, const Tensor &v) {
            const Tensor keys = m_cache.keys(block);
            const Tensor values = m_cache.values(block);
            for (const DecodeRow &row : rows) {
                const std::int64_t at = m_cache.length(row.slot);
                keys.select(0, row.slot).select(1, at).copy_(k.select(0, row.slot));
                values.select(0, row.slot).select(1, at).copy_(v.select(0, row.slot));
            }
            const Tensor mixed = at::scaled_dot_product_attention(
                q.unsqueeze(2), keys.narrow(2, 0, longest), values.narrow(2, 0, longest), mask, 0.0, false,
                std::nullopt, q.size(1) != k.size(1)); // (slots, H, 1, h)
            return mixed.reshape({slots, q.size(1) * q.size(2)});
        };
        const Tensor hidden = runBlocks(m_model, idsTensor(ids, device), position, attend); // (slots, D)
        TokenIds used;
        for (const DecodeRow &row : rows) {
            used.push_back(static_cast<std::int32_t>(row.slot));
            m_cache.setLength(row.slot, m_cache.length(row.slot) + 1);
        }
        m_logits = toVector(logitsOf(m_model, hidden.index_select(0, idsTensor(used, device))));
        return m_logits;
    }

private:
    const Model::Impl &m_model;
    KvCache &m_cache;
    std::vector<float> m_logits;
};

} // namespace

std::unique_ptr<Decoder> makeTensorDecoder(const Model::Impl &model, KvCache &cache)
{
    return std::make_unique<TensorDecoder>(model, cache);
}

bool usesRowDecoder(const Model::Impl &model)
{
    return model.device().is_cpu() && kernelLevel() > KernelLevel::None;
}

std::unique_ptr<Decoder> makeDecoder(const Model::Impl &model, KvCache &cache)
{
    return usesRowDecoder(model) ? makeRowDecoder(model, cache) : makeTensorDecoder(model, cache);
}

} // namespace secateur
