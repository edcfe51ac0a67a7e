#include "backend/core/seeded_random.h"
#include "backend/engine/forward.h"
#include "backend/io/atomic_file.h"
#include "backend/io/session_file.h"
#include "backend/io/weight_files.h"
#include "backend/stats/intervals.h"
#include "backend/workflow/bundled_models.h"
#include "backend/workflow/calibrate.h"
#include "backend/workflow/compare.h"
#include "backend/workflow/evaluate.h"
#include "backend/workflow/evaluation_files.h"
#include "backend/workflow/plan.h"
#include "backend/workflow/prune.h"
#include "backend/workflow/recipe.h"
#include "backend/workflow/recover.h"
#include "tests/support/tiny_model.h"

#include <QTemporaryDir>
#include <QTest>

#include <cmath>
#include <filesystem>
#include <fstream>

using namespace secateur;
namespace fs = std::filesystem;

namespace {

fs::path pathOf(const QTemporaryDir &folder)
{
    return folder.path().toStdString();
}

void writeFile(const fs::path &path, const std::string &text)
{
    std::ofstream(path, std::ios::binary) << text;
}

std::string prose(int sentences)
{
    std::string text;
    for (int i = 0; i < sentences; ++i)
        text += "Sentence number " + std::to_string(i * i % 97) + " tells of a tree with " + std::to_string(i)
            + " boughs. ";
    return text;
}

std::string chatRows(int rows)
{
    std::string text;
    for (int i = 0; i < rows; ++i)
        text += "{\"messages\":[{\"role\":\"user\",\"content\":\"Count to " + std::to_string(i)
            + ".\"},{\"role\":\"assistant\",\"content\":\"One, two and " + std::to_string(i) + ".\"}]}\n";
    return text;
}

MetricMapPtr mapOf(const std::string &group, const std::string &metric, std::int64_t rows, std::int64_t columns,
                   std::vector<float> values)
{
    MetricMap map;
    map.group = group;
    map.metric = metric;
    map.rows = rows;
    map.columns = columns;
    map.values = std::move(values);
    return std::make_shared<const MetricMap>(std::move(map));
}

ModelConfig plainConfig(int layers, int kvHeads, int channels)
{
    ModelConfig config;
    config.modelType = "llama";
    config.architecture = "LlamaForCausalLM";
    config.hiddenSize = 32;
    config.headDim = 8;
    config.vocabSize = 264;
    config.maxPositions = 512;
    config.tiedEmbeddings = true;
    for (int i = 0; i < layers; ++i)
        config.blocks.push_back({i, true, true, kvHeads, 2 * kvHeads, channels});
    return config;
}

std::string errorOf(const std::function<void()> &work, ErrorKind *kind = nullptr)
{
    try {
        work();
    } catch (const Error &error) {
        if (kind)
            *kind = error.kind();
        return error.what();
    }
    return {};
}

RecoveryOptions maxLength(int tokens)
{
    RecoveryOptions options;
    options.maxLength = tokens;
    return options;
}

bool same(const TaskReport &a, const TaskReport &b)
{
    if (a.n != b.n || a.accuracy != b.accuracy || a.accuracyNorm != b.accuracyNorm || a.capHitShare != b.capHitShare
        || a.samples.size() != b.samples.size())
        return false;
    for (std::size_t i = 0; i < a.samples.size(); ++i)
        if (a.samples[i].raw != b.samples[i].raw || a.samples[i].choiceLogprobs != b.samples[i].choiceLogprobs
            || a.samples[i].traceTokens != b.samples[i].traceTokens
            || a.samples[i].answerTokens != b.samples[i].answerTokens)
            return false;
    return true;
}

} // namespace

class TestWorkflow : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();

    void seededRandomMatchesThePublishedSequence();
    void windowsAreSeededAndDifferent();
    void shortTextGivesConsecutiveWindows();
    void chatRowsGoThroughTheTemplate();
    void idsAreTakenAsTheyAre();
    void calibrationWithoutAnythingToCountIsRefused_data();
    void calibrationWithoutAnythingToCountIsRefused();

    void lowestInfluenceGoesAndTiesTakeTheLowestIndex();
    void lockedBlocksStay();
    void angularDistanceRemovesOneRun();
    void widthsAreUniformAndRounded();
    void globalRankingCrossesBlocks();
    void kvGroupsFollowTheirScores();
    void impossiblePlansAreRefused_data();
    void impossiblePlansAreRefused();
    void everyMethodHasACardAndAMap();

    void assistantTurnsAreScoredWithTheirEndMark();
    void spansWeighTheirTokens();
    void bundledModelsBringTheirOwnData();
    void longSamplesAreDroppedNotCut();
    void proseIsCutIntoPieces();

    void prunedModelIsCheckedAndCached();
    void planOfAnotherModelIsRefused();
    void exportLoadsAgainWithEqualLogits_data();
    void exportLoadsAgainWithEqualLogits();
    void exportDoesNotReplaceForeignFolders();

    void scoresFollowTheTailRule();
    void evaluationResumesWithoutRunningAgain();
    void rowsOfAnotherModelAreMovedAside();
    void missingTaskDataBecomesANote();
    void comparisonPairsSamples();

    void recipeGivesTheNumbersOfItsSteps();
    void brokenRecipesAreRefused_data();
    void brokenRecipesAreRefused();
    void sessionReloads();

private:
    workflow::LoadedModel open() const { return workflow::openModel(m_model.string(), {"cpu", "f32", 2}, {}, {}); }

    QTemporaryDir m_folder;
    fs::path m_model, m_text, m_chat;
};

void TestWorkflow::initTestCase()
{
    QVERIFY(m_folder.isValid());
    m_model = pathOf(m_folder) / "tiny ü model";
    writeTinyModel(m_model);
    m_text = pathOf(m_folder) / "prose.txt";
    writeFile(m_text, prose(60));
    m_chat = pathOf(m_folder) / "chat.jsonl";
    writeFile(m_chat, chatRows(12));
}

void TestWorkflow::seededRandomMatchesThePublishedSequence()
{
    SeededRandom random(1234567); // reference output of SplitMix64
    QCOMPARE(random.next(), std::uint64_t(6457827717110365317u));
    QCOMPARE(random.next(), std::uint64_t(3203168211198807973u));
    QCOMPARE(random.next(), std::uint64_t(9817491932198370423u));

    SeededRandom dice(5);
    std::vector<int> counts(6);
    for (int i = 0; i < 6000; ++i)
        ++counts[dice.below(6)];
    for (const int count : counts)
        QVERIFY2(count > 850 && count < 1150, qPrintable(QString::number(count)));
}

void TestWorkflow::windowsAreSeededAndDifferent()
{
    const auto model = open();
    const workflow::CalibrationRequest request{m_text.string(), 8, 32, 7};

    const auto first = workflow::makeCalibrationSet(request, model.tokenizer.get(), nullptr);
    const auto again = workflow::makeCalibrationSet(request, model.tokenizer.get(), nullptr);
    auto other = request;
    other.seed = 8;
    const auto different = workflow::makeCalibrationSet(other, model.tokenizer.get(), nullptr);

    QCOMPARE(first.sequences, again.sequences);
    QCOMPARE(first.record, again.record);
    QVERIFY(first.record.sha256 != different.record.sha256);
    QCOMPARE(first.record.name, std::string("prose.txt 8 × 32"));
    QCOMPARE(first.record.kind, std::string("text"));
    QCOMPARE(first.record.tokens, std::int64_t(256));
    QCOMPARE(std::set<TokenIds>(first.sequences.begin(), first.sequences.end()).size(), std::size_t(8));
}

void TestWorkflow::shortTextGivesConsecutiveWindows()
{
    const auto model = open();
    const auto path = pathOf(m_folder) / "short.txt";
    writeFile(path, "abcdefghijk"); // 11 bytes = 11 tokens, 8 different windows of 4

    const auto set = workflow::makeCalibrationSet({path.string(), 9, 4, 0}, model.tokenizer.get(), nullptr);

    const std::vector<TokenIds> expected = {{97, 98, 99, 100}, {101, 102, 103, 104}};
    QCOMPARE(set.sequences, expected);
    QCOMPARE(set.record.name, std::string("short.txt 2 × 4"));
}

void TestWorkflow::chatRowsGoThroughTheTemplate()
{
    const auto model = open();
    QVERIFY(model.chatTemplate != nullptr);

    const auto set
        = workflow::makeCalibrationSet({m_chat.string(), 3, 0, 1}, model.tokenizer.get(), model.chatTemplate.get());

    QCOMPARE(set.sequences.size(), std::size_t(3));
    QCOMPARE(set.record.templateDigest, model.chatTemplate->digest());
    const std::string text = model.tokenizer->decode(set.sequences.front());
    QVERIFY2(text.find("<|im_start|>user\nCount to ") != std::string::npos, text.c_str());
    QVERIFY2(text.find("One, two and ") != std::string::npos, text.c_str());
    QVERIFY(!errorOf([&] {
                 workflow::makeCalibrationSet({m_chat.string(), 3, 0, 1}, model.tokenizer.get(), nullptr);
             }).empty());
}

void TestWorkflow::idsAreTakenAsTheyAre()
{
    const auto path = pathOf(m_folder) / "ids.json";
    writeFile(path, "{\"sequences\": [[1, 2, 3], [4, 5]]}");

    const auto set = workflow::makeCalibrationSet({"ids:" + path.string(), 0, 0, 0}, nullptr, nullptr);

    const std::vector<TokenIds> expected = {{1, 2, 3}, {4, 5}};
    QCOMPARE(set.sequences, expected);
    QCOMPARE(set.record.sha256, digestOfSequences(expected));
    QCOMPARE(set.record.kind, std::string("ids"));
}

void TestWorkflow::calibrationWithoutAnythingToCountIsRefused_data()
{
    QTest::addColumn<QByteArray>("contents");
    QTest::addColumn<QByteArray>("message");
    QTest::newRow("empty file") << QByteArray("") << QByteArray("empty");
    QTest::newRow("blanks") << QByteArray(" \n\n") << QByteArray("empty");
    QTest::newRow("one token") << QByteArray("a") << QByteArray("calibration sample");
    QTest::newRow("odd row") << QByteArray("{\"txt\": \"a\"}\n") << QByteArray("line 1");
}

void TestWorkflow::calibrationWithoutAnythingToCountIsRefused()
{
    QFETCH(QByteArray, contents);
    QFETCH(QByteArray, message);
    const auto model = open();
    const auto path = pathOf(m_folder) / "bad.txt";
    writeFile(path, contents.toStdString());

    const std::string error = errorOf([&] {
        workflow::makeCalibrationSet({path.string(), 4, 8, 0}, model.tokenizer.get(), nullptr);
    });

    QVERIFY2(error.find("bad.txt") != std::string::npos, error.c_str());
    QVERIFY2(error.find(message.toStdString()) != std::string::npos, error.c_str());
}

void TestWorkflow::lowestInfluenceGoesAndTiesTakeTheLowestIndex()
{
    AnalysisResult analysis;
    analysis.modelDigest = "digest";
    analysis.maps = {mapOf("block_influence", "influence", 5, 1, {0.5f, 0.1f, 0.3f, 0.1f, 0.1f})};

    const auto result = workflow::makePlan({.method = "block_influence", .remove = 2}, plainConfig(5, 2, 64), analysis);

    QCOMPARE(result.plan.removed.blocks, std::set<int>({1, 3}));
    QCOMPARE(result.order, std::vector<std::string>({"block 1", "block 3"}));
    QCOMPARE(result.plan.name, std::string("Block influence, 2 blocks"));
    QCOMPARE(result.plan.modelDigest, std::string("digest"));
    QCOMPARE(result.budget.nominalSparsity, 0.4);

    const auto share
        = workflow::makePlan({.method = "block_influence", .sparsity = 0.25}, plainConfig(5, 2, 64), analysis);
    QCOMPARE(share.plan.removed.blocks.size(), std::size_t(2)); // ceil(5 · 0.25)
}

void TestWorkflow::lockedBlocksStay()
{
    AnalysisResult analysis;
    analysis.maps = {mapOf("block_influence", "influence", 4, 1, {0.1f, 0.2f, 0.3f, 0.4f})};
    workflow::PlanRequest request{.method = "block_influence", .remove = 2};
    request.locked.blocks = {0, 2};

    const auto result = workflow::makePlan(request, plainConfig(4, 2, 64), analysis);

    QCOMPARE(result.plan.removed.blocks, std::set<int>({1, 3}));
}

void TestWorkflow::angularDistanceRemovesOneRun()
{
    const float nan = std::nanf("");
    AnalysisResult analysis;
    analysis.maps = {mapOf("block_distance", "distance", 4, 4,
                           {0.4f, 0.30f, 0.5f, 0.6f, //
                            0.1f, 0.20f, 0.3f, nan, //
                            0.2f, 0.20f, nan, nan, //
                            0.3f, nan, nan, nan})};
    workflow::PlanRequest request{.method = "angular_distance", .remove = 2};

    const auto free = workflow::makePlan(request, plainConfig(4, 2, 64), analysis);
    request.locked.blocks = {1};
    const auto locked = workflow::makePlan(request, plainConfig(4, 2, 64), analysis);

    QCOMPARE(free.plan.removed.blocks, std::set<int>({1, 2})); // the tie goes to the lower start
    QCOMPARE(free.plan.name, std::string("Angular distance, blocks [1, 3)"));
    QCOMPARE(locked.plan.removed.blocks, std::set<int>({2, 3}));
}

void TestWorkflow::widthsAreUniformAndRounded()
{
    std::vector<float> values;
    for (int block = 0; block < 2; ++block)
        for (int channel = 0; channel < 64; ++channel)
            values.push_back(static_cast<float>(block == 0 ? channel : 63 - channel));
    AnalysisResult analysis;
    analysis.maps = {mapOf("ffn_importance", "activation_weight", 2, 64, values)};
    const auto config = plainConfig(2, 2, 64);

    const auto exact
        = workflow::makePlan({.method = "ffn_activation", .remove = 3, .ffnMultiple = 1}, config, analysis);
    const auto rounded
        = workflow::makePlan({.method = "ffn_activation", .remove = 3, .ffnMultiple = 16}, config, analysis);
    const auto automatic = workflow::makePlan({.method = "ffn_activation", .sparsity = 0.1}, config, analysis);

    QCOMPARE(exact.plan.removed.ffnChannels.at(0), std::set<int>({0, 1, 2}));
    QCOMPARE(exact.plan.removed.ffnChannels.at(1), std::set<int>({61, 62, 63}));
    QVERIFY(exact.snapped.empty());
    QCOMPARE(exact.order.front(), std::string("block 0 channel 0"));
    QCOMPARE(rounded.plan.removed.ffnChannels.at(0).size(), std::size_t(16));
    QVERIFY2(rounded.snapped.find("16 channels instead of 3") != std::string::npos, rounded.snapped.c_str());
    QCOMPARE(automatic.plan.removed.ffnChannels.at(1).size(), std::size_t(8)); // 6 rounded for a multiple of 4
    QVERIFY(exact.budget.loadsInStock);
}

void TestWorkflow::globalRankingCrossesBlocks()
{
    std::vector<float> values(2 * 32, 1.0f);
    for (int channel = 0; channel < 10; ++channel)
        values[static_cast<std::size_t>(32 + channel)] = 0.1f;
    AnalysisResult analysis;
    analysis.maps = {mapOf("ffn_importance", "weight_magnitude", 2, 32, values)};

    const auto result = workflow::makePlan({.method = "ffn_magnitude", .sparsity = 0.1, .uniformWidths = false},
                                           plainConfig(2, 2, 32), analysis);

    QVERIFY(!result.plan.removed.ffnChannels.contains(0));
    QCOMPARE(result.plan.removed.ffnChannels.at(1), std::set<int>({0, 1, 2, 3, 4, 5})); // floor(64 · 0.1)
    QVERIFY(!result.budget.loadsInStock);
}

void TestWorkflow::kvGroupsFollowTheirScores()
{
    AnalysisResult analysis;
    analysis.maps = {mapOf("head_importance", "activation_weight", 2, 4, {4, 3, 2, 1, 1, 2, 3, 4})};
    workflow::PlanRequest request{.method = "kv_activation", .sparsity = 0.5};
    request.locked.kvGroups = {{1, {0}}};

    const auto result = workflow::makePlan(request, plainConfig(2, 4, 64), analysis);

    QCOMPARE(result.plan.removed.kvGroups.at(0), std::set<int>({2, 3}));
    QCOMPARE(result.plan.removed.kvGroups.at(1), std::set<int>({1, 2}));
}

void TestWorkflow::impossiblePlansAreRefused_data()
{
    QTest::addColumn<QString>("method");
    QTest::addColumn<double>("sparsity");
    QTest::addColumn<int>("remove");
    QTest::addColumn<QString>("message");
    QTest::newRow("no such method") << "magic" << -1.0 << 1 << "magic";
    QTest::newRow("nothing asked") << "block_influence" << -1.0 << -1 << "Neither";
    QTest::newRow("both asked") << "block_influence" << 0.5 << 1 << "Both";
    QTest::newRow("zero") << "block_influence" << -1.0 << 0 << "nothing";
    QTest::newRow("all") << "block_influence" << -1.0 << 3 << "leave none";
    QTest::newRow("share of one") << "block_influence" << 1.0 << -1 << "Sparsity 1";
    QTest::newRow("more than unlocked") << "block_influence" << -1.0 << 2 << "locked";
    QTest::newRow("no map") << "ffn_activation" << 0.5 << -1 << "ffn_importance/activation_weight";
    QTest::newRow("by hand") << "selection" << -1.0 << 1 << "picked by hand";
    QTest::newRow("map of another model") << "kv_magnitude" << 0.5 << -1 << "7 rows";
}

void TestWorkflow::impossiblePlansAreRefused()
{
    QFETCH(QString, method);
    QFETCH(double, sparsity);
    QFETCH(int, remove);
    QFETCH(QString, message);
    AnalysisResult analysis;
    analysis.maps = {mapOf("block_influence", "influence", 3, 1, {1, 2, 3}),
                     mapOf("head_importance", "weight_magnitude", 7, 1, {1, 2, 3, 4, 5, 6, 7})};
    workflow::PlanRequest request{.method = method.toStdString(), .sparsity = sparsity, .remove = remove};
    request.locked.blocks = {0, 1};

    const auto error = errorOf([&] { workflow::makePlan(request, plainConfig(3, 2, 64), analysis); });

    QVERIFY2(error.find(message.toStdString()) != std::string::npos, error.c_str());
}

void TestWorkflow::everyMethodHasACardAndAMap()
{
    for (const auto &card : workflow::methodCards()) {
        QVERIFY(!card.title.empty());
        QVERIFY(!card.summary.empty());
        QCOMPARE(workflow::mapOfMethod(card.id).empty(), card.paradigm == "hand");
    }
}

void TestWorkflow::assistantTurnsAreScoredWithTheirEndMark()
{
    const auto model = open();
    const auto path = pathOf(m_folder) / "turns.jsonl";
    writeFile(path,
              "{\"messages\":[{\"role\":\"user\",\"content\":\"Q1\"},{\"role\":\"assistant\",\"content\":\"A1\"},"
              "{\"role\":\"user\",\"content\":\"Q2\"},{\"role\":\"assistant\",\"content\":\"A2\"}]}\n"
              "{\"messages\":[{\"role\":\"user\",\"content\":\"Q\"},{\"role\":\"assistant\",\"content\":\" \"}]}\n");

    const auto data
        = workflow::makeTrainingData(path.string(), *model.tokenizer, model.chatTemplate.get(), maxLength(512));

    QCOMPARE(data.samples.size(), std::size_t(1));
    QCOMPARE(data.skipped, std::int64_t(1));
    const auto &sample = data.samples.front();
    TokenIds scored;
    for (std::size_t i = 0; i < sample.ids.size(); ++i)
        if (sample.lossMask[i])
            scored.push_back(sample.ids[i]);
    QCOMPARE(model.tokenizer->decode(scored), std::string("A1<|im_end|>A2<|im_end|>"));
    QCOMPARE(data.scoredTokens, std::int64_t(6));
}

void TestWorkflow::spansWeighTheirTokens()
{
    const auto model = open();
    const auto path = pathOf(m_folder) / "spans.jsonl";
    writeFile(path, "{\"text\": \"ask: tell\", \"spans\": [[0, 4, 0.25]]}\n{\"text\": \"tell\"}\n");

    const auto data
        = workflow::makeTrainingData(path.string(), *model.tokenizer, model.chatTemplate.get(), maxLength(512));

    QCOMPARE(data.samples.size(), std::size_t(2));
    const TrainingSample &sample = data.samples[0];
    QCOMPARE(sample.weights.size(), sample.ids.size());
    std::string light;
    for (std::size_t i = 0; i < sample.ids.size(); ++i)
        if (sample.weights[i] == 0.25f)
            light += model.tokenizer->tokenBytes(sample.ids[i]);
    QCOMPARE(light, std::string("ask:"));
    QVERIFY(data.samples[1].weights.empty());
}

void TestWorkflow::bundledModelsBringTheirOwnData()
{
    for (const char *name : {"mini-instruct", "mini-think"}) {
        const auto model = workflow::openModel(std::string("bundled:") + name, {}, {}, {});
        QCOMPARE(model.info.name, std::string(name));
        QVERIFY(fs::file_size(model.info.path / "model.safetensors") <= 8u << 20);
        QCOMPARE(workflow::bundledModelOf(model.info.digest)->name, name);
        const std::string data = workflow::dataSource("bundled", model.info.path, true);
        QCOMPARE(fs::path(data).filename().string(), std::string(name) + ".jsonl");
        QCOMPARE(workflow::dataSource("bundled", model.info.path, false), data); // calibration, too

        const auto samples
            = workflow::makeTrainingData(data, *model.tokenizer, model.chatTemplate.get(), maxLength(224));
        QCOMPARE(samples.dropped, std::int64_t(0));
        QCOMPARE(samples.skipped, std::int64_t(0));
        QVERIFY(samples.tokens > 140'000);
    }
    QCOMPARE(workflow::dataSource("bundled", m_folder.path().toStdString(), true),
             workflow::bundledData(true).string());
    QCOMPARE(workflow::dataSource("own.jsonl", {}, true), std::string("own.jsonl"));
    const auto error = errorOf([] { workflow::resolveModelPath("bundled:mini-sleep"); });
    QVERIFY2(error.find("bundled:mini-sleep") != std::string::npos, error.c_str());
}

void TestWorkflow::longSamplesAreDroppedNotCut()
{
    const auto model = open();

    const auto all
        = workflow::makeTrainingData(m_chat.string(), *model.tokenizer, model.chatTemplate.get(), maxLength(512));
    const auto none
        = workflow::makeTrainingData(m_chat.string(), *model.tokenizer, model.chatTemplate.get(), maxLength(20));

    QCOMPARE(all.samples.size(), std::size_t(12));
    QCOMPARE(all.dropped, std::int64_t(0));
    QVERIFY(none.samples.empty());
    QCOMPARE(none.dropped, std::int64_t(12));
    workflow::RecoverRequest request;
    request.data = m_chat.string();
    request.options.maxLength = 20;
    const auto error = errorOf([&] { workflow::recover(model, *model.model, request, {}); });
    QVERIFY2(error.find("12 are longer") != std::string::npos, error.c_str());
}

void TestWorkflow::proseIsCutIntoPieces()
{
    const auto model = open();

    const auto data = workflow::makeTrainingData(m_text.string(), *model.tokenizer, nullptr, maxLength(100));

    QCOMPARE(data.dropped, std::int64_t(0));
    QVERIFY(data.samples.size() > 20);
    QCOMPARE(data.tokens, static_cast<std::int64_t>(fs::file_size(m_text))); // one token per byte
    QCOMPARE(data.scoredTokens, data.tokens - static_cast<std::int64_t>(data.samples.size()));
}

void TestWorkflow::prunedModelIsCheckedAndCached()
{
    workflow::Workbench bench;
    bench.setDense(open());
    PruningPlan plan;
    plan.id = "plan-1";
    plan.removed.blocks = {1};

    const auto outcome = workflow::pruneAndCheck(bench, plan, {});
    const Model *first = &bench.planModel(plan);

    QVERIFY(outcome.parametersAfter < outcome.parametersBefore);
    QVERIFY(!outcome.continuation.empty());
    for (const auto &check : outcome.checks)
        QVERIFY2(check.passed, check.name.c_str());
    QCOMPARE(&bench.planModel(plan), first);
    plan.removed.blocks = {1, 2};
    QCOMPARE(bench.planModel(plan).config().layers(), 2); // same id, other units: made anew
    plan.removed.blocks = {17};
    QVERIFY(!errorOf([&] { bench.planModel(plan); }).empty());
    QVERIFY(!errorOf([&] { bench.runModel("run-1"); }).empty());
    bench.clear();
    QVERIFY(!errorOf([&] { bench.dense(); }).empty());
}

void TestWorkflow::planOfAnotherModelIsRefused()
{
    workflow::Workbench bench;
    bench.setDense(open());
    PruningPlan plan;
    plan.name = "Foreign";
    plan.modelDigest = "0123";
    plan.removed.blocks = {1};

    const auto error = errorOf([&] { bench.planModel(plan); });

    QVERIFY2(error.find("0123") != std::string::npos, error.c_str());
    QVERIFY2(error.find(bench.dense().info.digest) != std::string::npos, error.c_str());
}

void TestWorkflow::exportLoadsAgainWithEqualLogits_data()
{
    QTest::addColumn<QString>("dtype");
    QTest::addColumn<bool>("uniform");
    QTest::newRow("f32") << "auto" << true;
    QTest::newRow("bf16") << "bf16" << true;
    QTest::newRow("f16") << "F16" << true;
    QTest::newRow("unequal widths") << "f32" << false;
}

void TestWorkflow::exportLoadsAgainWithEqualLogits()
{
    QFETCH(QString, dtype);
    QFETCH(bool, uniform);
    workflow::Workbench bench;
    bench.setDense(open());
    PruningPlan plan;
    plan.id = "plan-1";
    plan.name = "Two blocks";
    plan.method = "selection";
    plan.removed.blocks = {0, 2};
    if (!uniform)
        plan.removed.ffnChannels = {{1, {0, 1, 2, 3}}};
    const auto folder = pathOf(m_folder) / ("export " + dtype.toStdString() + (uniform ? "" : " odd"));

    const auto outcome
        = workflow::exportModel(bench.dense(), bench.planModel(plan), {folder, dtype.toStdString(), "", plan}, {});

    for (const char *file :
         {"config.json", "model.safetensors", "tokenizer.json", "README.md", "secateur.json", "secateur_plan.json"})
        QVERIFY2(std::find(outcome.files.begin(), outcome.files.end(), file) != outcome.files.end(), file);
    QCOMPARE(outcome.loadableBy.front(), std::string(uniform ? "transformers" : "secateur"));
    const auto again = workflow::openModel(folder.string(), {"cpu", "f32", 2}, {}, {});
    QCOMPARE(again.model->config().layers(), 2);
    QVERIFY(again.tokenizer && again.chatTemplate);
    const TokenIds probe = workflow::probeTokens(again);
    const double difference = largestLogitDifference(bench.planModel(plan), *again.model, probe);
    QVERIFY2(dtype == QStringLiteral("auto") || !uniform ? difference < 1e-5 : difference < 0.1,
             qPrintable(QString::number(difference)));
    QCOMPARE(loadPlan(folder / "secateur_plan.json").removed, plan.removed);
    workflow::exportModel(bench.dense(), bench.planModel(plan), {folder, "f32", "", plan}, {}); // replaces its own
}

void TestWorkflow::exportDoesNotReplaceForeignFolders()
{
    workflow::Workbench bench;
    bench.setDense(open());
    const auto folder = pathOf(m_folder) / "precious";
    fs::create_directories(folder);
    writeFile(folder / "thesis.txt", "years of work");

    const auto error = errorOf([&] {
        workflow::exportModel(bench.dense(), *bench.dense().model, {folder, "auto", "", {}}, {});
    });

    QVERIFY2(error.find("precious") != std::string::npos, error.c_str());
    QVERIFY(fs::exists(folder / "thesis.txt"));
}

void TestWorkflow::scoresFollowTheTailRule()
{
    const auto model = open();

    const auto scores = workflow::scoreTexts(
        model, *model.model, {{"Question: a\nAnswer: ", "yes"}, {"Question: a\nAnswer:", " yes"}, {"", "abc"}}, {});

    QCOMPARE(scores.size(), std::size_t(3));
    QCOMPARE(scores[0].logprob, scores[1].logprob); // the blank moves
    QCOMPARE(scores[0].tokens, std::int64_t(4));
    QCOMPARE(scores[2].tokens, std::int64_t(3));
    const auto direct = scoreContinuations(*model.model, {256}, {{97, 98, 99}}); // empty context: BOS
    QVERIFY(std::abs(scores[2].logprob - direct.front().logprob) < 1e-5);
}

void TestWorkflow::evaluationResumesWithoutRunningAgain()
{
    const auto model = open();
    const auto out = pathOf(m_folder) / "resume";
    workflow::EvaluateRequest request;
    request.options.tasks = {"demo-choice", "demo-arithmetic"};
    request.options.limit = 10;
    request.options.maxNewTokens = 8;
    request.outputFolder = out;
    request.modelName = "a/b: c";

    // stopped in the middle of the first task
    std::stop_source stop;
    int reported = 0;
    const JobContext stopping(stop.get_token(), [&](const Progress &progress) {
        if (progress.stage == "evaluate.sample" && progress.done == 8) // items are computed eight at a time
            stop.request_stop();
    });
    bool cancelled = false;
    try {
        workflow::evaluate(model, *model.model, request, stopping);
    } catch (const Cancelled &) {
        cancelled = true;
    }
    QVERIFY(cancelled);
    const auto file = out / "a__b__ c" / "samples_demo-choice.jsonl";
    QCOMPARE(workflow::readSamples(file).size(), std::size_t(8));
    std::ofstream(file, std::ios::app) << "{\"doc_id\": 8, \"doc"; // torn by a crash

    std::vector<std::int64_t> seen;
    const JobContext counting({}, [&](const Progress &progress) {
        if (progress.stage == "evaluate.sample")
            seen.push_back(progress.done);
    });
    const auto whole
        = workflow::evaluate(model, *model.model, request, counting, [&reported](const TaskReport &) { ++reported; });
    QCOMPARE(seen.front(), std::int64_t(8)); // the first eight were there
    QCOMPARE(workflow::readSamples(file).size(), std::size_t(10));
    QVERIFY(reported >= 2);

    seen.clear();
    const auto again = workflow::evaluate(model, *model.model, request, counting);
    QCOMPARE(seen, std::vector<std::int64_t>({10, 10})); // nothing is run
    request.outputFolder.clear();
    const auto fresh = workflow::evaluate(model, *model.model, request, {});
    for (std::size_t i = 0; i < 2; ++i) {
        QVERIFY(same(whole.tasks[i], again.tasks[i]));
        QVERIFY(same(whole.tasks[i], fresh.tasks[i]));
        QCOMPARE(whole.tasks[i].n, std::int64_t(10));
        const Interval interval = wilsonInterval(std::llround(whole.tasks[i].accuracy * 10), 10);
        QCOMPARE(whole.tasks[i].low, interval.low);
        QCOMPARE(whole.tasks[i].high, interval.high);
    }
    QCOMPARE(whole.tasks[0].capHitShare, -1.0);
    QVERIFY(whole.tasks[1].capHitShare >= 0);
    std::int64_t results = 0;
    for (const auto &entry : fs::directory_iterator(out / "a__b__ c"))
        results += entry.path().filename().string().starts_with("results_") ? 1 : 0;
    QCOMPARE(results, std::int64_t(2));
}

void TestWorkflow::rowsOfAnotherModelAreMovedAside()
{
    const auto model = open();
    const auto out = pathOf(m_folder) / "aside";
    workflow::EvaluateRequest request;
    request.options.tasks = {"demo-choice"};
    request.options.limit = 3;
    request.outputFolder = out;
    request.modelName = "same name";
    const Model pruned = prune(*model.model, {.blocks = {1}, .kvGroups = {}, .ffnChannels = {}});

    workflow::evaluate(model, *model.model, request, {});
    const auto ofPruned = workflow::evaluate(model, pruned, request, {});

    const auto folder = out / "same name";
    QCOMPARE(workflow::readSamples(folder / "old-1_samples_demo-choice.jsonl").size(), std::size_t(3));
    const auto rows = workflow::readSamples(folder / "samples_demo-choice.jsonl");
    QCOMPARE(rows.size(), std::size_t(3));
    QCOMPARE(rows.at(0).choiceLogprobs, ofPruned.tasks[0].samples[0].choiceLogprobs);
}

void TestWorkflow::missingTaskDataBecomesANote()
{
    const auto model = open();
    workflow::EvaluateRequest request;
    request.options.tasks = {"piqa"};
    request.dataFolder = pathOf(m_folder) / "no data";

    const auto report = workflow::evaluate(model, *model.model, request, {});

    QCOMPARE(report.tasks.size(), std::size_t(1));
    QCOMPARE(report.tasks[0].n, std::int64_t(0));
    QVERIFY2(report.tasks[0].note.starts_with("not available: "), report.tasks[0].note.c_str());
    request.options.tasks = {"nonsense"};
    QVERIFY(!errorOf([&] { workflow::evaluate(model, *model.model, request, {}); }).empty());
}

void TestWorkflow::comparisonPairsSamples()
{
    const auto a = pathOf(m_folder) / "compare" / "a" / "model";
    const auto b = pathOf(m_folder) / "compare" / "b" / "model";
    fs::create_directories(a);
    fs::create_directories(b);
    std::string rowsA, rowsB;
    for (int i = 0; i < 10; ++i) {
        rowsA += "{\"doc_id\": " + std::to_string(i) + ", \"acc\": " + (i < 6 ? "1.0" : "0.0") + "}\n";
        rowsB += "{\"doc_id\": " + std::to_string(i) + ", \"acc\": " + (i >= 4 && i < 7 ? "1.0" : "0.0") + "}\n";
    }
    writeFile(a / "samples_piqa.jsonl", rowsA);
    writeFile(b / "samples_piqa.jsonl", rowsB);

    const auto result = workflow::compareResults(a.parent_path(), b);

    const auto &piqa = result.at("piqa");
    QCOMPARE(piqa.n, std::int64_t(10));
    QCOMPARE(piqa.rightToWrong, std::int64_t(4));
    QCOMPARE(piqa.wrongToRight, std::int64_t(1));
    QVERIFY(std::abs(piqa.delta + 0.3) < 1e-12);
    QVERIFY(piqa.low < piqa.delta && piqa.delta < piqa.high);
    QVERIFY(std::abs(piqa.mcnemarP - 0.375) < 1e-12); // 2 · (1 + 5) / 32
}

void TestWorkflow::recipeGivesTheNumbersOfItsSteps()
{
    const auto recipe = pathOf(m_folder) / "recipe.json";
    writeFile(recipe, R"({
        "model": "tiny ü model",
        "calibration": {"source": "prose.txt", "samples": 4, "length": 32, "seed": 3},
        "plans": [{"name": "influence", "method": "block_influence", "remove": 1},
                  {"name": "channels", "method": "ffn_activation", "sparsity": 0.25},
                  {"name": "by hand", "blocks": [0], "ffn_channels": {"2": [0, 1]}}],
        "recover": {"name": "healed", "plan": "influence", "data": "chat.jsonl", "steps": 5, "batch_tokens": 256,
                    "learning_rate": 0.01, "seed": 1},
        "evaluate": {"tasks": ["demo-choice", "demo-arithmetic"], "limit": 6, "limits": {"demo-arithmetic": 2},
                     "max_new_tokens": 6},
        "export": {"folder": "exported", "subject": "healed"},
        "session": "walk.json"})");
    std::vector<std::string> lines;
    const auto out = pathOf(m_folder) / "walk";
    const auto result = workflow::runRecipe(
        recipe, {"cpu", "f32", 2}, {}, [&lines](const std::string &line) { lines.push_back(line); }, out);

    // the same by hand
    workflow::Workbench bench;
    bench.setDense(open());
    const auto &dense = bench.dense();
    const auto analysis = workflow::analyze(dense, {{m_text.string(), 4, 32, 3}, {}}, {});
    auto plan = workflow::makePlan({.method = "block_influence", .remove = 1}, dense.model->config(), analysis).plan;
    plan.id = "plan-1";
    plan.name = "influence";
    workflow::RecoverRequest recovery;
    recovery.data = m_chat.string();
    recovery.options.steps = 5;
    recovery.options.batchTokens = 256;
    recovery.options.learningRate = 0.01;
    recovery.options.seed = 1;
    const auto healed = workflow::recover(dense, bench.planModel(plan), recovery, {});
    bench.setRun("run-1", &plan, *healed.training.adapter);
    workflow::EvaluateRequest evaluation;
    evaluation.options.tasks = {"demo-choice", "demo-arithmetic"};
    evaluation.options.limit = 6;
    evaluation.options.limits = {{"demo-arithmetic", 2}};
    evaluation.options.maxNewTokens = 6;
    const auto reportDense = workflow::evaluate(dense, *dense.model, evaluation, {});
    const auto reportHealed = workflow::evaluate(dense, bench.runModel("run-1"), evaluation, {});

    const Session &session = result.session;
    QCOMPARE(session.plans.size(), std::size_t(3));
    QCOMPARE(session.plans[0].removed, plan.removed);
    QCOMPARE(session.analysis->calibration.sha256, analysis.calibration.sha256);
    QCOMPARE(session.runs.size(), std::size_t(1));
    QCOMPARE(session.runs[0].losses, healed.record.losses);
    QCOMPARE(session.runs[0].losses.size(), std::size_t(5));
    QCOMPARE(session.runs[0].plan, std::string("plan-1"));
    QCOMPARE(session.runs[0].adapterPath, std::string("adapters/run-1"));
    QCOMPARE(session.reports.size(), std::size_t(5)); // dense, three plans, one recovery
    for (std::size_t i = 0; i < 2; ++i) {
        QVERIFY(same(session.reports[0]->tasks[i], reportDense.tasks[i]));
        QVERIFY(same(session.reports[4]->tasks[i], reportHealed.tasks[i]));
    }
    QCOMPARE(session.reports[0]->tasks[1].n, std::int64_t(2));
    QCOMPARE(session.reports[4]->state, std::string("recovered"));
    QCOMPARE(session.reports[4]->subject, std::string("run-1"));
    QCOMPARE(lines.size(), session.history.size());
    QVERIFY(fs::exists(out / "adapters" / "run-1" / "adapter_model.safetensors"));
    QVERIFY(fs::exists(out / "exported" / "model.safetensors"));

    const auto exported = workflow::openModel((out / "exported").string(), {"cpu", "f32", 2}, {}, {});
    const double difference
        = largestLogitDifference(bench.runModel("run-1"), *exported.model, workflow::probeTokens(dense));
    QVERIFY2(difference < 1e-3, qPrintable(QString::number(difference))); // merged against unmerged
}

void TestWorkflow::brokenRecipesAreRefused_data()
{
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QByteArray>("message");
    QTest::newRow("no JSON") << QByteArray("{") << QByteArray("broken.json");
    QTest::newRow("no model") << QByteArray("{}") << QByteArray("model");
    QTest::newRow("unknown key") << QByteArray("{\"model\": \"m\", \"modle\": 1}") << QByteArray("/modle");
    QTest::newRow("unknown method") << QByteArray(
        "{\"model\": \"m\", \"plans\": [{\"name\": \"p\", \"method\": \"x\", \"remove\": 1}]}")
                                    << QByteArray("'x'");
    QTest::newRow("method and units") << QByteArray(
        "{\"model\": \"m\", \"plans\": [{\"name\": \"p\", \"method\": \"kv_magnitude\", \"blocks\": [1]}]}")
                                      << QByteArray("/plans/0");
    QTest::newRow("no calibration") << QByteArray(
        "{\"model\": \"m\", \"plans\": [{\"name\": \"p\", \"method\": \"block_influence\", \"remove\": 1}]}")
                                    << QByteArray("no calibration");
    QTest::newRow("unknown plan") << QByteArray("{\"model\": \"m\", \"recover\": {\"plan\": \"p\"}}")
                                  << QByteArray("/recover/plan");
    QTest::newRow("unknown subject") << QByteArray(
        "{\"model\": \"m\", \"evaluate\": {\"tasks\": [\"demo-choice\"], \"subjects\": [\"q\"]}}")
                                     << QByteArray("'q'");
    QTest::newRow("unknown task") << QByteArray("{\"model\": \"m\", \"evaluate\": {\"tasks\": [\"nope\"]}}")
                                  << QByteArray("nope");
    QTest::newRow("name used twice") << QByteArray(
        "{\"model\": \"m\", \"plans\": [{\"name\": \"p\", \"blocks\": [1]}, {\"name\": \"p\", \"blocks\": "
        "[2]}]}") << QByteArray("taken");
}

void TestWorkflow::brokenRecipesAreRefused()
{
    QFETCH(QByteArray, text);
    QFETCH(QByteArray, message);
    const auto path = pathOf(m_folder) / "broken.json";
    writeFile(path, text.toStdString());
    const auto out = pathOf(m_folder) / "never";

    const auto error = errorOf([&] { workflow::runRecipe(path, {}, {}, {}, out); });

    QVERIFY2(error.find(message.toStdString()) != std::string::npos, error.c_str());
    QVERIFY(!fs::exists(out));
}

void TestWorkflow::sessionReloads()
{
    const auto file = pathOf(m_folder) / "walk" / "walk.json"; // written by the recipe above
    QVERIFY(fs::exists(file));
    std::vector<std::string> warnings;

    const Session session = loadSession(file, &warnings);

    QVERIFY(warnings.empty());
    QCOMPARE(session.model.alias, std::string("tiny ü model"));
    QCOMPARE(fs::weakly_canonical(file.parent_path() / session.model.relativePath), fs::weakly_canonical(m_model));
    QCOMPARE(session.plans.size(), std::size_t(3));
    QCOMPARE(session.runs[0].losses.size(), std::size_t(5));
    QVERIFY(session.analysis && session.analysis->find("block_influence"));
    QCOMPARE(session.reports.size(), std::size_t(5));
    QCOMPARE(session.reports[0]->tasks[0].samples.size(), std::size_t(6));
    QVERIFY(readTextFile(file).find(m_folder.path().toStdString()) == std::string::npos); // no absolute path
    const std::string table = workflow::reportTable(session, "csv");
    QCOMPARE(std::count(table.begin(), table.end(), '\n'), std::ptrdiff_t(11)); // head, 5 reports × 2 tasks
}

QTEST_GUILESS_MAIN(TestWorkflow)
#include "tst_workflow.moc"
