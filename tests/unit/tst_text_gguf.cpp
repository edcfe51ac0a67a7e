#include "backend/text/byte_level.h"
#include "backend/text/chat_template.h"
#include "backend/text/tokenizer.h"
#include "backend/text/utf8.h"
#include "tests/support/error_of.h"
#include "tests/support/gguf_builder.h"

#include <QTemporaryDir>
#include <QTest>

using namespace secateur;

Q_DECLARE_METATYPE(secateur::ErrorKind)

namespace {

/// Bytes 0…255, "12", "é" and "ab" made of "a" and "b", then a control and a user-defined token (ids 259 and 260).
GgufBuilder byteLevelGguf(const std::string &pre)
{
    std::vector<std::string> tokens;
    for (int b = 0; b < 256; ++b) {
        tokens.emplace_back();
        appendUtf8(tokens.back(), characterOfByte(static_cast<unsigned char>(b)));
    }
    tokens.insert(tokens.end(), {"12", "Ã©", "abab", "<|end|>", "<user>"});
    std::vector<std::int32_t> types(tokens.size(), 1);
    types[259] = 3;
    types[260] = 4;
    GgufBuilder builder;
    builder.text("tokenizer.ggml.model", "gpt2")
        .texts("tokenizer.ggml.tokens", tokens)
        .integers("tokenizer.ggml.token_type", types)
        .texts("tokenizer.ggml.merges", {"1 2", "Ã ©"})
        .integer("tokenizer.ggml.bos_token_id", 259)
        .integer("tokenizer.ggml.eos_token_id", 259);
    if (!pre.empty())
        builder.text("tokenizer.ggml.pre", pre);
    return builder;
}

} // namespace

class TestTextGguf : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void preTokenizersAreKnownByName_data();
    void preTokenizersAreKnownByName();
    void tokenTypesMakeAddedTokens();
    void scoresBecomeMerges();
    void flagsAddTokensAtTheEnds_data();
    void flagsAddTokensAtTheEnds();
    void damagedAndForeignFilesAreRefused_data();
    void damagedAndForeignFilesAreRefused();
    void templatesAreFound();

private:
    std::filesystem::path write(const GgufBuilder &builder) const
    {
        const std::filesystem::path path = std::filesystem::path(m_folder.path().toStdString()) / "model.gguf";
        builder.write(path);
        return path;
    }
    QTemporaryDir m_folder;
};

void TestTextGguf::preTokenizersAreKnownByName_data()
{
    QTest::addColumn<QByteArray>("pre");
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QByteArray>("tokens");
    const auto row = [](const char *pre, const char *text, const char *tokens) {
        QTest::addRow("%s: %s", pre, text) << QByteArray(pre) << QByteArray(text) << QByteArray(tokens);
    };
    row("", "12", "12");
    row("default", "12", "12");
    row("gpt-2", "12", "12");
    row("smollm", "12", "1 2");
    row("llama-bpe", "12", "12");
    row("llama-bpe", "abab", "abab"); // a token without merges is taken whole
    row("gpt-2", "abab", "a b a b");
    row("qwen2", "12", "1 2");
    row("qwen2", "e\u0301", "Ã©"); // composed first
    row("gpt-2", "e\u0301", "e Ì ģ");
}

void TestTextGguf::preTokenizersAreKnownByName()
{
    QFETCH(QByteArray, pre);
    QFETCH(QByteArray, text);
    QFETCH(QByteArray, tokens);
    const auto tokenizer = loadTokenizer(write(byteLevelGguf(pre.toStdString())));

    QByteArrayList actual;
    for (const std::int32_t id : tokenizer->encode(text.toStdString()))
        actual << QByteArray::fromStdString(tokenizer->tokenText(id));
    QCOMPARE(actual.join(' '), tokens);
}

void TestTextGguf::tokenTypesMakeAddedTokens()
{
    const auto tokenizer = loadTokenizer(write(byteLevelGguf("smollm")));
    const TokenIds ids = tokenizer->encode("a<|end|><user>");

    QCOMPARE(ids, TokenIds({'a', 259, 260}));
    QCOMPARE(tokenizer->decode(ids, true), std::string("a<user>"));
    QCOMPARE(tokenizer->vocabularySize(), std::int64_t{261});
}

void TestTextGguf::scoresBecomeMerges()
{
    GgufBuilder builder;
    builder.text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "<0xC3>", "<0xA9>", "▁", "a", "b", "▁a", "ab", "▁ab"})
        .integers("tokenizer.ggml.token_type", {2, 3, 6, 6, 1, 1, 1, 1, 1, 1})
        .numbers("tokenizer.ggml.scores", {0, 0, 0, 0, -9, -8, -7, -3, -2, -1})
        .integer("tokenizer.ggml.bos_token_id", 1);
    const auto tokenizer = loadTokenizer(write(builder));

    QCOMPARE(tokenizer->encode("ab", true), TokenIds({1, 9}));
    QCOMPARE(tokenizer->encode("b ab"), TokenIds({4, 6, 9}));
    QCOMPARE(tokenizer->encode("aé"), TokenIds({7, 2, 3}));
    QCOMPARE(tokenizer->decode(tokenizer->encode("b ab")), std::string("b ab"));
}

void TestTextGguf::flagsAddTokensAtTheEnds_data()
{
    QTest::addColumn<QByteArray>("pre");
    QTest::addColumn<int>("addBos"); // -1: the file does not say
    QTest::addColumn<int>("count");
    QTest::newRow("said") << QByteArray("smollm") << 1 << 2;
    QTest::newRow("denied") << QByteArray("llama-bpe") << 0 << 1;
    QTest::newRow("by default not") << QByteArray("smollm") << -1 << 1;
    QTest::newRow("by default for Llama 3") << QByteArray("llama-bpe") << -1 << 2;
}

void TestTextGguf::flagsAddTokensAtTheEnds()
{
    QFETCH(QByteArray, pre);
    QFETCH(int, addBos);
    QFETCH(int, count);
    GgufBuilder builder = byteLevelGguf(pre.toStdString());
    if (addBos >= 0)
        builder.boolean("tokenizer.ggml.add_bos_token", addBos == 1);

    const TokenIds ids = loadTokenizer(write(builder))->encode("a", true);
    QCOMPARE(ids, count == 2 ? TokenIds({259, 'a'}) : TokenIds({'a'}));
}

void TestTextGguf::damagedAndForeignFilesAreRefused_data()
{
    QTest::addColumn<QByteArray>("key");
    QTest::addColumn<ErrorKind>("kind");
    QTest::newRow("none") << QByteArray() << ErrorKind::NotFound;
    QTest::newRow("tokenizer.ggml.model") << QByteArray("bert") << ErrorKind::Unsupported;
    QTest::newRow("tokenizer.ggml.tokens") << QByteArray() << ErrorKind::BadFormat;
    QTest::newRow("tokenizer.ggml.merges") << QByteArray() << ErrorKind::BadFormat;
    QTest::newRow("tokenizer.ggml.token_type") << QByteArray() << ErrorKind::BadFormat;
    QTest::newRow("tokenizer.ggml.pre") << QByteArray("mystery") << ErrorKind::Unsupported;
    QTest::newRow("tokenizer.ggml.add_bos_token") << QByteArray() << ErrorKind::BadFormat;
    QTest::newRow("tokenizer.ggml.bos_token_id") << QByteArray() << ErrorKind::BadFormat;
}

void TestTextGguf::damagedAndForeignFilesAreRefused()
{
    QFETCH(QByteArray, key);
    QFETCH(ErrorKind, kind);
    const std::string broken = QTest::currentDataTag();
    GgufBuilder builder;
    if (broken == "none")
        builder.text("general.architecture", "llama");
    else if (broken == "tokenizer.ggml.model")
        builder.text(broken, key.toStdString()).texts("tokenizer.ggml.tokens", {"a"});
    else
        builder.text("tokenizer.ggml.model", "gpt2");
    if (broken == "tokenizer.ggml.merges" || broken == "tokenizer.ggml.token_type" || broken == "tokenizer.ggml.pre"
        || broken.find("bos") != std::string::npos)
        builder.texts("tokenizer.ggml.tokens", {"a", "b"});
    if (broken == "tokenizer.ggml.merges")
        builder.texts(broken, {"ab"});
    else
        builder.texts("tokenizer.ggml.merges", {});
    if (broken == "tokenizer.ggml.token_type")
        builder.integers(broken, {1});
    if (broken == "tokenizer.ggml.pre")
        builder.text(broken, key.toStdString());
    if (broken == "tokenizer.ggml.add_bos_token")
        builder.integer(broken, 1);
    if (broken == "tokenizer.ggml.bos_token_id")
        builder.boolean("tokenizer.ggml.add_bos_token", true).integer(broken, 2);
    const auto path = write(builder);

    const auto error = errorOf([&] { loadTokenizer(path); });
    QVERIFY(error.has_value());
    QCOMPARE(error->kind, kind);
    QVERIFY2(error->message.find(path.string()) != std::string::npos, error->message.c_str());
    QVERIFY2(broken == "none" || error->message.find(broken) != std::string::npos, error->message.c_str());
}

void TestTextGguf::templatesAreFound()
{
    QVERIFY(!loadChatTemplate(write(byteLevelGguf("smollm"))).has_value());

    GgufBuilder builder = byteLevelGguf("smollm");
    builder.text("tokenizer.chat_template", "{{ bos_token }}|{{ messages[0].content }}");
    const auto chat = loadChatTemplate(write(builder));
    QVERIFY(chat.has_value());
    QCOMPARE(chat->render({{"user", "hi"}}, false), std::string("<|end|>|hi"));
}

QTEST_GUILESS_MAIN(TestTextGguf)
#include "tst_text_gguf.moc"
