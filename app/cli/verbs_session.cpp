#include "app/cli/shell.h"
#include "app/cli/verbs.h"

#include "backend/io/atomic_file.h"
#include "backend/io/map_archive.h"
#include "backend/io/session_file.h"
#include "backend/workflow/compare.h"
#include "backend/workflow/recipe.h"

#include <CLI/CLI.hpp>

#include <memory>
#include <utility>

namespace secateur::cli {

namespace {

struct ExportArguments {
    std::string session, maps, table, out;
};

void exportSession(Shell &shell, const ExportArguments &arguments)
{
    if (arguments.maps.empty() && arguments.table.empty())
        throw Error(ErrorKind::InvalidArgument, "export needs --maps or --table.");
    std::vector<std::string> warnings;
    const Session session = loadSession(arguments.session, &warnings);
    Json files = Json::array();
    Json json = Json::object();
    std::string text;
    if (!arguments.maps.empty()) {
        if (!session.analysis) {
            std::string reason = "'" + arguments.session + "' has no maps";
            for (const std::string &warning : warnings)
                reason += ": " + warning;
            throw Error(ErrorKind::NotFound, reason + ".");
        }
        writeMaps(arguments.maps, *session.analysis);
        files.push_back(arguments.maps);
        text += "Wrote " + arguments.maps + "\n";
    }
    if (!arguments.table.empty()) {
        const std::string table = workflow::reportTable(session, arguments.table);
        if (arguments.out.empty()) {
            text += table;
            json["table"] = table;
        } else {
            writeFileAtomically(arguments.out, table);
            files.push_back(arguments.out);
            text += "Wrote " + arguments.out + "\n";
        }
    }
    json["files"] = std::move(files);
    shell.result(json, text);
}

struct RunArguments {
    std::string recipe, out;
};

void runRecipeFile(Shell &shell, const RunArguments &arguments)
{
    const auto result = workflow::runRecipe(
        arguments.recipe, shell.options.compute, shell.context(),
        [&shell](const std::string &line) { shell.note(line); }, arguments.out);
    Json json = {{"session", result.sessionFile.string()},
                 {"plans", Json::array()},
                 {"runs", Json::array()},
                 {"reports", Json::array()}};
    std::string text = "Session in " + result.sessionFile.string() + "\n";
    for (const PruningPlan &plan : result.session.plans)
        json["plans"].push_back({{"id", plan.id}, {"name", plan.name}});
    for (const RunRecord &run : result.session.runs)
        json["runs"].push_back({{"id", run.id}, {"name", run.name}, {"losses", run.losses}});
    for (const EvaluationReportPtr &report : result.session.reports) {
        Json tasks = Json::object();
        for (const TaskReport &task : report->tasks)
            tasks[task.task] = {{"n", task.n}, {"accuracy", task.accuracy}, {"low", task.low}, {"high", task.high}};
        json["reports"].push_back(
            {{"id", report->id}, {"model", report->modelName}, {"subject", report->subject}, {"tasks", tasks}});
    }
    if (!result.session.reports.empty())
        text += "\n" + workflow::reportTable(result.session, "md");
    shell.result(json, text);
}

} // namespace

void addSessionVerbs(CLI::App &program, Shell &shell)
{
    auto *exportVerb = program.add_subcommand("export", "Take maps or tables out of a session");
    const auto exporting = std::make_shared<ExportArguments>();
    exportVerb->add_option("SESSION", exporting->session, "session file")->required();
    exportVerb->add_option("--maps", exporting->maps, "HDF5 file to write");
    exportVerb->add_option("--table", exporting->table, "evaluation table: md or csv")
        ->check(CLI::IsMember({"md", "csv"}));
    exportVerb->add_option("--out", exporting->out, "file for the table; standard output when left out");
    exportVerb->callback(
        [&shell, exporting] { shell.verb = [&shell, exporting] { exportSession(shell, *exporting); }; });

    auto *runVerb = program.add_subcommand("run", "Run a recipe: a whole pipeline from a JSON file");
    const auto running = std::make_shared<RunArguments>();
    runVerb->add_option("RECIPE", running->recipe, "recipe file")->required();
    runVerb->add_option("--out", running->out, "folder for session, adapters, exports and results");
    runVerb->callback([&shell, running] { shell.verb = [&shell, running] { runRecipeFile(shell, *running); }; });
}

} // namespace secateur::cli
