#include "app/cli/shell.h"
#include "app/cli/verbs.h"

#include "backend/io/atomic_file.h"
#include "backend/io/map_archive.h"
#include "backend/io/session_file.h"
#include "backend/stats/twin_maps.h"
#include "backend/workflow/compare.h"
#include "backend/workflow/recipe.h"
#include "backend/workflow/twin.h"

#include <CLI/CLI.hpp>

#include <cmath>
#include <memory>
#include <optional>
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
        writeMaps(arguments.maps, requireMaps(session, arguments.session, warnings));
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

struct TwinArguments {
    std::string first, second, scale, out;
};

void compareTwins(Shell &shell, const TwinArguments &arguments)
{
    const AnalysisResult first = workflow::readMapsFrom(arguments.first);
    const AnalysisResult second = workflow::readMapsFrom(arguments.second);
    std::optional<TwinScale> scale;
    if (!arguments.scale.empty())
        scale = arguments.scale == "raw" ? TwinScale::Raw
            : arguments.scale == "model" ? TwinScale::PerModel
                                         : TwinScale::PerBlock;
    const auto number = [](double value) { return std::isnan(value) ? Json(nullptr) : Json(value); };
    Json maps = Json::object();
    std::string text = first.modelName + " minus " + second.modelName + "\n";
    AnalysisResult differences = first;
    differences.modelName += " minus " + second.modelName;
    differences.modelDigest.clear();
    differences.maps.clear();
    for (const auto &[id, one] : compareTwinMaps(first, second, scale)) {
        Json rows = Json::array();
        for (const double rho : one.rowRho)
            rows.push_back(number(rho));
        Json json = {{"rho", number(one.rho)}, {"n", one.n}, {"higher", one.higher}, {"lower", one.lower}};
        if (one.interval) {
            json["interval"] = {one.interval->low, one.interval->high};
            json["sign_p"] = one.signP;
        }
        if (!rows.empty())
            json["rho_of_rows"] = std::move(rows);
        text += id + ": rho " + (std::isnan(one.rho) ? "undefined" : fixed(one.rho, 3));
        if (one.interval)
            text += " [" + fixed(one.interval->low, 3) + ", " + fixed(one.interval->high, 3) + "]";
        text += ", n " + std::to_string(one.n) + ", higher in " + std::to_string(one.higher);
        if (one.row >= 0) {
            const auto change = static_cast<double>(one.difference->at(one.row, one.column));
            json["largest"] = {{"row", one.row}, {"column", one.column}, {"difference", change}};
            text += ", largest difference " + fixed(change, 4) + " at row " + std::to_string(one.row) + ", column "
                + std::to_string(one.column);
        }
        text += "\n";
        maps[id] = std::move(json);
        differences.maps.push_back(one.difference);
    }
    Json json = {{"first", first.modelName}, {"second", second.modelName}, {"maps", std::move(maps)}};
    if (!arguments.out.empty()) {
        writeMaps(arguments.out, differences);
        json["file"] = arguments.out;
        text += "Wrote " + arguments.out + "\n";
    }
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

    auto *twinVerb
        = program.add_subcommand("twin", "How alike two siblings' maps are: rank correlation and difference");
    const auto twins = std::make_shared<TwinArguments>();
    twinVerb->add_option("A", twins->first, "maps (.h5) or session; differences are A minus B")->required();
    twinVerb->add_option("B", twins->second, "those of the sibling")->required();
    twinVerb
        ->add_option(
            "--normalise", twins->scale,
            "what scores are divided by: raw (nothing), the model's or the block's mean magnitude; left out: raw "
            "for cosine, distance and influence, else model")
        ->check(CLI::IsMember({"raw", "model", "block"}));
    twinVerb->add_option("--out", twins->out, "HDF5 file for the differences");
    twinVerb->callback([&shell, twins] { shell.verb = [&shell, twins] { compareTwins(shell, *twins); }; });

    auto *runVerb = program.add_subcommand("run", "Run a recipe: a whole pipeline from a JSON file");
    const auto running = std::make_shared<RunArguments>();
    runVerb->add_option("RECIPE", running->recipe, "recipe file")->required();
    runVerb->add_option("--out", running->out, "folder for session, adapters, exports and results");
    runVerb->callback([&shell, running] { shell.verb = [&shell, running] { runRecipeFile(shell, *running); }; });
}

} // namespace secateur::cli
