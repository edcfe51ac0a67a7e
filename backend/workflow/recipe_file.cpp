#include "backend/workflow/recipe_file.h"

#include "backend/core/json_text.h"
#include "backend/io/atomic_file.h"
#include "backend/io/json_node.h"
#include "backend/io/record_json.h"
#include "backend/tasks/task.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

namespace secateur::workflow {

namespace {

constexpr std::string_view kDenseSubject = "dense";

void onlyKeys(const JsonNode &node, const std::vector<std::string_view> &known)
{
    node.forEachMember([&](const std::string &key, const JsonNode &value) {
        if (std::find(known.begin(), known.end(), key) == known.end())
            value.fail("is not a key of a recipe");
    });
}

/// "bundled", "bundled:…" and absolute paths stay; others are relative to the recipe.
std::string inputPath(const std::string &text, const std::filesystem::path &folder)
{
    if (text.empty() || text.starts_with("bundled"))
        return text;
    if (text.starts_with("ids:"))
        return "ids:" + (folder / text.substr(4)).string();
    return (folder / text).string();
}

/// One object or a list of them.
std::vector<JsonNode> oneOrMany(const std::optional<JsonNode> &node)
{
    if (!node)
        return {};
    return node->isArray() ? node->items() : std::vector<JsonNode>{*node};
}

std::set<int> readUnits(const JsonNode &list)
{
    std::set<int> units;
    for (const JsonNode &item : list.items())
        units.insert(static_cast<int>(item.integer(0, 1 << 24)));
    return units;
}

std::map<int, std::set<int>> readUnitsByBlock(const JsonNode &object)
{
    std::map<int, std::set<int>> units;
    object.forEachMember([&](const std::string &key, const JsonNode &value) {
        int block = -1;
        const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), block);
        if (error != std::errc() || end != key.data() + key.size() || block < 0)
            value.fail("is not under a block number");
        units[block] = readUnits(value);
    });
    return units;
}

AnalyzeRequest readCalibration(const JsonNode &node, const std::filesystem::path &folder)
{
    onlyKeys(node, {"source", "samples", "length", "seed", "maps", "twin"});
    AnalyzeRequest request;
    request.calibration.source = "bundled";
    node.read("source", request.calibration.source);
    if (request.calibration.source.starts_with("ids:"))
        request.calibration.samples = request.calibration.length = 0;
    request.calibration.source = inputPath(request.calibration.source, folder);
    node.read("samples", request.calibration.samples);
    node.read("length", request.calibration.length);
    node.read("seed", request.calibration.seed);
    node.read("maps", request.maps);
    return request;
}

RecipePlan readPlan(const JsonNode &node)
{
    onlyKeys(node,
             {"name", "blocks", "kv_groups", "ffn_channels", "method", "remove", "sparsity", "uniform", "multiple"});
    RecipePlan plan;
    node.read("name", plan.name);
    if (const auto blocks = node.find("blocks"))
        plan.units.blocks = readUnits(*blocks);
    if (const auto groups = node.find("kv_groups"))
        plan.units.kvGroups = readUnitsByBlock(*groups);
    if (const auto channels = node.find("ffn_channels"))
        plan.units.ffnChannels = readUnitsByBlock(*channels);
    node.read("method", plan.request.method);
    node.read("remove", plan.request.remove);
    node.read("sparsity", plan.request.sparsity);
    plan.request.uniformWidths = plan.units.empty(); // units by hand are taken as they are unless asked otherwise
    node.read("uniform", plan.request.uniformWidths);
    node.read("multiple", plan.request.ffnMultiple);
    if (plan.request.method == "selection")
        plan.request.method.clear();
    if (plan.units.empty() == plan.request.method.empty())
        node.fail("needs either a method or units (blocks, kv_groups, ffn_channels)");
    if (!plan.request.method.empty()) {
        mapOfMethod(plan.request.method);
        if ((plan.request.remove >= 0) == (plan.request.sparsity >= 0))
            node.fail("needs either remove or sparsity");
    }
    return plan;
}

RecipeRecovery readRecovery(const JsonNode &node, const std::filesystem::path &folder)
{
    std::vector<std::string_view> known = {"name", "plan", "data"};
    const RecoveryOptions options;
    visitRecoveryOptions(options, [&](const char *key, const auto &) { known.push_back(key); });
    onlyKeys(node, known);
    RecipeRecovery recovery;
    recovery.name = "recovered";
    recovery.request.data = "bundled";
    node.read("name", recovery.name);
    node.read("plan", recovery.plan);
    node.read("data", recovery.request.data);
    recovery.request.data = inputPath(recovery.request.data, folder);
    recovery.request.options = recoveryOptionsFromJson(node);
    return recovery;
}

RecipeEvaluation readEvaluation(const JsonNode &node, const std::filesystem::path &folder)
{
    onlyKeys(node, {"tasks", "limit", "limits", "data", "subjects", "siblings", "chat", "max_new_tokens", "seed"});
    RecipeEvaluation evaluation;
    node.read("tasks", evaluation.options.tasks);
    node.read("limit", evaluation.options.limit);
    if (const auto limits = node.find("limits"))
        limits->forEachMember([&](const std::string &task, const JsonNode &value) {
            findTask(task);
            evaluation.options.limits[task] = value.integer(0);
        });
    node.read("chat", evaluation.options.chat);
    node.read("max_new_tokens", evaluation.options.maxNewTokens);
    node.read("seed", evaluation.options.seed);
    node.read("subjects", evaluation.subjects);
    node.read("siblings", evaluation.siblings);
    for (std::string &sibling : evaluation.siblings)
        sibling = inputPath(sibling, folder);
    std::string data;
    node.read("data", data);
    if (!data.empty())
        evaluation.dataFolder = inputPath(data, folder);
    if (evaluation.options.tasks.empty())
        node.at("tasks").fail("names no task");
    for (const std::string &task : evaluation.options.tasks)
        findTask(task);
    return evaluation;
}

RecipeExport readExport(const JsonNode &node)
{
    onlyKeys(node, {"folder", "subject", "dtype"});
    RecipeExport result;
    result.folder = node.at("folder").string();
    result.subject = node.at("subject").string();
    node.read("dtype", result.dtype);
    return result;
}

/// Names must exist before they are used, and only once.
class RecipeNames {
public:
    void add(const std::string &name, const JsonNode &node)
    {
        if (name == kDenseSubject || std::find(m_names.begin(), m_names.end(), name) != m_names.end())
            node.fail("uses the name '" + name + "', which is taken");
        m_names.push_back(name);
    }
    void require(const std::string &name, const JsonNode &node) const
    {
        if (name != kDenseSubject && std::find(m_names.begin(), m_names.end(), name) == m_names.end())
            node.fail("names '" + name + "', which is no plan and no recovery of this recipe");
    }

private:
    std::vector<std::string> m_names;
};

Recipe recipeFromJson(const JsonNode &root, const std::filesystem::path &folder)
{
    onlyKeys(
        root,
        {"format", "version", "title", "model", "calibration", "plans", "recover", "evaluate", "export", "session"});
    Recipe recipe;
    RecipeNames names;
    recipe.model = inputPath(root.at("model").string(), folder);
    if (const auto node = root.find("calibration")) {
        recipe.calibration = readCalibration(*node, folder);
        node->read("twin", recipe.twin);
        recipe.twin = inputPath(recipe.twin, folder);
    }
    for (const JsonNode &node : oneOrMany(root.find("plans"))) {
        recipe.plans.push_back(readPlan(node));
        if (recipe.plans.back().name.empty())
            node.fail("has no name");
        names.add(recipe.plans.back().name, node);
        if (!recipe.plans.back().request.method.empty() && !recipe.calibration)
            node.fail("chooses by method, but the recipe has no calibration");
    }
    const RecipeNames planNames = names;
    for (const JsonNode &node : oneOrMany(root.find("recover"))) {
        recipe.recoveries.push_back(readRecovery(node, folder));
        RecipeRecovery &recovery = recipe.recoveries.back();
        names.add(recovery.name, node);
        if (!recovery.plan.empty())
            planNames.require(recovery.plan, node.at("plan"));
        if (recovery.plan == kDenseSubject)
            recovery.plan.clear();
    }
    if (const auto node = root.find("evaluate")) {
        recipe.evaluation = readEvaluation(*node, folder);
        auto &subjects = recipe.evaluation->subjects;
        for (const std::string &subject : subjects)
            names.require(subject, node->at("subjects"));
        if (subjects.empty()) {
            subjects.emplace_back(kDenseSubject);
            for (const RecipePlan &plan : recipe.plans)
                subjects.push_back(plan.name);
            for (const RecipeRecovery &recovery : recipe.recoveries)
                subjects.push_back(recovery.name);
        }
    }
    for (const JsonNode &node : oneOrMany(root.find("export"))) {
        recipe.exports.push_back(readExport(node));
        names.require(recipe.exports.back().subject, node.at("subject"));
    }
    root.read("session", recipe.session);
    return recipe;
}

} // namespace

Recipe readRecipe(const std::filesystem::path &path)
{
    const std::string file = path.string();
    const nlohmann::json json = parseJson(readTextFile(path, 16ull << 20), file);
    const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    return recipeFromJson(JsonNode(json, file), folder);
}

} // namespace secateur::workflow
