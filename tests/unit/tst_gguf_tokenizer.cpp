#include "backend/io/weight_files.h"
#include "tests/support/error_mentions.h"
#include "tests/support/gguf_builder.h"

#include <QTemporaryDir>
#include <QTest>

#include <nlohmann/json.hpp>

using namespace secateur;
using nlohmann::json;

class TestGgufTokenizer : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void byteLevelTokenizersAreRebuilt_data();
    void byteLevelTokenizersAreRebuilt();
    void sentencePieceTokenizersAreRebuilt();
    void unknownTokenizersAreRefused_data();
    void unknownTokenizersAreRefused();

private:
    std::filesystem::path written(const GgufBuilder &builder) const
    {
        const auto path = std::filesystem::path(m_folder.path().toStdString()) / "tiny.gguf";
        builder.write(path);
        return path;
    }

    QTemporaryDir m_folder;
};

void TestGgufTokenizer::byteLevelTokenizersAreRebuilt_data()
{
    QTest::addColumn<std::string>("pre");
    QTest::addColumn<QString>("first");
    QTest::addColumn<bool>("ignoreMerges");
    QTest::newRow("smollm") << std::string("smollm") << QStringLiteral("Digits") << false;
    QTest::newRow("llama-bpe") << std::string("llama-bpe") << QStringLiteral("Split") << true;
    QTest::newRow("qwen2") << std::string("qwen2") << QStringLiteral("Split") << false;
    QTest::newRow("gpt-2") << std::string("gpt-2") << QStringLiteral("ByteLevel") << false;
    QTest::newRow("none given") << std::string() << QStringLiteral("ByteLevel") << false;
}

void TestGgufTokenizer::byteLevelTokenizersAreRebuilt()
{
    QFETCH(std::string, pre);
    QFETCH(QString, first);
    QFETCH(bool, ignoreMerges);
    GgufBuilder builder = tinyGgufModel();
    builder.text("tokenizer.ggml.model", "gpt2")
        .texts("tokenizer.ggml.tokens", {"<s>", "a", "b", "ab", "<tool>"})
        .integers("tokenizer.ggml.token_type", {3, 1, 1, 1, 4})
        .texts("tokenizer.ggml.merges", {"a b"})
        .integer("tokenizer.ggml.bos_token_id", 0)
        .integer("tokenizer.ggml.eos_token_id", 9999)
        .text("tokenizer.chat_template", "{{ messages }}");
    if (!pre.empty())
        builder.text("tokenizer.ggml.pre", pre);
    std::map<std::string, json> files;
    for (const CompanionFile &file : companionFiles(inspectModel(written(withTinyTensors(builder)))))
        files[file.name] = json::parse(file.contents);

    const json &tokenizer = files.at("tokenizer.json");
    const json &preTokenizer = tokenizer["pre_tokenizer"];
    QCOMPARE(preTokenizer.contains("pretokenizers") ? preTokenizer["pretokenizers"][0]["type"].get<std::string>()
                                                    : preTokenizer["type"].get<std::string>(),
             first.toStdString());
    QCOMPARE(tokenizer["model"]["ignore_merges"].get<bool>(), ignoreMerges);
    QVERIFY(tokenizer["model"]["vocab"] == json({{"<s>", 0}, {"a", 1}, {"b", 2}, {"ab", 3}, {"<tool>", 4}}));
    QVERIFY(tokenizer["model"]["merges"] == json::array({json::array({"a", "b"})}));
    QCOMPARE(tokenizer["added_tokens"].size(), std::size_t(2));
    QVERIFY(tokenizer["added_tokens"][0]["special"] == true);
    QVERIFY(tokenizer["added_tokens"][1]["special"] == false);
    QCOMPARE(tokenizer["post_processor"].is_null(), !ignoreMerges); // only Llama 3 puts the first token by itself
    QCOMPARE(tokenizer["normalizer"].is_null(), pre != "qwen2");
    const json &config = files.at("tokenizer_config.json");
    QVERIFY(config["tokenizer_class"] == "PreTrainedTokenizerFast");
    QVERIFY(config["bos_token"] == "<s>");
    QVERIFY(!config.contains("eos_token"));
    QVERIFY(config["chat_template"] == "{{ messages }}");
    QVERIFY(config["model_max_length"] == 64);
    QVERIFY(files.at("generation_config.json")["bos_token_id"] == 0);
}

void TestGgufTokenizer::sentencePieceTokenizersAreRebuilt()
{
    GgufBuilder builder = tinyGgufModel();
    builder.text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "<0x0A>", "▁a", "▁", "a", "b", "ab", "▁ab"})
        .integers("tokenizer.ggml.token_type", {2, 3, 3, 6, 1, 1, 1, 1, 1, 1})
        .numbers("tokenizer.ggml.scores", {0, 0, 0, 0, -3, -5, -6, -7, -1, -2})
        .integer("tokenizer.ggml.unknown_token_id", 0)
        .integer("tokenizer.ggml.bos_token_id", 1)
        .integer("tokenizer.ggml.eos_token_id", 2);
    const auto files = companionFiles(inspectModel(written(withTinyTensors(builder))));
    QCOMPARE(files[0].name, std::string("tokenizer.json"));
    const json tokenizer = json::parse(files[0].contents);

    QVERIFY(tokenizer["model"]["merges"]
            == json::array({json::array({"a", "b"}), json::array({"▁a", "b"}), json::array({"▁", "ab"}),
                            json::array({"▁", "a"})}));
    QVERIFY(tokenizer["model"]["byte_fallback"] == true);
    QVERIFY(tokenizer["model"]["unk_token"] == "<unk>");
    QVERIFY(tokenizer["normalizer"]["normalizers"][0]["type"] == "Prepend");
    QVERIFY(tokenizer["post_processor"]["single"][0]["SpecialToken"]["id"] == "<s>");
}

void TestGgufTokenizer::unknownTokenizersAreRefused_data()
{
    QTest::addColumn<std::string>("model");
    QTest::addColumn<std::string>("pre");
    QTest::addColumn<std::string>("field");
    QTest::newRow("another model") << std::string("t5") << std::string("default")
                                   << std::string("tokenizer.ggml.model");
    QTest::newRow("another way to cut") << std::string("gpt2") << std::string("chatglm-bpe")
                                        << std::string("chatglm-bpe");
    QTest::newRow("no merges") << std::string("gpt2") << std::string("gpt-2") << std::string("tokenizer.ggml.merges");
    QTest::newRow("no scores") << std::string("llama") << std::string("default")
                               << std::string("tokenizer.ggml.scores");
}

void TestGgufTokenizer::unknownTokenizersAreRefused()
{
    QFETCH(std::string, model);
    QFETCH(std::string, pre);
    QFETCH(std::string, field);
    GgufBuilder builder = tinyGgufModel();
    builder.text("tokenizer.ggml.model", model).text("tokenizer.ggml.pre", pre).texts("tokenizer.ggml.tokens", {"a"});
    const ModelInfo info = inspectModel(written(withTinyTensors(builder)));
    const auto error = errorOf([&info] { companionFiles(info); });
    QVERIFY(error);
    QVERIFY2(mentions(*error, "tiny.gguf"), error->message.c_str());
    QVERIFY2(mentions(*error, field), error->message.c_str());
}

QTEST_GUILESS_MAIN(TestGgufTokenizer)
#include "tst_gguf_tokenizer.moc"
