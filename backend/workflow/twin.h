#pragma once

#include "backend/workflow/calibrate.h"

#include <string>

namespace secateur::workflow {

/// The maps in \a source: an HDF5 file, or a session with maps. Throws Error(NotFound or BadFormat) naming the file.
AnalysisResult readMapsFrom(const std::string &source);

/// Maps of the sibling of the model that \a own belongs to: read from \a source when it is a file with maps or a
/// session, otherwise computed, \a source being a model (as for openModel()) that is opened for this alone. "bundled"
/// calibration of a bundled model is its own data. Throws Error(InvalidArgument) when the shapes differ.
AnalysisResult twinMapsFrom(const std::string &source, const AnalysisResult &own, const CalibrationRequest &calibration,
                            const ComputeSettings &settings, const JobContext &context);

} // namespace secateur::workflow
