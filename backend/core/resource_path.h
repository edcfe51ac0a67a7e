#pragma once

#include <filesystem>

namespace secateur {

/// The folder with tasks, calibration text and items: $SECATEUR_RESOURCES, else share/secateur beside the program,
/// else the source tree it was built from.
std::filesystem::path resourceDirectory();

/// $XDG_CACHE_HOME/secateur, or ~/.cache/secateur.
std::filesystem::path cacheDirectory();

/// Program version, "0.1.0".
const char *versionString();

} // namespace secateur
