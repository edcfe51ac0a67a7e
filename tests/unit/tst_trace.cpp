#include "backend/text/trace.h"

#include <QTest>

#include <memory>
#include <numeric>

using namespace secateur;

namespace {

/// One token per byte.
class ByteTokenizer final : public Tokenizer {
public:
    TokenIds encode(std::string_view text, bool) const override { return {text.begin(), text.end()}; }
    std::string decode(std::span<const std::int32_t> ids, bool) const override { return {ids.begin(), ids.end()}; }
    std::string tokenBytes(std::int32_t id) const override { return std::string(1, static_cast<char>(id)); }
    std::string tokenText(std::int32_t id) const override { return tokenBytes(id); }
    std::optional<std::int32_t> tokenId(std::string_view token) const override { return token.front(); }
    std::int64_t vocabularySize() const override { return 256; }
    bool isSpecial(std::int32_t) const override { return false; }
};

TokenIds repeatedIds(const TokenIds &start, const TokenIds &part, int times)
{
    TokenIds ids = start;
    for (int i = 0; i < times; ++i)
        ids.insert(ids.end(), part.begin(), part.end());
    return ids;
}

} // namespace

class TestTrace : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void spansAreFound_data();
    void spansAreFound();
    void promptsThatOpenATraceAreKnown_data();
    void promptsThatOpenATraceAreKnown();
    void repetitionAtTheEndIsMeasured_data();
    void repetitionAtTheEndIsMeasured();
    void onlyTheWindowCounts();
    void loopsAreProvenByAWholeWindow();
};

void TestTrace::spansAreFound_data()
{
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<QByteArray>("finish");
    QTest::addColumn<bool>("opened");
    QTest::addColumn<QByteArray>("state");
    QTest::addColumn<int>("traceTokens");
    QTest::addColumn<QByteArray>("answer");
    const auto row = [](const char *name, const char *text, const char *finish, bool opened, const char *state,
                        int tokens, const char *answer) {
        QTest::newRow(name) << QByteArray(text) << QByteArray(finish) << opened << QByteArray(state) << tokens
                            << QByteArray(answer);
    };
    row("closed", "<think>sixsix</think>yes", "stop", false, "closed", 6, "yes");
    row("opened by the prompt", "sixsix</think>yes", "stop", true, "closed", 6, "yes");
    row("opened by prompt and model", "\n<think>sixsix</think>yes", "stop", true, "closed", 6, "yes");
    row("mentioned inside", "the <think> mark</think>yes", "stop", true, "closed", 16, "yes");
    row("closed but never opened", "sixsix</think>yes", "stop", false, "closed", 6, "yes");
    row("words before", "Well. <think>sixsix</think>yes", "stop", false, "closed", 6, "yes");
    row("closed without an answer", "<think>sixsix</think>", "length", false, "closed", 6, "");
    row("cut off inside", "<think>sixsix", "length", false, "truncated", 6, "");
    row("looping inside", "<think>sixsix", "loop", false, "truncated", 6, "");
    row("cut off inside, opened by the prompt", "sixsix", "length", true, "truncated", 6, "");
    row("ended inside", "<think>sixsix", "stop", false, "open-eos", 6, "");
    row("cut off inside the closing mark", "<think>six</thi", "length", false, "truncated", 8, "");
    row("nothing inside", "<think>\n\n</think>\n\nyes", "stop", false, "empty", 2, "\n\nyes");
    row("four tokens inside", "<think>four</think>yes", "stop", false, "empty", 4, "yes");
    row("five tokens inside", "<think>fives</think>yes", "stop", false, "closed", 5, "yes");
    row("no marks", "yes", "stop", false, "absent", 0, "yes");
    row("empty output", "", "length", false, "absent", 0, "");
    row("cut off inside the opening mark", "<thin", "length", false, "absent", 0, "<thin");
    row("two traces", "<think>one</think>a<think>two</think>b", "stop", false, "multiple", 22, "b");
    row("closed twice", "<think>one</think>a</think>b", "stop", false, "multiple", 12, "b");
    row("long marks", "<|begin_of_thought|>sixsix<|end_of_thought|>yes", "stop", false, "closed", 6, "yes");
    row("long marks cut off", "<|begin_of_thought|>sixsix", "length", false, "truncated", 6, "");
}

void TestTrace::spansAreFound()
{
    QFETCH(QByteArray, text);
    QFETCH(QByteArray, finish);
    QFETCH(bool, opened);
    QFETCH(QByteArray, state);
    QFETCH(int, traceTokens);
    QFETCH(QByteArray, answer);

    const TraceSpans spans = analyzeTrace(ByteTokenizer(), text.toStdString(), finish.toStdString(), opened);
    QCOMPARE(traceStateName(spans.state), std::string_view(state.constData()));
    QCOMPARE(spans.traceTokens, std::int64_t{traceTokens});
    QCOMPARE(QByteArray::fromStdString(spans.answer), answer);
    QCOMPARE(spans.answerTokens, std::int64_t{answer.size()});
}

void TestTrace::promptsThatOpenATraceAreKnown_data()
{
    QTest::addColumn<QByteArray>("prompt");
    QTest::addColumn<bool>("opens");
    QTest::newRow("at the end") << QByteArray("<|im_start|>assistant\n<think>\n") << true;
    QTest::newRow("long mark") << QByteArray("<|im_start|>assistant\n<|begin_of_thought|>") << true;
    QTest::newRow("with the first words of the trace")
        << QByteArray("<|im_start|>assistant\n<think>\nOkay, so") << true;
    QTest::newRow("closed at once") << QByteArray("<|im_start|>assistant\n<think>\n\n</think>\n\n") << false;
    QTest::newRow("none") << QByteArray("<|im_start|>assistant\n") << false;
    QTest::newRow("of an earlier turn") << QByteArray("<think>a</think>b<|im_end|>\n<|im_start|>assistant\n") << false;
    QTest::newRow("mentioned by the user")
        << QByteArray("Write <think> first.<|im_end|>\n<|im_start|>assistant\n") << false;
    QTest::newRow("mentioned and opened")
        << QByteArray("Write <think> first.<|im_end|>\n<|im_start|>assistant\n<think>") << true;
    QTest::newRow("mentioned in brackets") << QByteArray("[INST] Write <think> first. [/INST]") << false;
    QTest::newRow("empty") << QByteArray() << false;
}

void TestTrace::promptsThatOpenATraceAreKnown()
{
    QFETCH(QByteArray, prompt);
    QFETCH(bool, opens);

    QCOMPARE(promptOpensTrace(prompt.toStdString()), opens);
}

void TestTrace::repetitionAtTheEndIsMeasured_data()
{
    QTest::addColumn<std::vector<std::int32_t>>("ids");
    QTest::addColumn<double>("share");
    TokenIds distinct(600);
    std::iota(distinct.begin(), distinct.end(), 0);
    const TokenIds ten(distinct.begin(), distinct.begin() + 10);
    QTest::newRow("nothing") << TokenIds() << 0.0;
    QTest::newRow("all different") << distinct << 0.0;
    QTest::newRow("one token") << TokenIds(100, 7) << 1.0;
    QTest::newRow("three times is not enough") << repeatedIds(ten, {1, 2}, 3) << 0.0;
    QTest::newRow("four times") << repeatedIds({10, 11}, {1, 2}, 4) << 0.8;
    QTest::newRow("not at the end") << repeatedIds(repeatedIds({}, {1, 2}, 20), {9, 8, 7}, 1) << 0.0;
    QTest::newRow("ten tokens") << repeatedIds(ten, ten, 9) << 1.0;
    QTest::newRow("64 tokens") << repeatedIds({}, TokenIds(distinct.begin(), distinct.begin() + 64), 4) << 1.0;
    QTest::newRow("65 tokens are too many")
        << repeatedIds({}, TokenIds(distinct.begin(), distinct.begin() + 65), 5) << 0.0;
}

void TestTrace::repetitionAtTheEndIsMeasured()
{
    QFETCH(std::vector<std::int32_t>, ids);
    QFETCH(double, share);

    QCOMPARE(repetitionShare(ids), share);
}

void TestTrace::onlyTheWindowCounts()
{
    TokenIds ids(1000);
    std::iota(ids.begin(), ids.end(), 10);
    ids.insert(ids.end(), 128, 7);

    QCOMPARE(repetitionShare(ids), 0.25);
    QCOMPARE(repetitionShare(ids, 128), 1.0);
    QCOMPARE(repetitionShare(ids, 256), 0.5);
    QCOMPARE(repetitionShare(ids, 0), 0.0);
}

void TestTrace::loopsAreProvenByAWholeWindow()
{
    TokenIds distinct(64);
    std::iota(distinct.begin(), distinct.end(), 0);
    const TokenIds start{100, 101};

    QVERIFY(!endsInLoop(TokenIds()));
    QVERIFY(!endsInLoop(TokenIds(511, 7)));
    QVERIFY(endsInLoop(TokenIds(512, 7)));
    QVERIFY(endsInLoop(repeatedIds(start, distinct, 8)));
    QVERIFY(!endsInLoop(repeatedIds(start, {1, 2, 3}, 170))); // 510 tokens of it
    QVERIFY(endsInLoop(repeatedIds(start, {1, 2, 3}, 171)));
    TokenIds broken = repeatedIds(start, {1, 2, 3}, 300);
    broken[broken.size() - 512] = 50;
    QVERIFY(!endsInLoop(broken));
    QVERIFY(endsInLoop(TokenIds(8, 7), 8));
    QVERIFY(!endsInLoop(TokenIds{1, 2, 3, 1, 2, 3, 1, 2}, 8)); // four rounds at least
    QVERIFY(!endsInLoop(TokenIds(8, 7), 0));
}

QTEST_GUILESS_MAIN(TestTrace)
#include "tst_trace.moc"
