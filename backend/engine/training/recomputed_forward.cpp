#include "backend/engine/training/recomputed_forward.h"

#include "backend/engine/detail/guards.h"
#include "backend/engine/nn/attention.h"
#include "backend/engine/nn/blocks.h"
#include "backend/engine/training/random_state.h"

#include <ATen/ops/embedding.h>

namespace secateur {

RecomputedForward::RecomputedForward(const Model::Impl &model, const PackedBatch &batch, bool training)
    : m_model(model), m_batch(batch), m_training(training)
{
    const NoGradScope scope;
    m_rotary = rotaryTables(model, batch.positions);
    m_hidden = at::embedding(model.embedding.detach(), batch.ids); // (T, D)
    for (int index = 0; index < static_cast<int>(model.blocks.size()); ++index) {
        m_inputs.push_back(m_hidden);
        m_generators.push_back(randomState(model.device()));
        m_hidden = block(index, m_hidden);
    }
    m_hidden.requires_grad_(true);
}

Tensor RecomputedForward::block(int index, const Tensor &input) const
{
    const Attend attend = [&](int, const Tensor &q, const Tensor &k, const Tensor &v) {
        return packedAttention(q, k, v, m_batch.offsets, m_model.config.slidingWindow);
    };
    return runBlock(m_model, index, input, m_rotary, attend, {}, m_training);
}

void RecomputedForward::backward()
{
    const Tensor after = randomState(m_model.device());
    Tensor gradient = m_hidden.grad(); // (T, D)
    for (int index = static_cast<int>(m_model.blocks.size()); index-- > 0;) {
        const auto at = static_cast<std::size_t>(index);
        const Tensor input = m_inputs[at].detach().requires_grad_(true);
        setRandomState(m_model.device(), m_generators[at]);
        block(index, input).backward(gradient);
        gradient = input.grad();
        m_inputs[at].reset();
    }
    setRandomState(m_model.device(), after);
    if (m_model.embedding.requires_grad())
        at::embedding(m_model.embedding, m_batch.ids).backward(gradient);
}

} // namespace secateur
