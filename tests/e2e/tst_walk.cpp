#include "app/controllers/document_controller.h"
#include "app/controllers/eval_controller.h"
#include "app/controllers/recovery_controller.h"
#include "app/pages/compare_page.h"
#include "app/pages/evaluation_page.h"
#include "app/pages/importance_page.h"
#include "app/pages/plan_page.h"
#include "app/pages/recovery_page.h"
#include "app/pages/traces_page.h"
#include "app/window_actions.h"
#include "backend/core/resource_path.h"
#include "backend/io/session_file.h"
#include "tests/e2e/cli_process.h"
#include "tests/gui/window_driver.h"
#include "tests/gui/window_pictures.h"
#include "tests/support/test_data.h"
#include "widgets/controls/banner.h"
#include "widgets/heatmap/heatmap_panel.h"
#include "widgets/models/eval_table_model.h"

#include <nlohmann/json.hpp>

#include <QAction>
#include <QComboBox>
#include <QGuiApplication>
#include <QMouseEvent>
#include <QPushButton>
#include <QScopeGuard>
#include <QSpinBox>
#include <QStandardPaths>
#include <QStyleHints>
#include <QTableView>

#include <clocale>
#include <filesystem>

using namespace secateur;
namespace fs = std::filesystem;

namespace {

constexpr int kMinute = 60'000;
void drag(HeatmapView *view, HeatmapCell from, HeatmapCell to, Qt::KeyboardModifiers modifiers)
{
    const QPoint start = view->cellRect(from).center().toPoint();
    const QPoint end = view->cellRect(to).center().toPoint();
    QTest::mousePress(view, Qt::LeftButton, modifiers, start);
    for (const QPoint &step : {start + QPoint(QGuiApplication::styleHints()->startDragDistance() + 1, 0), end}) {
        QMouseEvent move(QEvent::MouseMove, step, view->mapToGlobal(QPointF(step)), Qt::NoButton, Qt::LeftButton,
                         modifiers);
        QCoreApplication::sendEvent(view, &move);
    }
    QTest::mouseRelease(view, Qt::LeftButton, modifiers, end);
}

nlohmann::json unitsJson(const std::map<int, std::set<int>> &units)
{
    nlohmann::json json = nlohmann::json::object();
    for (const auto &[block, members] : units)
        json[std::to_string(block)] = members;
    return json;
}

double largestDifference(const std::vector<float> &a, const std::vector<float> &b)
{
    double largest = a.size() == b.size() ? 0 : HUGE_VAL;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        if (std::isnan(a[i]) != std::isnan(b[i]))
            return HUGE_VAL;
        if (!std::isnan(a[i]))
            largest = std::max(largest, std::abs(double(a[i]) - double(b[i])));
    }
    return largest;
}

} // namespace

/// The whole job on a real model, with the mouse on the real window, and once more as a recipe: the numbers agree.
class TestWalk : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void cleanupTestCase();
    void opensAndCalibrates();
    void selectsBlocksAndARectangle();
    void prunes();
    void recovers();
    void evaluatesThreeModels();
    void savesAndReopensWithoutTheModel();
    void recipeGivesTheSameNumbers();

private:
    std::unique_ptr<WindowDriver> m_driver;
    std::unique_ptr<Watchdog> m_watchdog;
    QTemporaryDir m_folder;
    fs::path m_model;
    UnitSet m_selection;
    RecoveryOptions m_recovery;
    Session m_session; ///< as the window has made it

    fs::path path(const char *name) const { return fs::path(m_folder.path().toStdString()) / name; }
    MainWindow &window() { return m_driver->window(); }
    Workspace &workspace() { return m_driver->workspace(); }
    WindowActions &actions() { return *m_driver->window().actions(); }
    QString banner()
    {
        return window().errorBanners().isEmpty() ? QString() : window().errorBanners().first()->title();
    }
};

void TestWalk::initTestCase()
{
    std::setlocale(LC_NUMERIC, "C");
    const fs::path bundled = cacheDirectory() / "smollm2-0.1.2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
    if (testData().empty())
        QSKIP("SECATEUR_TEST_DATA is not set: there are no benchmark rows");
    if (!fs::exists(bundled))
        QSKIP("SmolLM2 is not in the cache; packaging/dependencies.sh fetches it");
    QStandardPaths::setTestModeEnabled(true);
    m_model = path("SmolLM2-135M-Instruct.Q4_1.gguf");
    fs::copy_file(bundled, m_model); // the walk takes it away later
    m_driver = std::make_unique<WindowDriver>();
    QVERIFY(QTest::qWaitForWindowExposed(&window()));
    window().resize(1440, 900);
    QTRY_VERIFY(m_driver->isIdle());
    m_watchdog = std::make_unique<Watchdog>();
}

void TestWalk::cleanupTestCase()
{
    if (m_watchdog)
        qInfo("largest gap between two rounds of the event loop: %lld ms",
              static_cast<long long>(m_watchdog->largestGapMs()));
    m_watchdog.reset();
    m_driver.reset();
}

void TestWalk::opensAndCalibrates()
{
    m_driver->prompts->file = QString::fromStdString(m_model.string());
    actions().open->trigger();
    QTRY_VERIFY_WITH_TIMEOUT(workspace().hasWeights(), kMinute);

    m_driver->prompts->calibrationAnswer
        = workflow::CalibrationRequest{.source = "bundled", .samples = 16, .length = 256};
    actions().calibrate->trigger();
    QTRY_VERIFY_WITH_TIMEOUT(workspace().analysis() != nullptr, 3 * kMinute);
    QVERIFY(window().importancePage()->showsMaps());
}

void TestWalk::selectsBlocksAndARectangle()
{
    QComboBox *maps = window().importancePage()->mapBox();
    HeatmapView *view = window().importancePage()->panel()->view();
    QVERIFY(maps->findData(QStringLiteral("block_cosine")) >= 0);
    maps->setCurrentIndex(maps->findData(QStringLiteral("block_cosine")));
    const auto clickBlock = [view](int block, Qt::KeyboardModifiers modifiers) {
        QTest::mouseClick(view, Qt::LeftButton, modifiers, view->stripRect(block).center().toPoint());
    };
    clickBlock(13, {});
    clickBlock(14, Qt::ControlModifier);
    clickBlock(17, Qt::ControlModifier);
    QVERIFY(workspace().selection()->selected() == blockUnits({13, 14, 17}));

    QVERIFY(maps->findData(QStringLiteral("ffn_importance")) >= 0);
    maps->setCurrentIndex(maps->findData(QStringLiteral("ffn_importance")));
    view->setVisibleCells(QRectF(180, 0, 64, 30));
    drag(view, {5, 192}, {6, 231}, Qt::ControlModifier);
    m_selection = workspace().selection()->selected();
    QCOMPARE(m_selection.blocks.size(), 3U);
    QCOMPARE(m_selection.ffnChannels.size(), 2U);
    QCOMPARE(m_selection.ffnChannels[5], m_selection.ffnChannels[6]);
    QCOMPARE(*m_selection.ffnChannels[5].begin(), 192);
    QCOMPARE(*m_selection.ffnChannels[5].rbegin(), 231);
}

void TestWalk::prunes()
{
    actions().prune->trigger();
    PlanPage *page = window().planPage();
    QTRY_VERIFY_WITH_TIMEOUT(page->preview() && page->preview()->isPossible(), kMinute);
    QTRY_VERIFY(page->pruneButton()->isEnabled());
    QVERIFY(!page->preview()->snapped.isEmpty());
    QTest::mouseClick(page->pruneButton(), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(workspace().session().plans.size() == 1 || !banner().isEmpty(), 2 * kMinute);
    QVERIFY2(banner().isEmpty(), qPrintable(banner()));
    QTRY_VERIFY(m_driver->isIdle());
}

void TestWalk::recovers()
{
    actions().recover->trigger();
    RecoveryPage *page = window().recoveryPage();
    page->stepsBox()->setValue(20);
    for (QSpinBox *box : page->findChildren<QSpinBox *>()) {
        if (box->accessibleName().contains(u"Batch"_qs, Qt::CaseInsensitive))
            box->setValue(512);
    }
    m_recovery = page->options();
    QTRY_VERIFY_WITH_TIMEOUT(m_driver->isIdle() && page->queueButton()->isEnabled(), kMinute);
    QTest::mouseClick(page->queueButton(), Qt::LeftButton);
    QTRY_VERIFY_WITH_TIMEOUT(workspace().session().runs.size() == 1 || !banner().isEmpty(), 10 * kMinute);
    QVERIFY2(banner().isEmpty(), qPrintable(banner()));
    QCOMPARE(workspace().session().runs.front().losses.size(), 20U);
}

void TestWalk::evaluatesThreeModels()
{
    QTRY_VERIFY(m_driver->isIdle());
    m_driver->prompts->evaluationAnswer
        = EvaluationOptions{.tasks = {"piqa", "gsm8k"}, .limit = 40, .limits = {{"gsm8k", 10}}, .maxNewTokens = 64};
    m_driver->prompts->evaluationSubjects = {QString::fromStdString(workspace().session().plans.front().id),
                                             QString::fromStdString(workspace().session().runs.front().id)};
    m_driver->prompts->dataFolder = QString::fromStdString((testData() / "data").string());
    actions().evaluate->trigger();
    QTRY_VERIFY_WITH_TIMEOUT(workspace().session().reports.size() == 3 || !banner().isEmpty(), 15 * kMinute);
    QVERIFY2(banner().isEmpty(), qPrintable(banner()));
    QTRY_VERIFY(m_driver->isIdle());
    for (const EvaluationReportPtr &report : workspace().session().reports) {
        QCOMPARE(report->tasks.size(), 2U);
        QCOMPARE(report->tasks[0].n, 40);
        QCOMPARE(report->tasks[1].n, 10);
        QVERIFY(report->tasks[0].low < report->tasks[0].accuracy && report->tasks[0].accuracy < report->tasks[0].high);
    }
    QCOMPARE(window().evaluationPage()->model()->columnCount(), 5);
    window().showTab(MainWindow::Traces);
    QVERIFY(window().tracesPage()->showsSamples());
}

void TestWalk::savesAndReopensWithoutTheModel()
{
    const QString session = QString::fromStdString(path("walk.secateur.json").string());
    m_driver->prompts->savedFile = session;
    actions().save->trigger();
    QTRY_VERIFY_WITH_TIMEOUT(!workspace().isDirty(), kMinute);
    m_session = workspace().snapshot();
    const auto before = picturesOf(window());
    QVERIFY(before.size() >= 8);
    window().close();
    QTRY_VERIFY(!window().isVisible());

    // Another start of the program, on a machine without the model.
    m_watchdog.reset();
    m_driver.reset();
    QVERIFY(fs::remove(m_model));
    const QByteArray cache = qgetenv("XDG_CACHE_HOME");
    qputenv("XDG_CACHE_HOME",
            QByteArray::fromStdString(path("empty cache").string())); // the bundled model is gone, too
    const auto back
        = qScopeGuard([&cache] { cache.isEmpty() ? qunsetenv("XDG_CACHE_HOME") : qputenv("XDG_CACHE_HOME", cache); });
    m_driver = std::make_unique<WindowDriver>();
    QVERIFY(QTest::qWaitForWindowExposed(&window()));
    window().resize(1440, 900);
    m_driver->program->controllers().document->openSession(session);
    QTRY_VERIFY_WITH_TIMEOUT(workspace().hasModel(), kMinute);
    QTRY_VERIFY(m_driver->isIdle());
    QVERIFY(!workspace().hasWeights());
    QVERIFY(!actions().evaluate->isEnabled());
    QVERIFY(workspace().selection()->selected() == m_selection);
    workspace().setCurrentSubject(QString::fromStdString(workspace().session().runs.front().id));

    const QString changed = changedPictures(before, picturesOf(window()));
    QVERIFY2(changed.isEmpty(), qPrintable(changed));
}

void TestWalk::recipeGivesTheSameNumbers()
{
    using nlohmann::json;
    json plan = json::object();
    plan["name"] = "by hand";
    plan["blocks"] = m_selection.blocks;
    plan["ffn_channels"] = unitsJson(m_selection.ffnChannels);
    plan["uniform"] = true;
    json recovery = json::object();
    recovery["name"] = "recovered";
    recovery["plan"] = "by hand";
    recovery["data"] = "bundled";
    visitRecoveryOptions(m_recovery, [&recovery](const char *name, const auto &value) { recovery[name] = value; });
    json evaluation = json::object();
    evaluation["tasks"] = std::vector<std::string>{"piqa", "gsm8k"};
    evaluation["limit"] = 40;
    evaluation["limits"]["gsm8k"] = 10;
    evaluation["max_new_tokens"] = 64;
    evaluation["data"] = (testData() / "data").string();
    evaluation["subjects"] = std::vector<std::string>{"dense", "by hand", "recovered"};
    json recipe = json::object();
    recipe["model"] = "bundled:smollm2";
    recipe["calibration"]["source"] = "bundled";
    recipe["calibration"]["samples"] = 16;
    recipe["calibration"]["length"] = 256;
    recipe["plans"] = json::array();
    recipe["plans"].push_back(plan);
    recipe["recover"] = recovery;
    recipe["evaluate"] = evaluation;
    recipe["session"] = "recipe.secateur.json";
    QFile file(QString::fromStdString(path("recipe.json").string()));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write(QByteArray::fromStdString(recipe.dump(2)));
    file.close();

    const CliResult run = runCli(
        {"--json", "run", file.fileName(), "--out", QString::fromStdString(path("out").string())}, {}, 20 * kMinute);
    QVERIFY2(!run.crashed && run.exitCode == 0, run.text().constData());
    const Session session = loadSession(path("out") / "recipe.secateur.json");

    QCOMPARE(session.analysis->maps.size(), m_session.analysis->maps.size());
    for (const MetricMapPtr &map : m_session.analysis->maps) {
        const MetricMapPtr other = session.analysis->find(map->group, map->metric);
        QVERIFY2(other && largestDifference(map->values, other->values) == 0, (map->group + "/" + map->metric).c_str());
    }
    QVERIFY(session.plans.front().removed == m_session.plans.front().removed);
    const auto &losses = m_session.runs.front().losses;
    QCOMPARE(session.runs.front().losses.size(), losses.size());
    for (std::size_t i = 0; i < losses.size(); ++i)
        QVERIFY2(std::abs(session.runs.front().losses[i] - losses[i]) < 1e-6, std::to_string(i).c_str());
    QCOMPARE(session.reports.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
        const EvaluationReport &ours = *m_session.reports[i], &theirs = *session.reports[i];
        QCOMPARE(theirs.state, ours.state);
        for (std::size_t t = 0; t < ours.tasks.size(); ++t) {
            QCOMPARE(theirs.tasks[t].task, ours.tasks[t].task);
            QCOMPARE(theirs.tasks[t].accuracy, ours.tasks[t].accuracy);
            QCOMPARE(theirs.tasks[t].accuracyNorm, ours.tasks[t].accuracyNorm);
            QCOMPARE(theirs.tasks[t].capHitShare, ours.tasks[t].capHitShare);
            QCOMPARE(theirs.tasks[t].samples.size(), ours.tasks[t].samples.size());
            for (std::size_t s = 0; s < ours.tasks[t].samples.size(); ++s) {
                const SampleResult &one = ours.tasks[t].samples[s], &other = theirs.tasks[t].samples[s];
                QCOMPARE(other.raw, one.raw);
                QCOMPARE(other.choiceLogprobs.size(), one.choiceLogprobs.size());
                for (std::size_t c = 0; c < one.choiceLogprobs.size(); ++c)
                    QVERIFY(std::abs(other.choiceLogprobs[c] - one.choiceLogprobs[c]) < 1e-4);
            }
        }
    }
}

QTEST_MAIN(TestWalk)
#include "tst_walk.moc"
