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
    None, ///< LibTorch's operators do it all, as they do on a GPU
    Portable,
    Avx2, ///< with FMA
    Avx512, ///< F, BW, VL, DQ
    Avx512Bf16, ///< with dot products of bf16 pairs, where they are faster than two f32 products
};

/// The fastest level that this processor runs, or what limitKernelLevel() said.
KernelLevel kernelLevel();

/// Ends a limit.
void useFastestKernels();

/// Sets the level to \a highest or the best one below it that this processor runs, be it faster or not; for tests and
/// comparisons. Not while a kernel runs.
void limitKernelLevel(KernelLevel highest);

/// true when this processor multiplies whole tiles of bf16 (AMX). LibTorch does that, no kernel here.
bool hasBf16Tiles();

inline bool usesAvx2Kernels()
{
    return kernelLevel() >= KernelLevel::Avx2;
}

} // namespace secateur
