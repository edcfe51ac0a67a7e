#include "backend/engine/detail/tensor.h" // LibTorch before Qt

#include "backend/engine/compute_device.h"
#include "backend/engine/forward.h"
#include "backend/engine/generation.h"
#include "backend/engine/generation/kv_cache.h"
#include "backend/engine/generation/sampler.h"
#include "backend/io/weight_files.h"
#include "backend/text/tokenizer.h"
#include "tests/support/error_mentions.h"
#include "tests/support/small_model.h"
#include "tests/support/test_data.h"
#include "tests/support/tiny_model.h"

#include <QTemporaryDir>
#include <QTest>

#include <algorithm>

using namespace secateur;

namespace {

/// The embedding of token i is the i-th unit vector and the head maps it to \a next[i]: greedy decoding follows a
/// table.
Model tableModel(const std::vector<int> &next, int maxPositions = 4096)
{
    const int vocabulary = static_cast<int>(next.size());
    ModelConfig config = smallConfig(1);
    config.hiddenSize = config.vocabSize = vocabulary;
    config.maxPositions = maxPositions;
    config.tiedEmbeddings = false;
    auto impl = std::make_shared<Model::Impl>(randomModel(config, 1, settingsOf("f32")).impl());
    std::vector<float> embedding(static_cast<std::size_t>(vocabulary * vocabulary));
    std::vector<float> head(embedding.size());
    for (int i = 0; i < vocabulary; ++i) {
        embedding[static_cast<std::size_t>(i * vocabulary + i)] = 1;
        head[static_cast<std::size_t>(next[static_cast<std::size_t>(i)] * vocabulary + i)] = 1;
    }
    const auto fill = [](Tensor &tensor, const std::vector<float> &values) {
        std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
    };
    fill(impl->embedding, embedding);
    fill(impl->head.weight, head);
    for (DecoderBlock &block : impl->blocks) { // the block adds nothing
        block.o.weight = block.o.weight * 0;
        block.down.weight = block.down.weight * 0;
    }
    return Model(impl);
}

/// 0 → 1 → … → n − 1 → 0.
std::vector<int> circle(int n)
{
    std::vector<int> next(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i)
        next[static_cast<std::size_t>(i)] = (i + 1) % n;
    return next;
}

GeneratedSequence generated(const Model &model, const TokenIds &prompt, const GenerationOptions &options)
{
    return generateAll(model, {prompt}, options, 1).sequences.front();
}

} // namespace

/// What ends a sequence, how tokens are drawn, and what happens when memory is short.
class TestGeneration : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void minPKeepsTokensNearTheBest_data();
    void minPKeepsTokensNearTheBest();
    void drawsDoNotDependOnTheBatch_data();
    void drawsDoNotDependOnTheBatch();
    void randomBatchesEqualSingleSequences_data();
    void randomBatchesEqualSingleSequences();
    void stopIdsEndASequence();
    void provenLoopsEndASequence_data();
    void provenLoopsEndASequence();
    void loopsRunToTheCapWhenAsked();
    void stopStringsThatNeverComeEndAtTheCap();
    void streamedTextsAreTheFinalTexts_data();
    void streamedTextsAreTheFinalTexts();
    void aBatchThatDoesNotFitIsMadeSmaller();
    void oneSequenceThatDoesNotFitIsRefused();
    void removedBlocksHaveNoCache();
    void settingsOutOfRangeAreRefused_data();
    void settingsOutOfRangeAreRefused();
    void idsBeyondTheEmbeddingAreNamed();
    void nonFiniteValuesNameBlockAndToken();
};

void TestGeneration::initTestCase()
{
    ComputeSettings settings = settingsOf("f32");
    settings.threads = 1; // thousands of tiny steps: waiting for a second thread would cost more than it does
    applyComputeSettings(settings);
}

void TestGeneration::minPKeepsTokensNearTheBest_data()
{
    QTest::addColumn<double>("minP");
    QTest::addColumn<double>("temperature");
    QTest::addColumn<int>("kept");
    // probabilities fall by 1/2 from token to token
    QTest::newRow("off") << 0.0 << 1.0 << 6;
    QTest::newRow("a tenth") << 0.1 << 1.0 << 4;
    QTest::newRow("exactly a quarter stays") << 0.2499 << 1.0 << 3;
    QTest::newRow("the best only") << 1.0 << 1.0 << 1;
    QTest::newRow("temperature comes first") << 0.1 << 2.0 << 6;
    QTest::newRow("cold") << 0.1 << 0.5 << 2;
}

void TestGeneration::minPKeepsTokensNearTheBest()
{
    QFETCH(double, minP);
    QFETCH(double, temperature);
    QFETCH(int, kept);
    std::vector<float> logits(6);
    for (std::size_t i = 0; i < logits.size(); ++i)
        logits[i] = -static_cast<float>(i) * std::log(2.0F);
    GenerationOptions options;
    options.minP = minP;
    options.temperature = temperature;
    Sampler sampler(options, 0);
    std::vector<int> counts(logits.size());
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i)
        ++counts[static_cast<std::size_t>(sampler.pick(logits))];
    double mass = 0;
    for (int i = 0; i < kept; ++i)
        mass += std::pow(2.0, -i / temperature);
    for (int i = 0; i < 6; ++i) {
        const double p = i < kept ? std::pow(2.0, -i / temperature) / mass : 0;
        const double deviation = std::sqrt(p * (1 - p) / kDraws);
        QVERIFY(std::abs(counts[static_cast<std::size_t>(i)] / double(kDraws) - p) <= 5 * deviation);
    }
}

void TestGeneration::drawsDoNotDependOnTheBatch_data()
{
    QTest::addColumn<double>("topP");
    QTest::addColumn<double>("minP");
    QTest::newRow("min-p") << 1.0 << 0.05;
    QTest::newRow("top-p") << 0.8 << 0.0;
    QTest::newRow("both") << 0.95 << 0.02;
}

void TestGeneration::drawsDoNotDependOnTheBatch()
{
    QFETCH(double, topP);
    QFETCH(double, minP);
    const Model model = vividModel(smallConfig());
    std::vector<TokenIds> prompts;
    for (unsigned i = 0; i < 6; ++i)
        prompts.push_back(randomIds(2 + 5 * i, 101, i));
    GenerationOptions options;
    options.maxNewTokens = 20;
    options.ignoreEos = true;
    options.temperature = 1.1;
    options.topP = topP;
    options.minP = minP;
    options.seed = 5;
    const GenerationResult one = generateAll(model, prompts, options, 1);
    const GenerationResult four = generateAll(model, prompts, options, 4);
    const GenerationResult all = generateAll(model, prompts, options, 6);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
        QVERIFY(one.sequences[i].ids == four.sequences[i].ids);
        QVERIFY(one.sequences[i].ids == all.sequences[i].ids);
    }
    options.minP = 1; // nothing but the most likely one is left
    options.topP = 1;
    const TokenIds only = generated(model, prompts[3], options).ids;
    options.temperature = 0;
    QVERIFY(only == generated(model, prompts[3], options).ids);
}

void TestGeneration::randomBatchesEqualSingleSequences_data()
{
    QTest::addColumn<QString>("kind");
    QTest::addColumn<unsigned>("seed");
    unsigned seed = 0;
    for (const char *kind : {"plain", "sliding window", "biases", "query and key norm", "holes", "factored", "yarn"})
        for (int i = 0; i < 2; ++i, ++seed)
            QTest::addRow("%s, seed %u", kind, seed) << QString::fromLatin1(kind) << seed;
}

void TestGeneration::randomBatchesEqualSingleSequences()
{
    QFETCH(QString, kind);
    QFETCH(unsigned, seed);
    const Model model = vividModel(configOfKind(kind.toStdString()));
    std::mt19937 random(seed);
    std::vector<TokenIds> sequences;
    const std::size_t count = 2 + random() % 7;
    for (std::size_t i = 0; i < count; ++i) {
        TokenIds ids;
        if (i > 0 && random() % 2 == 0) { // begins as an earlier one, which it may be altogether
            const TokenIds &earlier = sequences[random() % i];
            ids.assign(earlier.begin(), earlier.begin() + static_cast<std::ptrdiff_t>(1 + random() % earlier.size()));
        }
        const TokenIds own = randomIds((ids.empty() ? 1 : 0) + random() % (61 - ids.size()), 101, unsigned(random()));
        ids.insert(ids.end(), own.begin(), own.end());
        sequences.push_back(std::move(ids));
    }

    // hidden states of the packed forward pass
    const PackedBatch batch = packSequences(sequences, at::kCPU);
    const std::vector<float> together = toVector(forwardHidden(model.impl(), batch));
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        const std::vector<float> alone = toVector(forwardHidden(model.impl(), packSequences({sequences[i]}, at::kCPU)));
        float scale = 0;
        for (const float value : alone)
            scale = std::max(scale, std::abs(value));
        const auto part = std::span(together).subspan(static_cast<std::size_t>(batch.offsets[i]) * 48, alone.size());
        QVERIFY(largestDifference(part, alone) <= 1e-6 * static_cast<double>(scale));
    }

    // continuations after one context
    const std::vector<ContinuationScore> scores = scoreContinuations(model, sequences[0], sequences);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        const ContinuationScore alone = scoreContinuations(model, sequences[0], {sequences[i]}).front();
        QVERIFY(std::abs(scores[i].logprob - alone.logprob) <= 1e-6 * std::max(1.0, std::abs(alone.logprob)));
        QCOMPARE(scores[i].isGreedy, alone.isGreedy);
    }

    // and after several, more than one forward pass takes
    std::vector<ScoringItem> items;
    for (int copy = 0; copy < 8; ++copy)
        for (const TokenIds &context : sequences)
            items.push_back({context, {sequences[1], sequences[0], sequences[1]}});
    const std::vector<std::vector<ContinuationScore>> packed = scoreContinuations(model, items);
    for (std::size_t i = 0; i < items.size(); ++i) {
        for (std::size_t c = 0; c < 3; ++c) {
            const double alone
                = scoreContinuations(model, items[i].context, {items[i].continuations[c]}).front().logprob;
            QVERIFY(std::abs(packed[i][c].logprob - alone) <= 1e-6 * std::max(1.0, std::abs(alone)));
        }
    }

    // generated tokens, alone and in batches of any size
    GenerationOptions options;
    options.maxNewTokens = 12;
    options.ignoreEos = true;
    const GenerationResult all = generateAll(model, sequences, options, 1 + static_cast<int>(random() % 8));
    for (std::size_t i = 0; i < sequences.size(); ++i)
        QVERIFY(all.sequences[i].ids == generated(model, sequences[i], options).ids);
}

void TestGeneration::stopIdsEndASequence()
{
    const Model model = tableModel(circle(20));
    GenerationOptions options;
    options.maxNewTokens = 12;
    options.ignoreEos = true; // of the model; ids that were asked for count all the same
    options.stopIds = {9, 17};
    const GeneratedSequence stopped = generated(model, {4}, options);
    QVERIFY(stopped.ids == TokenIds({5, 6, 7, 8}));
    QCOMPARE(stopped.finish, std::string("stop"));
    options.stopIds = {4};
    QCOMPARE(generated(model, {4}, options).finish, std::string("length"));
}

void TestGeneration::provenLoopsEndASequence_data()
{
    QTest::addColumn<int>("period");
    QTest::addColumn<int>("tokens");
    QTest::addColumn<QString>("finish");
    QTest::newRow("one token") << 1 << 512 << QStringLiteral("loop");
    QTest::newRow("three tokens") << 3 << 512 << QStringLiteral("loop");
    QTest::newRow("64 tokens") << 64 << 512 << QStringLiteral("loop");
    QTest::newRow("65 tokens are no proof") << 65 << 700 << QStringLiteral("length");
}

void TestGeneration::provenLoopsEndASequence()
{
    QFETCH(int, period);
    QFETCH(int, tokens);
    QFETCH(QString, finish);
    GenerationOptions options;
    options.maxNewTokens = 700;
    const GeneratedSequence sequence = generated(tableModel(circle(period)), {0}, options);
    QCOMPARE(QString::fromStdString(sequence.finish), finish);
    QCOMPARE(sequence.ids.size(), static_cast<std::size_t>(tokens));
    // a start that does not belong to the loop delays the proof by its length
    if (period == 3) {
        const GeneratedSequence later = generated(tableModel({1, 2, 0, 4, 5, 0}), {3}, options);
        QCOMPARE(later.ids.size(), std::size_t(512 + 2)); // 4, 5, then the circle
        QCOMPARE(later.finish, std::string("loop"));
    }
}

void TestGeneration::loopsRunToTheCapWhenAsked()
{
    const Model model = tableModel(circle(3));
    GenerationOptions options;
    options.maxNewTokens = 600;
    options.stopLoops = false;
    QCOMPARE(generated(model, {0}, options).ids.size(), std::size_t(600));
    options.stopLoops = true;
    options.ignoreEos = true;
    QCOMPARE(generated(model, {0}, options).finish, std::string("length"));
}

void TestGeneration::stopStringsThatNeverComeEndAtTheCap()
{
    QTemporaryDir folder;
    const std::filesystem::path path = folder.filePath(QStringLiteral("model")).toStdString();
    writeTinyModel(path);
    const auto tokenizer = loadTokenizer(path);
    GenerationRequest request;
    request.prompts = {{72, 105}};
    request.options.maxNewTokens = 20;
    request.options.ignoreEos = true;
    request.options.stopStrings = {"\xFF\xFE never", ""};
    const Model model = loadModel(inspectModel(path), settingsOf("f32"));
    const GeneratedSequence sequence = generate(model, request, tokenizer.get()).sequences.front();
    QCOMPARE(sequence.finish, std::string("length"));
    QCOMPARE(sequence.ids.size(), std::size_t(20));
}

void TestGeneration::streamedTextsAreTheFinalTexts_data()
{
    QTest::addColumn<QString>("name");
    for (const char *name :
         {"bytes", "tiny-llama", "tiny-llama3-rope", "tiny-mistral", "tiny-mistral-swa16", "tiny-qwen2", "tiny-qwen3"})
        QTest::addRow("%s", name) << QString::fromLatin1(name);
}

void TestGeneration::streamedTextsAreTheFinalTexts()
{
    QFETCH(QString, name);
    QTemporaryDir folder;
    std::filesystem::path path = folder.filePath(QStringLiteral("model")).toStdString();
    if (name == QLatin1String("bytes")) {
        writeTinyModel(path);
    } else {
        if (testData().empty())
            QSKIP("SECATEUR_TEST_DATA is not set: no other tokenizers");
        path = testData() / "golden" / "models" / name.toStdString();
    }
    const auto tokenizer = loadTokenizer(path);
    const Model model = loadModel(inspectModel(path), settingsOf("f32"));
    GenerationRequest request;
    for (int i = 0; i < 16; ++i)
        request.prompts.push_back(randomIds(4, static_cast<int>(tokenizer->vocabularySize()), unsigned(i)));
    request.options.maxNewTokens = 30;
    request.options.ignoreEos = true;
    request.options.temperature = 3; // anything may come, broken characters too
    std::vector<StreamingDecoder> streams(request.prompts.size(), StreamingDecoder(tokenizer));
    std::vector<std::string> texts(request.prompts.size());
    const GenerationResult result
        = generate(model, request, tokenizer.get(), {}, [&](std::size_t index, std::int32_t id) {
              const std::string piece = streams[index].push(id);
              // a whole piece survives the way through UTF-16
              QCOMPARE(QString::fromStdString(piece).toStdString(), piece);
              texts[index] += piece;
          });
    for (std::size_t i = 0; i < texts.size(); ++i)
        QCOMPARE(texts[i] + streams[i].flush(), tokenizer->decode(result.sequences[i].ids));
}

void TestGeneration::aBatchThatDoesNotFitIsMadeSmaller()
{
    const Model model = vividModel(smallConfig());
    GenerationRequest request;
    for (unsigned i = 0; i < 7; ++i)
        request.prompts.push_back(randomIds(10, 101, i));
    request.options.maxNewTokens = 10;
    request.options.ignoreEos = true;
    const std::uint64_t each = KvCache::slotBytes(model.impl(), 20);
    QCOMPARE(each, std::uint64_t(20 * 4 * 2 * 2 * 12 * 4)); // tokens, blocks, k and v, groups, head, f32
    std::vector<std::string> notices;
    const JobContext context({}, {}, [&](const std::string &sentence) { notices.push_back(sentence); });
    const GenerationResult whole = generate(model, request, nullptr, context);
    QCOMPARE(whole.batch, 7);
    QVERIFY(notices.empty());
    request.cacheBytes = 3 * each + each / 2;
    const GenerationResult small = generate(model, request, nullptr, context);
    QCOMPARE(small.batch, 3);
    QCOMPARE(notices.size(), std::size_t(1));
    QVERIFY2(notices.front().starts_with("The batch was reduced from 7 to 3 sequences: "), notices.front().c_str());
    for (std::size_t i = 0; i < whole.sequences.size(); ++i)
        QVERIFY(small.sequences[i].ids == whole.sequences[i].ids);
}

void TestGeneration::oneSequenceThatDoesNotFitIsRefused()
{
    const Model model = vividModel(smallConfig());
    GenerationRequest request;
    request.prompts = {{1, 2, 3}};
    request.options.maxNewTokens = 100;
    request.cacheBytes = 100;
    const auto error = errorOf([&] { generate(model, request, nullptr); });
    QVERIFY(error && error->kind == ErrorKind::OutOfMemory);
    QVERIFY2(mentions(*error, "103 tokens"), error->message.c_str());
}

void TestGeneration::removedBlocksHaveNoCache()
{
    const Model dense = vividModel(smallConfig(5));
    auto impl = std::make_shared<Model::Impl>(dense.impl());
    impl->blocks.erase(impl->blocks.begin() + 2);
    impl->config.blocks.erase(impl->config.blocks.begin() + 2);
    impl->blocks[1].q = impl->blocks[1].k = impl->blocks[1].v = impl->blocks[1].o = Linear();
    impl->blocks[1].shape.hasAttention = false;
    impl->config.blocks[1] = impl->blocks[1].shape;
    const Model model(impl);
    const KvCache cache(model.impl(), 2, 30, true);
    std::int64_t elements = 0;
    for (int block = 0; block < 4; ++block)
        elements += cache.keys(block).numel() + cache.values(block).numel();
    QCOMPARE(elements, std::int64_t(2 * 30 * 3 * 2 * 2 * 12)); // three blocks with attention are left
    QCOMPARE(KvCache::slotBytes(model.impl(), 30) * 2, static_cast<std::uint64_t>(elements) * 4);
    // and decoding with it goes as without
    const TokenIds prompt = randomIds(9, 101, 3);
    GenerationOptions options;
    options.maxNewTokens = 12;
    options.ignoreEos = true;
    TokenIds all = prompt;
    for (const std::int32_t id : generated(model, prompt, options).ids) {
        const std::vector<float> logits = forwardSequence(model, all, false).logits;
        const auto last = std::span<const float>(logits).last(101);
        QCOMPARE(id, static_cast<std::int32_t>(std::max_element(last.begin(), last.end()) - last.begin()));
        all.push_back(id);
    }
}

void TestGeneration::settingsOutOfRangeAreRefused_data()
{
    QTest::addColumn<double>("temperature");
    QTest::addColumn<double>("topP");
    QTest::addColumn<double>("minP");
    QTest::newRow("temperature") << -0.1 << 1.0 << 0.0;
    QTest::newRow("no temperature") << std::nan("") << 1.0 << 0.0;
    QTest::newRow("top-p of nothing") << 1.0 << 0.0 << 0.0;
    QTest::newRow("top-p") << 1.0 << 1.1 << 0.0;
    QTest::newRow("min-p") << 1.0 << 1.0 << 1.5;
    QTest::newRow("negative min-p") << 1.0 << 1.0 << -0.5;
}

void TestGeneration::settingsOutOfRangeAreRefused()
{
    QFETCH(double, temperature);
    QFETCH(double, topP);
    QFETCH(double, minP);
    const Model model = vividModel(smallConfig(1));
    GenerationOptions options;
    options.temperature = temperature;
    options.topP = topP;
    options.minP = minP;
    const auto error = errorOf([&] { generated(model, {1}, options); });
    QVERIFY(error && error->kind == ErrorKind::InvalidArgument);
}

void TestGeneration::idsBeyondTheEmbeddingAreNamed()
{
    // a tokenizer with more entries than the embedding has rows; a longer embedding is no error
    const Model model = vividModel(smallConfig(1));
    GenerationOptions options;
    options.maxNewTokens = 1;
    const auto error = errorOf([&] { generated(model, {5, 101}, options); });
    QVERIFY(error && error->kind == ErrorKind::InvalidArgument);
    QVERIFY2(mentions(*error, "token id 101 at position 1, the vocabulary ends at 100"), error->message.c_str());
    QCOMPARE(generated(model, {5, 100}, options).ids.size(), std::size_t(1));
}

void TestGeneration::nonFiniteValuesNameBlockAndToken()
{
    const Model model = vividModel(smallConfig());
    auto impl = std::make_shared<Model::Impl>(model.impl());
    impl->embedding = impl->embedding.clone();
    impl->head.weight = model.impl().embedding;
    impl->embedding.mutable_data_ptr<float>()[7 * 48 + 3] = std::numeric_limits<float>::quiet_NaN();
    GenerationOptions options;
    options.maxNewTokens = 3;
    const auto error = errorOf([&] { generateAll(Model(impl), {{1, 2}, {3, 4, 7}}, options, 2); });
    QVERIFY(error && error->kind == ErrorKind::Numeric);
    QVERIFY2(mentions(*error, "in the embedding, at token 2 of sequence 1"), error->message.c_str());
}

QTEST_GUILESS_MAIN(TestGeneration)
#include "tst_generation.moc"
