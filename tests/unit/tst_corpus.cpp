#include "backend/io/corpus.h"
#include "tests/support/error_of.h"
#include "tests/support/test_data.h"

#include <QTemporaryDir>
#include <QTest>

#include <fstream>

using namespace secateur;

class TestCorpus : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void formsAreToldApartByContent_data();
    void formsAreToldApartByContent();
    void plainTextIsOneSample();
    void inputJoinsTheInstruction();
    void systemTextComesFirst();
    void contentPartsAreJoined();
    void spansKeepTheirPlaceAndWeight();
    void emptyResponsesAreCounted();
    void troubleNamesFileLineAndField_data();
    void troubleNamesFileLineAndField();
    void realRowsAreRead_data();
    void realRowsAreRead();
    void idsAreReadInBothForms_data();
    void idsAreReadInBothForms();
    void wrongIdsAreNamed_data();
    void wrongIdsAreNamed();

private:
    std::filesystem::path write(const QByteArray &contents, const char *name = "rows ä.jsonl");
    QTemporaryDir m_folder;
};

std::filesystem::path TestCorpus::write(const QByteArray &contents, const char *name)
{
    const auto path = std::filesystem::path(m_folder.path().toStdString()) / name;
    std::ofstream(path, std::ios::binary)
        << std::string_view(contents.constData(), static_cast<std::size_t>(contents.size()));
    return path;
}

void TestCorpus::formsAreToldApartByContent_data()
{
    QTest::addColumn<QByteArray>("contents");
    QTest::addColumn<QString>("kind");
    QTest::addColumn<int>("samples");
    QTest::addColumn<QString>("lastText"); // text, or content of the last message
    const auto text = QStringLiteral("text");
    const auto lines = QStringLiteral("jsonl-text");
    const auto chat = QStringLiteral("chat");
    const auto pair = QStringLiteral("prompt-response");
    QTest::newRow("prose") << QByteArray("Some words.\nMore.\n") << text << 1 << QStringLiteral("Some words.\nMore.\n");
    QTest::newRow("prose that begins with a bracket")
        << QByteArray("[Chapter 1] It rains.") << text << 1 << QStringLiteral("[Chapter 1] It rains.");
    QTest::newRow("prose that begins with a brace")
        << QByteArray("{ int x; }") << text << 1 << QStringLiteral("{ int x; }");
    QTest::newRow("text lines") << QByteArray("{\"text\": \"a\"}\r\n\r\n{\"text\": \"b\"}\n") << lines << 2
                                << QStringLiteral("b");
    QTest::newRow("byte-order mark") << QByteArray("\xEF\xBB\xBF{\"text\": \"a\"}") << lines << 1
                                     << QStringLiteral("a");
    QTest::newRow("array") << QByteArray("[\n {\"text\": \"a\"},\n {\"text\": \"b\"}]") << lines << 2
                           << QStringLiteral("b");
    QTest::newRow("one object over several lines")
        << QByteArray("{\n \"text\":\n \"a\"\n}\n") << lines << 1 << QStringLiteral("a");
    QTest::newRow("messages") << QByteArray(
        R"({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})")
                              << chat << 1 << QStringLiteral("a");
    QTest::newRow("conversations") << QByteArray(
        R"({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})")
                                   << chat << 1 << QStringLiteral("a");
    QTest::newRow("prompt and response") << QByteArray(R"({"prompt": "q", "response": "a"})") << pair << 1
                                         << QStringLiteral("a");
    QTest::newRow("prompt and completion")
        << QByteArray(R"({"prompt": "q", "completion": "a"})") << pair << 1 << QStringLiteral("a");
    QTest::newRow("instruction") << QByteArray(R"({"instruction": "q", "output": "a"})") << pair << 1
                                 << QStringLiteral("a");
    QTest::newRow("question") << QByteArray(R"({"question": "q", "answer": "a"})") << pair << 1 << QStringLiteral("a");
}

void TestCorpus::formsAreToldApartByContent()
{
    QFETCH(QByteArray, contents);
    QFETCH(QString, kind);
    QFETCH(int, samples);
    QFETCH(QString, lastText);

    const auto corpus = readCorpus(write(contents));

    QCOMPARE(QString::fromStdString(corpus.kind), kind);
    QCOMPARE(corpus.samples.size(), std::size_t(samples));
    const auto &last = corpus.samples.back();
    QCOMPARE(QString::fromStdString(last.isChat() ? last.messages.back().content : last.text), lastText);
    QCOMPARE(corpus.name, std::string("rows ä.jsonl"));
    QCOMPARE(corpus.sha256.size(), std::size_t(64));
}

void TestCorpus::plainTextIsOneSample()
{
    const auto corpus = readCorpus(write("One.\n\nTwo.\n", "prose.txt"));
    QCOMPARE(corpus.kind, std::string("text"));
    QCOMPARE(corpus.samples.size(), std::size_t(1));
    QCOMPARE(corpus.sha256, std::string("fb47020c11babb78d6435eda29e0e388b66c27c0a0659fa2684192c9b264213c"));
}

void TestCorpus::inputJoinsTheInstruction()
{
    const auto corpus = readCorpus(write(R"([{"instruction": "Translate.", "input": "Haus", "output": "house"},
        {"instruction": "Sing.", "input": "", "output": "La"}])"));
    QCOMPARE(corpus.samples[0].messages[0].content, std::string("Translate.\n\nHaus"));
    QCOMPARE(corpus.samples[1].messages[0].content, std::string("Sing."));
}

void TestCorpus::systemTextComesFirst()
{
    const auto corpus = readCorpus(write(
        R"({"system": "Be brief.", "conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}]})"));
    const std::vector<ChatMessage> expected{{"system", "Be brief."}, {"user", "q"}, {"assistant", "a"}};
    QVERIFY(corpus.samples[0].messages == expected);
}

void TestCorpus::contentPartsAreJoined()
{
    const auto corpus = readCorpus(write(R"({"messages": [{"role": "user", "content": [{"type": "text", "value": "a"},
        {"type": "text", "text": "b"}]}, {"role": "assistant", "content": "c"}]})"));
    QCOMPARE(corpus.samples[0].messages[0].content, std::string("ab"));
}

void TestCorpus::spansKeepTheirPlaceAndWeight()
{
    const auto corpus
        = readCorpus(write("{\"text\": \"abc\", \"spans\": [[0, 1, 0.2], [2, 3, 0]]}\n{\"text\": \"d\"}\n"));
    const std::vector<WeightedSpan> expected{{0, 1, 0.2}, {2, 3, 0}};
    QVERIFY(corpus.samples[0].spans == expected);
    QVERIFY(corpus.samples[1].spans.empty());
}

void TestCorpus::emptyResponsesAreCounted()
{
    const auto corpus
        = readCorpus(write("{\"prompt\": \"q\", \"response\": \" \"}\n{\"prompt\": \"q\", \"response\": \"a\"}\n"
                           "{\"messages\": [{\"role\": \"user\", \"content\": \"only a question\"}]}\n"));
    QCOMPARE(corpus.samples.size(), std::size_t(1));
    QCOMPARE(corpus.skipped, 2);
}

void TestCorpus::troubleNamesFileLineAndField_data()
{
    QTest::addColumn<QByteArray>("contents");
    QTest::addColumn<QString>("place");
    QTest::addColumn<QString>("complaint");
    const auto row = [](const char *name, const char *contents, const char *place, const char *complaint) {
        QTest::newRow(name) << QByteArray(contents) << QString::fromUtf8(place) << QString::fromUtf8(complaint);
    };
    row("empty", "", "rows", "is empty");
    row("blank", " \n\t\n", "rows", "is empty");
    row("damaged line", "{\"text\": \"a\"}\n{\"text\": \"b\n", "line 2", "not valid JSON");
    row("damaged first line", "{\"text\": \"a\n{\"text\": \"b\"}\n", "line 1", "not valid JSON");
    row("damaged array", "[{\"text\": \"a\"},\n {\"text\": }]", "line 2", "not valid JSON");
    row("number instead of text", "{\"text\": \"a\"}\n{\"text\": 5}\n", "line 2", "/text must be a string, found 5");
    row("array row", "[{\"text\": \"a\"}, 7]", "row 2", "is not a JSON object");
    row("no known field", "{\"body\": \"a\"}\n", "line 1", "has none of the known fields");
    row("response missing", "{\"prompt\": \"a\"}\n", "line 1", "has no \"completion\"");
    row("unknown role", "{\"messages\": [{\"role\": \"judge\", \"content\": \"a\"}]}\n", "line 1",
        "/messages/0/role is \"judge\"");
    row("messages not a list", "{\"messages\": \"hi\"}\n", "line 1", "/messages must be a list");
    row("picture part",
        "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\", \"value\": \"x\"}]}]}\n", "line 1",
        "/messages/0/content/0/type is \"image\"");
    row("span that is no triple", R"({"text": "abc", "spans": [[0, 2]]})", "line 1",
        "/spans/0 is not [begin, end, weight]");
    row("span behind the text", R"({"text": "abc", "spans": [[1, 4, 0.5]]})", "line 1",
        "/spans/0/1 lies behind the end of the text of 3 bytes");
    row("spans that overlap", R"({"text": "abc", "spans": [[0, 2, 0.5], [1, 3, 0.5]]})", "line 1", "/spans/1/0");
    row("span of negative weight", R"({"text": "abc", "spans": [[0, 2, -1]]})", "line 1", "/spans/0/2 is no weight");
    row("only empty responses", "{\"prompt\": \"a\", \"response\": \"\"}\n", "rows", "has no usable row");
    row("token ids", "[[1, 2, 3]]", "rows", "lists of numbers");
    row("not UTF-8", "first\nsec\xFFond\n", "line 2", "not UTF-8");
    row("UTF-8 in a JSON string is broken", "{\"text\": \"\xC3\x28\"}\n", "line 1", "not valid JSON");
}

void TestCorpus::troubleNamesFileLineAndField()
{
    QFETCH(QByteArray, contents);
    QFETCH(QString, place);
    QFETCH(QString, complaint);

    const auto path = write(contents);
    const auto error = errorOf([&] { readCorpus(path); });

    QVERIFY(error.has_value());
    const auto message = QString::fromStdString(error->message);
    QCOMPARE(int(error->kind), int(ErrorKind::BadFormat));
    QVERIFY2(message.contains(QStringLiteral("rows ä.jsonl")), qPrintable(message));
    QVERIFY2(message.contains(place), qPrintable(message));
    QVERIFY2(message.contains(complaint), qPrintable(message));
}

void TestCorpus::realRowsAreRead_data()
{
    QTest::addColumn<QString>("file");
    QTest::addColumn<QString>("kind");
    QTest::addColumn<int>("samples");
    const auto row = [](const char *file, const char *kind, int samples) {
        QTest::newRow(file) << QString::fromUtf8(file) << QString::fromUtf8(kind) << samples;
    };
    row("alpaca/alpaca_en_demo.json", "prompt-response", 999);
    row("alpaca/test.json", "prompt-response", 805);
    row("instruct_native/tulu_messages.jsonl", "chat", 400);
    row("instruct_native/v1_sft_demo.jsonl", "chat", 500);
    row("think_native/r1_conversations.jsonl", "chat", 170);
    row("think_native/openthoughts_format.jsonl", "chat", 60);
    row("c4/c4_demo.jsonl", "jsonl-text", 300);
    row("gsm8k/train_sample.jsonl", "prompt-response", 2000);
    row("wikitext2/valid.txt", "text", 1);
}

void TestCorpus::realRowsAreRead()
{
    QFETCH(QString, file);
    QFETCH(QString, kind);
    QFETCH(int, samples);
    if (testData().empty())
        QSKIP("SECATEUR_TEST_DATA is not set: the real rows are not here");

    const auto corpus = readCorpus(testData() / "data" / file.toStdString());

    QCOMPARE(QString::fromStdString(corpus.kind), kind);
    QCOMPARE(corpus.samples.size() + static_cast<std::size_t>(corpus.skipped), std::size_t(samples));
    QCOMPARE(corpus.skipped, 0);
}

void TestCorpus::idsAreReadInBothForms_data()
{
    QTest::addColumn<QByteArray>("contents");
    QTest::newRow("object") << QByteArray(R"({"sequences": [[1, 2], [3]], "note": "kept aside"})");
    QTest::newRow("bare list") << QByteArray("[[1, 2], [3]]");
}

void TestCorpus::idsAreReadInBothForms()
{
    QFETCH(QByteArray, contents);
    const std::vector<std::vector<std::int32_t>> expected{{1, 2}, {3}};
    QVERIFY(readIdsFile(write(contents)) == expected);
}

void TestCorpus::wrongIdsAreNamed_data()
{
    QTest::addColumn<QByteArray>("contents");
    QTest::addColumn<QString>("complaint");
    QTest::newRow("negative") << QByteArray("[[1, -2]]") << QStringLiteral("/0/1 is -2");
    QTest::newRow("beyond 32 bits") << QByteArray("[[4294967296]]") << QStringLiteral("/0/0 is 4294967296");
    QTest::newRow("beyond 64 bits") << QByteArray("[[18446744073709551615]]")
                                    << QStringLiteral("/0/0 is 18446744073709551615");
    QTest::newRow("fraction") << QByteArray("[[1.5]]") << QStringLiteral("/0/0 must be a whole number");
    QTest::newRow("empty sequence") << QByteArray("[[1], []]") << QStringLiteral("/1 is an empty sequence");
    QTest::newRow("no sequence") << QByteArray("[]") << QStringLiteral("holds no sequence");
    QTest::newRow("flat list") << QByteArray("[1, 2]") << QStringLiteral("/0 must be a list");
    QTest::newRow("other object") << QByteArray("{\"ids\": [[1]]}") << QStringLiteral("has no \"sequences\"");
    QTest::newRow("very deep") << QByteArray(100000, '[') << QStringLiteral("nested deeper");
}

void TestCorpus::wrongIdsAreNamed()
{
    QFETCH(QByteArray, contents);
    QFETCH(QString, complaint);

    const auto path = write(contents, "ids.json");
    const auto error = errorOf([&] { readIdsFile(path); });

    QVERIFY(error.has_value());
    const auto message = QString::fromStdString(error->message);
    QVERIFY2(message.contains(complaint) && message.contains(QStringLiteral("ids.json")), qPrintable(message));
}

QTEST_APPLESS_MAIN(TestCorpus)
#include "tst_corpus.moc"
