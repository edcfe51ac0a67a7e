#include "app/cli/shell.h"
#include "app/cli/verbs.h"

#include "backend/core/resource_path.h"

#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <string>

using namespace secateur;

namespace {

constexpr int kUsageExit = 2;
constexpr int kCancelledExit = 3;
constexpr int kInternalExit = 70;

void addCommonOptions(CLI::App &program, cli::CommonOptions &options)
{
    program.add_option("--device", options.compute.device, "cpu, cuda or cuda:N")->capture_default_str();
    program.add_option("--dtype", options.compute.dtype, "type to compute in: auto, f32, bf16")->capture_default_str();
    program.add_option("--threads", options.compute.threads, "threads, 0 = all cores")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    program
        .add_option("--kernels", options.compute.kernels,
                    "own, or libtorch: slower, with its operators as transformers calls them")
        ->capture_default_str();
    program.add_option("--seed", options.seed, "seed of everything drawn at random")->capture_default_str();
    program.add_option("--adapter", options.adapter, "PEFT adapter folder applied to MODEL");
    program.add_flag("--json", options.json, "print one JSON document on standard output");
}

int runProgram(int argc, char **argv, cli::Shell &shell)
{
    CLI::App program("Prunes reasoning language models: look, choose, cut, train, measure.", "secateur-cli");
    program.set_version_flag("--version", std::string("secateur-cli ") + versionString());
    program.fallthrough(); // common options may follow the verb
    program.require_subcommand(1);
    program.footer(
        "MODEL is a Hugging Face folder, a GGUF file, or one that came with the program:\nbundled:mini-instruct, "
        "bundled:mini-think, bundled:smollm2.\nExit codes: 0 done, 1 bad input, 2 "
        "usage, 3 cancelled, 4 out of memory, 5 a check failed, 70 internal error.");
    addCommonOptions(program, shell.options);
    cli::addInspectVerb(program, shell);
    cli::addTextVerbs(program, shell);
    cli::addForwardVerbs(program, shell);
    cli::addPruneVerbs(program, shell);
    cli::addTrainVerbs(program, shell);
    cli::addSessionVerbs(program, shell);
    cli::addMiniVerb(program, shell);
    try {
        program.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        return program.exit(error) == 0 ? 0 : kUsageExit;
    }
    try {
        shell.verb();
        return 0;
    } catch (const Cancelled &) {
        if (!shell.isQuiet)
            shell.error({ErrorKind::Internal, "Cancelled.", {}, {}});
        return kCancelledExit;
    } catch (...) {
        const ErrorInfo info = cli::describeFailure();
        shell.error(info);
        return exitCodeFor(info.kind);
    }
}

} // namespace

int main(int argc, char **argv)
{
    std::signal(SIGXFSZ, SIG_IGN); // a file size limit becomes an error of write()
    std::signal(SIGPIPE, SIG_IGN);
    try {
        const cli::StopOnSignal stop;
        cli::Shell shell(stop.token());
        return runProgram(argc, argv, shell);
    } catch (...) {
        const ErrorInfo info = cli::describeFailure();
        std::fprintf(stderr, "%s\n", info.message.c_str());
        return info.kind == ErrorKind::OutOfMemory ? exitCodeFor(info.kind) : kInternalExit;
    }
}
