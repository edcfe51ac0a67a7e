#include "backend/engine/analysis.h"
#include "backend/engine/streaming_analysis.h"
#include "backend/engine/transforms.h"
#include "backend/io/weight_files.h"
#include "tests/support/error_mentions.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/tiny_model.h"

#include <QTemporaryDir>
#include <QTest>

#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <random>

using namespace secateur;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kPlenty = std::uint64_t(1) << 40;
constexpr std::uint64_t kProcessGrowth = 4 << 20; ///< between an estimate and the sweep

ComputeSettings computing(const std::string &dtype)
{
    ComputeSettings settings;
    settings.dtype = dtype;
    settings.threads = 2;
    return settings;
}

/// Sequences of unequal length that make several uneven batches.
AnalysisRequest unevenRequest(int vocabulary)
{
    std::mt19937 engine(5);
    AnalysisRequest request;
    request.batchTokens = 48;
    for (const int length : {17, 31, 16, 16, 5, 60, 2, 1, 23}) {
        TokenIds ids;
        for (int i = 0; i < length; ++i)
            ids.push_back(static_cast<std::int32_t>(engine() % static_cast<unsigned>(vocabulary)));
        request.calibration.sequences.push_back(ids);
    }
    return request;
}

/// Q8_0 matrices with the rows of llama's heads interleaved, an untied head and F32 norms.
void writeQuantisedModel(const fs::path &file)
{
    std::mt19937 engine(3);
    GgufBuilder builder;
    builder.text("general.architecture", "llama")
        .integer("llama.block_count", 3)
        .integer("llama.embedding_length", 32)
        .integer("llama.context_length", 128)
        .integer("llama.feed_forward_length", 64)
        .integer("llama.attention.head_count", 4)
        .integer("llama.attention.head_count_kv", 2)
        .number("llama.attention.layer_norm_rms_epsilon", 1e-5f)
        .number("llama.rope.freq_base", 10000);
    const auto matrix = [&](const std::string &name, std::uint64_t rows, std::uint64_t columns) {
        std::string data;
        for (std::uint64_t block = 0; block < rows * columns / 32; ++block) {
            data += GgufBuilder::bytes(std::uint16_t(0x1800)); // 2⁻⁹
            for (int i = 0; i < 32; ++i)
                data += static_cast<char>(engine() % 255);
        }
        builder.tensor({name, 8, {columns, rows}, data, 0});
    };
    matrix("token_embd.weight", 50, 32);
    matrix("output.weight", 50, 32);
    builder.floats("output_norm.weight", {32}, 1);
    for (const std::string block : {"blk.0.", "blk.1.", "blk.2."}) {
        builder.floats(block + "attn_norm.weight", {32}, 1).floats(block + "ffn_norm.weight", {32}, 1);
        matrix(block + "attn_q.weight", 32, 32);
        matrix(block + "attn_k.weight", 16, 32);
        matrix(block + "attn_v.weight", 16, 32);
        matrix(block + "attn_output.weight", 32, 32);
        matrix(block + "ffn_gate.weight", 64, 32);
        matrix(block + "ffn_up.weight", 64, 32);
        matrix(block + "ffn_down.weight", 32, 64);
    }
    builder.write(file);
}

/// The first difference in words; empty when all maps are equal bit for bit.
std::string difference(const AnalysisResult &a, const AnalysisResult &b)
{
    if (a.maps.size() != b.maps.size())
        return std::to_string(a.maps.size()) + " and " + std::to_string(b.maps.size()) + " maps";
    for (std::size_t i = 0; i < a.maps.size(); ++i) {
        const MetricMap &one = *a.maps[i];
        const MetricMap &two = *b.maps[i];
        if (one.id() != two.id() || one.rows != two.rows || one.columns != two.columns
            || one.values.size() != two.values.size())
            return one.id() + " and " + two.id() + " differ in shape";
        for (std::size_t k = 0; k < one.values.size(); ++k)
            if (std::bit_cast<std::uint32_t>(one.values[k]) != std::bit_cast<std::uint32_t>(two.values[k]))
                return one.id() + " differs at " + std::to_string(k) + ": " + std::to_string(one.values[k]) + " and "
                    + std::to_string(two.values[k]);
    }
    return {};
}

} // namespace

class TestStreaming : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void mapsAreThoseOfTheResidentSweep_data();
    void mapsAreThoseOfTheResidentSweep();
    void statesInAFileGiveTheSameMaps_data();
    void statesInAFileGiveTheSameMaps();
    void someMapsNeedFewerStates_data();
    void someMapsNeedFewerStates();
    void smallestBudgetWorksAndLessIsRefused();
    void estimateCountsWhatIsRead();
    void modelThatCannotFitIsKnown();
    void badRequestsAreRefusedAsInMemory();
    void stopEndsTheSweepWithinABatch();
    void damagedWeightsAreNamed();
    void overflowIsNamedByBlockAndSequence();
    void temporaryFolderThatIsMissingIsNamed();

private:
    fs::path folder(const char *name) const { return fs::path(m_folder.path().toStdString()) / name; }
    ModelInfo tinyModel(const char *name, const TinyModelOptions &options = {}) const
    {
        writeTinyModel(folder(name), options);
        return inspectModel(folder(name));
    }

    QTemporaryDir m_folder;
};

void TestStreaming::mapsAreThoseOfTheResidentSweep_data()
{
    using Writer = std::function<void(const fs::path &)>;
    QTest::addColumn<Writer>("write");
    QTest::addColumn<std::string>("dtype");
    const auto row = [](const char *name, const Writer &write) {
        for (const char *dtype : {"f32", "bf16"})
            QTest::addRow("%s, %s", name, dtype) << write << std::string(dtype);
    };
    const auto tiny = [&row](const char *name, const TinyModelOptions &options) {
        row(name, [options](const fs::path &path) { writeTinyModel(path, options); });
    };
    /// A tiny model written again, in another dtype and in small files; \a removed pruned away first.
    const auto saved = [&row](const char *name, const char *dtype, const UnitSet &removed) {
        row(name, [dtype, removed](const fs::path &path) {
            fs::path source = path;
            source += "-source";
            TinyModelOptions options;
            options.tied = false;
            writeTinyModel(source, options);
            Model model = loadModel(inspectModel(source), computing("f32"));
            if (!removed.empty())
                model = prune(model, removed);
            fs::create_directories(path);
            saveWeights(model, path, dtype, {}, 20'000);
        });
    };
    TinyModelOptions options;
    tiny("tied", options);
    options.tied = false;
    tiny("untied", options);
    options.biases = true;
    tiny("biases", options);
    options = {};
    options.queryKeyNorm = true;
    tiny("normed queries and keys", options);
    options = {};
    options.slidingWindow = 8;
    tiny("sliding window", options);
    options = {};
    options.hiddenSize = 30; // rows that do not start on a vector
    options.intermediateSize = 50;
    tiny("odd widths", options);
    saved("shards of f32", "F32", {});
    saved("shards of bf16", "BF16", {});
    saved("shards of f16", "F16", {});
    saved("uneven blocks", "F32", {{1}, {{0, {1}}}, {{2, {0, 3, 4, 9}}}});
    row("quantised GGUF", writeQuantisedModel);
}

void TestStreaming::mapsAreThoseOfTheResidentSweep()
{
    QFETCH(std::function<void(const fs::path &)>, write);
    QFETCH(std::string, dtype);
    fs::path path = folder(QByteArray(QTest::currentDataTag()).replace(' ', '_').constData());
    if (QByteArray(QTest::currentDataTag()).contains("GGUF"))
        path += ".gguf";
    write(path);
    const ModelInfo info = inspectModel(path);
    const AnalysisRequest request = unevenRequest(info.config->vocabSize);
    const AnalysisResult resident = analyze(loadModel(info, computing(dtype)), request);
    QVERIFY(resident.maps.size() == 7);
    const AnalysisResult streamed = analyzeStreaming(info, request, computing(dtype), kPlenty);
    QVERIFY2(difference(resident, streamed).empty(), difference(resident, streamed).c_str());
}

void TestStreaming::statesInAFileGiveTheSameMaps_data()
{
    QTest::addColumn<std::string>("dtype");
    QTest::newRow("f32") << std::string("f32");
    QTest::newRow("bf16") << std::string("bf16");
}

void TestStreaming::statesInAFileGiveTheSameMaps()
{
    QFETCH(std::string, dtype);
    TinyModelOptions options;
    options.layers = 2;
    const ModelInfo info = tinyModel("file", options);
    AnalysisRequest request = unevenRequest(info.config->vocabSize);
    const std::vector<TokenIds> few = request.calibration.sequences;
    while (request.calibration.sequences.size() < 9 * 250)
        request.calibration.sequences.insert(request.calibration.sequences.end(), few.begin(), few.end());
    request.batchTokens = 2000;
    const AnalysisResult resident = analyze(loadModel(info, computing(dtype)), request);
    // the estimate counts what the process holds now, so leave room for what the next call finds
    const std::uint64_t budget = estimateStreaming(info, request, computing(dtype), 0).smallestBudget + kProcessGrowth;
    QVERIFY(estimateStreaming(info, request, computing(dtype), budget).statesInFile);
    const AnalysisResult streamed = analyzeStreaming(info, request, computing(dtype), budget);
    QVERIFY2(difference(resident, streamed).empty(), difference(resident, streamed).c_str());
}

void TestStreaming::someMapsNeedFewerStates_data()
{
    QTest::addColumn<std::vector<std::string>>("maps");
    QTest::newRow("widths") << std::vector<std::string>{"head_importance", "ffn_importance"};
    QTest::newRow("heads") << std::vector<std::string>{"head_importance"};
    QTest::newRow("depth") << std::vector<std::string>{"block_distance"};
}

void TestStreaming::someMapsNeedFewerStates()
{
    QFETCH(std::vector<std::string>, maps);
    const ModelInfo info = tinyModel("some");
    AnalysisRequest request = unevenRequest(info.config->vocabSize);
    const StreamingEstimate all = estimateStreaming(info, request, computing("f32"), kPlenty);
    request.maps = maps;
    const StreamingEstimate some = estimateStreaming(info, request, computing("f32"), kPlenty);
    const bool depth = maps.front() == "block_distance";
    QCOMPARE(some.states, depth ? all.states : all.states / 5); // four blocks have five states
    const AnalysisResult resident = analyze(loadModel(info, computing("f32")), request);
    const AnalysisResult streamed = analyzeStreaming(info, request, computing("f32"), kPlenty);
    QVERIFY2(difference(resident, streamed).empty(), difference(resident, streamed).c_str());
}

void TestStreaming::smallestBudgetWorksAndLessIsRefused()
{
    TinyModelOptions options;
    options.hiddenSize = 64;
    options.intermediateSize = 192;
    options.layers = 3;
    const ModelInfo info = tinyModel("budget", options);
    AnalysisRequest request = unevenRequest(info.config->vocabSize);
    const TokenIds repeated(500, 65);
    request.calibration.sequences.assign(400, repeated); // states of 200 MB would not fit
    const StreamingEstimate estimate = estimateStreaming(info, request, computing("f32"), 0);
    QVERIFY(estimate.statesInFile);
    QVERIFY(estimate.states > 190'000'000);
    QVERIFY(!estimateStreaming(info, request, computing("f32"), kPlenty).statesInFile);

    const auto error = errorOf([&] { analyzeStreaming(info, request, computing("f32"), estimate.smallestBudget / 2); });
    QVERIFY(error && error->kind == ErrorKind::InvalidArgument);
    QVERIFY2(mentions(*error, "the smallest that works is "), error->message.c_str());

    const std::uint64_t budget = estimate.smallestBudget + kProcessGrowth;
    QVERIFY(estimateStreaming(info, request, computing("f32"), budget).statesInFile);
    request.calibration.sequences.resize(20);
    QCOMPARE(analyzeStreaming(info, request, computing("f32"), budget).maps.size(), std::size_t(7));
}

void TestStreaming::estimateCountsWhatIsRead()
{
    TinyModelOptions options;
    options.tied = false;
    const ModelInfo info = tinyModel("read", options);
    AnalysisRequest request;
    request.calibration.sequences = {{1, 2, 3, 2, 1}};
    const StreamingEstimate estimate = estimateStreaming(info, request, computing("f32"), kPlenty);
    std::uint64_t blocks = 0;
    for (const TensorInfo &tensor : info.tensors)
        if (tensor.name.find("layers.") != std::string::npos)
            blocks += tensor.bytes;
    QCOMPARE(estimate.bytesRead, blocks + 3 * 32 * 4); // three rows of the embedding, nothing of the head
    QCOMPARE(estimate.passes, 1);
    QCOMPARE(estimate.block, std::uint64_t(0)); // F32 weights computed in f32 stay where they are
    QVERIFY(estimateStreaming(info, request, computing("bf16"), kPlenty).block > 0);
}

void TestStreaming::modelThatCannotFitIsKnown()
{
    ModelInfo info = tinyModel("fits");
    QVERIFY(analysisFitsInMemory(info, computing("f32")));
    info.config->vocabSize = 2'000'000'000; // × 32 × 4 bytes
    QVERIFY(!analysisFitsInMemory(info, computing("f32")));
    QVERIFY(defaultMemoryBudget() > 0);
}

void TestStreaming::badRequestsAreRefusedAsInMemory()
{
    const ModelInfo info = tinyModel("bad");
    const Model model = loadModel(info, computing("f32"));
    AnalysisRequest none;
    AnalysisRequest unknownMap = unevenRequest(info.config->vocabSize);
    unknownMap.maps = {"block_cosine", "ripeness"};
    AnalysisRequest wrongId;
    wrongId.calibration.sequences = {{1, 2}, {3, 99999}};
    for (const AnalysisRequest &request : {none, unknownMap, wrongId}) {
        const auto resident = errorOf([&] { analyze(model, request); });
        const auto streamed = errorOf([&] { analyzeStreaming(info, request, computing("f32"), kPlenty); });
        QVERIFY(resident && streamed);
        QVERIFY(resident->kind == streamed->kind);
        QCOMPARE(streamed->message, resident->message);
    }
}

void TestStreaming::stopEndsTheSweepWithinABatch()
{
    const ModelInfo info = tinyModel("stop");
    const AnalysisRequest request = unevenRequest(info.config->vocabSize);
    std::vector<Progress> reports;
    analyzeStreaming(info, request, computing("f32"), kPlenty,
                     JobContext({}, [&](const Progress &progress) { reports.push_back(progress); }));
    const auto total = reports.back().total;
    QCOMPARE(reports.back().done, total);
    for (std::size_t i = 1; i < reports.size(); ++i) {
        QCOMPARE(reports[i].stage, std::string("analyze.sweep"));
        QVERIFY(reports[i].done >= reports[i - 1].done);
    }
    for (const std::size_t last : {std::size_t(0), reports.size() / 3, reports.size() / 2, reports.size() - 1}) {
        std::stop_source stop;
        std::size_t seen = 0;
        const JobContext context(stop.get_token(), [&](const Progress &) {
            if (seen++ == last)
                stop.request_stop();
        });
        QVERIFY_EXCEPTION_THROWN(analyzeStreaming(info, request, computing("f32"), kPlenty, context), Cancelled);
        QCOMPARE(seen, last + 1);
    }
}

void TestStreaming::damagedWeightsAreNamed()
{
    const ModelInfo info = tinyModel("damaged");
    const TensorInfo *damaged = nullptr;
    for (const TensorInfo &tensor : info.tensors)
        if (tensor.name == "model.layers.2.mlp.up_proj.weight")
            damaged = &tensor;
    QVERIFY(damaged);
    {
        std::fstream file(info.path / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(damaged->offset));
        const float value = std::numeric_limits<float>::quiet_NaN();
        file.write(reinterpret_cast<const char *>(&value), sizeof value);
    }
    const auto error
        = errorOf([&] { analyzeStreaming(info, unevenRequest(info.config->vocabSize), computing("f32"), kPlenty); });
    QVERIFY(error && error->kind == ErrorKind::Numeric);
    QVERIFY2(mentions(*error, "\"model.layers.2.mlp.up_proj.weight\" of model.safetensors holds NaN at [0, 0]"),
             error->message.c_str());
}

void TestStreaming::overflowIsNamedByBlockAndSequence()
{
    const ModelInfo info = tinyModel("overflow");
    for (const TensorInfo &tensor : info.tensors) {
        const bool up = tensor.name == "model.layers.1.mlp.up_proj.weight";
        const bool down = tensor.name == "model.layers.1.mlp.down_proj.weight";
        if (!up && !down)
            continue;
        std::fstream file(info.path / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(static_cast<std::streamoff>(tensor.offset));
        const std::vector<float> values(tensor.bytes / sizeof(float), 1e30f);
        file.write(reinterpret_cast<const char *>(values.data()), static_cast<std::streamsize>(tensor.bytes));
    }
    const AnalysisRequest request = unevenRequest(info.config->vocabSize);
    const auto resident = errorOf([&] { analyze(loadModel(info, computing("f32")), request); });
    const auto streamed = errorOf([&] { analyzeStreaming(info, request, computing("f32"), kPlenty); });
    QVERIFY(resident && streamed && streamed->kind == ErrorKind::Numeric);
    QVERIFY2(mentions(*streamed, "after block 1, at token 0 of sequence 0"), streamed->message.c_str());
    QCOMPARE(streamed->message, resident->message);
}

void TestStreaming::temporaryFolderThatIsMissingIsNamed()
{
    const ModelInfo info = tinyModel("folder");
    AnalysisRequest request;
    request.calibration.sequences.assign(600, TokenIds(500, 65)); // 190 MB of states
    const std::uint64_t budget = estimateStreaming(info, request, computing("f32"), 0).smallestBudget + kProcessGrowth;
    const QByteArray before = qgetenv("TMPDIR");
    qputenv("TMPDIR", "/nowhere/at/all");
    const auto error = errorOf([&] { analyzeStreaming(info, request, computing("f32"), budget); });
    qputenv("TMPDIR", before);
    QVERIFY(error && error->kind == ErrorKind::Io);
    QVERIFY2(mentions(*error, "/nowhere/at/all"), error->message.c_str());
}

QTEST_GUILESS_MAIN(TestStreaming)
#include "tst_streaming.moc"
