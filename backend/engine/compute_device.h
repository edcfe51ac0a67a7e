#pragma once

#include "backend/core/run_config.h"

#include <cstdint>
#include <string>
#include <vector>

namespace secateur {

struct DeviceInfo {
    std::string id; ///< "cpu", "cuda:0"
    std::string name; ///< "CPU · 2 threads", "NVIDIA H200"
    std::uint64_t totalBytes = 0;
    std::uint64_t freeBytes = 0;
    bool fastBf16 = false; ///< the CPU multiplies bf16 faster than f32; always true on CUDA
};

/// Devices of this machine. Loads libtorch_cuda.so when it lies beside libtorch_cpu.so; without a driver there is just
/// the CPU. Compute thread only.
std::vector<DeviceInfo> listDevices();

/// Why there are no CUDA devices, as a clause: "the driver cannot be loaded (…)". Empty when there are. The driver is
/// libcuda.so.1 or what $SECATEUR_CUDA_DRIVER names. Compute thread only.
std::string missingCudaReason();

/// Sets thread counts and kernels; call on the compute thread before the first tensor. Throws Error(InvalidArgument)
/// naming an unknown device, dtype or kernels and what there is.
void applyComputeSettings(const ComputeSettings &settings);

/// "f32" or "bf16": what "auto" means on \a device.
std::string resolveDtype(const ComputeSettings &settings);

/// Resident memory of this process and memory of the machine, bytes.
struct MemoryUse {
    std::uint64_t resident = 0;
    std::uint64_t peak = 0;
    std::uint64_t available = 0;
    std::uint64_t total = 0;
    std::uint64_t anonymous = 0; ///< resident without a file behind it: what cannot be read again
};
MemoryUse memoryUse();

} // namespace secateur
