#include "backend/core/error.h"
#include "backend/engine/adapter.h"
#include "backend/engine/transforms.h"
#include "backend/io/atomic_file.h"
#include "backend/io/safetensors.h"
#include "backend/io/weight_files.h"
#include "tests/support/adapter_probe.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/thrown_by.h"
#include "tests/support/tiny_model.h"

#include <QDir>
#include <QTemporaryDir>
#include <QTest>

#include <nlohmann/json.hpp>

#include <cstring>
#include <functional>
#include <limits>
#include <optional>

using namespace secateur;
using nlohmann::json;

namespace {

const TokenIds kProbe = {1, 2, 3, 4, 5, 250, 17, 99};

TinyModelOptions baseOptions(int layers = 3, int hiddenSize = 32)
{
    TinyModelOptions options;
    options.layers = layers;
    options.hiddenSize = hiddenSize;
    options.scale = 0.25;
    options.biases = true;
    options.tokenizer = false;
    return options;
}

std::filesystem::path pathOf(const QTemporaryDir &folder)
{
    return folder.path().toStdString();
}

Model load(const TinyModelOptions &options)
{
    QTemporaryDir folder;
    writeTinyModel(pathOf(folder), options);
    ComputeSettings settings;
    settings.dtype = "f32";
    return loadModel(inspectModel(pathOf(folder)), settings); // the mapping outlives the file
}

/// Tensors of an adapter file that a test may change before they are written again.
struct StoredAdapter {
    json config;
    std::map<std::string, std::pair<std::vector<std::int64_t>, std::vector<float>>> tensors;
};

StoredAdapter readStored(const std::filesystem::path &folder)
{
    StoredAdapter stored;
    stored.config = json::parse(readTextFile(folder / "adapter_config.json"));
    const SafetensorsFile file(folder / "adapter_model.safetensors");
    for (const TensorInfo &tensor : file.tensors()) {
        const std::span<const std::byte> bytes = file.data(tensor);
        std::vector<float> values(bytes.size() / sizeof(float));
        std::memcpy(values.data(), bytes.data(), bytes.size());
        stored.tensors[tensor.name] = {tensor.shape, std::move(values)};
    }
    return stored;
}

void writeStored(const std::filesystem::path &folder, const StoredAdapter &stored)
{
    writeFileAtomically(folder / "adapter_config.json", stored.config.dump());
    std::vector<TensorView> views;
    for (const auto &[name, tensor] : stored.tensors)
        views.push_back({name, "F32", tensor.first, std::as_bytes(std::span<const float>(tensor.second))});
    writeSafetensors(folder / "adapter_model.safetensors", views);
}

const std::string kQueryA = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight";
const std::string kQueryB = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight";

} // namespace

class TestAdapter : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void savedAdaptersLoadAgain_data();
    void savedAdaptersLoadAgain();
    void mergedAndUnmergedModelsAgree();
    void unequalRanksAreKept();
    void partialAdaptersNameTheirModules();
    void theConfigurationIsComplete();
    void targetsMayBeGivenInEveryForm_data();
    void targetsMayBeGivenInEveryForm();
    void patternsOverrideRankAndAlpha();
    void whatCannotBeComputedIsRefused_data();
    void whatCannotBeComputedIsRefused();
    void damagedConfigurationsAreRefused_data();
    void damagedConfigurationsAreRefused();
    void damagedWeightsAreRefused_data();
    void damagedWeightsAreRefused();
    void adaptersOfOtherModelsAreRefused_data();
    void adaptersOfOtherModelsAreRefused();
    void aSecondAdapterNeedsAMerge();
    void missingFilesAreNamed();
    void pickledAdaptersAreRefused();
    void aFullDiskLeavesTheOldAdapter();

private:
    const Model &base() const { return *m_base; }
    /// A saved adapter that a test may damage.
    void change(const std::filesystem::path &folder, const std::function<void(StoredAdapter &)> &edit) const;

    std::optional<Model> m_base;
};

void TestAdapter::initTestCase()
{
    m_base = load(baseOptions());
}

void TestAdapter::change(const std::filesystem::path &folder, const std::function<void(StoredAdapter &)> &edit) const
{
    saveAdapter(randomAdapter(base(), {}), folder, "base");
    StoredAdapter stored = readStored(folder);
    edit(stored);
    writeStored(folder, stored);
}

void TestAdapter::savedAdaptersLoadAgain_data()
{
    QTest::addColumn<bool>("rsLora");
    QTest::addColumn<int>("rank");
    QTest::addColumn<double>("alpha");
    QTest::addColumn<bool>("attentionOnly");
    QTest::newRow("all linears") << false << 8 << 16.0 << false;
    QTest::newRow("rank stabilised") << true << 3 << 5.5 << false;
    QTest::newRow("q and v") << false << 2 << 4.0 << true;
}

void TestAdapter::savedAdaptersLoadAgain()
{
    QFETCH(bool, rsLora);
    QFETCH(int, rank);
    QFETCH(double, alpha);
    QFETCH(bool, attentionOnly);
    RecoveryOptions options;
    options.rsLora = rsLora;
    options.rank = rank;
    options.alpha = alpha;
    if (attentionOnly)
        options.targets = {"q_proj", "v_proj"};
    const Adapter adapter = randomAdapter(base(), options);
    QTemporaryDir folder;
    const std::filesystem::path target = pathOf(folder) / "adapter";

    saveAdapter(adapter, target, "base");
    const Adapter again = loadAdapter(target, base());

    QCOMPARE(adapterValues(again), adapterValues(adapter));
    QCOMPARE(again.parameters(), adapter.parameters());
    const Model beside = withAdapter(base(), adapter);
    QVERIFY(largestLogitDifference(base(), beside, kProbe) > 1e-2);
    QCOMPARE(largestLogitDifference(beside, withAdapter(base(), again), kProbe), 0.0);
    QCOMPARE(readStored(target).config.at("target_modules").get<std::vector<std::string>>(), options.targets);
}

void TestAdapter::mergedAndUnmergedModelsAgree()
{
    const Adapter adapter = randomAdapter(base(), {});

    const Model merged = mergeAdapter(base(), adapter);

    QCOMPARE(merged.parameters(), base().parameters());
    QVERIFY(largestLogitDifference(base(), merged, kProbe) > 1e-2);
    QVERIFY(largestLogitDifference(withAdapter(base(), adapter), merged, kProbe) < 1e-4);
}

void TestAdapter::unequalRanksAreKept()
{
    RecoveryOptions wide;
    wide.rank = 5;
    wide.alpha = 3;
    QTemporaryDir folder;
    change(pathOf(folder), [&](StoredAdapter &stored) {
        stored.config["rank_pattern"] = {{"layers.1.self_attn.q_proj", 5}};
        stored.config["alpha_pattern"] = {{"layers.1.self_attn.q_proj", 3}};
        stored.tensors[kQueryA] = {{5, 32}, std::vector<float>(5 * 32, 0.1f)};
        stored.tensors[kQueryB] = {{32, 5}, std::vector<float>(32 * 5, 0.1f)};
    });
    const Adapter adapter = loadAdapter(pathOf(folder), base());
    QTemporaryDir copy;

    saveAdapter(adapter, pathOf(copy) / "again", "base");
    const Adapter again = loadAdapter(pathOf(copy) / "again", base());

    QCOMPARE(adapterValues(again), adapterValues(adapter));
    QVERIFY(largestLogitDifference(withAdapter(base(), adapter), withAdapter(base(), again), kProbe) < 1e-5);
    const json config = readStored(pathOf(copy) / "again").config;
    QCOMPARE(config.at("rank_pattern").size(), std::size_t(1));
    QCOMPARE(config.at("rank_pattern").at("model.layers.1.self_attn.q_proj").get<int>(), 5);
    QCOMPARE(config.at("alpha_pattern").at("model.layers.1.self_attn.q_proj").get<int>(), 3);
}

void TestAdapter::partialAdaptersNameTheirModules()
{
    QTemporaryDir folder;
    change(pathOf(folder), [&](StoredAdapter &stored) {
        stored.config["target_modules"] = {"q_proj"};
        stored.config["layers_to_transform"] = {1};
        std::erase_if(stored.tensors,
                      [](const auto &entry) { return entry.first != kQueryA && entry.first != kQueryB; });
    });
    const Adapter adapter = loadAdapter(pathOf(folder), base());
    QTemporaryDir copy;

    saveAdapter(adapter, pathOf(copy) / "again", "base");

    QVERIFY(readStored(pathOf(copy) / "again").config.at("target_modules")
            == json::array({"model.layers.1.self_attn.q_proj"}));
    QCOMPARE(adapterValues(loadAdapter(pathOf(copy) / "again", base())), adapterValues(adapter));
}

void TestAdapter::theConfigurationIsComplete()
{
    RecoveryOptions options;
    options.rsLora = true;
    QTemporaryDir folder;

    saveAdapter(randomAdapter(base(), options), pathOf(folder) / "adapter", "../pruned");
    const StoredAdapter stored = readStored(pathOf(folder) / "adapter");

    QVERIFY(stored.config.at("peft_type") == json("LORA"));
    QVERIFY(stored.config.at("task_type") == json("CAUSAL_LM"));
    QVERIFY(stored.config.at("base_model_name_or_path") == json("../pruned"));
    QVERIFY(stored.config.at("r") == json(8));
    QVERIFY(stored.config.at("lora_alpha") == json(16));
    QVERIFY(stored.config.at("lora_dropout") == json(0.05));
    QVERIFY(stored.config.at("use_rslora") == json(true));
    QVERIFY(stored.config.at("bias") == json("none"));
    QCOMPARE(stored.tensors.size(), std::size_t(3 * 7 * 2));
    QCOMPARE(stored.tensors.at(kQueryA).first, (std::vector<std::int64_t>{8, 32}));
    QCOMPARE(stored.tensors.at(kQueryB).first, (std::vector<std::int64_t>{32, 8}));
}

void TestAdapter::targetsMayBeGivenInEveryForm_data()
{
    QTest::addColumn<QByteArray>("targets");
    QTest::newRow("names") << QByteArray(R"(["up_proj","k_proj","down_proj","gate_proj","o_proj","v_proj","q_proj"])");
    QTest::newRow("names with parents") << QByteArray(
        R"(["self_attn.q_proj","k_proj","v_proj","o_proj","mlp.gate_proj","up_proj","down_proj"])");
    QTest::newRow("names that do not exist")
        << QByteArray(R"(["q_proj","k_proj","v_proj","o_proj","gate_proj","up_proj","down_proj","c_attn"])");
    QTest::newRow("one expression") << QByteArray(R"(".*\\.(self_attn|mlp)\\..*_proj")");
    QTest::newRow("every linear") << QByteArray(R"("all-linear")");
}

void TestAdapter::targetsMayBeGivenInEveryForm()
{
    QFETCH(QByteArray, targets);
    QTemporaryDir folder;
    change(pathOf(folder),
           [&](StoredAdapter &stored) { stored.config["target_modules"] = json::parse(targets.toStdString()); });

    const Adapter adapter = loadAdapter(pathOf(folder), base());

    QCOMPARE(adapterValues(adapter), adapterValues(randomAdapter(base(), {})));
}

void TestAdapter::patternsOverrideRankAndAlpha()
{
    QTemporaryDir plain;
    QTemporaryDir doubled;
    change(pathOf(plain), [](StoredAdapter &stored) {
        for (auto &[name, tensor] : stored.tensors) {
            if (name.find("up_proj.lora_B") != std::string::npos)
                for (float &value : tensor.second)
                    value *= 2;
        }
    });
    change(pathOf(doubled), [](StoredAdapter &stored) { stored.config["alpha_pattern"] = {{"mlp.up_proj", 32}}; });

    const Model first = withAdapter(base(), loadAdapter(pathOf(plain), base()));
    const Model second = withAdapter(base(), loadAdapter(pathOf(doubled), base()));

    QVERIFY(largestLogitDifference(first, second, kProbe) < 1e-5);
    QVERIFY(largestLogitDifference(first, withAdapter(base(), randomAdapter(base(), {})), kProbe) > 1e-3);
}

void TestAdapter::whatCannotBeComputedIsRefused_data()
{
    QTest::addColumn<QByteArray>("key");
    QTest::addColumn<QByteArray>("value");
    QTest::newRow("DoRA") << QByteArray("use_dora") << QByteArray("true");
    QTest::newRow("biases") << QByteArray("bias") << QByteArray("\"all\"");
    QTest::newRow("saved modules") << QByteArray("modules_to_save") << QByteArray("[\"lm_head\"]");
    QTest::newRow("other type") << QByteArray("peft_type") << QByteArray("\"IA3\"");
    QTest::newRow("branch biases") << QByteArray("lora_bias") << QByteArray("true");
    QTest::newRow("parameters") << QByteArray("target_parameters") << QByteArray("[\"experts.weight\"]");
    QTest::newRow("token embeddings") << QByteArray("trainable_token_indices") << QByteArray("[1, 2]");
    QTest::newRow("replicated layers") << QByteArray("layer_replication") << QByteArray("[[0, 2]]");
    QTest::newRow("changed base") << QByteArray("init_lora_weights") << QByteArray("\"pissa_niter_4\"");
}

void TestAdapter::whatCannotBeComputedIsRefused()
{
    QFETCH(QByteArray, key);
    QFETCH(QByteArray, value);
    QTemporaryDir folder;
    change(pathOf(folder),
           [&](StoredAdapter &stored) { stored.config[key.toStdString()] = json::parse(value.toStdString()); });

    const ErrorInfo error = thrownBy([&] { loadAdapter(pathOf(folder), base()); });

    QCOMPARE(error.kind, ErrorKind::Unsupported);
    QVERIFY2(says(error, key.toStdString()) && says(error, "adapter_config.json"), error.message.c_str());
}

void TestAdapter::damagedConfigurationsAreRefused_data()
{
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QByteArray>("named");
    const auto with = [](const char *entry) -> QByteArray {
        return QByteArray(R"({"peft_type": "LORA", "target_modules": ["q_proj"], )") + entry + "}";
    };
    QTest::newRow("empty") << QByteArray() << QByteArray("JSON");
    QTest::newRow("cut off") << QByteArray("{\"peft_type\": \"LO") << QByteArray("JSON");
    QTest::newRow("list") << QByteArray("[]") << QByteArray("JSON");
    QTest::newRow("no type") << QByteArray("{}") << QByteArray("peft_type");
    QTest::newRow("no targets") << QByteArray(R"({"peft_type": "LORA"})") << QByteArray("target_modules");
    QTest::newRow("targets are a number")
        << QByteArray(R"({"peft_type": "LORA", "target_modules": 3})") << QByteArray("target_modules");
    QTest::newRow("rank zero") << with("\"r\": 0") << QByteArray("\"r\"");
    QTest::newRow("rank is huge") << with("\"r\": 1e30") << QByteArray("\"r\"");
    QTest::newRow("rank is text") << with("\"r\": \"8\"") << QByteArray("\"r\"");
    QTest::newRow("alpha is text") << with("\"lora_alpha\": \"x\"") << QByteArray("lora_alpha");
    QTest::newRow("dropout") << with("\"lora_dropout\": 1.5") << QByteArray("lora_dropout");
    QTest::newRow("rank stabilisation") << with("\"use_rslora\": 1") << QByteArray("use_rslora");
    QTest::newRow("rank pattern") << with("\"rank_pattern\": {\"q_proj\": -1}") << QByteArray("rank_pattern.q_proj");
    QTest::newRow("alpha pattern") << with("\"alpha_pattern\": [1]") << QByteArray("alpha_pattern");
    QTest::newRow("layers") << with("\"layers_to_transform\": [\"a\"]") << QByteArray("layers_to_transform");
}

void TestAdapter::damagedConfigurationsAreRefused()
{
    QFETCH(QByteArray, text);
    QFETCH(QByteArray, named);
    QTemporaryDir folder;
    saveAdapter(randomAdapter(base(), {}), pathOf(folder), "base");
    writeFileAtomically(pathOf(folder) / "adapter_config.json", text.toStdString());

    const ErrorInfo error = thrownBy([&] { loadAdapter(pathOf(folder), base()); });

    QCOMPARE(error.kind, ErrorKind::BadFormat);
    QVERIFY2(says(error, named.toStdString()) && says(error, "adapter_config.json"), error.message.c_str());
}

void TestAdapter::damagedWeightsAreRefused_data()
{
    QTest::addColumn<int>("damage");
    QTest::addColumn<int>("kind");
    QTest::addColumn<QByteArray>("named");
    QTest::newRow("B is missing") << 0 << int(ErrorKind::BadFormat) << QByteArray("lora_B");
    QTest::newRow("a module is missing") << 1 << int(ErrorKind::BadFormat) << QByteArray("layers.1.self_attn.q_proj");
    QTest::newRow("wrong shape") << 2 << int(ErrorKind::BadFormat) << QByteArray("[8, 31]");
    QTest::newRow("not a number") << 3 << int(ErrorKind::Numeric) << QByteArray("index 5");
    QTest::newRow("foreign key") << 4 << int(ErrorKind::BadFormat) << QByteArray("optimizer.step");
    QTest::newRow("DoRA vector") << 5 << int(ErrorKind::Unsupported) << QByteArray("lora_magnitude_vector");
    QTest::newRow("head") << 6 << int(ErrorKind::Unsupported) << QByteArray("lm_head");
    QTest::newRow("nothing") << 7 << int(ErrorKind::BadFormat) << QByteArray("no LoRA weights");
    QTest::newRow("not a target") << 8 << int(ErrorKind::BadFormat) << QByteArray("down_proj");
    QTest::newRow("key without a module") << 9 << int(ErrorKind::BadFormat) << QByteArray("lora_A.weight");
}

void TestAdapter::damagedWeightsAreRefused()
{
    QFETCH(int, damage);
    QFETCH(int, kind);
    QFETCH(QByteArray, named);
    QTemporaryDir folder;
    change(pathOf(folder), [&](StoredAdapter &stored) {
        const std::pair<std::vector<std::int64_t>, std::vector<float>> one = {{1, 1}, {0.0f}};
        switch (damage) {
        case 0:
            stored.tensors.erase(kQueryB);
            break;
        case 1:
            stored.tensors.erase(kQueryA);
            stored.tensors.erase(kQueryB);
            break;
        case 2:
            stored.tensors[kQueryA] = {{8, 31}, std::vector<float>(8 * 31)};
            break;
        case 3:
            stored.tensors[kQueryA].second[5] = std::numeric_limits<float>::quiet_NaN();
            break;
        case 4:
            stored.tensors["optimizer.step"] = one;
            break;
        case 5:
            stored.tensors["base_model.model.model.layers.1.self_attn.q_proj.lora_magnitude_vector"] = one;
            break;
        case 6:
            stored.tensors["base_model.model.lm_head.lora_A.weight"] = one;
            break;
        case 7:
            stored.tensors.clear();
            break;
        case 8:
            stored.config["exclude_modules"] = {"down_proj"};
            break;
        default:
            stored.tensors["base_model.model.lora_A.weight"] = one;
        }
    });

    const ErrorInfo error = thrownBy([&] { loadAdapter(pathOf(folder), base()); });

    QCOMPARE(int(error.kind), kind);
    QVERIFY2(says(error, named.toStdString()) && says(error, "adapter_model.safetensors"), error.message.c_str());
}

void TestAdapter::adaptersOfOtherModelsAreRefused_data()
{
    QTest::addColumn<int>("layers");
    QTest::addColumn<int>("hiddenSize");
    QTest::newRow("fewer blocks") << 2 << 32;
    QTest::newRow("more blocks") << 4 << 32;
    QTest::newRow("another width") << 3 << 48;
}

void TestAdapter::adaptersOfOtherModelsAreRefused()
{
    QFETCH(int, layers);
    QFETCH(int, hiddenSize);
    QTemporaryDir folder;
    const Adapter adapter = randomAdapter(base(), {});
    saveAdapter(adapter, pathOf(folder), "base");
    const Model other = load(baseOptions(layers, hiddenSize));

    const ErrorInfo reading = thrownBy([&] { loadAdapter(pathOf(folder), other); });

    QCOMPARE(reading.kind, ErrorKind::BadFormat);
    QVERIFY(says(reading, "model.layers."));
    QVERIFY(!reading.hint.empty());
    if (layers <= 3) { // a larger model merely has blocks without a branch
        QCOMPARE(thrownBy([&] { withAdapter(other, adapter); }).kind, ErrorKind::InvalidArgument);
        QCOMPARE(thrownBy([&] { mergeAdapter(other, adapter); }).kind, ErrorKind::InvalidArgument);
    }
}

void TestAdapter::aSecondAdapterNeedsAMerge()
{
    const Adapter adapter = randomAdapter(base(), {});

    QCOMPARE(thrownBy([&] { withAdapter(withAdapter(base(), adapter), adapter); }).kind, ErrorKind::InvalidArgument);
    const Model twice = withAdapter(mergeAdapter(base(), adapter), adapter);

    QVERIFY(largestLogitDifference(twice, mergeAdapter(base(), adapter), kProbe) > 1e-2);
}

void TestAdapter::missingFilesAreNamed()
{
    QTemporaryDir folder;
    const ErrorInfo noConfig = thrownBy([&] { loadAdapter(pathOf(folder), base()); });
    saveAdapter(randomAdapter(base(), {}), pathOf(folder), "base");
    QVERIFY(QFile::remove(folder.filePath(QStringLiteral("adapter_model.safetensors"))));

    const ErrorInfo noWeights = thrownBy([&] { loadAdapter(pathOf(folder), base()); });

    QCOMPARE(noConfig.kind, ErrorKind::NotFound);
    QVERIFY(says(noConfig, "adapter_config.json"));
    QCOMPARE(noWeights.kind, ErrorKind::NotFound);
    QVERIFY(says(noWeights, "adapter_model.safetensors"));
}

void TestAdapter::pickledAdaptersAreRefused()
{
    QTemporaryDir folder;
    saveAdapter(randomAdapter(base(), {}), pathOf(folder), "base");
    QVERIFY(QFile::rename(folder.filePath(QStringLiteral("adapter_model.safetensors")),
                          folder.filePath(QStringLiteral("adapter_model.bin"))));

    const ErrorInfo error = thrownBy([&] { loadAdapter(pathOf(folder), base()); });

    QCOMPARE(error.kind, ErrorKind::Unsupported);
    QVERIFY(says(error, "adapter_model.bin"));
}

void TestAdapter::aFullDiskLeavesTheOldAdapter()
{
    QTemporaryDir folder;
    const std::filesystem::path target = pathOf(folder) / "adapter";
    RecoveryOptions small;
    small.rank = 1;
    const Adapter old = randomAdapter(base(), small);
    saveAdapter(old, target, "base");
    ErrorInfo error;

    {
        const FileSizeLimit full(10'000);
        error = thrownBy([&] { saveAdapter(randomAdapter(base(), {}), target, "base"); });
    }

    QCOMPARE(error.kind, ErrorKind::Io);
    QVERIFY2(says(error, "adapter_model.safetensors"), error.message.c_str());
    QCOMPARE(adapterValues(loadAdapter(target, base())), adapterValues(old));
    QCOMPARE(QDir(folder.path()).entryList(QDir::AllEntries | QDir::Hidden | QDir::NoDotAndDotDot),
             QStringList(QStringLiteral("adapter")));
}

QTEST_GUILESS_MAIN(TestAdapter)
#include "tst_adapter.moc"
