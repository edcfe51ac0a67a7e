#include "tests/e2e/cli_process.h"
#include "tests/support/tiny_model.h"

#include <QFile>
#include <QTemporaryDir>
#include <QTest>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

using namespace secateur;
namespace fs = std::filesystem;

namespace {

void write(const fs::path &path, const std::string &bytes)
{
    std::ofstream(path, std::ios::binary) << bytes;
}

std::string read(const fs::path &path)
{
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::string withHeader(const std::string &header, const std::string &data)
{
    const std::uint64_t size = header.size();
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &size, sizeof(size));
    return bytes + header + data;
}

/// Every path below \a folder with its size, to see that nothing was left behind.
QStringList contentsOf(const fs::path &folder)
{
    QStringList contents;
    for (const auto &entry : fs::recursive_directory_iterator(folder))
        contents.append(QString::fromStdString(entry.path().lexically_relative(folder).string()) + QStringLiteral(" ")
                        + QString::number(entry.is_regular_file() ? qint64(entry.file_size()) : -1));
    contents.sort();
    return contents;
}

} // namespace

class TestCliErrors : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void badInputIsOneSentenceAndLeavesNothing_data();
    void badInputIsOneSentenceAndLeavesNothing();
    void wrongUsageExitsWithTwo_data();
    void wrongUsageExitsWithTwo();
    void fullDiskLeavesNothingHalfWritten_data();
    void fullDiskLeavesNothingHalfWritten();
    void lackOfMemoryExitsWithFour();
    void interruptExitsWithThree();
    void missingDriverGivesTheReason();
    void failedCheckIsNotSilent();

private:
    fs::path path(const char *name) const { return fs::path(m_folder->path().toStdString()) / name; }
    QString text(const char *name) const { return QString::fromStdString(path(name).string()); }

    std::unique_ptr<QTemporaryDir> m_folder;
};

void TestCliErrors::init()
{
    m_folder = std::make_unique<QTemporaryDir>();
    QVERIFY(m_folder->isValid());
    writeTinyModel(path("model"));
    write(path("ids.json"), "{\"sequences\": [[1, 2, 3, 4]]}");
    write(path("text.txt"), std::string(400, 'a') + " few words");
    write(path("plan.json"), "{}");
}

void TestCliErrors::badInputIsOneSentenceAndLeavesNothing_data()
{
    QTest::addColumn<int>("damage");
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QStringList>("mentions");
    const QStringList logits{"logits", "@model", "--ids", "@ids.json", "--out", "@out.safetensors"};
    const QStringList analyze{"analyze", "@model", "--calibration", "@text.txt", "--out", "@maps.h5"};
    const QStringList recover{"recover", "@model", "--data", "@text.txt", "--steps", "1", "--out", "@adapter"};

    QTest::newRow("no such model") << 0 << QStringList{"inspect", "@nowhere"} << QStringList{"nowhere"};
    QTest::newRow("truncated weights") << 1 << logits << QStringList{"model.safetensors"};
    QTest::newRow("missing shard") << 2 << logits << QStringList{"model-00002-of-00002.safetensors"};
    QTest::newRow("absurd header length") << 3 << logits << QStringList{"model.safetensors", "header"};
    QTest::newRow("unknown dtype") << 4 << QStringList{"inspect", "@model"} << QStringList{"model.safetensors", "F7"};
    QTest::newRow("shape overflow") << 5 << QStringList{"inspect", "@model/model.safetensors"}
                                    << QStringList{"model.safetensors", "\"w\""};
    QTest::newRow("missing tokenizer") << 6 << QStringList{"tokenize", "@model", "hello"} << QStringList{"tokenizer"};
    QTest::newRow("missing tokenizer, text needed") << 6 << analyze << QStringList{"tokenizer"};
    QTest::newRow("broken template") << 7 << QStringList{"template", "@model", "--messages", "@messages.json"}
                                     << QStringList{"line 1"};
    QTest::newRow("broken template, chat needed")
        << 7 << QStringList{"generate", "@model", "--prompt", "hi", "--chat"} << QStringList{"line 1"};
    QTest::newRow("empty calibration file") << 8 << analyze << QStringList{"text.txt", "empty"};
    QTest::newRow("row without known fields") << 9 << analyze << QStringList{"text.txt", "line 2"};
    QTest::newRow("NaN weight") << 10 << logits << QStringList{"model.safetensors", "model.norm.weight", "NaN"};
    QTest::newRow("NaN weight, deep inspection") << 10 << QStringList{"inspect", "@model", "--deep"}
                                                 << QStringList{"model.safetensors", "model.norm.weight", "NaN"};
    QTest::newRow("newer session") << 11 << QStringList{"inspect", "@session.json"}
                                   << QStringList{"session.json", "9.0.0"};
    QTest::newRow("session without version")
        << 12 << QStringList{"export", "@session.json", "--table", "md"} << QStringList{"session.json"};
    QTest::newRow("config without sizes") << 13 << logits << QStringList{"config.json", "vocab_size"};
    QTest::newRow("unknown family") << 14 << logits << QStringList{"mamba"};
    QTest::newRow("pickled weights") << 15 << logits << QStringList{"pytorch_model.bin"};
    QTest::newRow("id beyond the vocabulary") << 16 << logits << QStringList{"9999"};
    QTest::newRow("empty sequence") << 17 << logits << QStringList{"ids.json", "/sequences/0"};
    QTest::newRow("plan of another model")
        << 18 << QStringList{"prune", "@model", "--plan", "@plan.json", "--out", "@pruned"} << QStringList{"plan.json"};
    QTest::newRow("unknown method") << 0 << QStringList{"plan",     "@model", "--method", "magic",
                                                        "--remove", "1",      "--out",    "@p.json"}
                                    << QStringList{"magic"};
    QTest::newRow("unknown map") << 0 << (analyze + QStringList{"--maps", "moon_phase"}) << QStringList{"moon_phase"};
    QTest::newRow("unknown task") << 0
                                  << QStringList{"evaluate", "@model", "--tasks", "horoscope", "--out", "@evaluation"}
                                  << QStringList{"horoscope"};
    QTest::newRow("task without data") << 0 << QStringList{"evaluate", "@model",  "--tasks", "piqa",
                                                           "--data",   "@nodata", "--out",   "@../none"}
                                       << QStringList{"piqa"};
    QTest::newRow("unknown device") << 0 << (logits + QStringList{"--device", "abacus"}) << QStringList{"abacus"};
    QTest::newRow("unknown dtype asked") << 0 << (logits + QStringList{"--dtype", "f7"}) << QStringList{"f7"};
    QTest::newRow("no adapter there") << 0 << (logits + QStringList{"--adapter", "@nowhere"}) << QStringList{"nowhere"};
    QTest::newRow("broken recipe") << 19 << QStringList{"run", "@recipe.json"} << QStringList{"recipe.json", "byte 12"};
    QTest::newRow("unknown recovery kind") << 0 << (recover + QStringList{"--kind", "magic"}) << QStringList{"magic"};
    QTest::newRow("folder missing for the output")
        << 0 << QStringList{"logits", "@model", "--ids", "@ids.json", "--out", "@no/such/o.safetensors"}
        << QStringList{"o.safetensors"};
    QTest::newRow("GGUF cut off") << 20 << QStringList{"inspect", "@model.gguf"} << QStringList{"model.gguf"};
    QTest::newRow("maps that are no HDF5") << 21 << QStringList{"inspect", "@maps.h5"} << QStringList{"maps.h5"};
}

void TestCliErrors::badInputIsOneSentenceAndLeavesNothing()
{
    QFETCH(int, damage);
    QFETCH(QStringList, arguments);
    QFETCH(QStringList, mentions);
    const fs::path weights = path("model") / "model.safetensors";
    const std::string bytes = read(weights);
    switch (damage) {
    case 1:
        write(weights, bytes.substr(0, bytes.size() - 100));
        break;
    case 2:
        fs::rename(weights, path("model") / "model-00001-of-00002.safetensors");
        write(path("model") / "model.safetensors.index.json",
              "{\"metadata\": {}, \"weight_map\": {\"model.norm.weight\": \"model-00001-of-00002.safetensors\", "
              "\"model.embed_tokens.weight\": \"model-00002-of-00002.safetensors\"}}");
        break;
    case 3:
        write(weights, std::string("\xff\xff\xff\xff\xff\xff\xff\x0f", 8) + bytes.substr(8));
        break;
    case 4:
        write(weights, withHeader("{\"w\": {\"dtype\": \"F7\", \"shape\": [1], \"data_offsets\": [0, 4]}}", "abcd"));
        break;
    case 5:
        write(weights,
              withHeader("{\"w\": {\"dtype\": \"F32\", \"shape\": [4611686018427387904, 8], \"data_offsets\": [0, 4]}}",
                         "abcd"));
        break;
    case 6:
        fs::remove(path("model") / "tokenizer.json");
        break;
    case 7:
        write(path("model") / "chat_template.jinja", "{% if %}");
        write(path("messages.json"), "[{\"role\": \"user\", \"content\": \"hi\"}]");
        break;
    case 8:
        write(path("text.txt"), "");
        break;
    case 9:
        write(path("text.txt"), "{\"text\": \"fine\"}\n{\"txt\": \"not fine\"}\n");
        break;
    case 10: {
        const auto file = std::make_unique<SafetensorsFile>(weights);
        const TensorInfo info = *file->find("model.norm.weight");
        const float nan = std::numeric_limits<float>::quiet_NaN();
        std::string damaged = bytes;
        const auto offset = static_cast<std::size_t>(reinterpret_cast<const char *>(file->data(info).data())
                                                     - reinterpret_cast<const char *>(file->file().all().data()));
        std::memcpy(damaged.data() + offset + 8, &nan, sizeof(nan));
        write(weights, damaged);
        break;
    }
    case 11:
        write(path("session.json"), "{\"format\": \"secateur-session\", \"format_version\": \"9.0.0\"}");
        break;
    case 12:
        write(path("session.json"), "{\"format\": \"secateur-session\"}");
        break;
    case 13:
        write(path("model") / "config.json", "{\"model_type\": \"llama\", \"hidden_size\": 32}");
        break;
    case 14:
        write(path("model") / "config.json", "{\"model_type\": \"mamba\", \"hidden_size\": 32}");
        break;
    case 15:
        fs::rename(weights, path("model") / "pytorch_model.bin");
        break;
    case 16:
        write(path("ids.json"), "{\"sequences\": [[1, 9999]]}");
        break;
    case 17:
        write(path("ids.json"), "{\"sequences\": [[]]}");
        break;
    case 19:
        write(path("recipe.json"), "{\n\"model\": oops}");
        break;
    case 20:
        write(path("model.gguf"), "GGUF\x03");
        break;
    case 21:
        write(path("maps.h5"), "no such format");
        break;
    default:
        break;
    }
    for (QString &argument : arguments)
        if (argument.startsWith(u'@'))
            argument = m_folder->path() + u'/' + argument.mid(1);
    const QStringList before = contentsOf(path(""));

    const CliResult result = runCli(arguments + QStringList{QStringLiteral("--json")});

    QVERIFY2(!result.crashed, result.text().constData());
    QVERIFY2(result.exitCode == 1, result.text().constData());
    QVERIFY2(result.error.count('\n') == 1 && result.error.endsWith(".\n"), result.text().constData());
    QVERIFY2(result.error.count(". ") == 0, result.text().constData()); // one sentence
    for (const QString &mention : mentions)
        QVERIFY2(result.error.contains(mention.toUtf8()),
                 qPrintable(mention + QStringLiteral(" in ") + QString::fromUtf8(result.error)));
    QStringList after = contentsOf(path(""));
    after.erase(std::remove_if(after.begin(), after.end(),
                               [](const QString &name) { return name.startsWith(QStringLiteral("evaluation")); }),
                after.end());
    QCOMPARE(after, before);
}

void TestCliErrors::wrongUsageExitsWithTwo_data()
{
    QTest::addColumn<QStringList>("arguments");
    QTest::newRow("nothing") << QStringList{};
    QTest::newRow("unknown verb") << QStringList{"grow"};
    QTest::newRow("unknown option") << QStringList{"methods", "--fast"};
    QTest::newRow("missing option") << QStringList{"logits", "model"};
    QTest::newRow("no number") << QStringList{"methods", "--threads", "many"};
    QTest::newRow("negative number") << QStringList{"perplexity", "model", "--text", "f", "--chunks", "-1"};
    QTest::newRow("sparsity beyond one") << QStringList{"plan",       "model", "--method", "block_influence",
                                                        "--sparsity", "1.5",   "--out",    "p"};
    QTest::newRow("both budgets") << QStringList{"plan", "model",      "--method", "block_influence", "--remove",
                                                 "1",    "--sparsity", "0.5",      "--out",           "p"};
}

void TestCliErrors::wrongUsageExitsWithTwo()
{
    QFETCH(QStringList, arguments);

    const CliResult result = runCli(arguments);

    QVERIFY(!result.crashed);
    QVERIFY2(result.exitCode == 2, result.text().constData());
    QVERIFY(result.output.isEmpty());
    QVERIFY(!result.error.isEmpty());
}

void TestCliErrors::fullDiskLeavesNothingHalfWritten_data()
{
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QString>("file");
    QTest::newRow("logits") << QStringList{"logits", "@model", "--ids", "@long.json", "--out", "@out.safetensors"}
                            << "out.safetensors";
    QTest::newRow("maps") << QStringList{"analyze", "@model", "--calibration", "@text.txt", "--out", "@maps.h5"}
                          << "maps.h5";
    QTest::newRow("export") << QStringList{"prune", "@model", "--plan", "@plan.json", "--out", "@pruned"} << "pruned";
    QTest::newRow("adapter") << QStringList{"recover", "@model", "--data", "@text.txt",
                                            "--steps", "1",      "--out",  "@adapter"}
                             << "adapter";
}

void TestCliErrors::fullDiskLeavesNothingHalfWritten()
{
    QFETCH(QStringList, arguments);
    QFETCH(QString, file);
    std::string ids;
    for (int i = 0; i < 200; ++i)
        ids += (i ? "," : "") + std::to_string(i);
    write(path("long.json"), "{\"sequences\": [[" + ids + "]]}");
    fs::remove(path("plan.json"));
    const CliResult planned
        = runCli({"plan", text("model"), "--method", "selection", "--option", "blocks=1", "--out", text("plan.json")});
    QVERIFY2(planned.exitCode == 0, planned.text().constData());
    for (QString &argument : arguments)
        if (argument.startsWith(u'@'))
            argument = m_folder->path() + u'/' + argument.mid(1);
    const QStringList before = contentsOf(path(""));

    const CliResult result = runCli(arguments + QStringList{QStringLiteral("--json")}, QStringLiteral("ulimit -f 8"));

    QVERIFY2(!result.crashed, result.text().constData());
    QVERIFY2(result.exitCode == 1, result.text().constData());
    QVERIFY2(result.error.count('\n') == 1, result.text().constData());
    QVERIFY2(result.error.contains(file.toUtf8()), result.text().constData());
    QCOMPARE(contentsOf(path("")), before);
}

void TestCliErrors::lackOfMemoryExitsWithFour()
{
    writeTinyModel(
        path("wide"),
        {.layers = 1, .hiddenSize = 8, .intermediateSize = 8, .queryHeads = 1, .kvHeads = 1, .vocabulary = 300'000});
    std::string ids = "1";
    for (int i = 0; i < 500; ++i)
        ids += ",1";
    write(path("long.json"), "{\"sequences\": [[" + ids + "],[" + ids + "],[" + ids + "]]}");
    const QStringList before = contentsOf(path(""));

    // 3 × 501 × 300 000 logits are 1.7 GiB; the program itself needs about 0.5 GiB of addresses
    const CliResult result = runCli({"logits", text("wide"), "--ids", text("long.json"), "--out", text("o.safetensors"),
                                     "--threads", "1", "--json"},
                                    QStringLiteral("ulimit -v 1400000"));

    QVERIFY2(!result.crashed, result.text().constData());
    QVERIFY2(result.exitCode == 4, result.text().constData());
    QVERIFY2(result.error.count('\n') == 1 && result.error.contains("memory"), result.text().constData());
    QCOMPARE(contentsOf(path("")), before);
}

void TestCliErrors::interruptExitsWithThree()
{
    QProcess process;
    process.start(QStringLiteral(SECATEUR_CLI),
                  {"recover", text("model"), "--data", text("text.txt"), "--steps", "1000000", "--out", text("adapter"),
                   "--threads", "1"});
    QByteArray seen;
    QTRY_VERIFY_WITH_TIMEOUT((seen += process.readAllStandardError()).contains("step"), 60'000); // it reports progress

    ::kill(static_cast<pid_t>(process.processId()), SIGINT);
    const CliResult result = finishedResult(process, 110'000);

    QVERIFY2(!result.crashed, result.text().constData());
    QVERIFY2(result.exitCode == 3, result.text().constData());
    QVERIFY2(result.error.endsWith("Cancelled.\n"), result.text().constData());
    const CliResult inspected = runCli({"inspect", text("adapter"), "--base", text("model"), "--json"});
    QVERIFY2(inspected.exitCode == 0, inspected.text().constData()); // what was trained is whole
}

void TestCliErrors::missingDriverGivesTheReason()
{
    write(path("libcuda.so.1"), "no library at all");
    const QString limits = QStringLiteral("export SECATEUR_CUDA_DRIVER='%1'").arg(text("libcuda.so.1"));
    const QStringList arguments{"generate", text("model"), "--ids", text("ids.json"), "--max-new-tokens", "2"};
    const CliResult cuda = runCli(arguments + QStringList{"--device", "cuda"}, limits);
    QCOMPARE(cuda.exitCode, 1);
    QVERIFY2(cuda.error.startsWith("There is no device \"cuda\" on this machine, because the driver cannot be loaded")
                 && cuda.error.contains("libcuda.so.1") && cuda.error.contains("there is: cpu"),
             cuda.error.constData());
    QCOMPARE(cuda.error.count('\n'), qsizetype(1));
    QCOMPARE(runCli(arguments, limits).exitCode, 0); // the CPU does not mind
}

void TestCliErrors::failedCheckIsNotSilent()
{
    // a model whose weights overflow gives logits that are not finite
    const fs::path weights = path("model") / "model.safetensors";
    const auto file = std::make_unique<SafetensorsFile>(weights);
    std::string damaged = read(weights);
    const float huge = 3e38f;
    for (const char *name : {"model.layers.0.mlp.down_proj.weight", "model.layers.0.mlp.up_proj.weight"}) {
        const auto data = file->data(*file->find(name));
        const auto offset = static_cast<std::size_t>(reinterpret_cast<const char *>(data.data())
                                                     - reinterpret_cast<const char *>(file->file().all().data()));
        for (std::size_t at = 0; at + 4 <= data.size(); at += 4)
            std::memcpy(damaged.data() + offset + at, &huge, sizeof(huge));
    }
    write(weights, damaged);
    fs::remove(path("plan.json"));
    QCOMPARE(
        runCli({"plan", text("model"), "--method", "selection", "--option", "blocks=1", "--out", text("plan.json")})
            .exitCode,
        0);

    const CliResult result
        = runCli({"prune", text("model"), "--plan", text("plan.json"), "--out", text("pruned"), "--json"});

    QVERIFY2(!result.crashed, result.text().constData());
    QVERIFY2(result.exitCode == 5, result.text().constData());
    QVERIFY2(result.error.contains("finite logits"), result.text().constData());
    QVERIFY(!fs::exists(path("pruned")));
}

QTEST_GUILESS_MAIN(TestCliErrors)
#include "tst_cli_errors.moc"
