#pragma once

#include "backend/core/calibration.h"

#include <filesystem>
#include <string>

namespace secateur {

/// Importance maps in HDF5/NeXus (root NXroot → entry NXentry → one NXdata per group, dimension scales, default plot).
/// Two metrics of one group share one NXdata: the first is the signal, others are auxiliary signals.
/// Every map is written as float32, chunked by row block, shuffle + deflate 4 + Fletcher32. Written beside and renamed.
/// Compute thread only (HDF5 handles stay on one thread). Throws Error(Io) naming the file.
void writeMaps(const std::filesystem::path &path, const AnalysisResult &result);

/// The bytes that writeMaps() writes; \a path is used in messages only.
std::string encodeMaps(const std::filesystem::path &path, const AnalysisResult &result);

/// Reads what writeMaps() wrote; tolerates plain two-dimensional data sets of others (group = data set name).
/// Throws Error(BadFormat or UnsupportedVersion) naming file and data set.
AnalysisResult readMaps(const std::filesystem::path &path);

} // namespace secateur
