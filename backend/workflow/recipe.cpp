#include "backend/workflow/recipe.h"

#include "backend/engine/adapter.h"
#include "backend/io/session_file.h"
#include "backend/workflow/prune.h"
#include "backend/workflow/recipe_file.h"
#include "backend/workflow/twin.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <system_error>
#include <utility>

namespace secateur::workflow {

namespace {

std::string percentText(double share)
{
    char text[32];
    const auto end = std::to_chars(text, text + sizeof(text), 100 * share, std::chars_format::fixed, 1).ptr;
    return std::string(text, end) + " %";
}

std::string decimals(double value, int digits)
{
    char text[64];
    const auto end = std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed, digits).ptr;
    return {text, end};
}

/// Carries one recipe out; every step leaves a record in the session.
class RecipeRunner {
public:
    RecipeRunner(Recipe recipe, std::filesystem::path outputFolder, const ComputeSettings &settings,
                 const JobContext &context, const std::function<void(const std::string &)> &log)
        : m_recipe(std::move(recipe)),
          m_output(std::move(outputFolder)),
          m_settings(settings),
          m_context(context),
          m_log(log)
    {
        m_result.sessionFile = m_output / m_recipe.session;
    }

    RecipeResult run()
    {
        std::error_code error;
        std::filesystem::create_directories(m_result.sessionFile.parent_path(), error);
        if (error)
            throw Error(ErrorKind::Io,
                        "The folder '" + m_result.sessionFile.parent_path().string()
                            + "' could not be made: " + error.message() + ".",
                        "Choose another output folder.");
        m_result.session.created = utcTimestamp();
        open();
        if (m_recipe.calibration)
            calibrate();
        for (const RecipePlan &plan : m_recipe.plans)
            makeOnePlan(plan);
        for (const RecipeExport &request : m_recipe.exports)
            if (!isRun(request.subject))
                exportOne(request);
        for (const RecipeRecovery &recovery : m_recipe.recoveries)
            recoverOne(recovery);
        for (const RecipeExport &request : m_recipe.exports)
            if (isRun(request.subject))
                exportOne(request);
        if (m_recipe.evaluation)
            for (const std::string &subject : m_recipe.evaluation->subjects)
                evaluateOne(subject);
        if (m_recipe.evaluation)
            for (const std::string &sibling : m_recipe.evaluation->siblings)
                evaluateSibling(sibling);
        m_result.session.modified = utcTimestamp();
        saveSession(m_result.sessionFile, m_result.session);
        return std::move(m_result);
    }

private:
    struct Subject {
        const Model *model = nullptr;
        std::string id, state, modelName;
        const PruningPlan *plan = nullptr; ///< null: dense
        const Adapter *adapter = nullptr; ///< null: not trained
    };

    void step(const std::string &text)
    {
        m_result.session.history.push_back(text);
        if (m_log)
            m_log(text);
    }

    void open()
    {
        LoadedModel dense = openModel(m_recipe.model, m_settings, {}, m_context);
        m_result.session.model = describeModel(dense.info, m_recipe.model, m_result.sessionFile);
        step("Opened " + dense.info.name + ", " + std::to_string(dense.model->parameters()) + " parameters, "
             + dense.model->dtype() + " on " + dense.model->device());
        m_bench.setDense(std::move(dense));
    }

    void calibrate()
    {
        AnalysisResult analysis = analyze(m_bench.dense(), *m_recipe.calibration, m_context);
        analysis.calibration.id = "calibration-1";
        m_result.session.calibrations.push_back(analysis.calibration);
        step("Computed " + std::to_string(analysis.maps.size()) + " maps on " + analysis.calibration.name + " ("
             + std::to_string(analysis.calibration.tokens) + " tokens)");
        m_result.session.analysis = std::make_shared<const AnalysisResult>(std::move(analysis));
        if (m_recipe.twin.empty())
            return;
        AnalysisResult twin = twinMapsFrom(m_recipe.twin, *m_result.session.analysis, m_recipe.calibration->calibration,
                                           m_settings, m_context);
        step("Computed " + std::to_string(twin.maps.size()) + " maps of the sibling " + twin.modelName + " on "
             + twin.calibration.name + " (" + std::to_string(twin.calibration.tokens) + " tokens)");
        m_result.session.twin = std::make_shared<const AnalysisResult>(std::move(twin));
    }

    void makeOnePlan(const RecipePlan &wish)
    {
        const LoadedModel &dense = m_bench.dense();
        const AnalysisResult *analysis = m_result.session.analysis.get();
        PlanResult result = wish.units.empty()
            ? makePlan(wish.request, dense.model->config(), *analysis)
            : makeSelectionPlan(wish.units, dense.model->config(), dense.info.digest, wish.request, analysis);
        PruningPlan &plan = result.plan;
        plan.id = "plan-" + std::to_string(m_result.session.plans.size() + 1);
        plan.name = wish.name;
        const PruneOutcome outcome = pruneAndCheck(m_bench, plan, m_context);
        m_planIds[wish.name] = plan.id;
        m_result.session.plans.push_back(plan);
        step("Pruned '" + plan.name + "': " + percentText(result.budget.parameterSparsity)
             + " of the parameters removed, " + std::to_string(outcome.parametersAfter) + " left"
             + (result.snapped.empty() ? "" : "; " + result.snapped));
    }

    void recoverOne(const RecipeRecovery &wish)
    {
        const Subject base = wish.plan.empty() ? subject("dense") : subject(wish.plan);
        RunRecord record;
        record.id = "run-" + std::to_string(m_result.session.runs.size() + 1);
        RecoverRequest request = wish.request;
        request.outputFolder = m_output / "adapters" / record.id;
        request.basePath = basePathFor(wish.plan, request.outputFolder);
        RecoverOutcome outcome = recover(m_bench.dense(), *base.model, request, m_context);
        m_context.checkpoint({"recipe.step", 0, 0}); // a stopped training returns what it has; a recipe ends there
        outcome.record.id = record.id;
        outcome.record.plan = base.plan ? base.plan->id : std::string();
        outcome.record.adapterPath = relativeToSession(request.outputFolder);
        if (outcome.training.adapter)
            m_bench.setRun(record.id, base.plan, *outcome.training.adapter);
        else
            m_bench.setRun(record.id, *outcome.training.model);
        m_runIds[wish.name] = record.id;
        const auto &losses = outcome.record.losses;
        step("Trained '" + wish.name + "' (" + outcome.record.name + ") on " + outcome.record.dataName + ": loss "
             + decimals(losses.front(), 3) + " to " + decimals(losses.back(), 3) + ", "
             + decimals(outcome.record.tokensPerSecond, 0) + " tokens/s");
        m_result.session.runs.push_back(std::move(outcome.record));
    }

    void evaluateOne(const std::string &name)
    {
        const Subject one = subject(name);
        EvaluateRequest request;
        request.options = m_recipe.evaluation->options;
        request.dataFolder = m_recipe.evaluation->dataFolder;
        request.outputFolder = m_output / "results";
        request.modelName = one.modelName;
        request.subject = one.id;
        request.state = one.state;
        keepReport(name, evaluate(m_bench.dense(), *one.model, request, m_context));
    }

    /// Another whole model under the same protocol, with its own tokenizer and template.
    void evaluateSibling(const std::string &argument)
    {
        const LoadedModel sibling = openModel(argument, m_settings, {}, m_context);
        EvaluateRequest request;
        request.options = m_recipe.evaluation->options;
        request.dataFolder = m_recipe.evaluation->dataFolder;
        request.outputFolder = m_output / "results";
        request.modelName = sibling.info.name;
        request.subject = kSiblingPrefix + sibling.info.name;
        request.state = "sibling";
        keepReport(sibling.info.name, evaluate(sibling, *sibling.model, request, m_context));
    }

    void keepReport(const std::string &name, EvaluationReport report)
    {
        report.id = "report-" + std::to_string(m_result.session.reports.size() + 1);
        std::string text = "Evaluated '" + name + "':";
        for (const TaskReport &task : report.tasks)
            text += " " + task.task
                + (task.n == 0 ? " " + task.note
                               : " " + percentText(task.accuracy) + " [" + percentText(task.low) + ", "
                           + percentText(task.high) + "] of " + std::to_string(task.n)
                           + (task.capHitShare < 0 ? "" : ", " + percentText(task.capHitShare) + " at the cap"))
                + ";";
        text.pop_back();
        step(text);
        m_result.session.reports.push_back(std::make_shared<const EvaluationReport>(std::move(report)));
    }

    void exportOne(const RecipeExport &wish)
    {
        const Subject one = subject(wish.subject);
        const LoadedModel &dense = m_bench.dense();
        ExportRequest request;
        request.folder = m_output / wish.folder;
        request.dtype = wish.dtype;
        request.modelName = request.folder.filename().string();
        if (one.plan)
            request.plan = *one.plan;
        const Model *model = one.model;
        std::optional<Model> merged;
        if (one.adapter) {
            const Model &base = one.plan ? m_bench.planModel(*one.plan) : *dense.model;
            model = &merged.emplace(mergeAdapter(base, *one.adapter));
        }
        const ExportOutcome outcome = exportModel(dense, *model, request, m_context);
        std::string loaders;
        for (const std::string &loader : outcome.loadableBy)
            loaders += (loaders.empty() ? "" : ", ") + loader;
        step("Exported '" + wish.subject + "' to " + wish.folder + " (loads in " + loaders + ")");
    }

    bool isRun(const std::string &name) const
    {
        return std::any_of(m_recipe.recoveries.begin(), m_recipe.recoveries.end(),
                           [&](const RecipeRecovery &recovery) { return recovery.name == name; });
    }

    const PruningPlan *planById(const std::string &id) const
    {
        for (const PruningPlan &plan : m_result.session.plans)
            if (plan.id == id)
                return &plan;
        return nullptr;
    }

    Subject subject(const std::string &name)
    {
        const LoadedModel &dense = m_bench.dense();
        if (const auto run = m_runIds.find(name); run != m_runIds.end()) {
            for (const RunRecord &record : m_result.session.runs)
                if (record.id == run->second) {
                    const PruningPlan *plan = planById(record.plan);
                    return {&m_bench.runModel(record.id),
                            record.id,
                            "recovered",
                            (plan ? plan->name : dense.info.name) + " + " + record.name,
                            plan,
                            m_bench.runAdapter(record.id)};
                }
        }
        if (const auto id = m_planIds.find(name); id != m_planIds.end()) {
            const PruningPlan *plan = planById(id->second);
            return {&m_bench.planModel(*plan), plan->id, "pruned", plan->name, plan, nullptr};
        }
        return {dense.model.get(), "dense", "dense", dense.info.name, nullptr, nullptr};
    }

    /// An adapter belongs to the exported pruned folder when there is one.
    std::string basePathFor(const std::string &plan, const std::filesystem::path &adapterFolder) const
    {
        for (const RecipeExport &wish : m_recipe.exports)
            if (!plan.empty() && wish.subject == plan)
                return (m_output / wish.folder).lexically_relative(adapterFolder).generic_string();
        return m_bench.dense().info.name;
    }

    std::string relativeToSession(const std::filesystem::path &path) const
    {
        return path.lexically_relative(m_result.sessionFile.parent_path()).generic_string();
    }

    Recipe m_recipe;
    std::filesystem::path m_output;
    ComputeSettings m_settings;
    const JobContext &m_context;
    const std::function<void(const std::string &)> &m_log;
    Workbench m_bench;
    std::map<std::string, std::string> m_planIds, m_runIds; ///< name in the recipe → record id
    RecipeResult m_result;
};

} // namespace

RecipeResult runRecipe(const std::filesystem::path &recipe, const ComputeSettings &settings, const JobContext &context,
                       const std::function<void(const std::string &)> &log, const std::filesystem::path &outputFolder)
{
    std::error_code error;
    const auto folder = outputFolder.empty() ? recipe.parent_path() : outputFolder;
    auto absolute = std::filesystem::absolute(folder.empty() ? "." : folder, error).lexically_normal();
    return RecipeRunner(readRecipe(recipe), std::move(absolute), settings, context, log).run();
}

SessionModel describeModel(const ModelInfo &info, const std::string &argument, const std::filesystem::path &sessionFile)
{
    SessionModel model;
    model.alias = info.name;
    model.digest = info.digest;
    model.source = info.source == ModelInfo::Source::Gguf ? "gguf" : "hf";
    model.parameters = info.parameters;
    model.bytes = info.bytes;
    if (info.config)
        model.config = *info.config;
    if (argument.starts_with("bundled:")) {
        model.relativePath = argument;
    } else {
        std::error_code error;
        const auto folder = std::filesystem::absolute(sessionFile, error).parent_path();
        const auto path = std::filesystem::absolute(info.path, error).lexically_normal();
        model.relativePath = path.lexically_relative(folder.lexically_normal()).generic_string();
    }
    return model;
}

std::string utcTimestamp()
{
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm utc{};
    gmtime_r(&now, &utc);
    char text[32];
    return {text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

} // namespace secateur::workflow
