#pragma once

#include "backend/engine/detail/tensor.h"

#include <cstdint>

namespace secateur {

/// State of the global random numbers of \a device, which dropout draws from: bytes on the CPU.
Tensor randomState(const at::Device &device);
void setRandomState(const at::Device &device, const Tensor &state);
/// As at the start of a program that was given \a seed.
void seedRandomNumbers(const at::Device &device, std::uint64_t seed);

/// Seeds the global random numbers of a device, and puts them back at the end.
class RandomSeedScope {
public:
    RandomSeedScope(const at::Device &device, std::uint64_t seed);
    ~RandomSeedScope();
    RandomSeedScope(const RandomSeedScope &) = delete;
    RandomSeedScope &operator=(const RandomSeedScope &) = delete;

private:
    at::Device m_device;
    Tensor m_state;
};

} // namespace secateur
