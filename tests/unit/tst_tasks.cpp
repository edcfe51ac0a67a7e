#include "backend/tasks/task.h"
#include "tests/support/error_of.h"
#include "tests/support/test_data.h"

#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTemporaryDir>
#include <QTest>

#include <fstream>

using namespace secateur;

class TestTasks : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void catalogueHoldsEveryTaskOnce();
    void unknownTaskListsTheKnownOnes();
    void bundledTasksNeedNoData_data();
    void bundledTasksNeedNoData();
    void missingRowsAreNamed();
    void labelsComeFromTheRowOrTheSecondFile_data();
    void labelsComeFromTheRowOrTheSecondFile();
    void choiceLengthsAreCodePoints();
    void limitTakesTheFirstRows();
    void rowsMayBeAnArray();
    void declaredFormsAreRead_data();
    void declaredFormsAreRead();
    void troubleNamesFileLineAndField_data();
    void troubleNamesFileLineAndField();
    void trailingBlanksMoveToTheContinuation_data();
    void trailingBlanksMoveToTheContinuation();
    void realPiqaRowsGiveTheReferenceStrings();
    void realGsm8kRowsHaveNumbers();

private:
    std::filesystem::path data() const { return m_folder->path().toStdString(); }
    void write(const char *name, const QByteArray &contents) const
    {
        const auto path = data() / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << contents.constData();
    }
    static TaskSpec specWith(const QByteArray &definition, const char *kind = "loglikelihood")
    {
        TaskSpec task;
        task.id = "made";
        task.title = "Made";
        task.kind = kind;
        task.folder = "made";
        task.definition = definition.toStdString();
        return task;
    }
    std::unique_ptr<QTemporaryDir> m_folder;
};

void TestTasks::init()
{
    m_folder = std::make_unique<QTemporaryDir>();
    QVERIFY(m_folder->isValid());
}

void TestTasks::catalogueHoldsEveryTaskOnce()
{
    QStringList ids;
    for (const auto &task : taskCatalogue())
        ids.append(QString::fromStdString(task.id));
    QVERIFY(ids.contains(QStringLiteral("piqa")));
    QVERIFY(ids.contains(QStringLiteral("gsm8k")));
    QVERIFY(ids.contains(QStringLiteral("demo-choice")));
    QVERIFY(ids.contains(QStringLiteral("demo-arithmetic")));
    QCOMPARE(QSet<QString>(ids.begin(), ids.end()).size(), ids.size());
}

void TestTasks::unknownTaskListsTheKnownOnes()
{
    const auto error = errorOf([] { findTask("chess"); });
    QVERIFY(error.has_value());
    QCOMPARE(int(error->kind), int(ErrorKind::NotFound));
    QVERIFY(QString::fromStdString(error->message).contains(QStringLiteral("chess")));
    QVERIFY(QString::fromStdString(error->hint).contains(QStringLiteral("piqa")));
}

void TestTasks::bundledTasksNeedNoData_data()
{
    QTest::addColumn<QString>("id");
    QTest::addColumn<int>("rows");
    QTest::newRow("choices") << QStringLiteral("demo-choice") << 40;
    QTest::newRow("arithmetic") << QStringLiteral("demo-arithmetic") << 60;
}

void TestTasks::bundledTasksNeedNoData()
{
    QFETCH(QString, id);
    QFETCH(int, rows);

    const auto task = findTask(id.toStdString());
    const auto items = loadTaskItems(task, {}, 0);

    QCOMPARE(items.size(), std::size_t(rows));
    const auto &item = items.front();
    QCOMPARE(item.choices.size(), task.kind == "generation" ? std::size_t(0) : std::size_t(2));
    QVERIFY(!item.context.empty());
    QCOMPARE(item.goldAnswer.empty(), task.kind != "generation");
}

void TestTasks::missingRowsAreNamed()
{
    const auto task = findTask("piqa");
    std::string missing;
    QVERIFY(taskRows(task, data(), &missing).empty());
    QCOMPARE(missing, std::string("piqa/dev.jsonl"));
    const auto error = errorOf([&] { loadTaskItems(task, data(), 0); });
    QVERIFY(error.has_value());
    QCOMPARE(int(error->kind), int(ErrorKind::NotFound));
    QVERIFY(QString::fromStdString(error->message).contains(QStringLiteral("piqa/dev.jsonl")));
}

void TestTasks::labelsComeFromTheRowOrTheSecondFile_data()
{
    QTest::addColumn<QByteArray>("rows");
    QTest::addColumn<QByteArray>("labels");
    QTest::newRow("second file") << QByteArray(
        "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n{\"goal\": \"h\", \"sol1\": \"c\", \"sol2\": \"d\"}\n")
                                 << QByteArray("1\n0\n");
    QTest::newRow("in the row") << QByteArray("{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": 1}\n"
                                              "{\"goal\": \"h\", \"sol1\": \"c\", \"sol2\": \"d\", \"label\": 0}\n")
                                << QByteArray();
    QTest::newRow("the row wins") << QByteArray(
        "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\", \"label\": \"1\"}\n"
        "{\"goal\": \"h\", \"sol1\": \"c\", \"sol2\": \"d\", \"label\": \"0\"}\n")
                                  << QByteArray("0\n1\n");
}

void TestTasks::labelsComeFromTheRowOrTheSecondFile()
{
    QFETCH(QByteArray, rows);
    QFETCH(QByteArray, labels);
    write("piqa/dev.jsonl", rows);
    if (!labels.isEmpty())
        write("piqa/dev-labels.lst", labels);

    const auto items = loadTaskItems(findTask("piqa"), data(), 0);

    QCOMPARE(items.size(), std::size_t(2));
    QCOMPARE(items[0].gold, 1);
    QCOMPARE(items[1].gold, 0);
    QCOMPARE(items[1].docId, 1);
    QCOMPARE(items[0].context, std::string("Question: g\nAnswer:"));
    QCOMPARE(items[0].choices[1], std::string(" b"));
}

void TestTasks::choiceLengthsAreCodePoints()
{
    write("piqa/dev.jsonl",
          "{\"goal\": \"g\", \"sol1\": \"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80x\", \"sol2\": \" b\", \"label\": 0}\n");
    const auto items = loadTaskItems(findTask("piqa"), data(), 0);
    const std::vector<std::int64_t> expected{4, 2}; // the blank that joins is not counted, the text's own is
    QVERIFY(items[0].choiceCharacters == expected);
}

void TestTasks::limitTakesTheFirstRows()
{
    const auto task = findTask("demo-choice");
    const auto all = loadTaskItems(task, {}, 0);
    const auto some = loadTaskItems(task, {}, 3);
    QCOMPARE(some.size(), std::size_t(3));
    QCOMPARE(some[2].context, all[2].context);
}

void TestTasks::rowsMayBeAnArray()
{
    write("gsm8k/test.jsonl", "[{\"question\": \"q\", \"answer\": \"1\\n#### 1,234\"}]");
    const auto items = loadTaskItems(findTask("gsm8k"), data(), 0);
    QCOMPARE(items.size(), std::size_t(1));
    QCOMPARE(items[0].goldAnswer, std::string("1,234"));
    QVERIFY(items[0].context.starts_with("q\n\n"));
    QVERIFY(items[0].context.find("#### <number>") != std::string::npos);
}

void TestTasks::declaredFormsAreRead_data()
{
    QTest::addColumn<QByteArray>("definition");
    QTest::addColumn<QByteArray>("row");
    QTest::addColumn<QString>("context");
    QTest::addColumn<QString>("lastChoice");
    QTest::addColumn<int>("gold");
    QTest::newRow("answer key among labels")
        << QByteArray(R"({"rows": ["r.jsonl"], "context": "Question: {question}\nAnswer:",
            "choices": {"each": "choices.text", "template": " {item}"}, "gold": {"field": "answerKey", "in": "choices.label"}})")
        << QByteArray(
               R"({"question": "Why?", "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}, "answerKey": "2"})")
        << QStringLiteral("Question: Why?\nAnswer:") << QStringLiteral(" c") << 1;
    QTest::newRow("one-based label") << QByteArray(
        R"({"rows": ["r.jsonl"], "context": "{s}", "choices": [" {o.0}", " {o.1}"], "gold": {"field": "answer", "base": 1}})")
                                     << QByteArray(R"({"s": "x", "o": ["a", "b"], "answer": "2"})")
                                     << QStringLiteral("x") << QStringLiteral(" b") << 1;
    QTest::newRow("truth value") << QByteArray(
        R"({"rows": ["r.jsonl"], "context": "{q}?", "choices": [" no", " yes"], "gold": {"field": "answer"}})")
                                 << QByteArray(R"({"q": "is it", "answer": true})") << QStringLiteral("is it?")
                                 << QStringLiteral(" yes") << 1;
    QTest::newRow("a context for each choice") << QByteArray(
        R"({"rows": ["r.jsonl"], "context": ["{s} {o.0}", "{s} {o.1}"], "choices": [" {end}", " {end}"], "gold": {"field": "answer"}})")
                                               << QByteArray(
                                                      R"({"s": "because", "o": ["Ann", "Bob"], "end": "ran.", "answer": 1})")
                                               << QStringLiteral("because Bob") << QStringLiteral(" ran.") << 1;
    QTest::newRow("braces in the text") << QByteArray(
        R"({"rows": ["r.jsonl"], "context": "{{{q}}}", "choices": [" {n}", " b"], "gold": {"field": "answer"}})")
                                        << QByteArray(R"({"q": "{x}", "n": 5, "answer": 0})") << QStringLiteral("{{x}}")
                                        << QStringLiteral(" b") << 0;
}

void TestTasks::declaredFormsAreRead()
{
    QFETCH(QByteArray, definition);
    QFETCH(QByteArray, row);
    QFETCH(QString, context);
    QFETCH(QString, lastChoice);
    QFETCH(int, gold);
    write("made/r.jsonl", row + '\n');

    const auto items = loadTaskItems(specWith(definition), data(), 0);

    QCOMPARE(QString::fromStdString(items[0].contextOf(items[0].choices.size() - 1)), context);
    QCOMPARE(QString::fromStdString(items[0].choices.back()), lastChoice);
    QCOMPARE(items[0].gold, gold);
}

void TestTasks::troubleNamesFileLineAndField_data()
{
    QTest::addColumn<QByteArray>("rows");
    QTest::addColumn<QByteArray>("labels");
    QTest::addColumn<QString>("place");
    QTest::addColumn<QString>("complaint");
    const QByteArray good = "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n";
    const auto row = [](const char *name, const QByteArray &rows, const char *labels, const char *place,
                        const char *complaint) {
        QTest::newRow(name) << rows << QByteArray(labels) << QString::fromUtf8(place) << QString::fromUtf8(complaint);
    };
    row("empty file", "", "", "dev.jsonl", "holds no row");
    row("field missing", good + "{\"goal\": \"g\", \"sol1\": \"a\"}\n", "0\n0\n", "dev.jsonl, line 2",
        "has no \"sol2\"");
    row("field of another kind", "{\"goal\": [], \"sol1\": \"a\", \"sol2\": \"b\"}\n", "0\n", "dev.jsonl, line 1",
        "/goal is neither");
    row("damaged row", good + "{\"goal\"\n", "0\n0\n", "dev.jsonl, line 2", "not valid JSON");
    row("row is no object", "7\n", "0\n", "dev.jsonl, line 1", "must be an object");
    row("too few labels", good + good, "0\n", "dev-labels.lst, line 2", "missing");
    row("label is no number", good, "left\n", "dev-labels.lst, line 1", "\"left\"");
    row("label beyond the choices", good, "2\n", "dev-labels.lst, line 1", "\"2\"");
    row("no labels at all", good, "", "dev.jsonl, line 1", "has no \"label\"");
}

void TestTasks::troubleNamesFileLineAndField()
{
    QFETCH(QByteArray, rows);
    QFETCH(QByteArray, labels);
    QFETCH(QString, place);
    QFETCH(QString, complaint);
    write("piqa/dev.jsonl", rows);
    if (!labels.isEmpty())
        write("piqa/dev-labels.lst", labels);

    const auto error = errorOf([&] { loadTaskItems(findTask("piqa"), data(), 0); });

    QVERIFY(error.has_value());
    const auto message = QString::fromStdString(error->message);
    QCOMPARE(int(error->kind), int(ErrorKind::BadFormat));
    QVERIFY2(message.contains(place), qPrintable(message));
    QVERIFY2(message.contains(complaint), qPrintable(message));
}

void TestTasks::trailingBlanksMoveToTheContinuation_data()
{
    QTest::addColumn<QString>("context");
    QTest::addColumn<QString>("continuation");
    QTest::addColumn<QString>("newContext");
    QTest::addColumn<QString>("newContinuation");
    QTest::newRow("none") << QStringLiteral("Answer:") << QStringLiteral(" yes") << QStringLiteral("Answer:")
                          << QStringLiteral(" yes");
    QTest::newRow("one") << QStringLiteral("Answer: ") << QStringLiteral("yes") << QStringLiteral("Answer:")
                         << QStringLiteral(" yes");
    QTest::newRow("lines and tabs") << QStringLiteral("A\n\t ") << QStringLiteral("b") << QStringLiteral("A")
                                    << QStringLiteral("\n\t b");
    QTest::newRow("wide blank") << QStringLiteral("A\u3000") << QStringLiteral("b") << QStringLiteral("A")
                                << QStringLiteral("\u3000b");
    QTest::newRow("only blanks") << QStringLiteral("  ") << QStringLiteral("b") << QString() << QStringLiteral("  b");
}

void TestTasks::trailingBlanksMoveToTheContinuation()
{
    QFETCH(QString, context);
    QFETCH(QString, continuation);
    QFETCH(QString, newContext);
    QFETCH(QString, newContinuation);
    std::string first = context.toStdString();
    std::string second = continuation.toStdString();

    moveTrailingBlanks(first, second);

    QCOMPARE(QString::fromStdString(first), newContext);
    QCOMPARE(QString::fromStdString(second), newContinuation);
}

void TestTasks::realPiqaRowsGiveTheReferenceStrings()
{
    if (testData().empty())
        QSKIP("SECATEUR_TEST_DATA is not set: the real rows are not here");
    QFile file(QString::fromStdString((testData() / "golden/smollm2/piqa100.json").string()));
    QVERIFY(file.open(QIODevice::ReadOnly));
    const auto golden = QJsonDocument::fromJson(file.readAll()).object();

    const auto items = loadTaskItems(findTask("piqa"), testData() / "data", 100);

    const auto rows = golden[QStringLiteral("rows")].toArray();
    QCOMPARE(items.size(), std::size_t(rows.size()));
    for (int i = 0; i < rows.size(); ++i) {
        const auto &item = items[static_cast<std::size_t>(i)];
        const auto lengths = rows[i][QStringLiteral("char_len")].toArray();
        QCOMPARE(item.gold, rows[i][QStringLiteral("gold")].toInt());
        QCOMPARE(item.choiceCharacters[0], lengths[0].toInteger());
        QCOMPARE(item.choiceCharacters[1], lengths[1].toInteger());
    }
    const auto pairs = golden[QStringLiteral("first_pairs")].toArray();
    QVERIFY(!pairs.isEmpty());
    for (int i = 0; i < pairs.size(); ++i) {
        const auto &item = items[static_cast<std::size_t>(i / 2)];
        QCOMPARE(QString::fromStdString(item.context), pairs[i][QStringLiteral("context")].toString());
        QCOMPARE(QString::fromStdString(item.choices[static_cast<std::size_t>(i % 2)]),
                 pairs[i][QStringLiteral("continuation")].toString());
    }
}

void TestTasks::realGsm8kRowsHaveNumbers()
{
    if (testData().empty())
        QSKIP("SECATEUR_TEST_DATA is not set: the real rows are not here");
    const auto task = findTask("gsm8k");

    const auto items = loadTaskItems(task, testData() / "data", 0);

    QCOMPARE(items.size(), std::size_t(660));
    const auto graded = std::count_if(items.begin(), items.end(), [&](const TaskItem &item) {
        return gradeAnswer(task, item, "#### " + item.goldAnswer).correct;
    });
    QCOMPARE(graded, std::ptrdiff_t(660));
    QCOMPARE(items[0].goldAnswer, std::string("18"));
}

QTEST_APPLESS_MAIN(TestTasks)
#include "tst_tasks.moc"
