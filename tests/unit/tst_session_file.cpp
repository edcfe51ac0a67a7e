#include "backend/io/session_file.h"
#include "tests/support/error_of.h"
#include "tests/support/file_size_limit.h"

#include <QDir>
#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QRegularExpression>
#include <QTemporaryDir>
#include <QTest>

#include <cmath>
#include <fstream>
#include <limits>
#include <random>

using namespace secateur;

namespace {

ModelConfig exampleConfig()
{
    ModelConfig config;
    config.modelType = "llama";
    config.architecture = "LlamaForCausalLM";
    config.hiddenSize = 64;
    config.headDim = 8;
    config.vocabSize = 384;
    config.maxPositions = 512;
    config.rope.scaling = RopeConfig::Scaling::Llama3;
    config.rope.factor = 8;
    config.rope.originalMaxPositions = 64;
    config.tiedEmbeddings = true;
    config.dtype = "bfloat16";
    config.bosTokenId = 1;
    config.eosTokenIds = {2, 5};
    config.blocks.assign(6, {0, true, true, 2, 8, 160});
    for (int i = 0; i < 6; ++i)
        config.blocks[static_cast<std::size_t>(i)].originalIndex = i;
    config.rawJson = R"({"model_type": "llama"})";
    return config;
}

Session exampleSession()
{
    Session session;
    session.model = {"tiny ä", "../models/tiny", "0123", "hf", 1000000, 4000000, exampleConfig()};
    session.calibrations
        = {{"calibration-1", "chat-4", "chat.jsonl", "chat", "ffee", 4, 0, 128, ~std::uint64_t{0}, "dd"}};
    AnalysisResult analysis;
    analysis.modelDigest = "0123";
    analysis.calibration = session.calibrations[0];
    analysis.maps.push_back(std::make_shared<const MetricMap>(MetricMap{"head_importance",
                                                                        "importance",
                                                                        "Heads",
                                                                        6,
                                                                        2,
                                                                        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0.1f},
                                                                        {"layer", "block", "block", 0},
                                                                        {"kv_group", "KV group", "group", 0}}));
    session.analysis = std::make_shared<const AnalysisResult>(analysis);
    analysis.modelDigest = "4567";
    analysis.modelName = "tiny sibling";
    session.twin = std::make_shared<const AnalysisResult>(std::move(analysis));
    PruningPlan plan{"plan-1", "", "Three parts", "selection", {{"order", "score"}}, "0123", {}};
    plan.removed.blocks = {4};
    plan.removed.kvGroups = {{0, {1}}};
    plan.removed.ffnChannels = {{0, {3, 4, 159}}, {1, {0}}};
    session.plans = {plan, {"plan-2", "plan-1", "Child", "block_influence", {}, "0123", {{1, 2}, {}, {}}}};
    RunRecord run;
    run.id = "run-1";
    run.plan = "plan-1";
    run.name = "LoRA, 3 steps";
    run.options.rank = 4;
    run.options.learningRate = 0.1;
    run.options.seed = 18446744073709551615u;
    run.options.targets = {"q_proj"};
    run.dataName = "chat.jsonl";
    run.dataSha256 = "cc";
    run.losses = {2.5, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()};
    run.learningRates = {1e-5, 0.1, 1.0 / 3};
    run.tokensPerSecond = -std::numeric_limits<double>::infinity();
    run.droppedSamples = 3;
    run.adapterPath = "adapter";
    session.runs = {run};
    EvaluationReport report{"report-1", "tiny", "plan-1", "pruned", "0-shot", {}};
    TaskReport task;
    task.task = "gsm8k";
    task.kind = "generation";
    task.n = 2;
    task.accuracy = 0.5;
    task.low = 0.1;
    task.high = 0.9;
    task.capHitShare = 0.25;
    task.traceClosed = 1;
    task.seconds = 1.25;
    task.samples
        = {{0, "2 + 2?\n", "4", "<think>…</think> 4 \xF0\x9F\x98\x80", "4", true, false, {}, 7, 3, 2, "stop", "closed"},
           {1, "3 + 3?", "6", "", "", false, true, {-1.5, -std::numeric_limits<double>::infinity()}, 7, 0, 0, "", ""}};
    TaskReport absent;
    absent.task = "piqa";
    absent.kind = "loglikelihood";
    absent.note = "not available: piqa/dev.jsonl";
    report.tasks = {task, absent};
    session.reports = {std::make_shared<const EvaluationReport>(report)};
    session.selection.blocks = {1, 2};
    session.locked.ffnChannels = {{5, {7}}};
    session.views = {{"tab", "importance"}, {"map", "head_importance"}};
    session.history = {"Opened tiny", "Removed block 4"};
    session.created = "2026-01-02T03:04:05Z";
    return session;
}

bool sameNumbers(const std::vector<double> &a, const std::vector<double> &b)
{
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

/// Complaints of a JSON Schema about a value, for the keywords that our schema uses.
class SchemaCheck {
public:
    explicit SchemaCheck(QJsonObject schema) : m_root(std::move(schema)) { }

    QStringList complaints(const QJsonValue &value) { return check(value, m_root, QString()); }

private:
    QStringList check(const QJsonValue &value, const QJsonObject &schema, const QString &at)
    {
        QStringList found;
        if (const auto reference = schema[QStringLiteral("$ref")].toString(); !reference.isEmpty())
            return check(value, m_root[QStringLiteral("$defs")][reference.section(u'/', -1)].toObject(), at);
        if (const auto type = schema[QStringLiteral("type")].toString(); !type.isEmpty() && !hasType(value, type))
            return {at + QStringLiteral(" is no ") + type};
        if (schema.contains(QStringLiteral("const")) && value != schema[QStringLiteral("const")])
            found << at + QStringLiteral(" differs from the constant");
        if (schema.contains(QStringLiteral("enum")) && !schema[QStringLiteral("enum")].toArray().contains(value))
            found << at + QStringLiteral(" is not one of the known words");
        if (schema.contains(QStringLiteral("minimum"))
            && value.toDouble() < schema[QStringLiteral("minimum")].toDouble())
            found << at + QStringLiteral(" is too small");
        if (const auto pattern = schema[QStringLiteral("pattern")].toString();
            !pattern.isEmpty() && !QRegularExpression(pattern).match(value.toString()).hasMatch())
            found << at + QStringLiteral(" does not match ") + pattern;
        if (const auto choices = schema[QStringLiteral("anyOf")].toArray(); !choices.isEmpty()) {
            const bool fits = std::any_of(choices.begin(), choices.end(), [&](const QJsonValue &choice) {
                return check(value, choice.toObject(), at).isEmpty();
            });
            if (!fits)
                found << at + QStringLiteral(" fits no alternative");
        }
        for (const auto &key : schema[QStringLiteral("required")].toArray())
            if (!value.toObject().contains(key.toString()))
                found << at + QStringLiteral(" lacks ") + key.toString();
        const auto properties = schema[QStringLiteral("properties")].toObject();
        const auto members = value.toObject();
        for (auto member = members.begin(); member != members.end(); ++member) {
            const QString place = at + u'/' + member.key();
            if (properties.contains(member.key()))
                found << check(*member, properties[member.key()].toObject(), place);
            else if (schema[QStringLiteral("additionalProperties")].isObject())
                found << check(*member, schema[QStringLiteral("additionalProperties")].toObject(), place);
        }
        if (schema[QStringLiteral("items")].isObject()) {
            const auto items = value.toArray();
            for (int i = 0; i < items.size(); ++i)
                found << check(items[i], schema[QStringLiteral("items")].toObject(), at + u'/' + QString::number(i));
        }
        return found;
    }

    static bool hasType(const QJsonValue &value, const QString &type)
    {
        if (type == QLatin1String("object"))
            return value.isObject();
        if (type == QLatin1String("array"))
            return value.isArray();
        if (type == QLatin1String("string"))
            return value.isString();
        if (type == QLatin1String("boolean"))
            return value.isBool();
        return value.isDouble()
            && (type == QLatin1String("number") || value.toDouble() == std::floor(value.toDouble()));
    }

    QJsonObject m_root;
};

QJsonObject readObject(const std::filesystem::path &path)
{
    QFile file(QString::fromStdString(path.string()));
    return file.open(QIODevice::ReadOnly) ? QJsonDocument::fromJson(file.readAll()).object() : QJsonObject();
}

QByteArray readBytes(const std::filesystem::path &path)
{
    QFile file(QString::fromStdString(path.string()));
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

void writeBytes(const std::filesystem::path &path, const QByteArray &bytes)
{
    std::ofstream(path, std::ios::binary)
        << std::string_view(bytes.constData(), static_cast<std::size_t>(bytes.size()));
}

/// Every string in a JSON value, keys included.
void collectStrings(const QJsonValue &value, QStringList &strings)
{
    if (value.isString())
        strings << value.toString();
    for (const auto &item : value.toArray())
        collectStrings(item, strings);
    const auto members = value.toObject();
    for (auto member = members.begin(); member != members.end(); ++member) {
        strings << member.key();
        collectStrings(*member, strings);
    }
}

} // namespace

class TestSessionFile : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void roundTripKeepsEverything();
    void savedFileFollowsThePublishedSchema();
    void schemaCheckFindsWhatIsWrong_data();
    void schemaCheckFindsWhatIsWrong();
    void unknownKeysAreWrittenBack();
    void noAbsolutePathIsWritten();
    void fileNumbersRoundTrip();
    void movedTogetherItStillOpens();
    void missingMapsAreAWarningAndTheReferenceIsKept_data();
    void missingMapsAreAWarningAndTheReferenceIsKept();
    void changedSamplesAreAWarning();
    void storedVersionsOpen_data();
    void storedVersionsOpen();
    void newerMinorVersionOpens();
    void unusableSessionsAreRefused_data();
    void unusableSessionsAreRefused();
    void wrongValuesAreNamedByPointer_data();
    void wrongValuesAreNamedByPointer();
    void planRoundTrip();
    void unusablePlansAreRefused_data();
    void unusablePlansAreRefused();
    void failedSavingLeavesTheOldFiles();
    void brokenBytesInAnswersAreSaved();
    void mutatedSessionsNeverCrash_data();
    void mutatedSessionsNeverCrash();

private:
    std::filesystem::path folder() const { return m_folder->path().toStdString(); }
    std::filesystem::path path(const char *name = "study ä.json") const { return folder() / name; }
    static std::filesystem::path stored(const char *name)
    {
        return QFINDTESTDATA("../data/sessions").toStdString() + "/" + name;
    }
    std::unique_ptr<QTemporaryDir> m_folder;
};

void TestSessionFile::init()
{
    m_folder = std::make_unique<QTemporaryDir>();
    QVERIFY(m_folder->isValid());
}

void TestSessionFile::roundTripKeepsEverything()
{
    const auto written = exampleSession();
    std::vector<std::string> warnings;

    saveSession(path(), written);
    const auto read = loadSession(path(), &warnings);

    QVERIFY(warnings.empty());
    QCOMPARE(read.model.alias, written.model.alias);
    QCOMPARE(read.model.relativePath, written.model.relativePath);
    QCOMPARE(read.model.parameters, written.model.parameters);
    QCOMPARE(read.model.bytes, written.model.bytes);
    QVERIFY(read.model.config == written.model.config);
    QVERIFY(read.calibrations == written.calibrations);
    QVERIFY(read.plans == written.plans);
    QVERIFY(read.selection == written.selection);
    QVERIFY(read.locked == written.locked);
    QVERIFY(read.views == written.views);
    QVERIFY(read.history == written.history);
    QCOMPARE(read.created, written.created);
    QVERIFY(read.unknownJson.empty());

    QCOMPARE(read.runs.size(), std::size_t(1));
    const auto &run = read.runs[0];
    QVERIFY(run.options == written.runs[0].options);
    QVERIFY(sameNumbers(run.losses, written.runs[0].losses));
    QVERIFY(sameNumbers(run.learningRates, written.runs[0].learningRates));
    QCOMPARE(run.tokensPerSecond, written.runs[0].tokensPerSecond);
    QCOMPARE(run.adapterPath, written.runs[0].adapterPath);

    QVERIFY(read.analysis != nullptr);
    QVERIFY(read.analysis->maps[0]->values == written.analysis->maps[0]->values);
    QVERIFY(read.twin != nullptr);
    QCOMPARE(read.twin->modelName, written.twin->modelName);
    QCOMPARE(read.twin->modelDigest, written.twin->modelDigest);
    QVERIFY(read.twin->maps[0]->values == written.twin->maps[0]->values);

    const auto &report = *read.reports.at(0);
    const auto &expected = *written.reports[0];
    QCOMPARE(report.protocol, expected.protocol);
    QCOMPARE(report.tasks.size(), expected.tasks.size());
    QCOMPARE(report.tasks[0].capHitShare, 0.25);
    QCOMPARE(report.tasks[0].accuracyNorm, -1.0);
    QCOMPARE(report.tasks[1].note, expected.tasks[1].note);
    QCOMPARE(report.tasks[0].samples.size(), std::size_t(2));
    QCOMPARE(report.tasks[0].samples[0].raw, expected.tasks[0].samples[0].raw);
    QVERIFY(report.tasks[0].samples[0].correct);
    QVERIFY(sameNumbers(report.tasks[0].samples[1].choiceLogprobs, expected.tasks[0].samples[1].choiceLogprobs));
    QCOMPARE(QDir(m_folder->path()).entryList(QDir::Files | QDir::Hidden).size(), 4);
}

void TestSessionFile::savedFileFollowsThePublishedSchema()
{
    const auto schema = readObject(QFINDTESTDATA("../../resources/schema/session.schema.json").toStdString());
    QVERIFY(!schema.isEmpty());
    saveSession(path(), exampleSession());
    QCOMPARE(SchemaCheck(schema).complaints(readObject(path())), QStringList());
    saveSession(path("empty.json"), Session());
    QCOMPARE(SchemaCheck(schema).complaints(readObject(path("empty.json"))), QStringList());
}

void TestSessionFile::schemaCheckFindsWhatIsWrong_data()
{
    QTest::addColumn<QString>("key");
    QTest::addColumn<QJsonValue>("value");
    QTest::newRow("member missing") << QStringLiteral("history") << QJsonValue(QJsonValue::Undefined);
    QTest::newRow("absolute path") << QStringLiteral("samples")
                                   << QJsonValue(QJsonObject{{QStringLiteral("file"), QStringLiteral("/tmp/x")},
                                                             {QStringLiteral("sha256"), QString(64, u'0')},
                                                             {QStringLiteral("rows"), 1}});
    QTest::newRow("negative block") << QStringLiteral("selection")
                                    << QJsonValue(QJsonObject{{QStringLiteral("blocks"), QJsonArray{-1}}});
    QTest::newRow("other format") << QStringLiteral("format") << QJsonValue(QStringLiteral("novel"));
}

void TestSessionFile::schemaCheckFindsWhatIsWrong()
{
    QFETCH(QString, key);
    QFETCH(QJsonValue, value);
    const auto schema = readObject(QFINDTESTDATA("../../resources/schema/session.schema.json").toStdString());
    saveSession(path(), exampleSession());
    auto document = readObject(path());
    document[key] = value;
    QVERIFY(!SchemaCheck(schema).complaints(document).isEmpty());
}

void TestSessionFile::unknownKeysAreWrittenBack()
{
    saveSession(path(), exampleSession());
    auto text = readBytes(path());
    text.replace("{\n  \"$schema\"", "{\n  \"annotations\": {\"colour\": [1, \"two\", 0.1]},\n  \"$schema\"");
    writeBytes(path(), text);
    const auto annotations = readObject(path()).value(QStringLiteral("annotations"));
    QVERIFY(annotations.isObject());

    saveSession(path("again.json"), loadSession(path()));

    QCOMPARE(readObject(path("again.json")).value(QStringLiteral("annotations")), annotations);
}

void TestSessionFile::noAbsolutePathIsWritten()
{
    const auto home = qEnvironmentVariable("HOME").toStdString();
    auto session = exampleSession();
    session.model.relativePath = (folder() / "models" / "tiny").string();
    session.model.config.rawJson = R"({"_name_or_path": "/data/people/alice/tiny", "model_type": "llama"})";
    session.runs[0].adapterPath = (folder() / "runs" / "adapter").string();
    session.history.push_back("Opened " + home + "/models/tiny");
    session.views["folder"] = home;

    saveSession(path(), session);

    QStringList strings;
    collectStrings(readObject(path()), strings);
    const auto bytes = readBytes(path());
    QVERIFY(!bytes.contains("alice"));
    QVERIFY(!bytes.contains(m_folder->path().toUtf8()));
    for (const auto &text : strings)
        QVERIFY2(!text.startsWith(u'/') && !text.contains(QString::fromStdString(home + "/")), qPrintable(text));
    const auto read = loadSession(path());
    QCOMPARE(read.model.relativePath, std::string("models/tiny"));
    QCOMPARE(read.runs[0].adapterPath, std::string("runs/adapter"));
    QCOMPARE(read.history.back(), std::string("Opened ~/models/tiny"));
}

void TestSessionFile::fileNumbersRoundTrip()
{
    saveSession(path(), exampleSession());
    const auto bytes = readBytes(path());
    QVERIFY(bytes.contains("\"Infinity\""));
    QVERIFY(bytes.contains("\"NaN\""));
    QVERIFY(bytes.contains("0.3333333333333333"));
    QVERIFY(bytes.contains("\"learning_rate\": 0.1,"));
    QVERIFY(bytes.contains("18446744073709551615"));
}

void TestSessionFile::movedTogetherItStillOpens()
{
    saveSession(path(), exampleSession());
    QVERIFY(QDir(m_folder->path()).mkdir(QStringLiteral("moved")));
    for (const char *name : {"study ä.json", "study ä.maps.h5", "study ä.twin.h5", "study ä.samples.jsonl"})
        std::filesystem::rename(path(name), folder() / "moved" / name);
    std::vector<std::string> warnings;

    const auto session = loadSession(folder() / "moved" / "study ä.json", &warnings);

    QVERIFY(warnings.empty());
    QVERIFY(session.analysis != nullptr);
    QCOMPARE(session.reports[0]->tasks[0].samples.size(), std::size_t(2));
}

void TestSessionFile::missingMapsAreAWarningAndTheReferenceIsKept_data()
{
    QTest::addColumn<QString>("key");
    QTest::addColumn<QByteArray>("file");
    QTest::newRow("maps") << QStringLiteral("maps") << QByteArray("study ä.maps.h5");
    QTest::newRow("the sibling's") << QStringLiteral("twin_maps") << QByteArray("study ä.twin.h5");
}

void TestSessionFile::missingMapsAreAWarningAndTheReferenceIsKept()
{
    QFETCH(QString, key);
    QFETCH(QByteArray, file);
    const bool isTwin = key == QStringLiteral("twin_maps");
    saveSession(path(), exampleSession());
    const auto reference = readObject(path()).value(key);
    const auto aside = folder() / "aside.h5";
    std::filesystem::rename(path(file.constData()), aside);
    std::vector<std::string> warnings;

    const auto session = loadSession(path(), &warnings);
    saveSession(path(), session);

    QCOMPARE(session.analysis == nullptr, !isTwin);
    QCOMPARE(session.twin == nullptr, isTwin);
    QCOMPARE(warnings.size(), std::size_t(1));
    QVERIFY2(QString::fromStdString(warnings[0]).contains(QString::fromUtf8(file) + QStringLiteral(", is missing")),
             warnings[0].c_str());
    QCOMPARE(readObject(path()).value(key), reference);
    std::filesystem::rename(aside, path(file.constData()));
    QVERIFY(loadSession(path()).analysis != nullptr);
    QVERIFY(loadSession(path()).twin != nullptr);
}

void TestSessionFile::changedSamplesAreAWarning()
{
    saveSession(path(), exampleSession());
    writeBytes(path("study ä.samples.jsonl"), "{\"evaluation\": 0}\n");
    std::vector<std::string> warnings;

    const auto session = loadSession(path(), &warnings);

    QCOMPARE(warnings.size(), std::size_t(1));
    QVERIFY2(warnings[0].find("is not the one") != std::string::npos, warnings[0].c_str());
    QVERIFY(session.reports[0]->tasks[0].samples.empty());
    QCOMPARE(session.reports[0]->tasks[0].n, 2);
}

void TestSessionFile::storedVersionsOpen_data()
{
    QTest::addColumn<QByteArray>("file");
    QTest::addColumn<QString>("planName");
    QTest::addColumn<int>("selectedBlocks");
    QTest::newRow("version 0") << QByteArray("v0.json") << QStringLiteral("One block") << 2;
    QTest::newRow("version 1") << QByteArray("v1.json") << QStringLiteral("Narrow") << 1;
}

void TestSessionFile::storedVersionsOpen()
{
    QFETCH(QByteArray, file);
    QFETCH(QString, planName);
    QFETCH(int, selectedBlocks);
    std::vector<std::string> warnings;

    const auto session = loadSession(stored(file.constData()), &warnings);

    QVERIFY(warnings.empty());
    QCOMPARE(session.model.alias, std::string("tiny"));
    QCOMPARE(session.calibrations.at(0).id, std::string("calibration-1"));
    QCOMPARE(session.plans.at(0).name, planName.toStdString());
    QVERIFY(!session.plans[0].removed.empty());
    QCOMPARE(session.selection.blocks.size(), std::size_t(selectedBlocks));
    QCOMPARE(session.reports.at(0)->tasks.at(0).accuracy, 0.5);
    QVERIFY(session.model.relativePath.ends_with("models/tiny"));
    saveSession(path(), session);
    QCOMPARE(readObject(path()).value(QStringLiteral("format_version")).toString(), QString::fromUtf8(kSessionVersion));
    QVERIFY(loadSession(path()).plans == session.plans);
}

void TestSessionFile::newerMinorVersionOpens()
{
    auto text = readBytes(stored("v1.json"));
    text.replace("\"format_version\": \"1.0.0\"", "\"format_version\": \"1.9.0\"");
    QVERIFY(text.contains("1.9.0"));
    writeBytes(path(), text);
    QCOMPARE(loadSession(path()).model.alias, std::string("tiny"));
}

void TestSessionFile::unusableSessionsAreRefused_data()
{
    QTest::addColumn<QByteArray>("contents");
    QTest::addColumn<int>("kind");
    QTest::addColumn<QStringList>("words");
    const auto row = [](const char *name, const char *contents, ErrorKind kind, const QStringList &words) {
        QTest::newRow(name) << QByteArray(contents) << int(kind) << words;
    };
    row("empty", "", ErrorKind::BadFormat, {QStringLiteral("line 1, column 1")});
    row("no JSON", "{\n  \"format\": secateur\n}", ErrorKind::BadFormat, {QStringLiteral("line 2")});
    row("a list", "[]", ErrorKind::BadFormat, {QStringLiteral("is not a session")});
    row("a plan", "{\"format\": \"secateur-plan\"}", ErrorKind::BadFormat, {QStringLiteral("secateur-plan")});
    row("no version", "{\"format\": \"secateur-session\"}", ErrorKind::BadFormat, {QStringLiteral("version")});
    row("version is no version", "{\"format\": \"secateur-session\", \"format_version\": \"new\"}",
        ErrorKind::BadFormat, {QStringLiteral("/format_version is \"new\"")});
    row("newer major", "{\"format\": \"secateur-session\", \"format_version\": \"2.1.0\"}",
        ErrorKind::UnsupportedVersion, {QStringLiteral("2.1.0"), QString::fromUtf8(kSessionVersion)});
    row("no model", "{\"format\": \"secateur-session\", \"format_version\": \"1.0.0\"}", ErrorKind::BadFormat,
        {QStringLiteral("has no \"model\"")});
    row("version 0 without a model", "{\"format\": \"secateur-session\", \"version\": 0, \"model\": 3}",
        ErrorKind::BadFormat, {QStringLiteral("/model must be an object")});
}

void TestSessionFile::unusableSessionsAreRefused()
{
    QFETCH(QByteArray, contents);
    QFETCH(int, kind);
    QFETCH(QStringList, words);
    writeBytes(path(), contents);

    const auto error = errorOf([&] { loadSession(path()); });

    QVERIFY(error.has_value());
    const auto message = QString::fromStdString(error->message);
    QCOMPARE(int(error->kind), kind);
    QVERIFY2(message.contains(QStringLiteral("study ä.json")), qPrintable(message));
    for (const auto &word : words)
        QVERIFY2(message.contains(word), qPrintable(message));
}

void TestSessionFile::wrongValuesAreNamedByPointer_data()
{
    QTest::addColumn<QByteArray>("from");
    QTest::addColumn<QByteArray>("to");
    QTest::addColumn<QString>("pointer");
    const auto row = [](const char *name, const char *from, const char *to, const char *pointer) {
        QTest::newRow(name) << QByteArray(from) << QByteArray(to) << QString::fromUtf8(pointer);
    };
    row("name is a number", "\"name\": \"Narrow\"", "\"name\": 5", "/plans/0/name must be a string");
    row("id missing", "\"id\": \"run-1\", ", "", "/runs/0 has no \"id\"");
    row("block of a plan", "\"1\": [0, 159]", "\"7\": [0, 159]", "/plans/0/removed names block 7");
    row("channel of a plan", "\"1\": [0, 159]", "\"1\": [0, 160]", "/plans/0/removed names FFN channel 160");
    row("key is no block", "\"1\": [0, 159]", "\"one\": [0]", "/plans/0/removed/ffn_channels/one");
    row("negative index", "\"1\": [0, 159]", "\"1\": [-1]", "/plans/0/removed/ffn_channels/1/0 is -1");
    row("selection beyond the model", "\"blocks\": [1]}", "\"blocks\": [9]}", "/selection names block 9");
    row("loss is a word", "[2.5, \"NaN\"]", "[2.5, \"much\"]", "/runs/0/losses/1 must be a number");
    row("head count", "\"query_heads\": 8, \"kv_heads\": 2", "\"query_heads\": 8, \"kv_heads\": 3",
        "/model/config/blocks/0 has 8");
    row("accuracy is text", "\"accuracy\": 0.5", "\"accuracy\": \"half\"", "/evaluations/0/tasks/0/accuracy");
    row("seed negative", "18446744073709551615", "-1", "/calibration/0/seed must be a whole number");
    row("seed beyond 64 bits", "18446744073709551615", "28446744073709551615", "/calibration/0/seed must be");
    row("scaling unknown", "\"scaling\": \"none\"", "\"scaling\": \"magic\"",
        "/model/config/rope/scaling is \"magic\"");
    row("maps outside the folder", "\"maps\": []", "\"maps\": [{\"file\": \"../x.h5\", \"sha256\": \"\"}]",
        "/maps/0/file is \"../x.h5\"");
    row("maps by absolute path", "\"maps\": []", "\"maps\": [{\"file\": \"/x.h5\", \"sha256\": \"\"}]",
        "/maps/0/file is \"/x.h5\"");
    row("history of numbers", "\"Opened tiny\"", "5", "/history/0 must be a string");
}

void TestSessionFile::wrongValuesAreNamedByPointer()
{
    QFETCH(QByteArray, from);
    QFETCH(QByteArray, to);
    QFETCH(QString, pointer);
    const auto good = readBytes(stored("v1.json"));
    auto bad = good;
    bad.replace(from, to);
    QVERIFY(bad != good);
    writeBytes(path(), bad);

    const auto error = errorOf([&] { loadSession(path()); });

    QVERIFY(error.has_value());
    QCOMPARE(int(error->kind), int(ErrorKind::BadFormat));
    QVERIFY2(QString::fromStdString(error->message).contains(pointer), error->message.c_str());
}

void TestSessionFile::planRoundTrip()
{
    const auto plan = exampleSession().plans[0];
    savePlan(path("plan.json"), plan);
    QVERIFY(loadPlan(path("plan.json")) == plan);
}

void TestSessionFile::unusablePlansAreRefused_data()
{
    QTest::addColumn<QByteArray>("contents");
    QTest::addColumn<int>("kind");
    QTest::addColumn<QString>("word");
    QTest::newRow("session") << QByteArray("{\"format\": \"secateur-session\"}") << int(ErrorKind::BadFormat)
                             << QStringLiteral("is not a plan");
    QTest::newRow("newer") << QByteArray("{\"format\": \"secateur-plan\", \"format_version\": \"3.0.0\"}")
                           << int(ErrorKind::UnsupportedVersion) << QStringLiteral("3.0.0");
    QTest::newRow("removes a word") << QByteArray(
        "{\"format\": \"secateur-plan\", \"format_version\": \"1.0.0\", \"removed\": {\"blocks\": [\"two\"]}}")
                                    << int(ErrorKind::BadFormat) << QStringLiteral("/removed/blocks/0");
}

void TestSessionFile::unusablePlansAreRefused()
{
    QFETCH(QByteArray, contents);
    QFETCH(int, kind);
    QFETCH(QString, word);
    writeBytes(path("plan.json"), contents);

    const auto error = errorOf([&] { loadPlan(path("plan.json")); });

    QVERIFY(error.has_value());
    QCOMPARE(int(error->kind), kind);
    QVERIFY2(QString::fromStdString(error->message).contains(word), error->message.c_str());
}

void TestSessionFile::failedSavingLeavesTheOldFiles()
{
    saveSession(path(), exampleSession());
    const auto before = readBytes(path());
    const auto maps = readBytes(path("study ä.maps.h5"));
    auto larger = exampleSession();
    larger.history.assign(4000, "A step that makes the session larger than the disk");

    std::optional<ErrorInfo> error;
    {
        const FileSizeLimit limit(100000); // the maps fit, the session does not
        error = errorOf([&] { saveSession(path(), larger); });
    }

    QVERIFY(error.has_value());
    QCOMPARE(int(error->kind), int(ErrorKind::Io));
    QCOMPARE(readBytes(path()), before);
    QCOMPARE(readBytes(path("study ä.maps.h5")), maps);
    QCOMPARE(QDir(m_folder->path()).entryList(QDir::Files | QDir::Hidden).size(), 4);
}

void TestSessionFile::brokenBytesInAnswersAreSaved()
{
    auto session = exampleSession();
    auto report = *session.reports[0];
    report.tasks[0].samples[0].raw = "cut \xF0\x9F"; // a character cut by the token cap
    session.reports[0] = std::make_shared<const EvaluationReport>(report);
    std::vector<std::string> warnings;

    saveSession(path(), session);
    const auto read = loadSession(path(), &warnings);

    QVERIFY(warnings.empty());
    QVERIFY(read.reports[0]->tasks[0].samples[0].raw.starts_with("cut \xEF\xBF\xBD"));
}

void TestSessionFile::mutatedSessionsNeverCrash_data()
{
    QTest::addColumn<quint32>("seed");
    QTest::addColumn<QByteArray>("source");
    for (quint32 seed = 1; seed <= 6; ++seed) {
        const QByteArray source = seed % 3 == 0 ? "v0.json" : seed % 3 == 1 ? "v1.json" : "saved";
        QTest::addRow("seed %u, %s", seed, source.constData()) << seed << source;
    }
}

void TestSessionFile::mutatedSessionsNeverCrash()
{
    QFETCH(quint32, seed);
    QFETCH(QByteArray, source);
    saveSession(path(), exampleSession());
    const auto good = source == "saved" ? readBytes(path()) : readBytes(stored(source.constData()));
    QVERIFY(!good.isEmpty());
    std::mt19937 draw(seed);
    const QList<QByteArray> tokens{"null", "{}", "[]", "-1", "1e999", "\"\"", "true", "\"NaN\"", "99999999999999999999",
                                   "[[[["};
    int refused = 0;

    for (int round = 0; round < 50; ++round) {
        auto bad = good;
        const auto at = static_cast<qsizetype>(draw() % static_cast<std::uint32_t>(bad.size()));
        switch (draw() % 5) {
        case 0:
            bad.truncate(at);
            break;
        case 1:
            bad[at] = static_cast<char>(draw());
            break;
        case 2:
            bad.remove(at, 1 + draw() % 40);
            break;
        case 3:
            bad.insert(at, tokens[draw() % tokens.size()]);
            break;
        default: { // another value behind one of the colons
            const auto colon = bad.indexOf(": ", at);
            const auto end = colon < 0 ? -1 : bad.indexOf('\n', colon);
            if (end > 0)
                bad.replace(colon + 2, end - colon - 3, tokens[draw() % tokens.size()]);
            break;
        }
        }
        writeBytes(path(), bad);
        // errorOf() lets anything but our own Error through, and then the test fails.
        if (const auto error = errorOf([&] {
                const auto session = loadSession(path());
                if (round % 5 == 0) // each save waits for the disk three times
                    saveSession(path("again.json"), session);
            })) {
            QVERIFY(!error->message.empty());
            ++refused;
        }
    }
    QVERIFY(refused > 10); // mutations do damage something
}

QTEST_APPLESS_MAIN(TestSessionFile)
#include "tst_session_file.moc"
