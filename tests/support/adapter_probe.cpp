#include "tests/support/adapter_probe.h"

#include "backend/engine/training/batch_gradient.h"
#include "backend/engine/training/lora.h"
#include "backend/engine/training/trained_model.h"
#include "backend/engine/transforms/named_tensors.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>

namespace secateur {

namespace {

template <typename Visit> void visitTensors(const LoraBranches &branches, Visit &&visit)
{
    for (const auto &[path, branch] : branches) {
        visit("base_model.model." + path + ".lora_A.weight", branch->a);
        visit("base_model.model." + path + ".lora_B.weight", branch->b);
    }
}

LoraBranches copyOf(const LoraBranches &branches)
{
    LoraBranches copies;
    for (const auto &[path, branch] : branches) {
        auto copy = std::make_shared<LoraBranch>(*branch);
        copy->a = branch->a.detach().clone();
        copy->b = branch->b.detach().clone();
        copies.emplace(path, std::move(copy));
    }
    return copies;
}

SampleRefs refsOf(const std::vector<TrainingSample> &samples, double &scored)
{
    SampleRefs refs;
    for (const TrainingSample &sample : samples) {
        refs.push_back(&sample);
        scored += scoredWeight(sample);
    }
    return refs;
}

} // namespace

AdapterValues adapterValues(const Adapter &adapter)
{
    AdapterValues values;
    visitTensors(adapter.impl().branches,
                 [&](const std::string &key, const Tensor &tensor) { values[key] = toVector(tensor); });
    return values;
}

AdapterValues modelValues(const Model &model)
{
    AdapterValues values;
    for (const auto &[name, tensor] : namedTensors(model.impl()))
        values[name] = toVector(tensor.to(at::kFloat));
    return values;
}

Adapter withValues(const Adapter &adapter, const AdapterValues &values)
{
    auto impl = std::make_shared<Adapter::Impl>(adapter.impl());
    impl->branches = copyOf(adapter.impl().branches);
    visitTensors(impl->branches, [&](const std::string &key, Tensor &tensor) {
        const auto found = values.find(key);
        if (found != values.end())
            std::memcpy(tensor.mutable_data_ptr<float>(), found->second.data(), found->second.size() * sizeof(float));
    });
    return Adapter(std::move(impl));
}

Adapter randomAdapter(const Model &model, const RecoveryOptions &options)
{
    auto impl = std::make_shared<Adapter::Impl>();
    impl->options = options;
    at::Generator generator = at::detail::createCPUGenerator(options.seed);
    for (std::size_t block = 0; block < model.impl().blocks.size(); ++block) {
        for (const std::string &target : options.targets) {
            const Linear *linear = blockLinear(model.impl().blocks[block], target);
            if (!linear)
                continue;
            auto branch = std::make_shared<LoraBranch>();
            branch->a = at::randn({options.rank, linear->inputs()}, generator, at::kFloat) * 0.1;
            branch->b = at::randn({linear->outputs(), options.rank}, generator, at::kFloat) * 0.1;
            branch->scaling = loraScaling(options.alpha, options.rank, options.rsLora);
            branch->dropout = options.dropout;
            impl->branches.emplace(loraModulePath(block, target), std::move(branch));
        }
    }
    return Adapter(std::move(impl));
}

AdapterValues adapterGradients(const Model &base, const Adapter &adapter, const std::vector<TrainingSample> &samples)
{
    const LoraBranches branches = copyOf(adapter.impl().branches);
    visitTensors(branches, [](const std::string &, Tensor &tensor) { tensor.requires_grad_(true); });
    double scored = 0;
    const SampleRefs refs = refsOf(samples, scored);
    const bool previous = c10::GradMode::is_enabled();
    c10::GradMode::set_enabled(true);
    accumulateGradients(*attachBranches(base.impl(), branches), refs, scored);
    c10::GradMode::set_enabled(previous);
    AdapterValues gradients;
    visitTensors(branches,
                 [&](const std::string &key, const Tensor &tensor) { gradients[key] = toVector(tensor.grad()); });
    return gradients;
}

double adapterLoss(const Model &base, const Adapter &adapter, const std::vector<TrainingSample> &samples)
{
    double scored = 0;
    const SampleRefs refs = refsOf(samples, scored);
    const bool previous = c10::GradMode::is_enabled();
    c10::GradMode::set_enabled(false);
    const double loss = accumulateGradients(withAdapter(base, adapter).impl(), refs, scored);
    c10::GradMode::set_enabled(previous);
    return loss / scored;
}

namespace {

LossTerms termsOf(const LossProbe &probe)
{
    LossTerms terms;
    terms.recompute = probe.recompute;
    if (probe.parent) {
        terms.parent = &probe.parent->impl();
        terms.distillWeight = probe.distillWeight;
        terms.temperature = probe.temperature;
    }
    return terms;
}

Tensor orthogonalOf(const std::vector<float> &matrix, std::int64_t rows, std::int64_t columns, Tensor &input)
{
    input = at::zeros({rows, columns});
    std::memcpy(input.mutable_data_ptr<float>(), matrix.data(), matrix.size() * sizeof(float));
    return orthogonalized(input);
}

} // namespace

double weightLoss(const Model &model, const std::vector<TrainingSample> &samples, const LossProbe &probe)
{
    double scored = 0;
    const SampleRefs refs = refsOf(samples, scored);
    const bool previous = c10::GradMode::is_enabled();
    c10::GradMode::set_enabled(false);
    const double loss = accumulateGradients(model.impl(), refs, scored, termsOf(probe)) / scored;
    c10::GradMode::set_enabled(previous);
    return loss;
}

AdapterValues weightGradients(const Model &model, const std::vector<TrainingSample> &samples, const LossProbe &probe)
{
    double scored = 0;
    const SampleRefs refs = refsOf(samples, scored);
    const TrainedModel trained = trainedWeights(model.impl(), {});
    const bool previous = c10::GradMode::is_enabled();
    c10::GradMode::set_enabled(true);
    accumulateGradients(*trained.model, refs, scored, termsOf(probe));
    c10::GradMode::set_enabled(previous);
    AdapterValues gradients;
    for (const TrainedTensor &tensor : trained.tensors)
        gradients[tensor.name] = toVector(tensor.value.grad());
    return gradients;
}

Model withChangedWeight(const Model &model, const std::string &name, std::size_t index, float change)
{
    const TrainedModel copy = trainedWeights(model.impl(), {});
    for (const TrainedTensor &tensor : copy.tensors) {
        if (tensor.name == name)
            tensor.value.detach().mutable_data_ptr<float>()[index] += change;
    }
    return copy.weights();
}

std::vector<float> orthogonalSingularValues(const std::vector<float> &matrix, std::int64_t rows, std::int64_t columns)
{
    Tensor input;
    return toVector(at::linalg_svdvals(orthogonalOf(matrix, rows, columns, input)));
}

double differenceToPolarFactor(const std::vector<float> &matrix, std::int64_t rows, std::int64_t columns)
{
    Tensor input;
    const Tensor result = orthogonalOf(matrix, rows, columns, input);
    const auto [u, s, v] = at::linalg_svd(input, false);
    return (result - at::matmul(u, v)).abs().max().item<double>();
}

std::vector<std::string> sharedTensors(const Model &a, const Model &b)
{
    std::vector<std::string> names;
    const auto second = namedTensors(b.impl());
    for (const auto &[name, tensor] : namedTensors(a.impl())) {
        const bool shared
            = std::any_of(second.begin(), second.end(), [&, memory = tensor.const_data_ptr()](auto &entry) {
                  return entry.second.const_data_ptr() == memory;
              });
        if (shared)
            names.push_back(name);
    }
    return names;
}

std::map<std::string, std::vector<std::int64_t>> tensorShapes(const Model &model)
{
    std::map<std::string, std::vector<std::int64_t>> shapes;
    for (const auto &[name, tensor] : namedTensors(model.impl()))
        shapes[name] = {tensor.sizes().begin(), tensor.sizes().end()};
    return shapes;
}

} // namespace secateur
