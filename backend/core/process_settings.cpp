#include "backend/core/process_settings.h"

#include "backend/core/error.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <system_error>

namespace secateur {

namespace {

/// Names under which a launcher says the same.
struct LauncherNames {
    const char *rank, *size, *localRank, *localSize;
};

/// Slurm comes last: mpirun inside a Slurm job inherits the variables of the one task that called it.
constexpr std::array<LauncherNames, 4> kLaunchers = {{
    {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", ""}, // srun binds its tasks to cores, nothing is left to divide
}};

[[noreturn]] void processRefuse(const std::string &message, const std::string &hint = {})
{
    throw Error(ErrorKind::InvalidArgument, message, hint);
}

/// \a fallback when the variable is not set.
template <typename Number>
Number processNumber(const EnvironmentReader &variable, const std::string &name, Number fallback, Number lowest,
                     const char *rule)
{
    const std::string text = name.empty() ? std::string() : variable(name);
    if (text.empty())
        return fallback;
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !(value >= lowest))
        processRefuse("The environment variable " + name + " is '" + text + "', but must be " + rule + ".");
    return value;
}

int processCount(const EnvironmentReader &variable, const std::string &name, int fallback, int lowest)
{
    return processNumber(variable, name, fallback, lowest,
                         lowest == 0 ? "a whole number of at least 0" : "a whole number of at least 1");
}

const LauncherNames *processLauncher(const EnvironmentReader &variable)
{
    for (const LauncherNames &names : kLaunchers) {
        if (!variable(names.size).empty())
            return &names;
    }
    if (!variable("RANK").empty())
        processRefuse("The environment variable RANK is set, but WORLD_SIZE is not.",
                      "Set both, or none to train in one process.");
    return nullptr;
}

} // namespace

std::optional<ProcessSettings> processSettings(const EnvironmentReader &variable)
{
    const LauncherNames *names = processLauncher(variable);
    if (!names)
        return std::nullopt;
    ProcessSettings settings;
    settings.size = processCount(variable, names->size, 1, 1);
    settings.rank = processCount(variable, names->rank, -1, 0);
    if (settings.size == 1 && settings.rank <= 0)
        return std::nullopt;
    if (settings.rank < 0)
        processRefuse("The environment variable " + std::string(names->size) + " is " + std::to_string(settings.size)
                      + ", but " + names->rank + " is not set.");
    if (settings.rank >= settings.size)
        processRefuse("The environment variable " + std::string(names->rank) + " is " + std::to_string(settings.rank)
                      + ", but must be below " + names->size + ", which is " + std::to_string(settings.size) + ".");
    settings.localRank = processCount(variable, names->localRank, 0, 0);
    settings.localSize = processCount(variable, names->localSize, 1, 1);
    settings.file = variable("SECATEUR_RENDEZVOUS");
    settings.address = settings.file.empty() ? variable("MASTER_ADDR") : std::string();
    if (settings.file.empty() && settings.address.empty())
        processRefuse("The environment variable " + std::string(names->size) + " is " + std::to_string(settings.size)
                          + ", but neither MASTER_ADDR nor SECATEUR_RENDEZVOUS says where the processes meet.",
                      "Set MASTER_ADDR to the machine of rank 0, or WORLD_SIZE to 1 to train in one process.");
    settings.port = processCount(variable, "MASTER_PORT", settings.port, 1);
    if (settings.port > 65535)
        processRefuse("The environment variable MASTER_PORT is " + std::to_string(settings.port)
                      + ", but must be at most 65535.");
    settings.launcherListens = variable("TORCHELASTIC_USE_AGENT_STORE") == "True";
    settings.attempt = processCount(variable, "TORCHELASTIC_RESTART_COUNT", 0, 0);
    settings.interface = variable("GLOO_SOCKET_IFNAME");
    settings.timeoutSeconds
        = processNumber(variable, "SECATEUR_PROCESS_TIMEOUT", settings.timeoutSeconds, 0.001, "a number of seconds");
    if (!std::isfinite(settings.timeoutSeconds) || settings.timeoutSeconds > 1e6)
        processRefuse("The environment variable SECATEUR_PROCESS_TIMEOUT is '" + variable("SECATEUR_PROCESS_TIMEOUT")
                      + "', but must be at most 1000000 seconds.");
    return settings;
}

std::optional<ProcessSettings> processSettings()
{
    return processSettings([](const std::string &name) {
        const char *value = std::getenv(name.c_str());
        return std::string(value ? value : "");
    });
}

} // namespace secateur
