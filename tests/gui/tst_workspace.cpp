#include "app/controllers/document_controller.h"
#include "app/pages/paired_test.h"
#include "app/pages/recovery_estimate.h"
#include "app/settings/app_settings.h"
#include "app/workspace.h"

#include <QFile>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include <random>

using namespace secateur;

class TestWorkspace : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void aThousandEditsCanBeUndoneAndRedone();
    void undoingAPlanKeepsWhatWasMadeFromItForRedo();
    void deletingAParentTakesItsChildrenRunsAndReports();
    void aPlanThatNamesItselfAsParentDoesNotHang();
    void reportsOfOneProtocolGrowTogether();
    void savingMakesTheDocumentCleanUnlessItChangedMeanwhile();
    void idsAreNeverGivenTwice();
    void pairedTestCountsFlipsOnSharedItems();
    void adapterSizeFollowsTheShapes();
    void estimateCoversEveryKindOfTraining();
    void recentListKeepsTheNewestFirst();
    void filesAreKnownByTheirContents_data();
    void filesAreKnownByTheirContents();

private:
    std::unique_ptr<Workspace> m_workspace;

    static ModelConfig config();
    PruningPlan plan(const std::string &id, const std::string &parent = {}, int block = 1) const;
    static EvaluationReport report(const std::string &id, const std::string &subject, const std::string &protocol,
                                   const std::string &task);
};

ModelConfig TestWorkspace::config()
{
    ModelConfig config;
    config.modelType = "llama";
    config.hiddenSize = 16;
    config.headDim = 4;
    config.vocabSize = 32;
    config.maxPositions = 64;
    for (int i = 0; i < 6; ++i)
        config.blocks.push_back({.originalIndex = i, .kvHeads = 2, .queryHeads = 4, .intermediateSize = 24});
    return config;
}

PruningPlan TestWorkspace::plan(const std::string &id, const std::string &parent, int block) const
{
    PruningPlan plan;
    plan.id = id;
    plan.parent = parent;
    plan.name = "name of " + id;
    plan.removed.blocks = {block};
    return plan;
}

EvaluationReport TestWorkspace::report(const std::string &id, const std::string &subject, const std::string &protocol,
                                       const std::string &task)
{
    EvaluationReport report;
    report.id = id;
    report.subject = subject;
    report.protocol = protocol;
    TaskReport result;
    result.task = task;
    result.n = 2;
    report.tasks.push_back(result);
    return report;
}

void TestWorkspace::init()
{
    m_workspace = std::make_unique<Workspace>();
    SessionModel model;
    model.alias = "tiny";
    model.digest = "0123";
    model.config = config();
    m_workspace->openModel(model, {});
}

void TestWorkspace::aThousandEditsCanBeUndoneAndRedone()
{
    PruneSelection *selection = m_workspace->selection();
    std::vector<std::pair<UnitSet, UnitSet>> states;
    states.emplace_back(selection->selected(), selection->locked());
    std::mt19937 random(7);
    while (m_workspace->undoStack()->count() < 1000) {
        UnitSet units;
        const int block = static_cast<int>(random() % 6);
        switch (random() % 4) {
        case 0:
            units.blocks = {block};
            break;
        case 1:
            units.kvGroups[block] = {static_cast<int>(random() % 2)};
            break;
        default:
            units.ffnChannels[block] = {static_cast<int>(random() % 24), static_cast<int>(random() % 24)};
        }
        const int before = m_workspace->undoStack()->count();
        if (random() % 8 == 0)
            selection->toggleLock(units);
        else
            selection->toggle(units);
        if (m_workspace->undoStack()->count() > before)
            states.emplace_back(selection->selected(), selection->locked());
    }

    for (std::size_t i = states.size() - 1; i-- > 0;) {
        m_workspace->undoStack()->undo();
        QVERIFY(selection->selected() == states[i].first && selection->locked() == states[i].second);
    }
    QVERIFY(!m_workspace->isDirty());
    for (std::size_t i = 1; i < states.size(); ++i) {
        m_workspace->undoStack()->redo();
        QVERIFY(selection->selected() == states[i].first && selection->locked() == states[i].second);
    }
}

void TestWorkspace::undoingAPlanKeepsWhatWasMadeFromItForRedo()
{
    m_workspace->createPlan(plan("plan-1"));
    RunRecord run;
    run.id = "run-1";
    run.plan = "plan-1";
    m_workspace->addRun(run, "/nowhere");
    m_workspace->addReport(report("report-1", "run-1", "p", "a"));

    m_workspace->undoStack()->undo();
    QVERIFY(m_workspace->session().plans.empty());
    QVERIFY(m_workspace->session().runs.empty());
    QVERIFY(m_workspace->session().reports.empty());
    m_workspace->undoStack()->redo();
    QCOMPARE(m_workspace->session().plans.size(), 1U);
    QCOMPARE(m_workspace->session().runs.front().id, std::string("run-1"));
    QCOMPARE(m_workspace->session().reports.front()->id, std::string("report-1"));
}

void TestWorkspace::deletingAParentTakesItsChildrenRunsAndReports()
{
    m_workspace->createPlan(plan("plan-1"));
    m_workspace->createPlan(plan("plan-2", {}, 2));
    m_workspace->createPlan(plan("plan-3", "plan-1", 3));
    RunRecord run;
    run.id = "run-1";
    run.plan = "plan-3";
    m_workspace->addRun(run, {});
    m_workspace->setCurrentSubject(u"run-1"_qs);
    QVERIFY(m_workspace->hasRecords(u"plan-1"_qs));
    QVERIFY(!m_workspace->hasRecords(u"plan-2"_qs));

    m_workspace->removeRecord(u"plan-1"_qs);
    QCOMPARE(m_workspace->subjectIds(), QStringList({u"dense"_qs, u"plan-2"_qs}));
    QCOMPARE(m_workspace->currentSubject(), u"dense"_qs);
    m_workspace->undoStack()->undo();
    QCOMPARE(m_workspace->subjectIds(),
             QStringList({u"dense"_qs, u"plan-1"_qs, u"plan-2"_qs, u"plan-3"_qs, u"run-1"_qs}));
}

void TestWorkspace::aPlanThatNamesItselfAsParentDoesNotHang()
{
    m_workspace->createPlan(plan("plan-1", "plan-1"));
    QVERIFY(!m_workspace->hasRecords(u"plan-1"_qs));
    m_workspace->removeRecord(u"plan-1"_qs);
    QVERIFY(m_workspace->session().plans.empty());
}

void TestWorkspace::reportsOfOneProtocolGrowTogether()
{
    m_workspace->addReport(report("report-1", "dense", "greedy", "a"));
    m_workspace->addReport(report("report-2", "dense", "greedy", "b"));
    m_workspace->addReport(report("report-3", "dense", "greedy, cap 8", "a"));

    QCOMPARE(m_workspace->session().reports.size(), 2U);
    QCOMPARE(m_workspace->session().reports.front()->tasks.size(), 2U);
    QCOMPARE(m_workspace->session().reports.front()->id, std::string("report-1"));
}

void TestWorkspace::savingMakesTheDocumentCleanUnlessItChangedMeanwhile()
{
    QSignalSpy dirty(m_workspace.get(), &Workspace::dirtyChanged);
    m_workspace->createPlan(plan("plan-1"));
    QVERIFY(m_workspace->isDirty());
    const int index = m_workspace->undoStack()->index();
    m_workspace->markSaved(u"/tmp/a.json"_qs, index, m_workspace->revision());
    QVERIFY(!m_workspace->isDirty());
    QVERIFY(dirty.count() >= 2);

    const int revision = m_workspace->revision();
    m_workspace->addReport(report("report-1", "dense", "p", "a"));
    m_workspace->markSaved(u"/tmp/a.json"_qs, index, revision);
    QVERIFY(m_workspace->isDirty());
    QCOMPARE(m_workspace->unsavedSteps(), 1);
}

void TestWorkspace::idsAreNeverGivenTwice()
{
    QCOMPARE(m_workspace->reserveId("plan"), std::string("plan-1"));
    m_workspace->createPlan(plan("plan-7"));
    QCOMPARE(m_workspace->reserveId("plan"), std::string("plan-8"));
    m_workspace->undoStack()->undo();
    QCOMPARE(m_workspace->reserveId("plan"), std::string("plan-9"));
    QCOMPARE(m_workspace->reserveId("run"), std::string("run-1"));
}

void TestWorkspace::pairedTestCountsFlipsOnSharedItems()
{
    TaskReport first, second;
    for (int i = 0; i < 10; ++i) {
        SampleResult sample;
        sample.docId = i;
        sample.correct = true;
        first.samples.push_back(sample);
        sample.correct = i >= 6;
        if (i < 9)
            second.samples.push_back(sample);
    }
    const PairedResult result = pairedResult(first, second);
    QCOMPARE(result.shared, 9);
    QCOMPARE(result.onlyFirst, 6);
    QCOMPARE(result.onlySecond, 0);
    // Two-sided binomial: 2 · (1/2)^6.
    QVERIFY(qAbs(result.p - 0.03125) < 1e-12);
    QVERIFY(verdictText(result).contains(u"worse"_qs));
}

void TestWorkspace::adapterSizeFollowsTheShapes()
{
    RecoveryOptions options;
    options.rank = 2;
    options.targets = {"q_proj", "k_proj", "down_proj"};
    // Per block: q 16 → 16, k 16 → 8, down 24 → 16.
    const std::int64_t expected = 6 * 2 * ((16 + 16) + (16 + 8) + (24 + 16));
    QCOMPARE(estimateRecovery(config(), options, {}).trainedParameters, expected);
}

void TestWorkspace::estimateCoversEveryKindOfTraining()
{
    RecoveryOptions options;
    const std::int64_t all = totalParameters(config());
    const RecoveryEstimate lora = estimateRecovery(config(), options, {});
    options.kind = "full";
    const RecoveryEstimate full = estimateRecovery(config(), options, {});
    QCOMPARE(full.trainedParameters, all);
    QCOMPARE(full.trained, all * 16); // weights, gradients and two moments in f32
    QVERIFY(lora.trained < full.trained);
    options.kind = "distill";
    const RecoveryEstimate distill = estimateRecovery(config(), options, {.parentParameters = all});
    QCOMPARE(distill.weights, 2 * lora.weights);
    QVERIFY(distill.activations > lora.activations); // the parent's logits
    QCOMPARE(distill.trainedParameters, lora.trainedParameters);

    // Steps beyond one part are cut, so they need no more; recomputing needs less.
    options = {};
    options.batchTokens = 8192;
    QCOMPARE(estimateRecovery(config(), options, {}).activations, lora.activations);
    options.recompute = true;
    QVERIFY(estimateRecovery(config(), options, {}).activations < lora.activations);
}

void TestWorkspace::recentListKeepsTheNewestFirst()
{
    const QTemporaryDir folder;
    const auto entry = [](int number, const QString &title) {
        RecentEntry recent;
        recent.path = u"/model %1"_qs.arg(number);
        recent.title = title;
        return recent;
    };
    AppSettings settings(folder.filePath(u"s.ini"_qs));
    for (int i = 0; i < 15; ++i)
        settings.addRecent(entry(i, QString::number(i)));
    settings.addRecent(entry(9, u"again"_qs));

    const QList<RecentEntry> entries = AppSettings(folder.filePath(u"s.ini"_qs)).recent();
    QCOMPARE(entries.size(), 12);
    QCOMPARE(entries.first().title, u"again"_qs);
    QCOMPARE(entries.at(1).title, u"14"_qs);
    QCOMPARE(std::count_if(entries.begin(), entries.end(),
                           [](const RecentEntry &recent) { return recent.path == u"/model 9"; }),
             1);
}

void TestWorkspace::filesAreKnownByTheirContents_data()
{
    using Kind = RecognisedFile::Kind;
    QTest::addColumn<QByteArray>("contents");
    QTest::addColumn<int>("kind");
    const QByteArray long_ = "{\"evaluations\": \"" + QByteArray(300'000, 'x') + "\", ";
    QTest::newRow("session") << QByteArray("{\"format\": \"secateur-session\"}") << int(Kind::Session);
    QTest::newRow("session with many evaluations") << long_ + "\"format\": \"secateur-session\"}" << int(Kind::Session);
    QTest::newRow("plan") << QByteArray("{\"format\": \"secateur-plan\"}") << int(Kind::Plan);
    QTest::newRow("plan of units alone") << QByteArray("{\"removed\": {}}") << int(Kind::Plan);
    QTest::newRow("anything") << long_ + "\"format\": \"novel\"}" << int(Kind::Unknown);
    QTest::newRow("empty") << QByteArray() << int(Kind::Unknown);
}

void TestWorkspace::filesAreKnownByTheirContents()
{
    QFETCH(QByteArray, contents);
    QFETCH(int, kind);
    const QTemporaryDir folder;
    QFile file(folder.filePath(QStringLiteral("some.json")));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write(contents);
    file.close();
    QCOMPARE(int(recogniseFile(file.fileName()).kind), kind);
}

QTEST_MAIN(TestWorkspace)
#include "tst_workspace.moc"
