#include "backend/core/resource_path.h"
#include "backend/io/atomic_file.h"
#include "backend/io/dequantize.h"
#include "backend/io/gguf_file.h"
#include "backend/io/weight_files.h"
#include "tests/support/error_mentions.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/test_data.h"

#include <QTemporaryDir>
#include <QTest>

#include <cmath>
#include <fstream>
#include <limits>

using namespace secateur;
namespace fs = std::filesystem;

class TestGguf : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void readsKeysAndTensors();
    void versionTwoIsRead();
    void malformedFilesAreRefusedByName_data();
    void malformedFilesAreRefusedByName();
    void everyTruncationIsRefused();
    void unknownTypesAreListed();
    void halvesAreWidened_data();
    void halvesAreWidened();
    void blocksAreDequantised_data();
    void blocksAreDequantised();
    void modelIsDescribedByItsKeys();
    void perLayerListsGiveUnevenBlocks();
    void permutedRowsAreRestoredForLlamaOnly_data();
    void permutedRowsAreRestoredForLlamaOnly();
    void ropeScalingIsReadOrRefused_data();
    void ropeScalingIsReadOrRefused();
    void impossibleModelsCanOnlyBeInspected_data();
    void impossibleModelsCanOnlyBeInspected();
    void incompleteModelsAreRefusedByName_data();
    void incompleteModelsAreRefusedByName();
    void goldenFilesGiveTheSameWeights_data();
    void goldenFilesGiveTheSameWeights();
    void smolLmOpens();

private:
    fs::path written(const GgufBuilder &builder) const
    {
        builder.write(path());
        return path();
    }
    fs::path path() const { return fs::path(m_folder.path().toStdString()) / "tiny.gguf"; }

    QTemporaryDir m_folder;
};

void TestGguf::readsKeysAndTensors()
{
    GgufBuilder builder;
    builder.text("text", "value").integer("whole", 7).number("real", 0.5f).boolean("flag", true);
    builder.integers("list", {1, -2}).numbers("reals", {0.25f}).texts("texts", {"a", "", "c"});
    builder.floats("matrix", {2, 3}, 1.5f);

    const GgufFile file(written(builder));

    QCOMPARE(file.string("text").value(), std::string("value"));
    QCOMPARE(file.integer("whole").value(), std::int64_t(7));
    QCOMPARE(file.number("whole").value(), 7.0);
    QCOMPARE(file.number("real").value(), 0.5);
    QCOMPARE(file.integer("flag").value(), std::int64_t(1));
    QCOMPARE(*file.integers("list"), (std::vector<std::int64_t>{1, -2}));
    QCOMPARE(*file.numbers("reals"), std::vector<double>{0.25});
    QCOMPARE(file.strings("texts")->size(), std::size_t(3));
    QVERIFY(!file.string("whole"));
    QVERIFY(!file.integer("missing"));
    const TensorInfo *matrix = file.find("matrix");
    QVERIFY(matrix);
    QCOMPARE(matrix->shape, (std::vector<std::int64_t>{2, 3}));
    QCOMPARE(matrix->bytes, std::uint64_t(24));
    QCOMPARE(matrix->offset % 32, std::uint64_t(0));
    QCOMPARE(file.data(*matrix).size(), std::size_t(24));
}

void TestGguf::versionTwoIsRead()
{
    GgufBuilder builder;
    builder.version = 2;
    builder.alignment = 64;
    builder.integer("general.alignment", 64).floats("a", {3}).floats("b", {3});
    QCOMPARE(GgufFile(written(builder)).find("b")->offset % 64, std::uint64_t(0));
}

void TestGguf::malformedFilesAreRefusedByName_data()
{
    QTest::addColumn<std::string>("contents");
    QTest::addColumn<std::string>("field");
    const auto text = [](const char *name, const std::string &contents, const char *field) {
        QTest::newRow(name) << contents << std::string(field);
    };
    const auto row = [&text](const char *name, const GgufBuilder &builder, const char *field) {
        text(name, builder.contents(), field);
    };
    using Builder = GgufBuilder;
    const std::string huge = Builder::bytes(std::uint64_t(1) << 60);
    text("empty", "", "GGUF");
    text("another magic number", "GGML" + std::string(100, '\0'), "GGUF");
    text("only the magic number", "GGUF", "version");
    row(
        "version of the future",
        [] {
            Builder b;
            b.version = 4;
            return b;
        }(),
        "version 4");
    row(
        "version of the past",
        [] {
            Builder b;
            b.version = 1;
            return b;
        }(),
        "version 1");
    row(
        "big-endian",
        [] {
            Builder b;
            b.version = 0x03000000;
            return b;
        }(),
        "big-endian");
    row(
        "too many tensors",
        [] {
            Builder b;
            b.extraTensorCount = std::int64_t(1) << 60;
            return b;
        }(),
        "tensor count");
    row(
        "too many keys",
        [] {
            Builder b;
            b.extraKeyCount = std::int64_t(1) << 60;
            return b;
        }(),
        "metadata count");
    row("unknown value type", Builder().raw("odd", 13, "x"), "odd");
    row("list of lists", Builder().raw("odd", 9, Builder::bytes(std::uint32_t(9)) + Builder::bytes(std::uint64_t(1))),
        "odd");
    row("list of unknown type",
        Builder().raw("odd", 9, Builder::bytes(std::uint32_t(77)) + Builder::bytes(std::uint64_t(1))), "odd");
    row("endless list", Builder().raw("odd", 9, Builder::bytes(std::uint32_t(5)) + huge), "odd");
    row("endless list of texts", Builder().raw("odd", 9, Builder::bytes(std::uint32_t(8)) + huge), "odd");
    row("endless text", Builder().raw("odd", 8, huge), "odd");
    row("truth value of 2", Builder().raw("odd", 7, "\2"), "odd");
    row("unsigned beyond 63 bits", Builder().raw("odd", 10, std::string(8, '\xff')), "odd");
    row("key twice", Builder().integer("odd", 1).integer("odd", 2), "odd occurs twice");
    row("alignment of zero", Builder().integer("general.alignment", 0), "general.alignment");
    row("alignment of 24", Builder().integer("general.alignment", 24), "general.alignment");
    row("five dimensions", Builder().tensor({"w", 0, {1, 1, 1, 1, 1}, "1234", 0}), "\"w\"");
    row("size of zero", Builder().tensor({"w", 0, {0}, "", 0}), "\"w\"");
    row("shape overflows", Builder().tensor({"w", 0, {1u << 31, 1u << 31, 1u << 31}, "", 0}), "\"w\"");
    row("bytes overflow", Builder().tensor({"w", 28, {1u << 31, 1u << 30}, "", 0}), "\"w\"");
    row("rows end inside a block", Builder().tensor({"w", 3, {33, 1}, std::string(40, '\0'), 0}), "\"w\"");
    row("offset out of step", Builder().tensor({"w", 0, {1}, "1234", 4}), "\"w\"");
    row("data beyond the file", Builder().tensor({"w", 0, {100}, "1234", 0}), "\"w\"");
    row("offset beyond the file", Builder().tensor({"w", 0, {1}, "1234", std::int64_t(1) << 40}), "\"w\"");
    row("offset overflows", Builder().tensor({"w", 0, {1}, "1234", -32}), "\"w\"");
    row("overlap", Builder().floats("v", {16}).tensor({"w", 0, {16}, std::string(64, '\0'), -32}), "overlap");
    row("name twice", Builder().floats("w", {1}).floats("w", {1}), "\"w\" occurs twice");
}

void TestGguf::malformedFilesAreRefusedByName()
{
    QFETCH(std::string, contents);
    QFETCH(std::string, field);
    writeFileAtomically(path(), contents);
    const auto error = errorOf([this] { GgufFile file(path()); });
    QVERIFY(error);
    QVERIFY2(mentions(*error, "tiny.gguf"), error->message.c_str());
    QVERIFY2(mentions(*error, field), error->message.c_str());
}

void TestGguf::everyTruncationIsRefused()
{
    const std::string contents = withTinyTensors(tinyGgufModel().texts("list", {"a", "b"})).contents();
    // Padding at the very end belongs to no tensor, and may be missing.
    for (std::size_t size = 0; size + 32 < contents.size(); size += 13) {
        std::ofstream(path(), std::ios::binary) << contents.substr(0, size);
        const auto error = errorOf([this] { GgufFile file(path()); });
        QVERIFY2(error, qPrintable(QString::number(size)));
        QVERIFY2(mentions(*error, "tiny.gguf"), error->message.c_str());
    }
}

void TestGguf::unknownTypesAreListed()
{
    GgufBuilder builder;
    builder.tensor({"w", 16, {256}, std::string(66, '\0'), 0}).tensor({"x", 99, {5}, "", 0});
    const GgufFile file(written(builder));
    QCOMPARE(file.find("w")->dtype, std::string("IQ2_XXS"));
    QCOMPARE(file.find("x")->dtype, std::string("type 99"));
    QVERIFY(!WeightFiles::isReadable("IQ2_XXS"));
    QVERIFY(WeightFiles::isReadable("Q4_K"));
}

void TestGguf::halvesAreWidened_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<float>("expected");
    QTest::newRow("one") << 0x3c00 << 1.0f;
    QTest::newRow("minus two") << 0xc000 << -2.0f;
    QTest::newRow("largest") << 0x7bff << 65504.0f;
    QTest::newRow("smallest normal") << 0x0400 << 0x1p-14f;
    QTest::newRow("smallest subnormal") << 0x0001 << 0x1p-24f;
    QTest::newRow("largest subnormal") << 0x83ff << -1023 * 0x1p-24f;
    QTest::newRow("zero") << 0x0000 << 0.0f;
    QTest::newRow("infinity") << 0x7c00 << std::numeric_limits<float>::infinity();
    QTest::newRow("a third") << 0x3555 << 0.333251953125f;
}

void TestGguf::halvesAreWidened()
{
    QFETCH(int, bits);
    QFETCH(float, expected);
    QVERIFY(halfToFloat(static_cast<std::uint16_t>(bits)) == expected);
    QVERIFY(std::isnan(halfToFloat(0x7e01)));
    QVERIFY(std::signbit(halfToFloat(0x8000)));
}

void TestGguf::blocksAreDequantised_data()
{
    QTest::addColumn<std::string>("dtype");
    QTest::addColumn<int>("blockBytes");
    QTest::addColumn<int>("scaleAt");
    QTest::addColumn<bool>("offset");
    QTest::addColumn<double>("second");
    QTest::addColumn<double>("lastButOne");
    QTest::addColumn<double>("weightedSum");
    const auto row = [](const char *dtype, int bytes, int at, bool offset, double second, double last, double sum) {
        QTest::newRow(dtype) << std::string(dtype) << bytes << at << offset << second << last << sum;
    };
    // Expected values from the gguf Python package.
    row("Q8_0", 34, 0, false, 7.625, -6.6875, -856.0);
    row("Q4_0", 18, 0, false, 0.125, 0.4375, -66.9375);
    row("Q4_1", 20, 0, true, 0.0, 0.25, 491.25);
    row("Q5_0", 22, 0, false, -0.125, 0.0625, -6.8125);
    row("Q5_1", 24, 0, true, 1.25, 0.4375, 1414.875);
    row("Q4_K", 144, 0, true, 12.75, 24.25, 3047741.0);
    row("Q5_K", 176, 0, true, 12.75, 16.25, 4502750.0);
    row("Q6_K", 210, 208, false, 106.0, 125.0, 113051.75);
}

void TestGguf::blocksAreDequantised()
{
    QFETCH(std::string, dtype);
    QFETCH(int, blockBytes);
    QFETCH(int, scaleAt);
    QFETCH(bool, offset);
    QFETCH(double, second);
    QFETCH(double, lastButOne);
    QFETCH(double, weightedSum);
    std::string bytes;
    for (int i = 0; i < 2 * blockBytes; ++i)
        bytes += static_cast<char>(i * 37 + 11);
    for (const int start : {0, blockBytes}) {
        bytes.replace(static_cast<std::size_t>(start + scaleAt), 2,
                      GgufBuilder::bytes(std::uint16_t(0x2c00))); // 0.0625
        if (offset)
            bytes.replace(static_cast<std::size_t>(start + 2), 2, GgufBuilder::bytes(std::uint16_t(0xb400))); // −0.25
    }
    std::vector<float> values(blockBytes > 100 ? 512 : 64);
    WeightFiles::Entry entry{
        "w", dtype, {static_cast<std::int64_t>(values.size())}, "tiny.gguf", std::as_bytes(std::span(bytes)), 0};

    WeightFiles::readF32(entry, values);

    QCOMPARE(values[1], static_cast<float>(second));
    QCOMPARE(values[values.size() - 2], static_cast<float>(lastButOne));
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
        sum += static_cast<double>(i + 1) * values[i];
    QCOMPARE(sum, weightedSum);
}

void TestGguf::modelIsDescribedByItsKeys()
{
    GgufBuilder builder = tinyGgufModel();
    builder.integer("tokenizer.ggml.bos_token_id", 1)
        .integer("tokenizer.ggml.eos_token_id", 2)
        .integer("tokenizer.ggml.eot_token_id", 4);

    const ModelInfo info = inspectModel(written(withTinyTensors(builder)));

    QCOMPARE(info.inspectOnlyReason, std::string());
    QVERIFY(info.source == ModelInfo::Source::Gguf);
    QCOMPARE(info.name, std::string("tiny"));
    QCOMPARE(info.config->hiddenSize, 8);
    QCOMPARE(info.config->headDim, 4);
    QCOMPARE(info.config->vocabSize, 5);
    QCOMPARE(info.config->rmsNormEps, 1e-5);
    QVERIFY(info.config->tiedEmbeddings);
    QCOMPARE(info.config->eosTokenIds, (std::vector<int>{2, 4}));
    QCOMPARE(info.parameters, totalParameters(*info.config));
    QCOMPARE(info.dtypes, std::vector<std::string>{"F32"});
    QCOMPARE(info.digest.size(), std::size_t(64));
    const auto weights = openWeights(info);
    QCOMPARE(weights->entries().size(), expectedTensors(*info.config).size());
    QVERIFY(weights->find("model.layers.1.mlp.down_proj.weight"));
}

void TestGguf::perLayerListsGiveUnevenBlocks()
{
    GgufBuilder builder;
    builder.text("general.architecture", "llama")
        .integer("llama.block_count", 3)
        .integer("llama.embedding_length", 8)
        .integer("llama.context_length", 64)
        .integers("llama.feed_forward_length", {6, 4, 6})
        .integers("llama.attention.head_count", {2, 4, 0})
        .integers("llama.attention.head_count_kv", {1, 2, 0})
        .integer("llama.attention.key_length", 4)
        .number("llama.attention.layer_norm_rms_epsilon", 1e-5f)
        .integers("secateur.original_blocks", {0, 2, 5})
        .floats("token_embd.weight", {5, 8})
        .floats("output_norm.weight", {8});
    const auto block
        = [&builder](const std::string &name, std::uint64_t heads, std::uint64_t groups, std::uint64_t width) {
              if (heads > 0)
                  builder.floats(name + "attn_norm.weight", {8})
                      .floats(name + "attn_q.weight", {heads * 4, 8})
                      .floats(name + "attn_k.weight", {groups * 4, 8})
                      .floats(name + "attn_v.weight", {groups * 4, 8})
                      .floats(name + "attn_output.weight", {8, heads * 4});
              builder.floats(name + "ffn_norm.weight", {8})
                  .floats(name + "ffn_gate.weight", {width, 8})
                  .floats(name + "ffn_up.weight", {width, 8})
                  .floats(name + "ffn_down.weight", {8, width});
          };
    block("blk.0.", 2, 1, 6);
    block("blk.1.", 4, 2, 4);
    block("blk.2.", 0, 0, 6);

    const ModelInfo info = inspectModel(written(builder));

    QCOMPARE(info.inspectOnlyReason, std::string());
    const std::vector<BlockShape> expected
        = {{0, true, true, 1, 2, 6}, {2, true, true, 2, 4, 4}, {5, false, true, 0, 0, 6}};
    QVERIFY(info.config->blocks == expected);
    QCOMPARE(openWeights(info)->find("model.layers.1.self_attn.q_proj.weight")->permutedHeads, 4);
    QCOMPARE(openWeights(info)->find("model.layers.1.self_attn.k_proj.weight")->permutedHeads, 2);
}

void TestGguf::permutedRowsAreRestoredForLlamaOnly_data()
{
    QTest::addColumn<std::string>("architecture");
    QTest::addColumn<std::vector<float>>("rows");
    // Two heads of four rows. llama: rows of a head are stored as [h/2, 2], so 0 2 1 3 of each.
    QTest::newRow("llama") << std::string("llama") << std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7};
    QTest::newRow("qwen2") << std::string("qwen2") << std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7};
}

void TestGguf::permutedRowsAreRestoredForLlamaOnly()
{
    QFETCH(std::string, architecture);
    QFETCH(std::vector<float>, rows);
    GgufBuilder builder = tinyGgufModel(architecture);
    builder.floats("token_embd.weight", {5, 8}).floats("output_norm.weight", {8});
    for (const std::string block : {"blk.0.", "blk.1."}) {
        std::string data;
        for (int row = 0; row < 8; ++row)
            for (int column = 0; column < 8; ++column)
                data += GgufBuilder::bytes(static_cast<float>(row));
        builder.floats(block + "attn_norm.weight", {8})
            .tensor({block + "attn_q.weight", 0, {8, 8}, data, 0})
            .floats(block + "attn_k.weight", {4, 8})
            .floats(block + "attn_v.weight", {4, 8})
            .floats(block + "attn_output.weight", {8, 8})
            .floats(block + "ffn_norm.weight", {8})
            .floats(block + "ffn_gate.weight", {6, 8})
            .floats(block + "ffn_up.weight", {6, 8})
            .floats(block + "ffn_down.weight", {8, 6});
        if (architecture == "qwen2")
            builder.floats(block + "attn_q.bias", {8})
                .floats(block + "attn_k.bias", {4})
                .floats(block + "attn_v.bias", {4});
    }
    const ModelInfo info = inspectModel(written(builder));
    QCOMPARE(info.inspectOnlyReason, std::string());
    const auto weights = openWeights(info);
    const WeightFiles::Entry *query = weights->find("model.layers.0.self_attn.q_proj.weight");
    QVERIFY(query);

    std::vector<float> values(64);
    WeightFiles::readF32(*query, values);

    std::vector<float> firstColumn;
    for (std::size_t row = 0; row < 8; ++row)
        firstColumn.push_back(values[row * 8]);
    QCOMPARE(firstColumn, rows);
    QCOMPARE(WeightFiles::isPlain(*query), architecture != "llama");
}

void TestGguf::ropeScalingIsReadOrRefused_data()
{
    QTest::addColumn<QString>("form");
    QTest::addColumn<int>("scaling");
    QTest::addColumn<double>("factor");
    QTest::addColumn<int>("original");
    using Scaling = RopeConfig::Scaling;
    QTest::newRow("linear") << QStringLiteral("linear") << int(Scaling::Linear) << 4.0 << 0;
    QTest::newRow("yarn") << QStringLiteral("yarn") << int(Scaling::Yarn) << 4.0 << 16;
    QTest::newRow("divisors of Llama 3") << QStringLiteral("factors") << int(Scaling::Llama3) << 8.0 << 64;
    QTest::newRow("other divisors") << QStringLiteral("odd factors") << -1 << 0.0 << 0;
    QTest::newRow("longrope") << QStringLiteral("longrope") << -1 << 0.0 << 0;
}

void TestGguf::ropeScalingIsReadOrRefused()
{
    QFETCH(QString, form);
    QFETCH(int, scaling);
    QFETCH(double, factor);
    QFETCH(int, original);
    GgufBuilder builder = tinyGgufModel();
    if (form.contains(QStringLiteral("factors"))) {
        // θ 10000, h 4: wavelengths 2π and 200π; 64 positions cut at 64 and 16
        const float first = form == QStringLiteral("factors") ? 1.0f : 2.5f;
        builder.tensor({"rope_freqs.weight", 0, {2}, GgufBuilder::bytes(first) + GgufBuilder::bytes(8.0f), 0});
    } else {
        builder.text("llama.rope.scaling.type", form.toStdString())
            .number("llama.rope.scaling.factor", 4)
            .integer("llama.rope.scaling.original_context_length", 16);
    }
    const ModelInfo info = inspectModel(written(withTinyTensors(builder)));
    if (scaling < 0) {
        QVERIFY(!info.config);
        QVERIFY2(info.inspectOnlyReason.find("tiny.gguf") != std::string::npos, info.inspectOnlyReason.c_str());
        return;
    }
    QCOMPARE(info.inspectOnlyReason, std::string());
    QCOMPARE(int(info.config->rope.scaling), scaling);
    QCOMPARE(info.config->rope.factor, factor);
    // Any original length between the two wavelengths' limits gives the same divisors here; the longest is taken.
    if (form == QStringLiteral("factors"))
        QVERIFY(info.config->rope.originalMaxPositions >= original);
    else
        QCOMPARE(info.config->rope.originalMaxPositions, std::int64_t(original));
}

void TestGguf::impossibleModelsCanOnlyBeInspected_data()
{
    QTest::addColumn<std::string>("architecture");
    QTest::addColumn<QString>("change");
    QTest::addColumn<std::string>("reason");
    const auto row = [](const char *name, const char *architecture, const QString &change, const char *reason) {
        QTest::newRow(name) << std::string(architecture) << change << std::string(reason);
    };
    row("another architecture", "gemma3", {}, "gemma3");
    row("experts", "llama", QStringLiteral("experts"), "expert_count");
    row("parts", "llama", QStringLiteral("split"), "split.count");
    row("partly rotated heads", "llama", QStringLiteral("rotary"), "rope.dimension_count");
    row("values of another size", "llama", QStringLiteral("values"), "value_length");
    row("type that cannot be read", "llama", QStringLiteral("type"), "IQ2_XXS");
}

void TestGguf::impossibleModelsCanOnlyBeInspected()
{
    QFETCH(std::string, architecture);
    QFETCH(QString, change);
    QFETCH(std::string, reason);
    GgufBuilder builder = tinyGgufModel(architecture);
    if (change == QStringLiteral("experts"))
        builder.integer("llama.expert_count", 8);
    if (change == QStringLiteral("split"))
        builder.integer("split.count", 3);
    if (change == QStringLiteral("rotary"))
        builder.integer("llama.rope.dimension_count", 2);
    if (change == QStringLiteral("values"))
        builder.integer("llama.attention.value_length", 8);
    if (change == QStringLiteral("type")) {
        builder = GgufBuilder();
        builder.text("general.architecture", "llama")
            .integer("llama.block_count", 1)
            .integer("llama.embedding_length", 256)
            .integer("llama.context_length", 64)
            .integer("llama.feed_forward_length", 1)
            .integer("llama.attention.head_count", 1)
            .number("llama.attention.layer_norm_rms_epsilon", 1e-5f)
            .tensor({"token_embd.weight", 16, {256, 1}, std::string(66, '\0'), 0})
            .floats("output_norm.weight", {256})
            .floats("blk.0.attn_norm.weight", {256})
            .floats("blk.0.ffn_norm.weight", {256})
            .floats("blk.0.ffn_gate.weight", {1, 256})
            .floats("blk.0.ffn_up.weight", {1, 256})
            .floats("blk.0.ffn_down.weight", {256, 1});
        for (const std::string part : {"q", "k", "v", "output"})
            builder.floats("blk.0.attn_" + part + ".weight", {256, 256});
    } else {
        builder = withTinyTensors(builder);
    }

    const ModelInfo info = inspectModel(written(builder));

    QVERIFY(!info.config);
    QCOMPARE(info.modelType, architecture);
    QVERIFY2(info.inspectOnlyReason.find(reason) != std::string::npos, info.inspectOnlyReason.c_str());
    QVERIFY2(info.inspectOnlyReason.find("tiny.gguf") != std::string::npos, info.inspectOnlyReason.c_str());
    QVERIFY(!info.tensors.empty());
    const auto error = errorOf([&info] { openWeights(info); });
    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::Unsupported);
}

void TestGguf::incompleteModelsAreRefusedByName_data()
{
    QTest::addColumn<QString>("change");
    QTest::addColumn<std::string>("field");
    QTest::newRow("missing tensor") << QStringLiteral("tensor") << std::string("model.layers.1.mlp.down_proj.weight");
    QTest::newRow("another width") << QStringLiteral("width") << std::string("[6, 8]");
    QTest::newRow("missing key") << QStringLiteral("key") << std::string("llama.block_count");
    QTest::newRow("list of another length") << QStringLiteral("list") << std::string("llama.feed_forward_length");
    QTest::newRow("no blocks") << QStringLiteral("zero") << std::string("llama.block_count");
    QTest::newRow("no embedding") << QStringLiteral("embedding") << std::string("token_embd.weight");
}

void TestGguf::incompleteModelsAreRefusedByName()
{
    QFETCH(QString, change);
    QFETCH(std::string, field);
    GgufBuilder builder = tinyGgufModel();
    const auto keys = [](int layers) {
        GgufBuilder other;
        other.text("general.architecture", "llama")
            .integer("llama.embedding_length", 8)
            .integer("llama.context_length", 64)
            .integer("llama.attention.head_count", 2)
            .integer("llama.attention.head_count_kv", 1)
            .number("llama.attention.layer_norm_rms_epsilon", 1e-5f);
        if (layers >= 0)
            other.integer("llama.block_count", static_cast<std::uint32_t>(layers));
        return other;
    };
    if (change == QStringLiteral("width"))
        builder = keys(2).integer("llama.feed_forward_length", 7);
    if (change == QStringLiteral("key"))
        builder = keys(-1).integer("llama.feed_forward_length", 6);
    if (change == QStringLiteral("list"))
        builder = keys(2).integers("llama.feed_forward_length", {6, 6, 6});
    if (change == QStringLiteral("zero"))
        builder = keys(0).integer("llama.feed_forward_length", 6);
    if (change != QStringLiteral("embedding"))
        builder = withTinyTensors(builder, change != QStringLiteral("tensor"));

    const auto error = errorOf([&] { inspectModel(written(builder)); });

    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::BadFormat);
    QVERIFY2(mentions(*error, "tiny.gguf"), error->message.c_str());
    QVERIFY2(mentions(*error, field), error->message.c_str());
}

void TestGguf::goldenFilesGiveTheSameWeights_data()
{
    QTest::addColumn<QString>("file");
    QTest::addColumn<float>("tolerance");
    QTest::newRow("F32") << QStringLiteral("tiny-llama-F32.gguf") << 0.0f;
    QTest::newRow("F16") << QStringLiteral("tiny-llama-F16.gguf") << 1e-3f;
    QTest::newRow("Q8_0") << QStringLiteral("tiny-llama-Q8_0.gguf") << 2e-2f;
}

void TestGguf::goldenFilesGiveTheSameWeights()
{
    if (testData().empty())
        QSKIP("SECATEUR_TEST_DATA is not set");
    QFETCH(QString, file);
    QFETCH(float, tolerance);
    const ModelInfo info = inspectModel(testData() / "golden/gguf" / file.toStdString());
    const ModelInfo folder = inspectModel(testData() / "golden/models/tiny-llama");
    QCOMPARE(info.parameters, folder.parameters);
    const auto weights = openWeights(info);
    const auto expected = openWeights(folder);
    for (const ExpectedTensor &tensor : expectedTensors(*info.config)) {
        std::size_t elements = 1;
        for (const std::int64_t extent : tensor.shape)
            elements *= static_cast<std::size_t>(extent);
        std::vector<float> a(elements), b(elements);
        WeightFiles::readF32(*weights->find(tensor.name), a);
        WeightFiles::readF32(*expected->find(tensor.name), b);
        float largest = 0, difference = 0;
        for (std::size_t i = 0; i < elements; ++i) {
            largest = std::max(largest, std::abs(b[i]));
            difference = std::max(difference, std::abs(a[i] - b[i]));
        }
        QVERIFY2(difference <= tolerance * largest, tensor.name.c_str());
    }
}

void TestGguf::smolLmOpens()
{
    const fs::path path = cacheDirectory() / "smollm2-0.1.2/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (!fs::exists(path))
        QSKIP("SmolLM2-135M-Instruct is not in the cache folder");
    const ModelInfo info = inspectModel(path);
    QCOMPARE(info.inspectOnlyReason, std::string());
    QCOMPARE(info.parameters, std::int64_t(134515008));
    QCOMPARE(info.tensors.size(), std::size_t(272));
    QCOMPARE(info.config->layers(), 30);
    QCOMPARE(info.config->rope.theta, 100000.0);
    QCOMPARE(info.config->eosTokenIds, std::vector<int>{2});
    QCOMPARE(info.dtypes, (std::vector<std::string>{"Q4_1", "Q8_0", "F32"}));
    QCOMPARE(companionFiles(info).size(), std::size_t(3));
}

QTEST_GUILESS_MAIN(TestGguf)
#include "tst_gguf.moc"
