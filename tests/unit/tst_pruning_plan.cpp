#include "backend/core/pruning_plan.h"
#include "tests/support/error_mentions.h"

#include <QTest>

#include <cmath>
#include <limits>
#include <random>

using namespace secateur;

class TestPruningPlan : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void threeBlocksOfSmolLmGiveThePublishedBudget();
    void nominalSparsityCountsWhatWasAsked_data();
    void nominalSparsityCountsWhatWasAsked();
    void lostUnitsTakeTheirPart_data();
    void lostUnitsTakeTheirPart();
    void invalidPlansNameTheUnit_data();
    void invalidPlansNameTheUnit();
    void unevenWidthsDoNotLoadInStock_data();
    void unevenWidthsDoNotLoadInStock();
    void previewListsEveryTensorOfABlock();
    void previewCutsTheRightSides();
    void previewOfBiasesAndHeadNorms();
    void summaryJoinsBlocksThatChangeAlike();
    void everyPlanAddsUp_data();
    void everyPlanAddsUp();
    void snappingMakesWidthsUniform_data();
    void snappingMakesWidthsUniform();
    void snappingTakesTheLowestScores();
    void snappingLeavesUniformSelectionsAlone();
    void snappingRefusesLostParts();
    void blocksAreDescribedAsHalfOpenRanges_data();
    void blocksAreDescribedAsHalfOpenRanges();

private:
    static ModelConfig smolLm(int layers = 30);
    static std::set<int> firstUnits(int count);
    using UnitMap = std::map<int, std::set<int>>;
    static UnitSet units(std::set<int> blocks, UnitMap kvGroups = {}, UnitMap ffnChannels = {})
    {
        return {std::move(blocks), std::move(kvGroups), std::move(ffnChannels)};
    }
};

ModelConfig TestPruningPlan::smolLm(int layers)
{
    ModelConfig config;
    config.modelType = "llama";
    config.architecture = "LlamaForCausalLM";
    config.hiddenSize = 576;
    config.headDim = 64;
    config.vocabSize = 49152;
    config.maxPositions = 8192;
    config.tiedEmbeddings = true;
    for (int i = 0; i < layers; ++i)
        config.blocks.push_back({i, true, true, 3, 9, 1536});
    return config;
}

std::set<int> TestPruningPlan::firstUnits(int count)
{
    std::set<int> units;
    for (int i = 0; i < count; ++i)
        units.insert(i);
    return units;
}

void TestPruningPlan::threeBlocksOfSmolLmGiveThePublishedBudget()
{
    const Budget budget = computeBudget(smolLm(), units({13, 14, 17}));
    QCOMPARE(budget.parametersBefore, std::int64_t(134515008));
    QCOMPARE(budget.parametersAfter, std::int64_t(123894720));
    QCOMPARE(budget.bytesBefore, std::int64_t(269030016));
    QCOMPARE(budget.kvBefore, std::int64_t(23040));
    QCOMPARE(budget.kvAfter, std::int64_t(20736));
    QCOMPARE(qRound(budget.flopsBefore / 1e6), 304);
    QCOMPARE(qRound(budget.flopsAfter / 1e6), 280);
    QCOMPARE(budget.nominalSparsity, 0.1);
    QCOMPARE(qRound(budget.parameterSparsity * 1000), 79);
    QCOMPARE(qRound(budget.flopsSparsity * 1000), 81);
    QVERIFY(budget.loadsInStock);
    QVERIFY(budget.loaderNote.empty());
}

void TestPruningPlan::nominalSparsityCountsWhatWasAsked_data()
{
    QTest::addColumn<UnitSet>("removed");
    QTest::addColumn<double>("expected");
    QTest::newRow("nothing") << UnitSet{} << 0.0;
    QTest::newRow("one of four blocks") << units({2}) << 0.25;
    QTest::newRow("one of twelve groups") << units({}, {{1, {0}}}) << 1.0 / 12;
    QTest::newRow("half the channels of one block") << units({}, {}, {{0, firstUnits(768)}}) << 0.125;
    QTest::newRow("a block and channels") << units({3}, {}, {{0, firstUnits(768)}}) << 0.375;
    QTest::newRow("units of a removed block count once") << units({3}, {}, {{3, firstUnits(9)}}) << 0.25;
    QTest::newRow("groups and channels") << units({}, {{0, {1}}}, {{0, firstUnits(153)}}) << 154.0 / (12 + 4 * 1536);
}

void TestPruningPlan::nominalSparsityCountsWhatWasAsked()
{
    QFETCH(UnitSet, removed);
    QFETCH(double, expected);
    QCOMPARE(computeBudget(smolLm(4), removed).nominalSparsity, expected);
}

void TestPruningPlan::lostUnitsTakeTheirPart_data()
{
    QTest::addColumn<UnitSet>("removed");
    QTest::addColumn<std::vector<BlockShape>>("expected");
    const BlockShape last{1, true, true, 3, 9, 1536};
    QTest::newRow("one group takes its three query heads")
        << units({}, {{0, {2}}}) << std::vector<BlockShape>{{0, true, true, 2, 6, 1536}, last};
    QTest::newRow("all groups take the attention")
        << units({}, {{0, firstUnits(3)}}) << std::vector<BlockShape>{{0, false, true, 0, 0, 1536}, last};
    QTest::newRow("all channels take the MLP")
        << units({}, {}, {{0, firstUnits(1536)}}) << std::vector<BlockShape>{{0, true, false, 3, 9, 0}, last};
    QTest::newRow("both take the block") << units({}, {{0, firstUnits(3)}}, {{0, firstUnits(1536)}})
                                         << std::vector<BlockShape>{last};
    QTest::newRow("a removed block keeps the other's number") << units({0}) << std::vector<BlockShape>{last};
}

void TestPruningPlan::lostUnitsTakeTheirPart()
{
    QFETCH(UnitSet, removed);
    QFETCH(std::vector<BlockShape>, expected);
    QVERIFY(prunedConfig(smolLm(2), removed).blocks == expected);
}

void TestPruningPlan::invalidPlansNameTheUnit_data()
{
    QTest::addColumn<UnitSet>("removed");
    QTest::addColumn<std::string>("named");
    const auto row = [](const char *name, const UnitSet &removed, const char *named) {
        QTest::newRow(name) << removed << std::string(named);
    };
    row("nothing", {}, "nothing");
    row("empty sets", units({}, {{1, {}}}), "nothing");
    row("block beyond the end", units({4}), "block 4");
    row("negative block", units({-1}), "block -1");
    row("group beyond the end", units({}, {{1, {3}}}), "KV group 3 of block 1");
    row("group of no block", units({}, {{9, {0}}}), "block 9");
    row("channel beyond the end", units({}, {}, {{2, {1536}}}), "FFN channel 1536 of block 2");
    row("negative channel", units({}, {}, {{2, {-7}}}), "FFN channel -7");
    row("every block", units({0, 1, 2, 3}), "all 4 blocks");
    row("the last block by its parts", units({0, 1, 2}, {{3, firstUnits(3)}}, {{3, firstUnits(1536)}}), "all 4 blocks");
}

void TestPruningPlan::invalidPlansNameTheUnit()
{
    QFETCH(UnitSet, removed);
    QFETCH(std::string, named);
    PruningPlan plan;
    plan.name = "My plan";
    plan.removed = removed;
    const auto error = errorOf([&] { validatePlan(plan, smolLm(4)); });
    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::InvalidArgument);
    QVERIFY2(mentions(*error, "My plan"), error->message.c_str());
    QVERIFY2(mentions(*error, named), error->message.c_str());
}

void TestPruningPlan::unevenWidthsDoNotLoadInStock_data()
{
    QTest::addColumn<UnitSet>("removed");
    QTest::addColumn<std::string>("noted");
    QTest::newRow("channels") << units({}, {}, {{1, {5}}}) << std::string("1535 to 1536 FFN channels");
    QTest::newRow("groups") << units({}, {{1, {2}}}) << std::string("2 to 3 KV groups");
    QTest::newRow("attention") << units({}, {{1, firstUnits(3)}}) << std::string("blocks without attention: 1");
}

void TestPruningPlan::unevenWidthsDoNotLoadInStock()
{
    QFETCH(UnitSet, removed);
    QFETCH(std::string, noted);
    const Budget budget = computeBudget(smolLm(4), removed);
    QVERIFY(!budget.loadsInStock);
    QVERIFY2(budget.loaderNote.find(noted) != std::string::npos, budget.loaderNote.c_str());
}

void TestPruningPlan::previewListsEveryTensorOfABlock()
{
    const auto changes = dependencyPreview(smolLm(4), units({2}));
    QCOMPARE(changes.size(), std::size_t(9));
    for (const TensorChange &change : changes) {
        QVERIFY(change.tensor.starts_with("model.layers.2."));
        QVERIFY(change.after.empty());
        QCOMPARE(change.block, 2);
    }
}

void TestPruningPlan::previewCutsTheRightSides()
{
    const auto changes = dependencyPreview(smolLm(4), units({}, {{1, {0}}}, {{1, {3, 4}}}));
    std::map<std::string, std::vector<std::int64_t>> after;
    for (const TensorChange &change : changes)
        after[change.tensor] = change.after;
    const std::map<std::string, std::vector<std::int64_t>> expected = {
        {"model.layers.1.self_attn.q_proj.weight", {384, 576}}, {"model.layers.1.self_attn.k_proj.weight", {128, 576}},
        {"model.layers.1.self_attn.v_proj.weight", {128, 576}}, {"model.layers.1.self_attn.o_proj.weight", {576, 384}},
        {"model.layers.1.mlp.gate_proj.weight", {1534, 576}},   {"model.layers.1.mlp.up_proj.weight", {1534, 576}},
        {"model.layers.1.mlp.down_proj.weight", {576, 1534}}};
    QVERIFY(after == expected);
    QCOMPARE(changes.front().reason, std::string("rows of 3 query heads in 1 removed KV group"));
    QCOMPARE(changes.back().reason, std::string("columns that read the 2 removed FFN channels"));
    QCOMPARE(changes.back().parametersRemoved, std::int64_t(2 * 576));
}

void TestPruningPlan::previewOfBiasesAndHeadNorms()
{
    ModelConfig dense = smolLm(2);
    dense.attentionBias = dense.attentionOutputBias = dense.mlpBias = dense.mlpOutputBias = dense.queryKeyNorm = true;
    std::set<std::string> changed;
    for (const TensorChange &change : dependencyPreview(dense, units({}, {{0, {1}}}, {{0, {7}}})))
        changed.insert(change.tensor.substr(15));
    QVERIFY(changed.contains("self_attn.q_proj.bias"));
    QVERIFY(changed.contains("mlp.up_proj.bias"));
    QVERIFY(!changed.contains("self_attn.o_proj.bias"));
    QVERIFY(!changed.contains("mlp.down_proj.bias"));
    QVERIFY(!changed.contains("self_attn.q_norm.weight"));
    QCOMPARE(changed.size(), std::size_t(12));
}

void TestPruningPlan::summaryJoinsBlocksThatChangeAlike()
{
    const ModelConfig dense = smolLm();
    const auto changes = dependencyPreview(dense, units({13, 14, 15}, {}, {{3, {0}}, {4, {9}}}));

    const auto summary = summarizePreview(changes);

    QCOMPARE(summary.size(), std::size_t(3 + 9));
    QCOMPARE(summary[0].tensor, std::string("mlp.gate_proj.weight"));
    QCOMPARE(summary[0].parametersRemoved, std::int64_t(2 * 576));
    QCOMPARE(summary[0].reason, std::string("rows of 1 removed FFN channel, blocks [3, 5) = 3, 4"));
    QCOMPARE(summary[3].reason, std::string("the whole block is removed, blocks [13, 16) = 13, 14, 15"));
    std::int64_t detailed = 0, summed = 0;
    for (const TensorChange &change : changes)
        detailed += change.parametersRemoved;
    for (const TensorChange &change : summary)
        summed += change.parametersRemoved;
    QCOMPARE(summed, detailed);
}

void TestPruningPlan::everyPlanAddsUp_data()
{
    QTest::addColumn<int>("seed");
    for (int seed = 0; seed < 200; ++seed)
        QTest::addRow("seed %d", seed) << seed;
}

void TestPruningPlan::everyPlanAddsUp()
{
    QFETCH(int, seed);
    std::mt19937 random(static_cast<unsigned>(seed));
    const auto below = [&random](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    ModelConfig dense = smolLm(1 + below(8));
    dense.hiddenSize = 8 * (1 + below(4));
    dense.headDim = 2 * (1 + below(4));
    dense.vocabSize = 1 + below(50);
    dense.tiedEmbeddings = below(2) == 0;
    dense.attentionBias = below(2) == 0;
    dense.attentionOutputBias = below(2) == 0;
    dense.mlpBias = dense.mlpOutputBias = below(2) == 0;
    dense.queryKeyNorm = below(2) == 0;
    for (BlockShape &block : dense.blocks) {
        block.kvHeads = 1 + below(4);
        block.queryHeads = block.kvHeads * (1 + below(3));
        block.intermediateSize = 1 + below(12);
    }
    UnitSet removed;
    for (int block = 0; block < dense.layers(); ++block) {
        const BlockShape &shape = dense.blocks[static_cast<std::size_t>(block)];
        if (below(4) == 0)
            removed.blocks.insert(block);
        for (int group = 0; group < shape.kvHeads; ++group)
            if (below(3) == 0)
                removed.kvGroups[block].insert(group);
        for (int channel = 0; channel < shape.intermediateSize; ++channel)
            if (below(3) == 0)
                removed.ffnChannels[block].insert(channel);
    }

    const Budget budget = computeBudget(dense, removed, 2, 512);
    const ModelConfig pruned = prunedConfig(dense, removed);
    std::int64_t previewed = 0;
    for (const TensorChange &change : dependencyPreview(dense, removed))
        previewed += change.parametersRemoved;

    QCOMPARE(previewed, budget.parametersBefore - budget.parametersAfter);
    QCOMPARE(budget.parametersAfter, totalParameters(pruned));
    QCOMPARE(budget.kvAfter, kvBytesPerToken(pruned));
    QCOMPARE(budget.flopsAfter, flopsPerToken(pruned, 512));
    QCOMPARE(budget.loadsInStock, pruned.isUniform());
    int previous = -1;
    for (const BlockShape &block : pruned.blocks) {
        QVERIFY(block.originalIndex > previous);
        QVERIFY(!removed.blocks.contains(block.originalIndex));
        QCOMPARE(block.queryHeads > 0, block.hasAttention);
        QCOMPARE(block.intermediateSize > 0, block.hasMlp);
        previous = block.originalIndex;
    }
}

void TestPruningPlan::snappingMakesWidthsUniform_data()
{
    QTest::addColumn<UnitSet>("removed");
    QTest::addColumn<int>("multiple");
    QTest::addColumn<int>("groups");
    QTest::addColumn<int>("channels");
    QTest::newRow("largest count wins") << units({}, {}, {{0, firstUnits(100)}, {2, firstUnits(300)}}) << 1 << 3
                                        << 1236;
    QTest::newRow("rounded down to a multiple") << units({}, {}, {{0, firstUnits(100)}}) << 64 << 3 << 1408;
    QTest::newRow("groups of one block") << units({}, {{1, {0, 2}}}) << 64 << 1 << 1536;
    QTest::newRow("removed blocks do not count") << units({0}, {}, {{0, firstUnits(1000)}, {1, {4}}}) << 1 << 3 << 1535;
    QTest::newRow("multiple larger than the width") << units({}, {}, {{1, {4}}}) << 4096 << 3 << 1535;
}

void TestPruningPlan::snappingMakesWidthsUniform()
{
    QFETCH(UnitSet, removed);
    QFETCH(int, multiple);
    QFETCH(int, groups);
    QFETCH(int, channels);
    const ModelConfig dense = smolLm(4);

    const SnapResult result = snapToUniform(dense, removed, multiple);

    const ModelConfig pruned = prunedConfig(dense, result.removed);
    QVERIFY(pruned.isUniform());
    QCOMPARE(pruned.layers(), prunedConfig(dense, removed).layers());
    QCOMPARE(pruned.blocks[0].kvHeads, groups);
    QCOMPARE(pruned.blocks[0].intermediateSize, channels);
    QCOMPARE(result.removed.count(), removed.count() + result.added.count());
    QVERIFY(result.added.count() > 0);
    QVERIFY(!result.explanation.empty());
}

void TestPruningPlan::snappingTakesTheLowestScores()
{
    ModelConfig dense = smolLm(2);
    for (BlockShape &block : dense.blocks)
        block.intermediateSize = 6;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<std::vector<float>> scores = {{5, 1, 9, 1, 0, nan}, {0, 0, 0, 0, 0, 0}};

    const SnapResult scored = snapToUniform(dense, units({}, {}, {{0, {4}}, {1, {0, 1, 2}}}), 1, scores);
    const SnapResult unscored = snapToUniform(dense, units({}, {}, {{0, {4}}, {1, {0, 1, 2}}}), 1);

    QVERIFY(scored.added.ffnChannels.at(0) == (std::set<int>{1, 3}));
    QVERIFY(unscored.added.ffnChannels.at(0) == (std::set<int>{3, 5}));
    QVERIFY(!scored.added.ffnChannels.contains(1));
}

void TestPruningPlan::snappingLeavesUniformSelectionsAlone()
{
    const UnitSet blocksOnly = units({1});
    const SnapResult result = snapToUniform(smolLm(4), blocksOnly, 1000);
    QVERIFY(result.removed == blocksOnly);
    QVERIFY(result.added.empty());
    QVERIFY(result.explanation.empty());
}

void TestPruningPlan::snappingRefusesLostParts()
{
    const auto error = errorOf([] { snapToUniform(smolLm(4), units({}, {{2, {0, 1, 2}}}), 1); });
    QVERIFY(error);
    QVERIFY2(mentions(*error, "Block 2"), error->message.c_str());
}

void TestPruningPlan::blocksAreDescribedAsHalfOpenRanges_data()
{
    QTest::addColumn<std::set<int>>("blocks");
    QTest::addColumn<std::string>("expected");
    QTest::newRow("none") << std::set<int>{} << std::string("none");
    QTest::newRow("one") << std::set<int>{13} << std::string("13");
    QTest::newRow("a run") << std::set<int>{12, 13, 14, 15} << std::string("[12, 16) = 12, 13, 14, 15");
    QTest::newRow("scattered") << std::set<int>{13, 14, 17} << std::string("13, 14, 17");
    QTest::newRow("six") << firstUnits(6) << std::string("[0, 6) = 0, 1, 2, 3, 4, 5");
    QTest::newRow("a long run") << firstUnits(20) << std::string("[0, 20)");
    QTest::newRow("many runs") << std::set<int>{0, 1, 2, 3, 4, 7, 9, 10} << std::string("[0, 5), 7, [9, 11)");
}

void TestPruningPlan::blocksAreDescribedAsHalfOpenRanges()
{
    QFETCH(std::set<int>, blocks);
    QFETCH(std::string, expected);
    QCOMPARE(describeBlocks(blocks), expected);
}

QTEST_GUILESS_MAIN(TestPruningPlan)
#include "tst_pruning_plan.moc"
