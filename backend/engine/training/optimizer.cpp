#include "backend/engine/training/optimizer.h"

#include "backend/engine/detail/guards.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace secateur {

namespace {

constexpr double kMuonMomentum = 0.95;

/// Numbers of one AdamW step.
struct AdamStep {
    double rate, beta1, beta2, epsilon, decay, correction1, correction2;
};

/// In slices, so that the temporary stays small beside a large embedding.
void adamUpdate(const Tensor &value, const Tensor &gradient, Tensor &first, Tensor &second, const AdamStep &step)
{
    constexpr std::int64_t kSlice = 1 << 20;
    const Tensor values = value.view({-1});
    const Tensor gradients = gradient.reshape({-1});
    const Tensor firsts = first.view({-1});
    const Tensor seconds = second.view({-1});
    for (std::int64_t begin = 0; begin < values.numel(); begin += kSlice) {
        const std::int64_t count = std::min(kSlice, values.numel() - begin);
        const Tensor g = gradients.narrow(0, begin, count);
        Tensor v = values.narrow(0, begin, count);
        Tensor m1 = firsts.narrow(0, begin, count);
        Tensor m2 = seconds.narrow(0, begin, count);
        if (step.decay > 0)
            v.mul_(1 - step.rate * step.decay);
        m1.lerp_(g, 1 - step.beta1);
        m2.mul_(step.beta2).addcmul_(g, g, 1 - step.beta2);
        const Tensor root = at::sqrt(m2).div_(std::sqrt(step.correction2)).add_(step.epsilon);
        v.addcdiv_(m1, root, -step.rate / step.correction1);
    }
}

} // namespace

Tensor orthogonalized(const Tensor &matrix)
{
    constexpr double a = 3.4445;
    constexpr double b = -4.7750;
    constexpr double c = 2.0315;
    const bool isTall = matrix.size(0) > matrix.size(1);
    Tensor x = isTall ? matrix.t() : matrix; // rows ≤ columns: the products are the small ones
    x = x / (at::linalg_vector_norm(x) + 1e-7);
    for (int i = 0; i < 5; ++i) {
        const Tensor square = at::matmul(x, x.t()); // (r, r)
        const Tensor polynomial = at::addmm(square, square, square, b, c);
        x = at::addmm(x, polynomial, x, a, 1);
    }
    return isTall ? x.t() : x;
}

Optimizer::Optimizer(std::vector<TrainedTensor> tensors, const RecoveryOptions &options)
    : m_tensors(std::move(tensors)), m_moments(m_tensors.size()), m_options(options)
{ }

bool Optimizer::usesMuon(const TrainedTensor &tensor) const
{
    return m_options.optimizer == "muon" && tensor.isBlockMatrix;
}

void Optimizer::ensureMoments(std::size_t index)
{
    Moments &moments = m_moments[index];
    if (moments.first.defined())
        return;
    moments.first = at::zeros_like(m_tensors[index].value.detach());
    if (!usesMuon(m_tensors[index]))
        moments.second = at::zeros_like(m_tensors[index].value.detach());
}

void Optimizer::step(double learningRate)
{
    const NoGradScope scope;
    ++m_steps;
    const auto count = static_cast<double>(m_steps);
    AdamStep adam{learningRate, m_options.beta1, m_options.beta2, m_options.epsilon, 0, 0, 0};
    adam.correction1 = 1 - std::pow(m_options.beta1, count);
    adam.correction2 = 1 - std::pow(m_options.beta2, count);
    for (std::size_t index = 0; index < m_tensors.size(); ++index) {
        const TrainedTensor &tensor = m_tensors[index];
        const Tensor gradient = tensor.value.grad();
        if (!gradient.defined())
            continue;
        ensureMoments(index);
        Moments &moments = m_moments[index];
        adam.decay = tensor.decays ? m_options.weightDecay : 0;
        if (!usesMuon(tensor)) {
            adamUpdate(tensor.value.detach(), gradient, moments.first, moments.second, adam);
            continue;
        }
        const double rate = m_options.muonRate * learningRate / m_options.learningRate;
        moments.first.mul_(kMuonMomentum).add_(gradient);
        const Tensor update = orthogonalized(gradient + moments.first * kMuonMomentum);
        const auto larger = static_cast<double>(std::max(update.size(0), update.size(1)));
        Tensor value = tensor.value.detach();
        if (adam.decay > 0)
            value.mul_(1 - rate * adam.decay);
        value.add_(update, -rate * 0.2 * std::sqrt(larger));
    }
    forgetGradients();
}

void Optimizer::forgetGradients()
{
    for (const TrainedTensor &tensor : m_tensors)
        tensor.value.mutable_grad().reset();
}

void Optimizer::visitState(const Visit &visit)
{
    const NoGradScope scope;
    if (m_steps == 0)
        return;
    for (std::size_t index = 0; index < m_tensors.size(); ++index) {
        ensureMoments(index);
        visit("first." + m_tensors[index].name, m_moments[index].first);
        if (m_moments[index].second.defined())
            visit("second." + m_tensors[index].name, m_moments[index].second);
    }
}

} // namespace secateur
