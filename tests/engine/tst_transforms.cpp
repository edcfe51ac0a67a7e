#include "backend/core/error.h"
#include "backend/engine/adapter.h"
#include "backend/engine/forward.h"
#include "backend/engine/transforms.h"
#include "backend/io/safetensors.h"
#include "backend/io/weight_files.h"
#include "tests/support/adapter_probe.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/thrown_by.h"
#include "tests/support/tiny_model.h"

#include <QDir>
#include <QFile>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTemporaryDir>
#include <QTest>

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <stop_token>

using namespace secateur;

namespace {

const TokenIds kProbe = {256, 72, 101, 108, 108, 111, 32, 119, 111, 114, 108, 100, 33, 10, 65, 66, 67, 200, 31, 7};
constexpr int kFamilies = 4;
constexpr int kLayers = 4;
constexpr int kKvHeads = 2;
constexpr int kChannels = 48;

TinyModelOptions familyOptions(int family)
{
    TinyModelOptions options;
    options.layers = kLayers;
    options.kvHeads = kKvHeads;
    options.intermediateSize = kChannels;
    options.scale = 0.25;
    options.tokenizer = false;
    options.biases = family == 1;
    options.queryKeyNorm = family == 2;
    options.headDim = family == 2 ? 16 : 8;
    options.slidingWindow = family == 3 ? 8 : 0;
    options.tied = family % 2 == 0;
    options.seed = static_cast<std::uint64_t>(family) + 11;
    return options;
}

Model load(const std::filesystem::path &folder)
{
    ComputeSettings settings;
    settings.dtype = "f32";
    return loadModel(inspectModel(folder), settings);
}

/// Any mixture of blocks, groups and channels; often whole sublayers go.
UnitSet randomUnits(std::uint64_t seed)
{
    std::mt19937_64 engine(seed);
    UnitSet units;
    for (int block = 0; block < kLayers; ++block) {
        if (engine() % 5 == 0)
            units.blocks.insert(block);
        if (engine() % 2 == 0) {
            const std::uint64_t keep = engine() % 3; // both groups may go
            for (int group = 0; group < kKvHeads; ++group) {
                if (static_cast<std::uint64_t>(group) != keep)
                    units.kvGroups[block].insert(group);
            }
        }
        if (engine() % 2 == 0) {
            const std::uint64_t removed = engine() % 4 == 0 ? kChannels : engine() % kChannels;
            for (std::uint64_t k = 0; k < removed; ++k)
                units.ffnChannels[block].insert(removed == kChannels ? static_cast<int>(k)
                                                                     : static_cast<int>(engine() % kChannels));
        }
    }
    units.blocks.erase(kLayers - 1);
    units.kvGroups.erase(kLayers - 1);
    units.ffnChannels[kLayers - 1] = {1, 5};
    return units;
}

UnitSet blocksOnly(std::set<int> blocks)
{
    UnitSet units;
    units.blocks = std::move(blocks);
    return units;
}

std::filesystem::path pathOf(const QTemporaryDir &folder)
{
    return folder.path().toStdString();
}

QStringList filesIn(const QTemporaryDir &folder)
{
    return QDir(folder.path()).entryList(QDir::Files | QDir::Hidden, QDir::Name);
}

} // namespace

class TestTransforms : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void prunedAndMaskedModelsAgreeAndReload_data();
    void prunedAndMaskedModelsAgreeAndReload();
    void untouchedTensorsAreShared();
    void aKvGroupTakesItsQueryHeadsAlong();
    void attentionGoesWithItsLastGroup();
    void maskKeepsTheDenseShape();
    void branchesFollowTheUnits();
    void impossiblePlansAreRefused_data();
    void impossiblePlansAreRefused();
    void pruningTwiceCountsFromTheGivenModel();
    void sanityGatePassesAHealthyModel();
    void sanityGateNoticesARemovalWithoutEffect();
    void sanityGateNoticesBrokenNumbers();
    void modelsOfDifferentVocabulariesAreNotCompared();
    void savedLayersAreNumberedWithoutGaps();
    void aTiedHeadIsNotWritten();
    void shardsStayBelowTheLimit();
    void narrowDtypesAreRounded_data();
    void narrowDtypesAreRounded();
    void valuesBeyondHalfPrecisionAreRefused();
    void anUnknownDtypeIsRefused();
    void aModelWithAnAdapterIsNotWritten();
    void aFullDiskLeavesNothingBehind_data();
    void aFullDiskLeavesNothingBehind();
    void cancellingWhileSavingLeavesNothingBehind();

private:
    const Model &family(int index) const { return *m_families[static_cast<std::size_t>(index)]; }

    QTemporaryDir m_folder;
    std::array<std::optional<Model>, kFamilies> m_families;
};

void TestTransforms::initTestCase()
{
    QVERIFY(m_folder.isValid());
    for (int index = 0; index < kFamilies; ++index) {
        const std::filesystem::path folder = pathOf(m_folder) / std::to_string(index);
        writeTinyModel(folder, familyOptions(index));
        m_families[static_cast<std::size_t>(index)] = load(folder);
    }
}

void TestTransforms::prunedAndMaskedModelsAgreeAndReload_data()
{
    QTest::addColumn<int>("seed");
    for (int seed = 0; seed < 50; ++seed)
        QTest::addRow("plan %d", seed) << seed;
}

void TestTransforms::prunedAndMaskedModelsAgreeAndReload()
{
    QFETCH(int, seed);
    const Model &dense = family(seed % kFamilies);
    const UnitSet units = randomUnits(static_cast<std::uint64_t>(seed));

    const Model pruned = prune(dense, units);
    const Model masked = mask(dense, units);
    QTemporaryDir folder;
    saveWeights(pruned, pathOf(folder), "F32");
    const Model again = load(pathOf(folder));

    QVERIFY(largestLogitDifference(dense, pruned, kProbe) > 1e-2);
    QVERIFY(largestLogitDifference(pruned, masked, kProbe) < 1e-4);
    QCOMPARE(pruned.parameters(), totalParameters(prunedConfig(dense.config(), units)));
    QCOMPARE(again.config().blocks, pruned.config().blocks);
    QCOMPARE(again.parameters(), pruned.parameters());
    QCOMPARE(largestLogitDifference(pruned, again, kProbe), 0.0);
}

void TestTransforms::untouchedTensorsAreShared()
{
    UnitSet units;
    units.ffnChannels[1] = {0, 7};

    const Model pruned = prune(family(0), units);
    const std::vector<std::string> shared = sharedTensors(pruned, family(0));

    std::vector<std::string> copied;
    for (const auto &[name, shape] : tensorShapes(pruned)) {
        if (std::find(shared.begin(), shared.end(), name) == shared.end())
            copied.push_back(name);
    }
    const std::vector<std::string> expected
        = {"model.layers.1.mlp.down_proj.weight", "model.layers.1.mlp.gate_proj.weight",
           "model.layers.1.mlp.up_proj.weight"};
    QCOMPARE(copied, expected);
}

void TestTransforms::aKvGroupTakesItsQueryHeadsAlong()
{
    UnitSet units;
    units.kvGroups[2] = {0};

    const auto shapes = tensorShapes(prune(family(1), units)); // 4 query heads of 8, 2 groups, biases

    using Shape = std::vector<std::int64_t>;
    const std::string prefix = "model.layers.2.self_attn.";
    QCOMPARE(shapes.at(prefix + "q_proj.weight"), (Shape{16, 32}));
    QCOMPARE(shapes.at(prefix + "q_proj.bias"), (Shape{16}));
    QCOMPARE(shapes.at(prefix + "k_proj.weight"), (Shape{8, 32}));
    QCOMPARE(shapes.at(prefix + "k_proj.bias"), (Shape{8}));
    QCOMPARE(shapes.at(prefix + "v_proj.weight"), (Shape{8, 32}));
    QCOMPARE(shapes.at(prefix + "o_proj.weight"), (Shape{32, 16}));
}

void TestTransforms::attentionGoesWithItsLastGroup()
{
    UnitSet units;
    units.kvGroups[1] = {0, 1};

    const Model pruned = prune(family(2), units);

    QVERIFY(!pruned.config().blocks[1].hasAttention);
    QVERIFY(pruned.config().blocks[1].hasMlp);
    for (const auto &[name, shape] : tensorShapes(pruned))
        QVERIFY2(!name.starts_with("model.layers.1.self_attn.") && name != "model.layers.1.input_layernorm.weight",
                 name.c_str());
}

void TestTransforms::maskKeepsTheDenseShape()
{
    const Model masked = mask(family(1), randomUnits(3));

    QCOMPARE(masked.config(), family(1).config());
    QCOMPARE(tensorShapes(masked), tensorShapes(family(1)));
}

void TestTransforms::branchesFollowTheUnits()
{
    const Model &dense = family(1);
    RecoveryOptions options;
    options.rank = 3;
    const Adapter adapter = randomAdapter(dense, options);
    UnitSet units;
    units.blocks = {0};
    units.kvGroups[1] = {1};
    units.ffnChannels[2] = {0, 3, 40};

    const Model besideThenPruned = prune(withAdapter(dense, adapter), units);
    const Model besideThenMasked = mask(withAdapter(dense, adapter), units);
    const Model mergedThenPruned = prune(mergeAdapter(dense, adapter), units);

    QVERIFY(largestLogitDifference(besideThenPruned, prune(dense, units), kProbe) > 1e-2);
    QVERIFY(largestLogitDifference(besideThenPruned, mergedThenPruned, kProbe) < 1e-4);
    QVERIFY(largestLogitDifference(besideThenMasked, mergedThenPruned, kProbe) < 1e-4);
}

void TestTransforms::impossiblePlansAreRefused_data()
{
    QTest::addColumn<int>("block");
    QTest::addColumn<int>("group");
    QTest::addColumn<int>("channel");
    QTest::newRow("nothing is removed") << -1 << -1 << -1;
    QTest::newRow("no such block") << kLayers << -1 << -1;
    QTest::newRow("no such group") << -1 << kKvHeads << -1;
    QTest::newRow("no such channel") << -1 << -1 << kChannels;
}

void TestTransforms::impossiblePlansAreRefused()
{
    QFETCH(int, block);
    QFETCH(int, group);
    QFETCH(int, channel);
    UnitSet units;
    if (block >= 0)
        units.blocks.insert(block);
    if (group >= 0)
        units.kvGroups[1].insert(group);
    if (channel >= 0)
        units.ffnChannels[1].insert(channel);

    QCOMPARE(thrownBy([&] { prune(family(0), units); }).kind, ErrorKind::InvalidArgument);
    QCOMPARE(thrownBy([&] { mask(family(0), units); }).kind, ErrorKind::InvalidArgument);
}

void TestTransforms::pruningTwiceCountsFromTheGivenModel()
{
    const Model once = prune(family(0), blocksOnly({1}));

    const Model twice = prune(once, blocksOnly({1})); // what was block 2
    const Model both = prune(family(0), blocksOnly({1, 2}));

    QCOMPARE(twice.config().blocks, both.config().blocks);
    QCOMPARE(largestLogitDifference(twice, both, kProbe), 0.0);
}

void TestTransforms::sanityGatePassesAHealthyModel()
{
    const std::vector<CheckResult> checks = sanityGate(family(0), prune(family(0), blocksOnly({2})), kProbe);

    QCOMPARE(checks.size(), std::size_t(4));
    for (const CheckResult &check : checks)
        QVERIFY2(check.passed, (check.name + ": " + check.detail).c_str());
}

void TestTransforms::sanityGateNoticesARemovalWithoutEffect()
{
    const Model identityBlock = mask(family(0), blocksOnly({2}));

    const std::vector<CheckResult> checks = sanityGate(identityBlock, prune(identityBlock, blocksOnly({2})), kProbe);

    QVERIFY(checks.front().passed);
    QCOMPARE(checks.back().name, std::string("differs from dense"));
    QVERIFY(!checks.back().passed);
}

void TestTransforms::sanityGateNoticesBrokenNumbers()
{
    RecoveryOptions options;
    const Adapter adapter = randomAdapter(family(0), options);
    AdapterValues values = adapterValues(adapter);
    values.begin()->second.front() = std::numeric_limits<float>::infinity();
    const Model broken = mergeAdapter(family(0), withValues(adapter, values));

    const std::vector<CheckResult> checks = sanityGate(family(0), broken, kProbe);

    QCOMPARE(checks.front().name, std::string("finite logits"));
    QVERIFY(!checks.front().passed);
    QVERIFY(!checks.front().detail.empty());
    QVERIFY(!checks.back().passed);
}

void TestTransforms::modelsOfDifferentVocabulariesAreNotCompared()
{
    TinyModelOptions options;
    options.vocabulary = 300;
    QTemporaryDir folder;
    writeTinyModel(pathOf(folder), options);

    const ErrorInfo error = thrownBy([&] { largestLogitDifference(family(0), load(pathOf(folder)), kProbe); });

    QCOMPARE(error.kind, ErrorKind::InvalidArgument);
    QVERIFY(error.message.find("300") != std::string::npos);
}

void TestTransforms::savedLayersAreNumberedWithoutGaps()
{
    QTemporaryDir folder;
    const Model pruned = prune(family(1), blocksOnly({0, 2}));

    saveWeights(pruned, pathOf(folder), "F32", {{"secateur.note", "two blocks"}});
    const SafetensorsFile file(pathOf(folder) / "model.safetensors");

    std::map<std::string, std::vector<std::int64_t>> expected;
    for (const ExpectedTensor &tensor : expectedTensors(pruned.config()))
        expected[tensor.name] = tensor.shape;
    std::map<std::string, std::vector<std::int64_t>> found;
    for (const TensorInfo &tensor : file.tensors())
        found[tensor.name] = tensor.shape;
    QCOMPARE(found, expected);
    QVERIFY(found.contains("model.layers.1.self_attn.q_proj.weight"));
    QCOMPARE(file.metadata().at("format"), std::string("pt"));
    QCOMPARE(file.metadata().at("secateur.note"), std::string("two blocks"));
    QCOMPARE(load(pathOf(folder)).config().blocks[1].originalIndex, 3);
}

void TestTransforms::aTiedHeadIsNotWritten()
{
    QTemporaryDir tied;
    QTemporaryDir untied;

    saveWeights(family(0), pathOf(tied), "F32");
    saveWeights(family(1), pathOf(untied), "F32");

    QVERIFY(!SafetensorsFile(pathOf(tied) / "model.safetensors").find("lm_head.weight"));
    QVERIFY(SafetensorsFile(pathOf(untied) / "model.safetensors").find("lm_head.weight"));
}

void TestTransforms::shardsStayBelowTheLimit()
{
    constexpr std::uint64_t kLimit = 40'000; // the embedding alone has 33,792 bytes
    QTemporaryDir folder;
    const Model pruned = prune(family(0), blocksOnly({1}));

    saveWeights(pruned, pathOf(folder), "F32", {}, kLimit);

    QFile indexFile(folder.filePath(QStringLiteral("model.safetensors.index.json")));
    QVERIFY(indexFile.open(QIODevice::ReadOnly));
    const QJsonObject index = QJsonDocument::fromJson(indexFile.readAll()).object();
    const QJsonObject weightMap = index.value(QStringLiteral("weight_map")).toObject();
    const QStringList shards = QDir(folder.path()).entryList({QStringLiteral("*.safetensors")});
    std::uint64_t total = 0;
    int tensors = 0;
    for (const QString &shard : shards) {
        const SafetensorsFile file(pathOf(folder) / shard.toStdString());
        std::uint64_t bytes = 0;
        for (const TensorInfo &tensor : file.tensors()) {
            QCOMPARE(weightMap.value(QString::fromStdString(tensor.name)).toString(), shard);
            bytes += tensor.bytes;
            ++tensors;
        }
        QVERIFY(bytes <= kLimit);
        total += bytes;
    }
    QVERIFY(shards.size() > 2);
    QCOMPARE(shards.front(),
             QStringLiteral("model-00001-of-%1.safetensors").arg(shards.size(), 5, 10, QLatin1Char('0')));
    QCOMPARE(tensors, weightMap.size());
    QCOMPARE(index.value(QStringLiteral("metadata")).toObject().value(QStringLiteral("total_size")).toInteger(),
             static_cast<qint64>(total));
    QCOMPARE(largestLogitDifference(pruned, load(pathOf(folder)), kProbe), 0.0);
}

void TestTransforms::narrowDtypesAreRounded_data()
{
    QTest::addColumn<QByteArray>("dtype");
    QTest::addColumn<QByteArray>("configDtype");
    QTest::addColumn<double>("tolerance");
    QTest::newRow("bf16") << QByteArray("BF16") << QByteArray("bfloat16") << 0.5;
    QTest::newRow("f16") << QByteArray("F16") << QByteArray("float16") << 0.05;
}

void TestTransforms::narrowDtypesAreRounded()
{
    QFETCH(QByteArray, dtype);
    QFETCH(QByteArray, configDtype);
    QFETCH(double, tolerance);
    QTemporaryDir folder;

    saveWeights(family(0), pathOf(folder), dtype.toStdString());

    const SafetensorsFile file(pathOf(folder) / "model.safetensors");
    for (const TensorInfo &tensor : file.tensors())
        QCOMPARE(tensor.dtype, dtype.toStdString());
    const Model again = load(pathOf(folder));
    QCOMPARE(again.config().dtype, configDtype.toStdString());
    const double difference = largestLogitDifference(family(0), again, kProbe);
    QVERIFY2(difference > 0 && difference < tolerance, QByteArray::number(difference));
}

void TestTransforms::valuesBeyondHalfPrecisionAreRefused()
{
    TinyModelOptions options = familyOptions(0);
    options.scale = 1e5;
    QTemporaryDir source;
    QTemporaryDir target;
    writeTinyModel(pathOf(source), options);
    const Model model = load(pathOf(source));

    const ErrorInfo error = thrownBy([&] { saveWeights(model, pathOf(target), "F16"); });

    QCOMPARE(error.kind, ErrorKind::Numeric);
    QVERIFY2(error.message.find("model.") != std::string::npos, error.message.c_str());
    QCOMPARE(filesIn(target), QStringList());
}

void TestTransforms::anUnknownDtypeIsRefused()
{
    QTemporaryDir folder;

    const ErrorInfo error = thrownBy([&] { saveWeights(family(0), pathOf(folder), "Q4_0"); });

    QCOMPARE(error.kind, ErrorKind::InvalidArgument);
    QVERIFY(error.message.find("Q4_0") != std::string::npos);
}

void TestTransforms::aModelWithAnAdapterIsNotWritten()
{
    QTemporaryDir folder;
    const Model beside = withAdapter(family(0), randomAdapter(family(0), {}));

    const ErrorInfo error = thrownBy([&] { saveWeights(beside, pathOf(folder), "F32"); });

    QCOMPARE(error.kind, ErrorKind::InvalidArgument);
    QCOMPARE(filesIn(folder), QStringList());
}

void TestTransforms::aFullDiskLeavesNothingBehind_data()
{
    QTest::addColumn<quint64>("shardBytes");
    QTest::addColumn<quint64>("limit");
    QTest::newRow("in the only file") << quint64(5'000'000'000) << quint64(50'000);
    QTest::newRow("in the header") << quint64(5'000'000'000) << quint64(100);
    QTest::newRow("in the first shard") << quint64(40'000) << quint64(20'000);
    QTest::newRow("in a later shard") << quint64(37'000) << quint64(36'000);
}

void TestTransforms::aFullDiskLeavesNothingBehind()
{
    QFETCH(quint64, shardBytes);
    QFETCH(quint64, limit);
    QTemporaryDir folder;
    ErrorInfo error;

    {
        const FileSizeLimit full(limit);
        error = thrownBy([&] { saveWeights(family(1), pathOf(folder), "F32", {}, shardBytes); });
    }

    QCOMPARE(error.kind, ErrorKind::Io);
    QVERIFY2(error.message.find("model") != std::string::npos, error.message.c_str());
    QCOMPARE(std::count(error.message.begin(), error.message.end(), '\n'), std::ptrdiff_t(0));
    QCOMPARE(filesIn(folder), QStringList());
}

void TestTransforms::cancellingWhileSavingLeavesNothingBehind()
{
    QTemporaryDir folder;
    std::stop_source stop;
    const JobContext context(stop.get_token(), [&](const Progress &progress) {
        if (progress.done == 20)
            stop.request_stop();
    });

    QVERIFY_EXCEPTION_THROWN(saveWeights(family(0), pathOf(folder), "F32", {}, 40'000, context), Cancelled);

    QCOMPARE(filesIn(folder), QStringList());
}

QTEST_GUILESS_MAIN(TestTransforms)
#include "tst_transforms.moc"
