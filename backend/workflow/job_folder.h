#pragma once

#include "backend/core/run_config.h"

#include <filesystem>
#include <string>

namespace secateur::workflow {

/// A recovery that is to run elsewhere: on another machine, as a Slurm job, in several processes.
struct JobFolderRequest {
    std::filesystem::path folder; ///< a new one, or an empty one
    std::filesystem::path program; ///< secateur-cli as the other machine finds it
    std::string model; ///< as `recover` takes it; the files stay where they are
    std::string parent; ///< to distil from; empty: none
    std::string adapter; ///< to continue from; empty: a new one
    std::string data; ///< path, or "bundled"; copied
    RecoveryOptions options;
    ComputeSettings compute;
};

/// Writes the data, options.json, recover.sh (one machine, or one process of a launcher), job.sbatch (Slurm) and
/// README.txt, and returns the folder in which the scripts leave adapter or model. Started again, they go on behind the
/// last checkpoint. Throws Error(InvalidArgument) when the folder holds files already, Error(NotFound or Io).
std::filesystem::path writeJobFolder(const JobFolderRequest &request);

/// What options.json says. Throws Error(NotFound or BadFormat).
RecoveryOptions readJobOptions(const std::filesystem::path &file);

} // namespace secateur::workflow
