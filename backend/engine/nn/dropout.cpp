#include "backend/engine/nn/dropout.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <mutex>

namespace secateur {

namespace {

/// SplitMix64 (Steele, Lea, Flood 2014) at position \a index of the stream \a seed.
inline std::uint64_t dropoutBits(std::uint64_t seed, std::uint64_t index)
{
    std::uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

} // namespace

Tensor droppedOut(const Tensor &x, double probability)
{
    constexpr std::int64_t kDrawsPerWord = 4; // 16 bits each
    const auto threshold = static_cast<std::uint32_t>(std::lround(probability * 65536));
    if (!x.device().is_cpu() || threshold == 0 || threshold > 65535)
        return at::dropout(x, probability, true);
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    std::uint64_t seed = 0;
    {
        const std::lock_guard lock(generator.mutex());
        seed = at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
    }
    // LibTorch draws its masks in one thread, which takes as long as a matrix product of the branch
    Tensor mask = at::empty(x.sizes(), at::kFloat); // (T, in)
    float *values = mask.mutable_data_ptr<float>();
    const std::int64_t count = mask.numel();
    const float kept = 65536.0f / static_cast<float>(65536 - threshold); // for the share that is really dropped
    at::parallel_for(0, (count + kDrawsPerWord - 1) / kDrawsPerWord, 1 << 14,
                     [&](std::int64_t begin, std::int64_t end) {
                         for (std::int64_t word = begin; word < end; ++word) {
                             std::uint64_t bits = dropoutBits(seed, static_cast<std::uint64_t>(word));
                             const std::int64_t first = word * kDrawsPerWord;
                             const std::int64_t last = std::min(first + kDrawsPerWord, count);
                             for (std::int64_t i = first; i < last; ++i, bits >>= 16)
                                 values[i] = (bits & 0xFFFF) < threshold ? 0.0f : kept;
                         }
                     });
    return x * mask.to(x.scalar_type());
}

} // namespace secateur
