#include "backend/engine/model.h"

#include "backend/engine/detail/guards.h"
#include "backend/engine/detail/placement.h"
#include "backend/engine/nn/loading.h"
#include "backend/engine/nn/weight_loader.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <cmath>

namespace secateur {

const ModelConfig &Model::config() const
{
    return m_impl->config;
}

std::string Model::dtype() const
{
    return m_impl->dtype() == at::kBFloat16 ? "bf16" : "f32";
}

std::string Model::device() const
{
    return m_impl->device().str();
}

std::int64_t Model::parameters() const
{
    const auto count = [](const Tensor &tensor) { return tensor.defined() ? tensor.numel() : 0; };
    std::int64_t total = count(m_impl->embedding) + count(m_impl->finalNorm) + count(m_impl->head.bias);
    if (!m_impl->head.weight.is_same(m_impl->embedding))
        total += count(m_impl->head.weight);
    for (const DecoderBlock &block : m_impl->blocks) {
        total += count(block.attentionNorm) + count(block.mlpNorm) + count(block.qNorm) + count(block.kNorm);
        for (const Linear *linear : {&block.q, &block.k, &block.v, &block.o, &block.gate, &block.up, &block.down})
            total += count(linear->weight) + count(linear->bias) + count(linear->factor);
    }
    return total;
}

Model loadModel(const ModelInfo &info, const ComputeSettings &settings, const JobContext &context)
{
    if (!info.config) {
        throw Error(ErrorKind::Unsupported,
                    "Model \"" + info.name + "\" can only be inspected: " + info.inspectOnlyReason);
    }
    return withoutGradients([&] {
        WeightLoader loader(info, settings, context);
        const std::shared_ptr<Model::Impl> model = assembleModel(*info.config, loader.device(), std::ref(loader));
        model->keepAlive = loader.mapping();
        return Model(model);
    });
}

Model randomModel(const ModelConfig &config, std::uint64_t seed, const ComputeSettings &settings,
                  const InitialWeights &initial)
{
    return withoutGradients([&] {
        const at::Device device = placementDevice(settings);
        const at::ScalarType dtype = placementDtype(settings);
        const at::Generator generator = at::detail::createCPUGenerator(seed);
        const auto options = at::TensorOptions().dtype(at::kFloat);
        const WeightSource source = [&](const std::string &name, const std::vector<std::int64_t> &shape) {
            if (shape.size() != 2)
                return (name.ends_with(".bias") ? at::zeros(shape, options) : at::ones(shape, options))
                    .to(device, dtype);
            const bool isOutput = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
            if (initial.zeroOutputs && isOutput)
                return at::zeros(shape, options.device(device).dtype(dtype));
            double deviation = initial.matrix;
            if (!name.starts_with("model.layers."))
                deviation = initial.embedding;
            else if (initial.gain > 0)
                deviation = initial.gain / std::sqrt(static_cast<double>(shape[1]));
            return (at::randn(shape, generator, options) * deviation).to(device, dtype);
        };
        return Model(assembleModel(config, device, source));
    });
}

} // namespace secateur
