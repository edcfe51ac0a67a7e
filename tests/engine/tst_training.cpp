#include "backend/core/error.h"
#include "backend/engine/forward.h"
#include "backend/engine/training.h"
#include "backend/engine/transforms.h"
#include "backend/io/weight_files.h"
#include "tests/support/adapter_probe.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/thrown_by.h"
#include "tests/support/tiny_model.h"

#include <QTemporaryDir>
#include <QTest>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <random>
#include <set>
#include <stop_token>
#include <sys/resource.h>
#include <unistd.h>

using namespace secateur;

namespace {

TinyModelOptions toyOptions()
{
    TinyModelOptions options;
    options.layers = 2;
    options.hiddenSize = 16;
    options.intermediateSize = 24;
    options.queryHeads = 4;
    options.kvHeads = 2;
    options.headDim = 4;
    options.vocabulary = 40;
    options.scale = 0.3;
    options.tokenizer = false;
    return options;
}

/// Unequal lengths; the first third of each sample is context without loss.
std::vector<TrainingSample> toySamples(int count, std::uint64_t seed = 5, int vocabulary = 40)
{
    std::mt19937_64 engine(seed);
    std::vector<TrainingSample> samples;
    for (int index = 0; index < count; ++index) {
        TrainingSample sample;
        const std::size_t length = 6 + engine() % 9;
        for (std::size_t t = 0; t < length; ++t) {
            sample.ids.push_back(static_cast<std::int32_t>(engine() % static_cast<std::uint64_t>(vocabulary)));
            sample.lossMask.push_back(t >= length / 3);
        }
        samples.push_back(std::move(sample));
    }
    return samples;
}

RecoveryOptions toyRecovery(int steps)
{
    RecoveryOptions options;
    options.rank = 2;
    options.alpha = 4;
    options.dropout = 0;
    options.steps = steps;
    options.batchTokens = 40;
    options.learningRate = 1e-2;
    options.schedule = "constant";
    options.warmupFraction = 0;
    options.seed = 3;
    return options;
}

/// What training starts from: B is zero.
Adapter freshAdapter(const Model &model)
{
    std::stop_source stop;
    stop.request_stop();
    const JobContext stopped(stop.get_token(), {});
    return *train(model, toySamples(1), toyRecovery(1), stopped).adapter;
}

/// Bytes of address space in use.
rlim_t addressSpace()
{
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

} // namespace

class TestTraining : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void theRateFollowsItsSchedule_data();
    void theRateFollowsItsSchedule();
    void gradientsEqualCentralDifferences_data();
    void gradientsEqualCentralDifferences();
    void gradientsOfAllWeightsEqualCentralDifferences_data();
    void gradientsOfAllWeightsEqualCentralDifferences();
    void recomputingGivesTheSameGradients();
    void newtonSchulzComesCloseToThePolarFactor_data();
    void newtonSchulzComesCloseToThePolarFactor();
    void allWeightsLearn_data();
    void allWeightsLearn();
    void droppedLayersDoNotLearn();
    void distillingBringsTheParentCloser();
    void weightsOfTokensCountInTheLoss();
    void rankPatternsChangeSingleBranches();
    void theHeldOutLossEndsARun();
    void resumedRunsEndWithTheSameWeights_data();
    void resumedRunsEndWithTheSameWeights();
    void aCheckpointThatCannotBeWrittenKeepsTheLast();
    void partsOfABatchAddUpToItsGradient();
    void onlyScoredTokensCount();
    void packedSamplesDoNotSeeEachOther();
    void theLossFallsOnRepeatedText();
    void theSameSeedGivesTheSameWeights();
    void anotherSeedGivesOtherWeights();
    void theBaseModelIsLeftAlone();
    void aFreshAdapterChangesNothing();
    void everySampleIsSeenOncePerEpoch();
    void largeStepsAreSplit();
    void dropoutWorksInTrainingOnly();
    void dropoutLeavesTheGlobalGeneratorAlone();
    void aPrunedModelWithoutAttentionCanBeTrained();
    void bf16ModelsTrainF32Branches();
    void continuingKeepsTheRankOfTheStart();
    void everyPointReachesTheFeed();
    void progressIsReportedPerStep();
    void cancellingKeepsTheLastWholeStep();
    void cancellingBeforeTheFirstStepKeepsTheModel();
    void aLossThatIsNotFiniteNamesStepAndRate();
    void memoryThatRunsOutIsReported();
    void longAndUnscoredSamplesAreDropped();
    void nothingToTrainOnIsRefused();
    void impossibleOptionsAreRefused_data();
    void impossibleOptionsAreRefused();
    void impossibleSamplesAreRefused_data();
    void impossibleSamplesAreRefused();

private:
    const Model &toy() const { return *m_toy; }

    QTemporaryDir m_folder;
    std::optional<Model> m_toy;
};

void TestTraining::initTestCase()
{
    const std::filesystem::path folder = m_folder.path().toStdString();
    writeTinyModel(folder, toyOptions());
    ComputeSettings settings;
    settings.dtype = "f32";
    m_toy = loadModel(inspectModel(folder), settings);
}

void TestTraining::theRateFollowsItsSchedule_data()
{
    QTest::addColumn<QByteArray>("schedule");
    QTest::addColumn<double>("warmup");
    QTest::addColumn<int>("step");
    QTest::addColumn<double>("share");
    QTest::newRow("constant") << QByteArray("constant") << 0.0 << 7 << 1.0;
    QTest::newRow("constant warms up") << QByteArray("constant") << 0.2 << 0 << 0.5;
    QTest::newRow("warm-up ends at the full rate") << QByteArray("cosine") << 0.2 << 1 << 1.0;
    QTest::newRow("cosine starts at the full rate") << QByteArray("cosine") << 0.0 << 0 << 1.0;
    QTest::newRow("cosine is half way down in the middle") << QByteArray("cosine") << 0.0 << 5 << 0.5;
    QTest::newRow("cosine after warm-up") << QByteArray("cosine") << 0.2 << 6 << 0.5;
    QTest::newRow("linear") << QByteArray("linear") << 0.0 << 3 << 0.7;
    QTest::newRow("linear after warm-up") << QByteArray("linear") << 0.2 << 4 << 0.75;
    QTest::newRow("flat") << QByteArray("flat") << 0.1 << 2 << 1.0;
    QTest::newRow("flat begins to fall") << QByteArray("flat") << 0.1 << 3 << 1.0;
    QTest::newRow("flat falls in a line") << QByteArray("flat") << 0.1 << 10 << 0.0;
    QTest::newRow("beyond the end") << QByteArray("linear") << 0.0 << 12 << 0.0;
    QTest::newRow("warm-up all the way") << QByteArray("cosine") << 1.0 << 9 << 1.0;
}

void TestTraining::theRateFollowsItsSchedule()
{
    QFETCH(QByteArray, schedule);
    QFETCH(double, warmup);
    QFETCH(int, step);
    QFETCH(double, share);
    RecoveryOptions options;
    options.steps = 10;
    options.schedule = schedule.toStdString();
    options.warmupFraction = warmup;
    options.learningRate = 4e-4;

    QVERIFY(std::abs(scheduledRate(options, step) - share * 4e-4) < 1e-15);
}

void TestTraining::gradientsEqualCentralDifferences_data()
{
    QTest::addColumn<QByteArray>("module");
    for (const char *target : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"})
        QTest::newRow(target) << QByteArray(target);
}

void TestTraining::gradientsEqualCentralDifferences()
{
    QFETCH(QByteArray, module);
    const Adapter adapter = randomAdapter(toy(), toyRecovery(1));
    const std::vector<TrainingSample> samples = toySamples(3);
    const AdapterValues gradients = adapterGradients(toy(), adapter, samples);
    const AdapterValues values = adapterValues(adapter);
    constexpr float kStep = 1e-2f;

    int compared = 0;
    for (const auto &[key, gradient] : gradients) {
        if (key.find(module.toStdString()) == std::string::npos)
            continue;
        float largest = 0;
        for (const float entry : gradient)
            largest = std::max(largest, std::abs(entry));
        for (std::size_t index = 0; index < gradient.size(); index += 7) {
            AdapterValues above = values;
            AdapterValues below = values;
            above.at(key)[index] += kStep;
            below.at(key)[index] -= kStep;
            const double slope = (adapterLoss(toy(), withValues(adapter, above), samples)
                                  - adapterLoss(toy(), withValues(adapter, below), samples))
                / (2 * static_cast<double>(kStep));
            const double error = std::abs(slope - static_cast<double>(gradient[index]));
            QVERIFY2(error < 2e-4 + 0.01 * static_cast<double>(largest),
                     (key + " at " + std::to_string(index)).c_str());
            ++compared;
        }
    }
    QVERIFY(compared >= 8);
}

void TestTraining::gradientsOfAllWeightsEqualCentralDifferences_data()
{
    QTest::addColumn<bool>("distils");
    QTest::newRow("cross entropy") << false;
    QTest::newRow("distillation") << true;
}

void TestTraining::gradientsOfAllWeightsEqualCentralDifferences()
{
    QFETCH(bool, distils);
    const Model parent = withChangedWeight(toy(), "model.norm.weight", 3, 0.7f);
    LossProbe probe;
    probe.parent = distils ? &parent : nullptr;
    std::vector<TrainingSample> samples = toySamples(3);
    for (TrainingSample &sample : samples)
        for (std::size_t t = 0; t < sample.ids.size(); ++t)
            sample.weights.push_back(t % 2 ? 1.0f : 0.2f);
    constexpr float kStep = 1e-2f;

    const AdapterValues gradients = weightGradients(toy(), samples, probe);

    QCOMPARE(gradients.size(), std::size_t(2 * 9 + 2));
    for (const auto &[name, gradient] : gradients) {
        float largest = 0;
        for (const float entry : gradient)
            largest = std::max(largest, std::abs(entry));
        for (std::size_t index = 0; index < gradient.size(); index += gradient.size() / 5 + 1) {
            const double slope = (weightLoss(withChangedWeight(toy(), name, index, kStep), samples, probe)
                                  - weightLoss(withChangedWeight(toy(), name, index, -kStep), samples, probe))
                / (2 * static_cast<double>(kStep));
            const double error = std::abs(slope - static_cast<double>(gradient[index]));
            QVERIFY2(error < 3e-4 + 0.01 * static_cast<double>(largest),
                     (name + " at " + std::to_string(index)).c_str());
        }
    }
}

void TestTraining::recomputingGivesTheSameGradients()
{
    LossProbe probe;
    const AdapterValues kept = weightGradients(toy(), toySamples(5), probe);
    probe.recompute = true;

    const AdapterValues again = weightGradients(toy(), toySamples(5), probe);

    for (const auto &[name, gradient] : kept)
        for (std::size_t index = 0; index < gradient.size(); ++index)
            QVERIFY2(std::abs(gradient[index] - again.at(name)[index]) < 1e-5f, name.c_str());
    RecoveryOptions options = toyRecovery(3);
    options.dropout = 0.2; // the same masks both times
    const AdapterValues plain = adapterValues(*train(toy(), toySamples(5), options).adapter);
    options.recompute = true;
    const AdapterValues recomputed = adapterValues(*train(toy(), toySamples(5), options).adapter);
    for (const auto &[name, values] : plain)
        for (std::size_t index = 0; index < values.size(); ++index)
            QVERIFY2(std::abs(values[index] - recomputed.at(name)[index]) < 1e-3f, name.c_str());
}

void TestTraining::newtonSchulzComesCloseToThePolarFactor_data()
{
    QTest::addColumn<int>("rows");
    QTest::addColumn<int>("columns");
    QTest::newRow("wide") << 16 << 40;
    QTest::newRow("tall") << 48 << 16;
}

void TestTraining::newtonSchulzComesCloseToThePolarFactor()
{
    QFETCH(int, rows);
    QFETCH(int, columns);
    std::mt19937_64 engine(4);
    std::vector<float> matrix(static_cast<std::size_t>(rows * columns));
    for (float &value : matrix)
        value = static_cast<float>(engine() % 2001) / 1000.0f - 1.0f;

    for (const float value : orthogonalSingularValues(matrix, rows, columns))
        QVERIFY2(value > 0.65f && value < 1.25f, std::to_string(value).c_str());
    QVERIFY(differenceToPolarFactor(matrix, rows, columns) < 0.25);
}

void TestTraining::allWeightsLearn_data()
{
    QTest::addColumn<QByteArray>("optimizer");
    QTest::addColumn<bool>("autocast");
    QTest::newRow("adamw") << QByteArray("adamw") << false;
    QTest::newRow("muon") << QByteArray("muon") << false;
    QTest::newRow("bf16 products") << QByteArray("adamw") << true;
}

void TestTraining::allWeightsLearn()
{
    QFETCH(QByteArray, optimizer);
    QFETCH(bool, autocast);
    RecoveryOptions options = toyRecovery(50);
    options.kind = "full";
    options.optimizer = optimizer.toStdString();
    options.autocast = autocast;
    options.learningRate = 5e-3;
    const TokenIds probe = {1, 2, 3, 4, 5};
    const std::vector<float> before = forwardSequence(toy(), probe, false).logits;

    const TrainingResult result = train(toy(), toySamples(4), options);

    QVERIFY(!result.adapter);
    QVERIFY(result.points.back().loss < 0.8 * result.points.front().loss);
    QVERIFY(weightLoss(*result.model, toySamples(4)) < 0.8 * result.points.front().loss);
    QCOMPARE(result.model->parameters(), toy().parameters());
    QCOMPARE(forwardSequence(toy(), probe, false).logits, before); // the base is left alone
}

void TestTraining::droppedLayersDoNotLearn()
{
    RecoveryOptions options = toyRecovery(1);
    options.kind = "full";
    options.weightDecay = 0;
    const std::vector<TrainingSample> samples = toySamples(4);
    const auto changes = [&](const RecoveryOptions &wanted) {
        const auto before = modelValues(toy());
        const auto after = modelValues(*train(toy(), samples, wanted).model);
        std::set<std::string> changed;
        for (const auto &[name, values] : before)
            if (after.at(name) != values)
                changed.insert(name);
        return changed;
    };
    const auto whole = changes(options);
    options.layerDrop = 0.5;
    options.layerDropFrom = 1; // never
    QCOMPARE(changes(options), whole);

    options.layerDropFrom = 0;
    int kept = 0;
    for (options.seed = 0; options.seed < 20; ++options.seed) {
        const auto changed = changes(options);
        QVERIFY(changed.contains("model.layers.0.mlp.up_proj.weight")); // the first block always stays
        const bool lastStayed = changed.contains("model.layers.1.mlp.up_proj.weight");
        QCOMPARE(changed.contains("model.layers.1.self_attn.q_proj.weight"), lastStayed);
        kept += lastStayed;
    }
    QVERIFY2(kept > 3 && kept < 17, QByteArray::number(kept).constData()); // of 20 with a chance of one half
}

void TestTraining::distillingBringsTheParentCloser()
{
    UnitSet units;
    units.blocks = {1};
    const Model pruned = prune(toy(), units);
    RecoveryOptions options = toyRecovery(60);
    options.kind = "distill";
    options.distillWeight = 1;
    LossProbe probe;
    probe.parent = &toy();
    probe.distillWeight = 1;
    const double before = weightLoss(pruned, toySamples(4), probe);

    const TrainingResult result = train(pruned, toySamples(4), options, {}, {.parent = &toy()});

    QVERIFY(before > 1e-3);
    QVERIFY(weightLoss(withAdapter(pruned, *result.adapter), toySamples(4), probe) < 0.7 * before);
    QVERIFY(std::abs(weightLoss(toy(), toySamples(4), probe)) < 1e-6); // no divergence from itself
}

void TestTraining::weightsOfTokensCountInTheLoss()
{
    TrainingSample sample = toySamples(1).front();
    std::fill(sample.lossMask.begin(), sample.lossMask.end(), std::uint8_t(0));
    sample.lossMask[2] = 1;
    const double first = weightLoss(toy(), {sample});
    sample.lossMask[2] = 0;
    sample.lossMask[4] = 1;
    const double second = weightLoss(toy(), {sample});
    sample.lossMask[2] = 1;
    sample.weights.assign(sample.ids.size(), 1.0f);
    sample.weights[2] = 0.25f;

    QVERIFY(std::abs(weightLoss(toy(), {sample}) - (0.25 * first + second) / 1.25) < 1e-5);
}

void TestTraining::rankPatternsChangeSingleBranches()
{
    RecoveryOptions options = toyRecovery(1);
    options.rankPattern["0.self_attn.q_proj"] = 5;

    const TrainingResult result = train(toy(), toySamples(2), options);

    const AdapterValues values = adapterValues(*result.adapter);
    QCOMPARE(values.at("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight").size(), std::size_t(5 * 16));
    QCOMPARE(values.at("base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight").size(), std::size_t(2 * 16));
}

void TestTraining::theHeldOutLossEndsARun()
{
    RecoveryOptions options = toyRecovery(200);
    options.heldOut = 0.5; // random tokens: what is learnt of one half says nothing about the other
    options.heldOutEvery = 5;
    options.patience = 3;
    options.learningRate = 5e-2;

    const TrainingResult result = train(toy(), toySamples(8), options);

    QCOMPARE(result.heldOutSamples, std::int64_t(4));
    QVERIFY(result.stoppedEarly);
    QVERIFY(!result.cancelled);
    QVERIFY(result.points.size() < std::size_t(200));
    const auto lowest = std::min_element(result.heldOut.begin(), result.heldOut.end(),
                                         [](auto &a, auto &b) { return a.loss < b.loss; });
    QCOMPARE(result.heldOut.end() - lowest, std::ptrdiff_t(4));
}

void TestTraining::resumedRunsEndWithTheSameWeights_data()
{
    QTest::addColumn<QByteArray>("kind");
    QTest::addColumn<QByteArray>("optimizer");
    QTest::newRow("lora") << QByteArray("lora") << QByteArray("adamw");
    QTest::newRow("full") << QByteArray("full") << QByteArray("adamw");
    QTest::newRow("muon") << QByteArray("full") << QByteArray("muon");
    QTest::newRow("layer drop") << QByteArray("full") << QByteArray("adamw");
}

void TestTraining::resumedRunsEndWithTheSameWeights()
{
    QFETCH(QByteArray, kind);
    QFETCH(QByteArray, optimizer);
    QTemporaryDir folder;
    RecoveryOptions options = toyRecovery(12);
    options.kind = kind.toStdString();
    options.optimizer = optimizer.toStdString();
    options.dropout = 0.1;
    if (QByteArray(QTest::currentDataTag()) == "layer drop")
        options.layerDrop = 0.5;
    options.schedule = "cosine";
    options.heldOut = 0.25;
    options.heldOutEvery = 3;
    const TrainingResult whole = train(toy(), toySamples(9), options);
    std::stop_source stop;
    const JobContext context(stop.get_token(), [&](const Progress &progress) {
        if (progress.done == 7)
            stop.request_stop();
    });
    TrainingInputs inputs;
    inputs.checkpoints = folder.path().toStdString();
    inputs.origin = {{"model", "toy"}};

    const TrainingResult cancelled = train(toy(), toySamples(9), options, context, inputs);
    const CheckpointRecord checkpoint = latestCheckpoint(inputs.checkpoints);
    inputs.resume = &checkpoint;
    const TrainingResult resumed = train(toy(), toySamples(9), options, {}, inputs);

    QVERIFY(cancelled.cancelled);
    QCOMPARE(checkpoint.step, std::int64_t(7));
    QCOMPARE(checkpoint.origin.at("model"), std::string("toy"));
    QVERIFY(checkpoint.options == options);
    QCOMPARE(resumed.points.size(), whole.points.size());
    QCOMPARE(resumed.points.back().loss, whole.points.back().loss);
    QCOMPARE(resumed.heldOut.size(), whole.heldOut.size());
    QCOMPARE(resumed.tokens, whole.tokens);
    if (whole.adapter) {
        QCOMPARE(adapterValues(*resumed.adapter), adapterValues(*whole.adapter));
    } else {
        QCOMPARE(forwardSequence(*resumed.model, {1, 2, 3}, false).logits,
                 forwardSequence(*whole.model, {1, 2, 3}, false).logits);
    }
    const ErrorInfo other = thrownBy([&] { train(toy(), toySamples(8), options, {}, inputs); });
    QVERIFY2(says(other, "9 samples, not 8"), other.message.c_str());
}

void TestTraining::aCheckpointThatCannotBeWrittenKeepsTheLast()
{
    QTemporaryDir folder;
    RecoveryOptions options = toyRecovery(6);
    options.checkpointSteps = 2;
    std::optional<FileSizeLimit> limit;
    const JobContext context({}, [&](const Progress &progress) {
        if (progress.done == 3 && !limit)
            limit.emplace(256);
    });

    const ErrorInfo error = thrownBy(
        [&] { train(toy(), toySamples(4), options, context, {.checkpoints = folder.path().toStdString()}); });
    limit.reset();

    QCOMPARE(error.kind, ErrorKind::Io);
    QVERIFY2(says(error, "File too large"), error.message.c_str());
    QCOMPARE(latestCheckpoint(folder.path().toStdString()).step, std::int64_t(2));
}

void TestTraining::partsOfABatchAddUpToItsGradient()
{
    const Adapter adapter = randomAdapter(toy(), toyRecovery(1));
    const std::vector<TrainingSample> samples = toySamples(4);
    const auto scored = [](const std::vector<TrainingSample> &part) {
        double count = 0;
        for (const TrainingSample &sample : part)
            for (std::size_t t = 1; t < sample.lossMask.size(); ++t)
                count += sample.lossMask[t];
        return count;
    };
    const std::vector<TrainingSample> head(samples.begin(), samples.begin() + 1);
    const std::vector<TrainingSample> tail(samples.begin() + 1, samples.end());

    const AdapterValues whole = adapterGradients(toy(), adapter, samples);
    const AdapterValues first = adapterGradients(toy(), adapter, head);
    const AdapterValues second = adapterGradients(toy(), adapter, tail);

    const double share = scored(head) / scored(samples);
    for (const auto &[key, gradient] : whole) {
        for (std::size_t index = 0; index < gradient.size(); ++index) {
            const double sum = share * static_cast<double>(first.at(key)[index])
                + (1 - share) * static_cast<double>(second.at(key)[index]);
            QVERIFY(std::abs(sum - static_cast<double>(gradient[index])) < 1e-5);
        }
    }
}

void TestTraining::onlyScoredTokensCount()
{
    TrainingSample sample = toySamples(1).front();
    std::fill(sample.lossMask.begin(), sample.lossMask.end(), std::uint8_t(0));
    sample.lossMask[0] = 1; // nothing predicts the first token
    sample.lossMask[3] = 1;
    sample.lossMask[4] = 1;
    const TokenIds context(sample.ids.begin(), sample.ids.begin() + 3);
    const TokenIds continuation(sample.ids.begin() + 3, sample.ids.begin() + 5);

    const TrainingResult result = train(toy(), {sample}, toyRecovery(1));

    const double expected = -scoreContinuations(toy(), context, {continuation}).front().logprob / 2;
    QVERIFY(std::abs(result.points.front().loss - expected) < 1e-5);
}

void TestTraining::packedSamplesDoNotSeeEachOther()
{
    const Adapter adapter = randomAdapter(toy(), toyRecovery(1));
    std::vector<TrainingSample> samples = toySamples(2);
    for (TrainingSample &sample : samples)
        std::fill(sample.lossMask.begin(), sample.lossMask.end(), std::uint8_t(1));
    const auto predicted = [](const TrainingSample &sample) { return static_cast<double>(sample.ids.size() - 1); };

    const double together = adapterLoss(toy(), adapter, samples);
    const double first = adapterLoss(toy(), adapter, {samples[0]});
    const double second = adapterLoss(toy(), adapter, {samples[1]});

    const double mean = (first * predicted(samples[0]) + second * predicted(samples[1]))
        / (predicted(samples[0]) + predicted(samples[1]));
    QVERIFY(std::abs(together - mean) < 1e-5);
}

void TestTraining::theLossFallsOnRepeatedText()
{
    const std::vector<TrainingSample> samples = toySamples(4);
    RecoveryOptions options = toyRecovery(50);
    options.rank = 8;
    options.alpha = 16;

    const TrainingResult result = train(toy(), samples, options);

    QCOMPARE(result.points.size(), std::size_t(50));
    QVERIFY(!result.cancelled);
    QVERIFY(result.points.back().loss < 0.8 * result.points.front().loss);
    QVERIFY(adapterLoss(toy(), *result.adapter, samples) < 0.8 * result.points.front().loss);
}

void TestTraining::theSameSeedGivesTheSameWeights()
{
    RecoveryOptions options = toyRecovery(5);
    options.dropout = 0.1;

    const TrainingResult first = train(toy(), toySamples(9), options);
    const TrainingResult second = train(toy(), toySamples(9), options);

    QCOMPARE(adapterValues(*first.adapter), adapterValues(*second.adapter));
}

void TestTraining::anotherSeedGivesOtherWeights()
{
    RecoveryOptions options = toyRecovery(1);
    const TrainingResult first = train(toy(), toySamples(9), options);
    options.seed = 4;

    const TrainingResult second = train(toy(), toySamples(9), options);

    QVERIFY(adapterValues(*first.adapter) != adapterValues(*second.adapter));
}

void TestTraining::theBaseModelIsLeftAlone()
{
    const TokenIds probe = {1, 2, 3, 4, 5};
    const std::vector<float> before = forwardSequence(toy(), probe, false).logits;

    const TrainingResult result = train(toy(), toySamples(4), toyRecovery(3));

    QCOMPARE(forwardSequence(toy(), probe, false).logits, before);
    QVERIFY(largestLogitDifference(toy(), withAdapter(toy(), *result.adapter), probe) > 1e-3);
}

void TestTraining::aFreshAdapterChangesNothing()
{
    const TokenIds probe = {1, 2, 3, 4, 5};

    const Adapter fresh = freshAdapter(toy());

    QCOMPARE(largestLogitDifference(toy(), withAdapter(toy(), fresh), probe), 0.0);
    QCOMPARE(fresh.parameters(), std::int64_t(2 * 2 * (4 * 16 + 16 + 8 + 8 + 16 + 3 * (16 + 24))));
    for (const auto &[key, values] : adapterValues(fresh)) {
        const bool isA = key.find("lora_A") != std::string::npos;
        const double bound = key.find("down_proj") != std::string::npos ? 1 / std::sqrt(24.0) : 0.25; // 1/√in
        double largest = 0;
        for (const float value : values)
            largest = std::max(largest, static_cast<double>(std::abs(value)));
        QVERIFY2(isA ? largest > 0.5 * bound && largest <= bound : largest == 0, key.c_str());
    }
}

void TestTraining::everySampleIsSeenOncePerEpoch()
{
    const std::vector<TrainingSample> samples = toySamples(6);
    std::int64_t epochTokens = 0;
    for (const TrainingSample &sample : samples)
        epochTokens += static_cast<std::int64_t>(sample.ids.size());
    RecoveryOptions options = toyRecovery(12);
    options.batchTokens = 1; // one sample a step

    const TrainingResult result = train(toy(), samples, options);

    QCOMPARE(result.tokens, 2 * epochTokens);
}

void TestTraining::largeStepsAreSplit()
{
    std::vector<TrainingSample> samples;
    for (std::uint64_t seed = 0; seed < 40; ++seed) { // 40 × 50 tokens: more than one part
        TrainingSample sample;
        std::mt19937_64 engine(seed);
        for (int t = 0; t < 50; ++t)
            sample.ids.push_back(static_cast<std::int32_t>(engine() % 40));
        sample.lossMask.assign(50, 1);
        samples.push_back(std::move(sample));
    }
    RecoveryOptions options = toyRecovery(1);
    options.batchTokens = 2000;
    std::vector<Progress> reports;
    const JobContext context({}, [&](const Progress &progress) { reports.push_back(progress); });

    const TrainingResult result = train(toy(), samples, options, context);

    QCOMPARE(result.tokens, std::int64_t(2000));
    QCOMPARE(reports.size(), std::size_t(3)); // two parts and the end
    QVERIFY(std::abs(result.points.front().loss - adapterLoss(toy(), freshAdapter(toy()), samples)) < 1e-5);
}

void TestTraining::dropoutWorksInTrainingOnly()
{
    const std::vector<TrainingSample> samples = toySamples(4);
    RecoveryOptions options = toyRecovery(1);
    const Adapter start = randomAdapter(toy(), options);
    const double without = train(toy(), samples, options, {}, {.start = &start}).points.front().loss;
    options.dropout = 0.3;

    const TrainingResult with = train(toy(), samples, options, {}, {.start = &start});

    QVERIFY(std::abs(with.points.front().loss - without) > 1e-4);
    const Model model = withAdapter(toy(), *with.adapter);
    QCOMPARE(largestLogitDifference(model, model, samples.front().ids), 0.0);
    QVERIFY(largestLogitDifference(model, mergeAdapter(toy(), *with.adapter), samples.front().ids) < 1e-4);
}

void TestTraining::dropoutLeavesTheGlobalGeneratorAlone()
{
    RecoveryOptions options = toyRecovery(2);
    options.dropout = 0.1;
    const TrainingResult first = train(toy(), toySamples(4), options);
    RecoveryOptions other = options;
    other.seed = 77;
    train(toy(), toySamples(4), other);

    const TrainingResult second = train(toy(), toySamples(4), options);

    QCOMPARE(adapterValues(*first.adapter), adapterValues(*second.adapter));
}

void TestTraining::aPrunedModelWithoutAttentionCanBeTrained()
{
    UnitSet units;
    units.kvGroups[0] = {0, 1};
    units.ffnChannels[1] = {2, 3, 9};
    const Model pruned = prune(toy(), units);

    const TrainingResult result = train(pruned, toySamples(4), toyRecovery(20));

    QVERIFY(result.points.back().loss < result.points.front().loss);
    const AdapterValues values = adapterValues(*result.adapter);
    QVERIFY(!values.contains("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"));
    QCOMPARE(values.at("base_model.model.model.layers.1.mlp.up_proj.lora_B.weight").size(), std::size_t(21 * 2));
}

void TestTraining::bf16ModelsTrainF32Branches()
{
    ComputeSettings settings;
    settings.dtype = "bf16";
    const Model model = loadModel(inspectModel(m_folder.path().toStdString()), settings);
    const std::vector<TrainingSample> samples = toySamples(4);
    RecoveryOptions options = toyRecovery(40);
    options.rank = 8;

    const TrainingResult result = train(model, samples, options);

    QCOMPARE(model.dtype(), std::string("bf16"));
    QVERIFY(result.points.back().loss < 0.9 * result.points.front().loss);
}

void TestTraining::continuingKeepsTheRankOfTheStart()
{
    const std::vector<TrainingSample> samples = toySamples(4);
    RecoveryOptions options = toyRecovery(5);
    const TrainingResult first = train(toy(), samples, options);
    const AdapterValues before = adapterValues(*first.adapter);
    options.rank = 7;
    options.targets = {"q_proj"};

    const TrainingResult second = train(toy(), samples, options, {}, {.start = first.adapter.get()});

    QCOMPARE(second.adapter->parameters(), first.adapter->parameters());
    QCOMPARE(adapterValues(*first.adapter), before); // the start is not written into
    QVERIFY(adapterValues(*second.adapter) != before);
    QVERIFY(adapterLoss(toy(), *second.adapter, samples) < adapterLoss(toy(), *first.adapter, samples));
}

void TestTraining::everyPointReachesTheFeed()
{
    MetricFeed feed;

    const TrainingResult result = train(toy(), toySamples(4), toyRecovery(6), {}, {.feed = &feed});

    const std::vector<TrainingPoint> points = feed.since(0);
    QCOMPARE(points.size(), std::size_t(6));
    for (std::size_t index = 0; index < points.size(); ++index) {
        QCOMPARE(points[index].step, static_cast<std::int64_t>(index) + 1);
        QCOMPARE(points[index].loss, result.points[index].loss);
        QVERIFY(points[index].gradientNorm > 0);
        QVERIFY(points[index].tokensPerSecond > 0);
        QCOMPARE(points[index].learningRate, 1e-2);
    }
}

void TestTraining::progressIsReportedPerStep()
{
    std::vector<std::int64_t> done;
    const JobContext context({}, [&](const Progress &progress) {
        QCOMPARE(progress.stage, std::string("recover.step"));
        QCOMPARE(progress.total, std::int64_t(3));
        done.push_back(progress.done);
    });

    train(toy(), toySamples(4), toyRecovery(3), context);

    QCOMPARE(done, (std::vector<std::int64_t>{0, 1, 2, 3}));
}

void TestTraining::cancellingKeepsTheLastWholeStep()
{
    std::stop_source stop;
    const JobContext context(stop.get_token(), [&](const Progress &progress) {
        if (progress.done == 3)
            stop.request_stop();
    });

    const TrainingResult cancelled = train(toy(), toySamples(4), toyRecovery(10), context);
    const TrainingResult three = train(toy(), toySamples(4), toyRecovery(3));

    QVERIFY(cancelled.cancelled);
    QCOMPARE(cancelled.points.size(), std::size_t(3));
    QCOMPARE(cancelled.tokens, three.tokens);
    QCOMPARE(adapterValues(*cancelled.adapter), adapterValues(*three.adapter));
}

void TestTraining::cancellingBeforeTheFirstStepKeepsTheModel()
{
    std::stop_source stop;
    stop.request_stop();

    const TrainingResult result = train(toy(), toySamples(4), toyRecovery(3), JobContext(stop.get_token(), {}));

    QVERIFY(result.cancelled);
    QVERIFY(result.adapter);
    QCOMPARE(result.points.size(), std::size_t(0));
    QCOMPARE(result.tokens, std::int64_t(0));
}

void TestTraining::aLossThatIsNotFiniteNamesStepAndRate()
{
    RecoveryOptions options = toyRecovery(5);
    options.learningRate = 1e25;
    const TokenIds probe = {1, 2, 3};
    const std::vector<float> before = forwardSequence(toy(), probe, false).logits;

    const ErrorInfo error = thrownBy([&] { train(toy(), toySamples(4), options); });

    QCOMPARE(error.kind, ErrorKind::Numeric);
    QVERIFY2(says(error, "step 2") && says(error, "1e+25"), error.message.c_str());
    QCOMPARE(forwardSequence(toy(), probe, false).logits, before);
}

void TestTraining::memoryThatRunsOutIsReported()
{
#if defined(__SANITIZE_ADDRESS__)
    QSKIP("The address sanitizer reserves address space of its own.");
#endif
    TrainingSample sample;
    sample.ids.assign(200'000, 1);
    sample.lossMask.assign(200'000, 1);
    TinyModelOptions model = toyOptions();
    model.maxPositions = 1 << 20;
    QTemporaryDir folder;
    writeTinyModel(folder.path().toStdString(), model);
    const Model toyWithRoom = loadModel(inspectModel(folder.path().toStdString()), {});
    RecoveryOptions options = toyRecovery(1);
    options.batchTokens = 200'000;
    options.maxLength = 200'000;
    train(toyWithRoom, toySamples(40), toyRecovery(1)); // threads start before there is a limit
    rlimit previous = {};
    getrlimit(RLIMIT_AS, &previous);
    rlimit limited = previous;
    limited.rlim_cur = addressSpace() + (64u << 20);

    setrlimit(RLIMIT_AS, &limited);
    const ErrorInfo error = thrownBy([&] { train(toyWithRoom, {sample}, options); });
    setrlimit(RLIMIT_AS, &previous);

    QCOMPARE(error.kind, ErrorKind::OutOfMemory);
    QVERIFY2(error.hint.find("100000") != std::string::npos, error.hint.c_str());
}

void TestTraining::longAndUnscoredSamplesAreDropped()
{
    std::vector<TrainingSample> samples = toySamples(3);
    samples[0].ids.assign(30, 1);
    samples[0].lossMask.assign(30, 1);
    std::fill(samples[1].lossMask.begin(), samples[1].lossMask.end(), std::uint8_t(0));
    RecoveryOptions options = toyRecovery(2);
    options.maxLength = 20;

    const TrainingResult result = train(toy(), samples, options);

    QCOMPARE(result.droppedSamples, std::int64_t(2));
    QCOMPARE(result.tokens, 2 * static_cast<std::int64_t>(samples[2].ids.size()));
}

void TestTraining::nothingToTrainOnIsRefused()
{
    QCOMPARE(thrownBy([&] { train(toy(), {}, toyRecovery(1)); }).kind, ErrorKind::InvalidArgument);
    RecoveryOptions options = toyRecovery(1);
    options.maxLength = 3;

    const ErrorInfo error = thrownBy([&] { train(toy(), toySamples(2), options); });

    QCOMPARE(error.kind, ErrorKind::InvalidArgument);
    QVERIFY2(says(error, "3 tokens"), error.message.c_str());
}

void TestTraining::impossibleOptionsAreRefused_data()
{
    QTest::addColumn<RecoveryOptions>("options");
    QTest::addColumn<QByteArray>("named");
    const auto row = [](const char *name, const char *named, auto &&change) {
        RecoveryOptions options = toyRecovery(1);
        change(options);
        QTest::newRow(name) << options << QByteArray(named);
    };
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    row("kind", "half", [](RecoveryOptions &o) { o.kind = "half"; });
    row("no parent", "parent", [](RecoveryOptions &o) { o.kind = "distill"; });
    row("muon on branches", "Muon", [](RecoveryOptions &o) { o.optimizer = "muon"; });
    row("layer drop on branches", "Layer drop", [](RecoveryOptions &o) { o.layerDrop = 0.1; });
    row("layer drop", "layer drop", [](RecoveryOptions &o) { o.layerDrop = 1; });
    row("optimiser", "sgd", [](RecoveryOptions &o) { o.optimizer = "sgd"; });
    row("temperature", "temperature", [](RecoveryOptions &o) { o.temperature = 0; });
    row("rank pattern", "layers.9", [](RecoveryOptions &o) { o.rankPattern["layers.9.q_proj"] = 3; });
    row("held out", "held-out", [](RecoveryOptions &o) { o.heldOut = 1; });
    row("too few to hold out", "none to hold out", [](RecoveryOptions &o) { o.heldOut = 0.1; });
    row("rank", "rank", [](RecoveryOptions &o) { o.rank = 0; });
    row("alpha", "alpha", [](RecoveryOptions &o) { o.alpha = kNan; });
    row("dropout", "dropout", [](RecoveryOptions &o) { o.dropout = 1; });
    row("no targets", "linear layer", [](RecoveryOptions &o) { o.targets.clear(); });
    row("unknown target", "c_attn", [](RecoveryOptions &o) { o.targets = {"q_proj", "c_attn"}; });
    row("steps", "steps", [](RecoveryOptions &o) { o.steps = 0; });
    row("batch tokens", "batch tokens", [](RecoveryOptions &o) { o.batchTokens = 0; });
    row("maximum length", "maximum length", [](RecoveryOptions &o) { o.maxLength = 1; });
    row("rate", "learning rate", [](RecoveryOptions &o) { o.learningRate = 0; });
    row("rate is not a number", "learning rate", [](RecoveryOptions &o) { o.learningRate = kNan; });
    row("schedule", "staircase", [](RecoveryOptions &o) { o.schedule = "staircase"; });
    row("warm-up", "warm-up", [](RecoveryOptions &o) { o.warmupFraction = 1.5; });
    row("decay", "weight decay", [](RecoveryOptions &o) { o.weightDecay = -1; });
    row("beta 1", "beta 1", [](RecoveryOptions &o) { o.beta1 = 1; });
    row("beta 2", "beta 2", [](RecoveryOptions &o) { o.beta2 = -0.1; });
    row("epsilon", "epsilon", [](RecoveryOptions &o) { o.epsilon = 0; });
    row("gradient limit", "gradient limit", [](RecoveryOptions &o) { o.clipNorm = -1; });
}

void TestTraining::impossibleOptionsAreRefused()
{
    QFETCH(RecoveryOptions, options);
    QFETCH(QByteArray, named);

    const ErrorInfo error = thrownBy([&] { train(toy(), toySamples(2), options); });

    QCOMPARE(error.kind, ErrorKind::InvalidArgument);
    QVERIFY2(says(error, named.toStdString()), error.message.c_str());
}

void TestTraining::impossibleSamplesAreRefused_data()
{
    QTest::addColumn<int>("id");
    QTest::addColumn<int>("masks");
    QTest::addColumn<QByteArray>("named");
    QTest::newRow("id beyond the vocabulary") << 40 << 3 << QByteArray("40");
    QTest::newRow("negative id") << -1 << 3 << QByteArray("-1");
    QTest::newRow("short mask") << 1 << 2 << QByteArray("loss mask");
}

void TestTraining::impossibleSamplesAreRefused()
{
    QFETCH(int, id);
    QFETCH(int, masks);
    QFETCH(QByteArray, named);
    TrainingSample sample;
    sample.ids = {1, id, 2};
    sample.lossMask.assign(static_cast<std::size_t>(masks), 1);

    const ErrorInfo error = thrownBy([&] { train(toy(), {sample}, toyRecovery(1)); });

    QCOMPARE(error.kind, ErrorKind::InvalidArgument);
    QVERIFY2(says(error, named.toStdString()), error.message.c_str());
}

QTEST_GUILESS_MAIN(TestTraining)
#include "tst_training.moc"
