#include "backend/engine/detail/tensor.h" // LibTorch before Qt

#include "backend/core/error.h"
#include "backend/engine/analysis.h"
#include "backend/engine/compute_device.h"
#include "backend/engine/forward.h"
#include "backend/engine/generation.h"
#include "backend/engine/generation/decoder.h"
#include "backend/engine/nn/causal_lm.h"
#include "backend/engine/nn/shared_prefixes.h"
#include "backend/io/weight_files.h"
#include "backend/text/tokenizer.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_model.h"

#include <QTemporaryDir>
#include <QTest>

#include <ATen/Parallel.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <set>

using namespace secateur;

namespace {

/// The kind of error that \a work throws, its message in \a message; nothing when it does not throw one.
template <typename Work> std::optional<ErrorKind> errorOf(Work &&work, std::string *message = nullptr)
{
    try {
        work();
    } catch (const Error &error) {
        if (message)
            *message = error.info().message;
        return error.kind();
    }
    return std::nullopt;
}

} // namespace

/// The decoder, its decoding paths and the sweep on small models.
class TestEngine : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void loopsUseTheThreadsTheyWereGiven();
    void packedSequencesDoNotSeeEachOther_data();
    void packedSequencesDoNotSeeEachOther();
    void cachedStepsEqualOneForward_data();
    void cachedStepsEqualOneForward();
    void lowRankBranchesTakePartInDecoding();
    void continuationScoresEqualFullForward_data();
    void continuationScoresEqualFullForward();
    void commonPrefixesAreComputedOnce_data();
    void commonPrefixesAreComputedOnce();
    void libTorchAloneGivesTheSameNumbers_data();
    void libTorchAloneGivesTheSameNumbers();
    void longContextsAreCutFromTheLeft();
    void perplexityAveragesChunks();
    void wrongSequencesAreRefused_data();
    void wrongSequencesAreRefused();
    void generationBeyondTheContextNamesBothNumbers();
    void samplesDoNotDependOnTheBatch_data();
    void samplesDoNotDependOnTheBatch();
    void samplesFollowTheProbabilities();
    void topKOfOneIsGreedy();
    void equalLogitsGiveTheLowestId();
    void stopIdEndsASequenceWithoutBeingReturned();
    void stopStringEndsASequence();
    void tokensAreReportedInOrder();
    void cancelledGenerationLeavesTheModelUsable();
    void nanWeightsAreNamed();
    void overflowingModelNamesTheBlock();
    void analysisEqualsDirectFormulas();
    void analysisDoesNotDependOnTheBatch();
    void analysisOfHolesMarksThemUndefined();
    void analysisReportsBadRequests_data();
    void analysisReportsBadRequests();
    void cancelledAnalysisLeavesTheModelUsable();
    void brokenSequenceIsNamedByTheAnalysis();
    void loadedModelCountsItsParameters_data();
    void loadedModelCountsItsParameters();
    void loadingCanBeCancelled();
    void unknownSettingsAreRefused();
    void devicesAndMemoryAreReported();
};

void TestEngine::initTestCase()
{
    applyComputeSettings(settingsOf("f32"));
}

/// Compiled without OpenMP, or linked to a second copy of its runtime, the loops would go on with another number.
void TestEngine::loopsUseTheThreadsTheyWereGiven()
{
    const int before = at::get_num_threads();
    for (const int threads : {1, 2, 3}) {
        at::set_num_threads(threads);
        std::vector<int> seen(static_cast<std::size_t>(threads), -1); // thread of each part
        at::parallel_for(0, threads, 1, [&seen](std::int64_t first, std::int64_t last) {
            for (std::int64_t part = first; part < last; ++part)
                seen[static_cast<std::size_t>(part)] = at::get_thread_num();
        });
        for (int part = 0; part < threads; ++part)
            QCOMPARE(seen[static_cast<std::size_t>(part)], part);
    }
    at::set_num_threads(before);
}

void TestEngine::packedSequencesDoNotSeeEachOther_data()
{
    QTest::addColumn<QString>("kind");
    for (const char *kind : {"plain", "sliding window", "biases", "query and key norm", "holes", "factored", "yarn"})
        QTest::addRow("%s", kind) << QString::fromLatin1(kind);
}

void TestEngine::packedSequencesDoNotSeeEachOther()
{
    QFETCH(QString, kind);
    const Model model = vividModel(configOfKind(kind.toStdString()));
    const std::vector<TokenIds> sequences = {randomIds(9, 101, 1), randomIds(1, 101, 2), randomIds(20, 101, 3),
                                             randomIds(20, 101, 4), randomIds(33, 101, 5)};
    const PackedBatch batch = packSequences(sequences, at::kCPU);
    const Tensor together = forwardHidden(model.impl(), batch); // (T, D)
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        const Tensor alone = forwardHidden(model.impl(), packSequences({sequences[i]}, at::kCPU));
        const Tensor part = together.narrow(0, batch.offsets[i], batch.offsets[i + 1] - batch.offsets[i]);
        const std::vector<float> expected = toVector(alone);
        double scale = 1;
        for (const float value : expected)
            scale = std::max(scale, std::abs(static_cast<double>(value)));
        QVERIFY(largestDifference(toVector(part), expected) < 1e-6 * scale);
    }
}

void TestEngine::cachedStepsEqualOneForward_data()
{
    QTest::addColumn<QString>("kind");
    QTest::addColumn<QString>("decoder");
    QTest::addColumn<QString>("dtype");
    for (const char *kind : {"plain", "sliding window", "biases", "query and key norm", "one query head per group",
                             "holes", "factored", "untied", "yarn"}) {
        for (const char *decoder : {"rows", "tensors"})
            QTest::addRow("%s, %s", kind, decoder)
                << QString::fromLatin1(kind) << QString::fromLatin1(decoder) << QStringLiteral("f32");
    }
    QTest::addRow("bf16, rows") << QStringLiteral("plain") << QStringLiteral("rows") << QStringLiteral("bf16");
    QTest::addRow("bf16, tensors") << QStringLiteral("plain") << QStringLiteral("tensors") << QStringLiteral("bf16");
}

void TestEngine::cachedStepsEqualOneForward()
{
    QFETCH(QString, kind);
    QFETCH(QString, decoder);
    QFETCH(QString, dtype);
    const bool f32 = dtype == QLatin1String("f32");
    const Model model = vividModel(configOfKind(kind.toStdString()), qPrintable(dtype), f32 ? 8 : 2);
    const std::vector<TokenIds> sequences = {randomIds(25, 101, 1), randomIds(18, 101, 2), randomIds(11, 101, 3)};
    constexpr std::size_t kSteps = 10;
    std::vector<TokenIds> prompts;
    for (const TokenIds &sequence : sequences)
        prompts.emplace_back(sequence.begin(), sequence.end() - kSteps);
    KvCache cache(model.impl(), 4, 32, decoder == QLatin1String("tensors"));
    const std::vector<std::int64_t> slots = {2, 0, 3}; // one slot stays idle
    cache.prefill(model.impl(), prompts, slots);
    const auto steps = decoder == QLatin1String("rows") ? makeRowDecoder(model.impl(), cache)
                                                        : makeTensorDecoder(model.impl(), cache);
    std::vector<std::vector<float>> expected;
    for (const TokenIds &sequence : sequences)
        expected.push_back(forwardSequence(model, sequence, false).logits);
    double largest = 0;
    for (std::size_t step = 0; step < kSteps; ++step) {
        std::vector<DecodeRow> rows;
        for (std::size_t i = 0; i < sequences.size(); ++i)
            rows.push_back({slots[i], sequences[i][prompts[i].size() + step]});
        const std::span<const float> logits = steps->step(rows);
        QCOMPARE(logits.size(), std::size_t(3 * 101));
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            const std::span<const float> wanted
                = std::span<const float>(expected[i]).subspan((prompts[i].size() + step) * 101, 101);
            largest = std::max(largest, largestDifference(logits.subspan(i * 101, 101), wanted));
        }
    }
    QVERIFY2(largest < (f32 ? 2e-5 : 2e-2), qPrintable(QString::number(largest)));
}

void TestEngine::lowRankBranchesTakePartInDecoding()
{
    const Model base = vividModel(smallConfig());
    auto impl = std::make_shared<Model::Impl>(base.impl());
    for (DecoderBlock &block : impl->blocks) {
        for (Linear *linear : {&block.q, &block.o, &block.down}) {
            auto branch = std::make_shared<LoraBranch>();
            branch->a = linear->weight.narrow(0, 0, 3).clone();
            branch->b = linear->weight.narrow(1, 0, 3).clone();
            branch->scaling = 2;
            linear->lora = branch;
        }
    }
    const Model model(impl);
    const TokenIds ids = randomIds(12, 101, 9);
    KvCache cache(model.impl(), 1, 16, false);
    cache.prefill(model.impl(), {TokenIds(ids.begin(), ids.end() - 1)}, {0});
    const auto decoder = makeRowDecoder(model.impl(), cache);
    const std::span<const float> logits = decoder->step({{0, ids.back()}});
    const std::vector<float> all = forwardSequence(model, ids, false).logits;
    const std::span<const float> last = std::span<const float>(all).last(101);
    QVERIFY(largestDifference(logits, last) < 2e-5);
    const std::vector<float> without = forwardSequence(base, ids, false).logits;
    QVERIFY(largestDifference(logits, std::span<const float>(without).last(101)) > 1e-2);
}

void TestEngine::continuationScoresEqualFullForward_data()
{
    packedSequencesDoNotSeeEachOther_data();
}

void TestEngine::continuationScoresEqualFullForward()
{
    QFETCH(QString, kind);
    const Model model = vividModel(configOfKind(kind.toStdString()));
    const TokenIds context = randomIds(14, 101, 1);
    const std::vector<TokenIds> continuations = {randomIds(1, 101, 2), randomIds(7, 101, 3), {}, randomIds(3, 101, 4)};
    const std::vector<ContinuationScore> scores = scoreContinuations(model, context, continuations);
    QCOMPARE(scores.size(), continuations.size());
    for (std::size_t i = 0; i < continuations.size(); ++i) {
        TokenIds whole = context;
        whole.insert(whole.end(), continuations[i].begin(), continuations[i].end());
        const std::vector<float> logits = forwardSequence(model, whole, false).logits;
        double expected = 0;
        bool isGreedy = true;
        for (std::size_t t = context.size(); t < whole.size(); ++t) {
            const float *row = logits.data() + (t - 1) * 101;
            double sum = 0;
            for (int v = 0; v < 101; ++v)
                sum += std::exp(static_cast<double>(row[v]));
            expected += row[whole[t]] - std::log(sum);
            isGreedy = isGreedy && std::max_element(row, row + 101) == row + whole[t];
        }
        QVERIFY(std::abs(scores[i].logprob - expected) < 1e-4);
        QCOMPARE(scores[i].isGreedy, isGreedy);
        QCOMPARE(scores[i].tokens, static_cast<std::int64_t>(continuations[i].size()));
    }
}

void TestEngine::commonPrefixesAreComputedOnce_data()
{
    QTest::addColumn<unsigned>("seed");
    QTest::addColumn<int>("letters");
    for (const int letters : {1, 2, 3, 50})
        for (unsigned seed = 0; seed < 5; ++seed)
            QTest::addRow("%d letters, seed %u", letters, seed) << seed << letters;
}

void TestEngine::commonPrefixesAreComputedOnce()
{
    QFETCH(unsigned, seed);
    QFETCH(int, letters);
    std::mt19937 random(seed);
    std::vector<TokenIds> sequences;
    for (int i = 0; i < 20; ++i)
        sequences.push_back(randomIds(1 + random() % 12, letters, unsigned(random())));
    std::set<TokenIds> prefixes;
    for (const TokenIds &sequence : sequences)
        for (auto end = sequence.begin(); end != sequence.end(); ++end)
            prefixes.insert(TokenIds(sequence.begin(), end + 1));

    const SharedPrefixBatch batch = sharePrefixes(sequences, at::kCPU);
    QCOMPARE(batch.ids.size(0), static_cast<std::int64_t>(prefixes.size()));
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        QCOMPARE(batch.rows[i].size(), sequences[i].size());
        for (std::size_t position = 0; position < sequences[i].size(); ++position) {
            const auto row = static_cast<std::int64_t>(batch.rows[i][position]);
            QCOMPARE(batch.ids.const_data_ptr<std::int64_t>()[row], std::int64_t{sequences[i][position]});
            QCOMPARE(batch.positions.const_data_ptr<std::int64_t>()[row], static_cast<std::int64_t>(position));
        }
    }
}

void TestEngine::libTorchAloneGivesTheSameNumbers_data()
{
    packedSequencesDoNotSeeEachOther_data();
}

void TestEngine::libTorchAloneGivesTheSameNumbers()
{
    QFETCH(QString, kind);
    const Model model = vividModel(configOfKind(kind.toStdString()));
    const TokenIds ids = randomIds(30, 101, 1);
    const std::vector<TokenIds> prompts = {ids, randomIds(30, 101, 2), randomIds(9, 101, 3)};
    const std::vector<ScoringItem> items = {{ids, {randomIds(4, 101, 4), randomIds(2, 101, 5)}}, {prompts[2], {ids}}};
    GenerationOptions options;
    options.maxNewTokens = 8;
    options.ignoreEos = true;
    struct Results {
        std::vector<float> logits;
        std::vector<std::vector<ContinuationScore>> scores;
        std::vector<TokenIds> alone, together;
    };
    const auto resultsWith = [&](const char *kernels) {
        ComputeSettings settings = settingsOf("f32");
        settings.kernels = kernels;
        applyComputeSettings(settings);
        Results results{forwardSequence(model, ids, false).logits, scoreContinuations(model, items), {}, {}};
        for (const GeneratedSequence &sequence : generateAll(model, prompts, options, 3).sequences)
            results.together.push_back(sequence.ids);
        for (const TokenIds &prompt : prompts) // a single sequence needs no mask
            results.alone.push_back(generateAll(model, {prompt}, options, 1).sequences.front().ids);
        return results;
    };
    const Results libTorch = resultsWith("libtorch");
    const Results own = resultsWith("own");
    QVERIFY(largestDifference(libTorch.logits, own.logits) < 1e-3);
    for (std::size_t i = 0; i < items.size(); ++i)
        for (std::size_t c = 0; c < items[i].continuations.size(); ++c)
            QVERIFY(std::abs(libTorch.scores[i][c].logprob - own.scores[i][c].logprob) < 1e-3);
    QVERIFY(libTorch.together == own.together);
    QVERIFY(libTorch.alone == own.alone);
    QVERIFY(own.alone == own.together);
}

void TestEngine::longContextsAreCutFromTheLeft()
{
    ModelConfig config = smallConfig();
    config.maxPositions = 16;
    const Model model = vividModel(config);
    const TokenIds context = randomIds(40, 101, 1);
    const TokenIds continuation = randomIds(5, 101, 2);
    // 16 positions hold 12 context tokens and 4 of the continuation, whose last token is never fed
    const TokenIds cut(context.end() - 12, context.end());
    const double whole = scoreContinuations(model, context, {continuation}).front().logprob;
    QVERIFY(std::abs(whole - scoreContinuations(model, cut, {continuation}).front().logprob) < 1e-6);
}

void TestEngine::perplexityAveragesChunks()
{
    const Model model = vividModel(smallConfig());
    const TokenIds ids = randomIds(35, 101, 1);
    double sum = 0;
    for (int chunk = 0; chunk < 3; ++chunk) {
        const TokenIds first(ids.begin() + chunk * 10, ids.begin() + chunk * 10 + 1);
        const TokenIds rest(ids.begin() + chunk * 10 + 1, ids.begin() + chunk * 10 + 10);
        sum -= scoreContinuations(model, first, {rest}).front().logprob / 9;
    }
    const PerplexityResult all = perplexity(model, ids, 10, 0);
    QCOMPARE(all.chunks, std::int64_t(3));
    QCOMPARE(all.tokens, std::int64_t(30));
    QVERIFY(std::abs(std::log(all.perplexity) - sum / 3) < 1e-5);
    QCOMPARE(perplexity(model, ids, 10, 2).chunks, std::int64_t(2));
    QVERIFY(errorOf([&] { perplexity(model, ids, 36, 0); }) == ErrorKind::InvalidArgument);
    QVERIFY(errorOf([&] { perplexity(model, ids, 1, 0); }) == ErrorKind::InvalidArgument);
}

void TestEngine::wrongSequencesAreRefused_data()
{
    QTest::addColumn<QString>("ids");
    QTest::addColumn<QString>("part");
    QTest::newRow("empty") << QString() << QStringLiteral("no tokens");
    QTest::newRow("negative") << QStringLiteral("4 -1") << QStringLiteral("token id -1 at position 1");
    QTest::newRow("beyond the vocabulary") << QStringLiteral("101") << QStringLiteral("ends at 100");
    QTest::newRow("beyond the context") << QStringLiteral("1 ").repeated(129).trimmed() << QStringLiteral("129 tokens");
}

void TestEngine::wrongSequencesAreRefused()
{
    QFETCH(QString, ids);
    QFETCH(QString, part);
    TokenIds sequence;
    for (const QString &id : ids.split(u' ', Qt::SkipEmptyParts))
        sequence.push_back(id.toInt());
    const Model model = randomModel(smallConfig(), 1, settingsOf("f32"));
    std::string message;
    QVERIFY(errorOf([&] { forwardSequence(model, sequence, false); }, &message) == ErrorKind::InvalidArgument);
    QVERIFY2(QString::fromStdString(message).contains(part), message.c_str());
    QVERIFY(errorOf([&] { generateAll(model, {sequence}, {}, 1); }) == ErrorKind::InvalidArgument);
    AnalysisRequest request;
    request.calibration.sequences = {{1, 2, 3}, sequence};
    QVERIFY(errorOf([&] { analyze(model, request); }, &message) == ErrorKind::InvalidArgument);
    QVERIFY(QString::fromStdString(message).startsWith(QStringLiteral("Calibration sequence 1")));
}

void TestEngine::generationBeyondTheContextNamesBothNumbers()
{
    const Model model = randomModel(smallConfig(), 1, settingsOf("f32"));
    GenerationOptions options;
    options.maxNewTokens = 100;
    std::string message;
    QVERIFY(errorOf([&] { generateAll(model, {randomIds(29, 101, 1)}, options, 1); }, &message)
            == ErrorKind::InvalidArgument);
    const QString text = QString::fromStdString(message);
    QVERIFY2(text.contains(QStringLiteral("29 tokens and 100 new")) && text.contains(QStringLiteral("128")),
             message.c_str());
    options.maxNewTokens = 99;
    options.ignoreEos = true;
    QCOMPARE(generateAll(model, {randomIds(29, 101, 1)}, options, 1).sequences.front().ids.size(), std::size_t(99));
}

void TestEngine::samplesDoNotDependOnTheBatch_data()
{
    QTest::addColumn<double>("temperature");
    QTest::addColumn<int>("topK");
    QTest::addColumn<double>("topP");
    QTest::newRow("greedy") << 0.0 << 0 << 1.0;
    QTest::newRow("temperature") << 0.7 << 0 << 1.0;
    QTest::newRow("top-k") << 1.0 << 5 << 1.0;
    QTest::newRow("top-p") << 1.2 << 0 << 0.9;
    QTest::newRow("all") << 0.9 << 20 << 0.8;
}

void TestEngine::samplesDoNotDependOnTheBatch()
{
    QFETCH(double, temperature);
    QFETCH(int, topK);
    QFETCH(double, topP);
    const Model model = vividModel(smallConfig());
    std::vector<TokenIds> prompts;
    for (unsigned i = 0; i < 7; ++i)
        prompts.push_back(randomIds(3 + 4 * i, 101, i));
    prompts.push_back(prompts[2]);
    GenerationOptions options;
    options.maxNewTokens = 20;
    options.ignoreEos = true;
    options.temperature = temperature;
    options.topK = topK;
    options.topP = topP;
    options.seed = 11;
    const GenerationResult one = generateAll(model, prompts, options, 1);
    const GenerationResult three = generateAll(model, prompts, options, 3);
    const GenerationResult all = generateAll(model, prompts, options, 16);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        QVERIFY(one.sequences[i].ids == three.sequences[i].ids);
        QVERIFY(one.sequences[i].ids == all.sequences[i].ids);
        QCOMPARE(one.sequences[i].finish, std::string("length"));
        QCOMPARE(one.sequences[i].ids.size(), std::size_t(20));
    }
    // equal prompts differ exactly when tokens are drawn
    QCOMPARE(one.sequences[2].ids == one.sequences[7].ids, temperature == 0);
    options.seed = 12;
    QCOMPARE(generateAll(model, prompts, options, 3).sequences[0].ids == one.sequences[0].ids, temperature == 0);
}

void TestEngine::samplesFollowTheProbabilities()
{
    const Model model = vividModel(smallConfig(1));
    const TokenIds prompt = randomIds(5, 101, 1);
    const std::vector<float> logits = forwardSequence(model, prompt, false).logits;
    const float *row = logits.data() + 4 * 101;
    double sum = 0;
    for (int v = 0; v < 101; ++v)
        sum += std::exp(static_cast<double>(row[v]));
    constexpr int kSamples = 4000;
    GenerationOptions options;
    options.maxNewTokens = 1;
    options.ignoreEos = true;
    options.temperature = 1;
    const GenerationResult result = generateAll(model, std::vector<TokenIds>(kSamples, prompt), options, 64);
    std::vector<int> counts(101);
    for (const GeneratedSequence &sequence : result.sequences)
        ++counts[static_cast<std::size_t>(sequence.ids.front())];
    for (int v = 0; v < 101; ++v) {
        const double p = std::exp(static_cast<double>(row[v])) / sum;
        const double deviation = std::sqrt(p * (1 - p) / kSamples);
        QVERIFY(std::abs(counts[static_cast<std::size_t>(v)] / double(kSamples) - p) < 5 * deviation + 1e-3);
    }
}

void TestEngine::topKOfOneIsGreedy()
{
    const Model model = vividModel(smallConfig());
    GenerationOptions options;
    options.maxNewTokens = 15;
    options.ignoreEos = true;
    const TokenIds prompt = randomIds(6, 101, 3);
    const TokenIds greedy = generateAll(model, {prompt}, options, 1).sequences.front().ids;
    options.temperature = 2;
    options.topK = 1;
    QVERIFY(generateAll(model, {prompt}, options, 1).sequences.front().ids == greedy);
    options.topK = 0;
    options.topP = 1e-9;
    QVERIFY(generateAll(model, {prompt}, options, 1).sequences.front().ids == greedy);
}

void TestEngine::equalLogitsGiveTheLowestId()
{
    const Model model = randomModel(smallConfig(), 1, settingsOf("f32"));
    auto impl = std::make_shared<Model::Impl>(model.impl());
    impl->head.weight = at::zeros_like(impl->embedding);
    GenerationOptions options;
    options.maxNewTokens = 2;
    options.ignoreEos = true;
    QVERIFY(generateAll(Model(impl), {{5, 6}}, options, 1).sequences.front().ids == TokenIds({0, 0}));
}

void TestEngine::stopIdEndsASequenceWithoutBeingReturned()
{
    const Model model = vividModel(smallConfig());
    const TokenIds prompt = randomIds(6, 101, 3);
    GenerationOptions options;
    options.maxNewTokens = 12;
    options.ignoreEos = true;
    const TokenIds free = generateAll(model, {prompt}, options, 1).sequences.front().ids;
    auto impl = std::make_shared<Model::Impl>(model.impl());
    impl->config.eosTokenIds = {free[5]};
    const auto first = static_cast<std::size_t>(std::find(free.begin(), free.end(), free[5]) - free.begin());
    options.ignoreEos = false;
    const GeneratedSequence stopped = generateAll(Model(impl), {prompt}, options, 1).sequences.front();
    QVERIFY(stopped.ids == TokenIds(free.begin(), free.begin() + static_cast<std::ptrdiff_t>(first)));
    QCOMPARE(stopped.finish, std::string("stop"));
}

void TestEngine::stopStringEndsASequence()
{
    QTemporaryDir folder;
    const std::filesystem::path path = folder.filePath(QStringLiteral("model")).toStdString();
    TinyModelOptions shape;
    shape.scale = 0.4;
    writeTinyModel(path, shape);
    const Model model = loadModel(inspectModel(path), settingsOf("f32"));
    const std::shared_ptr<const Tokenizer> tokenizer = loadTokenizer(path);
    GenerationRequest request;
    request.prompts = {{72, 101, 108, 108, 111}};
    request.options.maxNewTokens = 30;
    request.options.ignoreEos = true;
    const TokenIds free = generate(model, request, tokenizer.get()).sequences.front().ids;
    QCOMPARE(free.size(), std::size_t(30));
    const std::string stop = tokenizer->tokenBytes(free[8]) + tokenizer->tokenBytes(free[9]);
    request.options.stopStrings = {"never written", stop};
    const GeneratedSequence stopped = generate(model, request, tokenizer.get()).sequences.front();
    QCOMPARE(stopped.finish, std::string("stop"));
    QVERIFY(stopped.ids.size() <= 10);
    std::string text;
    for (const std::int32_t id : stopped.ids)
        text += tokenizer->tokenBytes(id);
    QVERIFY(text.size() >= stop.size() && text.substr(text.size() - stop.size()) == stop);
    QVERIFY(errorOf([&] { generate(model, request, nullptr); }) == ErrorKind::InvalidArgument);
}

void TestEngine::tokensAreReportedInOrder()
{
    const Model model = vividModel(smallConfig());
    GenerationRequest request;
    request.prompts = {randomIds(4, 101, 1), randomIds(9, 101, 2), randomIds(2, 101, 3)};
    request.options.maxNewTokens = 6;
    request.options.ignoreEos = true;
    request.batch = 2;
    std::vector<TokenIds> seen(3);
    const GenerationResult result
        = generate(model, request, nullptr, {}, [&](std::size_t index, std::int32_t id) { seen[index].push_back(id); });
    for (std::size_t i = 0; i < 3; ++i)
        QVERIFY(seen[i] == result.sequences[i].ids);
    QCOMPARE(result.prefillTokens, std::int64_t(15));
    QCOMPARE(result.decodeTokens, std::int64_t(15)); // the first token of each comes from the prompt
}

void TestEngine::cancelledGenerationLeavesTheModelUsable()
{
    const Model model = vividModel(smallConfig());
    std::stop_source stop;
    GenerationRequest request;
    request.prompts = {randomIds(4, 101, 1)};
    request.options.maxNewTokens = 50;
    request.options.ignoreEos = true;
    const TokenIds whole = generate(model, request, nullptr).sequences.front().ids;
    int tokens = 0;
    const auto stopAtTen = [&](std::size_t, std::int32_t) {
        if (++tokens == 10)
            stop.request_stop();
    };
    QVERIFY_EXCEPTION_THROWN(generate(model, request, nullptr, JobContext(stop.get_token(), {}), stopAtTen), Cancelled);
    QCOMPARE(tokens, 10);
    QVERIFY(generate(model, request, nullptr).sequences.front().ids == whole);
}

void TestEngine::nanWeightsAreNamed()
{
    QTemporaryDir folder;
    const std::filesystem::path path = folder.filePath(QStringLiteral("model")).toStdString();
    writeTinyModel(path);
    const ModelInfo info = inspectModel(path);
    const auto tensor = std::find_if(info.tensors.begin(), info.tensors.end(), [](const TensorInfo &entry) {
        return entry.name == "model.layers.2.mlp.up_proj.weight";
    });
    QVERIFY(tensor != info.tensors.end());
    {
        std::fstream file(path / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
        std::uint64_t header = 0;
        file.read(reinterpret_cast<char *>(&header), sizeof(header));
        const float nan = std::numeric_limits<float>::quiet_NaN();
        const SafetensorsFile parsed(path / "model.safetensors");
        const auto data = parsed.data(*parsed.find(tensor->name)).data() - parsed.file().all().data();
        file.seekp(data + 4 * (3 * 32 + 17)); // row 3, column 17
        file.write(reinterpret_cast<const char *>(&nan), sizeof(nan));
    }
    std::string message;
    QVERIFY(errorOf([&] { loadModel(info, settingsOf("f32")); }, &message) == ErrorKind::Numeric);
    const QString text = QString::fromStdString(message);
    QVERIFY2(text.contains(QStringLiteral("model.layers.2.mlp.up_proj.weight"))
                 && text.contains(QStringLiteral("model.safetensors")) && text.contains(QStringLiteral("[3, 17]")),
             message.c_str());
    QVERIFY(errorOf([&] { loadModel(info, settingsOf("bf16")); }) == ErrorKind::Numeric);
}

void TestEngine::overflowingModelNamesTheBlock()
{
    const Model model = vividModel(smallConfig());
    auto impl = std::make_shared<Model::Impl>(model.impl());
    impl->blocks[2].down.weight = impl->blocks[2].down.weight * std::numeric_limits<float>::max();
    const Model broken(impl);
    std::string message;
    QVERIFY(errorOf([&] { forwardSequence(broken, {1, 2, 3}, false); }, &message) == ErrorKind::Numeric);
    QVERIFY2(QString::fromStdString(message).contains(QStringLiteral("after block 2")), message.c_str());
    GenerationOptions options;
    options.maxNewTokens = 4;
    QVERIFY(errorOf([&] { generateAll(broken, {{1, 2, 3}}, options, 1); }) == ErrorKind::Numeric);
    QVERIFY(errorOf([&] { scoreContinuations(broken, {1, 2}, {{3, 4}}); }) == ErrorKind::Numeric);
    QVERIFY(errorOf([&] { perplexity(broken, {1, 2, 3, 4}, 4, 0); }) == ErrorKind::Numeric);
}

void TestEngine::analysisEqualsDirectFormulas()
{
    const Model model = vividModel(smallConfig());
    AnalysisRequest request;
    request.calibration.sequences = {randomIds(7, 101, 1), randomIds(13, 101, 2)};
    const AnalysisResult result = analyze(model, request);
    QCOMPARE(result.maps.size(), std::size_t(7));
    const auto hidden = [&](std::size_t sequence) {
        return forwardSequence(model, request.calibration.sequences[sequence], true).hidden;
    };
    const std::vector<std::vector<float>> states = {hidden(0), hidden(1)};
    const auto cosine = [&](std::size_t sequence, std::size_t token, std::size_t i, std::size_t j) {
        const std::size_t tokens = request.calibration.sequences[sequence].size();
        double dot = 0, left = 0, right = 0;
        for (std::size_t c = 0; c < 48; ++c) {
            const double a = states[sequence][(i * tokens + token) * 48 + c];
            const double b = states[sequence][(j * tokens + token) * 48 + c];
            dot += a * b;
            left += a * a;
            right += b * b;
        }
        return dot / std::sqrt(left * right);
    };
    const MetricMapPtr map = result.find("block_cosine");
    const MetricMapPtr influence = result.find("block_influence", "influence");
    const MetricMapPtr distance = result.find("block_distance");
    for (std::size_t i = 0; i < 5; ++i) {
        for (std::size_t j = i + 1; j < 5; ++j) {
            double sum = 0;
            for (std::size_t t = 0; t < 7; ++t)
                sum += cosine(0, t, i, j);
            for (std::size_t t = 0; t < 13; ++t)
                sum += cosine(1, t, i, j);
            const auto row = static_cast<std::int64_t>(i);
            const auto column = static_cast<std::int64_t>(j);
            QVERIFY(std::abs(map->at(row, column) - sum / 20) < 1e-6);
            QCOMPARE(map->at(row, column), map->at(column, row));
            if (j == i + 1)
                QVERIFY(std::abs(influence->at(row, 0) - (1 - sum / 20)) < 1e-6);
            const double angle = (std::acos(cosine(0, 6, i, j)) + std::acos(cosine(1, 12, i, j))) / 2 / M_PI;
            QVERIFY(std::abs(distance->at(row, column - row - 1) - angle) < 1e-6);
        }
        QCOMPARE(map->at(static_cast<std::int64_t>(i), static_cast<std::int64_t>(i)), 1.0F);
    }
}

void TestEngine::analysisDoesNotDependOnTheBatch()
{
    const Model model = vividModel(smallConfig());
    AnalysisRequest request;
    for (unsigned i = 0; i < 9; ++i)
        request.calibration.sequences.push_back(randomIds(4 + i % 5, 101, i));
    const AnalysisResult whole = analyze(model, request);
    request.batchTokens = 10;
    const AnalysisResult pieces = analyze(model, request);
    QCOMPARE(whole.maps.size(), pieces.maps.size());
    for (std::size_t m = 0; m < whole.maps.size(); ++m) {
        QCOMPARE(whole.maps[m]->id(), pieces.maps[m]->id());
        double scale = 0;
        for (const float value : whole.maps[m]->values)
            scale = std::isnan(value) ? scale : std::max(scale, std::abs(static_cast<double>(value)));
        for (std::size_t i = 0; i < whole.maps[m]->values.size(); ++i) {
            const float a = whole.maps[m]->values[i];
            const float b = pieces.maps[m]->values[i];
            QVERIFY((std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 1e-6 * scale);
        }
    }
}

void TestEngine::analysisOfHolesMarksThemUndefined()
{
    const Model model = vividModel(configOfKind("holes"));
    AnalysisRequest request;
    request.calibration.sequences = {randomIds(12, 101, 1)};
    request.maps = {"head_importance", "ffn_importance"};
    const AnalysisResult result = analyze(model, request);
    QCOMPARE(result.maps.size(), std::size_t(4));
    const MetricMapPtr heads = result.find("head_importance", "activation_weight");
    QCOMPARE(heads->columns, std::int64_t(2));
    QVERIFY(std::isnan(heads->at(1, 0)) && !std::isnan(heads->at(2, 1)));
    QVERIFY(!std::isnan(heads->at(3, 0)) && std::isnan(heads->at(3, 1)));
    const MetricMapPtr channels = result.find("ffn_importance", "weight_magnitude");
    QCOMPARE(channels->columns, std::int64_t(75));
    QVERIFY(std::isnan(channels->at(2, 0)) && !std::isnan(channels->at(3, 18)) && std::isnan(channels->at(3, 19)));
}

void TestEngine::analysisReportsBadRequests_data()
{
    QTest::addColumn<QString>("map");
    QTest::addColumn<int>("sequences");
    QTest::addColumn<QString>("part");
    QTest::newRow("unknown map") << QStringLiteral("block_colour") << 1 << QStringLiteral("\"block_colour\"");
    QTest::newRow("nothing to run") << QStringLiteral("block_cosine") << 0 << QStringLiteral("no sequences");
}

void TestEngine::analysisReportsBadRequests()
{
    QFETCH(QString, map);
    QFETCH(int, sequences);
    QFETCH(QString, part);
    const Model model = randomModel(smallConfig(), 1, settingsOf("f32"));
    AnalysisRequest request;
    request.maps = {map.toStdString()};
    request.calibration.sequences.assign(static_cast<std::size_t>(sequences), TokenIds{1, 2});
    std::string message;
    QVERIFY(errorOf([&] { analyze(model, request); }, &message) == ErrorKind::InvalidArgument);
    QVERIFY2(QString::fromStdString(message).contains(part), message.c_str());
}

void TestEngine::cancelledAnalysisLeavesTheModelUsable()
{
    const Model model = vividModel(smallConfig());
    AnalysisRequest request;
    for (unsigned i = 0; i < 6; ++i)
        request.calibration.sequences.push_back(randomIds(20, 101, i));
    request.batchTokens = 40;
    const AnalysisResult before = analyze(model, request);
    std::stop_source stop;
    std::vector<Progress> reports;
    const JobContext context(stop.get_token(), [&](const Progress &progress) {
        reports.push_back(progress);
        if (progress.done > 50) // in the middle of the second batch
            stop.request_stop();
    });
    QVERIFY_EXCEPTION_THROWN(analyze(model, request, context), Cancelled);
    QCOMPARE(reports.back().stage, std::string("analyze.sweep"));
    QCOMPARE(reports.back().total, std::int64_t(120));
    QVERIFY(reports.back().done < 80);
    QVERIFY(reports.back().tokensPerSecond > 0);
    const AnalysisResult after = analyze(model, request);
    QVERIFY(after.find("block_cosine")->values == before.find("block_cosine")->values);
}

void TestEngine::brokenSequenceIsNamedByTheAnalysis()
{
    const Model model = vividModel(smallConfig());
    auto impl = std::make_shared<Model::Impl>(model.impl());
    impl->embedding = impl->embedding.clone();
    impl->embedding.select(0, 42).fill_(std::numeric_limits<float>::infinity());
    AnalysisRequest request;
    request.calibration.sequences = {{1, 2, 3}, {4, 5}, {6, 42, 7}};
    std::string message;
    QVERIFY(errorOf([&] { analyze(Model(impl), request); }, &message) == ErrorKind::Numeric);
    const QString text = QString::fromStdString(message);
    QVERIFY2(text.contains(QStringLiteral("embedding")) && text.contains(QStringLiteral("token 1 of sequence 2")),
             message.c_str());
}

void TestEngine::loadedModelCountsItsParameters_data()
{
    QTest::addColumn<bool>("tied");
    QTest::addColumn<bool>("biases");
    QTest::addColumn<bool>("norms");
    QTest::addColumn<QString>("dtype");
    QTest::newRow("llama") << true << false << false << QStringLiteral("f32");
    QTest::newRow("untied") << false << false << false << QStringLiteral("f32");
    QTest::newRow("qwen2") << true << true << false << QStringLiteral("f32");
    QTest::newRow("qwen3") << true << false << true << QStringLiteral("bf16");
}

void TestEngine::loadedModelCountsItsParameters()
{
    QFETCH(bool, tied);
    QFETCH(bool, biases);
    QFETCH(bool, norms);
    QFETCH(QString, dtype);
    QTemporaryDir folder;
    const std::filesystem::path path = folder.filePath(QStringLiteral("a model, ö")).toStdString();
    TinyModelOptions options;
    options.tied = tied;
    options.biases = biases;
    options.queryKeyNorm = norms;
    writeTinyModel(path, options);
    const ModelInfo info = inspectModel(path);
    std::vector<Progress> reports;
    const JobContext context({}, [&](const Progress &progress) { reports.push_back(progress); });
    const Model model = loadModel(info, settingsOf(qPrintable(dtype)), context);
    QCOMPARE(model.parameters(), info.parameters);
    QCOMPARE(model.parameters(), totalParameters(*info.config));
    QCOMPARE(model.dtype(), dtype.toStdString());
    QCOMPARE(model.device(), std::string("cpu"));
    QCOMPARE(reports.size(), info.tensors.size());
    QCOMPARE(reports.back().total, static_cast<std::int64_t>(info.tensors.size()));
    QCOMPARE(forwardSequence(model, {1, 2, 3}, false).logits.size(), std::size_t(3 * 264));
}

void TestEngine::loadingCanBeCancelled()
{
    QTemporaryDir folder;
    const std::filesystem::path path = folder.filePath(QStringLiteral("model")).toStdString();
    writeTinyModel(path);
    const ModelInfo info = inspectModel(path);
    std::stop_source stop;
    int reports = 0;
    const JobContext context(stop.get_token(), [&](const Progress &) {
        if (++reports == 5)
            stop.request_stop();
    });
    QVERIFY_EXCEPTION_THROWN(loadModel(info, settingsOf("f32"), context), Cancelled);
    QCOMPARE(reports, 5);
}

void TestEngine::unknownSettingsAreRefused()
{
    ComputeSettings settings;
    settings.device = "tpu";
    std::string message;
    QVERIFY(errorOf([&] { applyComputeSettings(settings); }, &message) == ErrorKind::InvalidArgument);
    QVERIFY2(QString::fromStdString(message).contains(QStringLiteral("\"tpu\"")), message.c_str());
    settings = {};
    settings.dtype = "f8";
    QVERIFY(errorOf([&] { applyComputeSettings(settings); }, &message) == ErrorKind::InvalidArgument);
    QVERIFY2(QString::fromStdString(message).contains(QStringLiteral("auto, f32, bf16")), message.c_str());
    settings = {};
    settings.threads = -1;
    QVERIFY(errorOf([&] { applyComputeSettings(settings); }) == ErrorKind::InvalidArgument);
    settings = {};
    settings.kernels = "mine";
    QVERIFY(errorOf([&] { applyComputeSettings(settings); }, &message) == ErrorKind::InvalidArgument);
    QVERIFY2(QString::fromStdString(message).contains(QStringLiteral("own, libtorch")), message.c_str());
    settings = {};
    const std::string automatic = resolveDtype(settings);
    QVERIFY(automatic == (listDevices().front().fastBf16 ? "bf16" : "f32"));
}

void TestEngine::devicesAndMemoryAreReported()
{
    applyComputeSettings(settingsOf("f32"));
    const std::vector<DeviceInfo> devices = listDevices();
    QVERIFY(!devices.empty());
    QCOMPARE(devices.front().id, std::string("cpu"));
    QCOMPARE(devices.front().name, std::string("CPU · 2 threads"));
    const MemoryUse memory = memoryUse();
    QVERIFY(memory.resident > 0 && memory.peak >= memory.resident / 2);
    QVERIFY(memory.available > 0 && memory.available <= memory.total);
}

QTEST_GUILESS_MAIN(TestEngine)
#include "tst_engine.moc"
