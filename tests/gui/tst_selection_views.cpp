#include "tests/support/map_fixtures.h"
#include "widgets/charts/profile_chart.h"
#include "widgets/controls/banner.h"
#include "widgets/controls/budget_panel.h"
#include "widgets/controls/segmented_control.h"
#include "widgets/controls/selection_panel.h"
#include "widgets/controls/threshold_bar.h"

#include <QAbstractButton>
#include <QAbstractItemModelTester>
#include <QPushButton>
#include <QSignalSpy>
#include <QTableView>
#include <QTest>

using namespace secateur;

/// The ways to choose units beside the map: threshold, list and profile, all on one selection; and what they cost.
class TestSelectionViews : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void thresholdSelectsEverythingBelowIt();
    void thresholdLeavesLockedUnitsOut();
    void removingTheThresholdKeepsTheSelection();
    void thresholdIsOffForMapsWithoutUnits();
    void tableListsSelectedAndLockedUnits();
    void manyChannelsCollapseToRanges();
    void deleteKeyDeselectsTheMarkedRows();
    void invertAndClearWorkOnTheMapsKind();
    void clickOnTheProfileSelectsTheBlock();
    void brushIsKeptInOrder();
    void profileWithGapsAndOneBlockIsDrawn();
    void budgetShowsBothSidesAndTheLoader();
    void bannerClosesByKeyOnlyWhenItMay();
    void segmentsAreWalkedByArrowsOverEnabledOnes();

private:
    std::unique_ptr<PruneSelection> m_selection;
    MetricMapPtr m_influence;
};

void TestSelectionViews::init()
{
    m_selection = std::make_unique<PruneSelection>();
    m_selection->setConfig(toyConfig());
    m_influence = influenceMap({0.5F, 0.04F, 0.03F, 0.02F, 0.3F, 0.9F});
}

void TestSelectionViews::thresholdSelectsEverythingBelowIt()
{
    ThresholdBar bar;
    bar.setSelection(m_selection.get());
    bar.setMap(m_influence);
    QSignalSpy changed(&bar, &ThresholdBar::thresholdChanged);
    bar.setThreshold(0.035);

    QCOMPARE(m_selection->selected(), blockUnits({2, 3}));
    QVERIFY(bar.countText().startsWith(QStringLiteral("2 of 6")));
    QCOMPARE(changed.count(), 1);

    bar.setThreshold(0.05);
    QCOMPARE(m_selection->selected(), blockUnits({1, 2, 3}));
}

void TestSelectionViews::thresholdLeavesLockedUnitsOut()
{
    m_selection->lock(blockUnits({3}));
    ThresholdBar bar;
    bar.setSelection(m_selection.get());
    bar.setMap(m_influence);
    bar.setThreshold(0.05);
    QCOMPARE(m_selection->selected(), blockUnits({1, 2}));
}

void TestSelectionViews::removingTheThresholdKeepsTheSelection()
{
    ThresholdBar bar;
    bar.setSelection(m_selection.get());
    bar.setMap(m_influence);
    bar.setThreshold(0.05);
    bar.setThreshold(std::nullopt);
    QVERIFY(!bar.threshold());
    QCOMPARE(m_selection->selected(), blockUnits({1, 2, 3}));
}

void TestSelectionViews::thresholdIsOffForMapsWithoutUnits()
{
    ThresholdBar bar;
    bar.setSelection(m_selection.get());
    bar.setMap(cosineMap());
    bar.setThreshold(0.5);
    QVERIFY(m_selection->selected().empty());
}

void TestSelectionViews::tableListsSelectedAndLockedUnits()
{
    SelectionPanel panel(m_selection.get());
    QAbstractItemModelTester tester(panel.model(), QAbstractItemModelTester::FailureReportingMode::QtTest);
    panel.setScores(m_influence);
    m_selection->setSelected(blockUnits({1, 3}));
    m_selection->lock(blockUnits({5}));

    const SelectionTableModel &model = *panel.model();
    QCOMPARE(model.rowCount(), 5); // two group rows, two selected, one locked
    UnitSet listed;
    for (int row = 0; row < model.rowCount(); ++row)
        listed = unitsUnion(listed, model.unitsOfRow(row));
    QCOMPARE(listed, blockUnits({1, 3, 5}));
    // The unit that goes first is on top: the lowest influence.
    QCOMPARE(model.unitsOfRow(1), blockUnits({3}));
    QCOMPARE(model.index(1, SelectionTableModel::Rank).data().toString(), QStringLiteral("1"));
    QVERIFY(model.isLockedRow(4));

    m_selection->clear();
    m_selection->unlock(blockUnits({5}));
    QCOMPARE(model.rowCount(), 0);
}

void TestSelectionViews::manyChannelsCollapseToRanges()
{
    m_selection->setConfig(toyConfig(2, 2, 400));
    SelectionPanel panel(m_selection.get());
    QAbstractItemModelTester tester(panel.model(), QAbstractItemModelTester::FailureReportingMode::QtTest);
    UnitSet units;
    for (int channel = 10; channel < 300; ++channel)
        units.ffnChannels[1].insert(channel);
    units.ffnChannels[1].insert(350);
    m_selection->setSelected(units);

    QCOMPARE(panel.model()->rowCount(), 3); // the group, [10, 299] and 350
    QCOMPARE(panel.model()->unitsOfRow(1).count(), 290);
}

void TestSelectionViews::deleteKeyDeselectsTheMarkedRows()
{
    SelectionPanel panel(m_selection.get());
    panel.setScores(m_influence);
    m_selection->setSelected(blockUnits({1, 2, 3}));
    panel.resize(320, 400);
    panel.show();
    QVERIFY(QTest::qWaitForWindowExposed(&panel));
    const UnitSet first = panel.model()->unitsOfRow(1);
    panel.table()->selectRow(1);
    panel.table()->setFocus();
    QTest::keyClick(panel.table(), Qt::Key_Delete);
    QCOMPARE(m_selection->selected(), unitsMinus(blockUnits({1, 2, 3}), first));
}

void TestSelectionViews::invertAndClearWorkOnTheMapsKind()
{
    SelectionPanel panel(m_selection.get());
    panel.setScores(m_influence);
    m_selection->setSelected(blockUnits({0, 1}));
    panel.invert();
    QCOMPARE(m_selection->selected(), blockUnits({2, 3, 4, 5}));
    panel.clear();
    QVERIFY(m_selection->selected().empty());
}

void TestSelectionViews::clickOnTheProfileSelectsTheBlock()
{
    ProfileChart chart;
    chart.setSelection(m_selection.get());
    chart.setMap(m_influence);
    chart.resize(700, 220);
    chart.show();
    QVERIFY(QTest::qWaitForWindowExposed(&chart));
    const auto click = [&](int block, Qt::KeyboardModifiers modifiers = {}) {
        const QPoint at = chart.pointOf(block).toPoint();
        QWidget *target = chart.childAt(at);
        QVERIFY(target);
        QTest::mouseClick(target, Qt::LeftButton, modifiers, target->mapFrom(&chart, at));
    };
    click(3);
    QCOMPARE(m_selection->selected(), blockUnits({3}));
    click(1, Qt::ControlModifier);
    QCOMPARE(m_selection->selected(), blockUnits({1, 3}));
    // Points stand in the plot, in order, and lower values lower.
    QVERIFY(chart.plotRect().contains(chart.pointOf(5).toPoint()));
    QVERIFY(chart.pointOf(0).x() < chart.pointOf(1).x());
    QVERIFY(chart.pointOf(3).y() > chart.pointOf(5).y());
}

void TestSelectionViews::brushIsKeptInOrder()
{
    ProfileChart chart;
    chart.setSelection(m_selection.get());
    chart.setMap(m_influence);
    QSignalSpy changed(&chart, &ProfileChart::brushChanged);
    chart.setBrush(std::pair{1, 3});
    QVERIFY(chart.brush() == std::pair(1, 3));
    QCOMPARE(changed.count(), 1);
    chart.setBrush(std::nullopt);
    QVERIFY(!chart.brush());
}

void TestSelectionViews::profileWithGapsAndOneBlockIsDrawn()
{
    m_selection->setConfig(toyConfig(1));
    ProfileChart chart;
    chart.setSelection(m_selection.get());
    const QImage empty = chart.render(QSize(400, 200));
    chart.setMap(influenceMap({0.25F}));
    const QImage one = chart.render(QSize(400, 200));
    QVERIFY(one != empty);
    chart.setMap(influenceMap({std::numeric_limits<float>::quiet_NaN()}));
    QVERIFY(chart.render(QSize(400, 200)) != one);
}

void TestSelectionViews::budgetShowsBothSidesAndTheLoader()
{
    const ModelConfig dense = toyConfig();
    BudgetPanel panel;
    UnitSet even = blockUnits({2});
    panel.setBudget(computeBudget(dense, even), QStringLiteral("BF16"));
    const QString parameters = panel.rowTexts().first();
    QVERIFY(parameters.contains(QStringLiteral("Parameters")));
    QCOMPARE(parameters.split(u'\t').size(), 3);
    QVERIFY(parameters.split(u'\t').at(1) != parameters.split(u'\t').at(2));
    const QStringList uniform = panel.loaderLines();

    UnitSet uneven;
    uneven.ffnChannels[0] = {1, 2, 3};
    panel.setBudget(computeBudget(dense, uneven), QStringLiteral("BF16"));
    QVERIFY(panel.loaderLines() != uniform);
    panel.clear();
    QVERIFY(!panel.rowTexts().first().contains(parameters.split(u'\t').at(1)));
}

void TestSelectionViews::bannerClosesByKeyOnlyWhenItMay()
{
    Banner banner(Banner::Kind::Error);
    banner.setText(QStringLiteral("It failed."), QStringLiteral("The file is gone."));
    banner.addButton(QStringLiteral("Again"));
    QSignalSpy closed(&banner, &Banner::closed);
    banner.setClosable(false);
    QTest::keyClick(&banner, Qt::Key_Escape);
    QCOMPARE(closed.count(), 0);
    banner.setClosable(true);
    QTest::keyClick(&banner, Qt::Key_Escape);
    QCOMPARE(closed.count(), 1);
    QCOMPARE(banner.title(), QStringLiteral("It failed."));
}

void TestSelectionViews::segmentsAreWalkedByArrowsOverEnabledOnes()
{
    SegmentedControl control;
    for (const char *id : {"a", "b", "c"})
        control.addSegment(QLatin1String(id), QLatin1String(id));
    control.setSegmentEnabled(QStringLiteral("b"), false, QStringLiteral("not now"));
    QCOMPARE(control.currentId(), QStringLiteral("a"));
    control.show();
    QVERIFY(QTest::qWaitForWindowActive(&control));
    QSignalSpy changed(&control, &SegmentedControl::currentChanged);
    control.findChildren<QAbstractButton *>().constFirst()->setFocus();
    QTest::keyClick(&control, Qt::Key_Right);
    QCOMPARE(control.currentId(), QStringLiteral("c"));
    QTest::keyClick(&control, Qt::Key_Left);
    QCOMPARE(control.currentId(), QStringLiteral("a"));
    QCOMPARE(changed.count(), 2);
}

QTEST_MAIN(TestSelectionViews)
#include "tst_selection_views.moc"
