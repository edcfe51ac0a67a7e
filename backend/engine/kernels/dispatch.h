#pragma once

#if defined(__x86_64__)
#define SECATEUR_X86_KERNELS 1
#define SECATEUR_AVX2 __attribute__((target("avx2,fma")))
#define SECATEUR_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma")))
#define SECATEUR_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma")))
#else
#define SECATEUR_X86_KERNELS 0
#endif

namespace secateur {

/// Versions of the kernels, each for processors that can do everything the ones before it need.
enum class KernelLevel {
    Portable,
    Avx2, ///< with FMA
    Avx512, ///< F, BW, VL, DQ
    Avx512Bf16, ///< with dot products of bf16 pairs
};

/// The best level that this processor runs and limitKernelLevel() allows.
KernelLevel kernelLevel();

/// Keeps the kernels at \a highest or below, for tests and comparisons. Not while a kernel runs.
void limitKernelLevel(KernelLevel highest);

inline bool usesAvx2Kernels()
{
    return kernelLevel() >= KernelLevel::Avx2;
}

} // namespace secateur
