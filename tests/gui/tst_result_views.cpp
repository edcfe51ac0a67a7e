// Tables and charts of results, fed with values and read back through their models.

#include "widgets/charts/accuracy_chart.h"
#include "widgets/charts/loss_chart.h"
#include "widgets/charts/trace_length_chart.h"
#include "widgets/controls/eval_cell_delegate.h"
#include "widgets/controls/jobs_view.h"
#include "widgets/models/eval_table_model.h"
#include "widgets/models/jobs_model.h"
#include "widgets/models/sample_table_model.h"
#include "widgets/models/tensor_change_model.h"

#include <QAbstractItemModelTester>
#include <QComboBox>
#include <QImage>
#include <QPainter>
#include <QSignalSpy>
#include <QTableView>
#include <QTest>
#include <QToolButton>

using namespace secateur;

namespace {

SampleResult sample(int docId, bool correct, const char *finish, int tokens)
{
    SampleResult result;
    result.docId = docId;
    result.prompt = "prompt";
    result.correct = correct;
    result.finish = finish;
    result.answerTokens = tokens;
    return result;
}

EvaluationReportPtr report(const char *id, const char *state, double accuracy, double capShare)
{
    TaskReport choice;
    choice.task = "piqa";
    choice.kind = "loglikelihood";
    choice.n = 40;
    choice.accuracy = accuracy;
    choice.low = accuracy - 0.1;
    choice.high = accuracy + 0.1;
    choice.accuracyNorm = 0.5;
    TaskReport words;
    words.task = "gsm8k";
    words.kind = "generation";
    words.n = 4;
    words.accuracy = 0.5;
    words.low = 0.15;
    words.high = 0.85;
    words.capHitShare = capShare;
    words.samples = {sample(0, true, "stop", 20), sample(1, true, "stop", 30), sample(2, false, "length", 64),
                     sample(3, false, "stop", 10)};
    EvaluationReport made;
    made.id = id;
    made.modelName = id;
    made.state = state;
    made.protocol = "greedy, cap 64";
    made.tasks = {choice, words};
    return std::make_shared<const EvaluationReport>(made);
}

} // namespace

class TestResultViews : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void evaluationGridShowsAccuracyWithItsInterval();
    void evaluationGridIsAProperModel();
    void accuracyAmongFinishedLeavesCappedAnswersOut();
    void changeToDenseIsInPoints();
    void runningCellsCountItems();
    void unavailableTaskSaysWhy();
    void tableTextQuotesCells();
    void highCapShareTurnsTheCellAmber();
    void jobsReportProgressAndRemainingTime();
    void cancelButtonNamesTheRunningJob();
    void flippedSamplesAreFound();
    void tensorChangesShowShapesAndCounts();
    void lossChartKeepsAllPoints();
    void lossChartTellsEveryValueOfAStep();
    void chartsDrawSeriesAndEmptyStates();
};

void TestResultViews::evaluationGridShowsAccuracyWithItsInterval()
{
    EvalTableModel model;
    model.setReports({report("dense", "dense", 0.825, 0)});
    QCOMPARE(model.rowCount(), 2);
    QCOMPARE(model.columnCount(), 3);
    QCOMPARE(model.index(0, 0).data().toString(), QStringLiteral("piqa"));
    QCOMPARE(model.index(0, 1).data().toString(), QStringLiteral("40"));
    QCOMPARE(model.index(0, 2).data().toString(), QStringLiteral("82.5 [73, 93]"));
}

void TestResultViews::evaluationGridIsAProperModel()
{
    EvalTableModel model;
    QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    model.setReports({report("dense", "dense", 0.8, 0), report("pruned", "pruned", 0.6, 0.25)});
    model.setRunning(report("recovered", "recovered", 0.7, 0), {.tasks = {}, .limit = 40});
    model.setRunning(report("recovered", "recovered", 0.7, 0), {.tasks = {}, .limit = 40});
    QCOMPARE(model.columnCount(), 5);
    model.setReports({});
    QCOMPARE(model.rowCount(), 0);
}

void TestResultViews::accuracyAmongFinishedLeavesCappedAnswersOut()
{
    EvalTableModel model;
    model.setReports({report("dense", "dense", 0.8, 0.25)});
    model.setShow(EvalTableModel::Show::AmongFinished);
    QCOMPARE(model.index(1, 2).data(EvalTableModel::AccuracyRole).toDouble(), 2.0 / 3.0);
}

void TestResultViews::changeToDenseIsInPoints()
{
    EvalTableModel model;
    model.setReports({report("dense", "dense", 0.8, 0), report("pruned", "pruned", 0.735, 0)});
    model.setShow(EvalTableModel::Show::DeltaToDense);
    QCOMPARE(model.index(0, 3).data().toString(), QStringLiteral("−6.5 points"));
}

void TestResultViews::runningCellsCountItems()
{
    EvalTableModel model;
    model.setRunning(report("dense", "dense", 0.8, 0), {.tasks = {}, .limit = 20, .limits = {{"gsm8k", 12}}});
    QCOMPARE(model.index(1, 2).data().toString(), QStringLiteral("4 / 12"));
    QCOMPARE(model.index(1, 2).data(EvalTableModel::TotalRole).toLongLong(), 12);
}

void TestResultViews::unavailableTaskSaysWhy()
{
    EvaluationReport made = *report("dense", "dense", 0.8, 0);
    made.tasks[0].n = 0;
    made.tasks[0].note = "not available: piqa/dev.jsonl is missing";
    EvalTableModel model;
    model.setReports({std::make_shared<const EvaluationReport>(made)});
    QCOMPARE(model.index(0, 2).data().toString(), QStringLiteral("not available: piqa/dev.jsonl is missing"));
}

void TestResultViews::tableTextQuotesCells()
{
    EvalTableModel model;
    model.setReports({report("a,b", "dense", 0.825, 0)});
    const QString csv = model.toText(QStringLiteral("csv"));
    QVERIFY(csv.startsWith(QStringLiteral("Task,n,\"a,b (dense) accuracy, % [95 % Wilson]\"")));
    QVERIFY(csv.contains(QStringLiteral("piqa,40,\"82.5 [72.5, 92.5]\"")));
    QVERIFY(model.toText(QStringLiteral("md")).contains(QStringLiteral("| piqa | 40 | 82.5 [72.5, 92.5] |")));
}

void TestResultViews::highCapShareTurnsTheCellAmber()
{
    EvalTableModel model;
    model.setReports({report("dense", "dense", 0.8, 0.25), report("fine", "dense", 0.8, 0.02)});
    QTableView view;
    view.setModel(&model);
    EvalCellDelegate delegate;
    view.setItemDelegate(&delegate);
    view.resize(700, 200);
    view.setColumnWidth(2, 180);
    view.setColumnWidth(3, 180);
    view.setRowHeight(1, 38);
    view.show();
    QVERIFY(QTest::qWaitForWindowExposed(&view));
    const QImage shot = view.viewport()->grab().toImage();
    const auto colourOf = [&](int column) {
        const QRect cell = view.visualRect(model.index(1, column));
        return shot.pixelColor((QPointF(cell.center().x(), cell.top() + 2) * shot.devicePixelRatio()).toPoint());
    };
    QVERIFY(colourOf(2) != colourOf(3));
}

void TestResultViews::jobsReportProgressAndRemainingTime()
{
    JobsModel model;
    QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    JobRow row;
    row.id = 7;
    row.title = QStringLiteral("Calibration sweep");
    model.setJob(row);
    QCOMPARE(model.index(0, JobsModel::ProgressColumn).data().toString(), QStringLiteral("waiting"));
    row.state = JobRow::State::Running;
    row.done = 10;
    row.total = 40;
    row.elapsedMs = 10000;
    row.tokensPerSecond = 348;
    model.setJob(row);
    QCOMPARE(model.rowCount(), 1);
    QCOMPARE(model.index(0, JobsModel::ProgressColumn).data(JobsModel::FractionRole).toDouble(), 0.25);
    QCOMPARE(model.index(0, JobsModel::Remaining).data().toString(), QStringLiteral("~ 0:30"));
    QCOMPARE(model.index(0, JobsModel::Speed).data().toString(), QStringLiteral("348 tok/s"));
    QCOMPARE(model.runningCount(), 1);
    row.state = JobRow::State::Failed;
    row.message = QStringLiteral("model.safetensors is shorter than its header says.");
    model.setJob(row);
    QCOMPARE(model.index(0, JobsModel::Job).data(Qt::ToolTipRole).toString(), row.message);
    model.removeFinished();
    QCOMPARE(model.rowCount(), 0);
}

void TestResultViews::cancelButtonNamesTheRunningJob()
{
    JobsModel model;
    JobsView view(&model);
    view.show();
    QSignalSpy cancelled(&view, &JobsView::cancelRequested);
    auto *button = view.findChild<QToolButton *>();
    QVERIFY(!button->isEnabled());
    JobRow row;
    row.id = 3;
    row.state = JobRow::State::Running;
    model.setJob(row);
    QTest::mouseClick(button, Qt::LeftButton);
    QCOMPARE(cancelled.count(), 1);
    QCOMPARE(cancelled.at(0).at(0).toInt(), 3);
}

void TestResultViews::flippedSamplesAreFound()
{
    EvaluationReport pruned = *report("pruned", "pruned", 0.6, 0);
    pruned.tasks[1].samples = {sample(0, true, "stop", 20), sample(1, false, "stop", 30), sample(2, true, "stop", 64),
                               sample(3, false, "length", 64)};
    SampleTableModel model;
    QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    model.setReports(report("dense", "dense", 0.8, 0), std::make_shared<const EvaluationReport>(pruned),
                     QStringLiteral("gsm8k"));
    QCOMPARE(model.rowCount(), 4);
    model.setFilter(SampleTableModel::Filter::RightToWrong);
    QCOMPARE(model.rowCount(), 1);
    QCOMPARE(model.left(0)->docId, 1);
    model.setFilter(SampleTableModel::Filter::WrongToRight);
    QCOMPARE(model.rowCount(), 1);
    QCOMPARE(model.right(0)->docId, 2);
    model.setFilter(SampleTableModel::Filter::Truncated);
    QCOMPARE(model.rowCount(), 2);
}

void TestResultViews::tensorChangesShowShapesAndCounts()
{
    TensorChange change;
    change.tensor = "mlp.gate_proj.weight";
    change.before = {1536, 576};
    change.after = {1152, 576};
    change.parametersRemoved = 6635520;
    change.reason = "384 channels";
    TensorChangeModel model;
    QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    model.setChanges({change});
    QCOMPARE(model.index(0, TensorChangeModel::Before).data().toString(), QStringLiteral("[1536, 576] →"));
    QCOMPARE(model.index(0, TensorChangeModel::After).data().toString(), QStringLiteral("[1152, 576]"));
    QCOMPARE(model.index(0, TensorChangeModel::Parameters).data().toString(),
             QString(QChar(0x2212) + QStringLiteral("6") + QChar(0x202F) + QStringLiteral("635") + QChar(0x202F)
                     + QStringLiteral("520")));
}

void TestResultViews::lossChartTellsEveryValueOfAStep()
{
    LossChart chart;
    chart.resize(600, 300);
    std::vector<TrainingPoint> points;
    for (int step = 1; step <= 20; ++step)
        points.push_back({.step = step, .loss = 3.0 / step, .learningRate = 1e-4, .tokensPerSecond = 1200});
    chart.setPoints(points, 40);
    const QImage before = chart.render({600, 300});
    chart.setHeldOut({{0, 3.5}, {10, 0.4}});
    chart.setMemory(std::vector<std::int64_t>(20, std::int64_t{3} << 30));
    QVERIFY(chart.hoverText(10).contains(QStringLiteral("loss 0.300")));
    QVERIFY(chart.hoverText(10).contains(QStringLiteral("held out 0.400")));
    QVERIFY(chart.hoverText(10).contains(QStringLiteral("tok/s")));
    QVERIFY(chart.hoverText(10).contains(QStringLiteral("3.0 GiB")));
    QVERIFY(!chart.hoverText(11).contains(QStringLiteral("held out")));
    QVERIFY(chart.render({600, 300}) != before);
    const QImage rate = chart.render({600, 300});
    chart.rightAxisBox()->setCurrentIndex(2);
    QVERIFY(chart.render({600, 300}) != rate);
}

void TestResultViews::lossChartKeepsAllPoints()
{
    LossChart chart;
    std::vector<TrainingPoint> points;
    for (int step = 1; step <= 50; ++step)
        points.push_back({step, 3.0 / step, 1e-4, 100, 1});
    chart.setPoints({points.begin(), points.begin() + 20}, 100);
    chart.appendPoints({points.begin() + 20, points.end()});
    QCOMPARE(chart.points().size(), std::size_t{50});
    QCOMPARE(chart.points().back().step, 50);
    const QImage drawn = chart.render({400, 240});
    chart.clear();
    QVERIFY(chart.points().empty());
    QVERIFY(drawn != chart.render({400, 240}));
}

void TestResultViews::chartsDrawSeriesAndEmptyStates()
{
    const std::vector<EvaluationReportPtr> reports
        = {report("dense", "dense", 0.8, 0.25), report("pruned", "pruned", 0.6, 0)};
    AccuracyChart accuracy;
    const QImage emptyBars = accuracy.render({400, 240});
    accuracy.setReports(reports);
    QCOMPARE(accuracy.title(), QStringLiteral("n = 4 to 40, 95 % Wilson"));
    QVERIFY(accuracy.render({400, 240}) != emptyBars);

    TraceLengthChart lengths;
    const QImage emptyBoxes = lengths.render({400, 240});
    lengths.setReports(reports);
    const QImage boxes = lengths.render({400, 240});
    QVERIFY(boxes != emptyBoxes);
    lengths.setMode(TraceLengthChart::Mode::Survival);
    QVERIFY(lengths.render({400, 240}) != boxes);
}

QTEST_MAIN(TestResultViews)
#include "tst_result_views.moc"
