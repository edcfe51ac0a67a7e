#pragma once

#if defined(__x86_64__)
#define SECATEUR_AVX2_KERNELS 1
#define SECATEUR_AVX2 __attribute__((target("avx2,fma")))
#else
#define SECATEUR_AVX2_KERNELS 0
#endif

namespace secateur {

/// true when this processor runs the AVX2 and FMA versions of the kernels; asked once.
inline bool usesAvx2Kernels()
{
#if SECATEUR_AVX2_KERNELS
    static const bool supported = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return supported;
#else
    return false;
#endif
}

} // namespace secateur
