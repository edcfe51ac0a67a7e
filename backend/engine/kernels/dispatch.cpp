#include "backend/engine/kernels/dispatch.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#if SECATEUR_X86_KERNELS
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace secateur {

namespace {

#if SECATEUR_X86_KERNELS

/// As many dot products of pairs, or f32 products, one after the other.
template <bool IsPaired> SECATEUR_AVX512_BF16 float dispatchMultiply()
{
    constexpr int kSteps = 1000;
    __m512 sums[8] = {};
    __m512 values = _mm512_set1_ps(0.5F);
    for (int step = 0; step < kSteps; ++step) {
#pragma GCC unroll 8
        for (__m512 &sum : sums) {
            if constexpr (IsPaired)
                sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(values), reinterpret_cast<__m512bh>(values));
            else
                sum = _mm512_fmadd_ps(values, values, sum);
        }
        asm volatile("" : "+v"(values)); // nothing is known of it: no step can be left out
    }
    return _mm512_cvtss_f32(sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7]);
}

/// Dot products of pairs do twice the work of an f32 product: twice as fast on some processors, half as fast on others.
/// Measured once, for some 50 µs; the shortest of several tries is not disturbed by what else runs.
bool dispatchPairsAreFaster()
{
    using Clock = std::chrono::steady_clock;
    Clock::duration f32 = Clock::duration::max(), pairs = f32;
    volatile float kept = 0;
    const auto timed = [&kept](float (*work)()) {
        const auto start = Clock::now();
        kept = work();
        return Clock::now() - start;
    };
    for (int i = 0; i < 8; ++i) {
        f32 = std::min(f32, timed(dispatchMultiply<false>));
        pairs = std::min(pairs, timed(dispatchMultiply<true>));
    }
    return 2 * pairs < 3 * f32; // a third more results in the same time
}

#endif

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

/// Found once: with equal speeds a second look might see it the other way.
KernelLevel dispatchFastestLevel()
{
    static const KernelLevel fastest = [] {
        const KernelLevel best = dispatchProcessorLevel();
#if SECATEUR_X86_KERNELS
        if (best == KernelLevel::Avx512Bf16 && !dispatchPairsAreFaster())
            return KernelLevel::Avx512;
#endif
        return best;
    }();
    return fastest;
}

std::atomic<KernelLevel> &dispatchLevel()
{
    static std::atomic<KernelLevel> level{dispatchFastestLevel()};
    return level;
}

} // namespace

KernelLevel kernelLevel()
{
    return dispatchLevel().load(std::memory_order_relaxed);
}

void useFastestKernels()
{
    dispatchLevel().store(dispatchFastestLevel(), std::memory_order_relaxed);
}

void limitKernelLevel(KernelLevel highest)
{
    dispatchLevel().store(std::min(dispatchProcessorLevel(), highest), std::memory_order_relaxed);
}

bool hasBf16Tiles()
{
#if SECATEUR_X86_KERNELS
    static const bool has = [] {
        constexpr unsigned kAmxBf16 = 1U << 22, kAmxTile = 1U << 24; // leaf 7, edx
        unsigned a = 0, b = 0, c = 0, d = 0;
        return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kAmxBf16) && (d & kAmxTile);
    }();
    return has;
#else
    return false;
#endif
}

} // namespace secateur
