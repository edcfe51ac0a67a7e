#include "backend/io/atomic_file.h"
#include "backend/workflow/recover.h"
#include "backend/workflow/recovery_history.h"
#include "tests/support/tiny_model.h"

#include <QTemporaryDir>
#include <QTest>

#include <filesystem>

using namespace secateur;
namespace fs = std::filesystem;

/// What stays of a run beside its result: answers to the probe questions, adapters of checkpoints, the way back in.
class TestRecoveryHistory : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void probesAreAskedAtEveryCheckpointAndChangeNothing();
    void historyKeepsCurveAnswersAndAdapters();
    void aStoppedRunIsFoundAndEndsLikeAWholeOne();
    void aLongRunThinsOutItsAdapters();
    void runsOfOtherModelsAndBrokenFoldersAreNotOffered();

private:
    QTemporaryDir m_folder;
    workflow::LoadedModel m_model;

    fs::path path(const char *name) const { return fs::path(m_folder.path().toStdString()) / name; }
    workflow::RecoverRequest request(const char *output) const
    {
        workflow::RecoverRequest made;
        made.data = path("chats.jsonl").string();
        made.options.steps = 6;
        made.options.batchTokens = 64;
        made.options.checkpointSteps = 2;
        made.options.heldOut = 0.2;
        made.options.heldOutEvery = 3;
        made.outputFolder = path(output);
        made.keepHistory = true;
        return made;
    }
};

void TestRecoveryHistory::initTestCase()
{
    writeTinyModel(path("model"));
    std::string rows;
    for (int i = 0; i < 20; ++i)
        rows += "{\"prompt\":\"Count to " + std::to_string(i) + ".\",\"response\":\"One, two and " + std::to_string(i)
            + ".\"}\n";
    writeFileAtomically(path("chats.jsonl"), rows);
    m_model = workflow::openModel(path("model").string(), {.dtype = "f32", .threads = 1}, {}, {});
}

void TestRecoveryHistory::probesAreAskedAtEveryCheckpointAndChangeNothing()
{
    auto asked = request("plain");
    const auto plain = workflow::recover(m_model, *m_model.model, asked, {});
    QVERIFY(plain.probes.empty());
    asked = request("probed");
    asked.probes = workflow::defaultProbes();
    asked.probeTokens = 8;
    std::vector<std::int64_t> heard;
    asked.onProbes = [&](const workflow::ProbeRound &round) { heard.push_back(round.step); };
    const auto probed = workflow::recover(m_model, *m_model.model, asked, {});
    QCOMPARE(probed.record.losses, plain.record.losses);
    QCOMPARE(heard, (std::vector<std::int64_t>{0, 2, 4, 6}));
    QCOMPARE(probed.probes.size(), 4U);
    for (const workflow::ProbeRound &round : probed.probes) {
        QCOMPARE(round.answers.size(), asked.probes.size());
        QVERIFY(!round.answers.front().finish.empty());
    }
    // The answers are those of the model as it was then.
    const Adapter adapter = loadAdapter(workflow::historyAdapter(path("probed"), 4), *m_model.model);
    const auto again = workflow::answerProbes(m_model, withAdapter(*m_model.model, adapter), asked.probes, 8);
    QCOMPARE(again.answers.front().text, probed.probes[2].answers.front().text);
}

void TestRecoveryHistory::historyKeepsCurveAnswersAndAdapters()
{
    const workflow::RunHistory history = workflow::loadHistory(path("probed"));
    QCOMPARE(history.points.size(), 6U);
    QCOMPARE(history.heldOut.size(), 3U); // before steps 1 and 4, and at the end
    QCOMPARE(history.questions, workflow::defaultProbes());
    QCOMPARE(history.probes.size(), 4U);
    QCOMPARE(history.adapters, (std::vector<std::int64_t>{2, 4, 6}));
    QVERIFY(workflow::loadHistory(path("nothing")).points.empty());
}

void TestRecoveryHistory::aStoppedRunIsFoundAndEndsLikeAWholeOne()
{
    auto asked = request("stopped");
    asked.probes = {"Why?"};
    asked.probeTokens = 4;
    std::stop_source stop;
    const JobContext context(stop.get_token(), [&](const Progress &progress) {
        if (progress.stage == "recover.step" && progress.done == 3)
            stop.request_stop();
    });
    const auto stopped = workflow::recover(m_model, *m_model.model, asked, context);
    QVERIFY(stopped.training.cancelled);
    const auto offered = workflow::unfinishedRuns({path("")}, m_model.info.digest);
    QCOMPARE(offered.size(), 1U);
    QCOMPARE(offered.front().checkpoint.step, 3);
    QCOMPARE(offered.front().data, asked.data);
    QCOMPARE(offered.front().output.filename(), fs::path("stopped"));
    QVERIFY(!offered.front().plan);

    asked.resume = offered.front().checkpoint;
    const auto ended = workflow::recover(m_model, *m_model.model, asked, {});
    asked = request("whole");
    const auto whole = workflow::recover(m_model, *m_model.model, asked, {});
    QCOMPARE(ended.record.losses, whole.record.losses);
    std::vector<std::int64_t> steps;
    for (const workflow::ProbeRound &round : ended.probes)
        steps.push_back(round.step);
    QCOMPARE(steps, (std::vector<std::int64_t>{0, 2, 4, 6})); // those before the stop included
    QVERIFY(workflow::unfinishedRuns({path("")}, m_model.info.digest).empty());
}

void TestRecoveryHistory::aLongRunThinsOutItsAdapters()
{
    CheckpointRecord record;
    record.folder = path("a checkpoint");
    fs::create_directories(record.folder / "adapter");
    writeFileAtomically(record.folder / "adapter" / "adapter_config.json", "{}");
    for (record.step = 10; record.step <= 1000; record.step += 10)
        workflow::keepAdapter(path("long"), record);
    const auto kept = workflow::loadHistory(path("long")).adapters;
    QVERIFY(kept.size() <= workflow::kKeptAdapters && kept.size() >= workflow::kKeptAdapters / 2);
    QCOMPARE(kept.back(), 1000);
    QCOMPARE(kept.front(), 10);
}

void TestRecoveryHistory::runsOfOtherModelsAndBrokenFoldersAreNotOffered()
{
    auto asked = request("left");
    std::stop_source stop;
    const JobContext context(stop.get_token(), [&](const Progress &progress) {
        if (progress.stage == "recover.step" && progress.done == 1)
            stop.request_stop();
    });
    PruningPlan plan;
    plan.id = "plan-7";
    plan.name = "by hand";
    plan.removed.blocks = {1};
    asked.plan = plan;
    workflow::recover(m_model, *m_model.model, asked, context);
    fs::create_directories(path("broken.checkpoints") / "step-000001");
    const auto offered = workflow::unfinishedRuns({path(""), path("missing")}, m_model.info.digest);
    QCOMPARE(offered.size(), 1U);
    QVERIFY(offered.front().plan && offered.front().plan->removed == plan.removed);
    QVERIFY(workflow::unfinishedRuns({path("")}, "another digest").empty());
}

QTEST_GUILESS_MAIN(TestRecoveryHistory)
#include "tst_recovery_history.moc"
