#include "backend/core/resource_path.h"
#include "backend/io/safetensors.h"
#include "tests/e2e/cli_process.h"
#include "tests/support/test_data.h"
#include "tests/support/tiny_model.h"

#include <QFile>
#include <QJsonArray>
#include <QTemporaryDir>
#include <QTest>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

using namespace secateur;
namespace fs = std::filesystem;

namespace {

void write(const fs::path &path, const std::string &bytes)
{
    std::ofstream(path, std::ios::binary) << bytes;
}

QJsonDocument readJson(const fs::path &path)
{
    QFile file(QString::fromStdString(path.string()));
    return file.open(QIODevice::ReadOnly) ? QJsonDocument::fromJson(file.readAll()) : QJsonDocument();
}

std::vector<float> tensorValues(const SafetensorsFile &file, const std::string &name)
{
    const TensorInfo *tensor = file.find(name);
    if (!tensor)
        return {};
    const auto bytes = file.data(*tensor);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

double largestDifference(const std::vector<float> &a, const std::vector<float> &b)
{
    if (a.size() != b.size() || a.empty())
        return HUGE_VAL;
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        largest = std::max(largest, std::abs(double(a[i]) - double(b[i])));
    return largest;
}

fs::path goldenFolder()
{
    return testData().empty() ? fs::path() : testData() / "golden";
}

fs::path bundledModel()
{
    return cacheDirectory() / "smollm2-0.1.2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
}

} // namespace

class TestCli : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();

    void versionAndHelp();
    void inspectTellsTheModel();
    void inspectKnowsEveryFileKind();
    void tokenizeGoesThereAndBack();
    void templateIsRendered();
    void logitsAreWrittenAsTensors();
    void loglikelihoodScoresRows();
    void generateContinuesPrompts();
    void generateStreamsTheSameText();
    void generateStopsAndShrinks();
    void perplexityCountsChunks();
    void miniDataComeFromTheSeed();
    void miniTasksAreScored();
    void methodsAreListed();
    void pipelineFromMapsToComparison();
    void recipeRunsAndItsSessionExports();
    void sameSeedGivesTheSameBytes();
    void textAndJsonStayOnTheirStreams();

    void goldenLogits_data();
    void goldenLogits();
    void goldenGreedyTokens_data();
    void goldenGreedyTokens();
    void goldenTokens_data();
    void goldenTokens();
    void goldenAdapterLogits();
    void goldenLikelihoods();

private:
    QString path(const char *name) const { return m_folder.path() + QLatin1Char('/') + QLatin1String(name); }
    fs::path file(const char *name) const { return path(name).toStdString(); }
    CliResult run(QStringList arguments) const
    {
        return runCli(arguments
                      + QStringList{QStringLiteral("--json"), QStringLiteral("--dtype"), QStringLiteral("f32")});
    }

    QTemporaryDir m_folder;
};

#define RUN_OK(result, arguments)                                                                                      \
    const CliResult result = run(arguments);                                                                           \
    QVERIFY2(!result.crashed && result.exitCode == 0, result.text().constData())

void TestCli::initTestCase()
{
    QVERIFY(m_folder.isValid());
    writeTinyModel(file("tiny model"));
    std::string text;
    for (int i = 0; i < 80; ++i)
        text += "Line " + std::to_string(i * 7 % 31) + " of the orchard book, with pears. ";
    write(file("text.txt"), text);
    std::string chat;
    for (int i = 0; i < 8; ++i)
        chat += "{\"prompt\": \"Count to " + std::to_string(i) + "\", \"response\": \"It is " + std::to_string(i)
            + ".\"}\n";
    write(file("chat.jsonl"), chat);
    write(file("ids.json"), "{\"sequences\": [[1, 2, 3, 4, 5], [6, 7, 8]]}");
    write(file("messages.json"), "[{\"role\": \"user\", \"content\": \"Hi\"}]");
}

void TestCli::versionAndHelp()
{
    const CliResult version = runCli({"--version"});
    const CliResult help = runCli({"--help"});

    QCOMPARE(version.exitCode, 0);
    QCOMPARE(version.output, QByteArray("secateur-cli ") + versionString() + "\n");
    QCOMPARE(help.exitCode, 0);
    for (const char *verb :
         {"inspect", "tokenize", "template", "logits", "loglikelihood", "generate", "perplexity", "methods", "analyze",
          "plan", "prune", "recover", "evaluate", "compare", "export", "twin", "run", "make-mini"})
        QVERIFY2(help.output.contains(verb), verb);
}

void TestCli::inspectTellsTheModel()
{
    RUN_OK(result, (QStringList{"inspect", path("tiny model"), "--deep"}));

    const QJsonObject json = result.json();
    QCOMPARE(json["model_type"].toString(), QStringLiteral("llama"));
    QCOMPARE(json["layers"].toInt(), 4);
    QCOMPARE(json["hidden_size"].toInt(), 32);
    QCOMPARE(json["heads"].toInt(), 4);
    QCOMPARE(json["kv_heads"].toInt(), 2);
    QCOMPARE(json["head_dim"].toInt(), 8);
    QCOMPARE(json["intermediate_size"].toInt(), 48);
    QCOMPARE(json["vocab_size"].toInt(), 264);
    QCOMPARE(json["tied"].toBool(), true);
    QCOMPARE(json["dtypes"].toArray(), QJsonArray({"F32"}));
    QCOMPARE(json["tensors"].toArray().size(), 4 * 9 + 2);
    QCOMPARE(json["bytes"].toDouble(), 4 * json["parameters"].toDouble());
    QCOMPARE(json["weights_finite"].toBool(), true);
    QVERIFY(json["memory_estimate"].toObject()["total"].toDouble() > json["bytes"].toDouble());
    const QJsonObject tensor = json["tensors"].toArray().first().toObject();
    QCOMPARE(tensor.keys(), QStringList({"dtype", "file", "name", "shape"}));
}

void TestCli::inspectKnowsEveryFileKind()
{
    RUN_OK(weights, (QStringList{"inspect", path("tiny model/model.safetensors"), "--deep"}));
    RUN_OK(rows, (QStringList{"inspect", path("chat.jsonl")}));

    QCOMPARE(weights.json()["kind"].toString(), QStringLiteral("safetensors"));
    QCOMPARE(weights.json()["tensors"].toArray().size(), 4 * 9 + 2);
    QCOMPARE(rows.json()["kind"].toString(), QStringLiteral("rows"));
    QCOMPARE(rows.json()["rows"].toInt(), 8);
}

void TestCli::tokenizeGoesThereAndBack()
{
    write(file("texts.json"), "[\"ab\", \"\", \"<|im_end|>\"]");
    RUN_OK(one, (QStringList{"tokenize", path("tiny model"), QString::fromUtf8("aé")}));
    RUN_OK(many, (QStringList{"tokenize", path("tiny model"), "--file", path("texts.json")}));
    RUN_OK(back, (QStringList{"tokenize", path("tiny model"), "--decode", "97,195,169"}));

    QCOMPARE(one.json()["ids"].toArray(), QJsonArray({97, 195, 169}));
    QCOMPARE(one.json()["tokens"].toArray().size(), 3);
    QCOMPARE(many.json()["results"].toArray().size(), 3);
    QCOMPARE(many.json()["results"].toArray()[2].toObject()["ids"].toArray(), QJsonArray({258}));
    QCOMPARE(back.json()["text"].toString(), QString::fromUtf8("aé"));
}

void TestCli::templateIsRendered()
{
    RUN_OK(open, (QStringList{"template", path("tiny model"), "--messages", path("messages.json")}));
    RUN_OK(
        closed,
        (QStringList{"template", path("tiny model"), "--messages", path("messages.json"), "--no-generation-prompt"}));

    QCOMPARE(open.json()["text"].toString(), QStringLiteral("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"));
    QCOMPARE(closed.json()["text"].toString(), QStringLiteral("<|im_start|>user\nHi<|im_end|>\n"));
    QCOMPARE(open.json()["ids"].toArray().first().toInt(), 257);
}

void TestCli::logitsAreWrittenAsTensors()
{
    RUN_OK(result,
           (QStringList{"logits", path("tiny model"), "--ids", path("ids.json"), "--out", path("l.safetensors"),
                        "--hidden-states"}));

    const SafetensorsFile tensors(file("l.safetensors"));
    QCOMPARE(tensors.find("logits.0")->shape, std::vector<std::int64_t>({5, 264}));
    QCOMPARE(tensors.find("hidden.1")->shape, std::vector<std::int64_t>({5, 3, 32})); // L + 1 states
    QCOMPARE(tensors.find("logits.1")->dtype, std::string("F32"));
    QCOMPARE(result.json()["sequences"].toInt(), 2);
}

void TestCli::loglikelihoodScoresRows()
{
    write(file("requests.jsonl"),
          "{\"context\": \"Q: a\\nA:\", \"continuation\": \" yes\"}\n"
          "{\"context\": \"Q: a\\nA:\", \"continuation\": \" no\"}\n");
    RUN_OK(result, (QStringList{"loglikelihood", path("tiny model"), "--requests", path("requests.jsonl")}));

    const QJsonArray results = result.json()["results"].toArray();
    QCOMPARE(results.size(), 2);
    QCOMPARE(results[0].toObject()["tokens"].toInt(), 4);
    QVERIFY(results[1].toObject()["logprob"].toDouble() < 0);
    QVERIFY(results[0].toObject()["is_greedy"].isBool());
}

void TestCli::generateContinuesPrompts()
{
    write(file("prompts.jsonl"),
          "{\"prompt\": \"abc\"}\n{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}\n"
          "{\"ids\": [97, 98, 99]}\n");
    RUN_OK(result,
           (QStringList{"generate", path("tiny model"), "--prompts", path("prompts.jsonl"), "--max-new-tokens", "6",
                        "--ignore-eos"}));
    RUN_OK(chat,
           (QStringList{"generate", path("tiny model"), "--prompt", "Hi", "--chat", "--max-new-tokens", "6",
                        "--ignore-eos"}));

    const QJsonArray results = result.json()["results"].toArray();
    QCOMPARE(results.size(), 3);
    QCOMPARE(results[0].toObject()["ids"].toArray().size(), 6);
    QCOMPARE(results[0].toObject()["ids"].toArray(), results[2].toObject()["ids"].toArray());
    QCOMPARE(results[0].toObject()["finish"].toString(), QStringLiteral("length"));
    QCOMPARE(results[0].toObject()["trace"].toObject()["state"].toString(), QStringLiteral("absent"));
    QCOMPARE(results[0].toObject()["answer_tokens"].toInt(), 6);
    QCOMPARE(chat.json()["results"].toArray()[0].toObject()["ids"].toArray(), results[1].toObject()["ids"].toArray());
    QVERIFY(result.json()["decode_tokens_per_s"].toDouble() > 0);
}

void TestCli::generateStreamsTheSameText()
{
    const QStringList arguments{"generate", path("tiny model"), "--prompt", "abc",    "--max-new-tokens",
                                "40",       "--ignore-eos",     "--dtype",  "f32",    "--temperature",
                                "2",        "--min-p",          "0.001",    "--seed", "4"};
    const CliResult whole = runCli(arguments);
    const CliResult streamed = runCli(arguments + QStringList{"--stream"});
    QVERIFY2(whole.exitCode == 0 && streamed.exitCode == 0, streamed.text().constData());
    QVERIFY(!whole.output.isEmpty());
    QCOMPARE(streamed.output, whole.output);
    const CliResult both = runCli(arguments + QStringList{"--stream", "--json"});
    QCOMPARE(both.exitCode, 1);
    QVERIFY(both.output.isEmpty() && both.error.contains("--stream"));
}

void TestCli::generateStopsAndShrinks()
{
    const QStringList arguments{"generate",     path("tiny model"), "--ids", path("ids.json"),
                                "--ignore-eos", "--max-new-tokens", "8"};
    RUN_OK(free, arguments);
    const QJsonArray ids = free.json()["results"].toArray()[0].toObject()["ids"].toArray();
    QCOMPARE(ids.size(), 8);
    RUN_OK(stopped, (arguments + QStringList{"--stop-id", QString::number(ids[4].toInt())}));
    const QJsonObject first = stopped.json()["results"].toArray()[0].toObject();
    QVERIFY(first["ids"].toArray().size() <= 4);
    QCOMPARE(first["finish"].toString(), QStringLiteral("stop"));

    // 32 bytes per block, head and token: 2 MiB for the longer sequence
    TinyModelOptions large;
    large.maxPositions = 5000;
    writeTinyModel(file("long model"), large);
    RUN_OK(small,
           (QStringList{"generate", path("long model"), "--ids", path("ids.json"), "--max-new-tokens", "4000",
                        "--cache-memory", "3", "--stop-id", "0", "--stop", "a", "--stop", "e"}));
    QVERIFY2(small.error.contains("The batch was reduced from 2 to 1 sequence: "), small.error.constData());
    QCOMPARE(small.json()["results"].toArray().size(), 2);
    QCOMPARE(small.json()["batch"].toInt(), 1);
}

void TestCli::miniDataComeFromTheSeed()
{
    const QStringList sizes{"--base-tokens", "3000", "--chat-tokens", "3000"};
    RUN_OK(made, (QStringList{"make-mini", "data", "--out", path("mini"), "--seed", "5"} + sizes));
    RUN_OK(ids, (QStringList{"tokenize", path("mini/think"), "<think>47+38"}));
    write(file("turn.json"), R"([{"role": "user", "content": "Compute 47+38."}])");
    RUN_OK(rendered, (QStringList{"template", path("mini/instruct"), "--messages", path("turn.json")}));

    QCOMPARE(made.json()["seed"].toInt(), 5);
    QCOMPARE(made.json()["items"].toObject().size(), qsizetype(16));
    QVERIFY(QJsonValue(made.json())["files"]["base.jsonl"]["chain"]["trace"]["mean"].toDouble() > 10);
    QCOMPARE(ids.json()["ids"].toArray().size(), qsizetype(6)); // digits one by one
    QCOMPARE(rendered.json()["text"].toString(),
             QStringLiteral("<|im_start|>user\nCompute 47+38.<|im_end|>\n<|im_start|>assistant\n"));
}

void TestCli::miniTasksAreScored()
{
    RUN_OK(evaluated,
           (QStringList{"evaluate", path("tiny model"), "--tasks", "mini-wino,mini-arc-challenge", "--limit", "2",
                        "--out", path("mini evaluation")}));

    QFile rows(QString::fromStdString(file("mini evaluation/tiny model/samples_mini-wino.jsonl").string()));
    QVERIFY(rows.open(QIODevice::ReadOnly));
    const auto row = QJsonDocument::fromJson(rows.readLine()).object();
    const auto arguments = row["arguments"].toObject();
    // Partial scoring: two contexts, one continuation.
    QVERIFY(arguments["gen_args_0"]["arg_0"] != arguments["gen_args_1"]["arg_0"]);
    QCOMPARE(arguments["gen_args_0"]["arg_1"], arguments["gen_args_1"]["arg_1"]);
    const auto responses = row["resps"].toArray();
    QVERIFY(responses[0] != responses[1]);
}

void TestCli::perplexityCountsChunks()
{
    RUN_OK(
        result,
        (QStringList{"perplexity", path("tiny model"), "--text", path("text.txt"), "--length", "64", "--chunks", "5"}));

    QCOMPARE(result.json()["chunks"].toInt(), 5);
    QCOMPARE(result.json()["tokens"].toInt() > 0, true);
    QVERIFY(result.json()["perplexity"].toDouble() > 1);
}

void TestCli::methodsAreListed()
{
    RUN_OK(result, QStringList{"methods"});

    QStringList ids;
    for (const auto &method : result.json()["methods"].toArray()) {
        ids.append(method.toObject()["id"].toString());
        for (const char *key : {"paper", "paradigm", "unit", "needs", "options"})
            QVERIFY2(method.toObject().contains(QLatin1String(key)), key);
    }
    QCOMPARE(ids,
             QStringList({"block_influence", "angular_distance", "ffn_activation", "ffn_magnitude", "kv_activation",
                          "kv_magnitude", "selection"}));
}

void TestCli::pipelineFromMapsToComparison()
{
    const QString model = path("tiny model");
    RUN_OK(maps,
           (QStringList{"analyze", model, "--calibration", path("text.txt"), "--samples", "4", "--length", "32",
                        "--out", path("maps.h5")}));
    QCOMPARE(maps.json()["tokens"].toInt(), 128);
    QCOMPARE(maps.json()["sweeps"].toInt(), 1);
    QCOMPARE(maps.json()["maps"].toArray().size(), 7);
    RUN_OK(inspected, (QStringList{"inspect", path("maps.h5")}));
    QCOMPARE(inspected.json()["maps"].toArray().size(), 7);
    RUN_OK(twins, (QStringList{"twin", path("maps.h5"), path("maps.h5"), "--out", path("difference.h5")}));
    QCOMPARE(twins.json()["maps"].toObject().size(), 7);
    for (const auto &map : twins.json()["maps"].toObject())
        QCOMPARE(map.toObject()["rho"].toDouble(), 1.0);
    RUN_OK(differences, (QStringList{"inspect", path("difference.h5")}));
    QCOMPARE(differences.json()["maps"].toArray().size(), 7);

    RUN_OK(plan,
           (QStringList{"plan", model, "--method", "block_influence", "--remove", "1", "--maps", path("maps.h5"),
                        "--out", path("plan.json")}));
    RUN_OK(direct,
           (QStringList{"plan", model, "--method", "block_influence", "--remove", "1", "--calibration",
                        path("text.txt"), "--samples", "4", "--length", "32", "--out", path("plan2.json")}));
    QCOMPARE(plan.json()["removed"].toArray(), direct.json()["removed"].toArray());
    QCOMPARE(plan.json()["nominal"].toDouble(), 0.25);
    QCOMPARE(plan.json()["order"].toArray().size(), 1);
    QVERIFY(plan.json()["parameters"].toDouble() > 0);
    QVERIFY(plan.json()["flops"].toDouble() > 0);
    RUN_OK(width,
           (QStringList{"plan", model, "--method", "ffn_magnitude", "--sparsity", "0.25", "--option", "lock_ffn=0:0-3",
                        "--out", path("width.json")}));
    QCOMPARE(width.json()["removed"].toArray().size(), 4);
    QCOMPARE(width.json()["loads_in_stock"].toBool(), true);

    RUN_OK(pruned, (QStringList{"prune", model, "--plan", path("plan.json"), "--out", path("pruned")}));
    QVERIFY(pruned.json()["parameters_after"].toInt() < pruned.json()["parameters_before"].toInt());
    QCOMPARE(pruned.json()["loadable_by"].toArray().first().toString(), QStringLiteral("transformers"));
    for (const auto &check : pruned.json()["checks"].toArray())
        QVERIFY(check.toObject()["passed"].toBool());

    RUN_OK(recovered,
           (QStringList{"recover", path("pruned"), "--data", path("chat.jsonl"), "--kind", "lora", "--steps", "3",
                        "--learning-rate", "0.01", "--out", path("adapter")}));
    QCOMPARE(recovered.json()["losses"].toArray().size(), 3);
    QVERIFY(recovered.json()["tokens_per_s"].toDouble() > 0);
    RUN_OK(adapter, (QStringList{"inspect", path("adapter"), "--base", path("pruned")}));
    QCOMPARE(adapter.json()["kind"].toString(), QStringLiteral("adapter"));
    QCOMPARE(adapter.json()["r"].toInt(), 8);

    const QStringList evaluation{
        "evaluate", "", "--tasks", "demo-choice,demo-arithmetic", "--limit", "4", "--max-new-tokens", "6", "--out", ""};
    const auto evaluationOf = [&](const char *subject, const char *out) {
        QStringList arguments = evaluation;
        arguments[1] = path(subject);
        arguments.last() = path(out);
        return arguments;
    };
    RUN_OK(dense, evaluationOf("tiny model", "dense"));
    RUN_OK(healed, (evaluationOf("pruned", "healed") + QStringList{"--adapter", path("adapter")}));
    const QJsonObject choice = dense.json()["results"].toObject()["demo-choice"].toObject();
    for (const char *key : {"acc", "stderr", "acc_norm", "n", "low", "high"})
        QVERIFY2(choice.contains(QLatin1String(key)), key);
    QCOMPARE(choice["n"].toInt(), 4);
    QVERIFY(healed.json()["results"].toObject()["demo-arithmetic"].toObject()["cap_hit"].isDouble());
    RUN_OK(comparison, (QStringList{"compare", path("dense"), path("healed")}));
    const QJsonObject task = comparison.json()["tasks"].toObject()["demo-choice"].toObject();
    QCOMPARE(task["n"].toInt(), 4);
    QCOMPARE(task["interval"].toArray().size(), 2);
    QVERIFY(task["mcnemar_p"].toDouble() > 0);
}

void TestCli::recipeRunsAndItsSessionExports()
{
    write(file("recipe.json"), R"({"model": "tiny model",
        "calibration": {"source": "text.txt", "samples": 4, "length": 32},
        "plans": [{"name": "short", "method": "angular_distance", "remove": 1}],
        "recover": {"plan": "short", "data": "chat.jsonl", "steps": 2},
        "evaluate": {"tasks": ["demo-choice"], "limit": 3}, "session": "s.json"})");
    RUN_OK(result, (QStringList{"run", path("recipe.json"), "--out", path("walk")}));
    const QString session = result.json()["session"].toString();
    QCOMPARE(session, path("walk/s.json"));
    QCOMPARE(result.json()["reports"].toArray().size(), 3);

    RUN_OK(inspected, (QStringList{"inspect", session}));
    RUN_OK(exported,
           (QStringList{"export", session, "--maps", path("out.h5"), "--table", "csv", "--out", path("out.csv")}));
    const CliResult table = runCli({"export", session, "--table", "md"});

    QCOMPARE(inspected.json()["kind"].toString(), QStringLiteral("session"));
    QCOMPARE(inspected.json()["runs"].toArray().size(), 1);
    QCOMPARE(exported.json()["files"].toArray(), QJsonArray({path("out.h5"), path("out.csv")}));
    QVERIFY(QFile::exists(path("out.h5")));
    QFile csv(path("out.csv"));
    QVERIFY(csv.open(QIODevice::ReadOnly));
    QCOMPARE(csv.readAll().count('\n'), qsizetype(4));
    QCOMPARE(table.exitCode, 0);
    QVERIFY2(table.output.startsWith("| model | state | task |"), table.text().constData());
}

void TestCli::sameSeedGivesTheSameBytes()
{
    const auto runInto = [&](const char *plan, const char *adapter, const char *seed) {
        const CliResult planned
            = run({"plan", path("tiny model"), "--method", "ffn_activation", "--sparsity", "0.5", "--calibration",
                   path("text.txt"), "--samples", "3", "--length", "16", "--seed", seed, "--out", path(plan)});
        const CliResult trained = run({"recover", path("tiny model"), "--data", path("chat.jsonl"), "--steps", "2",
                                       "--seed", seed, "--out", path(adapter)});
        return planned.exitCode == 0 && trained.exitCode == 0;
    };
    const auto bytes = [&](const char *name) {
        QFile stream(path(name));
        return stream.open(QIODevice::ReadOnly) ? stream.readAll() : QByteArray();
    };

    QVERIFY(runInto("p1.json", "a1", "5") && runInto("p2.json", "a2", "5") && runInto("p3.json", "a3", "6"));

    QVERIFY(!bytes("p1.json").isEmpty());
    QCOMPARE(bytes("p1.json"), bytes("p2.json"));
    QVERIFY(bytes("p1.json") != bytes("p3.json"));
    QCOMPARE(bytes("a1/adapter_model.safetensors"), bytes("a2/adapter_model.safetensors"));
    QVERIFY(bytes("a1/adapter_model.safetensors") != bytes("a3/adapter_model.safetensors"));
}

void TestCli::textAndJsonStayOnTheirStreams()
{
    const CliResult text = runCli({"inspect", path("tiny model")});
    const CliResult json = runCli({"--json", "inspect", path("tiny model")});

    QCOMPARE(text.exitCode, 0);
    QVERIFY(text.output.contains("hidden size 32"));
    QVERIFY(text.error.isEmpty());
    QVERIFY(!json.json().isEmpty()); // nothing else on standard output
    QVERIFY(json.error.isEmpty());
}

void TestCli::goldenLogits_data()
{
    QTest::addColumn<QString>("model");
    QTest::addColumn<QString>("expected");
    QTest::addColumn<QString>("prefix");
    for (const char *name : {"tiny-llama", "tiny-llama-bf16-sharded", "tiny-llama3-rope", "tiny-mistral",
                             "tiny-mistral-swa16", "tiny-qwen2", "tiny-qwen3", "tiny-trained"})
        QTest::newRow(name) << QStringLiteral("models/") + QLatin1String(name)
                            << QStringLiteral("expected/%1/golden.safetensors").arg(QLatin1String(name)) << QString();
    for (const char *type : {"F32", "F16", "Q8_0"})
        QTest::newRow(type) << QStringLiteral("gguf/tiny-llama-%1.gguf").arg(QLatin1String(type))
                            << QStringLiteral("gguf/expected-tiny-llama.safetensors")
                            << QLatin1String(type) + QStringLiteral(".");
}

void TestCli::goldenLogits()
{
    QFETCH(QString, model);
    QFETCH(QString, expected);
    QFETCH(QString, prefix);
    const fs::path golden = goldenFolder();
    if (golden.empty())
        QSKIP("SECATEUR_TEST_DATA is not set");
    const QString base = prefix.isEmpty() ? model.section(QLatin1Char('/'), 1) : QStringLiteral("tiny-llama");
    QJsonArray sequences;
    for (const auto &sequence :
         readJson(golden / "expected" / base.toStdString() / "golden.json").object()["sequences"].toArray())
        sequences.append(sequence.toObject()["input_ids"]);
    write(file("golden_ids.json"), QJsonDocument(QJsonObject{{"sequences", sequences}}).toJson().toStdString());

    RUN_OK(result,
           (QStringList{"logits", QString::fromStdString((golden / model.toStdString()).string()), "--ids",
                        path("golden_ids.json"), "--out", path("golden.safetensors")}));

    const SafetensorsFile ours(file("golden.safetensors"));
    const SafetensorsFile reference(golden / expected.toStdString());
    for (int i = 0; i < sequences.size(); ++i) {
        const std::string index = std::to_string(i);
        const double difference
            = largestDifference(tensorValues(ours, "logits." + index),
                                tensorValues(reference, prefix.toStdString() + "seq" + index + ".logits"));
        QVERIFY2(difference < 1e-3, qPrintable(QString::number(difference)));
    }
}

void TestCli::goldenGreedyTokens_data()
{
    QTest::addColumn<QString>("model");
    for (const char *name : {"tiny-llama", "tiny-llama3-rope", "tiny-mistral", "tiny-mistral-swa16", "tiny-qwen2",
                             "tiny-qwen3", "tiny-trained"})
        QTest::newRow(name) << QString::fromLatin1(name);
}

void TestCli::goldenGreedyTokens()
{
    QFETCH(QString, model);
    const fs::path golden = goldenFolder();
    if (golden.empty())
        QSKIP("SECATEUR_TEST_DATA is not set");
    const QJsonArray expected
        = readJson(golden / "expected" / model.toStdString() / "golden.json").object()["sequences"].toArray();
    QJsonArray sequences;
    for (const auto &sequence : expected)
        sequences.append(sequence.toObject()["input_ids"]);
    write(file("greedy_ids.json"), QJsonDocument(QJsonObject{{"sequences", sequences}}).toJson().toStdString());

    RUN_OK(result,
           (QStringList{"generate", QString::fromStdString((golden / "models" / model.toStdString()).string()), "--ids",
                        path("greedy_ids.json"), "--max-new-tokens", "24", "--ignore-eos"}));

    for (int i = 0; i < expected.size(); ++i) {
        if (expected[i].toObject()["greedy24_min_margin"].toDouble() < 1e-4)
            continue; // closer than the error of f32
        QCOMPARE(result.json()["results"].toArray()[i].toObject()["ids"].toArray(),
                 expected[i].toObject()["greedy24"].toArray());
    }
}

void TestCli::goldenTokens_data()
{
    QTest::addColumn<QString>("folder");
    QTest::addColumn<QString>("expected");
    for (const char *kind : {"smollm", "llama3", "qwen2", "qwen3", "mistral", "metaspace"})
        QTest::newRow(kind) << QStringLiteral("tokenizers/") + QLatin1String(kind)
                            << QStringLiteral("tokenizers/%1/expected.json").arg(QLatin1String(kind));
}

void TestCli::goldenTokens()
{
    QFETCH(QString, folder);
    QFETCH(QString, expected);
    const fs::path golden = goldenFolder();
    if (golden.empty())
        QSKIP("SECATEUR_TEST_DATA is not set");
    const QJsonArray cases = readJson(golden / expected.toStdString()).object()["cases"].toArray();
    QVERIFY(!cases.isEmpty());
    QJsonArray texts;
    for (const auto &one : cases)
        texts.append(one.toObject()["text"]);
    write(file("golden_texts.json"), QJsonDocument(texts).toJson().toStdString());

    RUN_OK(result,
           (QStringList{"tokenize", QString::fromStdString((golden / folder.toStdString()).string()), "--file",
                        path("golden_texts.json")}));

    const QJsonArray results = result.json()["results"].toArray();
    QCOMPARE(results.size(), cases.size());
    for (int i = 0; i < cases.size(); ++i)
        QCOMPARE(results[i].toObject()["ids"].toArray(), cases[i].toObject()["ids"].toArray());
}

void TestCli::goldenAdapterLogits()
{
    const fs::path golden = goldenFolder();
    if (golden.empty())
        QSKIP("SECATEUR_TEST_DATA is not set");
    const QJsonObject expected = readJson(golden / "peft" / "expected-tiny-llama-lora.json").object();
    QJsonArray sequences;
    for (const auto &sequence : expected["sequences"].toArray())
        sequences.append(sequence.toObject()["input_ids"]);
    write(file("lora_ids.json"), QJsonDocument(QJsonObject{{"sequences", sequences}}).toJson().toStdString());

    RUN_OK(result,
           (QStringList{"logits", QString::fromStdString((golden / "models" / "tiny-llama").string()), "--adapter",
                        QString::fromStdString((golden / "peft" / "tiny-llama-lora").string()), "--ids",
                        path("lora_ids.json"), "--out", path("lora.safetensors")}));

    const SafetensorsFile ours(file("lora.safetensors"));
    const SafetensorsFile reference(golden / "peft" / "expected-tiny-llama-lora.safetensors");
    for (int i = 0; i < sequences.size(); ++i) {
        const std::string index = std::to_string(i);
        const double difference = largestDifference(tensorValues(ours, "logits." + index),
                                                    tensorValues(reference, "seq" + index + ".logits"));
        QVERIFY2(difference < 1e-3, qPrintable(QString::number(difference)));
    }
}

void TestCli::goldenLikelihoods()
{
    const fs::path golden = goldenFolder();
    if (golden.empty())
        QSKIP("SECATEUR_TEST_DATA is not set");
    if (!fs::exists(bundledModel()))
        QSKIP("SmolLM2-135M-Instruct.Q4_1.gguf is not in the cache");
    const QJsonArray rows = readJson(golden / "smollm2" / "piqa100.json").object()["rows"].toArray();
    constexpr int kRows = 8;

    RUN_OK(result,
           (QStringList{"evaluate", "bundled:smollm2", "--tasks", "piqa", "--data",
                        QString::fromStdString((testData() / "data").string()), "--limit", QString::number(kRows),
                        "--out", path("piqa")}));

    QFile samples(path("piqa/SmolLM2-135M-Instruct.Q4_1/samples_piqa.jsonl"));
    QVERIFY(samples.open(QIODevice::ReadOnly));
    for (int i = 0; i < kRows; ++i) {
        const QJsonObject sample = QJsonDocument::fromJson(samples.readLine()).object();
        const QJsonArray expected = rows[i].toObject()["loglikelihood"].toArray();
        QCOMPARE(sample["doc_id"].toInt(), i);
        for (int choice = 0; choice < 2; ++choice) {
            const double logprob = sample["filtered_resps"].toArray()[choice].toArray()[0].toDouble();
            QVERIFY2(std::abs(logprob - expected[choice].toDouble()) < 5e-3, qPrintable(QString::number(logprob)));
        }
        QCOMPARE(sample["acc"].toDouble() > 0,
                 rows[i].toObject()["pred_acc"].toInt() == rows[i].toObject()["gold"].toInt());
        QCOMPARE(sample["acc_norm"].toDouble() > 0,
                 rows[i].toObject()["pred_acc_norm"].toInt() == rows[i].toObject()["gold"].toInt());
    }
}

QTEST_GUILESS_MAIN(TestCli)
#include "tst_cli.moc"
