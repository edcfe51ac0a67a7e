#include "backend/engine/kernels/dispatch.h"

#include <algorithm>
#include <atomic>

namespace secateur {

namespace {

KernelLevel dispatchProcessorLevel()
{
#if SECATEUR_X86_KERNELS
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return KernelLevel::Portable;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl")
        || !__builtin_cpu_supports("avx512dq"))
        return KernelLevel::Avx2;
    return __builtin_cpu_supports("avx512bf16") ? KernelLevel::Avx512Bf16 : KernelLevel::Avx512;
#else
    return KernelLevel::Portable;
#endif
}

std::atomic<KernelLevel> &dispatchLevel()
{
    static std::atomic<KernelLevel> level{dispatchProcessorLevel()};
    return level;
}

} // namespace

KernelLevel kernelLevel()
{
    return dispatchLevel().load(std::memory_order_relaxed);
}

void limitKernelLevel(KernelLevel highest)
{
    dispatchLevel().store(std::min(dispatchProcessorLevel(), highest), std::memory_order_relaxed);
}

} // namespace secateur
