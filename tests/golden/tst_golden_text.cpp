#include "backend/core/error.h"
#include "backend/core/resource_path.h"
#include "backend/text/chat_template.h"
#include "backend/text/tokenizer.h"
#include "tests/support/test_data.h"

#include <QTest>

#include <nlohmann/json.hpp>

#include <fstream>

using namespace secateur;
using nlohmann::json;

namespace {

json readJson(const std::filesystem::path &path)
{
    std::ifstream file(path, std::ios::binary);
    return json::parse(file);
}

QString described(const std::string &text)
{
    return QString::fromStdString(json(text).dump(-1, ' ', true));
}

QString described(const TokenIds &ids)
{
    return QString::fromStdString(json(ids).dump());
}

} // namespace

class TestGoldenText : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void tokenizersGiveTheReferenceIds_data();
    void tokenizersGiveTheReferenceIds();
    void ggufTokenizerEqualsTheFolder();
    void smolLmGivesTheReferenceIds();
    void templatesGiveTheReferenceText_data();
    void templatesGiveTheReferenceText();
    void smolLmTemplateGivesTheReferenceText();

private:
    static std::filesystem::path smolLm();
    static QStringList tokenizerDifferences(const Tokenizer &tokenizer, const json &cases);
    static QStringList templateDifferences(const ChatTemplate &chat, const Tokenizer &tokenizer,
                                           const json &conversations);
    std::filesystem::path m_golden;
};

void TestGoldenText::initTestCase()
{
    if (testData().empty())
        QSKIP("SECATEUR_TEST_DATA is not set: there are no reference values to compare with");
    m_golden = testData() / "golden";
}

std::filesystem::path TestGoldenText::smolLm()
{
    return cacheDirectory() / "smollm2-0.1.2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
}

QStringList TestGoldenText::tokenizerDifferences(const Tokenizer &tokenizer, const json &cases)
{
    QStringList differences;
    for (const json &entry : cases) {
        const auto text = entry.at("text").get<std::string>();
        const auto ids = entry.at("ids").get<TokenIds>();
        const auto withSpecial = entry.value("ids_with_special", ids);
        const auto compareIds = [&](const char *what, const TokenIds &actual, const TokenIds &expected) {
            if (actual != expected)
                differences << QString::fromLatin1(what) + u' ' + described(text) + u": " + described(actual)
                        + u" instead of " + described(expected);
        };
        const auto compareText = [&](const char *what, const std::string &actual, const std::string &expected) {
            if (actual != expected)
                differences << QString::fromLatin1(what) + u' ' + described(text) + u": " + described(actual);
        };
        compareIds("ids", tokenizer.encode(text), ids);
        compareIds("ids_with_special", tokenizer.encode(text, true), withSpecial);
        compareText("decoded", tokenizer.decode(ids), entry.at("decoded").get<std::string>());
        compareText("decoded_skip_special", tokenizer.decode(withSpecial, true),
                    entry.at("decoded_skip_special").get<std::string>());
    }
    return differences;
}

void TestGoldenText::tokenizersGiveTheReferenceIds_data()
{
    QTest::addColumn<QString>("folder");
    QTest::addColumn<QString>("expected");
    for (const char *name :
         {"tiny-llama", "tiny-llama3-rope", "tiny-mistral", "tiny-mistral-swa16", "tiny-qwen2", "tiny-qwen3"}) {
        QTest::newRow(name) << QStringLiteral("models/") + QLatin1String(name)
                            << QStringLiteral("expected/") + QLatin1String(name) + QStringLiteral("/tokenizer.json");
    }
    for (const char *kind : {"llama3", "metaspace", "mistral", "qwen2", "qwen3", "smollm"}) {
        QTest::newRow(kind) << QStringLiteral("tokenizers/") + QLatin1String(kind)
                            << QStringLiteral("tokenizers/") + QLatin1String(kind) + QStringLiteral("/expected.json");
    }
}

void TestGoldenText::tokenizersGiveTheReferenceIds()
{
    QFETCH(QString, folder);
    QFETCH(QString, expected);
    const auto tokenizer = loadTokenizer(m_golden / folder.toStdString());
    const json cases = readJson(m_golden / expected.toStdString()).at("cases");

    QVERIFY(cases.size() >= 166);
    QCOMPARE(tokenizerDifferences(*tokenizer, cases), QStringList());
}

void TestGoldenText::ggufTokenizerEqualsTheFolder()
{
    const auto tokenizer = loadTokenizer(m_golden / "gguf" / "tiny-llama-Q8_0.gguf");
    const json cases = readJson(m_golden / "expected" / "tiny-llama" / "tokenizer.json").at("cases");

    QCOMPARE(tokenizerDifferences(*tokenizer, cases), QStringList());
}

void TestGoldenText::smolLmGivesTheReferenceIds()
{
    if (!std::filesystem::exists(smolLm()))
        QSKIP("SmolLM2-135M-Instruct.Q4_1.gguf is not in the cache folder");
    const auto tokenizer = loadTokenizer(smolLm());
    const json cases = readJson(m_golden / "smollm2" / "tokenizer.json").at("cases");

    QVERIFY(cases.size() >= 172);
    QCOMPARE(tokenizerDifferences(*tokenizer, cases), QStringList());
}

QStringList TestGoldenText::templateDifferences(const ChatTemplate &chat, const Tokenizer &tokenizer,
                                                const json &conversations)
{
    QStringList differences;
    for (const json &conversation : conversations) {
        std::vector<ChatMessage> messages;
        for (const json &message : conversation.at("messages"))
            messages.push_back({message.at("role").get<std::string>(), message.at("content").get<std::string>()});
        const auto check = [&](const char *key, bool addPrompt, std::optional<bool> thinking) {
            const auto found = conversation.find(key);
            if (found == conversation.end())
                return;
            const QString where
                = QString::fromStdString(conversation.at("name").get<std::string>()) + u' ' + QLatin1String(key);
            try {
                const std::string text = chat.render(messages, addPrompt, thinking);
                if (text != found->value("text", std::string()))
                    differences << where + u": " + described(text);
                if (found->contains("ids") && tokenizer.encode(text) != found->at("ids").get<TokenIds>())
                    differences << where + u": ids " + described(tokenizer.encode(text));
            } catch (const Error &error) {
                if (error.what() != found->value("error", std::string()) || error.kind() != ErrorKind::InvalidArgument)
                    differences << where + u": " + described(std::string(error.what()));
            }
        };
        check("with_generation_prompt", true, std::nullopt);
        check("without_generation_prompt", false, std::nullopt);
        check("enable_thinking_false", true, false);
    }
    return differences;
}

void TestGoldenText::templatesGiveTheReferenceText_data()
{
    QTest::addColumn<QString>("model");
    for (const char *name : {"tiny-llama", "tiny-llama-bf16-sharded", "tiny-llama3-rope", "tiny-mistral",
                             "tiny-mistral-swa16", "tiny-qwen2", "tiny-qwen3", "tiny-trained"})
        QTest::newRow(name) << QString::fromLatin1(name);
}

void TestGoldenText::templatesGiveTheReferenceText()
{
    QFETCH(QString, model);
    const std::filesystem::path folder = m_golden / "models" / model.toStdString();
    const auto chat = loadChatTemplate(folder);
    QVERIFY(chat.has_value());
    const json conversations = readJson(m_golden / "expected" / model.toStdString() / "chat.json").at("conversations");

    QVERIFY(conversations.size() >= 4);
    QCOMPARE(templateDifferences(*chat, *loadTokenizer(folder), conversations), QStringList());
}

void TestGoldenText::smolLmTemplateGivesTheReferenceText()
{
    if (!std::filesystem::exists(smolLm()))
        QSKIP("SmolLM2-135M-Instruct.Q4_1.gguf is not in the cache folder");
    const auto chat = loadChatTemplate(smolLm());
    QVERIFY(chat.has_value());

    const json conversations = readJson(m_golden / "smollm2" / "chat.json");
    QCOMPARE(templateDifferences(*chat, *loadTokenizer(smolLm()), conversations), QStringList());
}

QTEST_GUILESS_MAIN(TestGoldenText)
#include "tst_golden_text.moc"
