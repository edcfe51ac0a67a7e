#include "backend/io/session_file.h"

#include "backend/core/error.h"
#include "backend/core/resource_path.h"
#include "backend/io/atomic_file.h"
#include "backend/io/digest.h"
#include "backend/io/map_archive.h"
#include "backend/io/mapped_file.h"
#include "backend/io/record_json.h"
#include "backend/io/session_migrations.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <system_error>

namespace secateur {

namespace {

constexpr const char *kSessionSchemaId = "urn:secateur:session:1";
constexpr const char *kPlanFormat = "secateur-plan";
constexpr std::uint64_t kSamplesLimitBytes = 4ull << 30;
constexpr const char *kTwinKey = "twin_maps";
constexpr std::array<std::string_view, 19> kSessionKeys{"$schema",  "format",  "format_version", "app",       "created",
                                                        "modified", "model",   "calibration",    "maps",      kTwinKey,
                                                        "plans",    "runs",    "evaluations",    "selection", "locked",
                                                        "views",    "history", "samples",        "version"};

std::filesystem::path besideSession(const std::filesystem::path &path, const char *suffix)
{
    auto name = path.stem();
    name += suffix;
    return path.parent_path() / name;
}

std::string digestOfFile(const std::filesystem::path &path)
{
    const MappedFile file(path);
    Sha256 digest;
    if (file.size() > 0)
        digest.update(file.all().data(), file.all().size());
    return digest.hex();
}

nlohmann::json writeMapsBeside(AtomicFile &file, const std::filesystem::path &target, const AnalysisResult &analysis)
{
    const std::string bytes = encodeMaps(target, analysis);
    file.write(bytes);
    auto names = nlohmann::json::array();
    for (const auto &map : analysis.maps)
        names.push_back(map->id());
    auto list = nlohmann::json::array();
    list.push_back({{"file", target.filename().string()},
                    {"sha256", sha256Hex(bytes)},
                    {"bytes", bytes.size()},
                    {"model_digest", analysis.modelDigest},
                    {"calibration", analysis.calibration.id},
                    {"maps", names}});
    return list;
}

/// Samples as JSON lines; evaluation and task are positions in the session, the names are for people.
nlohmann::json writeSamples(AtomicFile &file, const std::filesystem::path &target, const Session &session)
{
    Sha256 digest;
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < session.reports.size(); ++i) {
        const auto &report = *session.reports[i];
        for (std::size_t j = 0; j < report.tasks.size(); ++j) {
            for (const auto &sample : report.tasks[j].samples) {
                auto row = toJson(sample);
                row["evaluation"] = i;
                row["report"] = report.id;
                row["position"] = j;
                row["task"] = report.tasks[j].task;
                const std::string line = compactJson(row) + "\n";
                digest.update(line);
                file.write(line);
                ++rows;
            }
        }
    }
    return {{"file", target.filename().string()}, {"sha256", digest.hex()}, {"rows", rows}};
}

bool hasSamples(const Session &session)
{
    return std::any_of(session.reports.begin(), session.reports.end(), [](const EvaluationReportPtr &report) {
        return std::any_of(report->tasks.begin(), report->tasks.end(),
                           [](const TaskReport &task) { return !task.samples.empty(); });
    });
}

/// Absolute paths become relative to the session's folder.
std::string portablePath(const std::string &text, const std::filesystem::path &session)
{
    const std::filesystem::path path(text);
    if (!path.is_absolute())
        return text;
    std::error_code error;
    const auto folder = std::filesystem::absolute(session, error).parent_path();
    const auto relative = path.lexically_relative(folder);
    return relative.empty() ? path.filename().generic_string() : relative.generic_string();
}

/// The home folder, which holds a user's name, is written as "~".
std::string withoutHomeFolder(std::string text)
{
    const char *home = std::getenv("HOME");
    const std::string folder = home ? home : "";
    if (folder.size() < 2 || folder.front() != '/')
        return text;
    for (auto at = text.find(folder); at != std::string::npos; at = text.find(folder, at + 1)) {
        const std::size_t end = at + folder.size();
        if (end == text.size() || text[end] == '/')
            text.replace(at, folder.size(), "~");
    }
    return text;
}

template <typename Records> nlohmann::json recordsToJson(const Records &records)
{
    auto list = nlohmann::json::array();
    for (const auto &record : records)
        list.push_back(toJson(record));
    return list;
}

nlohmann::json sessionToJson(const std::filesystem::path &path, const Session &session)
{
    nlohmann::json document = nlohmann::json::object();
    // What another version of the program wrote comes first, so that it can never replace what is known.
    const auto unknown = nlohmann::json::parse(session.unknownJson, nullptr, false);
    if (unknown.is_object())
        for (const auto &[key, value] : unknown.items())
            document[key] = value;

    document["$schema"] = kSessionSchemaId;
    document["format"] = kSessionFormat;
    document["format_version"] = kSessionVersion;
    document["app"] = {{"name", "Secateur"}, {"version", versionString()}};
    const std::string now = utcTimeText();
    document["created"] = session.created.empty() ? now : session.created;
    document["modified"] = now;

    auto model = toJson(session.model);
    model["relative_path"] = portablePath(session.model.relativePath, path);
    document["model"] = std::move(model);
    document["calibration"] = recordsToJson(session.calibrations);
    document["plans"] = recordsToJson(session.plans);
    document["runs"] = recordsToJson(session.runs);
    for (auto &run : document["runs"])
        run["adapter"] = portablePath(run["adapter"].get<std::string>(), path);
    auto evaluations = nlohmann::json::array();
    for (const auto &report : session.reports)
        evaluations.push_back(toJson(*report));
    document["evaluations"] = std::move(evaluations);
    document["selection"] = toJson(session.selection);
    document["locked"] = toJson(session.locked);
    auto views = nlohmann::json::object();
    for (const auto &[key, value] : session.views)
        views[key] = withoutHomeFolder(value);
    document["views"] = std::move(views);
    auto history = nlohmann::json::array();
    for (const auto &step : session.history)
        history.push_back(withoutHomeFolder(step));
    document["history"] = std::move(history);
    return document;
}

/// A file named in a session lies beside it or below.
std::filesystem::path referencedFile(const JsonNode &node, const std::filesystem::path &session)
{
    const std::filesystem::path file(node.string());
    const bool climbs = std::find(file.begin(), file.end(), "..") != file.end();
    if (file.empty() || file.is_absolute() || climbs || node.string().find('\0') != std::string::npos)
        node.fail("is \"" + node.string() + "\"; a file beside the session is expected");
    return session.parent_path() / file;
}

/// Runs \a use on a referenced file when it is the one that the session was saved with. Otherwise, and when it cannot
/// be read, the session opens without it and \a warnings says why.
template <typename Use>
bool useReferencedFile(const JsonNode &reference, const std::filesystem::path &session, const char *what,
                       std::vector<std::string> &warnings, Use use)
{
    const auto file = referencedFile(reference.at("file"), session);
    const std::string expected = reference.at("sha256").string();
    std::string trouble;
    std::error_code error;
    if (!std::filesystem::is_regular_file(file, error)) {
        trouble = "is missing.";
    } else {
        try {
            if (digestOfFile(file) == expected) {
                use(file);
                return true;
            }
            trouble = "is not the one that the session was saved with.";
        } catch (const Error &failure) {
            trouble = "cannot be read: " + failure.info().message;
        }
    }
    warnings.push_back(std::string("The file with the ") + what + ", " + file.filename().string() + ", " + trouble);
    return false;
}

std::shared_ptr<const AnalysisResult> loadMaps(const JsonNode &root, const char *key, const char *what,
                                               const std::filesystem::path &path, std::vector<std::string> &warnings)
{
    const auto list = root.find(key);
    if (!list)
        return nullptr;
    std::shared_ptr<const AnalysisResult> result;
    for (const auto &reference : list->items())
        useReferencedFile(reference, path, what, warnings, [&](const std::filesystem::path &file) {
            result = std::make_shared<const AnalysisResult>(readMaps(file));
        });
    return result;
}

void readSampleRow(const JsonNode &row, std::vector<EvaluationReport> &reports)
{
    const auto evaluation = row.at("evaluation");
    const auto position = row.at("position");
    auto &report
        = reports[static_cast<std::size_t>(evaluation.integer(0, static_cast<std::int64_t>(reports.size()) - 1))];
    auto &task
        = report
              .tasks[static_cast<std::size_t>(position.integer(0, static_cast<std::int64_t>(report.tasks.size()) - 1))];
    if (row.at("task").string() != task.task)
        row.at("task").fail("is \"" + row.at("task").string() + "\", expected \"" + task.task + "\"");
    task.samples.push_back(sampleFromJson(row));
}

bool loadSamples(const JsonNode &root, const std::filesystem::path &path, std::vector<EvaluationReport> &reports,
                 std::vector<std::string> &warnings)
{
    const auto reference = root.find("samples");
    if (!reference)
        return true;
    return useReferencedFile(*reference, path, "answers", warnings, [&](const std::filesystem::path &file) {
        auto filled = reports; // all rows or none
        const std::string text = readTextFile(file, kSamplesLimitBytes);
        std::int64_t number = 0;
        for (std::string_view rest = text; !rest.empty();) {
            const auto end = std::min(rest.find('\n'), rest.size());
            const std::string place = file.filename().string() + ", line " + std::to_string(++number);
            const auto row = parseJsonText(rest.substr(0, end), place);
            readSampleRow(JsonNode(row, place), filled);
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        reports = std::move(filled);
    });
}

/// Units that the model does not have would be drawn and removed nowhere.
void checkUnits(const UnitSet &units, const ModelConfig &config, const JsonNode &node)
{
    if (config.blocks.empty())
        return;
    const auto checkBlock = [&](int block) {
        if (block >= config.layers())
            node.fail("names block " + std::to_string(block) + " of a model with " + std::to_string(config.layers())
                      + " blocks");
    };
    const auto checkIndices
        = [&](const std::map<int, std::set<int>> &indices, const char *what, int BlockShape::*count) {
              for (const auto &[block, members] : indices) {
                  checkBlock(block);
                  const int limit = config.blocks[static_cast<std::size_t>(block)].*count;
                  if (*members.rbegin() >= limit)
                      node.fail("names " + std::string(what) + " " + std::to_string(*members.rbegin()) + " of block "
                                + std::to_string(block) + ", which has " + std::to_string(limit));
              }
          };
    for (const int block : units.blocks)
        checkBlock(block);
    checkIndices(units.kvGroups, "KV group", &BlockShape::kvHeads);
    checkIndices(units.ffnChannels, "FFN channel", &BlockShape::intermediateSize);
}

Session sessionFromJson(const JsonNode &root, const std::filesystem::path &path, std::vector<std::string> &warnings)
{
    Session session;
    root.read("created", session.created);
    root.read("modified", session.modified);
    session.model = sessionModelFromJson(root.at("model"));
    const auto forEach = [&](std::string_view key, const auto &add) {
        if (const auto list = root.find(key))
            for (const auto &item : list->items())
                add(item);
    };
    forEach("calibration", [&](const JsonNode &item) { session.calibrations.push_back(calibrationFromJson(item)); });
    forEach("plans", [&](const JsonNode &item) {
        session.plans.push_back(planFromJson(item));
        checkUnits(session.plans.back().removed, session.model.config, item.at("removed"));
    });
    forEach("runs", [&](const JsonNode &item) { session.runs.push_back(runFromJson(item)); });
    std::vector<EvaluationReport> reports;
    forEach("evaluations", [&](const JsonNode &item) { reports.push_back(evaluationFromJson(item)); });
    const auto readUnits = [&](std::string_view key, UnitSet &units) {
        if (const auto node = root.find(key)) {
            units = unitSetFromJson(*node);
            checkUnits(units, session.model.config, *node);
        }
    };
    readUnits("selection", session.selection);
    readUnits("locked", session.locked);
    if (const auto views = root.find("views"))
        views->forEachMember(
            [&](const std::string &key, const JsonNode &value) { session.views[key] = value.string(); });
    root.read("history", session.history);

    // Kept for the next save: what is not known, and references to files that are not here now.
    auto kept = nlohmann::json::object();
    root.forEachMember([&](const std::string &key, const JsonNode &value) {
        if (std::find(kSessionKeys.begin(), kSessionKeys.end(), key) == kSessionKeys.end())
            kept[key] = value.json();
    });
    const auto readMapsOf = [&](const char *key, const char *what) {
        const auto analysis = loadMaps(root, key, what, path, warnings);
        if (const auto maps = root.find(key); !analysis && maps && !maps->json().empty())
            kept[key] = maps->json();
        return analysis;
    };
    session.analysis = readMapsOf("maps", "maps");
    session.twin = readMapsOf(kTwinKey, "sibling's maps");
    if (!loadSamples(root, path, reports, warnings))
        kept["samples"] = root.at("samples").json();
    for (auto &report : reports)
        session.reports.push_back(std::make_shared<const EvaluationReport>(std::move(report)));
    if (!kept.empty())
        session.unknownJson = compactJson(kept);
    return session;
}

/// The file as JSON of the wanted format. Throws Error(BadFormat) otherwise.
nlohmann::json readDocument(const std::filesystem::path &path, const char *format, const char *what)
{
    const std::string file = path.string();
    auto document = parseJsonText(readTextFile(path), file);
    const bool fits = document.is_object() && document.contains("format") && document["format"] == format;
    if (!fits)
        throw Error(
            ErrorKind::BadFormat,
            file + " is not a " + what + ": \"format\" is "
                + (document.is_object() && document.contains("format") ? compactJson(document["format"]) : "missing")
                + ", expected \"" + format + "\".");
    return document;
}

/// What nlohmann/json itself throws is about the contents of the file.
template <typename Function> auto translatingJsonErrors(const std::filesystem::path &path, Function function)
{
    try {
        return function();
    } catch (const nlohmann::json::exception &error) {
        throw Error(ErrorKind::BadFormat, path.string() + " has an unexpected value: " + error.what() + ".");
    }
}

} // namespace

void saveSession(const std::filesystem::path &path, const Session &session)
{
    auto document = sessionToJson(path, session);
    std::optional<AtomicFile> maps, twin;
    const auto writeMapsOf
        = [&](const char *key, const char *suffix, const AnalysisResult *analysis, std::optional<AtomicFile> &file) {
              if (!analysis || analysis->maps.empty())
                  return;
              const auto target = besideSession(path, suffix);
              file.emplace(target);
              document[key] = writeMapsBeside(*file, target, *analysis);
          };
    writeMapsOf("maps", ".maps.h5", session.analysis.get(), maps);
    if (!document.contains("maps"))
        document["maps"] = nlohmann::json::array();
    writeMapsOf(kTwinKey, ".twin.h5", session.twin.get(), twin);
    std::optional<AtomicFile> samples;
    if (hasSamples(session)) {
        const auto target = besideSession(path, ".samples.jsonl");
        samples.emplace(target);
        document["samples"] = writeSamples(*samples, target, session);
    }
    AtomicFile file(path);
    file.write(prettyJson(document));
    // Everything is on the disk; from here on only names change. The session, which refers to the others, comes last.
    for (std::optional<AtomicFile> *beside : {&maps, &twin, &samples})
        if (*beside)
            (*beside)->commit();
    file.commit();
}

Session loadSession(const std::filesystem::path &path, std::vector<std::string> *warnings)
{
    std::vector<std::string> ignored;
    return translatingJsonErrors(path, [&] {
        const std::string file = path.string();
        auto document = readDocument(path, kSessionFormat, "session");
        migrateSession(document, file);
        return sessionFromJson(JsonNode(document, file), path, warnings ? *warnings : ignored);
    });
}

const AnalysisResult &requireMaps(const Session &session, const std::string &file,
                                  const std::vector<std::string> &warnings)
{
    if (session.analysis)
        return *session.analysis;
    std::string reason = "'" + file + "' has no maps";
    for (const std::string &warning : warnings)
        reason += ": " + warning;
    throw Error(ErrorKind::NotFound, reason + ".", "Calibrate in that session and save it.");
}

void savePlan(const std::filesystem::path &path, const PruningPlan &plan)
{
    auto document = toJson(plan);
    document["format"] = kPlanFormat;
    document["format_version"] = kSessionVersion;
    writeFileAtomically(path, prettyJson(document));
}

PruningPlan loadPlan(const std::filesystem::path &path)
{
    return translatingJsonErrors(path, [&] {
        const std::string file = path.string();
        const auto document = readDocument(path, kPlanFormat, "plan");
        const JsonNode root(document, file);
        const auto version = root.at("format_version");
        if (majorOfVersion(version) > kSessionMajor)
            throw Error(ErrorKind::UnsupportedVersion,
                        file + " was written in plan format " + version.string() + "; this program reads formats up to "
                            + kSessionVersion + ".",
                        "Open it with a newer version of the program.");
        return planFromJson(root);
    });
}

} // namespace secateur
