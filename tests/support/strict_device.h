#pragma once

#include <string>

namespace secateur {

/// Registers a device with LibTorch that is ordinary memory under another name, as strict as a graphics card: an
/// operation that gets tensors of two devices throws, and the addresses of its tensors cannot be read or written by
/// anybody but its own operations, so a forgotten copy to the CPU ends in a segmentation fault. Returns its id for
/// ComputeSettings. Works for the whole process; call it before the first model is made.
std::string registerStrictDevice();

} // namespace secateur
