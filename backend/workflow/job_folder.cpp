#include "backend/workflow/job_folder.h"

#include "backend/core/error.h"
#include "backend/io/atomic_file.h"
#include "backend/io/record_json.h"
#include "backend/workflow/bundled_models.h"
#include "backend/workflow/calibrate.h"

#include <nlohmann/json.hpp>

#include <system_error>

namespace secateur::workflow {

namespace {

constexpr const char *kJobScript = R"sh(#!/usr/bin/env bash
# Trains as options.json says, and leaves the result in out/. Started again, it goes on behind the last checkpoint.
#   ./recover.sh                one process on this machine
#   PROCESSES=4 ./recover.sh    four processes that share every step
# Under a launcher that sets MASTER_ADDR (srun in job.sbatch, torchrun --no-python, mpirun) it is one process of many.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=${SECATEUR_CLI:-@PROGRAM@}
processes=${PROCESSES:-1}

command=("$program" recover @MODEL@ --data "$here/"@DATA@ --out "$here/out"@SOURCES@)
if compgen -G "$here/out.checkpoints/step-*" >/dev/null; then
    command+=(--resume "$here/out")
else
    command+=(--options "$here/options.json"@COMPUTE@)
fi
if [ -n "${MASTER_ADDR:-}${SECATEUR_RENDEZVOUS:-}" ]; then
    exec "${command[@]}"
fi

meeting=$(mktemp -d)
export SECATEUR_RENDEZVOUS="$meeting/processes" WORLD_SIZE=$processes LOCAL_WORLD_SIZE=$processes
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' INT TERM # all stop together after a step
trap 'rm -rf "$meeting"' EXIT
for ((rank = 0; rank < processes; rank++)); do
    RANK=$rank LOCAL_RANK=$rank "${command[@]}" &
    pids+=($!)
done
status=0
for pid in "${pids[@]}"; do
    code=0
    wait "$pid" || code=$?
    while kill -0 "$pid" 2>/dev/null; do # a signal ended the wait, not the process
        code=0
        wait "$pid" || code=$?
    done
    [ "$code" -eq 0 ] || status=$code
done
exit "$status"
)sh";

constexpr const char *kJobSlurm = R"sh(#!/usr/bin/env bash
# In this folder: sbatch job.sbatch. Submitted again, it goes on behind the last checkpoint.
#SBATCH --job-name=secateur
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=8
@GPUS@
#SBATCH --time=24:00:00
#SBATCH --output=job-%j.log
# two minutes before the end all processes stop after a step and leave a checkpoint
#SBATCH --signal=TERM@120
set -euo pipefail
here=${SLURM_SUBMIT_DIR:-$PWD}
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
export MASTER_ADDR MASTER_PORT
srun --kill-on-bad-exit=0 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" "$here/recover.sh"
)sh";

constexpr const char *kJobReadme = R"txt(A recovery training of Secateur that runs without the window.

recover.sh     trains on this machine; PROCESSES=4 ./recover.sh shares every step among four processes
job.sbatch     the same as a Slurm job; the resources are the #SBATCH lines at its top
options.json   what is trained and how
@DATA_PAD@ the training data
out/           @RESULT@, once the run has ended or was stopped
out.checkpoints/  the last checkpoint while it runs; start the same script again to go on behind it

The model is read from @MODEL@
and secateur-cli from @PROGRAM@ (SECATEUR_CLI=... names another one).
Both must lie at the same place on every machine of a job, and all must see this folder.
)txt";

/// For a shell, whatever the text holds.
std::string jobQuoted(const std::string &text)
{
    std::string quoted = "'";
    for (const char c : text)
        quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + "'";
}

std::string jobFilled(std::string text, const std::string &mark, const std::string &value)
{
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
        text.replace(at, mark.size(), value);
    return text;
}

/// Absolute where it is a path.
std::string jobPlace(const std::string &argument)
{
    return argument.empty() || argument.starts_with("bundled:") ? argument
                                                                : std::filesystem::absolute(argument).string();
}

std::string jobOption(const char *name, const std::string &value)
{
    return value.empty() ? std::string() : std::string(" ") + name + " " + jobQuoted(value);
}

std::string jobScript(const JobFolderRequest &request, const std::string &data)
{
    const ComputeSettings &compute = request.compute;
    std::string text = jobFilled(kJobScript, "@PROGRAM@", jobQuoted(request.program.string()));
    text = jobFilled(text, "@SOURCES@",
                     jobOption("--parent", jobPlace(request.parent))
                         + jobOption("--adapter", jobPlace(request.adapter)));
    text = jobFilled(text, "@COMPUTE@",
                     jobOption("--device", compute.device) + jobOption("--dtype", compute.dtype)
                         + jobOption("--kernels", compute.kernels == "own" ? std::string() : compute.kernels)
                         + (compute.threads > 0 ? " --threads " + std::to_string(compute.threads) : std::string()));
    text = jobFilled(text, "@DATA@", jobQuoted(data));
    return jobFilled(text, "@MODEL@", jobQuoted(jobPlace(request.model)));
}

void jobExecutable(const std::filesystem::path &file, const std::string &text)
{
    using std::filesystem::perms;
    writeFileAtomically(file, text);
    std::filesystem::permissions(file, perms::owner_exec | perms::group_exec | perms::others_exec,
                                 std::filesystem::perm_options::add);
}

} // namespace

std::filesystem::path writeJobFolder(const JobFolderRequest &request)
{
    std::error_code ignored;
    if (std::filesystem::exists(request.folder, ignored) && !std::filesystem::is_empty(request.folder, ignored))
        throw Error(ErrorKind::InvalidArgument, "The job folder '" + request.folder.string() + "' is not empty.",
                    "Choose a new folder.");
    const std::filesystem::path model
        = isBundled(request.model) ? bundledModelPath(request.model) : std::filesystem::path(request.model);
    const std::filesystem::path data = dataSource(request.data, model, true);
    if (!std::filesystem::is_regular_file(data, ignored))
        throw Error(ErrorKind::NotFound, "There is no training data file '" + data.string() + "'.");
    std::string name = "data" + data.extension().string(); // it says what kind of data it is

    AtomicFolder folder(request.folder);
    const std::filesystem::path root = folder.path();
    std::filesystem::copy_file(data, root / name);
    writeFileAtomically(root / "options.json", prettyJson(toJson(request.options)));
    jobExecutable(root / "recover.sh", jobScript(request, name));
    jobExecutable(
        root / "job.sbatch",
        jobFilled(kJobSlurm, "@GPUS@",
                  std::string(request.compute.device.starts_with("cuda") ? "" : "#") + "#SBATCH --gpus-per-task=1"));
    std::string readme = jobFilled(kJobReadme, "@RESULT@",
                                   request.options.trainsWeights() ? "the model, a Hugging Face folder"
                                                                   : "the adapter, a PEFT folder");
    readme = jobFilled(readme, "@DATA_PAD@", name.size() < 14 ? name + std::string(14 - name.size(), ' ') : name);
    readme = jobFilled(readme, "@PROGRAM@", request.program.string());
    writeFileAtomically(root / "README.txt", jobFilled(readme, "@MODEL@", jobPlace(request.model)));
    folder.commit();
    return request.folder / "out";
}

RecoveryOptions readJobOptions(const std::filesystem::path &file)
{
    const nlohmann::json json = parseJsonText(readTextFile(file), file.string());
    return recoveryOptionsFromJson(JsonNode(json, file.string()));
}

} // namespace secateur::workflow
