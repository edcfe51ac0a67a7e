#include "backend/engine/detail/tensor.h" // LibTorch before Qt

#include "backend/core/error.h"
#include "backend/engine/analysis.h"
#include "backend/engine/compute_device.h"
#include "backend/engine/forward.h"
#include "backend/engine/generation.h"
#include "backend/engine/nn/causal_lm.h"
#include "backend/engine/streaming_analysis.h"
#include "backend/engine/training.h"
#include "backend/engine/transforms.h"
#include "backend/io/weight_files.h"
#include "tests/support/strict_device.h"
#include "tests/support/tiny_model.h"

#include <QTemporaryDir>
#include <QTest>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <span>

#include <unistd.h>

using namespace secateur;
namespace fs = std::filesystem;

namespace {

/// f32 sums in another order, through four blocks.
constexpr double kTolerance = 2e-4;

ComputeSettings placed(const std::string &device)
{
    ComputeSettings settings;
    settings.device = device;
    settings.dtype = "f32";
    settings.threads = 2;
    return settings;
}

TokenIds someIds(int count, int step = 37)
{
    TokenIds ids;
    for (int i = 0; i < count; ++i)
        ids.push_back((i * step + 11) % 256);
    return ids;
}

bool isClose(double a, double b)
{
    return std::abs(a - b) <= kTolerance * std::max(1.0, std::abs(a)) || (std::isnan(a) && std::isnan(b));
}

bool areClose(std::span<const float> a, std::span<const float> b)
{
    return a.size() == b.size()
        && std::equal(a.begin(), a.end(), b.begin(), [](float one, float two) { return isClose(one, two); });
}

bool areClose(const AnalysisResult &a, const AnalysisResult &b)
{
    return a.maps.size() == b.maps.size()
        && std::equal(a.maps.begin(), a.maps.end(), b.maps.begin(),
                      [](const MetricMapPtr &one, const MetricMapPtr &two) {
                          return one->id() == two->id() && areClose(one->values, two->values);
                      });
}

AnalysisRequest calibration()
{
    AnalysisRequest request;
    request.batchTokens = 48;
    request.calibration.sequences = {someIds(20), someIds(20, 41), someIds(7, 3), someIds(33, 5)};
    return request;
}

std::vector<TrainingSample> trainingSamples()
{
    std::vector<TrainingSample> samples;
    for (const int length : {9, 14, 11, 6}) {
        TrainingSample sample{someIds(length, length), {}};
        sample.lossMask.assign(sample.ids.size(), 1);
        samples.push_back(std::move(sample));
    }
    return samples;
}

RecoveryOptions recovery()
{
    RecoveryOptions options;
    options.rank = 2;
    options.alpha = 4;
    options.dropout = 0;
    options.steps = 4;
    options.batchTokens = 24;
    options.learningRate = 1e-2;
    return options;
}

const UnitSet kSomeUnits{{1}, {{0, {1}}}, {{2, {0, 3, 9}}}};

} // namespace

/// Every entry point of the engine on another device than the CPU, against the CPU. The strict device is always there:
/// a tensor that was made or left on the wrong device throws, one that is read without a copy ends the program.
class TestDevice : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void init();

    void mixedDevicesThrow();
    void strictMemoryCannotBeRead();
    void loadedModelLiesOnTheDevice_data() { devices(); }
    void loadedModelLiesOnTheDevice();
    void forwardAgrees_data() { devices(); }
    void forwardAgrees();
    void familiesAgree_data() { devices(); }
    void familiesAgree();
    void bf16Runs_data() { devices(); }
    void bf16Runs();
    void scoresAgree_data() { devices(); }
    void scoresAgree();
    void perplexityAgrees_data() { devices(); }
    void perplexityAgrees();
    void generationAgrees_data() { devices(); }
    void generationAgrees();
    void samplingRuns_data() { devices(); }
    void samplingRuns();
    void mapsAgree_data() { devices(); }
    void mapsAgree();
    void streamedMapsAgree_data() { devices(); }
    void streamedMapsAgree();
    void prunedModelsAgree_data() { devices(); }
    void prunedModelsAgree();
    void savedWeightsAgree_data() { devices(); }
    void savedWeightsAgree();
    void trainingAgrees_data() { devices(); }
    void trainingAgrees();
    void trainingWithDropoutRuns_data() { devices(); }
    void trainingWithDropoutRuns();
    void adaptersAgree_data() { devices(); }
    void adaptersAgree();
    void numericErrorsAreLocated_data() { devices(); }
    void numericErrorsAreLocated();

private:
    void devices() const
    {
        QTest::addColumn<std::string>("id");
        QTest::newRow("strict") << m_strict;
        QTest::newRow("cuda") << std::string("cuda:0");
    }
    fs::path folder(const char *name) const { return fs::path(m_folder.path().toStdString()) / name; }
    Model onDevice() const { return loadModel(m_info, placed(m_device)); }
    Model onCpu() const { return loadModel(m_info, placed("cpu")); }

    QTemporaryDir m_folder;
    std::string m_strict;
    std::string m_device; ///< of the running row
    ModelInfo m_info;
};

void TestDevice::initTestCase()
{
    m_strict = registerStrictDevice();
    TinyModelOptions options;
    options.tied = false;
    writeTinyModel(folder("model"), options);
    m_info = inspectModel(folder("model"));
}

void TestDevice::init()
{
    if (!QTest::currentDataTag())
        return;
    QFETCH(std::string, id);
    m_device = id;
    const std::vector<DeviceInfo> known = listDevices();
    const bool there = std::any_of(known.begin(), known.end(), [&](const DeviceInfo &one) { return one.id == id; });
    if (id != m_strict && !there)
        QSKIP("this machine has no CUDA device");
}

void TestDevice::mixedDevicesThrow()
{
    const Model strict = loadModel(m_info, placed(m_strict));
    auto mixed = std::make_shared<Model::Impl>(strict.impl());
    mixed->finalNorm = mixed->finalNorm.cpu();
    try {
        forwardSequence(Model(mixed), someIds(5), false);
        QFAIL("nothing was thrown");
    } catch (const Error &error) {
        QVERIFY2(std::string(error.what()).find("cpu") != std::string::npos, error.what());
    }
}

void TestDevice::strictMemoryCannotBeRead()
{
    const Model strict = loadModel(m_info, placed(m_strict));
    int ends[2];
    QCOMPARE(pipe(ends), 0);
    // the kernel reads from the address on our behalf and tells what we would be killed for
    QCOMPARE(write(ends[1], strict.impl().finalNorm.const_data_ptr(), 1), ssize_t(-1));
    QCOMPARE(errno, EFAULT);
    close(ends[0]);
    close(ends[1]);
}

void TestDevice::loadedModelLiesOnTheDevice()
{
    QCOMPARE(onDevice().device(), m_device);
    QCOMPARE(onDevice().parameters(), onCpu().parameters());
    QCOMPARE(randomModel(*m_info.config, 1, placed(m_device)).device(), m_device);
}

void TestDevice::forwardAgrees()
{
    const SequenceOutputs device = forwardSequence(onDevice(), someIds(40), true);
    const SequenceOutputs cpu = forwardSequence(onCpu(), someIds(40), true);
    QVERIFY(areClose(device.logits, cpu.logits));
    QVERIFY(areClose(device.hidden, cpu.hidden));
}

void TestDevice::familiesAgree()
{
    for (int family = 0; family < 3; ++family) {
        TinyModelOptions options;
        options.biases = family == 0;
        options.queryKeyNorm = family == 1;
        options.slidingWindow = family == 2 ? 8 : 0;
        writeTinyModel(folder("family"), options);
        const ModelInfo info = inspectModel(folder("family"));
        const Model device = loadModel(info, placed(m_device));
        const Model cpu = loadModel(info, placed("cpu"));
        QVERIFY(areClose(forwardSequence(device, someIds(40), false).logits,
                         forwardSequence(cpu, someIds(40), false).logits));
        GenerationRequest request;
        request.prompts = {someIds(12), someIds(3)};
        request.options.maxNewTokens = 8;
        request.options.ignoreEos = true;
        QVERIFY(generate(device, request, nullptr).sequences.front().ids
                == generate(cpu, request, nullptr).sequences.front().ids);
    }
}

void TestDevice::bf16Runs()
{
    ComputeSettings settings = placed(m_device);
    settings.dtype = "bf16";
    const Model model = loadModel(m_info, settings);
    QCOMPARE(model.dtype(), std::string("bf16"));
    const std::vector<float> half = forwardSequence(model, someIds(20), false).logits;
    const std::vector<float> whole = forwardSequence(onCpu(), someIds(20), false).logits;
    double worst = 0;
    for (std::size_t i = 0; i < half.size(); ++i)
        worst = std::max<double>(worst, std::abs(half[i] - whole[i]));
    QVERIFY2(worst < 0.2, std::to_string(worst).c_str()); // logits of about ±2 in 8 bits, through four blocks
    QCOMPARE(analyze(model, calibration()).maps.size(), std::size_t(7));
    QVERIFY(!train(model, trainingSamples(), recovery()).points.empty());
}

void TestDevice::scoresAgree()
{
    const std::vector<TokenIds> continuations{someIds(4), {}, someIds(1), someIds(9, 5)};
    const auto device = scoreContinuations(onDevice(), someIds(30), continuations);
    const auto cpu = scoreContinuations(onCpu(), someIds(30), continuations);
    for (std::size_t i = 0; i < continuations.size(); ++i) {
        QVERIFY(isClose(device[i].logprob, cpu[i].logprob));
        QCOMPARE(device[i].isGreedy, cpu[i].isGreedy);
    }
    // longer than the model: the context is cut
    const auto cut = scoreContinuations(onDevice(), someIds(600), {someIds(4)});
    QVERIFY(isClose(cut.front().logprob, scoreContinuations(onCpu(), someIds(600), {someIds(4)}).front().logprob));
}

void TestDevice::perplexityAgrees()
{
    QVERIFY(isClose(perplexity(onDevice(), someIds(200), 32, 0).perplexity,
                    perplexity(onCpu(), someIds(200), 32, 0).perplexity));
}

void TestDevice::generationAgrees()
{
    GenerationRequest request;
    request.prompts = {someIds(12), someIds(3), someIds(20, 7)};
    request.options.maxNewTokens = 12;
    request.batch = 2; // the third takes a free slot
    const GenerationResult device = generate(onDevice(), request, nullptr);
    const GenerationResult cpu = generate(onCpu(), request, nullptr);
    for (std::size_t i = 0; i < request.prompts.size(); ++i) {
        QCOMPARE(device.sequences[i].ids, cpu.sequences[i].ids);
        QCOMPARE(device.sequences[i].finish, cpu.sequences[i].finish);
    }
}

void TestDevice::samplingRuns()
{
    GenerationRequest request;
    request.prompts = {someIds(12), someIds(3)};
    request.options.maxNewTokens = 8;
    request.options.ignoreEos = true;
    request.options.temperature = 0.8;
    request.options.topP = 0.9;
    request.options.topK = 20;
    request.options.minP = 0.01;
    request.options.seed = 7;
    const GenerationResult result = generate(onDevice(), request, nullptr);
    for (const GeneratedSequence &sequence : result.sequences)
        QCOMPARE(sequence.ids.size(), std::size_t(8));
}

void TestDevice::mapsAgree()
{
    QVERIFY(areClose(analyze(onDevice(), calibration()), analyze(onCpu(), calibration())));
}

void TestDevice::streamedMapsAgree()
{
    const std::uint64_t plenty = std::uint64_t(1) << 40;
    QVERIFY(
        areClose(analyzeStreaming(m_info, calibration(), placed(m_device), plenty), analyze(onCpu(), calibration())));
}

void TestDevice::prunedModelsAgree()
{
    const Model device = onDevice();
    const Model pruned = prune(device, kSomeUnits);
    QCOMPARE(pruned.device(), m_device);
    const std::vector<float> logits = forwardSequence(pruned, someIds(20), false).logits;
    QVERIFY(areClose(logits, forwardSequence(prune(onCpu(), kSomeUnits), someIds(20), false).logits));
    QVERIFY(areClose(logits, forwardSequence(mask(device, kSomeUnits), someIds(20), false).logits));
    for (const CheckResult &check : sanityGate(device, pruned, someIds(16)))
        QVERIFY2(check.passed, check.name.c_str());
    QVERIFY(largestLogitDifference(device, pruned, someIds(16)) > 0);
    QVERIFY(areClose(analyze(pruned, calibration()), analyze(prune(onCpu(), kSomeUnits), calibration())));
}

void TestDevice::savedWeightsAgree()
{
    fs::create_directories(folder("saved"));
    for (const char *dtype : {"F32", "BF16"}) {
        saveWeights(prune(onDevice(), kSomeUnits), folder("saved"), dtype);
        const Model again = loadModel(inspectModel(folder("saved")), placed("cpu"));
        QCOMPARE(again.config().layers(), 3);
    }
}

void TestDevice::trainingAgrees()
{
    const TrainingResult device = train(onDevice(), trainingSamples(), recovery());
    const TrainingResult cpu = train(onCpu(), trainingSamples(), recovery());
    QCOMPARE(device.points.size(), cpu.points.size());
    for (std::size_t i = 0; i < cpu.points.size(); ++i)
        QVERIFY2(isClose(device.points[i].loss, cpu.points[i].loss),
                 qPrintable(QString::number(device.points[i].loss) + " " + QString::number(cpu.points[i].loss)));
    const TrainingResult more = train(onDevice(), trainingSamples(), recovery(), {}, {.start = device.adapter.get()});
    QCOMPARE(more.points.size(), device.points.size());
}

void TestDevice::trainingWithDropoutRuns()
{
    RecoveryOptions options = recovery();
    options.dropout = 0.25;
    const TrainingResult result = train(onDevice(), trainingSamples(), options);
    for (const TrainingPoint &point : result.points)
        QVERIFY(std::isfinite(point.loss));
}

void TestDevice::adaptersAgree()
{
    const Model cpu = onCpu();
    const Adapter trained = *train(cpu, trainingSamples(), recovery()).adapter;
    saveAdapter(trained, folder("adapter"), "base");
    const std::vector<float> expected = forwardSequence(withAdapter(cpu, trained), someIds(20), false).logits;

    const Model device = onDevice();
    const Adapter loaded = loadAdapter(folder("adapter"), device);
    QVERIFY(areClose(forwardSequence(withAdapter(device, loaded), someIds(20), false).logits, expected));
    QVERIFY(areClose(forwardSequence(mergeAdapter(device, loaded), someIds(20), false).logits, expected));
    QVERIFY(areClose(analyze(withAdapter(device, loaded), calibration()),
                     analyze(withAdapter(cpu, trained), calibration())));
    QCOMPARE(prune(withAdapter(device, loaded), kSomeUnits).device(), m_device);

    saveAdapter(*train(device, trainingSamples(), recovery()).adapter, folder("trained"), "base");
    const Adapter back = loadAdapter(folder("trained"), cpu);
    QVERIFY(areClose(forwardSequence(withAdapter(cpu, back), someIds(20), false).logits, expected));
}

void TestDevice::numericErrorsAreLocated()
{
    writeTinyModel(folder("broken"));
    const ModelInfo info = inspectModel(folder("broken"));
    for (const TensorInfo &tensor : info.tensors) {
        if (tensor.name != "model.layers.1.mlp.up_proj.weight" && tensor.name != "model.layers.1.mlp.down_proj.weight")
            continue;
        std::fstream file(info.path / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(tensor.offset));
        const std::vector<float> values(tensor.bytes / sizeof(float), 1e30f);
        file.write(reinterpret_cast<const char *>(values.data()), static_cast<std::streamsize>(tensor.bytes));
    }
    const Model model = loadModel(info, placed(m_device));
    for (const int entry : {0, 1, 2}) {
        try {
            if (entry == 0)
                forwardSequence(model, someIds(5), false);
            else if (entry == 1)
                analyze(model, calibration());
            else
                scoreContinuations(model, someIds(5), {someIds(2)});
            QFAIL("nothing was thrown");
        } catch (const Error &error) {
            QVERIFY2(std::string(error.what()).find("after block 1, at token 0") != std::string::npos, error.what());
        }
    }
}

QTEST_GUILESS_MAIN(TestDevice)
#include "tst_device.moc"
