#include "backend/core/resource_path.h"
#include "backend/io/atomic_file.h"
#include "backend/io/corpus.h"
#include "backend/io/digest.h"
#include "backend/tasks/mini/data_set.h"
#include "backend/tasks/mini/documents.h"
#include "backend/tasks/mini/mini_tasks.h"
#include "backend/tasks/task.h"
#include "backend/text/bpe_training.h"
#include "backend/text/chat_template.h"
#include "backend/text/tokenizer.h"
#include "tests/support/error_of.h"

#include <QRegularExpression>
#include <QTemporaryDir>
#include <QTest>

#include <nlohmann/json.hpp>

#include <set>

using namespace secateur;

namespace {

constexpr int kDraws = 400;

QString at(const char *task, std::size_t row)
{
    return QStringLiteral("%1, row %2").arg(QString::fromLatin1(task)).arg(row);
}

std::vector<nlohmann::json> rowsOf(const std::string &text)
{
    std::vector<nlohmann::json> rows;
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = text.find('\n', begin);
        rows.push_back(nlohmann::json::parse(text.substr(begin, end - begin)));
        begin = end + 1;
    }
    return rows;
}

/// The question of a row as it would stand in a training document.
std::string askedBy(const nlohmann::json &row)
{
    if (row.contains("prompt"))
        return row["prompt"];
    return row.contains("contexts") ? row["contexts"][row["answer"].get<std::size_t>()] : row["context"];
}

std::string solutionOf(const nlohmann::json &row)
{
    return row["solution"];
}

std::map<std::string, std::string> digestsBelow(const std::filesystem::path &folder)
{
    std::map<std::string, std::string> digests;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(folder))
        if (entry.is_regular_file())
            digests[std::filesystem::relative(entry.path(), folder).string()] = sha256Hex(readTextFile(entry.path()));
    return digests;
}

} // namespace

class TestMiniData : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void everyTaskIsInTheCatalogue();
    void itemsOfTheProgramAreThoseOfTheDefaultSeed();
    void recoveryDataOfTheProgramAreThoseOfTheDefaultSeed();
    void itemsAreNewToTraining();
    void noTrainingDocumentAsksATestItem();
    void goldAnswersEarnThePoint();
    void wrongAnswersDoNot();
    void moreInputsFindMoreMistakes();
    void rightChoicesStandInEveryPlace();
    void calculationsInTracesAreRight();
    void sameSeedSameBytes();
    void anotherSeedAnotherText();
    void documentsKeepTheirLength();
    void weightsCoverWhatIsAsked();
    void theTokenizerReadsItsOwnText();
    void digitsStandAlone();
    void wordsOfTheWorldAreShort();
    void templatesWriteWhatTheConversationsHold();
    void recoveryReadsTheConversations();
    void trainingMergesTheMostFrequentPairFirst();
    void tooSmallAVocabularyIsRefused();

private:
    std::filesystem::path data() const { return std::filesystem::path(m_folder.path().toStdString()) / "one"; }

    QTemporaryDir m_folder;
    mini::DataOptions m_options;
    mini::DataReport m_report;
    std::shared_ptr<const Tokenizer> m_tokenizer;
};

void TestMiniData::initTestCase()
{
    QVERIFY(m_folder.isValid());
    m_options.baseTokens = 120'000;
    m_options.chatTokens = 60'000;
    m_report = mini::makeDataSet(data(), m_options, {});
    m_tokenizer = loadTokenizer(data() / "think");
}

void TestMiniData::everyTaskIsInTheCatalogue()
{
    std::map<std::string, int> families;
    int tasks = 0;
    for (const TaskSpec &task : taskCatalogue()) {
        if (!task.id.starts_with("mini-"))
            continue;
        ++tasks;
        ++families[task.family];
        QVERIFY2(!loadTaskItems(task, {}, 0).empty(), task.id.c_str());
    }
    QCOMPARE(tasks, 17);
    QCOMPARE(families["classification"], 7);
    QCOMPARE(families["generation"], 5);
    QCOMPARE(families["reasoning"], 5);
}

void TestMiniData::itemsOfTheProgramAreThoseOfTheDefaultSeed()
{
    for (const mini::MiniTask &task : mini::miniTasks()) {
        const auto file = "mini-" + std::string(task.name) + ".jsonl";
        const auto bundled = readTextFile(resourceDirectory() / "tasks/mini/items" / file);
        QVERIFY2(bundled == mini::itemRows(task, mini::kDefaultSeed), file.c_str());
        QVERIFY2(rowsOf(bundled).size() >= 60, file.c_str());
    }
}

void TestMiniData::recoveryDataOfTheProgramAreThoseOfTheDefaultSeed()
{
    QTemporaryDir folder;
    const std::filesystem::path data = std::filesystem::path(folder.path().toStdString()) / "data";
    mini::DataOptions options;
    options.baseTokens = 1;
    options.chatTokens = mini::kRecoveryTokens;
    mini::makeDataSet(data, options, {});
    for (const char *sibling : {"instruct", "think"}) {
        const auto bundled = resourceDirectory() / "calibration" / ("mini-" + std::string(sibling) + ".jsonl");
        QVERIFY(readTextFile(bundled) == readTextFile(data / (std::string(sibling) + ".jsonl")));
    }
}

void TestMiniData::itemsAreNewToTraining()
{
    for (const mini::MiniTask &task : mini::miniTasks()) {
        SeededRandom random = mini::stream(7, task.name);
        std::set<std::string> test, training;
        for (int i = 0; i < kDraws; ++i) {
            test.insert(mini::drawQuestion(task, random, true).key);
            training.insert(mini::drawQuestion(task, random, false).key);
        }
        for (const auto &key : test)
            QVERIFY2(!training.contains(key), task.name);
    }
}

void TestMiniData::noTrainingDocumentAsksATestItem()
{
    std::set<std::string> asked;
    for (const char *file : {"base.jsonl", "instruct.jsonl", "think.jsonl"})
        for (const auto &row : rowsOf(readTextFile(data() / file))) {
            if (row.contains("messages")) {
                asked.insert(row["messages"][0]["content"].get<std::string>());
            } else if (row.contains("spans")) {
                const auto prompt = row["text"].get<std::string>().substr(0, row["spans"][0][1].get<std::size_t>());
                asked.insert(prompt);
                // generated answers: the question stands between two marks
                if (prompt.starts_with("Question: "))
                    asked.insert(prompt.substr(10, prompt.rfind('\n', prompt.size() - 2) - 10));
            }
        }
    QVERIFY(asked.size() > 1000);
    for (const mini::MiniTask &task : mini::miniTasks())
        for (const auto &row : rowsOf(mini::itemRows(task, 3))) {
            const std::string question = askedBy(row);
            QVERIFY2(!asked.contains(question), question.c_str());
        }
}

void TestMiniData::goldAnswersEarnThePoint()
{
    for (const mini::MiniTask &task : mini::miniTasks()) {
        if (task.kind == mini::TaskKind::Scored)
            continue;
        std::vector<std::string> ids{"mini-" + std::string(task.name)};
        if (ids.front() == "mini-human")
            ids.push_back("mini-human-plus");
        const auto rows = rowsOf(mini::itemRows(task, mini::kDefaultSeed));
        for (const std::string &id : ids) {
            const TaskSpec spec = findTask(id);
            const auto loaded = loadTaskItems(spec, {}, 0);
            QCOMPARE(loaded.size(), rows.size());
            for (std::size_t i = 0; i < rows.size(); ++i)
                QVERIFY2(gradeAnswer(spec, loaded[i], solutionOf(rows[i])).correct, qPrintable(at(id.c_str(), i)));
        }
    }
}

void TestMiniData::wrongAnswersDoNot()
{
    for (const mini::MiniTask &task : mini::miniTasks()) {
        if (task.kind == mini::TaskKind::Scored)
            continue;
        const TaskSpec spec = findTask("mini-" + std::string(task.name));
        const auto rows = rowsOf(mini::itemRows(task, mini::kDefaultSeed));
        const auto loaded = loadTaskItems(spec, {}, 0);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const std::string right = solutionOf(rows[i]);
            std::string wrong = right + " again";
            if (spec.grader == "boxed")
                wrong = right + " \\boxed{100}";
            else if (spec.grader == "function")
                wrong = right + "+1";
            QVERIFY2(!gradeAnswer(spec, loaded[i], wrong).correct, qPrintable(at(task.name, i)));
            QVERIFY2(!gradeAnswer(spec, loaded[i], "").correct, qPrintable(at(task.name, i)));
            if (spec.grader == "boxed") { // the number alone is no answer
                const auto bare = gradeAnswer(spec, loaded[i], rows[i]["answer"].get<std::string>());
                QVERIFY2(!bare.correct, qPrintable(at(task.name, i)));
            }
        }
    }
}

void TestMiniData::moreInputsFindMoreMistakes()
{
    const TaskSpec weak = findTask("mini-human");
    const TaskSpec strict = findTask("mini-human-plus");
    TaskItem item;
    item.goldAnswer = "def f(x):\n if x>8:\n  x=8\n return x";
    const std::string careless = "def f(x):\n return x";
    QVERIFY(gradeAnswer(weak, item, careless).correct);
    QVERIFY(!gradeAnswer(strict, item, careless).correct);
}

void TestMiniData::rightChoicesStandInEveryPlace()
{
    for (const mini::MiniTask &task : mini::miniTasks()) {
        if (task.kind != mini::TaskKind::Scored)
            continue;
        const auto loaded = loadTaskItems(findTask("mini-" + std::string(task.name)), {}, 0);
        std::map<int, int> places;
        for (const TaskItem &item : loaded) {
            ++places[item.gold];
            const std::set<std::string> different(item.choices.begin(), item.choices.end());
            QVERIFY(item.contexts.empty() ? different.size() == item.choices.size()
                                          : item.contexts[0] != item.contexts[1]);
        }
        const auto choices = loaded.front().choices.size();
        QCOMPARE(places.size(), choices);
        for (const auto &[place, count] : places) // a share far from equal would reward always saying the same
            QVERIFY2(std::size_t(count) * choices > loaded.size() / 2, task.name);
    }
}

void TestMiniData::calculationsInTracesAreRight()
{
    int equations = 0;
    for (const char *name : {"chain", "word", "mod", "vars"}) {
        const mini::MiniTask &task = mini::miniTask(name);
        SeededRandom random = mini::stream(11, name);
        for (int i = 0; i < kDraws; ++i) {
            const mini::Question question = mini::drawQuestion(task, random, false);
            static const QRegularExpression equation(QStringLiteral("(\\d+)([-+*/])(\\d+)=(\\d+)"));
            for (auto it = equation.globalMatch(QString::fromStdString(question.trace)); it.hasNext();) {
                const auto match = it.next();
                const int a = match.captured(1).toInt(), b = match.captured(3).toInt();
                const QString operation = match.captured(2);
                const int expected = operation == u"+" ? a + b
                    : operation == u"-"                ? a - b
                    : operation == u"*"                ? a * b
                                                       : a / b;
                QCOMPARE(match.captured(4).toInt(), expected);
                QVERIFY(expected >= 0 && expected <= 99);
                ++equations;
            }
        }
    }
    QVERIFY(equations > 4 * kDraws);
}

void TestMiniData::sameSeedSameBytes()
{
    const auto again = std::filesystem::path(m_folder.path().toStdString()) / "again";
    mini::makeDataSet(again, m_options, {});
    QVERIFY(digestsBelow(again) == digestsBelow(data()));
}

void TestMiniData::anotherSeedAnotherText()
{
    const auto other = std::filesystem::path(m_folder.path().toStdString()) / "other";
    auto options = m_options;
    options.seed = 99;
    options.baseTokens = options.chatTokens = 5000;
    mini::makeDataSet(other, options, {});
    const auto mine = digestsBelow(data());
    const auto theirs = digestsBelow(other);
    for (const char *file : {"base.jsonl", "think.jsonl", "instruct.jsonl", "items/mini-chain.jsonl"})
        QVERIFY2(mine.at(file) != theirs.at(file), file);
    // The same world: what is kept for tests stays so whatever the seed.
    for (const auto &row : rowsOf(readTextFile(other / "items/mini-popqa.jsonl")))
        QVERIFY(readTextFile(data() / "items/mini-popqa.jsonl").find(askedBy(row)) != std::string::npos);
}

void TestMiniData::documentsKeepTheirLength()
{
    for (const auto &[file, kinds] : m_report.files)
        for (const auto &[kind, summary] : kinds) {
            QVERIFY2(summary.document.longest <= mini::kLongestDocument, kind.c_str());
            QVERIFY2(summary.trace.longest <= 150, kind.c_str());
            QVERIFY2(summary.document.mean >= 8, kind.c_str());
        }
    for (const char *task : {"chain", "word", "mod", "vars", "sort"})
        QVERIFY2(m_report.files["think.jsonl"][task].trace.mean > 20, task);
    QVERIFY(m_report.files["think.jsonl"]["word"].trace.p95 > 100);
}

void TestMiniData::weightsCoverWhatIsAsked()
{
    int weighted = 0;
    for (const auto &row : rowsOf(readTextFile(data() / "base.jsonl"))) {
        const std::string text = row["text"];
        QVERIFY(text.ends_with("<|endoftext|>"));
        if (!row.contains("spans"))
            continue;
        std::size_t last = 0;
        for (const auto &span : row["spans"]) {
            QVERIFY(span[0].get<std::size_t>() >= last && span[0] < span[1]);
            last = span[1];
            QCOMPARE(span[2].get<double>(), 0.2);
        }
        QVERIFY(last < text.size() - std::string_view("<|endoftext|>").size()); // something is answered
        // Tokens do not cross the border between question and answer.
        auto parts = m_tokenizer->encode(text.substr(0, last));
        const auto rest = m_tokenizer->encode(text.substr(last));
        parts.insert(parts.end(), rest.begin(), rest.end());
        QVERIFY2(parts == m_tokenizer->encode(text), text.c_str());
        ++weighted;
    }
    QVERIFY(weighted > 1000);
}

void TestMiniData::theTokenizerReadsItsOwnText()
{
    QCOMPARE(m_tokenizer->vocabularySize(), std::int64_t(mini::kVocabularySize));
    QCOMPARE(m_tokenizer->tokenId("<|endoftext|>").value_or(-1), 0);
    QCOMPARE(m_tokenizer->tokenId("</think>").value_or(-1), 4);
    QVERIFY(m_tokenizer->isSpecial(2));
    for (std::int32_t id = 0; id < std::int32_t(mini::kVocabularySize); ++id)
        QVERIFY(!m_tokenizer->tokenText(id).empty());
    for (const auto &row : rowsOf(readTextFile(data() / "base.jsonl"))) {
        const std::string text = row["text"];
        QCOMPARE(m_tokenizer->decode(m_tokenizer->encode(text)), text);
    }
    const std::string odd = "Zw\xC3\xB6lf \xE2\x82\xAC\n\ttabs \xF0\x9F\x98\x80 <think>";
    QCOMPARE(m_tokenizer->decode(m_tokenizer->encode(odd)), odd);
}

void TestMiniData::digitsStandAlone()
{
    QCOMPARE(m_tokenizer->encode("47+38=85").size(), std::size_t(8));
    QCOMPARE(m_tokenizer->encode("\\boxed{32}").size(), std::size_t(6));
}

void TestMiniData::wordsOfTheWorldAreShort()
{
    for (const char *text : {" lion", " Question", " bigger", " people", " capital", " number"})
        QVERIFY2(m_tokenizer->encode(text).size() <= 2, text);
}

void TestMiniData::templatesWriteWhatTheConversationsHold()
{
    const std::vector<ChatMessage> turns{{"user", "Compute 1+2."},
                                         {"assistant", "<think>\n1+2=3\n</think>\n\\boxed{3}"}};
    const std::string expected = "<|im_start|>user\nCompute 1+2.<|im_end|>\n<|im_start|>assistant\n";
    for (const char *sibling : {"instruct", "think"}) {
        const auto chat = loadChatTemplate(data() / sibling);
        QVERIFY(chat.has_value());
        QCOMPARE(chat->render({turns.front()}, true), expected);
        QCOMPARE(chat->render(turns, false), expected + turns.back().content + "<|im_end|>\n");
    }
}

void TestMiniData::recoveryReadsTheConversations()
{
    for (const char *file : {"instruct.jsonl", "think.jsonl"}) {
        const Corpus corpus = readCorpus(data() / file);
        QCOMPARE(corpus.kind, std::string("chat"));
        QCOMPARE(corpus.skipped, std::int64_t(0));
        std::size_t chats = 0;
        for (const CorpusSample &sample : corpus.samples) {
            chats += sample.isChat() ? 1 : 0;
            if (sample.isChat())
                QCOMPARE(sample.messages.back().content.starts_with("<think>\n"),
                         std::string_view(file) == "think.jsonl");
        }
        QVERIFY(chats * 10 > corpus.samples.size() * 7 && chats < corpus.samples.size());
    }
}

void TestMiniData::trainingMergesTheMostFrequentPairFirst()
{
    BpeTrainer trainer({{"<end>", true}});
    trainer.add("abab ab<end>cd cd 11");
    const auto json = nlohmann::json::parse(trainer.tokenizerJson(1 + 256 + 2));
    QCOMPARE(json["model"]["merges"][0].get<std::string>(), std::string("a b"));
    QCOMPARE(json["model"]["merges"][1].get<std::string>(), std::string("c d"));
    QCOMPARE(json["model"]["vocab"]["ab"].get<int>(), 257);
    const auto all = nlohmann::json::parse(trainer.tokenizerJson(5000)); // ends when nothing is left to merge
    QVERIFY(all["model"]["vocab"].size() < 300);
    QVERIFY(!all["model"]["vocab"].contains("11"));
}

void TestMiniData::tooSmallAVocabularyIsRefused()
{
    const auto error = errorOf([] { BpeTrainer({{"<end>", true}}).tokenizerJson(256); });
    QVERIFY(error.has_value());
    QVERIFY(QString::fromStdString(error->message).contains(QStringLiteral("257")));
}

QTEST_APPLESS_MAIN(TestMiniData)
#include "tst_mini_data.moc"
