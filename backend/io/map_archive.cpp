#include "backend/io/map_archive.h"

#include "backend/core/error.h"
#include "backend/core/resource_path.h"
#include "backend/io/atomic_file.h"
#include "backend/io/digest.h"
#include "backend/io/hdf5_file.h"
#include "backend/io/mapped_file.h"
#include "backend/io/record_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>

namespace secateur {

namespace {

constexpr const char *kMapsSchema = "lrm.importance";
constexpr const char *kMapsVersion = "1.0.0";
constexpr int kMapsMajor = 1;
constexpr std::uint64_t kMapsChunkBytes = 256u << 10;
constexpr std::uint64_t kMapsElementLimit = 1ull << 28;
constexpr int kMapsDeflate = 4;

/// A profile has one column and no axis along it ("metric" only names what is drawn); it is stored with one dimension.
bool isProfile(const MetricMap &map)
{
    return map.columns == 1 && (map.columnAxis.id.empty() || map.columnAxis.id == "metric");
}

std::string axisName(const MapAxis &axis, const char *fallback)
{
    return axis.id.empty() ? fallback : axis.id;
}

void checkMapName(const MetricMap &map, const std::string &name, const char *what)
{
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos
        || name.find('\0') != std::string::npos)
        throw Error(ErrorKind::InvalidArgument,
                    "The map \"" + map.id() + "\" cannot be stored: its " + what + " \"" + name
                        + "\" is not a usable name.");
}

void checkMap(const MetricMap &map)
{
    checkMapName(map, map.group, "group");
    checkMapName(map, map.metric, "metric");
    const std::string rowAxis = axisName(map.rowAxis, "row");
    const std::string columnAxis = axisName(map.columnAxis, "column");
    checkMapName(map, rowAxis, "row axis");
    checkMapName(map, columnAxis, "column axis");
    const bool fits = map.rows > 0 && map.columns > 0
        && static_cast<std::uint64_t>(map.rows) <= kMapsElementLimit / static_cast<std::uint64_t>(map.columns)
        && map.values.size() == static_cast<std::size_t>(map.rows * map.columns);
    if (!fits)
        throw Error(ErrorKind::InvalidArgument,
                    "The map \"" + map.id() + "\" cannot be stored: it has " + std::to_string(map.values.size())
                        + " values for " + std::to_string(map.rows) + " × " + std::to_string(map.columns) + " cells.");
    const std::set<std::string> taken{"title", "layer_name", "valid_length", rowAxis, columnAxis};
    if (taken.contains(map.metric) || rowAxis == columnAxis)
        throw Error(ErrorKind::InvalidArgument,
                    "The map \"" + map.id() + "\" cannot be stored: metric and axes need names of their own.");
}

bool haveSameGrid(const MetricMap &a, const MetricMap &b)
{
    return a.rows == b.rows && a.columns == b.columns && a.rowAxis.id == b.rowAxis.id
        && a.columnAxis.id == b.columnAxis.id && a.rowAxis.first == b.rowAxis.first
        && a.columnAxis.first == b.columnAxis.first;
}

/// Maps of one group, in their order; groups in the order in which they first occur.
std::vector<std::vector<MetricMapPtr>> groupedMaps(const std::vector<MetricMapPtr> &maps)
{
    std::vector<std::vector<MetricMapPtr>> groups;
    for (const auto &map : maps) {
        checkMap(*map);
        const auto group = std::find_if(groups.begin(), groups.end(),
                                        [&](const auto &members) { return members.front()->group == map->group; });
        if (group == groups.end()) {
            groups.push_back({map});
            continue;
        }
        if (!haveSameGrid(*group->front(), *map))
            throw Error(ErrorKind::InvalidArgument,
                        "The maps \"" + group->front()->id() + "\" and \"" + map->id()
                            + "\" cannot share a group: their shapes or axes differ.");
        if (std::any_of(group->begin(), group->end(), [&](const auto &other) { return other->metric == map->metric; }))
            throw Error(ErrorKind::InvalidArgument, "The map \"" + map->id() + "\" occurs twice.");
        group->push_back(map);
    }
    return groups;
}

/// One layer is one read: whole rows, as many as fit into a moderate chunk.
Hdf5Layout mapLayout(const MetricMap &map)
{
    const std::uint64_t rowBytes = static_cast<std::uint64_t>(map.columns) * sizeof(float);
    const auto rows = std::clamp<std::uint64_t>(kMapsChunkBytes / rowBytes, 1, static_cast<std::uint64_t>(map.rows));
    Hdf5Layout layout;
    layout.chunk = {rows};
    if (!isProfile(map))
        layout.chunk.push_back(static_cast<std::uint64_t>(map.columns));
    layout.deflate = kMapsDeflate;
    return layout;
}

/// What a row of a map over layers is called in the model; empty for other axes.
std::string layerName(const MapAxis &axis, std::int64_t index)
{
    if (axis.id == "layer_from" || axis.id == "layer_to") // hidden states: entry 0 is what the embedding gives
        return index == 0 ? "model.embed_tokens" : "model.layers." + std::to_string(index - 1);
    if (axis.id == "layer" || axis.id == "block_start")
        return "model.layers." + std::to_string(index);
    return {};
}

/// The name of the same place in TransformerLens, {i} being the block.
const char *transformerLensName(const std::string &group)
{
    if (group == "block_cosine" || group == "block_influence" || group == "block_distance")
        return "blocks.{i}.hook_resid_pre";
    if (group == "head_importance")
        return "blocks.{i}.attn.hook_z";
    if (group == "ffn_importance")
        return "blocks.{i}.mlp.hook_post";
    return nullptr;
}

/// Cells up to the last one that some map of the group defines, row by row.
std::vector<std::int32_t> validLengths(const std::vector<MetricMapPtr> &maps)
{
    const auto &first = *maps.front();
    std::vector<std::int32_t> lengths(static_cast<std::size_t>(first.rows), 0);
    for (std::int64_t row = 0; row < first.rows; ++row) {
        auto &length = lengths[static_cast<std::size_t>(row)];
        for (const auto &map : maps)
            for (std::int64_t column = map->columns; column > length; --column)
                if (!std::isnan(map->at(row, column - 1))) {
                    length = static_cast<std::int32_t>(column);
                    break;
                }
    }
    return lengths;
}

void writeAxis(Hdf5File &file, const std::string &path, const MapAxis &axis, std::int64_t count)
{
    if (axis.first < std::numeric_limits<std::int32_t>::min()
        || axis.first > std::numeric_limits<std::int32_t>::max() - count)
        throw Error(ErrorKind::InvalidArgument,
                    "The axis \"" + axis.id + "\" begins at " + std::to_string(axis.first)
                        + ", which is beyond 32 bits.");
    std::vector<std::int32_t> ticks(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i)
        ticks[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(axis.first + i);
    file.writeIntegers(path, ticks);
    if (!axis.label.empty())
        file.setAttribute(path, "long_name", axis.label);
    if (!axis.units.empty())
        file.setAttribute(path, "units", axis.units);
}

void writeGroup(Hdf5File &file, const std::string &group, const std::vector<MetricMapPtr> &maps)
{
    const auto &first = *maps.front();
    const bool profile = isProfile(first);
    const std::string rowAxis = axisName(first.rowAxis, "row");
    const std::string columnAxis = axisName(first.columnAxis, "column");

    file.createGroup(group);
    file.setAttribute(group, "NX_class", "NXdata");
    file.setAttribute(group, "signal", first.metric);
    if (maps.size() > 1) {
        std::vector<std::string> others;
        for (std::size_t i = 1; i < maps.size(); ++i)
            others.push_back(maps[i]->metric);
        file.setAttribute(group, "auxiliary_signals", others);
    }
    file.setAttribute(group, "axes",
                      profile ? std::vector<std::string>{rowAxis} : std::vector<std::string>{rowAxis, columnAxis});
    file.setAttribute(group, rowAxis + "_indices", std::int32_t{0});
    if (!profile)
        file.setAttribute(group, columnAxis + "_indices", std::int32_t{1});
    file.setAttribute(group, "SILX_style",
                      profile ? R"({"signal_scale_type": "linear", "axes_scale_type": ["linear"]})"
                              : R"({"signal_scale_type": "linear", "axes_scale_type": ["linear", "linear"]})");
    if (const char *name = transformerLensName(first.group))
        file.setAttribute(group, "transformerlens_name", name);
    file.writeText(group + "/title", first.title.empty() ? first.id() : first.title);

    writeAxis(file, group + "/" + rowAxis, first.rowAxis, first.rows);
    if (!profile)
        writeAxis(file, group + "/" + columnAxis, first.columnAxis, first.columns);
    for (const auto &map : maps) {
        const std::string path = group + "/" + map->metric;
        std::vector<std::uint64_t> shape{static_cast<std::uint64_t>(map->rows)};
        if (!profile)
            shape.push_back(static_cast<std::uint64_t>(map->columns));
        file.writeFloats(path, map->values, shape, mapLayout(*map));
        file.setAttribute(path, "long_name", map->title);
        file.setAttribute(path, "interpretation", profile ? "spectrum" : "image");
        if (profile && !map->columnAxis.id.empty()) {
            file.setAttribute(path, "column_axis", map->columnAxis.id);
            file.setAttribute(path, "column_label", map->columnAxis.label);
            file.setAttribute(path, "column_units", map->columnAxis.units);
        }
        file.attachScale(path, group + "/" + rowAxis, 0, rowAxis);
        if (!profile)
            file.attachScale(path, group + "/" + columnAxis, 1, columnAxis);
    }

    if (!layerName(first.rowAxis, first.rowAxis.first).empty()) {
        std::vector<std::string> names;
        for (std::int64_t row = 0; row < first.rows; ++row)
            names.push_back(layerName(first.rowAxis, first.rowAxis.first + row));
        file.writeTexts(group + "/layer_name", names);
    }
    if (!profile) {
        const auto lengths = validLengths(maps);
        if (std::any_of(lengths.begin(), lengths.end(), [&](std::int32_t length) { return length < first.columns; }))
            file.writeIntegers(group + "/valid_length", lengths);
    }
}

void writeProvenance(Hdf5File &file, const AnalysisResult &result)
{
    file.createGroup("/entry/model");
    file.setAttribute("/entry/model", "NX_class", "NXcollection");
    file.writeText("/entry/model/name", result.modelName);
    file.writeText("/entry/model/digest", result.modelDigest);

    const auto &calibration = result.calibration;
    const std::string group = "/entry/calibration";
    file.createGroup(group);
    file.setAttribute(group, "NX_class", "NXcollection");
    file.writeText(group + "/id", calibration.id);
    file.writeText(group + "/name", calibration.name);
    file.writeText(group + "/source", calibration.source);
    file.writeText(group + "/kind", calibration.kind);
    file.writeText(group + "/sha256", calibration.sha256);
    file.writeText(group + "/template_digest", calibration.templateDigest);
    file.writeScalar(group + "/sequences", calibration.sequences);
    file.writeScalar(group + "/length", calibration.length);
    file.writeScalar(group + "/tokens", calibration.tokens);
    file.writeScalar(group + "/seed", calibration.seed);

    const std::string environment = "/entry/environment";
    file.createGroup(environment);
    file.setAttribute(environment, "NX_class", "NXprocess");
    file.writeText(environment + "/program", "Secateur");
    file.writeText(environment + "/version", versionString());
    file.writeText(environment + "/hdf5_version", hdf5Version());
    file.writeScalar(environment + "/sweeps", result.sweeps);
    file.writeScalar(environment + "/seconds", result.seconds);
    file.writeScalar(environment + "/tokens_per_second", result.tokensPerSecond);
}

void writeArchive(Hdf5File &file, const AnalysisResult &result, const std::vector<std::vector<MetricMapPtr>> &groups)
{
    const std::string now = utcTimeText();
    const auto preferred = std::find_if(groups.begin(), groups.end(),
                                        [](const auto &maps) { return maps.front()->group == "block_cosine"; });
    const auto &shown = preferred == groups.end() ? groups.front() : *preferred;

    file.setAttribute("/", "NX_class", "NXroot");
    file.setAttribute("/", "default", "entry");
    file.setAttribute("/", "creator", "Secateur");
    file.setAttribute("/", "creator_version", versionString());
    file.setAttribute("/", "HDF5_Version", hdf5Version());
    file.setAttribute("/", "file_time", now);
    file.setAttribute("/", "schema", kMapsSchema);
    file.setAttribute("/", "schema_version", kMapsVersion);

    file.createGroup("/entry");
    file.setAttribute("/entry", "NX_class", "NXentry");
    file.setAttribute("/entry", "default", shown.front()->group);
    std::vector<std::string> order;
    for (const auto &map : result.maps)
        order.push_back(map->id());
    file.setAttribute("/entry", "maps", order);
    file.writeText("/entry/title", "Importance maps of " + (result.modelName.empty() ? "a model" : result.modelName));
    file.writeText("/entry/start_time", now);
    file.writeText("/entry/program_name", "Secateur");
    file.setAttribute("/entry/program_name", "version", versionString());
    for (const auto &maps : groups)
        writeGroup(file, "/entry/" + maps.front()->group, maps);
    writeProvenance(file, result);
}

class ArchiveReader {
public:
    ArchiveReader(const Hdf5File &file, std::string name) : m_file(file), m_name(std::move(name)) { }

    AnalysisResult readOwn();
    AnalysisResult readForeign();

private:
    [[noreturn]] void fail(const std::string &object, const std::string &complaint) const
    {
        throw Error(ErrorKind::BadFormat, m_name + ": " + object + " " + complaint + ".");
    }
    void checkVersion() const;
    MapAxis readAxis(const std::string &group, const std::string &axis, std::uint64_t extent) const;
    void readGroup(const std::string &group, AnalysisResult &result) const;
    void readProvenance(AnalysisResult &result) const;
    void readText(const std::string &path, std::string &value) const
    {
        if (m_file.kind(path) == Hdf5File::Kind::Data)
            value = m_file.readText(path);
    }
    void readInteger(const std::string &path, std::int64_t &value) const
    {
        if (m_file.kind(path) == Hdf5File::Kind::Data)
            value = m_file.readInteger(path);
    }
    void readNumber(const std::string &path, double &value) const
    {
        if (m_file.kind(path) == Hdf5File::Kind::Data)
            value = m_file.readNumber(path);
    }

    const Hdf5File &m_file;
    std::string m_name;
};

void ArchiveReader::checkVersion() const
{
    const std::string version = m_file.textAttribute("/", "schema_version").value_or("");
    int major = 0;
    const auto parsed = std::from_chars(version.data(), version.data() + version.size(), major);
    if (parsed.ec != std::errc() || major < 1)
        fail("@schema_version", "is \"" + version + "\", not a version number");
    if (major > kMapsMajor)
        throw Error(ErrorKind::UnsupportedVersion,
                    m_name + " holds maps of version " + version + "; this program reads versions up to " + kMapsVersion
                        + ".",
                    "Open it with a newer version of the program.");
}

MapAxis ArchiveReader::readAxis(const std::string &group, const std::string &axis, std::uint64_t extent) const
{
    MapAxis result;
    if (axis == ".")
        return result;
    const std::string path = group + "/" + axis;
    if (axis.find('/') != std::string::npos || m_file.kind(path) != Hdf5File::Kind::Data)
        fail(group + "@axes", "names \"" + axis + "\", which is not a data set of the group");
    const auto ticks = m_file.readIntegers(path);
    if (ticks.size() != extent)
        fail(path,
             "has " + std::to_string(ticks.size()) + " values for " + std::to_string(extent) + " rows or columns");
    result.id = axis;
    result.label = m_file.textAttribute(path, "long_name").value_or("");
    result.units = m_file.textAttribute(path, "units").value_or("");
    result.first = ticks.empty() ? 0 : ticks.front();
    return result;
}

void ArchiveReader::readGroup(const std::string &group, AnalysisResult &result) const
{
    auto metrics = m_file.textListAttribute(group, "auxiliary_signals");
    if (const auto signal = m_file.textAttribute(group, "signal"))
        metrics.insert(metrics.begin(), *signal);
    else
        fail(group, "has no signal attribute");
    const auto axes = m_file.textListAttribute(group, "axes");
    for (const auto &metric : metrics) {
        const std::string path = group + "/" + metric;
        if (metric.find('/') != std::string::npos || m_file.kind(path) != Hdf5File::Kind::Data)
            fail(group, "names the signal \"" + metric + "\", which is not a data set of the group");
        const auto shape = m_file.shape(path);
        if (shape.empty() || shape.size() > 2 || !m_file.isNumeric(path))
            fail(path, "is not a numeric data set with one or two dimensions");
        if (!axes.empty() && axes.size() != shape.size())
            fail(group + "@axes",
                 "names " + std::to_string(axes.size()) + " axes for " + std::to_string(shape.size()) + " dimensions");
        auto map = std::make_shared<MetricMap>();
        map->group = group.substr(group.rfind('/') + 1);
        map->metric = metric;
        map->title = m_file.textAttribute(path, "long_name").value_or(map->id());
        map->values = m_file.readFloats(path);
        map->rows = static_cast<std::int64_t>(shape[0]);
        map->columns = shape.size() == 2 ? static_cast<std::int64_t>(shape[1]) : 1;
        if (map->values.empty())
            fail(path, "is empty");
        if (!axes.empty())
            map->rowAxis = readAxis(group, axes[0], shape[0]);
        if (axes.size() > 1)
            map->columnAxis = readAxis(group, axes[1], shape[1]);
        else if (const auto column = m_file.textAttribute(path, "column_axis"))
            map->columnAxis = {*column, m_file.textAttribute(path, "column_label").value_or(""),
                               m_file.textAttribute(path, "column_units").value_or(""), 0};
        result.maps.push_back(std::move(map));
    }
}

void ArchiveReader::readProvenance(AnalysisResult &result) const
{
    readText("/entry/model/name", result.modelName);
    readText("/entry/model/digest", result.modelDigest);
    auto &calibration = result.calibration;
    const std::string group = "/entry/calibration";
    readText(group + "/id", calibration.id);
    readText(group + "/name", calibration.name);
    readText(group + "/source", calibration.source);
    readText(group + "/kind", calibration.kind);
    readText(group + "/sha256", calibration.sha256);
    readText(group + "/template_digest", calibration.templateDigest);
    readInteger(group + "/sequences", calibration.sequences);
    readInteger(group + "/length", calibration.length);
    readInteger(group + "/tokens", calibration.tokens);
    if (m_file.kind(group + "/seed") == Hdf5File::Kind::Data)
        calibration.seed = m_file.readUnsigned(group + "/seed");
    readInteger("/entry/environment/sweeps", result.sweeps);
    readNumber("/entry/environment/seconds", result.seconds);
    readNumber("/entry/environment/tokens_per_second", result.tokensPerSecond);
}

AnalysisResult ArchiveReader::readOwn()
{
    checkVersion();
    if (m_file.kind("/entry") != Hdf5File::Kind::Group)
        fail("/entry", "is missing");
    AnalysisResult result;
    for (const auto &child : m_file.children("/entry")) {
        const std::string group = "/entry/" + child;
        if (m_file.kind(group) == Hdf5File::Kind::Group && m_file.textAttribute(group, "NX_class") == "NXdata")
            readGroup(group, result);
    }
    if (result.maps.empty())
        fail("/entry", "holds no map");
    const auto order = m_file.textListAttribute("/entry", "maps");
    const auto place = [&](const MetricMapPtr &map) { return std::find(order.begin(), order.end(), map->id()); };
    std::stable_sort(result.maps.begin(), result.maps.end(),
                     [&](const MetricMapPtr &a, const MetricMapPtr &b) { return place(a) < place(b); });
    readProvenance(result);
    return result;
}

AnalysisResult ArchiveReader::readForeign()
{
    AnalysisResult result;
    std::set<std::string> names;
    for (const auto &path : m_file.dataSets()) {
        const auto shape = m_file.shape(path);
        if (shape.size() != 2 || shape[0] == 0 || shape[1] == 0 || !m_file.isNumeric(path)
            || m_file.isDimensionScale(path))
            continue;
        auto map = std::make_shared<MetricMap>();
        map->group = path.substr(path.rfind('/') + 1);
        if (!names.insert(map->group).second) { // the same name in another group: keep the way to it
            map->group = path.substr(1);
            std::replace(map->group.begin(), map->group.end(), '/', '.');
        }
        map->metric = "value";
        map->title = m_file.textAttribute(path, "long_name").value_or(map->group);
        map->rows = static_cast<std::int64_t>(shape[0]);
        map->columns = static_cast<std::int64_t>(shape[1]);
        map->values = m_file.readFloats(path);
        map->rowAxis = {"row", "row", {}, 0};
        map->columnAxis = {"column", "column", {}, 0};
        result.maps.push_back(std::move(map));
    }
    if (result.maps.empty())
        throw Error(ErrorKind::BadFormat, m_name + " holds no two-dimensional numeric data set.");
    return result;
}

/// HDF5 1.10 can crash on a damaged file before it notices the damage. A line behind the HDF5 data, which the format
/// ignores, lets readMaps() see the damage first. Programs that change the file drop the line.
constexpr std::string_view kMapsSealMark = "\nsecateur-sha256:";
constexpr std::size_t kMapsSealSize = kMapsSealMark.size() + 64 + 1;

std::string mapsSeal(std::string_view bytes)
{
    return std::string(kMapsSealMark) + sha256Hex(bytes) + "\n";
}

void checkMapsSeal(const std::filesystem::path &path)
{
    const MappedFile file(path);
    if (file.size() <= kMapsSealSize)
        return;
    const auto all = file.all();
    const std::string_view text(reinterpret_cast<const char *>(all.data()), all.size());
    const auto seal = text.substr(text.size() - kMapsSealSize);
    if (seal.starts_with(kMapsSealMark) && seal != mapsSeal(text.substr(0, text.size() - kMapsSealSize)))
        throw Error(ErrorKind::BadFormat, path.string() + " is damaged: its checksum does not fit its contents.",
                    "Use a copy of the file or make the maps again.");
}

} // namespace

std::string encodeMaps(const std::filesystem::path &path, const AnalysisResult &result)
{
    const auto groups = groupedMaps(result.maps);
    if (groups.empty())
        throw Error(ErrorKind::InvalidArgument, "There is no map to write to " + path.string() + ".");
    const Hdf5Scope scope;
    auto file = Hdf5File::create(path);
    writeArchive(file, result, groups);
    std::string bytes = file.image();
    return bytes += mapsSeal(bytes);
}

void writeMaps(const std::filesystem::path &path, const AnalysisResult &result)
{
    writeFileAtomically(path, encodeMaps(path, result));
}

AnalysisResult readMaps(const std::filesystem::path &path)
{
    checkMapsSeal(path);
    const Hdf5Scope scope;
    const auto file = Hdf5File::open(path);
    ArchiveReader reader(file, path.string());
    return file.textAttribute("/", "schema") == kMapsSchema ? reader.readOwn() : reader.readForeign();
}

} // namespace secateur
