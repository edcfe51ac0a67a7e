#include "backend/engine/adapter.h"
#include "backend/engine/forward.h"
#include "backend/engine/training.h"
#include "backend/engine/transforms.h"
#include "backend/io/atomic_file.h"
#include "backend/io/safetensors.h"
#include "backend/io/weight_files.h"
#include "tests/support/adapter_probe.h"
#include "tests/support/test_data.h"

#include <QTemporaryDir>
#include <QTest>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

using namespace secateur;
using nlohmann::json;

namespace {

constexpr double kLogitTolerance = 1e-3; // of the reference values, f32
constexpr double kLossTolerance = 1e-4;
constexpr double kGradientTolerance = 1e-4; // of the largest entry
constexpr double kWeightTolerance = 2e-4;

std::filesystem::path golden(const std::filesystem::path &path)
{
    return testData() / "golden" / path;
}

json readJson(const std::filesystem::path &path)
{
    return json::parse(readTextFile(golden(path)));
}

std::vector<float> stored(const SafetensorsFile &file, const std::string &name)
{
    const TensorInfo *tensor = file.find(name);
    if (!tensor)
        return {};
    const std::span<const std::byte> bytes = file.data(*tensor);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

Model load(const QByteArray &name)
{
    ComputeSettings settings;
    settings.dtype = "f32";
    return loadModel(inspectModel(golden("models") / name.toStdString()), settings);
}

/// Infinite when the sizes differ, so that a missing reference never passes.
double largestDifference(const std::vector<float> &a, const std::vector<float> &b)
{
    if (a.size() != b.size() || a.empty())
        return std::numeric_limits<double>::infinity();
    double largest = 0;
    for (std::size_t index = 0; index < a.size(); ++index)
        largest = std::max(largest, std::abs(static_cast<double>(a[index]) - static_cast<double>(b[index])));
    return largest;
}

double largestEntry(const std::vector<float> &values)
{
    double largest = 0;
    for (const float value : values)
        largest = std::max(largest, static_cast<double>(std::abs(value)));
    return largest;
}

/// Calibration sequences without their padding.
std::vector<TokenIds> calibrationOf(const QByteArray &model)
{
    const json file = readJson("scores/" + model.toStdString() + "/calibration.json");
    std::vector<TokenIds> sequences = file.at("input_ids").get<std::vector<TokenIds>>();
    for (std::size_t index = 0; index < sequences.size(); ++index)
        sequences[index].resize(file.at("lengths").at(index).get<std::size_t>());
    return sequences;
}

void compareScoredLogits(const QByteArray &name, const QByteArray &logitCase, const Model &model)
{
    const SafetensorsFile file(golden("scores") / name.toStdString() / "scores.safetensors");
    const std::vector<TokenIds> sequences = calibrationOf(name);
    for (const std::size_t sequence : {std::size_t(0), std::size_t(7)}) {
        const std::string key = "logits." + logitCase.toStdString() + ".seq" + std::to_string(sequence);
        const std::vector<float> expected = stored(file, key);
        const double difference
            = largestDifference(forwardSequence(model, sequences.at(sequence), false).logits, expected);
        QVERIFY2(difference < kLogitTolerance, (key + " differs by " + std::to_string(difference)).c_str());
    }
}

UnitSet unitsOf(const QByteArray &logitCase)
{
    UnitSet units;
    if (logitCase == "remove_layers_2_4") {
        units.blocks = {2, 4};
    } else if (logitCase == "remove_kv_group_1_layer_3") {
        units.kvGroups[3] = {1};
    } else if (logitCase == "remove_ffn_0_5_17_layers_1_2") {
        units.ffnChannels[1] = {0, 5, 17};
        units.ffnChannels[2] = {0, 5, 17};
    } else { // skip_attention_3_mlp_1
        units.kvGroups[3] = {0, 1};
        for (int channel = 0; channel < 160; ++channel)
            units.ffnChannels[1].insert(channel);
    }
    return units;
}

/// Units as lists per block, and what the biases of o and down make up for them (may be null).
Model unevenModel(const Model &dense, const json &groups, const json &channels, const json &scores)
{
    UnitSet units;
    for (int block = 0; block < dense.config().layers(); ++block) {
        const auto index = static_cast<std::size_t>(block);
        if (!groups.at(index).empty())
            units.kvGroups[block] = groups.at(index).get<std::set<int>>();
        units.ffnChannels[block] = channels.at(index).get<std::set<int>>();
    }
    const Model pruned = prune(dense, units);
    if (scores.is_null())
        return pruned;
    // through a folder: the biases join the weights there
    QTemporaryDir temporary;
    const std::filesystem::path folder = temporary.path().toStdString();
    saveWeights(pruned, folder, "F32");
    std::vector<std::vector<float>> biases;
    std::vector<std::string> names;
    for (int block = 0; block < dense.config().layers(); ++block) {
        const std::string prefix = "model.layers." + std::to_string(block) + ".";
        biases.push_back(scores.at("o_bias").at(static_cast<std::size_t>(block)).get<std::vector<float>>());
        names.push_back(prefix + "self_attn.o_proj.bias");
        biases.push_back(scores.at("down_bias").at(static_cast<std::size_t>(block)).get<std::vector<float>>());
        names.push_back(prefix + "mlp.down_proj.bias");
    }
    {
        const SafetensorsFile file(folder / "model.safetensors");
        std::vector<TensorView> views;
        for (const TensorInfo &tensor : file.tensors())
            views.push_back({tensor.name, tensor.dtype, tensor.shape, file.data(tensor)});
        for (std::size_t i = 0; i < biases.size(); ++i)
            views.push_back({names[i], "F32", {dense.config().hiddenSize}, std::as_bytes(std::span(biases[i]))});
        writeSafetensors(folder / "with_biases.safetensors", views);
    }
    std::filesystem::rename(folder / "with_biases.safetensors", folder / "model.safetensors");
    json config = json::parse(readTextFile(folder / "config.json"));
    config["secateur"]["attention_output_bias"] = true;
    config["secateur"]["mlp_output_bias"] = true;
    writeFileAtomically(folder / "config.json", config.dump());
    ComputeSettings settings;
    settings.dtype = "f32";
    return loadModel(inspectModel(folder), settings);
}

/// A stored training run with its batch as packed sequences.
struct StoredRun {
    json record;
    std::vector<TrainingSample> samples;
    RecoveryOptions options;
};

StoredRun readRun(const QByteArray &name)
{
    StoredRun run;
    run.record = readJson("peft/train-" + name.toStdString() + ".json");
    const auto from = run.record.at("labels_from_position").get<std::size_t>();
    std::int64_t tokens = 0;
    for (const TokenIds &ids : calibrationOf("tiny-llama")) {
        TrainingSample sample{ids, std::vector<std::uint8_t>(ids.size(), 1)};
        std::fill_n(sample.lossMask.begin(), std::min(from, ids.size()), std::uint8_t(0));
        tokens += static_cast<std::int64_t>(ids.size());
        run.samples.push_back(std::move(sample));
    }
    const json &optimizer = run.record.at("optimizer");
    run.options.steps = run.record.at("steps").get<int>();
    run.options.batchTokens = static_cast<int>(tokens);
    run.options.dropout = 0;
    run.options.learningRate = optimizer.at("lr").get<double>();
    run.options.beta1 = optimizer.at("betas").at(0).get<double>();
    run.options.beta2 = optimizer.at("betas").at(1).get<double>();
    run.options.epsilon = optimizer.at("eps").get<double>();
    run.options.weightDecay = optimizer.at("weight_decay").get<double>();
    run.options.clipNorm = optimizer.at("clip_grad_norm").is_null() ? 0 : optimizer.at("clip_grad_norm").get<double>();
    run.options.schedule = "constant";
    run.options.warmupFraction = 0;
    return run;
}

} // namespace

class TestGoldenTraining : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void adaptersGiveTheLogitsOfPeft_data();
    void adaptersGiveTheLogitsOfPeft();
    void savedAdaptersKeepTheirLogits();
    void trainingFollowsPeft_data();
    void trainingFollowsPeft();
    void prunedModelsGiveTheStoredLogits_data();
    void prunedModelsGiveTheStoredLogits();
    void unevenModelsGiveTheStoredLogits_data();
    void unevenModelsGiveTheStoredLogits();
    void removingAnIdentityBlockChangesNoBit();
};

void TestGoldenTraining::initTestCase()
{
    if (testData().empty())
        QSKIP("SECATEUR_TEST_DATA is not set: there are no reference values to compare with.");
}

void TestGoldenTraining::adaptersGiveTheLogitsOfPeft_data()
{
    QTest::addColumn<QByteArray>("name");
    QTest::newRow("llama") << QByteArray("tiny-llama-lora");
    QTest::newRow("llama, rank stabilised") << QByteArray("tiny-llama-lora-rslora");
    QTest::newRow("qwen2") << QByteArray("tiny-qwen2-lora");
    QTest::newRow("qwen2, rank stabilised") << QByteArray("tiny-qwen2-lora-rslora");
}

void TestGoldenTraining::adaptersGiveTheLogitsOfPeft()
{
    QFETCH(QByteArray, name);
    const json record = readJson("peft/expected-" + name.toStdString() + ".json");
    const SafetensorsFile expected(golden("peft/expected-" + name.toStdString() + ".safetensors"));
    const Model base = load(QByteArray::fromStdString(record.at("base").get<std::string>()));
    const Adapter adapter = loadAdapter(golden("peft") / name.toStdString(), base);

    const Model beside = withAdapter(base, adapter);
    const Model merged = mergeAdapter(base, adapter);

    QCOMPARE(record.at("sequences").size(), std::size_t(3));
    for (std::size_t index = 0; index < 3; ++index) {
        const TokenIds ids = record.at("sequences").at(index).at("input_ids").get<TokenIds>();
        const std::vector<float> logits = stored(expected, "seq" + std::to_string(index) + ".logits");
        const double unmergedError = largestDifference(forwardSequence(beside, ids, false).logits, logits);
        const double mergedError = largestDifference(forwardSequence(merged, ids, false).logits, logits);
        QVERIFY2(unmergedError < kLogitTolerance, std::to_string(unmergedError).c_str());
        QVERIFY2(mergedError < kLogitTolerance, std::to_string(mergedError).c_str());
    }
}

void TestGoldenTraining::savedAdaptersKeepTheirLogits()
{
    const Model base = load("tiny-qwen2");
    const Adapter adapter = loadAdapter(golden("peft/tiny-qwen2-lora-rslora"), base);
    QTemporaryDir folder;
    const std::filesystem::path target = std::filesystem::path(folder.path().toStdString()) / "adapter";

    saveAdapter(adapter, target, "tiny-qwen2");

    QCOMPARE(adapterValues(loadAdapter(target, base)), adapterValues(adapter));
    const json written = json::parse(readTextFile(target / "adapter_config.json"));
    const json original = readJson("peft/tiny-qwen2-lora-rslora/adapter_config.json");
    for (const auto &[key, value] : written.items()) {
        QVERIFY2(original.contains(key), key.c_str());
        if (key != "target_modules")
            QVERIFY2(original.at(key) == value, key.c_str());
    }
}

void TestGoldenTraining::trainingFollowsPeft_data()
{
    QTest::addColumn<QByteArray>("name");
    QTest::addColumn<QByteArray>("start");
    QTest::newRow("whole text") << QByteArray("tiny-llama-lora") << QByteArray("tiny-llama-lora");
    QTest::newRow("responses only, clipped")
        << QByteArray("tiny-llama-lora-rslora-from10") << QByteArray("tiny-llama-lora-rslora");
}

void TestGoldenTraining::trainingFollowsPeft()
{
    QFETCH(QByteArray, name);
    QFETCH(QByteArray, start);
    const StoredRun run = readRun(name);
    const SafetensorsFile expected(golden("peft/train-" + name.toStdString() + ".safetensors"));
    const Model base = load("tiny-llama");
    const Adapter adapter = loadAdapter(golden("peft") / start.toStdString(), base);

    const AdapterValues gradients = adapterGradients(base, adapter, run.samples);
    const TrainingResult result = train(base, run.samples, run.options, {}, {.start = &adapter});

    const json &losses = run.record.at("loss");
    const json &norms = run.record.at("grad_norm_before_clipping");
    QCOMPARE(result.points.size() + 1, losses.size());
    for (std::size_t step = 0; step < result.points.size(); ++step) {
        QVERIFY(std::abs(result.points[step].loss - losses.at(step).get<double>()) < kLossTolerance);
        QVERIFY(std::abs(result.points[step].gradientNorm / norms.at(step).get<double>() - 1) < 1e-3);
    }
    QVERIFY(std::abs(adapterLoss(base, *result.adapter, run.samples) - losses.back().get<double>()) < kLossTolerance);

    QCOMPARE(gradients.size(), std::size_t(84));
    for (const auto &[key, gradient] : gradients) {
        const std::vector<float> reference = stored(expected, "first_grad." + key);
        const double difference = largestDifference(gradient, reference);
        QVERIFY2(difference < kGradientTolerance * largestEntry(reference), key.c_str());
    }
    for (const auto &[key, values] : adapterValues(*result.adapter)) {
        const double difference = largestDifference(values, stored(expected, "final." + key));
        QVERIFY2(difference < kWeightTolerance, (key + " differs by " + std::to_string(difference)).c_str());
    }
}

void TestGoldenTraining::prunedModelsGiveTheStoredLogits_data()
{
    QTest::addColumn<QByteArray>("model");
    QTest::addColumn<QByteArray>("logitCase");
    for (const char *model : {"tiny-llama", "tiny-qwen3"}) {
        for (const char *logitCase : {"remove_layers_2_4", "remove_kv_group_1_layer_3", "remove_ffn_0_5_17_layers_1_2",
                                      "skip_attention_3_mlp_1"})
            QTest::addRow("%s %s", model, logitCase) << QByteArray(model) << QByteArray(logitCase);
    }
}

void TestGoldenTraining::prunedModelsGiveTheStoredLogits()
{
    QFETCH(QByteArray, model);
    QFETCH(QByteArray, logitCase);
    const Model dense = load(model);
    const UnitSet units = unitsOf(logitCase);

    compareScoredLogits(model, logitCase, prune(dense, units));
    compareScoredLogits(model, logitCase, mask(dense, units));
}

void TestGoldenTraining::unevenModelsGiveTheStoredLogits_data()
{
    QTest::addColumn<QByteArray>("model");
    QTest::addColumn<QByteArray>("logitCase");
    for (const char *model : {"tiny-llama", "tiny-qwen3"})
        for (const char *logitCase : {"flap", "flap_without_bias", "flap_high", "wanda_sp_sequential"})
            QTest::addRow("%s %s", model, logitCase) << QByteArray(model) << QByteArray(logitCase);
}

void TestGoldenTraining::unevenModelsGiveTheStoredLogits()
{
    QFETCH(QByteArray, model);
    QFETCH(QByteArray, logitCase);
    const json scores = readJson("scores/" + model.toStdString() + "/scores.json");
    const bool wanda = logitCase == "wanda_sp_sequential";
    const json &method = scores.at(wanda ? "wanda_sp" : logitCase == "flap_high" ? "flap_high" : "flap");
    const json &groups = method.at(wanda ? "sequential_removed_kv_groups" : "removed_kv_groups");
    const json &channels = method.at(wanda ? "sequential_removed_neurons" : "removed_neurons");
    const bool biased = logitCase == "flap" || logitCase == "flap_high";

    const Model uneven = unevenModel(load(model), groups, channels, biased ? method : json());

    QCOMPARE(uneven.parameters(), totalParameters(uneven.config()));
    QCOMPARE(uneven.config().isUniform(), wanda); // one ratio everywhere
    QCOMPARE(uneven.config().mlpOutputBias, biased);
    compareScoredLogits(model, logitCase, uneven);
}

void TestGoldenTraining::removingAnIdentityBlockChangesNoBit()
{
    const Model dense = load("tiny-trained");
    UnitSet units;
    units.blocks = {2};

    const Model pruned = prune(dense, units);

    for (const TokenIds &ids : calibrationOf("tiny-trained"))
        QCOMPARE(largestLogitDifference(dense, pruned, ids), 0.0);
    compareScoredLogits("tiny-trained", "remove_dead_block", pruned);
}

QTEST_GUILESS_MAIN(TestGoldenTraining)
#include "tst_golden_training.moc"
