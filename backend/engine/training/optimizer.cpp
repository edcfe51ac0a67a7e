#include "backend/engine/training/optimizer.h"

#include <torch/optim/adamw.h>

#include <tuple>
#include <utility>

namespace secateur {

struct AdamWOptimizer::State {
    torch::optim::AdamW optimizer;
};

AdamWOptimizer::AdamWOptimizer(std::vector<Tensor> parameters, const RecoveryOptions &options)
{
    torch::optim::AdamWOptions values(options.learningRate);
    values.betas(std::make_tuple(options.beta1, options.beta2));
    values.eps(options.epsilon);
    values.weight_decay(options.weightDecay);
    m_state = std::make_unique<State>(State{torch::optim::AdamW(std::move(parameters), values)});
}

AdamWOptimizer::~AdamWOptimizer() = default;

void AdamWOptimizer::step(double learningRate)
{
    for (torch::optim::OptimizerParamGroup &group : m_state->optimizer.param_groups())
        group.options().set_lr(learningRate);
    m_state->optimizer.step();
    m_state->optimizer.zero_grad(true);
}

} // namespace secateur
