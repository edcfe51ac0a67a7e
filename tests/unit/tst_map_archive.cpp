#include "backend/io/atomic_file.h"
#include "backend/io/hdf5_file.h"
#include "backend/io/map_archive.h"
#include "tests/support/error_of.h"
#include "tests/support/file_size_limit.h"

#include <QTemporaryDir>
#include <QTest>

#include <hdf5.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>

using namespace secateur;

namespace {

constexpr float kGap = std::numeric_limits<float>::quiet_NaN();

MetricMapPtr makeMap(const char *group, const char *metric, std::int64_t rows, std::int64_t columns, MapAxis rowAxis,
                     MapAxis columnAxis)
{
    MetricMap map{group,
                  metric,
                  std::string("Title of ") + metric + " ä",
                  rows,
                  columns,
                  {},
                  std::move(rowAxis),
                  std::move(columnAxis)};
    for (std::int64_t i = 0; i < rows * columns; ++i)
        map.values.push_back(std::sin(static_cast<float>(i) + static_cast<float>(map.metric.size())));
    return std::make_shared<const MetricMap>(std::move(map));
}

MetricMapPtr withGap(const MetricMapPtr &source, std::int64_t row, std::int64_t from)
{
    MetricMap map = *source;
    for (std::int64_t column = from; column < map.columns; ++column)
        map.values[static_cast<std::size_t>(row * map.columns + column)] = kGap;
    return std::make_shared<const MetricMap>(std::move(map));
}

/// What a sweep over a model with six blocks gives; block 2 has fewer channels, and one value is infinite.
AnalysisResult exampleResult()
{
    const MapAxis layer{"layer", "block (0-based)", "block", 0};
    AnalysisResult result;
    result.modelDigest = "0123abcd";
    result.modelName = "tiny ä";
    result.calibration
        = {"calibration-1", "chat-4 × 32", "chat.jsonl", "chat", "ffee", 4, 32, 128, ~std::uint64_t{0}, "dd"};
    result.sweeps = 2;
    result.seconds = 0.1;
    result.tokensPerSecond = 1280.5;
    // The order of the maps is not that of the groups: it must survive.
    result.maps.push_back(
        makeMap("ffn_importance", "weight_magnitude", 6, 40, layer, {"channel", "channel", "channel", 0}));
    result.maps.push_back(makeMap("block_cosine", "cosine", 7, 7, {"layer_from", "hidden state", "state", 0},
                                  {"layer_to", "hidden state", "state", 0}));
    result.maps.push_back(makeMap("block_influence", "influence", 6, 1, layer, {"metric", "influence", "", 0}));
    result.maps.push_back(
        makeMap("ffn_importance", "activation_weight", 6, 40, layer, {"channel", "channel", "channel", 0}));
    result.maps.push_back(makeMap("block_distance", "distance", 6, 6,
                                  {"block_start", "first removed block", "block", 0},
                                  {"block_length", "removed blocks", "block", 1}));
    result.maps.push_back(makeMap("head_importance", "importance", 6, 1, layer, {"kv_group", "KV group", "group", 0}));
    result.maps[0] = withGap(result.maps[0], 2, 25);
    result.maps[3] = withGap(result.maps[3], 2, 25);
    MetricMap infinite = *result.maps[0];
    infinite.values[3] = std::numeric_limits<float>::infinity();
    result.maps[0] = std::make_shared<const MetricMap>(std::move(infinite));
    for (std::int64_t start = 1; start < 6; ++start)
        result.maps[4] = withGap(result.maps[4], start, 6 - start);
    return result;
}

bool sameBits(const std::vector<float> &a, const std::vector<float> &b)
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) {
        return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
    });
}

bool sameAxis(const MapAxis &a, const MapAxis &b)
{
    return a.id == b.id && a.label == b.label && a.units == b.units && a.first == b.first;
}

/// Complaints about one NXdata group by the rules of h5web and the NeXus standard; empty when there are none.
QStringList complaintsAbout(const Hdf5File &file, const std::string &group)
{
    QStringList complaints;
    const auto complain
        = [&](const std::string &text) { complaints.append(QString::fromStdString(group + ": " + text)); };
    if (file.textAttribute(group, "NX_class") != "NXdata")
        complain("is no NXdata");
    const auto signal = file.textAttribute(group, "signal");
    if (!signal || file.kind(group + "/" + *signal) != Hdf5File::Kind::Data)
        return complaints << QString::fromStdString(group + ": signal names no data set");
    const auto shape = file.shape(group + "/" + *signal);
    if (!file.isNumeric(group + "/" + *signal))
        complain("signal is not numeric");
    const auto axes = file.textListAttribute(group, "axes");
    if (axes.size() != shape.size())
        complain("axes and dimensions differ in number");
    for (std::size_t i = 0; i < std::min(axes.size(), shape.size()); ++i) {
        const auto path = group + "/" + axes[i];
        if (axes[i].find('/') != std::string::npos || file.kind(path) != Hdf5File::Kind::Data)
            return complaints << QString::fromStdString(group + ": axis " + axes[i] + " is no child data set");
        if (!file.isNumeric(path) || file.shape(path) != std::vector<std::uint64_t>{shape[i]})
            complain("axis " + axes[i] + " is not numeric or has another length");
        if (!file.isDimensionScale(path))
            complain("axis " + axes[i] + " is no dimension scale");
        if (file.integerAttribute(group, axes[i] + "_indices") != static_cast<std::int64_t>(i))
            complain("axis " + axes[i] + " has no indices");
        if (!file.textAttribute(path, "long_name"))
            complain("axis " + axes[i] + " has no long_name");
    }
    auto drawn = file.textListAttribute(group, "auxiliary_signals");
    drawn.push_back(*signal);
    for (const auto &name : drawn) {
        const auto path = group + "/" + name;
        if (file.kind(path) != Hdf5File::Kind::Data || file.shape(path) != shape)
            complain("signal " + name + " has another shape");
        if (file.textAttribute(path, "interpretation") != (shape.size() == 1 ? "spectrum" : "image"))
            complain("signal " + name + " has the wrong interpretation");
        if (!file.textAttribute(path, "long_name"))
            complain("signal " + name + " has no long_name");
    }
    if (file.kind(group + "/title") != Hdf5File::Kind::Data || file.readText(group + "/title").empty())
        complain("has no title");
    if (!file.textAttribute(group, "SILX_style"))
        complain("has no SILX_style");
    return complaints;
}

struct Storage {
    std::vector<hsize_t> chunk;
    std::vector<H5Z_filter_t> filters;
    unsigned deflate = 0;
    bool isFloat32 = false;
};

Storage storageOf(const std::filesystem::path &path, const char *object)
{
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    const hid_t data = H5Dopen2(file, object, H5P_DEFAULT);
    const hid_t type = H5Dget_type(data);
    const hid_t creation = H5Dget_create_plist(data);
    Storage storage;
    storage.isFloat32 = H5Tequal(type, H5T_IEEE_F32LE) > 0;
    hsize_t chunk[2] = {};
    const int rank = H5Pget_chunk(creation, 2, chunk);
    storage.chunk.assign(chunk, chunk + std::max(rank, 0));
    for (int i = 0; i < H5Pget_nfilters(creation); ++i) {
        unsigned flags = 0;
        unsigned values[8] = {};
        std::size_t count = 8;
        unsigned configuration = 0;
        const auto filter
            = H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &count, values, 0, nullptr, &configuration);
        storage.filters.push_back(filter);
        if (filter == H5Z_FILTER_DEFLATE)
            storage.deflate = values[0];
    }
    H5Pclose(creation);
    H5Tclose(type);
    H5Dclose(data);
    H5Fclose(file);
    return storage;
}

} // namespace

class TestMapArchive : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void cleanup();
    void roundTripIsExact();
    void defaultPlotResolves();
    void everyGroupFollowsTheRulesOfViewers_data();
    void everyGroupFollowsTheRulesOfViewers();
    void cellsAreFilteredFloatsInRowBlocks_data();
    void cellsAreFilteredFloatsInRowBlocks();
    void wideRowsAreChunksOfTheirOwn();
    void raggedRowsHaveTheirLength();
    void layersAreNamedInUnicode();
    void provenanceIsStored();
    void foreignDataSetsAreRead();
    void unusableMapsAreRefused_data();
    void unusableMapsAreRefused();
    void unusableFilesAreRefused_data();
    void unusableFilesAreRefused();
    void newerVersionIsRefusedNamingBoth();
    void failedWritingLeavesTheOldFile();
    void damageIsNoticedBeforeHdf5ReadsTheFile_data();
    void damageIsNoticedBeforeHdf5ReadsTheFile();
    void damagedCellsAreNoticedWithoutTheSeal();

private:
    std::filesystem::path path(const char *name = "maps ä.h5") const { return folder() / name; }
    std::filesystem::path folder() const { return m_folder->path().toStdString(); }
    void flipByte(std::uintmax_t offset) const
    {
        std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(static_cast<std::streamoff>(offset));
        const int byte = file.peek();
        file.seekp(static_cast<std::streamoff>(offset));
        file.put(static_cast<char>(byte ^ 0x55));
    }
    std::unique_ptr<QTemporaryDir> m_folder;
};

void TestMapArchive::init()
{
    m_folder = std::make_unique<QTemporaryDir>();
    QVERIFY(m_folder->isValid());
}

void TestMapArchive::cleanup()
{
    QCOMPARE(hdf5OpenObjects(), std::int64_t(0));
}

void TestMapArchive::roundTripIsExact()
{
    const auto written = exampleResult();

    writeMaps(path(), written);
    const auto read = readMaps(path());

    QCOMPARE(read.modelDigest, written.modelDigest);
    QCOMPARE(read.modelName, written.modelName);
    QVERIFY(read.calibration == written.calibration);
    QCOMPARE(read.sweeps, written.sweeps);
    QCOMPARE(read.seconds, written.seconds);
    QCOMPARE(read.tokensPerSecond, written.tokensPerSecond);
    QCOMPARE(read.maps.size(), written.maps.size());
    for (std::size_t i = 0; i < written.maps.size(); ++i) {
        const auto &a = *read.maps[i];
        const auto &b = *written.maps[i];
        QCOMPARE(a.id(), b.id());
        QCOMPARE(a.title, b.title);
        QCOMPARE(a.rows, b.rows);
        QCOMPARE(a.columns, b.columns);
        QVERIFY2(sameBits(a.values, b.values), b.id().c_str());
        QVERIFY2(sameAxis(a.rowAxis, b.rowAxis), b.id().c_str());
        QVERIFY2(sameAxis(a.columnAxis, b.columnAxis), b.id().c_str());
    }
    const auto entries = std::distance(std::filesystem::directory_iterator(folder()), {});
    QCOMPARE(entries, std::ptrdiff_t(1)); // no temporary file is left
}

void TestMapArchive::defaultPlotResolves()
{
    writeMaps(path(), exampleResult());
    const Hdf5Scope scope;
    const auto file = Hdf5File::open(path());

    const auto entry = file.textAttribute("/", "default");
    QCOMPARE(file.textAttribute("/", "NX_class"), std::optional<std::string>("NXroot"));
    QCOMPARE(entry, std::optional<std::string>("entry"));
    QCOMPARE(file.textAttribute("/entry", "NX_class"), std::optional<std::string>("NXentry"));
    QCOMPARE(file.textAttribute("/entry", "default"), std::optional<std::string>("block_cosine"));
    QCOMPARE(file.textAttribute("/", "schema"), std::optional<std::string>("lrm.importance"));
    QCOMPARE(file.textAttribute("/", "schema_version"), std::optional<std::string>("1.0.0"));
}

void TestMapArchive::everyGroupFollowsTheRulesOfViewers_data()
{
    QTest::addColumn<QString>("group");
    QTest::addColumn<int>("dimensions");
    QTest::newRow("cosine") << QStringLiteral("/entry/block_cosine") << 2;
    QTest::newRow("influence") << QStringLiteral("/entry/block_influence") << 1;
    QTest::newRow("distance") << QStringLiteral("/entry/block_distance") << 2;
    QTest::newRow("heads, one group each") << QStringLiteral("/entry/head_importance") << 2;
    QTest::newRow("channels, two metrics") << QStringLiteral("/entry/ffn_importance") << 2;
}

void TestMapArchive::everyGroupFollowsTheRulesOfViewers()
{
    QFETCH(QString, group);
    QFETCH(int, dimensions);
    writeMaps(path(), exampleResult());
    const Hdf5Scope scope;
    const auto file = Hdf5File::open(path());

    const auto name = group.toStdString();

    QCOMPARE(complaintsAbout(file, name), QStringList());
    QCOMPARE(file.shape(name + "/" + *file.textAttribute(name, "signal")).size(), std::size_t(dimensions));
    for (const auto &axis : file.textListAttribute(name, "axes"))
        QVERIFY(axis != "layer_name"); // text would be refused as an axis
}

void TestMapArchive::cellsAreFilteredFloatsInRowBlocks_data()
{
    QTest::addColumn<QByteArray>("data");
    QTest::addColumn<QList<int>>("chunk");
    QTest::newRow("matrix") << QByteArray("/entry/block_cosine/cosine") << QList<int>{7, 7};
    QTest::newRow("profile") << QByteArray("/entry/block_influence/influence") << QList<int>{6};
    QTest::newRow("second metric") << QByteArray("/entry/ffn_importance/activation_weight") << QList<int>{6, 40};
}

void TestMapArchive::cellsAreFilteredFloatsInRowBlocks()
{
    QFETCH(QByteArray, data);
    QFETCH(QList<int>, chunk);
    writeMaps(path(), exampleResult());

    const auto storage = storageOf(path(), data.constData());

    QVERIFY(storage.isFloat32);
    QCOMPARE(storage.deflate, 4u);
    const std::vector<H5Z_filter_t> expected{H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE, H5Z_FILTER_FLETCHER32};
    QVERIFY(storage.filters == expected);
    QCOMPARE(QList<int>(storage.chunk.begin(), storage.chunk.end()), chunk);
}

void TestMapArchive::wideRowsAreChunksOfTheirOwn()
{
    AnalysisResult result;
    result.maps.push_back(makeMap("ffn_importance", "importance", 8, 40000, {"layer", "block", "block", 0},
                                  {"channel", "channel", "channel", 0}));
    writeMaps(path(), result);
    const auto storage = storageOf(path(), "/entry/ffn_importance/importance");
    QCOMPARE(storage.chunk[0], hsize_t(1));
    QCOMPARE(storage.chunk[1], hsize_t(40000));
    QVERIFY(sameBits(readMaps(path()).maps[0]->values, result.maps[0]->values));
}

void TestMapArchive::raggedRowsHaveTheirLength()
{
    writeMaps(path(), exampleResult());
    const Hdf5Scope scope;
    const auto file = Hdf5File::open(path());
    const std::vector<std::int64_t> channels{40, 40, 25, 40, 40, 40};
    const std::vector<std::int64_t> distances{6, 5, 4, 3, 2, 1};
    QVERIFY(file.readIntegers("/entry/ffn_importance/valid_length") == channels);
    QVERIFY(file.readIntegers("/entry/block_distance/valid_length") == distances);
    QVERIFY(file.kind("/entry/block_cosine/valid_length") == Hdf5File::Kind::Missing);
}

void TestMapArchive::layersAreNamedInUnicode()
{
    writeMaps(path(), exampleResult());
    const hid_t file = H5Fopen(path().c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    const hid_t data = H5Dopen2(file, "/entry/block_cosine/layer_name", H5P_DEFAULT);
    const hid_t type = H5Dget_type(data);
    const hid_t space = H5Dget_space(data);

    char *names[7] = {};
    QVERIFY(H5Dread(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, names) >= 0);

    QVERIFY(H5Tis_variable_str(type) > 0);
    QCOMPARE(H5Tget_cset(type), H5T_CSET_UTF8);
    QCOMPARE(QByteArray(names[0]), QByteArray("model.embed_tokens"));
    QCOMPARE(QByteArray(names[6]), QByteArray("model.layers.5"));
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, names);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(data);
    H5Fclose(file);
}

void TestMapArchive::provenanceIsStored()
{
    writeMaps(path(), exampleResult());
    const Hdf5Scope scope;
    const auto file = Hdf5File::open(path());
    QCOMPARE(file.textAttribute("/entry/model", "NX_class"), std::optional<std::string>("NXcollection"));
    QCOMPARE(file.readText("/entry/model/digest"), std::string("0123abcd"));
    QCOMPARE(file.readText("/entry/calibration/sha256"), std::string("ffee"));
    QCOMPARE(file.readUnsigned("/entry/calibration/seed"), ~std::uint64_t{0});
    QCOMPARE(file.readText("/entry/environment/program"), std::string("Secateur"));
    QVERIFY(file.readText("/entry/start_time").ends_with("Z"));
}

void TestMapArchive::foreignDataSetsAreRead()
{
    const hid_t file = H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t group = H5Gcreate2(file, "scores", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    const hsize_t shape[3] = {2, 3, 1};
    const double values[6] = {0, 1, 2, 3, 4, 5.5};
    const auto put = [&](hid_t where, const char *name, int rank) {
        const hid_t space = H5Screate_simple(rank, shape, nullptr);
        const hid_t data = H5Dcreate2(where, name, H5T_IEEE_F64BE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Dwrite(data, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        H5Dclose(data);
        H5Sclose(space);
    };
    put(file, "importance", 2);
    put(group, "importance", 2);
    put(file, "vector", 1);
    put(file, "cube", 3);
    H5Gclose(group);
    H5Fclose(file);

    const auto result = readMaps(path());

    QCOMPARE(result.maps.size(), std::size_t(2));
    QCOMPARE(result.maps[0]->group, std::string("importance"));
    QCOMPARE(result.maps[1]->group, std::string("scores.importance"));
    QCOMPARE(result.maps[0]->rows, 2);
    QCOMPARE(result.maps[0]->columns, 3);
    QCOMPARE(result.maps[0]->at(1, 2), 5.5f);
}

void TestMapArchive::unusableMapsAreRefused_data()
{
    QTest::addColumn<QString>("group");
    QTest::addColumn<QString>("metric");
    QTest::addColumn<int>("rows");
    QTest::addColumn<QString>("columnAxis");
    QTest::newRow("slash in the group") << QStringLiteral("a/b") << QStringLiteral("m") << 2
                                        << QStringLiteral("channel");
    QTest::newRow("no metric") << QStringLiteral("a") << QString() << 2 << QStringLiteral("channel");
    QTest::newRow("no rows") << QStringLiteral("a") << QStringLiteral("m") << 0 << QStringLiteral("channel");
    QTest::newRow("metric named like an axis")
        << QStringLiteral("a") << QStringLiteral("layer") << 2 << QStringLiteral("channel");
    QTest::newRow("metric named title") << QStringLiteral("a") << QStringLiteral("title") << 2
                                        << QStringLiteral("channel");
    QTest::newRow("axes of one name") << QStringLiteral("a") << QStringLiteral("m") << 2 << QStringLiteral("layer");
    QTest::newRow("occurs twice") << QStringLiteral("ffn_importance") << QStringLiteral("weight_magnitude") << 6
                                  << QStringLiteral("channel");
    QTest::newRow("another shape in the group")
        << QStringLiteral("ffn_importance") << QStringLiteral("m") << 5 << QStringLiteral("channel");
}

void TestMapArchive::unusableMapsAreRefused()
{
    QFETCH(QString, group);
    QFETCH(QString, metric);
    QFETCH(int, rows);
    QFETCH(QString, columnAxis);
    auto result = exampleResult();
    result.maps.push_back(makeMap(group.toUtf8().constData(), metric.toUtf8().constData(), rows, 40,
                                  {"layer", "block", "block", 0}, {columnAxis.toStdString(), "", "", 0}));

    const auto error = errorOf([&] { writeMaps(path(), result); });

    QVERIFY(error.has_value());
    QCOMPARE(int(error->kind), int(ErrorKind::InvalidArgument));
    QVERIFY2(QString::fromStdString(error->message).contains(metric), error->message.c_str());
    QVERIFY(!std::filesystem::exists(path()));
}

void TestMapArchive::unusableFilesAreRefused_data()
{
    QTest::addColumn<int>("keepBytes"); // of a good file
    QTest::addColumn<int>("kind");
    QTest::newRow("missing") << -1 << int(ErrorKind::NotFound);
    QTest::newRow("empty") << 0 << int(ErrorKind::BadFormat);
    QTest::newRow("cut in the header") << 40 << int(ErrorKind::BadFormat);
    QTest::newRow("cut in the middle") << 3000 << int(ErrorKind::BadFormat);
}

void TestMapArchive::unusableFilesAreRefused()
{
    QFETCH(int, keepBytes);
    QFETCH(int, kind);
    if (keepBytes >= 0) {
        writeMaps(path(), exampleResult());
        std::filesystem::resize_file(path(), static_cast<std::uintmax_t>(keepBytes));
    }

    const auto error = errorOf([&] { readMaps(path()); });

    QVERIFY(error.has_value());
    QCOMPARE(int(error->kind), kind);
    QVERIFY2(QString::fromStdString(error->message).contains(QStringLiteral("maps ä.h5")), error->message.c_str());
}

void TestMapArchive::newerVersionIsRefusedNamingBoth()
{
    {
        const Hdf5Scope scope;
        auto file = Hdf5File::create(path());
        file.setAttribute("/", "schema", "lrm.importance");
        file.setAttribute("/", "schema_version", "2.3.0");
        writeFileAtomically(path(), file.image());
    }
    const auto error = errorOf([&] { readMaps(path()); });
    QVERIFY(error.has_value());
    QCOMPARE(int(error->kind), int(ErrorKind::UnsupportedVersion));
    QVERIFY(error->message.find("2.3.0") != std::string::npos);
    QVERIFY(error->message.find("1.0.0") != std::string::npos);
}

void TestMapArchive::failedWritingLeavesTheOldFile()
{
    AnalysisResult small;
    small.maps.push_back(exampleResult().maps[1]);
    writeMaps(path(), small);

    std::optional<ErrorInfo> error;
    {
        const FileSizeLimit limit(2000); // as on a full disk
        error = errorOf([&] { writeMaps(path(), exampleResult()); });
    }

    QVERIFY(error.has_value());
    QCOMPARE(int(error->kind), int(ErrorKind::Io));
    QVERIFY2(QString::fromStdString(error->message).contains(QStringLiteral("maps ä.h5")), error->message.c_str());
    QCOMPARE(readMaps(path()).maps.size(), std::size_t(1));
    QCOMPARE(std::distance(std::filesystem::directory_iterator(folder()), {}), std::ptrdiff_t(1));
}

void TestMapArchive::damageIsNoticedBeforeHdf5ReadsTheFile_data()
{
    QTest::addColumn<double>("place"); // share of the file
    QTest::newRow("superblock") << 0.0005;
    QTest::newRow("groups") << 0.02;
    QTest::newRow("cells") << 0.5;
    QTest::newRow("end") << 0.99;
}

void TestMapArchive::damageIsNoticedBeforeHdf5ReadsTheFile()
{
    QFETCH(double, place);
    writeMaps(path(), exampleResult());
    flipByte(static_cast<std::uintmax_t>(place * static_cast<double>(std::filesystem::file_size(path()))));

    const auto error = errorOf([&] { readMaps(path()); });

    QVERIFY(error.has_value());
    QCOMPARE(int(error->kind), int(ErrorKind::BadFormat));
    QVERIFY2(QString::fromStdString(error->message).contains(QStringLiteral("maps ä.h5 is damaged")),
             error->message.c_str());
}

void TestMapArchive::damagedCellsAreNoticedWithoutTheSeal()
{
    AnalysisResult result;
    result.maps.push_back(makeMap("ffn_importance", "importance", 4, 20000, {"layer", "block", "block", 0},
                                  {"channel", "channel", "channel", 0}));
    writeMaps(path(), result);
    // As another program leaves the file. The cells fill most of it: its middle lies in a chunk, which has a checksum.
    std::filesystem::resize_file(path(), std::filesystem::file_size(path()) - 1);
    flipByte(std::filesystem::file_size(path()) / 2);

    const auto error = errorOf([&] { readMaps(path()); });

    QVERIFY(error.has_value());
    QCOMPARE(int(error->kind), int(ErrorKind::BadFormat));
    QVERIFY2(error->message.find("importance") != std::string::npos, error->message.c_str());
}

QTEST_APPLESS_MAIN(TestMapArchive)
#include "tst_map_archive.moc"
