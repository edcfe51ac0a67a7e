#include "backend/core/model_config.h"
#include "backend/core/model_info.h"
#include "backend/io/atomic_file.h"
#include "tests/support/error_mentions.h"
#include "tests/support/test_data.h"

#include <QTest>

#include <nlohmann/json.hpp>

using namespace secateur;
using nlohmann::json;

class TestModelConfig : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void smolLmNumbersAreThePublishedOnes();
    void removingThreeBlocksLowersTheNumbers();
    void parametersCountEveryTensor_data();
    void parametersCountEveryTensor();
    void familiesDifferByTheirDefaults_data();
    void familiesDifferByTheirDefaults();
    void ropeIsReadInBothForms_data();
    void ropeIsReadInBothForms();
    void slidingWindowsFollowTheFamily_data();
    void slidingWindowsFollowTheFamily();
    void endOfSequenceMayBeOneOrMany_data();
    void endOfSequenceMayBeOneOrMany();
    void brokenFilesAreRefusedByField_data();
    void brokenFilesAreRefusedByField();
    void unknownStructuresAreUnsupported_data();
    void unknownStructuresAreUnsupported();
    void writingAndReadingGivesTheSame_data();
    void writingAndReadingGivesTheSame();
    void layerListsAreCutWithTheLayers();
    void unknownKeysAreKeptInOrder();
    void foreignProvenanceIsIgnored();
    void aConfigWithoutSourceTextCanBeWritten();
    void memoryEstimateAddsUp();
    void readsTheGoldenModels_data();
    void readsTheGoldenModels();

private:
    static json smolLm();
    static ModelConfig parse(const json &value) { return parseModelConfig(value.dump(), "config.json"); }
    static ModelConfig withoutText(ModelConfig config)
    {
        config.rawJson.clear();
        return config;
    }
};

json TestModelConfig::smolLm()
{
    return {{"architectures", {"LlamaForCausalLM"}},
            {"model_type", "llama"},
            {"hidden_act", "silu"},
            {"hidden_size", 576},
            {"intermediate_size", 1536},
            {"num_hidden_layers", 30},
            {"num_attention_heads", 9},
            {"num_key_value_heads", 3},
            {"vocab_size", 49152},
            {"max_position_embeddings", 8192},
            {"rms_norm_eps", 1e-5},
            {"rope_theta", 100000},
            {"tie_word_embeddings", true},
            {"torch_dtype", "bfloat16"},
            {"bos_token_id", 1},
            {"eos_token_id", 2}};
}

void TestModelConfig::smolLmNumbersAreThePublishedOnes()
{
    const ModelConfig config = parse(smolLm());
    QCOMPARE(config.layers(), 30);
    QCOMPARE(config.headDim, 64);
    QVERIFY(config.isUniform());
    QCOMPARE(totalParameters(config), std::int64_t(134515008));
    QCOMPARE(flopsPerToken(config, 512), 2.0 * 134515008 + 4.0 * 576 * 512 * 30);
    QCOMPARE(kvBytesPerToken(config), std::int64_t(23040));
    QCOMPARE(config.rope.theta, 100000.0);
    QCOMPARE(config.dtype, std::string("bfloat16"));
}

void TestModelConfig::removingThreeBlocksLowersTheNumbers()
{
    ModelConfig config = parse(smolLm());
    config.blocks.resize(27);
    QCOMPARE(totalParameters(config), std::int64_t(123894720));
    QCOMPARE(qRound(flopsPerToken(config, 512) / 1e6), 280);
    QCOMPARE(kvBytesPerToken(config), std::int64_t(20736));
}

void TestModelConfig::parametersCountEveryTensor_data()
{
    QTest::addColumn<bool>("tied");
    QTest::addColumn<bool>("biases");
    QTest::addColumn<bool>("headNorms");
    QTest::addColumn<bool>("attention");
    QTest::addColumn<bool>("mlp");
    QTest::addColumn<qint64>("expected");
    // D 8, heads 4/2 of 4, F 6, V 10: q and o 8·16, k and v 8·8, gate, up and down 8·6, norms 8
    const qint64 attention = 2 * 128 + 2 * 64 + 8;
    const qint64 mlp = 3 * 48 + 8;
    QTest::newRow("tied") << true << false << false << true << true << 80 + 8 + attention + mlp;
    QTest::newRow("untied") << false << false << false << true << true << 160 + 8 + attention + mlp;
    QTest::newRow("biases") << true << true << false << true << true
                            << 80 + 8 + attention + (16 + 8 + 8 + 8) + mlp + (6 + 6 + 8);
    QTest::newRow("head norms") << true << false << true << true << true << 80 + 8 + attention + 8 + mlp;
    QTest::newRow("no attention") << true << true << true << false << true << 80 + 8 + mlp + 20;
    QTest::newRow("no MLP") << true << false << false << true << false << 80 + 8 + attention;
}

void TestModelConfig::parametersCountEveryTensor()
{
    QFETCH(bool, tied);
    QFETCH(bool, biases);
    QFETCH(bool, headNorms);
    QFETCH(bool, attention);
    QFETCH(bool, mlp);
    QFETCH(qint64, expected);
    ModelConfig config;
    config.hiddenSize = 8;
    config.headDim = 4;
    config.vocabSize = 10;
    config.tiedEmbeddings = tied;
    config.attentionBias = config.attentionOutputBias = config.mlpBias = config.mlpOutputBias = biases;
    config.queryKeyNorm = headNorms;
    config.blocks = {{0, attention, mlp, attention ? 2 : 0, attention ? 4 : 0, mlp ? 6 : 0}};
    QCOMPARE(totalParameters(config), expected);
}

void TestModelConfig::familiesDifferByTheirDefaults_data()
{
    QTest::addColumn<std::string>("family");
    QTest::addColumn<std::string>("extra");
    QTest::addColumn<bool>("attentionBias");
    QTest::addColumn<bool>("outputBias");
    QTest::addColumn<bool>("mlpBias");
    QTest::addColumn<bool>("headNorms");
    QTest::addColumn<int>("headDim");
    const auto row
        = [](const char *name, const char *family, const char *extra, bool q, bool o, bool mlp, bool norms, int h) {
              QTest::newRow(name) << std::string(family) << std::string(extra) << q << o << mlp << norms << h;
          };
    row("llama", "llama", "{}", false, false, false, false, 64);
    row("llama with biases", "llama", R"({"attention_bias":true,"mlp_bias":true})", true, true, true, false, 64);
    row("llama with its own head size", "llama", R"({"head_dim":32})", false, false, false, false, 32);
    row("null is absent", "llama", R"({"head_dim":null,"attention_bias":null})", false, false, false, false, 64);
    row("mistral", "mistral", "{}", false, false, false, false, 64);
    row("mistral knows no bias key", "mistral", R"({"attention_bias":true})", false, false, false, false, 64);
    row("qwen2", "qwen2", "{}", true, false, false, false, 64);
    row("qwen3", "qwen3", "{}", false, false, false, true, 128);
    row("qwen3 with biases", "qwen3", R"({"attention_bias":true,"head_dim":16})", true, true, false, true, 16);
}

void TestModelConfig::familiesDifferByTheirDefaults()
{
    QFETCH(std::string, family);
    QFETCH(std::string, extra);
    QFETCH(bool, attentionBias);
    QFETCH(bool, outputBias);
    QFETCH(bool, mlpBias);
    QFETCH(bool, headNorms);
    QFETCH(int, headDim);
    json value = smolLm();
    value["model_type"] = family;
    value.erase("architectures");
    value.update(json::parse(extra));

    const ModelConfig config = parse(value);

    QCOMPARE(config.attentionBias, attentionBias);
    QCOMPARE(config.attentionOutputBias, outputBias);
    QCOMPARE(config.mlpBias, mlpBias);
    QCOMPARE(config.queryKeyNorm, headNorms);
    QCOMPARE(config.headDim, headDim);
    QVERIFY(config.architecture.ends_with("ForCausalLM"));
}

void TestModelConfig::ropeIsReadInBothForms_data()
{
    QTest::addColumn<std::string>("extra");
    QTest::addColumn<RopeConfig>("expected");
    const auto row = [](const char *name, const char *extra, const RopeConfig &expected) {
        QTest::newRow(name) << std::string(extra) << expected;
    };
    using Scaling = RopeConfig::Scaling;
    row("top level", R"({"rope_theta":5e5,"rope_scaling":null})", {.theta = 5e5});
    row("silent", R"({"rope_theta":null})", {.theta = 10000});
    row("new form", R"({"rope_theta":null,"rope_parameters":{"rope_type":"default","rope_theta":1e6}})",
        {.theta = 1e6});
    row("new form beside an empty old one",
        R"({"rope_scaling":{},"rope_parameters":{"rope_type":"default","rope_theta":1e6}})", {.theta = 1e6});
    row("linear", R"({"rope_theta":1e4,"rope_scaling":{"type":"linear","factor":4}})",
        {.theta = 1e4, .scaling = Scaling::Linear, .factor = 4});
    row("llama3",
        R"({"rope_theta":5e5,"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,
            "original_max_position_embeddings":4096}})",
        {.theta = 5e5,
         .scaling = Scaling::Llama3,
         .factor = 8,
         .lowFrequencyFactor = 1,
         .highFrequencyFactor = 4,
         .originalMaxPositions = 4096});
    row("yarn",
        R"({"rope_theta":null,"rope_parameters":{"rope_type":"yarn","rope_theta":1e6,"factor":4,
            "original_max_position_embeddings":2048,"beta_fast":16,"attention_factor":1.5}})",
        {.theta = 1e6,
         .scaling = Scaling::Yarn,
         .factor = 4,
         .originalMaxPositions = 2048,
         .betaFast = 16,
         .betaSlow = 1,
         .attentionFactor = 1.5});
    row("yarn without a factor",
        R"({"rope_theta":1e4,"rope_scaling":{"type":"yarn","original_max_position_embeddings":2048}})",
        {.theta = 1e4, .scaling = Scaling::Yarn, .factor = 4, .originalMaxPositions = 2048});
    row("yarn with equal magnitudes",
        R"({"rope_theta":1e4,"rope_scaling":{"type":"yarn","factor":4,"mscale":1,"mscale_all_dim":1}})",
        {.theta = 1e4, .scaling = Scaling::Yarn, .factor = 4, .originalMaxPositions = 8192, .attentionFactor = 1});
}

void TestModelConfig::ropeIsReadInBothForms()
{
    QFETCH(std::string, extra);
    QFETCH(RopeConfig, expected);
    json value = smolLm();
    value.update(json::parse(extra));
    QVERIFY(parse(value).rope == expected);
}

void TestModelConfig::slidingWindowsFollowTheFamily_data()
{
    QTest::addColumn<std::string>("extra");
    QTest::addColumn<int>("window");
    const auto row
        = [](const char *name, const char *extra, int window) { QTest::newRow(name) << std::string(extra) << window; };
    row("mistral with a window", R"({"model_type":"mistral","sliding_window":16})", 16);
    row("mistral with null", R"({"model_type":"mistral","sliding_window":null})", 0);
    row("mistral silent", R"({"model_type":"mistral"})", 4096);
    row("llama has none", R"({"model_type":"llama","sliding_window":16})", 0);
    row("qwen2 does not use it", R"({"model_type":"qwen2","use_sliding_window":false,"sliding_window":16})", 0);
    row("qwen2 in no layer",
        R"({"model_type":"qwen2","use_sliding_window":true,"sliding_window":16,"max_window_layers":30})", 0);
    row("qwen2 in all layers",
        R"({"model_type":"qwen2","use_sliding_window":true,"sliding_window":16,"max_window_layers":0})", 16);
    row("qwen2 beyond the positions",
        R"({"model_type":"qwen2","use_sliding_window":true,"sliding_window":8192,"max_window_layers":20})", 0);
}

void TestModelConfig::slidingWindowsFollowTheFamily()
{
    QFETCH(std::string, extra);
    QFETCH(int, window);
    json value = smolLm();
    value.erase("architectures");
    value.update(json::parse(extra));
    QCOMPARE(parse(value).slidingWindow, window);
}

void TestModelConfig::endOfSequenceMayBeOneOrMany_data()
{
    QTest::addColumn<std::string>("eos");
    QTest::addColumn<std::vector<int>>("expected");
    QTest::newRow("one") << std::string("2") << std::vector<int>{2};
    QTest::newRow("list") << std::string("[128001,128008,128001]") << std::vector<int>{128001, 128008};
    QTest::newRow("null") << std::string("null") << std::vector<int>{};
    QTest::newRow("minus one is none") << std::string("-1") << std::vector<int>{};
}

void TestModelConfig::endOfSequenceMayBeOneOrMany()
{
    QFETCH(std::string, eos);
    QFETCH(std::vector<int>, expected);
    json value = smolLm();
    value["eos_token_id"] = json::parse(eos);
    QCOMPARE(parse(value).eosTokenIds, expected);
}

void TestModelConfig::brokenFilesAreRefusedByField_data()
{
    QTest::addColumn<std::string>("text");
    QTest::addColumn<std::string>("field");
    const auto text = [](const char *name, const std::string &contents, const char *field) {
        QTest::newRow(name) << contents << std::string(field);
    };
    text("empty", "", "JSON");
    text("cut short", smolLm().dump().substr(0, 100), "JSON");
    text("an array", "[]", "object");
    text("a number", "5", "object");
    text("invalid UTF-8", "{\"model_type\":\"\xff\"}", "JSON");
    text("deep nesting", std::string(200000, '['), "nested");
    text("duplicate key", R"({"model_type":"llama","model_type":"qwen2"})", "model_type");
    const auto without = [&text](const char *field) {
        json value = smolLm();
        value.erase(field);
        text(qPrintable(QStringLiteral("without %1").arg(QString::fromUtf8(field))), value.dump(), field);
    };
    without("model_type");
    without("hidden_size");
    without("vocab_size");
    without("intermediate_size");
    without("num_hidden_layers");
    without("num_attention_heads");
    const auto with = [&text](const char *name, const char *extra, const char *field) {
        json value = smolLm();
        value.update(json::parse(extra));
        text(name, value.dump(), field);
    };
    with("model type is a number", R"({"model_type":5})", "model_type");
    with("negative width", R"({"hidden_size":-1})", "hidden_size");
    with("zero layers", R"({"num_hidden_layers":0})", "num_hidden_layers");
    with("too many layers", R"({"num_hidden_layers":1000000000})", "num_hidden_layers");
    with("absurd vocabulary", R"({"vocab_size":9223372036854775807})", "vocab_size");
    with("beyond 64 bits", R"({"vocab_size":18446744073709551615})", "vocab_size");
    with("width with a fraction", R"({"intermediate_size":1536.5})", "intermediate_size");
    with("width as text", R"({"intermediate_size":"1536"})", "intermediate_size");
    with("width as list", R"({"intermediate_size":[1536]})", "intermediate_size");
    with("heads do not divide", R"({"num_attention_heads":7})", "num_attention_heads");
    with("heads are no multiple of KV heads", R"({"num_key_value_heads":2})", "num_attention_heads");
    with("odd head size", R"({"head_dim":63})", "head_dim");
    with("absurd head size", R"({"head_dim":4194304})", "head_dim");
    with("mistral without KV heads", R"({"model_type":"mistral","num_key_value_heads":null,"head_dim":-2})",
         "head_dim");
    with("tied is a number", R"({"tie_word_embeddings":1})", "tie_word_embeddings");
    with("epsilon is negative", R"({"rms_norm_eps":-1e-5})", "rms_norm_eps");
    with("epsilon is text", R"({"rms_norm_eps":"1e-5"})", "rms_norm_eps");
    with("architectures is text", R"({"architectures":"LlamaForCausalLM"})", "architectures");
    with("end of sequence is text", R"({"eos_token_id":["</s>"]})", "eos_token_id");
    with("theta is zero", R"({"rope_theta":0})", "rope_theta");
    with("scaling is a number", R"({"rope_scaling":5})", "rope_scaling");
    with("linear without factor", R"({"rope_scaling":{"type":"linear"}})", "rope_scaling.factor");
    with("llama3 without factors", R"({"rope_scaling":{"rope_type":"llama3","factor":8}})", "low_freq_factor");
    with("llama3 with factors the wrong way round",
         R"({"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":1}})",
         "high_freq_factor");
    with("layer beyond the end", R"({"per_layer_config":{"30":{"intermediate_size":5}}})", "per_layer_config.\"30\"");
    with("layer with a name", R"({"per_layer_config":{"last":{}}})", "per_layer_config");
    with("layer is a number", R"({"per_layer_config":{"3":5}})", "per_layer_config.3");
    with("layer of no width", R"({"per_layer_config":{"3":{"intermediate_size":0}}})",
         "per_layer_config.3.intermediate_size");
    with("layer with wrong groups", R"({"per_layer_config":{"3":{"num_key_value_heads":2}}})", "layer 3");
    with("skip is a text", R"({"per_layer_config":{"3":{"skip":"attention"}}})", "per_layer_config.3.skip");
    with("provenance is a text", R"({"secateur":"yes"})", "secateur");
    with("original blocks in disorder", R"({"num_hidden_layers":2,"secateur":{"original_blocks":[3,3]}})",
         "original_blocks");
}

void TestModelConfig::brokenFilesAreRefusedByField()
{
    QFETCH(std::string, text);
    QFETCH(std::string, field);
    const auto error = errorOf([&] { parseModelConfig(text, "folder-config.json"); });
    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::BadFormat);
    QVERIFY2(mentions(*error, "folder-config.json"), error->message.c_str());
    QVERIFY2(mentions(*error, field), error->message.c_str());
}

void TestModelConfig::unknownStructuresAreUnsupported_data()
{
    QTest::addColumn<std::string>("extra");
    QTest::addColumn<std::string>("field");
    const auto row = [](const char *name, const char *extra, const char *field) {
        QTest::newRow(name) << std::string(extra) << std::string(field);
    };
    row("another family", R"({"model_type":"gemma3"})", "gemma3");
    row("a classifier", R"({"architectures":["LlamaForSequenceClassification"]})", "architectures");
    row("another activation", R"({"hidden_act":"gelu"})", "hidden_act");
    row("quantised weights", R"({"quantization_config":{"quant_method":"gptq"}})", "quantization_config");
    row("unknown rope", R"({"rope_scaling":{"rope_type":"longrope"}})", "longrope");
    row("partly rotated heads", R"({"partial_rotary_factor":0.5})", "partial_rotary_factor");
    row("rope by layer type", R"({"rope_parameters":{"full_attention":{"rope_theta":1e6}}})", "full_attention");
    row("mixed windows",
        R"({"model_type":"qwen2","architectures":null,"use_sliding_window":true,"sliding_window":16,"max_window_layers":20})",
        "sliding_window");
    row("unknown per-layer key", R"({"per_layer_config":{"3":{"hidden_size":5}}})", "per_layer_config.3.hidden_size");
    row("unknown skip", R"({"per_layer_config":{"3":{"skip":["norm"]}}})", "norm");
}

void TestModelConfig::unknownStructuresAreUnsupported()
{
    QFETCH(std::string, extra);
    QFETCH(std::string, field);
    json value = smolLm();
    value.update(json::parse(extra));
    const auto error = errorOf([&] { parse(value); });
    QVERIFY(error);
    QCOMPARE(error->kind, ErrorKind::Unsupported);
    QVERIFY2(mentions(*error, "config.json"), error->message.c_str());
    QVERIFY2(mentions(*error, field), error->message.c_str());
}

void TestModelConfig::writingAndReadingGivesTheSame_data()
{
    QTest::addColumn<std::string>("extra");
    QTest::addColumn<QString>("change");
    const auto row = [](const char *name, const char *extra, const char *change) {
        QTest::newRow(name) << std::string(extra) << QString::fromUtf8(change);
    };
    row("dense", "{}", "none");
    row("blocks removed", "{}", "depth");
    row("narrower everywhere", "{}", "narrow");
    row("uneven widths", "{}", "uneven");
    row("lost parts", "{}", "lost");
    row("uneven and cut", R"({"num_key_value_heads":9})", "uneven depth");
    row("no attention at all", "{}", "no attention");
    row("output biases only", "{}", "bias");
    row("untied", "{}", "untied");
    row("another dtype", "{}", "dtype");
    row("qwen3 with the new form",
        R"({"model_type":"qwen3","architectures":["Qwen3ForCausalLM"],"head_dim":128,"dtype":"bfloat16",
            "rope_parameters":{"rope_type":"default","rope_theta":1e6}})",
        "uneven depth");
    row("qwen2 with layer types",
        R"({"model_type":"qwen2","architectures":["Qwen2ForCausalLM"],"use_sliding_window":false,"max_window_layers":30})",
        "depth");
    row("yarn",
        R"({"rope_scaling":{"type":"yarn","factor":4,"original_max_position_embeddings":2048,"mscale":1,"mscale_all_dim":0.5}})",
        "depth");
}

void TestModelConfig::writingAndReadingGivesTheSame()
{
    QFETCH(std::string, extra);
    QFETCH(QString, change);
    json value = smolLm();
    value.update(json::parse(extra));
    ModelConfig config = parse(value);
    if (change.contains(QStringLiteral("depth")))
        config.blocks.erase(config.blocks.begin() + 12, config.blocks.begin() + 16);
    if (change == QStringLiteral("narrow"))
        for (BlockShape &block : config.blocks)
            block = {block.originalIndex, true, true, 2, 6, 1000};
    if (change.contains(QStringLiteral("uneven"))) {
        config.blocks[3] = {3, true, true, 1, config.blocks[3].queryHeads / config.blocks[3].kvHeads, 77};
        config.blocks[20].intermediateSize = 1;
    }
    if (change == QStringLiteral("lost")) {
        config.blocks[4] = {4, false, true, 0, 0, 1536};
        config.blocks[5] = {5, true, false, 3, 9, 0};
    }
    if (change == QStringLiteral("no attention"))
        for (BlockShape &block : config.blocks)
            block = {block.originalIndex, false, true, 0, 0, 1536};
    if (change == QStringLiteral("bias"))
        config.attentionOutputBias = config.mlpBias = config.mlpOutputBias = true;
    if (change == QStringLiteral("untied"))
        config.tiedEmbeddings = false;
    if (change == QStringLiteral("dtype"))
        config.dtype = "float32";

    const std::string written = writeModelConfig(config);
    const ModelConfig back = parseModelConfig(written, "config.json");

    QVERIFY2(withoutText(back) == withoutText(config), written.c_str());
    QCOMPARE(writeModelConfig(back), written);
    QCOMPARE(json::parse(written).contains("per_layer_config"), !config.isUniform());
}

void TestModelConfig::layerListsAreCutWithTheLayers()
{
    json value = smolLm();
    value["num_hidden_layers"] = 4;
    value["layer_types"] = {"a", "b", "c", "d"};
    value["no_rope_layers"] = {1, 1, 0, 1};
    value["special_layers"] = {0, 2, 3};
    ModelConfig config = parse(value);
    config.blocks.erase(config.blocks.begin() + 1);
    config = parseModelConfig(writeModelConfig(config), "config.json"); // 0, 2, 3
    config.blocks.erase(config.blocks.begin());

    const json written = json::parse(writeModelConfig(config));

    QVERIFY(written["layer_types"] == json({"c", "d"}));
    QVERIFY(written["no_rope_layers"] == json({0, 1}));
    QVERIFY(written["special_layers"] == json({0, 1}));
    QVERIFY(written["secateur"]["original_blocks"] == json({2, 3}));
    QVERIFY(written["num_hidden_layers"] == 2);
}

void TestModelConfig::unknownKeysAreKeptInOrder()
{
    const std::string text = R"({"zebra":{"deep":[1,2]},"model_type":"llama","hidden_size":8,"vocab_size":4,)"
                             R"("intermediate_size":6,"num_hidden_layers":1,"num_attention_heads":2,)"
                             R"("rope_scaling":null,"apple":1e-07,"torch_dtype":"float16","eos_token_id":[2,3]})";
    const std::string written = writeModelConfig(parseModelConfig(text, "config.json"));
    const json value = json::parse(written);
    QVERIFY(written.find("zebra") < written.find("model_type"));
    QVERIFY(value["zebra"]["deep"] == json({1, 2}));
    QVERIFY(value["apple"] == 1e-07);
    QVERIFY(value["rope_scaling"].is_null());
    QVERIFY(value["eos_token_id"] == json({2, 3}));
    QVERIFY(value["torch_dtype"] == "float16");
    QVERIFY(!value.contains("dtype"));
    QVERIFY(value["head_dim"] == 4);
}

void TestModelConfig::foreignProvenanceIsIgnored()
{
    json value = smolLm();
    value["secateur"] = {{"original_blocks", {0, 5, 9}}, {"note", "kept"}};
    const ModelConfig config = parse(value);
    QCOMPARE(config.blocks[1].originalIndex, 1);
    QVERIFY(json::parse(writeModelConfig(config))["secateur"]["note"] == "kept");
}

void TestModelConfig::aConfigWithoutSourceTextCanBeWritten()
{
    json value = smolLm();
    value["rope_scaling"] = {{"rope_type", "llama3"},
                             {"factor", 32},
                             {"low_freq_factor", 1},
                             {"high_freq_factor", 4},
                             {"original_max_position_embeddings", 8192}};
    const ModelConfig config = withoutText(parse(value));
    QVERIFY(withoutText(parseModelConfig(writeModelConfig(config), "config.json")) == config);
}

void TestModelConfig::memoryEstimateAddsUp()
{
    const ModelConfig config = parse(smolLm());
    const MemoryEstimate estimate = estimateMemory(config, 2, 4096, 512);
    QCOMPARE(estimate.weights, std::uint64_t(269030016));
    QCOMPARE(estimate.cache, std::uint64_t(23040) * 512);
    QVERIFY(estimate.activations >= std::uint64_t(31) * 576 * 4096 * 2);
    QCOMPARE(estimate.total(), estimate.weights + estimate.activations + estimate.cache);
    QCOMPARE(estimateMemory(config, 4).weights, 2 * estimate.weights);
}

void TestModelConfig::readsTheGoldenModels_data()
{
    QTest::addColumn<QString>("name");
    QTest::addColumn<QString>("type");
    QTest::addColumn<int>("headDim");
    QTest::addColumn<int>("window");
    QTest::newRow("llama") << QStringLiteral("tiny-llama") << QStringLiteral("llama") << 8 << 0;
    QTest::newRow("new form") << QStringLiteral("tiny-llama-bf16-sharded") << QStringLiteral("llama") << 8 << 0;
    QTest::newRow("llama3 rope") << QStringLiteral("tiny-llama3-rope") << QStringLiteral("llama") << 8 << 0;
    QTest::newRow("mistral") << QStringLiteral("tiny-mistral") << QStringLiteral("mistral") << 8 << 0;
    QTest::newRow("sliding window") << QStringLiteral("tiny-mistral-swa16") << QStringLiteral("mistral") << 8 << 16;
    QTest::newRow("qwen2") << QStringLiteral("tiny-qwen2") << QStringLiteral("qwen2") << 8 << 0;
    QTest::newRow("qwen3") << QStringLiteral("tiny-qwen3") << QStringLiteral("qwen3") << 16 << 0;
    QTest::newRow("trained") << QStringLiteral("tiny-trained") << QStringLiteral("llama") << 8 << 0;
}

void TestModelConfig::readsTheGoldenModels()
{
    if (testData().empty())
        QSKIP("SECATEUR_TEST_DATA is not set");
    QFETCH(QString, name);
    QFETCH(QString, type);
    QFETCH(int, headDim);
    QFETCH(int, window);
    const auto path = testData() / "golden/models" / name.toStdString() / "config.json";
    const ModelConfig config = parseModelConfig(readTextFile(path), "config.json");
    QCOMPARE(config.modelType, type.toStdString());
    QCOMPARE(config.headDim, headDim);
    QCOMPARE(config.slidingWindow, window);
    QCOMPARE(config.layers(), 6);
    QVERIFY(withoutText(parseModelConfig(writeModelConfig(config), "config.json")) == withoutText(config));
}

QTEST_GUILESS_MAIN(TestModelConfig)
#include "tst_model_config.moc"
