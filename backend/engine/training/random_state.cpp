#include "backend/engine/training/random_state.h"

#include <ATen/Context.h>

#include <mutex>

namespace secateur {

Tensor randomState(const at::Device &device)
{
    at::Generator generator = at::globalContext().defaultGenerator(device);
    const std::lock_guard lock(generator.mutex());
    return generator.get_state();
}

void setRandomState(const at::Device &device, const Tensor &state)
{
    at::Generator generator = at::globalContext().defaultGenerator(device);
    const std::lock_guard lock(generator.mutex());
    generator.set_state(state);
}

void seedRandomNumbers(const at::Device &device, std::uint64_t seed)
{
    at::Generator generator = at::globalContext().defaultGenerator(device);
    const std::lock_guard lock(generator.mutex());
    generator.set_current_seed(seed);
}

RandomSeedScope::RandomSeedScope(const at::Device &device, std::uint64_t seed)
    : m_device(device), m_state(randomState(device))
{
    seedRandomNumbers(device, seed);
}

RandomSeedScope::~RandomSeedScope()
{
    setRandomState(m_device, m_state);
}

} // namespace secateur
