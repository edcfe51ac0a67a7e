#include "backend/io/map_archive.h"
#include "backend/io/safetensors.h"
#include "tests/e2e/cli_process.h"

#include <nlohmann/json.hpp>

#include <QElapsedTimer>
#include <QTemporaryDir>
#include <QTest>

#include <algorithm>
#include <bit>
#include <fstream>
#include <random>

using namespace secateur;
namespace fs = std::filesystem;

namespace {

/// A model of BF16 shards that is written from a small pool of random numbers: it never is in memory as a whole.
struct LargeModel {
    int layers = 24;
    std::int64_t hidden = 512;
    std::int64_t ffn = 2048;
    std::int64_t vocabulary = 4096;
    int blocksPerShard = 8;
};

void writeLargeModel(const fs::path &folder, const LargeModel &shape)
{
    using nlohmann::json;
    const json config = {{"architectures", {"LlamaForCausalLM"}},
                         {"model_type", "llama"},
                         {"hidden_act", "silu"},
                         {"hidden_size", shape.hidden},
                         {"intermediate_size", shape.ffn},
                         {"num_hidden_layers", shape.layers},
                         {"num_attention_heads", shape.hidden / 64},
                         {"num_key_value_heads", shape.hidden / 256},
                         {"vocab_size", shape.vocabulary},
                         {"max_position_embeddings", 4096},
                         {"rms_norm_eps", 1e-5},
                         {"rope_theta", 10000.0},
                         {"tie_word_embeddings", false},
                         {"torch_dtype", "bfloat16"}};
    fs::create_directories(folder);
    std::ofstream(folder / "config.json") << config.dump();

    const std::int64_t largest = std::max(shape.vocabulary, shape.ffn) * shape.hidden;
    constexpr std::int64_t kShift = 1021;
    std::vector<std::uint16_t> pool(static_cast<std::size_t>(largest + 64 * kShift));
    std::mt19937 engine(1);
    for (std::uint16_t &value : pool) { // uniform in ±0.03: the upper half of an f32
        const float uniform = (static_cast<float>(engine() >> 8) / 16777216.0f - 0.5f) * 0.06f;
        value = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(uniform) >> 16);
    }
    const std::vector<std::uint16_t> ones(static_cast<std::size_t>(shape.hidden), 0x3F80);

    int shards = (shape.layers + shape.blocksPerShard - 1) / shape.blocksPerShard;
    json index = {{"metadata", json::object()}, {"weight_map", json::object()}};
    int made = 0;
    for (int shard = 0; shard < shards; ++shard) {
        char name[64];
        std::snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", shard + 1, shards);
        std::vector<TensorView> views;
        const auto add = [&](const std::string &tensor, std::vector<std::int64_t> sizes) {
            std::size_t count = 1;
            for (const std::int64_t size : sizes)
                count *= static_cast<std::size_t>(size);
            const bool norm = sizes.size() == 1;
            const std::span<const std::uint16_t> values = norm
                ? std::span<const std::uint16_t>(ones)
                : std::span<const std::uint16_t>(pool).subspan(static_cast<std::size_t>(made++ % 64 * kShift), count);
            views.push_back({tensor, "BF16", std::move(sizes), std::as_bytes(values)});
            index["weight_map"][tensor] = name;
        };
        if (shard == 0) {
            add("model.embed_tokens.weight", {shape.vocabulary, shape.hidden});
            add("model.norm.weight", {shape.hidden});
            add("lm_head.weight", {shape.vocabulary, shape.hidden});
        }
        const int last = std::min(shape.layers, (shard + 1) * shape.blocksPerShard);
        for (int block = shard * shape.blocksPerShard; block < last; ++block) {
            const std::string prefix = "model.layers." + std::to_string(block) + ".";
            add(prefix + "input_layernorm.weight", {shape.hidden});
            add(prefix + "self_attn.q_proj.weight", {shape.hidden, shape.hidden});
            add(prefix + "self_attn.k_proj.weight", {shape.hidden / 4, shape.hidden});
            add(prefix + "self_attn.v_proj.weight", {shape.hidden / 4, shape.hidden});
            add(prefix + "self_attn.o_proj.weight", {shape.hidden, shape.hidden});
            add(prefix + "post_attention_layernorm.weight", {shape.hidden});
            add(prefix + "mlp.gate_proj.weight", {shape.ffn, shape.hidden});
            add(prefix + "mlp.up_proj.weight", {shape.ffn, shape.hidden});
            add(prefix + "mlp.down_proj.weight", {shape.hidden, shape.ffn});
        }
        writeSafetensors(folder / name, views);
    }
    std::ofstream(folder / "model.safetensors.index.json") << index.dump();
}

void writeIds(const fs::path &file, int sequences, int length, std::int64_t vocabulary)
{
    std::mt19937 engine(2);
    nlohmann::json list = nlohmann::json::array();
    for (int s = 0; s < sequences; ++s) {
        nlohmann::json ids = nlohmann::json::array();
        for (int i = 0; i < length - s; ++i)
            ids.push_back(engine() % static_cast<unsigned>(vocabulary));
        list.push_back(ids);
    }
    std::ofstream(file) << nlohmann::json{{"sequences", list}}.dump();
}

std::uint64_t anonymousBytes(qint64 pid)
{
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string word; status >> word;) {
        std::uint64_t kilobytes = 0;
        if (word == "RssAnon:" && status >> kilobytes)
            return kilobytes * 1024;
    }
    return 0;
}

struct Watched {
    CliResult result;
    std::uint64_t peak = 0; ///< RssAnon
    double seconds = 0;
};

/// Runs secateur-cli and reads its anonymous memory all the while.
Watched watchedCli(const QStringList &arguments)
{
    Watched watched;
    QElapsedTimer timer;
    timer.start();
    QProcess process;
    process.start(QStringLiteral(SECATEUR_CLI), arguments);
    if (!process.waitForStarted())
        return watched;
    while (!process.waitForFinished(2) && process.state() == QProcess::Running)
        watched.peak = std::max(watched.peak, anonymousBytes(process.processId()));
    watched.seconds = static_cast<double>(timer.elapsed()) / 1000;
    watched.result.crashed = process.exitStatus() != QProcess::NormalExit;
    watched.result.exitCode = process.exitCode();
    watched.result.output = process.readAllStandardOutput();
    watched.result.error = process.readAllStandardError();
    return watched;
}

bool underSanitizer()
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#else
    return false;
#endif
}

} // namespace

/// SECATEUR_STREAM_LARGE=1 takes a model of 3 GB and a budget of 1 GiB: tests/bench/streaming_memory.sh.
class TestStreamingMemory : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void memoryStaysBelowTheBudget_data();
    void memoryStaysBelowTheBudget();
    void budgetThatIsTooSmallIsRefused();
    void adapterIsRefused();

private:
    /// In MiB, as the refusal of a budget that is too small tells it; 0 when it does not.
    qint64 smallestBudget(const char *dtype) const
    {
        const Watched refused = watchedCli(analyzeArguments(dtype, path("none.h5"))
                                           + QStringList{QStringLiteral("--memory-budget"), QStringLiteral("16M")});
        const QByteArray before = "the smallest that works is ";
        const auto at = refused.result.error.indexOf(before);
        if (at < 0)
            return 0;
        return refused.result.error.mid(at + before.size()).split(' ').first().toLongLong();
    }
    QString path(const char *name) const { return m_folder.path() + QLatin1Char('/') + QLatin1String(name); }
    QStringList analyzeArguments(const char *dtype, const QString &out) const
    {
        return {QStringLiteral("analyze"), path("model"),           QStringLiteral("--calibration"),
                "ids:" + path("ids.json"), QStringLiteral("--out"), out,
                QStringLiteral("--dtype"), QLatin1String(dtype),    QStringLiteral("--threads"),
                QStringLiteral("2")};
    }

    bool m_large = qEnvironmentVariableIntValue("SECATEUR_STREAM_LARGE") == 1;
    QTemporaryDir m_folder;
};

void TestStreamingMemory::initTestCase()
{
    LargeModel shape;
    if (m_large)
        shape = {22, 2048, 8192, 32000, 4};
    writeLargeModel(path("model").toStdString(), shape);
    writeIds(path("ids.json").toStdString(), 4, m_large ? 256 : 40, shape.vocabulary);
    std::uint64_t bytes = 0;
    for (const auto &file : fs::directory_iterator(path("model").toStdString()))
        bytes += file.file_size();
    qInfo("model of %.1f MB", static_cast<double>(bytes) / 1e6);
}

void TestStreamingMemory::memoryStaysBelowTheBudget_data()
{
    QTest::addColumn<QByteArray>("dtype");
    QTest::newRow("f32") << QByteArray("f32");
    QTest::newRow("bf16") << QByteArray("bf16");
}

void TestStreamingMemory::memoryStaysBelowTheBudget()
{
    if (underSanitizer())
        QSKIP("the address sanitizer has memory of its own");
    QFETCH(QByteArray, dtype);
    const qint64 mebibytes = m_large ? 1024 : smallestBudget(dtype.constData()) + 4; // a process may start larger
    QVERIFY(mebibytes > 4 && (m_large || mebibytes < 160)); // the weights are 190 MB
    const QStringList budgetOption{QStringLiteral("--memory-budget"), QString::number(mebibytes) + QLatin1Char('M')};
    const auto budget = static_cast<std::uint64_t>(mebibytes) << 20;
    const Watched streamed = watchedCli(analyzeArguments(dtype, path("streamed.h5")) + budgetOption);
    QVERIFY2(!streamed.result.crashed && streamed.result.exitCode == 0, streamed.result.text().constData());
    qInfo("%s: %s\npeak RssAnon %.1f MiB of %.1f MiB, %.1f s", dtype.constData(), streamed.result.error.constData(),
          static_cast<double>(streamed.peak) / 1048576, static_cast<double>(budget) / 1048576, streamed.seconds);
    QVERIFY2(streamed.result.error.contains("1 pass over the weights"), streamed.result.error.constData());
    QVERIFY(streamed.peak > 0);
    QVERIFY(streamed.peak < budget);

    if (m_large && dtype == "f32")
        return; // the resident sweep would need twice the size of the model
    const Watched resident = watchedCli(analyzeArguments(dtype, path("resident.h5")));
    QVERIFY2(!resident.result.crashed && resident.result.exitCode == 0, resident.result.text().constData());
    qInfo("in memory: peak RssAnon %.1f MiB, %.1f s", static_cast<double>(resident.peak) / 1048576, resident.seconds);
    const AnalysisResult one = readMaps(path("streamed.h5").toStdString());
    const AnalysisResult two = readMaps(path("resident.h5").toStdString());
    QCOMPARE(one.maps.size(), two.maps.size());
    for (std::size_t i = 0; i < one.maps.size(); ++i) {
        QCOMPARE(one.maps[i]->id(), two.maps[i]->id());
        const auto sameBits = [](float a, float b) { return std::bit_cast<int>(a) == std::bit_cast<int>(b); };
        QVERIFY(std::equal(one.maps[i]->values.begin(), one.maps[i]->values.end(), two.maps[i]->values.begin(),
                           two.maps[i]->values.end(), sameBits));
    }
}

void TestStreamingMemory::budgetThatIsTooSmallIsRefused()
{
    const Watched watched = watchedCli(analyzeArguments("f32", path("none.h5"))
                                       + QStringList{QStringLiteral("--memory-budget"), QStringLiteral("16M")});
    QCOMPARE(watched.result.exitCode, 1);
    QVERIFY2(watched.result.error.contains("The memory budget of 16 MiB is too small"),
             watched.result.error.constData());
    QVERIFY(!QFile::exists(path("none.h5")));
}

void TestStreamingMemory::adapterIsRefused()
{
    const Watched watched = watchedCli(analyzeArguments("f32", path("none.h5"))
                                       + QStringList{QStringLiteral("--memory-budget"), QStringLiteral("1G"),
                                                     QStringLiteral("--adapter"), m_folder.path()});
    QCOMPARE(watched.result.exitCode, 1);
    QVERIFY2(watched.result.error.contains("block by block cannot carry an adapter"), watched.result.error.constData());
}

QTEST_GUILESS_MAIN(TestStreamingMemory)
#include "tst_streaming_memory.moc"
