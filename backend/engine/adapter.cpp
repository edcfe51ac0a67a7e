#include "backend/engine/adapter.h"

#include "backend/engine/detail/guards.h"
#include "backend/engine/training/lora.h"

#include <ATen/ops/matmul.h>

namespace secateur {

std::int64_t Adapter::parameters() const
{
    std::int64_t count = 0;
    for (const auto &[path, branch] : m_impl->branches)
        count += branch->a.numel() + branch->b.numel();
    return count;
}

Model withAdapter(const Model &base, const Adapter &adapter)
{
    return withoutGradients([&] {
        const at::Device device = base.impl().device();
        LoraBranches moved;
        for (const auto &[path, branch] : adapter.impl().branches) {
            auto copy = std::make_shared<LoraBranch>(*branch);
            copy->a = branch->a.to(device);
            copy->b = branch->b.to(device);
            moved.emplace(path, std::move(copy));
        }
        return Model(attachBranches(base.impl(), moved));
    });
}

Model mergeAdapter(const Model &base, const Adapter &adapter)
{
    return withoutGradients([&] {
        const Model both = withAdapter(base, adapter); // checks names and shapes
        auto result = std::make_shared<Model::Impl>(both.impl());
        for (DecoderBlock &block : result->blocks) {
            for (const std::string_view target : kLoraTargets) {
                Linear *linear = blockLinear(block, target);
                if (!linear || !linear->lora)
                    continue;
                const LoraBranch &branch = *linear->lora;
                const Tensor delta = at::matmul(branch.b.to(at::kFloat), branch.a.to(at::kFloat)); // [out, in]
                linear->weight = (linear->matrix() + delta * branch.scaling).to(linear->weight.scalar_type());
                linear->factor = Tensor(); // the sum has a higher rank: it becomes one matrix
                block.shape.ranks.erase(std::string(target));
                linear->lora = nullptr;
            }
        }
        for (std::size_t i = 0; i < result->blocks.size(); ++i)
            result->config.blocks[i] = result->blocks[i].shape;
        return Model(std::move(result));
    });
}

} // namespace secateur
