#include "backend/engine/detail/tensor.h" // LibTorch before Qt

#include "backend/core/architecture.h"
#include "backend/engine/adapter.h"
#include "backend/engine/compute_device.h"
#include "backend/engine/forward.h"
#include "backend/engine/generation/decoder.h"
#include "backend/engine/transforms.h"
#include "backend/engine/transforms/named_tensors.h"
#include "backend/io/safetensors.h"
#include "backend/io/weight_files.h"
#include "tests/support/adapter_probe.h"
#include "tests/support/error_mentions.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_model.h"

#include <QTemporaryDir>
#include <QTest>

#include <nlohmann/json.hpp>

#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <fstream>
#include <map>

using namespace secateur;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// Blocks of every shape: dense, without attention, without MLP, narrow with other head groups, factored linears.
ModelConfig mixedConfig()
{
    ModelConfig config = configOfKind("holes");
    config.blocks.push_back({4, true, true, 3, 3, 40});
    config.blocks[0].ranks = {{"q_proj", 7}, {"v_proj", 4}, {"o_proj", 9}, {"down_proj", 11}};
    config.blocks[1].ranks = {{"up_proj", 6}};
    config.blocks[4].ranks = {{"k_proj", 5}, {"gate_proj", 13}};
    config.attentionOutputBias = config.mlpOutputBias = true;
    return config;
}

/// Biases of the linears that are not zero.
Model withRandomBiases(const Model &model)
{
    auto impl = std::make_shared<Model::Impl>(model.impl());
    int seed = 0;
    for (DecoderBlock &block : impl->blocks)
        for (Linear *linear : {&block.o, &block.down})
            if (linear->bias.defined()) {
                linear->bias = linear->bias.clone();
                const TokenIds values
                    = randomIds(static_cast<std::size_t>(linear->bias.numel()), 1000, unsigned(++seed));
                for (std::size_t i = 0; i < values.size(); ++i)
                    linear->bias.mutable_data_ptr<float>()[i] = static_cast<float>(values[i]) / 1000 - 0.5F;
            }
    return Model(impl);
}

Model mixedModel()
{
    return withRandomBiases(vividModel(mixedConfig()));
}

/// The same function with every factored linear multiplied out.
Model multipliedOut(const Model &model)
{
    auto impl = std::make_shared<Model::Impl>(model.impl());
    for (std::size_t i = 0; i < impl->blocks.size(); ++i) {
        DecoderBlock &block = impl->blocks[i];
        for (Linear *linear : {&block.q, &block.k, &block.v, &block.o, &block.gate, &block.up, &block.down})
            if (linear->factor.defined()) {
                linear->weight = linear->matrix();
                linear->factor = Tensor();
            }
        block.shape.ranks.clear();
        impl->config.blocks[i] = block.shape;
    }
    return Model(impl);
}

using Matrix = std::vector<double>;

/// A forward pass by the book, in double precision and with loops.
class PlainDecoder {
public:
    explicit PlainDecoder(const Model &model) : m_config(model.config())
    {
        for (const auto &[name, tensor] : namedTensors(model.impl())) {
            const std::vector<float> values = toVector(tensor);
            m_tensors[name].assign(values.begin(), values.end());
        }
    }

    /// Logits [T, V].
    Matrix logits(const TokenIds &ids) const
    {
        const std::size_t tokens = ids.size();
        const auto width = static_cast<std::size_t>(m_config.hiddenSize);
        const Matrix &embedding = m_tensors.at("model.embed_tokens.weight");
        Matrix hidden;
        for (const std::int32_t id : ids)
            hidden.insert(hidden.end(), embedding.begin() + id * m_config.hiddenSize,
                          embedding.begin() + (id + 1) * m_config.hiddenSize);
        for (int i = 0; i < m_config.layers(); ++i) {
            const std::string prefix = "model.layers." + std::to_string(i) + ".";
            const BlockShape &shape = m_config.blocks[static_cast<std::size_t>(i)];
            if (shape.hasAttention)
                add(hidden, attention(prefix, shape, norm(hidden, prefix + "input_layernorm", width), tokens));
            if (shape.hasMlp)
                add(hidden, mlp(prefix, norm(hidden, prefix + "post_attention_layernorm", width)));
        }
        const Matrix &head = m_tensors.contains("lm_head.weight") ? m_tensors.at("lm_head.weight") : embedding;
        return product(norm(hidden, "model.norm", width), head, width);
    }

private:
    static void add(Matrix &to, const Matrix &what)
    {
        for (std::size_t i = 0; i < to.size(); ++i)
            to[i] += what[i];
    }
    Matrix norm(const Matrix &x, const std::string &name, std::size_t width) const
    {
        const Matrix &weight = m_tensors.at(name + ".weight");
        Matrix result(x.size());
        for (std::size_t row = 0; row < x.size(); row += width) {
            double sum = 0;
            for (std::size_t i = 0; i < width; ++i)
                sum += x[row + i] * x[row + i];
            const double scale = 1 / std::sqrt(sum / static_cast<double>(width) + m_config.rmsNormEps);
            for (std::size_t i = 0; i < width; ++i)
                result[row + i] = x[row + i] * scale * weight[i];
        }
        return result;
    }
    /// x [T, in] · weightᵀ, weight [out, in].
    static Matrix product(const Matrix &x, const Matrix &weight, std::size_t in)
    {
        const std::size_t out = weight.size() / in;
        Matrix y(x.size() / in * out);
        for (std::size_t t = 0; t < x.size() / in; ++t)
            for (std::size_t o = 0; o < out; ++o)
                for (std::size_t i = 0; i < in; ++i)
                    y[t * out + o] += x[t * in + i] * weight[o * in + i];
        return y;
    }
    Matrix linear(const std::string &name, const Matrix &x, std::size_t tokens) const
    {
        Matrix y = m_tensors.contains(name + ".weight") ? product(x, m_tensors.at(name + ".weight"), x.size() / tokens)
                                                        : Matrix();
        if (y.empty()) {
            const Matrix narrow = product(x, m_tensors.at(name + ".A.weight"), x.size() / tokens);
            y = product(narrow, m_tensors.at(name + ".B.weight"), narrow.size() / tokens);
        }
        if (const auto bias = m_tensors.find(name + ".bias"); bias != m_tensors.end())
            for (std::size_t i = 0; i < y.size(); ++i)
                y[i] += bias->second[i % bias->second.size()];
        return y;
    }
    void rotate(Matrix &x, std::size_t tokens) const
    {
        const auto size = static_cast<std::size_t>(m_config.headDim);
        const std::size_t perToken = x.size() / tokens;
        for (std::size_t at = 0; at < x.size(); at += size)
            for (std::size_t i = 0; i < size / 2; ++i) {
                const double angle = static_cast<double>(at / perToken)
                    * std::pow(m_config.rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(size));
                const double a = x[at + i];
                const double b = x[at + i + size / 2];
                x[at + i] = a * std::cos(angle) - b * std::sin(angle);
                x[at + i + size / 2] = b * std::cos(angle) + a * std::sin(angle);
            }
    }
    Matrix attention(const std::string &prefix, const BlockShape &shape, const Matrix &x, std::size_t tokens) const
    {
        const auto size = static_cast<std::size_t>(m_config.headDim);
        const auto heads = static_cast<std::size_t>(shape.queryHeads);
        const auto groups = static_cast<std::size_t>(shape.kvHeads);
        Matrix q = linear(prefix + "self_attn.q_proj", x, tokens);
        Matrix k = linear(prefix + "self_attn.k_proj", x, tokens);
        const Matrix v = linear(prefix + "self_attn.v_proj", x, tokens);
        rotate(q, tokens);
        rotate(k, tokens);
        Matrix mixed(q.size());
        for (std::size_t t = 0; t < tokens; ++t)
            for (std::size_t head = 0; head < heads; ++head) {
                const std::size_t group = head / (heads / groups);
                std::vector<double> shares;
                double sum = 0;
                for (std::size_t past = 0; past <= t; ++past) {
                    double dot = 0;
                    for (std::size_t i = 0; i < size; ++i)
                        dot += q[(t * heads + head) * size + i] * k[(past * groups + group) * size + i];
                    shares.push_back(std::exp(dot / std::sqrt(static_cast<double>(size))));
                    sum += shares.back();
                }
                for (std::size_t past = 0; past <= t; ++past)
                    for (std::size_t i = 0; i < size; ++i)
                        mixed[(t * heads + head) * size + i]
                            += shares[past] / sum * v[(past * groups + group) * size + i];
            }
        return linear(prefix + "self_attn.o_proj", mixed, tokens);
    }
    Matrix mlp(const std::string &prefix, const Matrix &x) const
    {
        const std::size_t tokens = x.size() / static_cast<std::size_t>(m_config.hiddenSize);
        Matrix gate = linear(prefix + "mlp.gate_proj", x, tokens);
        const Matrix up = linear(prefix + "mlp.up_proj", x, tokens);
        for (std::size_t i = 0; i < gate.size(); ++i)
            gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
        return linear(prefix + "mlp.down_proj", gate, tokens);
    }

    ModelConfig m_config;
    std::map<std::string, Matrix> m_tensors;
};

void write(const fs::path &path, const std::string &text)
{
    std::ofstream(path, std::ios::binary) << text;
}

json readJson(const fs::path &path)
{
    std::ifstream in(path);
    return json::parse(in);
}

Model load(const fs::path &path)
{
    return loadModel(inspectModel(path), settingsOf("f32"));
}

/// A family of another name whose tensors are called differently.
json orchardFamily()
{
    return {{"like", "llama"},
            {"model_type", "orchard"},
            {"class", "OrchardForCausalLM"},
            {"defaults", {{"max_position_embeddings", 333}, {"tie_word_embeddings", true}, {"rope_theta", 500.0}}},
            {"bias", {{"query_key_value", "has_bias"}, {"output", false}}},
            {"tensors",
             {{"model.embed_tokens", "tree.roots"},
              {"model.norm", "tree.crown"},
              {"model.layers.{}.self_attn.q_proj", "tree.branch.{}.look.query"},
              {"model.layers.{}.mlp.down_proj", "tree.branch.{}.feed.down"}}},
            {"gguf", nullptr}};
}

/// Names folders of families for as long as it lives.
class FamilyFolder {
public:
    FamilyFolder(const fs::path &folder, const json &family)
    {
        fs::create_directories(folder);
        write(folder / "family.json", family.dump());
        qputenv("SECATEUR_ARCHITECTURES", QByteArray::fromStdString(folder.string()));
    }
    ~FamilyFolder() { qunsetenv("SECATEUR_ARCHITECTURES"); }
    FamilyFolder(const FamilyFolder &) = delete;
    FamilyFolder &operator=(const FamilyFolder &) = delete;
};

} // namespace

/// Decoders whose blocks differ, and families that are known from a file alone.
class TestModelShapes : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void mixedBlocksEqualAPlainForward();
    void factorsEqualTheirProduct();
    void factorsTakePartInDecoding();
    void zeroedBlocksEqualMissingOnes();
    void prunedFactorsEqualMaskedOnes();
    void mixedModelsAreSavedAndLoaded();
    void adaptersSitBesideFactors();
    void wrongRanksAreNamed_data();
    void wrongRanksAreNamed();
    void aFamilyIsAddedByAFile();
    void unknownFamiliesCanBeInspected();
    void brokenFamilyFilesAreNamed_data();
    void brokenFamilyFilesAreNamed();

private:
    fs::path folder(const char *name) const { return fs::path(m_folder.path().toStdString()) / name; }

    QTemporaryDir m_folder;
};

void TestModelShapes::initTestCase()
{
    applyComputeSettings(settingsOf("f32"));
}

void TestModelShapes::mixedBlocksEqualAPlainForward()
{
    const Model model = mixedModel();
    const TokenIds ids = randomIds(17, 101, 1);
    const Matrix expected = PlainDecoder(model).logits(ids);
    const std::vector<float> logits = forwardSequence(model, ids, false).logits;
    QCOMPARE(logits.size(), expected.size());
    double scale = 0;
    double largest = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        scale = std::max(scale, std::abs(expected[i]));
        largest = std::max(largest, std::abs(logits[i] - expected[i]));
    }
    QVERIFY(scale > 0.1);
    QVERIFY2(largest < 2e-6 * scale, qPrintable(QString::number(largest / scale)));
    QCOMPARE(model.parameters(), totalParameters(model.config()));
}

void TestModelShapes::factorsEqualTheirProduct()
{
    const Model model = mixedModel();
    const Model whole = multipliedOut(model);
    QVERIFY(whole.parameters() != model.parameters());
    const TokenIds ids = randomIds(20, 101, 2);
    QVERIFY(largestLogitDifference(model, whole, ids) < 2e-5);
    const std::vector<TokenIds> endings = {randomIds(4, 101, 3), randomIds(9, 101, 4)};
    const auto a = scoreContinuations(model, ids, endings);
    const auto b = scoreContinuations(whole, ids, endings);
    for (std::size_t i = 0; i < endings.size(); ++i)
        QVERIFY(std::abs(a[i].logprob - b[i].logprob) < 1e-4);
}

void TestModelShapes::factorsTakePartInDecoding()
{
    const Model model = mixedModel();
    const TokenIds ids = randomIds(12, 101, 9);
    for (const bool rows : {true, false}) {
        KvCache cache(model.impl(), 1, 16, !rows);
        cache.prefill(model.impl(), {TokenIds(ids.begin(), ids.end() - 1)}, {0});
        const auto decoder = rows ? makeRowDecoder(model.impl(), cache) : makeTensorDecoder(model.impl(), cache);
        const std::span<const float> logits = decoder->step({{0, ids.back()}});
        const std::vector<float> all = forwardSequence(model, ids, false).logits;
        QVERIFY(largestDifference(logits, std::span<const float>(all).last(101)) < 2e-5);
    }
}

void TestModelShapes::zeroedBlocksEqualMissingOnes()
{
    const Model model = mixedModel();
    auto zeroed = std::make_shared<Model::Impl>(model.impl());
    auto missing = std::make_shared<Model::Impl>(model.impl());
    for (Linear *linear : {&zeroed->blocks[4].o, &zeroed->blocks[4].down}) {
        linear->weight = linear->weight * 0;
        linear->bias = linear->bias * 0;
    }
    missing->blocks.pop_back();
    missing->config.blocks.pop_back();
    const TokenIds ids = randomIds(15, 101, 5);
    QCOMPARE(largestLogitDifference(Model(zeroed), Model(missing), ids), 0.0); // to the last bit
    QVERIFY(largestLogitDifference(model, Model(missing), ids) > 1e-2);
}

void TestModelShapes::prunedFactorsEqualMaskedOnes()
{
    const Model model = mixedModel();
    UnitSet removed;
    removed.blocks = {2};
    removed.kvGroups[0] = {1};
    removed.ffnChannels[0] = {0, 3, 74};
    removed.ffnChannels[1] = {5};
    removed.ffnChannels[4] = {39};
    const Model pruned = prune(model, removed);
    QVERIFY(pruned.config().blocks[0].ranks == model.config().blocks[0].ranks);
    QCOMPARE(pruned.parameters(), totalParameters(pruned.config()));
    QVERIFY(largestLogitDifference(pruned, mask(model, removed), randomIds(15, 101, 5)) < 2e-5);
    removed = {};
    for (int channel = 0; channel < 75; ++channel)
        removed.ffnChannels[0].insert(channel);
    const Model halved = prune(model, removed);
    QVERIFY(!halved.config().blocks[0].hasMlp);
    QCOMPARE(halved.config().blocks[0].rank("down_proj"), 0);
    QCOMPARE(halved.config().blocks[0].rank("q_proj"), 7);
}

void TestModelShapes::mixedModelsAreSavedAndLoaded()
{
    const Model model = mixedModel();
    const fs::path path = folder("mixed");
    fs::create_directories(path);
    saveWeights(model, path, "F32");
    const Model again = load(path);
    QVERIFY(again.config().blocks == model.config().blocks);
    QVERIFY(again.config().mlpOutputBias && !again.config().mlpBias);
    QVERIFY(!again.config().isUniform());
    QCOMPARE(largestLogitDifference(model, again, randomIds(15, 101, 5)), 0.0);
    const SafetensorsFile file(path / "model.safetensors");
    QVERIFY(file.find("model.layers.0.self_attn.q_proj.A.weight")->shape == std::vector<std::int64_t>({7, 48}));
    QVERIFY(file.find("model.layers.0.self_attn.q_proj.B.weight")->shape == std::vector<std::int64_t>({72, 7}));
    QVERIFY(!file.find("model.layers.0.self_attn.q_proj.weight"));
    QVERIFY(file.find("model.layers.3.mlp.down_proj.bias"));
    // writing what was read changes nothing
    const fs::path copy = folder("copy");
    fs::create_directories(copy);
    saveWeights(again, copy, "F32");
    QVERIFY(readJson(copy / "config.json") == readJson(path / "config.json"));
}

void TestModelShapes::adaptersSitBesideFactors()
{
    const Model model = mixedModel();
    RecoveryOptions options;
    options.rank = 3;
    options.alpha = 6;
    options.dropout = 0;
    const Adapter adapter = randomAdapter(model, options);
    const Model beside = withAdapter(model, adapter);
    const Model merged = mergeAdapter(model, adapter);
    const TokenIds ids = randomIds(14, 101, 6);
    QVERIFY(largestLogitDifference(beside, merged, ids) < 1e-4);
    QVERIFY(largestLogitDifference(beside, model, ids) > 1e-2);
    QVERIFY(merged.config().blocks[0].ranks.empty());
    QCOMPARE(merged.parameters(), totalParameters(merged.config()));
    KvCache cache(beside.impl(), 1, 16, false);
    cache.prefill(beside.impl(), {TokenIds(ids.begin(), ids.end() - 1)}, {0});
    const auto decoder = makeRowDecoder(beside.impl(), cache);
    const std::vector<float> all = forwardSequence(beside, ids, false).logits;
    QVERIFY(largestDifference(decoder->step({{0, ids.back()}}), std::span<const float>(all).last(101)) < 2e-5);
}

void TestModelShapes::wrongRanksAreNamed_data()
{
    QTest::addColumn<QString>("ranks");
    QTest::addColumn<QString>("field");
    QTest::newRow("no linear") << QStringLiteral(R"({"0": {"x_proj": 4}})")
                               << QStringLiteral("secateur.ranks.0.x_proj is no linear");
    QTest::newRow("not in this layer") << QStringLiteral(R"({"1": {"q_proj": 4}})")
                                       << QStringLiteral("secateur.ranks.1.q_proj is no linear");
    QTest::newRow("no rank") << QStringLiteral(R"({"0": {"q_proj": 0}})")
                             << QStringLiteral("secateur.ranks.0.q_proj is 0");
    QTest::newRow("no layer") << QStringLiteral(R"({"9": {"q_proj": 4}})") << QStringLiteral("is no layer from 0 to 4");
    QTest::newRow("no object") << QStringLiteral(R"([1])") << QStringLiteral("secateur.ranks must be an object");
    QTest::newRow("another rank than stored")
        << QStringLiteral(R"({"0": {"q_proj": 8}})") << QStringLiteral("q_proj.A.weight\" has the shape [7, 48]");
}

void TestModelShapes::wrongRanksAreNamed()
{
    QFETCH(QString, ranks);
    QFETCH(QString, field);
    const fs::path path = folder("ranks");
    fs::create_directories(path);
    saveWeights(mixedModel(), path, "F32");
    json config = readJson(path / "config.json");
    config["secateur"]["ranks"] = json::parse(ranks.toStdString());
    write(path / "config.json", config.dump());
    const auto error = errorOf([&] { inspectModel(path); });
    QVERIFY(error && error->kind == ErrorKind::BadFormat);
    QVERIFY2(mentions(*error, field.toStdString()), error->message.c_str());
}

void TestModelShapes::aFamilyIsAddedByAFile()
{
    const fs::path plain = folder("plain");
    TinyModelOptions options;
    options.maxPositions = 333;
    writeTinyModel(plain, options);
    json config = readJson(plain / "config.json");
    config["rope_theta"] = 500.0;
    write(plain / "config.json", config.dump());
    const Model llama = load(plain);

    // the same weights under the names of the made-up family, whose defaults its configuration relies on
    const fs::path orchard = folder("orchard");
    fs::create_directories(orchard);
    for (const char *key : {"rope_theta", "tie_word_embeddings", "max_position_embeddings"})
        config.erase(key);
    config["model_type"] = "orchard";
    config["architectures"] = {"OrchardForCausalLM"};
    config["has_bias"] = false;
    write(orchard / "config.json", config.dump());
    const FamilyFolder families(folder("families"), orchardFamily());
    const Architecture *family = findArchitecture("orchard");
    QVERIFY(family);
    const SafetensorsFile file(plain / "model.safetensors");
    std::vector<std::string> names;
    for (const TensorInfo &tensor : file.tensors())
        names.push_back(family->storedName(tensor.name));
    QVERIFY(std::find(names.begin(), names.end(), "tree.branch.3.look.query.weight") != names.end());
    QVERIFY(std::find(names.begin(), names.end(), "model.layers.3.self_attn.k_proj.weight") != names.end());
    std::vector<TensorView> views;
    for (std::size_t i = 0; i < names.size(); ++i)
        views.push_back({names[i], "F32", file.tensors()[i].shape, file.data(file.tensors()[i])});
    writeSafetensors(orchard / "model.safetensors", views);

    const Model model = load(orchard);
    QCOMPARE(model.config().modelType, std::string("orchard"));
    const TokenIds ids = randomIds(30, 256, 1);
    QCOMPARE(largestLogitDifference(model, llama, ids), 0.0);
    QCOMPARE(model.config().maxPositions, 333);
    GenerationOptions generation;
    generation.maxNewTokens = 8;
    QVERIFY(generateAll(model, {ids}, generation, 1).sequences.front().ids
            == generateAll(llama, {ids}, generation, 1).sequences.front().ids);

    // and what is pruned from it goes back under the family's names
    UnitSet removed;
    removed.blocks = {1};
    const Model pruned = prune(model, removed);
    const fs::path out = folder("pruned");
    fs::create_directories(out);
    saveWeights(pruned, out, "F32");
    QVERIFY(SafetensorsFile(out / "model.safetensors").find("tree.branch.2.feed.down.weight"));
    QCOMPARE(largestLogitDifference(load(out), pruned, ids), 0.0);
}

void TestModelShapes::unknownFamiliesCanBeInspected()
{
    const fs::path path = folder("unknown");
    writeTinyModel(path);
    json config = readJson(path / "config.json");
    config["model_type"] = "orchard";
    write(path / "config.json", config.dump());
    const ModelInfo info = inspectModel(path);
    QVERIFY(!info.config);
    QCOMPARE(info.modelType, std::string("orchard"));
    QVERIFY(!info.tensors.empty());
    QVERIFY2(info.inspectOnlyReason.find("\"orchard\"; known are llama, mistral, qwen2 and qwen3") != std::string::npos,
             info.inspectOnlyReason.c_str());
    QVERIFY(errorOf([&] { loadModel(info, settingsOf("f32")); })->kind == ErrorKind::Unsupported);
}

void TestModelShapes::brokenFamilyFilesAreNamed_data()
{
    QTest::addColumn<QString>("patch");
    QTest::addColumn<QString>("part");
    const auto row = [](const char *name, const char *patch, const char *part) {
        QTest::newRow(name) << QString::fromLatin1(patch) << QString::fromLatin1(part);
    };
    row("no type", R"({"model_type": null})", "model_type");
    row("no window", R"({"sliding_window": "sometimes"})", "/sliding_window must be never, always or if_used");
    row("bias of a kind", R"({"bias": {"mlp": 3}})", "/bias/mlp must be true, false or a key of config.json");
    row("positions", R"({"defaults": {"max_position_embeddings": 0}})", "/defaults/max_position_embeddings");
    row("unknown field", R"({"colour": 1})", "/colour is no field of a model family");
    row("place for the layer", R"({"tensors": {"model.layers.{}.mlp.up_proj": "up"}})", "must hold {} as often");
    row("name of a tensor", R"({"tensors": {"model.norm": 5}})", "/tensors/model.norm");
    row("unknown parent", R"({"like": "oak"})", "/like is \"oak\", which is no other known family");
    row("its own parent", R"({"like": "orchard"})", "/like is \"orchard\", which is no other known family");
    row("half a GGUF", R"({"gguf": {"architecture": "orchard", "permuted_heads": 1}})", "/gguf/permuted_heads");
}

void TestModelShapes::brokenFamilyFilesAreNamed()
{
    QFETCH(QString, patch);
    QFETCH(QString, part);
    json family = orchardFamily();
    family.merge_patch(json::parse(patch.toStdString()));
    const FamilyFolder families(folder(QTest::currentDataTag()), family);
    const auto error = errorOf([] { architectures(); });
    QVERIFY(error && error->kind == ErrorKind::BadFormat);
    QVERIFY2(mentions(*error, "family.json") && mentions(*error, part.toStdString()), error->message.c_str());
}

QTEST_GUILESS_MAIN(TestModelShapes)
#include "tst_model_shapes.moc"
