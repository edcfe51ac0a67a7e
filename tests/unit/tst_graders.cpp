#include "backend/tasks/small_function.h"
#include "backend/tasks/task.h"
#include "tests/support/error_of.h"

#include <QTest>

using namespace secateur;

class TestGraders : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void gsm8kFindsTheAnswer_data();
    void gsm8kFindsTheAnswer();
    void goldIsComparedAsANumber_data();
    void goldIsComparedAsANumber();
    void boxedIsComparedAsText_data();
    void boxedIsComparedAsText();
    void lastNumberCounts_data();
    void lastNumberCounts();
    void exactComparesTheWholeText_data();
    void exactComparesTheWholeText();
    void wordRulesAreChecked_data();
    void wordRulesAreChecked();
    void unknownWordRuleIsRefused();
    void functionsAreComparedByTheirValues_data();
    void functionsAreComparedByTheirValues();
    void functionsThatAreNotUnderstoodFail_data();
    void functionsThatAreNotUnderstoodFail();
    void divisionRoundsDownAsInPython();
    void unknownGraderIsRefused();

private:
    static Grade grade(const char *grader, const QString &answer, const QString &gold)
    {
        TaskSpec task;
        task.id = "test";
        task.grader = grader;
        task.inputs = {-3, 1, 9};
        TaskItem item;
        item.goldAnswer = gold.toStdString();
        return gradeAnswer(task, item, answer.toStdString());
    }
};

void TestGraders::gsm8kFindsTheAnswer_data()
{
    QTest::addColumn<QString>("answer");
    QTest::addColumn<QString>("extracted");
    const auto row = [](const char *name, const char *answer, const char *extracted) {
        QTest::newRow(name) << QString::fromUtf8(answer) << QString::fromUtf8(extracted);
    };
    row("marked", "First 3, then 15.\n#### 18", "18");
    row("marked beats boxed", "\\boxed{7}\n#### 18", "18");
    row("marked beats a later number", "#### 18\nThat is 100 percent sure.", "18");
    row("the last mark with a number counts", "#### 12\nNo, wait.\n#### 18", "18");
    row("an echo of the form has no number", "End with #### <number>.\nSo it is 18.", "18");
    row("dollars", "#### $1,234.50", "1234.5");
    row("percent", "#### 25%", "25");
    row("point at the end", "#### 18.", "18");
    row("zeros after the point", "#### 12.00", "12");
    row("zeros before", "#### 007", "7");
    row("no zero before the point", "#### .50", "0.5");
    row("negative", "#### -5", "-5");
    row("negative dollars", "#### -$5", "-5");
    row("typographic minus",
        "#### \xE2\x88\x92"
        "5",
        "-5");
    row("minus zero", "#### -0.0", "0");
    row("bold", "#### **18**", "18");
    row("words around", "#### The answer is 18 eggs.", "18");
    row("boxed", "Thus \\boxed{18}.", "18");
    row("last boxed", "\\boxed{3} and \\boxed{18}", "18");
    row("boxed with braces inside", "\\boxed{\\text{about } 18}", "18");
    row("boxed equation", "\\boxed{x = 18 \\text{ m}^2}", "18");
    row("boxed thousands", "\\boxed{1{,}000}", "1000");
    row("boxed dollars", "\\boxed{\\$2\\,500}", "2500");
    row("boxed that never closes", "It is 18 so \\boxed{19", "19");
    row("boxed without a number", "It is 18. \\boxed{\\text{done}}", "18");
    row("last number", "She has 3 cats and 18 dogs.", "18");
    row("last number with point", "The total is 18.", "18");
    row("thousands", "That makes 1,234,567 in all", "1234567");
    row("list of numbers", "1,2,3", "3");
    row("difference is not negative", "The result is 20-2", "2");
    row("negative after equals", "2 - 7 = -5", "-5");
    row("decimal", "It weighs 2.75 kg", "2.75");
    row("no number", "I do not know.", "");
    row("empty", "", "");
}

void TestGraders::gsm8kFindsTheAnswer()
{
    QFETCH(QString, answer);
    QFETCH(QString, extracted);
    const auto result = grade("gsm8k", answer, extracted.isEmpty() ? QStringLiteral("18") : extracted);
    QCOMPARE(QString::fromStdString(result.extracted), extracted);
    QCOMPARE(result.correct, !extracted.isEmpty());
}

void TestGraders::goldIsComparedAsANumber_data()
{
    QTest::addColumn<QString>("gold");
    QTest::addColumn<QString>("answer");
    QTest::addColumn<bool>("correct");
    QTest::newRow("same") << QStringLiteral("18") << QStringLiteral("#### 18") << true;
    QTest::newRow("gold with comma") << QStringLiteral("1,000") << QStringLiteral("#### 1000") << true;
    QTest::newRow("gold whole, answer decimal") << QStringLiteral("12") << QStringLiteral("#### 12.0") << true;
    QTest::newRow("gold decimal, answer whole") << QStringLiteral("12.0") << QStringLiteral("#### 12") << true;
    QTest::newRow("a digit more") << QStringLiteral("18") << QStringLiteral("#### 180") << false;
    QTest::newRow("other sign") << QStringLiteral("18") << QStringLiteral("#### -18") << false;
    QTest::newRow("close") << QStringLiteral("0.5") << QStringLiteral("#### 0.51") << false;
}

void TestGraders::goldIsComparedAsANumber()
{
    QFETCH(QString, gold);
    QFETCH(QString, answer);
    QFETCH(bool, correct);
    QCOMPARE(grade("gsm8k", answer, gold).correct, correct);
}

void TestGraders::boxedIsComparedAsText_data()
{
    QTest::addColumn<QString>("answer");
    QTest::addColumn<QString>("gold");
    QTest::addColumn<QString>("extracted");
    QTest::addColumn<bool>("correct");
    QTest::newRow("fraction") << QStringLiteral("so \\boxed{\\frac{1}{2}}") << QStringLiteral("\\frac{1}{2}")
                              << QStringLiteral("\\frac{1}{2}") << true;
    QTest::newRow("blanks at the ends") << QStringLiteral("\\boxed{ 25 }") << QStringLiteral("25")
                                        << QStringLiteral("25") << true;
    QTest::newRow("leading zero is another text")
        << QStringLiteral("\\boxed{025}") << QStringLiteral("25") << QStringLiteral("025") << false;
    QTest::newRow("framed box") << QStringLiteral("\\fbox{4}") << QStringLiteral("4") << QStringLiteral("4") << true;
    QTest::newRow("no box") << QStringLiteral("25") << QStringLiteral("25") << QString() << false;
}

void TestGraders::boxedIsComparedAsText()
{
    QFETCH(QString, answer);
    QFETCH(QString, gold);
    QFETCH(QString, extracted);
    QFETCH(bool, correct);
    const auto result = grade("boxed", answer, gold);
    QCOMPARE(QString::fromStdString(result.extracted), extracted);
    QCOMPARE(result.correct, correct);
}

void TestGraders::lastNumberCounts_data()
{
    QTest::addColumn<QString>("answer");
    QTest::addColumn<bool>("correct");
    QTest::newRow("last") << QStringLiteral("5 and 18") << true;
    QTest::newRow("marked first") << QStringLiteral("#### 18, not 5") << false;
    QTest::newRow("none") << QStringLiteral("eighteen") << false;
}

void TestGraders::lastNumberCounts()
{
    QFETCH(QString, answer);
    QFETCH(bool, correct);
    QCOMPARE(grade("number", answer, QStringLiteral("18")).correct, correct);
}

void TestGraders::exactComparesTheWholeText_data()
{
    QTest::addColumn<QString>("answer");
    QTest::addColumn<bool>("correct");
    QTest::newRow("same") << QStringLiteral("rope") << true;
    QTest::newRow("blanks around") << QStringLiteral(" rope\n") << true;
    QTest::newRow("more words") << QStringLiteral("rope and salt") << false;
    QTest::newRow("another case") << QStringLiteral("Rope") << false;
    QTest::newRow("nothing") << QString() << false;
}

void TestGraders::exactComparesTheWholeText()
{
    QFETCH(QString, answer);
    QFETCH(bool, correct);
    QCOMPARE(grade("exact", answer, QStringLiteral("rope")).correct, correct);
}

void TestGraders::wordRulesAreChecked_data()
{
    QTest::addColumn<QString>("rules");
    QTest::addColumn<QString>("answer");
    QTest::addColumn<bool>("correct");
    const auto row = [](const char *name, const char *rules, const char *answer, bool correct) {
        QTest::newRow(name) << QString::fromLatin1(rules) << QString::fromLatin1(answer) << correct;
    };
    row("times", "words 3; times bell 3", "bell bell bell", true);
    row("once too often", "words 3; times bell 3", "bell bell bell bell", false);
    row("commas and case", "words 3; times bell 3", "Bell, bell, bell.", true);
    row("last", "last rock", "bell rock", true);
    row("not last", "last rock", "rock bell", false);
    row("first", "first rock; times bell 2", "rock bell bell", true);
    row("without", "without rock", "bell", true);
    row("with", "without rock", "bell rock", false);
    row("order", "order song rock bell", "song rock bell", true);
    row("wrong order", "order song rock bell", "song bell rock", false);
    row("order cut short", "order song rock bell", "song rock", false);
    row("turn", "turn bell rock; words 5", "bell rock bell rock bell", true);
    row("turn broken", "turn bell rock; words 4", "bell rock rock bell", false);
    row("capital", "times bell 1; capital", "BELL", true);
    row("not capital", "times bell 1; capital", "Bell", false);
    row("empty", "without rock", " \n", false);
}

void TestGraders::wordRulesAreChecked()
{
    QFETCH(QString, rules);
    QFETCH(QString, answer);
    QFETCH(bool, correct);
    QCOMPARE(grade("word-rules", answer, rules).correct, correct);
}

void TestGraders::unknownWordRuleIsRefused()
{
    for (const char *rule : {"rhyme bell", "times bell", "words many", "first"}) {
        const auto error = errorOf([&] { grade("word-rules", QStringLiteral("bell"), QString::fromLatin1(rule)); });
        QVERIFY(error.has_value());
        QVERIFY(QString::fromStdString(error->message).contains(QString::fromLatin1(rule)));
    }
}

void TestGraders::functionsAreComparedByTheirValues_data()
{
    QTest::addColumn<QString>("answer");
    QTest::addColumn<bool>("correct");
    const auto row = [](const char *name, const char *answer, bool correct) {
        QTest::newRow(name) << QString::fromLatin1(answer) << correct;
    };
    row("the same", "def f(x):\n if x<4:\n  x=4\n x=x-5\n return x", true);
    row("written otherwise", "def g(value):\n    if value >= 4:\n        return value - 5\n    return 2-3", true);
    row("with else", "def f(x):\n if x<4:\n  y=4\n else:\n  y=x\n return y-5", true);
    row("in a fence", "```python\ndef f(x):\n if x<4:\n  x=4\n return x-(2+3)\n```", true);
    row("right only for small values", "def f(x):\n return 4-5", false);
    row("no return", "def f(x):\n x=x-5", false);
    row("unknown name", "def f(x):\n return y", false);
    row("division by zero", "def f(x):\n return x//0", false);
    row("no function", "-1", false);
}

void TestGraders::functionsAreComparedByTheirValues()
{
    QFETCH(QString, answer);
    QFETCH(bool, correct);
    const auto gold = QStringLiteral("def f(x):\n if x<4:\n  x=4\n x=x-5\n return x");
    QCOMPARE(grade("function", answer, gold).correct, correct);
}

void TestGraders::functionsThatAreNotUnderstoodFail_data()
{
    QTest::addColumn<QString>("answer");
    QTest::newRow("import") << QStringLiteral("def f(x):\n import os\n return x");
    QTest::newRow("call") << QStringLiteral("def f(x):\n return abs(x)");
    QTest::newRow("loop") << QStringLiteral("def f(x):\n while 1:\n  x=x\n return x");
    QTest::newRow("block without lines") << QStringLiteral("def f(x):\n if x:\n return x");
    QTest::newRow("indentation that fits nowhere") << QStringLiteral("def f(x):\n  if x:\n    x=1\n   return x");
    QTest::newRow("open parenthesis") << QStringLiteral("def f(x):\n return (x");
    QTest::newRow("too deep") << QStringLiteral("def f(x):\n return ") + QString(20000, QLatin1Char('-'))
            + QStringLiteral("x");
    QTest::newRow("head cut off") << QStringLiteral("def f(x");
    QTest::newRow("only a head") << QStringLiteral("def f(x):");
}

void TestGraders::functionsThatAreNotUnderstoodFail()
{
    QFETCH(QString, answer);
    QVERIFY(!grade("function", answer, QStringLiteral("def f(x):\n return x")).correct);
}

void TestGraders::divisionRoundsDownAsInPython()
{
    const auto floor = SmallFunction::parse("def f(x):\n return x//4*10+x%4");
    QVERIFY(floor.has_value());
    QCOMPARE((*floor)(-7).value_or(0), std::int64_t(-19)); // -2 and 1
    QCOMPARE((*floor)(7).value_or(0), std::int64_t(13));
    const auto square = SmallFunction::parse("def f(x):\n return x*x");
    QVERIFY(square && !(*square)(INT64_MAX).has_value());
}

void TestGraders::unknownGraderIsRefused()
{
    const auto error = errorOf([] { grade("oracle", QStringLiteral("18"), QStringLiteral("18")); });
    QVERIFY(error.has_value());
    QVERIFY(QString::fromStdString(error->message).contains(QStringLiteral("oracle")));
}

QTEST_APPLESS_MAIN(TestGraders)
#include "tst_graders.moc"
