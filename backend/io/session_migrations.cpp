#include "backend/io/session_migrations.h"

#include "backend/core/error.h"
#include "backend/io/session_file.h"

#include <nlohmann/json.hpp>

#include <charconv>
#include <filesystem>

namespace secateur {

namespace {

/// Version 0 knew one calibration set, plans of whole blocks only, `path` and `name` in the model, and called
/// evaluations reports.
void migrateFromVersion0(nlohmann::json &document, const std::string &file)
{
    const JsonNode root(document, file);
    const JsonNode model = root.at("model");
    nlohmann::json newModel = model.json();
    newModel["alias"] = model.at("name").string();
    const auto path = model.find("path");
    const std::filesystem::path modelPath(path ? path->string() : std::string());
    newModel["relative_path"]
        = modelPath.is_absolute() ? modelPath.filename().generic_string() : modelPath.generic_string();
    newModel.erase("name");
    newModel.erase("path");

    auto calibrations = nlohmann::json::array();
    if (const auto calibration = root.find("calibration")) {
        if (!calibration->isObject())
            calibration->fail("must be one object in a session of version 0");
        calibrations.push_back(calibration->json());
        calibrations.back().emplace("id", "calibration-1");
    }

    auto plans = nlohmann::json::array();
    if (const auto oldPlans = root.find("plans")) {
        for (const auto &oldPlan : oldPlans->items()) {
            nlohmann::json plan = oldPlan.json();
            plan["removed"] = {{"blocks", oldPlan.at("removed_blocks").json()}};
            plan.erase("removed_blocks");
            plans.push_back(std::move(plan));
        }
    }

    auto selection = nlohmann::json::object();
    if (const auto blocks = root.find("selected_blocks"))
        selection["blocks"] = blocks->json();

    auto evaluations = nlohmann::json::array();
    if (const auto reports = root.find("reports"))
        evaluations = reports->json();

    for (const char *key : {"version", "selected_blocks", "reports"})
        document.erase(key);
    document["format_version"] = "1.0.0";
    document["model"] = std::move(newModel);
    document["calibration"] = std::move(calibrations);
    document["plans"] = std::move(plans);
    document["selection"] = std::move(selection);
    document["evaluations"] = std::move(evaluations);
}

} // namespace

const std::vector<SessionMigration> &sessionMigrations()
{
    static const std::vector<SessionMigration> steps{migrateFromVersion0};
    return steps;
}

int majorOfVersion(const JsonNode &node)
{
    const std::string text = node.string();
    int major = -1;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), major);
    const bool ends = parsed.ptr == text.data() + text.size() || *parsed.ptr == '.';
    if (parsed.ec != std::errc() || major < 0 || !ends)
        node.fail("is \"" + text + "\", not a version such as " + kSessionVersion);
    return major;
}

int sessionMajorOf(const JsonNode &document)
{
    if (const auto version = document.find("format_version"))
        return majorOfVersion(*version);
    return static_cast<int>(document.at("version").integer(0, 0));
}

void migrateSession(nlohmann::json &document, const std::string &file)
{
    const JsonNode root(document, file);
    const int major = sessionMajorOf(root);
    if (major > kSessionMajor)
        throw Error(ErrorKind::UnsupportedVersion,
                    file + " was written in session format " + root.at("format_version").string()
                        + "; this program reads formats up to " + kSessionVersion + ".",
                    "Open it with a newer version of the program.");
    const auto &steps = sessionMigrations();
    for (auto step = static_cast<std::size_t>(major); step < steps.size(); ++step)
        steps[step](document, file);
}

} // namespace secateur
