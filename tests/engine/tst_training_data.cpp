#include "backend/workflow/training_data.h"
#include "backend/workflow/workbench.h"
#include "tests/support/thrown_by.h"
#include "tests/support/tiny_model.h"

#include <QTemporaryDir>
#include <QTest>

#include <filesystem>
#include <fstream>

using namespace secateur;
using workflow::TrainingDataCard;
namespace fs = std::filesystem;

namespace {

std::string chatRow(const std::string &answer)
{
    return R"({"messages":[{"role":"user","content":"Why?"},{"role":"assistant","content":")" + answer + "\"}]}\n";
}

} // namespace

class TestTrainingData : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void answersWithATraceMakeAThinkSet();
    void warnsWhenTheAnswersDoNotFitTheModel();
    void countsWhatTheLengthLeavesOut();
    void splitTextsAreCounted();
    void aTextForAModelWithoutTemplateSaysSo();
    void unreadableDataNamesFileAndField();
    void canBeStopped();

private:
    QTemporaryDir m_folder;
    workflow::LoadedModel m_model;

    std::string write(const char *name, const std::string &text) const
    {
        const fs::path path = fs::path(m_folder.path().toStdString()) / name;
        std::ofstream(path, std::ios::binary) << text;
        return path.string();
    }
    workflow::TrainingDataQuestion question(const std::string &source) const
    {
        return {.source = source,
                .tokenizer = m_model.tokenizer,
                .chatTemplate = m_model.chatTemplate,
                .modelThinks = false,
                .options = {}};
    }
};

void TestTrainingData::initTestCase()
{
    const fs::path folder = fs::path(m_folder.path().toStdString()) / "model";
    writeTinyModel(folder);
    m_model = workflow::openHeaders(folder.string(), {});
    QVERIFY(m_model.tokenizer && m_model.chatTemplate);
}

void TestTrainingData::answersWithATraceMakeAThinkSet()
{
    const std::string trace = chatRow("<think>so</think>yes"), plain = chatRow("yes");
    const auto kind = [&](const std::string &rows) {
        return workflow::describeTrainingData(question(write("kind.jsonl", rows))).kind;
    };
    QCOMPARE(kind(plain + plain), std::string("instruct"));
    QCOMPARE(kind(trace + trace + plain), std::string("think"));
    QCOMPARE(kind(trace + plain + plain), std::string("mixed"));
    QCOMPARE(kind("{\"text\":\"A tree.\"}\n"), std::string("text"));

    const TrainingDataCard card = workflow::describeTrainingData(question(write("kind.jsonl", trace + plain)));
    QCOMPARE(card.form, std::string("chat"));
    QCOMPARE(card.documents, 2);
    QCOMPARE(card.answers, 2);
    QCOMPARE(card.traces, 1);
    QCOMPARE(card.samples, 2);
    QVERIFY(card.scoredTokens > 0 && card.scoredTokens < card.tokens);
}

void TestTrainingData::warnsWhenTheAnswersDoNotFitTheModel()
{
    const std::string trace = chatRow("<think>so</think>yes"), plain = chatRow("yes");
    const auto fit = [&](const std::string &rows, bool thinks) {
        auto asked = question(write("fit.jsonl", rows));
        asked.modelThinks = thinks;
        return workflow::describeTrainingData(asked).fit;
    };
    QVERIFY(fit(plain, false) == TrainingDataCard::Fit::Good);
    QVERIFY(fit(plain, true) == TrainingDataCard::Fit::TracesMissing);
    QVERIFY(fit(trace, false) == TrainingDataCard::Fit::TracesUnwanted);
    QVERIFY(fit(trace, true) == TrainingDataCard::Fit::Good);
}

void TestTrainingData::countsWhatTheLengthLeavesOut()
{
    auto asked = question(write("long.jsonl", chatRow("yes") + chatRow(std::string(400, 'y')) + chatRow("")));
    asked.options.maxLength = 200;
    const TrainingDataCard card = workflow::describeTrainingData(asked);
    QCOMPARE(card.samples, 1);
    QCOMPARE(card.dropped, 1);
    QCOMPARE(card.skipped, 1);
    QVERIFY(card.longest > 400); // the one that was left out
    asked.options.maxLength = 1000;
    QCOMPARE(workflow::describeTrainingData(asked).dropped, 0);
}

void TestTrainingData::splitTextsAreCounted()
{
    auto asked = question(write("texts.jsonl", "{\"text\":\"" + std::string(100, 'a') + "\"}\n{\"text\":\"short\"}\n"));
    asked.options.maxLength = 40;
    asked.options.splitLong = true;
    const TrainingDataCard card = workflow::describeTrainingData(asked);
    QCOMPARE(card.split, 1);
    QCOMPARE(card.samples, 4);
    QCOMPARE(card.dropped, 0);
}

void TestTrainingData::aTextForAModelWithoutTemplateSaysSo()
{
    auto asked = question(write("prose.txt", "A tree has boughs. A bough has leaves."));
    asked.chatTemplate = nullptr;
    const TrainingDataCard card = workflow::describeTrainingData(asked);
    QVERIFY(card.fit == TrainingDataCard::Fit::NoTemplate);
    QCOMPARE(card.kind, std::string("text"));
}

void TestTrainingData::unreadableDataNamesFileAndField()
{
    const auto missing = thrownBy([&] { workflow::describeTrainingData(question("/nowhere/data.jsonl")); });
    QVERIFY(says(missing, "data.jsonl"));
    const std::string broken = write("broken.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":5}]}\n");
    const auto field = thrownBy([&] { workflow::describeTrainingData(question(broken)); });
    QVERIFY2(says(field, "broken.jsonl"), field.message.c_str());
    QVERIFY2(says(field, "content"), field.message.c_str());
}

void TestTrainingData::canBeStopped()
{
    std::stop_source stop;
    stop.request_stop();
    QVERIFY_THROWS_EXCEPTION(
        Cancelled,
        workflow::describeTrainingData(question(write("stop.jsonl", chatRow("yes"))), JobContext(stop.get_token(), {})));
}

QTEST_GUILESS_MAIN(TestTrainingData)
#include "tst_training_data.moc"
