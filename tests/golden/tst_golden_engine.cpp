#include "backend/core/resource_path.h"
#include "backend/engine/analysis.h"
#include "backend/engine/compute_device.h"
#include "backend/engine/forward.h"
#include "backend/engine/generation.h"
#include "backend/io/safetensors.h"
#include "backend/io/weight_files.h"
#include "backend/text/tokenizer.h"
#include "tests/support/test_data.h"

#include <QTest>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>

using namespace secateur;
using nlohmann::json;

namespace {

constexpr double kSafeMargin = 1e-2; ///< twice what two log-likelihoods may differ from theirs

json readJson(const std::filesystem::path &path)
{
    std::ifstream in(path);
    return json::parse(in);
}

std::vector<float> floats(const SafetensorsFile &file, const std::string &name)
{
    const TensorInfo *tensor = file.find(name);
    if (!tensor || tensor->dtype != "F32")
        return {};
    const std::span<const std::byte> bytes = file.data(*tensor);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

/// Largest |a − b| beyond relative · |b|; infinity when the sizes differ or nothing is there to compare.
double excess(const std::vector<float> &a, const std::vector<float> &b, double relative = 0)
{
    if (a.size() != b.size() || b.empty())
        return HUGE_VAL;
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double difference = std::abs(static_cast<double>(a[i]) - b[i]) - relative * std::abs(b[i]);
        largest = std::isnan(difference) ? HUGE_VAL : std::max(largest, difference);
    }
    return largest;
}

/// Largest |a − b| divided by the largest |b|.
double deviation(const std::vector<double> &a, const std::vector<double> &b)
{
    if (a.size() != b.size() || b.empty())
        return HUGE_VAL;
    double difference = 0;
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference = std::isnan(a[i]) ? HUGE_VAL : std::max(difference, std::abs(a[i] - b[i]));
        largest = std::max(largest, std::abs(b[i]));
    }
    return difference / largest;
}

double logSumExp(const float *values, std::size_t count)
{
    const double top = *std::max_element(values, values + count);
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i)
        sum += std::exp(values[i] - top);
    return top + std::log(sum);
}

std::vector<double> flatten(const json &rows)
{
    std::vector<double> values;
    for (const json &row : rows)
        for (const json &value : row)
            values.push_back(value.get<double>());
    return values;
}

std::vector<double> mapValues(const AnalysisResult &result, const char *group, const char *metric)
{
    const MetricMapPtr map = result.find(group, metric);
    return map ? std::vector<double>(map->values.begin(), map->values.end()) : std::vector<double>();
}

ComputeSettings f32Settings()
{
    ComputeSettings settings;
    settings.dtype = "f32";
    settings.threads = 2;
    return settings;
}

Model loadF32(const std::filesystem::path &path)
{
    return loadModel(inspectModel(path), f32Settings());
}

TokenIds greedy(const Model &model, const TokenIds &prompt, int tokens)
{
    GenerationRequest request;
    request.prompts = {prompt};
    request.options.maxNewTokens = tokens;
    request.options.ignoreEos = true;
    return generate(model, request, nullptr).sequences.front().ids;
}

const std::vector<std::string> kTinyModels = {"tiny-llama",         "tiny-llama-bf16-sharded",
                                              "tiny-llama3-rope",   "tiny-mistral",
                                              "tiny-mistral-swa16", "tiny-qwen2",
                                              "tiny-qwen3",         "tiny-trained"};

} // namespace

/// The engine against values of transformers and an independent double-precision implementation.
class TestGoldenEngine : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void forwardMatchesTransformers_data();
    void forwardMatchesTransformers();
    void greedyTokensMatchTransformers_data();
    void greedyTokensMatchTransformers();
    void leftPaddedBatchesGiveTheSameLogits_data();
    void leftPaddedBatchesGiveTheSameLogits();
    void batchedGreedyEqualsSingle_data();
    void batchedGreedyEqualsSingle();
    void ggufMatchesDequantisedWeights_data();
    void ggufMatchesDequantisedWeights();
    void bf16StaysNearF32();
    void similarityMatchesDoublePrecision_data();
    void similarityMatchesDoublePrecision();
    void widthScoresMatchDoublePrecision_data();
    void widthScoresMatchDoublePrecision();
    void identityBlockHasNoInfluence();
    void perplexityMatchesOnTinyModel();
    void smolLmPromptsMatch_data();
    void smolLmPromptsMatch();
    void smolLmPerplexityMatches();
    void smolLmInfluenceMatches();
    void smolLmPiqaMatches();
    void smolLmWinograndeMatches();

private:
    std::filesystem::path golden() const { return testData() / "golden"; }
    /// The real model, loaded once; skips the test when it is not there.
    const Model *smolLm();
    std::filesystem::path smolLmPath() const
    {
        return cacheDirectory() / "smollm2-0.1.2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
    }

    std::optional<Model> m_smolLm;
};

void TestGoldenEngine::initTestCase()
{
    if (testData().empty())
        QSKIP("SECATEUR_TEST_DATA is not set: no reference values to compare with");
    applyComputeSettings(f32Settings());
}

const Model *TestGoldenEngine::smolLm()
{
    if (!m_smolLm && std::filesystem::exists(smolLmPath()))
        m_smolLm = loadF32(smolLmPath());
    return m_smolLm ? &*m_smolLm : nullptr;
}

void TestGoldenEngine::forwardMatchesTransformers_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<int>("sequence");
    for (const std::string &name : kTinyModels)
        for (int sequence = 0; sequence < 3; ++sequence)
            QTest::addRow("%s seq%d", name.c_str(), sequence) << QString::fromStdString(name) << sequence;
}

void TestGoldenEngine::forwardMatchesTransformers()
{
    QFETCH(QString, name);
    QFETCH(int, sequence);
    const std::filesystem::path expected = golden() / "expected" / name.toStdString();
    const SafetensorsFile tensors(expected / "golden.safetensors");
    const json record = readJson(expected / "golden.json").at("sequences").at(static_cast<std::size_t>(sequence));
    const Model model = loadF32(golden() / "models" / name.toStdString());
    const TokenIds ids = record.at("input_ids").get<TokenIds>();
    const SequenceOutputs outputs = forwardSequence(model, ids, true);
    const std::string prefix = "seq" + std::to_string(sequence) + ".";

    QVERIFY2(excess(outputs.logits, floats(tensors, prefix + "logits")) < 1e-3, "logits");
    QVERIFY2(excess(outputs.hidden, floats(tensors, prefix + "hidden"), 1e-4) < 1e-3, "hidden states");
    const std::vector<float> logprobs = floats(tensors, prefix + "token_logprobs");
    QCOMPARE(logprobs.size(), ids.size() - 1);
    const auto vocabulary = static_cast<std::size_t>(model.config().vocabSize);
    for (std::size_t t = 0; t < logprobs.size(); ++t) {
        const float *row = outputs.logits.data() + t * vocabulary;
        const double logprob = row[static_cast<std::size_t>(ids[t + 1])] - logSumExp(row, vocabulary);
        QVERIFY2(std::abs(logprob - logprobs[t]) < 1e-3, qPrintable(QString::number(t)));
    }
    const TokenIds context(ids.begin(), ids.begin() + 4);
    const TokenIds continuation(ids.begin() + 4, ids.end());
    const ContinuationScore score = scoreContinuations(model, context, {continuation}).front();
    double sum = 0;
    for (std::size_t t = 3; t < logprobs.size(); ++t)
        sum += logprobs[t];
    QVERIFY2(std::abs(score.logprob - sum) < 1e-3 * static_cast<double>(continuation.size()), "continuation");
}

void TestGoldenEngine::greedyTokensMatchTransformers_data()
{
    forwardMatchesTransformers_data();
}

void TestGoldenEngine::greedyTokensMatchTransformers()
{
    QFETCH(QString, name);
    QFETCH(int, sequence);
    const json record = readJson(golden() / "expected" / name.toStdString() / "golden.json")
                            .at("sequences")
                            .at(static_cast<std::size_t>(sequence));
    const Model model = loadF32(golden() / "models" / name.toStdString());
    const TokenIds expected = record.at("greedy24").get<TokenIds>();
    QVERIFY(greedy(model, record.at("input_ids").get<TokenIds>(), 24) == expected);
}

void TestGoldenEngine::leftPaddedBatchesGiveTheSameLogits_data()
{
    QTest::addColumn<QString>("name");
    for (const std::string &name : kTinyModels)
        QTest::addRow("%s", name.c_str()) << QString::fromStdString(name);
}

void TestGoldenEngine::leftPaddedBatchesGiveTheSameLogits()
{
    QFETCH(QString, name);
    const std::filesystem::path expected = golden() / "expected" / name.toStdString();
    const SafetensorsFile tensors(expected / "golden.safetensors");
    const std::vector<float> padded = floats(tensors, "left_padded.last_logits"); // [3, V]
    const json sequences = readJson(expected / "golden.json").at("sequences");
    const Model model = loadF32(golden() / "models" / name.toStdString());
    const auto vocabulary = static_cast<std::size_t>(model.config().vocabSize);
    QCOMPARE(padded.size(), 3 * vocabulary);
    for (std::size_t i = 0; i < 3; ++i) {
        const auto logits = forwardSequence(model, sequences.at(i).at("input_ids").get<TokenIds>(), false).logits;
        const std::vector<float> last(logits.end() - static_cast<std::ptrdiff_t>(vocabulary), logits.end());
        const std::vector<float> wanted(padded.begin() + static_cast<std::ptrdiff_t>(i * vocabulary),
                                        padded.begin() + static_cast<std::ptrdiff_t>((i + 1) * vocabulary));
        QVERIFY(excess(last, wanted) < 1e-3);
    }
}

void TestGoldenEngine::batchedGreedyEqualsSingle_data()
{
    QTest::addColumn<QString>("name");
    for (const std::string &name : kTinyModels)
        QTest::addRow("%s", name.c_str()) << QString::fromStdString(name);
}

void TestGoldenEngine::batchedGreedyEqualsSingle()
{
    QFETCH(QString, name);
    const json sequences = readJson(golden() / "expected" / name.toStdString() / "golden.json").at("sequences");
    const Model model = loadF32(golden() / "models" / name.toStdString());
    GenerationRequest request;
    request.options.maxNewTokens = 24;
    request.options.ignoreEos = true;
    request.batch = 2; // the third prompt takes the slot of a finished one
    for (const json &sequence : sequences)
        request.prompts.push_back(sequence.at("input_ids").get<TokenIds>());
    const GenerationResult result = generate(model, request, nullptr);
    QCOMPARE(result.sequences.size(), sequences.size());
    for (std::size_t i = 0; i < sequences.size(); ++i)
        QVERIFY(result.sequences[i].ids == sequences.at(i).at("greedy24").get<TokenIds>());
}

void TestGoldenEngine::ggufMatchesDequantisedWeights_data()
{
    QTest::addColumn<QString>("type");
    for (const char *type : {"F32", "F16", "Q8_0"})
        QTest::addRow("%s", type) << QString::fromLatin1(type);
}

void TestGoldenEngine::ggufMatchesDequantisedWeights()
{
    QFETCH(QString, type);
    const std::string name = type.toStdString();
    const json expected = readJson(golden() / "gguf" / "expected-tiny-llama.json");
    const SafetensorsFile tensors(golden() / "gguf" / "expected-tiny-llama.safetensors");
    const Model model = loadF32(golden() / "gguf" / ("tiny-llama-" + name + ".gguf"));
    for (std::size_t i = 0; i < 3; ++i) {
        const TokenIds ids = expected.at("input_ids").at(i).get<TokenIds>();
        const std::vector<float> logits = floats(tensors, name + ".seq" + std::to_string(i) + ".logits");
        QVERIFY(excess(forwardSequence(model, ids, false).logits, logits) < 1e-3);
        const json &sequence = expected.at("variants").at(name).at("sequences").at(i);
        QVERIFY(greedy(model, ids, 24) == sequence.at("greedy24").get<TokenIds>());
    }
}

void TestGoldenEngine::bf16StaysNearF32()
{
    const SafetensorsFile tensors(golden() / "expected" / "tiny-llama" / "golden.safetensors");
    const json record = readJson(golden() / "expected" / "tiny-llama" / "golden.json").at("sequences").at(1);
    ComputeSettings settings = f32Settings();
    settings.dtype = "bf16";
    const Model model = loadModel(inspectModel(golden() / "models" / "tiny-llama"), settings);
    QCOMPARE(model.dtype(), std::string("bf16"));
    const std::vector<float> logits = forwardSequence(model, record.at("input_ids").get<TokenIds>(), false).logits;
    const std::vector<float> expected = floats(tensors, "seq1.logits");
    QCOMPARE(logits.size(), expected.size());
    double sum = 0;
    for (std::size_t i = 0; i < logits.size(); ++i)
        sum += std::abs(static_cast<double>(logits[i]) - expected[i]);
    QVERIFY(sum / static_cast<double>(logits.size()) < 0.2);
    QCOMPARE(greedy(model, record.at("input_ids").get<TokenIds>(), 24).size(), std::size_t(24));
}

namespace {

AnalysisResult analyzeGolden(const std::filesystem::path &golden, const std::string &name, std::int64_t batchTokens)
{
    const json calibration = readJson(golden / "scores" / name / "calibration.json");
    AnalysisRequest request;
    request.batchTokens = batchTokens;
    for (std::size_t i = 0; i < calibration.at("input_ids").size(); ++i) {
        TokenIds ids = calibration.at("input_ids").at(i).get<TokenIds>();
        ids.resize(calibration.at("lengths").at(i).get<std::size_t>());
        request.calibration.sequences.push_back(std::move(ids));
    }
    return analyze(loadF32(golden / "models" / name), request);
}

} // namespace

void TestGoldenEngine::similarityMatchesDoublePrecision_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<int>("batchTokens");
    for (const char *name : {"tiny-llama", "tiny-qwen3", "tiny-trained"}) {
        QTest::addRow("%s in one batch", name) << QString::fromLatin1(name) << 4096;
        QTest::addRow("%s one sequence at a time", name) << QString::fromLatin1(name) << 1;
    }
}

void TestGoldenEngine::similarityMatchesDoublePrecision()
{
    QFETCH(QString, name);
    QFETCH(int, batchTokens);
    const AnalysisResult result = analyzeGolden(golden(), name.toStdString(), batchTokens);
    const json expected = readJson(golden() / "scores" / name.toStdString() / "scores.json").at("similarity");
    QVERIFY(deviation(mapValues(result, "block_cosine", "cosine"), flatten(expected.at("cosine_matrix"))) < 1e-5);
    QVERIFY(deviation(mapValues(result, "block_influence", "influence"),
                      expected.at("block_influence").get<std::vector<double>>())
            < 1e-5);

    const MetricMapPtr distance = result.find("block_distance");
    QVERIFY(distance);
    QCOMPARE(distance->columnAxis.first, std::int64_t(1));
    const json &byLength = expected.at("angular_distance_by_length");
    double largest = 0;
    for (std::int64_t start = 0; start < distance->rows; ++start) {
        for (std::int64_t column = 0; column < distance->columns; ++column) {
            const float value = distance->at(start, column);
            if (start + column >= distance->rows) {
                QVERIFY(std::isnan(value));
                continue;
            }
            const double wanted
                = byLength.at(static_cast<std::size_t>(column)).at(static_cast<std::size_t>(start)).get<double>();
            largest = std::max(largest, std::abs(value - wanted));
            QVERIFY(!std::isnan(value));
        }
    }
    QVERIFY2(largest < 1e-5, qPrintable(QString::number(largest)));
}

void TestGoldenEngine::widthScoresMatchDoublePrecision_data()
{
    QTest::addColumn<QString>("name");
    for (const char *name : {"tiny-llama", "tiny-qwen3"})
        QTest::addRow("%s", name) << QString::fromLatin1(name);
}

void TestGoldenEngine::widthScoresMatchDoublePrecision()
{
    QFETCH(QString, name);
    const AnalysisResult result = analyzeGolden(golden(), name.toStdString(), 100);
    const json scores = readJson(golden() / "scores" / name.toStdString() / "scores.json");
    const json &wanda = scores.at("wanda_sp");
    QVERIFY(deviation(mapValues(result, "head_importance", "activation_weight"), flatten(wanda.at("kv_group"))) < 1e-5);
    QVERIFY(deviation(mapValues(result, "ffn_importance", "activation_weight"), flatten(wanda.at("down_columns")))
            < 1e-5);

    const MetricMapPtr groups = result.find("head_importance", "weight_magnitude");
    const MetricMapPtr channels = result.find("ffn_importance", "weight_magnitude");
    QVERIFY(groups && channels);
    const json &matrices = scores.at("magnitude").at("matrices");
    for (std::int64_t block = 0; block < groups->rows; ++block) {
        double attention = 0;
        double mlp = 0;
        for (std::int64_t i = 0; i < groups->columns; ++i)
            attention += groups->at(block, i);
        for (std::int64_t i = 0; i < channels->columns; ++i)
            mlp += channels->at(block, i);
        const json &own = matrices.at(static_cast<std::size_t>(block));
        const auto sum = [&](const std::vector<const char *> &names) {
            double total = 0;
            for (const char *matrix : names)
                total += own.at(matrix).get<double>();
            return total;
        };
        const double wantedAttention
            = sum({"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"});
        const double wantedMlp = sum({"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"});
        QVERIFY(std::abs(attention / wantedAttention - 1) < 1e-5);
        QVERIFY(std::abs(mlp / wantedMlp - 1) < 1e-5);
    }
}

void TestGoldenEngine::identityBlockHasNoInfluence()
{
    const AnalysisResult result = analyzeGolden(golden(), "tiny-trained", 4096);
    QCOMPARE(result.find("block_influence")->at(2, 0), 0.0F);
    QVERIFY(result.find("block_distance")->at(2, 0) < 1e-7F);
}

void TestGoldenEngine::perplexityMatchesOnTinyModel()
{
    const json sequences = readJson(golden() / "expected" / "tiny-llama" / "golden.json").at("sequences");
    const json &longest = sequences.at(2);
    const TokenIds ids = longest.at("input_ids").get<TokenIds>();
    const Model model = loadF32(golden() / "models" / "tiny-llama");
    const PerplexityResult result = perplexity(model, ids, static_cast<std::int64_t>(ids.size()), 0);
    QCOMPARE(result.chunks, std::int64_t(1));
    QVERIFY(std::abs(result.perplexity / longest.at("perplexity").get<double>() - 1) < 1e-5);
}

void TestGoldenEngine::smolLmPromptsMatch_data()
{
    QTest::addColumn<int>("prompt");
    for (int i = 0; i < 6; ++i)
        QTest::addRow("prompt %d", i) << i;
}

void TestGoldenEngine::smolLmPromptsMatch()
{
    QFETCH(int, prompt);
    if (!smolLm())
        QSKIP("SmolLM2 is not in the cache folder");
    const json record
        = readJson(golden() / "smollm2" / "prompts.json").at("prompts").at(static_cast<std::size_t>(prompt));
    const TokenIds ids = record.at("input_ids").get<TokenIds>();
    const std::vector<float> logits = forwardSequence(*smolLm(), ids, false).logits;
    const auto vocabulary = static_cast<std::size_t>(smolLm()->config().vocabSize);
    double largest = 0;
    for (const json &row : record.at("last5_top20")) {
        const float *values = logits.data() + row.at("position").get<std::size_t>() * vocabulary;
        for (std::size_t i = 0; i < row.at("ids").size(); ++i)
            largest = std::max(
                largest,
                std::abs(values[row.at("ids").at(i).get<std::size_t>()] - row.at("logits").at(i).get<double>()));
        QVERIFY(std::abs(logSumExp(values, vocabulary) - row.at("logsumexp").get<double>()) < 2e-3);
    }
    QVERIFY2(largest < 2e-3, qPrintable(QString::number(largest)));

    // tokens are comparable up to the first step that a logit error could turn round
    const std::vector<double> margins = record.at("greedy32_margins").get<std::vector<double>>();
    const auto doubtful = std::find_if(margins.begin(), margins.end(), [](double margin) { return margin < 8e-3; });
    const auto steps = static_cast<int>(doubtful - margins.begin());
    TokenIds expected = record.at("greedy32").get<TokenIds>();
    expected.resize(static_cast<std::size_t>(steps));
    QVERIFY(steps > 0);
    QVERIFY(greedy(*smolLm(), ids, steps) == expected);
}

void TestGoldenEngine::smolLmPerplexityMatches()
{
    if (!smolLm())
        QSKIP("SmolLM2 is not in the cache folder");
    const json record = readJson(golden() / "smollm2" / "perplexity.json");
    constexpr std::size_t kChunks = 4;
    TokenIds ids;
    double sum = 0;
    for (std::size_t i = 0; i < kChunks; ++i) {
        const TokenIds chunk = record.at("chunks").at(i).get<TokenIds>();
        ids.insert(ids.end(), chunk.begin(), chunk.end());
        sum += record.at("mean_nll_per_chunk").at(i).get<double>();
    }
    const PerplexityResult result = perplexity(*smolLm(), ids, 512, 0);
    QCOMPARE(result.chunks, static_cast<std::int64_t>(kChunks));
    QVERIFY(std::abs(result.perplexity / std::exp(sum / kChunks) - 1) < 1e-3);
}

void TestGoldenEngine::smolLmInfluenceMatches()
{
    if (!smolLm())
        QSKIP("SmolLM2 is not in the cache folder");
    const json record = readJson(golden() / "smollm2" / "block_influence.json");
    AnalysisRequest request;
    request.maps = {"block_cosine", "block_influence", "block_distance"};
    for (const json &ids : record.at("input_ids"))
        request.calibration.sequences.push_back(ids.get<TokenIds>());
    const AnalysisResult result = analyze(*smolLm(), request);
    qInfo("sweep: %.1f tokens/s", result.tokensPerSecond);
    QVERIFY(deviation(mapValues(result, "block_influence", "influence"),
                      record.at("block_influence").get<std::vector<double>>())
            < 1e-4);
    QVERIFY(deviation(mapValues(result, "block_cosine", "cosine"), flatten(record.at("cosine_matrix"))) < 1e-4);
    const MetricMapPtr distance = result.find("block_distance");
    for (std::size_t length = 1; length <= record.at("angular_by_length").size(); ++length) {
        const json &row = record.at("angular_by_length").at(length - 1);
        for (std::size_t start = 0; start < row.size(); ++start) {
            const double value = distance->at(static_cast<std::int64_t>(start), static_cast<std::int64_t>(length) - 1);
            QVERIFY(std::abs(value - row.at(start).get<double>()) < 1e-4);
        }
    }
}

void TestGoldenEngine::smolLmPiqaMatches()
{
    if (!smolLm())
        QSKIP("SmolLM2 is not in the cache folder");
    const std::shared_ptr<const Tokenizer> tokenizer = loadTokenizer(smolLmPath());
    const json record = readJson(golden() / "smollm2" / "piqa100.json");
    std::ifstream in(testData() / "data" / "piqa" / "dev.jsonl");
    for (std::size_t i = 0; i < record.at("rows").size(); ++i) {
        std::string line;
        QVERIFY(std::getline(in, line));
        const json item = json::parse(line);
        const std::string text = "Question: " + item.at("goal").get<std::string>() + "\nAnswer:";
        const TokenIds context = tokenizer->encode(text);
        std::vector<TokenIds> continuations;
        for (const char *choice : {"sol1", "sol2"}) {
            const TokenIds whole = tokenizer->encode(text + " " + item.at(choice).get<std::string>());
            continuations.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(context.size()), whole.end());
        }
        const std::vector<ContinuationScore> scores = scoreContinuations(*smolLm(), context, continuations);
        const json &row = record.at("rows").at(i);
        for (std::size_t choice = 0; choice < 2; ++choice) {
            QCOMPARE(scores[choice].tokens, row.at("n_continuation_tokens").at(choice).get<std::int64_t>());
            QVERIFY(std::abs(scores[choice].logprob - row.at("loglikelihood").at(choice).get<double>()) < 5e-3);
            QCOMPARE(scores[choice].isGreedy, row.at("is_greedy").at(choice).get<bool>());
        }
        const int chosen = scores[1].logprob > scores[0].logprob;
        if (row.at("margin").get<double>() > kSafeMargin)
            QCOMPARE(chosen, row.at("pred_acc").get<int>());
    }
}

void TestGoldenEngine::smolLmWinograndeMatches()
{
    if (!smolLm())
        QSKIP("SmolLM2 is not in the cache folder");
    const std::shared_ptr<const Tokenizer> tokenizer = loadTokenizer(smolLmPath());
    const json record = readJson(golden() / "smollm2" / "winogrande100.json");
    std::ifstream in(testData() / "data" / "winogrande" / "dev.jsonl");
    for (std::size_t i = 0; i < record.at("rows").size(); ++i) {
        std::string line;
        QVERIFY(std::getline(in, line));
        const json item = json::parse(line);
        const std::string sentence = item.at("sentence").get<std::string>();
        const std::size_t blank = sentence.find('_');
        std::string rest = sentence.substr(blank + 1);
        rest.erase(0, rest.find_first_not_of(' '));
        const json &row = record.at("rows").at(i);
        std::array<double, 2> found{};
        for (std::size_t choice = 0; choice < 2; ++choice) {
            const std::string text
                = sentence.substr(0, blank) + item.at(choice == 0 ? "option1" : "option2").get<std::string>();
            const TokenIds context = tokenizer->encode(text);
            const TokenIds whole = tokenizer->encode(text + " " + rest);
            const TokenIds continuation(whole.begin() + static_cast<std::ptrdiff_t>(context.size()), whole.end());
            const ContinuationScore score = scoreContinuations(*smolLm(), context, {continuation}).front();
            QCOMPARE(context.size(), row.at("n_context_tokens").at(choice).get<std::size_t>());
            QCOMPARE(score.tokens, row.at("n_continuation_tokens").at(choice).get<std::int64_t>());
            QVERIFY(std::abs(score.logprob - row.at("loglikelihood").at(choice).get<double>()) < 5e-3);
            found[choice] = score.logprob;
        }
        if (row.at("margin").get<double>() > kSafeMargin)
            QCOMPARE(int(found[1] > found[0]), row.at("pred_acc").get<int>());
    }
}

QTEST_GUILESS_MAIN(TestGoldenEngine)
#include "tst_golden_engine.moc"
