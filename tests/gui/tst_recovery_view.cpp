#include "app/controllers/document_controller.h"
#include "app/controllers/recovery_controller.h"
#include "app/pages/recovery_page.h"
#include "app/pages/recovery_probe_panel.h"
#include "app/qt_paths.h"
#include "app/window_actions.h"
#include "backend/workflow/recovery_recipes.h"
#include "tests/gui/window_driver.h"
#include "widgets/charts/loss_chart.h"
#include "widgets/controls/banner.h"
#include "widgets/controls/data_set_card.h"
#include "widgets/controls/rate_spin.h"
#include "widgets/controls/segmented_control.h"

#include <QCheckBox>
#include <QPushButton>
#include <QSlider>
#include <QSpinBox>
#include <QStandardPaths>
#include <QTableView>
#include <QToolButton>

#include <algorithm>
#include <clocale>
#include <cmath>
#include <filesystem>

using namespace secateur;

/// The Recovery view on a tiny model, with mouse and keys.
class TestRecoveryView : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void learningRatesAreTypedInAnyForm_data();
    void learningRatesAreTypedInAnyForm();
    void cleanupTestCase();
    void everyDataSetHasACardWithItsNumbers();
    void tracesForAnInstructModelAreWarnedOf();
    void arrowsWalkOverTheCardsAndDeleteTakesOneOut();
    void unreadableDataSaysWhyAndHoldsTheRunBack();
    void aRecipeFillsTheFormAndEditingMakesItCustom();
    void epochsFollowTheData();
    void everyKindShowsWhatItNeeds();
    void allWeightsAreTrainedAndExported();
    void aRunShowsItsCurveAndAnswers();
    void theSliderWalksAndAForkBeginsThere();
    void pausedRunGoesOn();
    void stoppedRunIsOfferedAndEndsWhole();
    void interruptedRunIsOfferedAfterARestart();
    void tooLittleMemoryOffersSmallerSteps();
    void questionsCanBeEdited();
    void equalTokensSetsTheSteps();
    void controlsTrainDenseAndNewWeights();

private:
    std::unique_ptr<WindowDriver> m_driver;

    RecoveryPage &page() { return *m_driver->window().recoveryPage(); }
    RecoveryController &recovery() { return *m_driver->program->controllers().recovery; }
    const std::vector<RunRecord> &runs() { return m_driver->workspace().session().runs; }
    /// Short runs on the small set, with checkpoints.
    RecoveryOptions shortRun(int steps, int checkpoints)
    {
        RecoveryOptions options;
        options.steps = steps;
        options.batchTokens = 64;
        options.checkpointSteps = checkpoints;
        options.heldOut = 0.25;
        options.heldOutEvery = 2;
        return options;
    }
    RecoveryDataPicker &picker() { return *page().dataPicker(); }
    QString write(const QString &name, const QByteArray &text) const
    {
        QFile file(m_driver->path(name));
        if (!file.open(QIODevice::WriteOnly) || file.write(text) != text.size())
            return {};
        return file.fileName();
    }
};

void TestRecoveryView::initTestCase()
{
    std::setlocale(LC_NUMERIC, "C");
    QStandardPaths::setTestModeEnabled(true);
    m_driver = std::make_unique<WindowDriver>();
    const QString model = m_driver->writeModel({.layers = 3});
    QVERIFY(QTest::qWaitForWindowExposed(&m_driver->window()));
    m_driver->program->controllers().document->openAny(model);
    QTRY_VERIFY(m_driver->workspace().hasWeights());
    m_driver->window().showTab(MainWindow::Recovery);
    QTRY_VERIFY(m_driver->isIdle());
}

void TestRecoveryView::cleanupTestCase()
{
    m_driver.reset();
}

void TestRecoveryView::everyDataSetHasACardWithItsNumbers()
{
    m_driver->prompts->file = m_driver->writeChats();
    picker().addFile();
    QCOMPARE(picker().source(), m_driver->prompts->file);
    QTRY_VERIFY(picker().summary());
    QVERIFY(picker().summary()->isUsable());
    QCOMPARE(picker().summary()->card.samples, 12);
    const DataSetCard *chats = picker().card(m_driver->prompts->file);
    QVERIFY(chats->isChecked());
    QCOMPARE(chats->content().title, u"chats.jsonl"_qs);
    QVERIFY(chats->content().kind == DataSetText::Kind::Instruct);
    QVERIFY(chats->content().lines.first().contains(u"12"_qs));
    const DataSetCard *bundled = picker().card(u"bundled"_qs);
    QTRY_VERIFY(bundled->content().lines.size() > 1); // counted, though it is not chosen
    QTRY_VERIFY(bundled->height() < chats->height()); // only the chosen card is open
    QVERIFY(page().queueButton()->isEnabled());
}

void TestRecoveryView::tracesForAnInstructModelAreWarnedOf()
{
    QVERIFY(!picker().fitWarning()->isVisible());
    const QString think = write(u"think.jsonl"_qs, "{\"prompt\":\"Why?\",\"response\":\"<think>so</think>yes\"}\n");
    page().setDataSource(think);
    QTRY_VERIFY(picker().fitWarning()->isVisible());
    QVERIFY(picker().fitWarning()->text().contains(u"tiny-model"_qs));
    QVERIFY(picker().card(think)->content().kind == DataSetText::Kind::Think);
    QVERIFY(page().queueButton()->isEnabled()); // a warning, not a lock

    QTRY_VERIFY(picker().useFittingButton()->isVisible());
    QTest::mouseClick(picker().useFittingButton(), Qt::LeftButton);
    QCOMPARE(picker().source(), u"bundled"_qs);
    QVERIFY(!picker().fitWarning()->isVisible());
}

void TestRecoveryView::arrowsWalkOverTheCardsAndDeleteTakesOneOut()
{
    const QString chats = m_driver->path(u"chats.jsonl"_qs);
    picker().card(u"bundled"_qs)->setFocus();
    QTest::keyClick(picker().card(u"bundled"_qs), Qt::Key_Down);
    QCOMPARE(picker().source(), chats);
    QTest::keyClick(picker().card(chats), Qt::Key_Delete);
    QVERIFY(!picker().card(chats));
    QCOMPARE(picker().source(), u"bundled"_qs);
    page().setDataSource(chats); // and back
    QTRY_VERIFY(picker().summary());
}

void TestRecoveryView::unreadableDataSaysWhyAndHoldsTheRunBack()
{
    const QString broken = write(u"broken.jsonl"_qs, "{\"messages\":[{\"role\":\"user\",\"content\":5}]}\n");
    page().setDataSource(broken);
    QTRY_VERIFY(picker().summary());
    QVERIFY(picker().card(broken)->content().isProblem);
    const QString reason = picker().card(broken)->content().lines.join(u' ');
    QVERIFY2(reason.contains(u"broken.jsonl"_qs) && reason.contains(u"content"_qs), qPrintable(reason));
    QVERIFY(!page().queueButton()->isEnabled());
    QVERIFY(page().queueButton()->toolTip().contains(u"broken.jsonl"_qs));
    page().setDataSource(m_driver->path(u"chats.jsonl"_qs));
    QTRY_VERIFY(picker().summary());
    QVERIFY(page().queueButton()->isEnabled());
}

void TestRecoveryView::aRecipeFillsTheFormAndEditingMakesItCustom()
{
    RecoveryForm &form = *page().form();
    QCOMPARE(form.recipe(), u"study"_qs);
    QVERIFY(workflow::isSameRecipe(form.options(), RecoveryOptions()));
    form.applyRecipe(u"skipgpt"_qs);
    QCOMPARE(form.recipe(), u"skipgpt"_qs);
    QCOMPARE(form.options().rank, 16);
    QCOMPARE(form.options().targets, (std::vector<std::string>{"q_proj", "v_proj", "gate_proj"}));
    form.rankBox()->setValue(17);
    QCOMPARE(form.recipe(), u"custom"_qs);
    form.rankBox()->setValue(16);
    QCOMPARE(form.recipe(), u"skipgpt"_qs);
    for (const workflow::RecoveryRecipe &recipe : workflow::recoveryRecipes()) {
        form.applyRecipe(qString(recipe.id));
        QCOMPARE(form.recipe(), qString(recipe.id));
    }
    form.applyRecipe(u"study"_qs);
}

void TestRecoveryView::epochsFollowTheData()
{
    RecoveryForm &form = *page().form();
    page().setDataSource(u"bundled"_qs);
    form.applyRecipe(u"llm-pruner"_qs);
    QTRY_VERIFY(picker().summary() && picker().summary()->isUsable());
    const auto steps
        = [&] { return static_cast<int>(std::ceil(2.0 * double(picker().summary()->card.tokens) / (64 * 256))); };
    QTRY_COMPARE(form.options().steps, steps());
    QCOMPARE(form.recipe(), u"llm-pruner"_qs);
    form.applyRecipe(u"study"_qs);
    page().setDataSource(m_driver->path(u"chats.jsonl"_qs));
    QTRY_VERIFY(picker().summary());
}

void TestRecoveryView::everyKindShowsWhatItNeeds()
{
    RecoveryForm &form = *page().form();
    const auto isShown = [&form](QStringView name) {
        for (const QWidget *field : form.findChildren<QWidget *>()) {
            if (field->accessibleName() == name)
                return field->isVisible();
        }
        return false;
    };
    QVERIFY(isShown(u"Rank") && !isShown(u"Temperature") && !isShown(u"Dropout"));
    form.kindControl()->setCurrentId(u"full"_qs);
    QVERIFY(!isShown(u"Rank") && !isShown(u"Layers") && isShown(u"Learning rate"));
    QVERIFY(form.options().trainsWeights());
    form.kindControl()->setCurrentId(u"distill"_qs);
    QVERIFY(isShown(u"Rank") && isShown(u"Temperature") && isShown(u"Trains"));
    QVERIFY(!form.options().trainsWeights());
    form.advancedButton()->click();
    QVERIFY(isShown(u"Dropout") && isShown(u"Held out"));
    form.advancedButton()->click();
    form.applyRecipe(u"study"_qs);
}

void TestRecoveryView::allWeightsAreTrainedAndExported()
{
    page().form()->applyRecipe(u"full"_qs);
    page().stepsBox()->setValue(3);
    QTRY_VERIFY(m_driver->isIdle());
    QTest::mouseClick(page().queueButton(), Qt::LeftButton);
    QTRY_COMPARE_WITH_TIMEOUT(m_driver->workspace().session().runs.size(), 1U, 60000);
    const RunRecord run = m_driver->workspace().session().runs.front();
    QCOMPARE(run.name, std::string("All weights, 3 steps"));
    QVERIFY(std::filesystem::exists(m_driver->workspace().adapterFolder(run.id) / "config.json"));

    m_driver->prompts->exportAnswer = ExportChoice{.folder = m_driver->path(u"exported"_qs)};
    QTRY_VERIFY(m_driver->isIdle());
    m_driver->window().actions()->exportModel->trigger();
    QTRY_VERIFY_WITH_TIMEOUT(QFile::exists(m_driver->path(u"exported/config.json"_qs)), 60000);
    QTRY_VERIFY(m_driver->isIdle());
    QVERIFY(m_driver->window().errorBanners().isEmpty());
    page().form()->applyRecipe(u"study"_qs);
}

void TestRecoveryView::aRunShowsItsCurveAndAnswers()
{
    m_driver->workspace().setCurrentSubject(u"dense"_qs);
    page().form()->setOptions(shortRun(6, 2));
    QTRY_VERIFY(picker().summary());
    const std::size_t before = runs().size();
    QTest::mouseClick(page().queueButton(), Qt::LeftButton);
    QVERIFY(page().pauseButton()->isVisible() && page().stopButton()->isVisible());
    QTRY_COMPARE_WITH_TIMEOUT(runs().size(), before + 1, 60000);
    QVERIFY(!page().pauseButton()->isVisible());
    QCOMPARE(page().chart()->points().size(), 6U);
    // Held-out losses and answers come from what is kept beside the adapter.
    QTRY_VERIFY(page().chart()->hoverText(2).contains(u"held out"_qs));
    QCOMPARE(page().probePanel()->table()->model()->columnCount(), 4); // steps 0, 2, 4, 6
    QCOMPARE(page().probePanel()->table()->model()->rowCount(), 2);
    QCOMPARE(page().probePanel()->currentStep(), 6);
}

void TestRecoveryView::theSliderWalksAndAForkBeginsThere()
{
    RecoveryProbePanel &probes = *page().probePanel();
    QTest::keyClick(probes.slider(), Qt::Key_Left);
    QCOMPARE(probes.currentStep(), 4);
    QVERIFY(probes.forkButton()->isEnabled());
    QVERIFY(probes.forkButton()->text().contains(u"4"_qs));
    probes.setCurrentIndex(0);
    QVERIFY(!probes.forkButton()->isEnabled()); // nothing was trained at step 0
    probes.setCurrentIndex(2);

    const std::vector<double> losses = runs().back().losses;
    const std::size_t before = runs().size();
    RecoveryOptions options = shortRun(3, 0);
    options.rank = 3; // the forked adapter has its own
    page().form()->setOptions(options);
    QTRY_VERIFY(picker().summary());
    QTest::mouseClick(probes.forkButton(), Qt::LeftButton);
    QTRY_COMPARE_WITH_TIMEOUT(runs().size(), before + 1, 60000);
    QCOMPARE(runs().back().options.rank, 8);
    QVERIFY(runs().back().losses != std::vector<double>(losses.begin(), losses.begin() + 3));
    QVERIFY(m_driver->window().errorBanners().isEmpty());
}

void TestRecoveryView::pausedRunGoesOn()
{
    page().form()->setOptions(shortRun(100000, 0));
    QTRY_VERIFY(picker().summary());
    const std::size_t before = runs().size();
    page().queueRun();
    QTRY_VERIFY_WITH_TIMEOUT(!recovery().livePoints().empty(), 30000);
    QTest::mouseClick(page().pauseButton(), Qt::LeftButton);
    QVERIFY(recovery().isPaused() && recovery().isRunning());
    QCOMPARE(page().pauseButton()->text(), u"Continue"_qs);
    QTest::mouseClick(page().pauseButton(), Qt::LeftButton);
    QVERIFY(!recovery().isPaused());
    const std::size_t points = recovery().livePoints().size();
    QTRY_VERIFY_WITH_TIMEOUT(recovery().livePoints().size() > points, 30000);
    QCOMPARE(recovery().live().memory.size(), recovery().livePoints().size());
    QVERIFY(recovery().live().memory.back() > 0);
    QTest::mouseClick(page().pauseButton(), Qt::LeftButton);
    QTest::mouseClick(page().stopButton(), Qt::LeftButton); // also out of a pause
    QTRY_COMPARE_WITH_TIMEOUT(runs().size(), before + 1, 30000);
    QVERIFY(runs().back().name.find(" of 100000 steps") != std::string::npos);
    QTRY_VERIFY(page().unfinishedBanner()->isVisible());
    m_driver->prompts->confirmAnswer = true;
    QTest::mouseClick(page().discardButton(), Qt::LeftButton);
    QTRY_VERIFY(!page().unfinishedBanner()->isVisible());
}

void TestRecoveryView::stoppedRunIsOfferedAndEndsWhole()
{
    RecoveryOptions options = shortRun(150, 0);
    options.heldOut = 0;
    page().form()->setOptions(options);
    QTRY_VERIFY(picker().summary());
    const std::size_t before = runs().size();
    page().queueRun();
    QTRY_VERIFY_WITH_TIMEOUT(!recovery().livePoints().empty(), 30000);
    QTest::mouseClick(page().stopButton(), Qt::LeftButton);
    QTRY_COMPARE_WITH_TIMEOUT(runs().size(), before + 1, 30000);
    const std::vector<double> first = runs().back().losses;
    if (first.size() == 150)
        QSKIP("the run was faster than the button");
    QTRY_VERIFY(page().unfinishedBanner()->isVisible());
    QTest::mouseClick(page().resumeButton(), Qt::LeftButton);
    QTRY_COMPARE_WITH_TIMEOUT(runs().size(), before + 2, 60000);
    QCOMPARE(runs().back().losses.size(), 150U);
    QVERIFY(std::equal(first.begin(), first.end(), runs().back().losses.begin()));
    QTRY_VERIFY(!page().unfinishedBanner()->isVisible());
}

void TestRecoveryView::interruptedRunIsOfferedAfterARestart()
{
    // What a killed process leaves beside the session: checkpoints without a result.
    const QString session = m_driver->path(u"view.secateur.json"_qs);
    m_driver->prompts->savedFile = session;
    m_driver->window().actions()->save->trigger();
    QTRY_VERIFY_WITH_TIMEOUT(!m_driver->workspace().isDirty(), 30000);
    RecoveryOptions options = shortRun(120, 0);
    options.heldOut = 0;
    page().form()->setOptions(options);
    QTRY_VERIFY(picker().summary());
    const std::size_t before = runs().size();
    page().queueRun();
    QTRY_VERIFY_WITH_TIMEOUT(!recovery().livePoints().empty(), 30000);
    page().stopButton()->click();
    QTRY_COMPARE_WITH_TIMEOUT(runs().size(), before + 1, 30000);
    if (runs().back().losses.size() == 120)
        QSKIP("the run was faster than the button");
    // The session on disk does not know the run; opening it again is the next start of the program.
    m_driver->prompts->saveAnswer = UserPrompts::Save::Discard;
    m_driver->program->controllers().document->openSession(session);
    QTRY_VERIFY_WITH_TIMEOUT(m_driver->workspace().hasWeights() && runs().size() == before, 30000);
    m_driver->window().showTab(MainWindow::Recovery);
    QTRY_VERIFY(page().unfinishedBanner()->isVisible());
    QTest::mouseClick(page().resumeButton(), Qt::LeftButton);
    QTRY_COMPARE_WITH_TIMEOUT(runs().size(), before + 1, 60000);
    QCOMPARE(runs().back().losses.size(), 120U);
    QTRY_VERIFY(m_driver->isIdle());
}

void TestRecoveryView::tooLittleMemoryOffersSmallerSteps()
{
    RecoveryOrder order;
    order.subject = m_driver->workspace().subject(u"dense"_qs);
    order.data = m_driver->path(u"chats.jsonl"_qs);
    order.options = shortRun(2, 0);
    order.options.batchTokens = 512;
    const ErrorInfo error{
        .kind = ErrorKind::OutOfMemory, .message = "There is not enough memory.", .hint = {}, .details = {}};
    const std::size_t before = runs().size();
    m_driver->prompts->confirmAnswer = false;
    recovery().reportFailure(order, error);
    QVERIFY(m_driver->prompts->confirmText.contains(u"256"_qs));
    QVERIFY(!recovery().isRunning());
    m_driver->prompts->confirmAnswer = true;
    recovery().reportFailure(order, error);
    QVERIFY(recovery().isRunning());
    QTRY_COMPARE_WITH_TIMEOUT(runs().size(), before + 1, 60000);
    QCOMPARE(runs().back().options.batchTokens, 256);
    QVERIFY(runs().back().options.recompute);
    QVERIFY(m_driver->window().errorBanners().isEmpty());
}

void TestRecoveryView::questionsCanBeEdited()
{
    m_driver->prompts->linesAnswer.reset(); // cancelled
    QTest::mouseClick(page().probePanel()->editButton(), Qt::LeftButton);
    QCOMPARE(recovery().probes().size(), 2);
    m_driver->prompts->linesAnswer = QStringList{u"Who?"_qs};
    QTest::mouseClick(page().probePanel()->editButton(), Qt::LeftButton);
    QCOMPARE(recovery().probes(), QStringList{u"Who?"_qs});
}

void TestRecoveryView::equalTokensSetsTheSteps()
{
    const RunRecord run = runs().front();
    RecoveryOptions options = shortRun(7, 0);
    options.batchTokens = run.options.batchTokens / 2;
    page().form()->setOptions(options);
    QVERIFY(page().equalTokensBox()->isEnabled());
    page().equalTokensBox()->setChecked(true);
    QCOMPARE(page().options().steps, 2 * static_cast<int>(run.losses.size()));
    QVERIFY(!page().stepsBox()->isEnabled());
    page().equalTokensBox()->setChecked(false);
    QVERIFY(page().stepsBox()->isEnabled());
}

void TestRecoveryView::controlsTrainDenseAndNewWeights()
{
    page().form()->setOptions(shortRun(2, 0));
    QTRY_VERIFY(picker().summary());
    const std::size_t before = runs().size();
    page().newWeightsControlAction()->trigger();
    page().denseControlAction()->trigger();
    QTRY_COMPARE_WITH_TIMEOUT(runs().size(), before + 2, 60000);
    QCOMPARE(runs()[before].options.kind, std::string("scratch"));
    QVERIFY(std::filesystem::exists(m_driver->workspace().adapterFolder(runs()[before].id) / "config.json"));
    QCOMPARE(runs()[before + 1].options.kind, std::string("lora"));
    QVERIFY(runs()[before + 1].plan.empty());
    QVERIFY(m_driver->window().errorBanners().isEmpty());
}

void TestRecoveryView::learningRatesAreTypedInAnyForm_data()
{
    QTest::addColumn<QString>("typed");
    QTest::addColumn<double>("rate");
    QTest::addColumn<QString>("shown");
    QTest::newRow("plain") << QStringLiteral("0.003") << 3e-3 << QStringLiteral("3e-3");
    QTest::newRow("exponent") << QStringLiteral("2.5e-4") << 2.5e-4 << QStringLiteral("2.5e-4");
    QTest::newRow("comma") << QStringLiteral("0,01") << 1e-2 << QStringLiteral("1e-2");
    QTest::newRow("too large is not taken") << QStringLiteral("5") << 1e-4 << QStringLiteral("1e-4");
    QTest::newRow("no number is not typed") << QStringLiteral("x7e-5") << 7e-5 << QStringLiteral("7e-5");
}

void TestRecoveryView::learningRatesAreTypedInAnyForm()
{
    QFETCH(QString, typed);
    RateSpin spin;
    spin.setValue(1e-4);
    spin.selectAll();
    QTest::keyClicks(&spin, typed);
    QTest::keyClick(&spin, Qt::Key_Return);
    QTEST(spin.value(), "rate");
    QTEST(spin.text(), "shown");

    spin.setValue(1e-4);
    spin.stepBy(1);
    QCOMPARE(spin.text(), QStringLiteral("1.1e-4"));
    spin.stepBy(-2);
    QCOMPARE(spin.text(), QStringLiteral("9.9e-5"));
}

QTEST_MAIN(TestRecoveryView)
#include "tst_recovery_view.moc"
