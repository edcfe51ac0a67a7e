#include "app/cli/shell.h"
#include "app/cli/verbs.h"

#include "backend/core/json_text.h"
#include "backend/io/atomic_file.h"
#include "backend/tasks/mini/data_set.h"
#include "backend/workflow/mini_pair.h"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <memory>

namespace secateur::cli {

namespace {

struct MiniDataArguments {
    std::string out;
    mini::DataOptions options;
};

std::string lengthsText(const mini::LengthSummary &lengths)
{
    return fixed(lengths.mean, 1) + " mean, " + std::to_string(lengths.p5) + " to " + std::to_string(lengths.p95)
        + " (5 % to 95 %), " + std::to_string(lengths.longest) + " longest";
}

void makeMiniDataSet(Shell &shell, const MiniDataArguments &arguments)
{
    mini::DataOptions options = arguments.options;
    options.seed = shell.options.seed;
    const mini::DataReport report = mini::makeDataSet(arguments.out, options, shell.context());
    std::string text;
    for (const auto &[file, kinds] : report.files) {
        std::int64_t documents = 0, tokens = 0;
        std::string lines;
        for (const auto &[kind, summary] : kinds) {
            documents += summary.document.documents;
            tokens += summary.document.tokens;
            lines += "  " + kind + ": " + grouped(summary.document.documents) + " documents, tokens "
                + lengthsText(summary.document) + "\n";
            if (summary.trace.documents > 0)
                lines += "    trace: " + lengthsText(summary.trace) + "\n";
        }
        text += file + ": " + grouped(documents) + " documents, " + grouped(tokens) + " tokens\n" + lines;
    }
    text += "items:";
    for (const auto &[task, count] : report.items)
        text += " " + task + " " + std::to_string(count);
    const auto summary = std::filesystem::path(arguments.out) / "summary.json";
    Json json = parseOrderedJson(readTextFile(summary), summary.string());
    json["folder"] = arguments.out;
    shell.result(json, text + "\n");
}

struct MiniTrainArguments {
    std::string data, out;
    double scale = 1;
};

void trainMiniPair(Shell &shell, const MiniTrainArguments &arguments)
{
    Json losses = Json::object();
    std::string text;
    workflow::MiniPairRequest request;
    request.data = arguments.data;
    request.out = arguments.out;
    request.scale = arguments.scale;
    request.seed = shell.options.seed;
    request.compute = shell.options.compute;
    workflow::makeMiniPair(request, shell.context(), [&](const std::string &phase, double loss) {
        losses[phase] = loss;
        text += phase + ": loss " + fixed(loss, 4) + " over the last tenth of its steps\n";
    });
    shell.result({{"folder", arguments.out}, {"losses", std::move(losses)}},
                 text + "Models in " + arguments.out + "/instruct and " + arguments.out + "/think\n");
}

} // namespace

void addMiniVerb(CLI::App &program, Shell &shell)
{
    auto *verb
        = program.add_subcommand("make-mini", "Make what the bundled mini pair of models is trained and tested with");
    verb->require_subcommand(1);
    auto *data = verb->add_subcommand("data", "Texts, conversations, test items and tokenizer, from a seed");
    const auto arguments = std::make_shared<MiniDataArguments>();
    data->add_option("--out", arguments->out, "folder to write")->required();
    data->add_option("--base-tokens", arguments->options.baseTokens, "tokens of raw text")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    data->add_option("--chat-tokens", arguments->options.chatTokens, "tokens of conversations for each sibling")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    data->callback([&shell, arguments] { shell.verb = [&shell, arguments] { makeMiniDataSet(shell, *arguments); }; });

    auto *train = verb->add_subcommand("train", "Train the base and both siblings; goes on where it was stopped");
    const auto training = std::make_shared<MiniTrainArguments>();
    train->add_option("--data", training->data, "folder written by make-mini data")->required();
    train->add_option("--out", training->out, "folder for instruct, think and the work between")->required();
    train->add_option("--scale", training->scale, "multiplies the numbers of steps")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    train->callback([&shell, training] { shell.verb = [&shell, training] { trainMiniPair(shell, *training); }; });
}

} // namespace secateur::cli
