#pragma once

#include "backend/core/run_config.h"
#include "backend/engine/detail/tensor.h"

namespace secateur {

/// The device and dtype that \a settings mean on this machine. Throws Error(InvalidArgument) for unknown ones.
at::Device placementDevice(const ComputeSettings &settings);
at::ScalarType placementDtype(const ComputeSettings &settings);

/// Memory of \a device that nothing uses now.
std::uint64_t freeDeviceBytes(const at::Device &device);

} // namespace secateur
