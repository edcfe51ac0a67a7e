#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace secateur {

/// One process among several that train together, as a launcher describes it in environment variables.
struct ProcessSettings {
    int rank = 0; ///< 0 … size − 1; 0 writes the files
    int size = 1;
    int localRank = 0; ///< among those of one machine
    int localSize = 1; ///< 1: the launcher does not say
    std::string address; ///< where rank 0 listens until all have found each other; empty: `file` is used
    int port = 29500;
    std::filesystem::path file; ///< a new file that all processes see, in place of an address
    bool launcherListens = false; ///< torchrun's agent holds the port, rank 0 only connects
    int attempt = 0; ///< torchrun starts a failed job again
    std::string interface; ///< of the network between the processes; empty: the one of this machine's name
    double timeoutSeconds = 600; ///< one exchange with the others, waiting for them included
};

/// The value of a variable, empty when it is not set.
using EnvironmentReader = std::function<std::string(const std::string &name)>;

/// Reads RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE (torchrun), else the variables of Open MPI, of PMI (MPICH,
/// Intel MPI), else those of Slurm's srun; where to meet: MASTER_ADDR and MASTER_PORT, or SECATEUR_RENDEZVOUS (a file);
/// GLOO_SOCKET_IFNAME; SECATEUR_PROCESS_TIMEOUT (seconds). nullopt: this process is alone. Throws
/// Error(InvalidArgument) naming the variable.
std::optional<ProcessSettings> processSettings(const EnvironmentReader &variable);

/// The same from the environment of this process.
std::optional<ProcessSettings> processSettings();

} // namespace secateur
