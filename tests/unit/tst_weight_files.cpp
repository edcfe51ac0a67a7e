#include "backend/io/atomic_file.h"
#include "backend/io/safetensors.h"
#include "backend/io/weight_files.h"
#include "tests/support/error_mentions.h"
#include "tests/support/test_data.h"

#include <QElapsedTimer>
#include <QTemporaryDir>
#include <QTest>

#include <nlohmann/json.hpp>

#include <algorithm>

using namespace secateur;
using nlohmann::json;
namespace fs = std::filesystem;

class TestWeightFiles : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void everyWayToAModelGivesTheSame_data();
    void everyWayToAModelGivesTheSame();
    void oneFileWithItsOwnNameOpens();
    void aFolderOfTheDownloadCacheHasTheModelsName();
    void brokenFoldersAreRefusedByName_data();
    void brokenFoldersAreRefusedByName();
    void picklesAreRefusedWithAHint_data();
    void picklesAreRefusedWithAHint();
    void unknownModelsCanOnlyBeInspected_data();
    void unknownModelsCanOnlyBeInspected();
    void digestFollowsConfigAndHeaders();
    void plainTypesAreWidened_data();
    void plainTypesAreWidened();
    void readingIntoTheWrongSizeIsRefused();
    void companionsAreTokenizerAndLicence();
    void tenThousandTensorsOpenInASecond();
    void readsTheGoldenModels_data();
    void readsTheGoldenModels();

private:
    static json config();
    /// Writes the model of config() into \a shards files and an index, or into one file.
    void writeModel(int shards = 1, const std::string &dtype = "F32");
    void writeText(const char *name, const std::string &text) { writeFileAtomically(m_path / name, text); }
    json index() const { return json::parse(readTextFile(m_path / "model.safetensors.index.json")); }
    static std::string shardName(int number, int count)
    {
        return QStringLiteral("model-%1-of-%2.safetensors")
            .arg(number, 5, 10, QLatin1Char('0'))
            .arg(count, 5, 10, QLatin1Char('0'))
            .toStdString();
    }

    std::unique_ptr<QTemporaryDir> m_folder;
    fs::path m_path;
};

json TestWeightFiles::config()
{
    return {{"architectures", {"Qwen2ForCausalLM"}},
            {"model_type", "qwen2"},
            {"hidden_size", 8},
            {"intermediate_size", 6},
            {"num_hidden_layers", 3},
            {"num_attention_heads", 2},
            {"num_key_value_heads", 1},
            {"vocab_size", 10},
            {"tie_word_embeddings", false}};
}

void TestWeightFiles::writeModel(int shards, const std::string &dtype)
{
    writeText("config.json", config().dump());
    const std::string zeros(4096, '\0');
    std::vector<std::vector<TensorView>> parts(static_cast<std::size_t>(shards));
    json map = json::object();
    int next = 0;
    for (const ExpectedTensor &tensor : expectedTensors(parseModelConfig(config().dump(), "config.json"))) {
        std::size_t bytes = static_cast<std::size_t>(safetensorsElementSize(dtype));
        for (const std::int64_t extent : tensor.shape)
            bytes *= static_cast<std::size_t>(extent);
        const int part = next++ % shards;
        parts[static_cast<std::size_t>(part)].push_back(
            {tensor.name, dtype, tensor.shape, std::as_bytes(std::span(zeros.data(), bytes))});
        map[tensor.name] = shardName(part + 1, shards);
    }
    if (shards == 1) {
        writeSafetensors(m_path / "model.safetensors", parts.front());
        return;
    }
    for (int i = 0; i < shards; ++i)
        writeSafetensors(m_path / shardName(i + 1, shards), parts[static_cast<std::size_t>(i)]);
    writeText("model.safetensors.index.json", json{{"metadata", {{"total_size", 1}}}, {"weight_map", map}}.dump());
}

void TestWeightFiles::init()
{
    m_folder = std::make_unique<QTemporaryDir>();
    QVERIFY(m_folder->isValid());
    m_path = fs::path(m_folder->path().toStdString()) / "Tiny-1.5";
    fs::create_directory(m_path);
}

void TestWeightFiles::everyWayToAModelGivesTheSame_data()
{
    QTest::addColumn<int>("shards");
    QTest::addColumn<QString>("target");
    QTest::newRow("folder") << 1 << QStringLiteral(".");
    QTest::newRow("folder with a slash") << 1 << QString();
    QTest::newRow("weights") << 1 << QStringLiteral("model.safetensors");
    QTest::newRow("configuration") << 1 << QStringLiteral("config.json");
    QTest::newRow("folder of shards") << 3 << QStringLiteral(".");
    QTest::newRow("index") << 3 << QStringLiteral("model.safetensors.index.json");
    QTest::newRow("one shard stands for all") << 3 << QStringLiteral("model-00002-of-00003.safetensors");
}

void TestWeightFiles::everyWayToAModelGivesTheSame()
{
    QFETCH(int, shards);
    QFETCH(QString, target);
    writeModel(shards);

    const ModelInfo info = inspectModel(m_path / target.toStdString());

    QCOMPARE(info.inspectOnlyReason, std::string());
    QCOMPARE(info.name, std::string("Tiny-1.5"));
    QCOMPARE(info.path, m_path);
    QCOMPARE(info.config->layers(), 3);
    QCOMPARE(info.parameters, totalParameters(*info.config));
    QCOMPARE(info.bytes, static_cast<std::uint64_t>(info.parameters) * 4);
    QCOMPARE(info.tensors.size(), expectedTensors(*info.config).size());
    QCOMPARE(info.dtypes, std::vector<std::string>{"F32"});
    const auto weights = openWeights(info);
    QCOMPARE(weights->entries().size(), info.tensors.size());
    QVERIFY(weights->find("model.layers.2.self_attn.k_proj.bias"));
    QVERIFY(!weights->find("model.layers.3.self_attn.k_proj.bias"));
}

void TestWeightFiles::oneFileWithItsOwnNameOpens()
{
    writeModel();
    fs::rename(m_path / "model.safetensors", m_path / "mine.safetensors");
    QCOMPARE(inspectModel(m_path / "mine.safetensors").name, std::string("mine"));
    QCOMPARE(inspectModel(m_path).name, std::string("Tiny-1.5"));
}

void TestWeightFiles::aFolderOfTheDownloadCacheHasTheModelsName()
{
    writeModel();
    const fs::path snapshot = m_path.parent_path() / "models--Org--Tiny-1.5B" / "snapshots" / "0123abcd";
    fs::create_directories(snapshot.parent_path());
    fs::rename(m_path, snapshot);
    QCOMPARE(inspectModel(snapshot).name, std::string("Tiny-1.5B"));
}

void TestWeightFiles::brokenFoldersAreRefusedByName_data()
{
    QTest::addColumn<QString>("damage");
    QTest::addColumn<std::vector<std::string>>("named");
    const auto row = [](const char *name, const char *damage, std::vector<std::string> named) {
        QTest::newRow(name) << QString::fromUtf8(damage) << named;
    };
    const std::string indexName = "model.safetensors.index.json";
    row("empty folder", "empty", {"Tiny-1.5", "model.safetensors"});
    row("missing shard", "missing", {indexName, "model-00002-of-00003.safetensors"});
    row("extra shard", "extra", {indexName, "model-00004-of-00004.safetensors"});
    row("no index", "no index", {"model-00001-of-00003.safetensors", indexName});
    row("index is no JSON", "index text", {indexName});
    row("index is a list", "index list", {indexName, "weight_map"});
    row("index without map", "index no map", {indexName, "weight_map"});
    row("map is empty", "index empty", {indexName, "weight_map"});
    row("file name is an object", "index object", {indexName, "model.norm.weight"});
    row("file name is a number", "index number", {indexName, "model.norm.weight"});
    row("file outside the folder", "index path", {indexName, "../other.safetensors"});
    row("tensor in the wrong file", "index wrong", {"model.norm.weight", indexName});
    row("tensor that no shard has", "index more", {"ghost.weight", indexName});
    row("tensor that the index forgets", "index less", {"model.norm.weight", indexName});
    row("tensor in two shards", "twice", {"model.norm.weight"});
    row("shard of zero bytes", "zero", {"model-00001-of-00003.safetensors", "header length"});
    row("configuration is no JSON", "config text", {"config.json"});
    row("configuration without a field", "config field", {"config.json", "hidden_size"});
    row("another shape", "config shape", {"mlp.gate_proj.weight", "[6, 8]", "[7, 8]"});
    row("more layers than weights", "config layers", {"model.layers.3.input_layernorm.weight"});
}

void TestWeightFiles::brokenFoldersAreRefusedByName()
{
    QFETCH(QString, damage);
    QFETCH(std::vector<std::string>, named);
    const auto is = [&damage](const char *name) { return damage == QString::fromUtf8(name); };
    if (!is("empty"))
        writeModel(3);
    const fs::path first = m_path / shardName(1, 3);
    const fs::path indexPath = m_path / "model.safetensors.index.json";
    const std::string norm = "model.norm.weight";
    const json before = is("empty") ? json() : index();
    json value = before;
    json settings = config();
    if (is("missing"))
        fs::remove(m_path / shardName(2, 3));
    else if (is("extra"))
        fs::copy(first, m_path / shardName(4, 4));
    else if (is("no index"))
        fs::remove(indexPath);
    else if (is("index text"))
        writeFileAtomically(indexPath, "{\"weight_map\":");
    else if (is("index list"))
        value = json::array({1});
    else if (is("index no map"))
        value.erase("weight_map");
    else if (is("index empty"))
        value["weight_map"] = json::object();
    else if (is("index object"))
        value["weight_map"][norm] = {{"file", shardName(1, 3)}};
    else if (is("index number"))
        value["weight_map"][norm] = 1;
    else if (is("index path"))
        value["weight_map"][norm] = "../other.safetensors";
    else if (is("index wrong"))
        value["weight_map"][norm] = value["weight_map"][norm] == shardName(1, 3) ? shardName(2, 3) : shardName(1, 3);
    else if (is("index more"))
        value["weight_map"]["ghost.weight"] = shardName(1, 3);
    else if (is("index less"))
        value["weight_map"].erase(norm);
    else if (is("zero"))
        writeFileAtomically(first, "");
    else if (is("config text"))
        writeText("config.json", "{");
    else if (is("config field"))
        settings.erase("hidden_size");
    else if (is("config shape"))
        settings["intermediate_size"] = 7;
    else if (is("config layers"))
        settings["num_hidden_layers"] = 4;
    else if (is("twice")) {
        const std::string zeros(32, '\0');
        writeSafetensors(m_path / shardName(3, 3), {{norm, "F32", {8}, std::as_bytes(std::span(zeros))}});
        writeSafetensors(m_path / shardName(2, 3), {{norm, "F32", {8}, std::as_bytes(std::span(zeros))}});
    }
    if (value != before)
        writeFileAtomically(indexPath, value.dump());
    if (settings != config())
        writeText("config.json", settings.dump());

    const auto error = errorOf([this] { inspectModel(m_path); });

    QVERIFY(error);
    for (const std::string &name : named)
        QVERIFY2(mentions(*error, name), error->message.c_str());
}

void TestWeightFiles::picklesAreRefusedWithAHint_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<bool>("openFile");
    QTest::newRow("folder with a .bin") << QStringLiteral("pytorch_model.bin") << false;
    QTest::newRow("the .bin itself") << QStringLiteral("pytorch_model.bin") << true;
    QTest::newRow("a .pt") << QStringLiteral("model.pt") << true;
}

void TestWeightFiles::picklesAreRefusedWithAHint()
{
    QFETCH(QString, name);
    QFETCH(bool, openFile);
    writeText("config.json", config().dump());
    writeText(qPrintable(name), "pickle");
    const auto error = errorOf([&] { inspectModel(openFile ? m_path / name.toStdString() : m_path); });
    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::Unsupported);
    QVERIFY2(mentions(*error, name.toStdString()), error->message.c_str());
    QVERIFY(error->hint.find("safetensors") != std::string::npos);
}

void TestWeightFiles::unknownModelsCanOnlyBeInspected_data()
{
    QTest::addColumn<QString>("change");
    QTest::addColumn<std::string>("reason");
    QTest::newRow("another family") << QStringLiteral("family") << std::string("gemma3");
    QTest::newRow("no configuration") << QStringLiteral("none") << std::string("config.json");
    QTest::newRow("type that cannot be read") << QStringLiteral("type") << std::string("I32");
}

void TestWeightFiles::unknownModelsCanOnlyBeInspected()
{
    QFETCH(QString, change);
    QFETCH(std::string, reason);
    writeModel(1, change == QStringLiteral("type") ? "I32" : "F32");
    if (change == QStringLiteral("family")) {
        json value = config();
        value["model_type"] = "gemma3";
        writeText("config.json", value.dump());
    }
    if (change == QStringLiteral("none"))
        fs::remove(m_path / "config.json");

    const ModelInfo info = inspectModel(m_path);

    QVERIFY(!info.config);
    QVERIFY2(info.inspectOnlyReason.find(reason) != std::string::npos, info.inspectOnlyReason.c_str());
    QVERIFY(!info.tensors.empty());
    QVERIFY(info.parameters > 0);
    QVERIFY(errorOf([&info] { openWeights(info); }));
}

void TestWeightFiles::digestFollowsConfigAndHeaders()
{
    writeModel();
    const std::string before = inspectModel(m_path).digest;
    QCOMPARE(before.size(), std::size_t(64));
    QCOMPARE(inspectModel(m_path).digest, before);

    writeText("config.json", config().dump(1));
    const std::string otherConfig = inspectModel(m_path).digest;
    QVERIFY(otherConfig != before);

    writeModel(1, "BF16");
    QVERIFY(inspectModel(m_path).digest != before);
    QCOMPARE(inspectModel(m_path).config->dtype, std::string("bfloat16"));
}

void TestWeightFiles::plainTypesAreWidened_data()
{
    QTest::addColumn<std::string>("dtype");
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<bool>("plain");
    QTest::newRow("F32") << std::string("F32") << QByteArray("\0\0\x80\x3f\0\0\x20\xc0", 8) << true;
    QTest::newRow("BF16") << std::string("BF16") << QByteArray("\x80\x3f\x20\xc0", 4) << true;
    QTest::newRow("F16") << std::string("F16") << QByteArray("\0\x3c\0\xc1", 4) << true;
    QTest::newRow("F64") << std::string("F64") << QByteArray("\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\x04\xc0", 16) << false;
}

void TestWeightFiles::plainTypesAreWidened()
{
    QFETCH(std::string, dtype);
    QFETCH(QByteArray, bytes);
    QFETCH(bool, plain);
    const WeightFiles::Entry entry{
        "w", dtype, {2}, "f", std::as_bytes(std::span(bytes.constData(), static_cast<std::size_t>(bytes.size()))), 0};
    std::vector<float> values(2);
    WeightFiles::readF32(entry, values);
    QCOMPARE(values, (std::vector<float>{1.0f, -2.5f}));
    QCOMPARE(WeightFiles::isPlain(entry), plain);
}

void TestWeightFiles::readingIntoTheWrongSizeIsRefused()
{
    const std::string bytes(8, '\0');
    const WeightFiles::Entry entry{"w", "F32", {2}, "file.safetensors", std::as_bytes(std::span(bytes)), 0};
    std::vector<float> values(3);
    QVERIFY(errorOf([&] { WeightFiles::readF32(entry, values); }));
    WeightFiles::Entry unknown = entry;
    unknown.dtype = "F8_E4M3";
    const auto error = errorOf([&] { WeightFiles::readF32(unknown, values); });
    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::Unsupported);
    QVERIFY(mentions(*error, "file.safetensors"));
    QVERIFY(mentions(*error, "F8_E4M3"));
}

void TestWeightFiles::companionsAreTokenizerAndLicence()
{
    writeModel();
    for (const char *name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja",
                             "LICENSE", "LICENSE.txt", "NOTICE", "README.md", "training.log", "merges.txt"})
        writeText(name, name);
    std::vector<std::string> names;
    for (const CompanionFile &file : companionFiles(inspectModel(m_path))) {
        QCOMPARE(file.contents, file.name);
        names.push_back(file.name);
    }
    std::sort(names.begin(), names.end());
    QCOMPARE(
        names,
        (std::vector<std::string>{"LICENSE", "LICENSE.txt", "NOTICE", "chat_template.jinja", "generation_config.json",
                                  "merges.txt", "tokenizer.json", "tokenizer_config.json"}));
}

void TestWeightFiles::tenThousandTensorsOpenInASecond()
{
    const std::string zeros(16, '\0');
    json map = json::object();
    for (int shard = 1; shard <= 10; ++shard) {
        std::vector<TensorView> tensors;
        for (int i = 0; i < 1000; ++i) {
            tensors.push_back({"model.layers." + std::to_string(i) + ".part." + std::to_string(shard) + ".weight",
                               "F32",
                               {2, 2},
                               std::as_bytes(std::span(zeros))});
            map[tensors.back().name] = shardName(shard, 10);
        }
        writeSafetensors(m_path / shardName(shard, 10), tensors);
    }
    writeText("model.safetensors.index.json", json{{"weight_map", map}}.dump());
    QElapsedTimer timer;
    timer.start();

    const ModelInfo info = inspectModel(m_path);

    const qint64 elapsed = timer.elapsed();
    QCOMPARE(info.tensors.size(), std::size_t(10000));
    QVERIFY2(elapsed < 5000, qPrintable(QStringLiteral("%1 ms").arg(elapsed))); // a busy machine may be slow
    qInfo("10 000 tensors in %lld ms", static_cast<long long>(elapsed));
}

void TestWeightFiles::readsTheGoldenModels_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<qint64>("parameters");
    QTest::addColumn<int>("tensors");
    QTest::newRow("llama") << QStringLiteral("tiny-llama") << qint64(272192) << 56;
    QTest::newRow("shards in bf16") << QStringLiteral("tiny-llama-bf16-sharded") << qint64(272192) << 56;
    QTest::newRow("untied") << QStringLiteral("tiny-llama3-rope") << qint64(296768) << 57;
    QTest::newRow("mistral") << QStringLiteral("tiny-mistral") << qint64(303936) << 57;
    QTest::newRow("qwen2") << QStringLiteral("tiny-qwen2") << qint64(272768) << 74;
    QTest::newRow("qwen3") << QStringLiteral("tiny-qwen3") << qint64(333120) << 68;
}

void TestWeightFiles::readsTheGoldenModels()
{
    if (testData().empty())
        QSKIP("SECATEUR_TEST_DATA is not set");
    QFETCH(QString, name);
    QFETCH(qint64, parameters);
    QFETCH(int, tensors);
    const ModelInfo info = inspectModel(testData() / "golden/models" / name.toStdString());
    QCOMPARE(info.inspectOnlyReason, std::string());
    QCOMPARE(info.parameters, parameters);
    QCOMPARE(static_cast<int>(info.tensors.size()), tensors);
    QVERIFY(companionFiles(info).size() >= 3);
}

QTEST_GUILESS_MAIN(TestWeightFiles)
#include "tst_weight_files.moc"
