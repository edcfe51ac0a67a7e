#include "widgets/heatmap/heatmap_view.h"

#include "backend/core/error.h"
#include "tests/support/map_fixtures.h"
#include "widgets/heatmap/color_bar.h"
#include "widgets/heatmap/heatmap_image.h"
#include "widgets/heatmap/heatmap_panel.h"
#include "widgets/theme/theme.h"

#include <QAccessible>
#include <QClipboard>
#include <QGuiApplication>
#include <QMenu>
#include <QSignalSpy>
#include <QStyleHints>
#include <QTemporaryDir>
#include <QTest>
#include <QWheelEvent>

#include <ctime>

using namespace secateur;

class TestHeatmapView : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void clickReportsTheCellUnderTheMouse_data();
    void clickReportsTheCellUnderTheMouse();
    void withoutAMapNothingIsReported();
    void cellsStandForTheirUnits_data();
    void cellsStandForTheirUnits();
    void rectanglesAreTheSameByMouseAndKeyboard_data();
    void rectanglesAreTheSameByMouseAndKeyboard();
    void rowsAndColumnsAreTheSameByMouseAndKeyboard_data();
    void rowsAndColumnsAreTheSameByMouseAndKeyboard();
    void doubleClickAndEnterSelectTheBlocksOfTheCell();
    void modifiersAddAndSubtract();
    void aDragChangesAliveAndCommitsOnce();
    void escapeCancelsADrag();
    void lockedUnitsSurviveARectangle();
    void spaceTogglesAndLLocks();
    void stripClicksSelectBlocks();
    void keysAskForWhatOthersDo();
    void controlArrowsGoToTheEdges();
    void paintsLowAndHighInScaleColours();
    void selectedAndUndefinedCellsAreHatched();
    void aPixelOverManyCellsShowsTheIsolatedExtreme_data();
    void aPixelOverManyCellsShowsTheIsolatedExtreme();
    void poolingEqualsALoopOverAllCells();
    void pixelsCoverEveryCellOnce_data();
    void pixelsCoverEveryCellOnce();
    void wheelZoomsAtTheCursor();
    void middleDragPans();
    void theCursorStaysInSight();
    void aLargeMapRepaintsInOneFrame();
    void readOutNamesStatesBlocksAndRank();
    void rangesStartAtTheirFirstLength();
    void exposesCellsAsAnAccessibleTable();
    void copiesTheReadOut();
    void contextMenuAsksForExports();
    void exportsEveryKind_data();
    void exportsEveryKind();
    void aFailedExportThrowsAndLeavesNothing();
    void csvReadsBackToTheSameValues();
    void scalesMapValuesToPositions_data();
    void scalesMapValuesToPositions();
    void draggingAnEndOfTheColourBarClips();
    void panelTitleSaysWhatIsClipped();

private:
    std::unique_ptr<PruneSelection> m_selection;
    std::unique_ptr<HeatmapView> m_view;

    void show(const MetricMapPtr &map, const ModelConfig &config = toyConfig());
    QPoint center(HeatmapCell cell) const { return m_view->cellRect(cell).center().toPoint(); }
    void drag(HeatmapCell from, HeatmapCell to, Qt::KeyboardModifiers modifiers = {});
    void pressDrag(HeatmapCell from, HeatmapCell to, Qt::KeyboardModifiers modifiers = {});
    void rectangleByKeys(HeatmapCell from, HeatmapCell to);
};

void TestHeatmapView::init()
{
    m_view.reset();
    m_selection = std::make_unique<PruneSelection>();
}

void TestHeatmapView::show(const MetricMapPtr &map, const ModelConfig &config)
{
    m_selection->setConfig(config);
    m_view = std::make_unique<HeatmapView>();
    m_view->resize(520, 460);
    m_view->setSelection(m_selection.get());
    m_view->setMap(map);
    m_view->show();
    QVERIFY(QTest::qWaitForWindowExposed(m_view.get()));
    m_view->setFocus();
}

void TestHeatmapView::pressDrag(HeatmapCell from, HeatmapCell to, Qt::KeyboardModifiers modifiers)
{
    QTest::mousePress(m_view.get(), Qt::LeftButton, modifiers, center(from));
    // Far enough from the start to be a drag, then to the aim.
    const QPoint steps[]
        = {center(from) + QPoint(QGuiApplication::styleHints()->startDragDistance() + 1, 0), center(to)};
    for (const QPoint &step : steps) {
        QMouseEvent move(QEvent::MouseMove, step, m_view->mapToGlobal(QPointF(step)), Qt::NoButton, Qt::LeftButton,
                         modifiers);
        QCoreApplication::sendEvent(m_view.get(), &move);
    }
}

void TestHeatmapView::drag(HeatmapCell from, HeatmapCell to, Qt::KeyboardModifiers modifiers)
{
    pressDrag(from, to, modifiers);
    QTest::mouseRelease(m_view.get(), Qt::LeftButton, modifiers, center(to));
}

void TestHeatmapView::rectangleByKeys(HeatmapCell from, HeatmapCell to)
{
    m_view->setCursorCell(from);
    for (int row = from.row; row != to.row; row += to.row > from.row ? 1 : -1)
        QTest::keyClick(m_view.get(), to.row > from.row ? Qt::Key_Down : Qt::Key_Up, Qt::ShiftModifier);
    for (int column = from.column; column != to.column; column += to.column > from.column ? 1 : -1)
        QTest::keyClick(m_view.get(), to.column > from.column ? Qt::Key_Right : Qt::Key_Left, Qt::ShiftModifier);
    QTest::keyClick(m_view.get(), Qt::Key_Return);
}

void TestHeatmapView::clickReportsTheCellUnderTheMouse_data()
{
    QTest::addColumn<HeatmapCell>("cell");
    QTest::newRow("first") << HeatmapCell{0, 0};
    QTest::newRow("inside") << HeatmapCell{2, 5};
    QTest::newRow("last") << HeatmapCell{6, 6};
}

void TestHeatmapView::clickReportsTheCellUnderTheMouse()
{
    QFETCH(HeatmapCell, cell);
    show(cosineMap());
    QSignalSpy clicked(m_view.get(), &HeatmapView::cellClicked);

    QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, center(cell));

    QCOMPARE(clicked.count(), 1);
    QCOMPARE(clicked.at(0).at(0).value<HeatmapCell>(), cell);
    QCOMPARE(m_view->cursorCell(), cell);
    QVERIFY(m_selection->selected().empty());
}

void TestHeatmapView::withoutAMapNothingIsReported()
{
    show(nullptr);
    QSignalSpy clicked(m_view.get(), &HeatmapView::cellClicked);

    QTest::mouseClick(m_view.get(), Qt::LeftButton);
    QTest::keyClick(m_view.get(), Qt::Key_Space);
    QTest::keyClick(m_view.get(), Qt::Key_Right);

    QCOMPARE(clicked.count(), 0);
    QVERIFY(!m_view->cursorCell().isValid());
    QVERIFY(m_selection->selected().empty());
}

void TestHeatmapView::cellsStandForTheirUnits_data()
{
    QTest::addColumn<MetricMapPtr>("map");
    QTest::addColumn<HeatmapCell>("cell");
    QTest::addColumn<UnitSet>("units");
    UnitSet group;
    group.kvGroups[3] = {1};
    UnitSet channel;
    channel.ffnChannels[2] = {39};
    QTest::newRow("state pair") << cosineMap() << HeatmapCell{2, 5} << blockUnits({2, 3, 4});
    QTest::newRow("state pair below the diagonal") << cosineMap() << HeatmapCell{5, 2} << blockUnits({2, 3, 4});
    QTest::newRow("a state with itself") << cosineMap() << HeatmapCell{3, 3} << UnitSet{};
    QTest::newRow("start and length") << distanceMap() << HeatmapCell{2, 1} << blockUnits({2, 3});
    QTest::newRow("undefined range") << distanceMap() << HeatmapCell{5, 3} << UnitSet{};
    QTest::newRow("profile") << influenceMap({1, 2, 3, 4, 5, 6}) << HeatmapCell{4, 0} << blockUnits({4});
    QTest::newRow("KV group") << unitMap("head_importance", 6, 2) << HeatmapCell{3, 1} << group;
    QTest::newRow("channel") << unitMap("ffn_importance", 6, 40) << HeatmapCell{2, 39} << channel;
    QTest::newRow("outside") << cosineMap() << HeatmapCell{7, 0} << UnitSet{};
}

void TestHeatmapView::cellsStandForTheirUnits()
{
    QFETCH(MetricMapPtr, map);
    QFETCH(HeatmapCell, cell);
    QFETCH(UnitSet, units);

    QCOMPARE(unitsOfCell(*map, cell), units);
}

void TestHeatmapView::rectanglesAreTheSameByMouseAndKeyboard_data()
{
    QTest::addColumn<MetricMapPtr>("map");
    QTest::addColumn<HeatmapCell>("from");
    QTest::addColumn<HeatmapCell>("to");
    QTest::newRow("cosine, above the diagonal") << cosineMap() << HeatmapCell{1, 2} << HeatmapCell{2, 4};
    QTest::newRow("cosine, from the far corner") << cosineMap() << HeatmapCell{4, 6} << HeatmapCell{2, 3};
    QTest::newRow("start × length") << distanceMap() << HeatmapCell{1, 0} << HeatmapCell{2, 2};
    QTest::newRow("profile") << influenceMap({1, 2, 3, 4, 5, 6}) << HeatmapCell{1, 0} << HeatmapCell{4, 0};
    QTest::newRow("KV groups") << unitMap("head_importance", 6, 2) << HeatmapCell{0, 0} << HeatmapCell{3, 1};
    QTest::newRow("channels") << unitMap("ffn_importance", 6, 40) << HeatmapCell{2, 5} << HeatmapCell{4, 30};
    QTest::newRow("channels, backwards") << unitMap("ffn_importance", 6, 40) << HeatmapCell{4, 30} << HeatmapCell{2, 5};
}

void TestHeatmapView::rectanglesAreTheSameByMouseAndKeyboard()
{
    QFETCH(MetricMapPtr, map);
    QFETCH(HeatmapCell, from);
    QFETCH(HeatmapCell, to);
    show(map);
    const QRect corners(QPoint(std::min(from.column, to.column), std::min(from.row, to.row)),
                        QPoint(std::max(from.column, to.column), std::max(from.row, to.row)));

    drag(from, to);
    const UnitSet byMouse = m_selection->selected();
    m_selection->clear();
    rectangleByKeys(from, to);
    const UnitSet byKeyboard = m_selection->selected();

    QVERIFY(!byMouse.empty());
    QCOMPARE(byKeyboard, byMouse);
    QCOMPARE(byMouse, unitsOfRectangle(*map, corners));
}

void TestHeatmapView::rowsAndColumnsAreTheSameByMouseAndKeyboard_data()
{
    QTest::addColumn<MetricMapPtr>("map");
    QTest::addColumn<HeatmapCell>("cell");
    QTest::addColumn<qint64>("rowUnits");
    QTest::addColumn<qint64>("columnUnits");
    QTest::newRow("cosine") << cosineMap() << HeatmapCell{2, 5} << qint64(1) << qint64(1);
    QTest::newRow("KV groups") << unitMap("head_importance", 6, 2) << HeatmapCell{2, 1} << qint64(2) << qint64(6);
    QTest::newRow("channels") << unitMap("ffn_importance", 6, 40) << HeatmapCell{5, 11} << qint64(40) << qint64(6);
    QTest::newRow("profile") << influenceMap({1, 2, 3, 4, 5, 6}) << HeatmapCell{3, 0} << qint64(1) << qint64(6);
}

void TestHeatmapView::rowsAndColumnsAreTheSameByMouseAndKeyboard()
{
    QFETCH(MetricMapPtr, map);
    QFETCH(HeatmapCell, cell);
    QFETCH(qint64, rowUnits);
    QFETCH(qint64, columnUnits);
    show(map);
    const QRect plot = m_view->plotRect();

    QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, QPoint(plot.left() - 6, center(cell).y()));
    const UnitSet rowByMouse = m_selection->selected();
    QTest::mouseClick(m_view.get(), Qt::LeftButton, {}, QPoint(center(cell).x(), plot.bottom() + 6));
    const UnitSet columnByMouse = m_selection->selected();
    m_view->setCursorCell(cell);
    QTest::keyClick(m_view.get(), Qt::Key_R);
    const UnitSet rowByKey = m_selection->selected();
    QTest::keyClick(m_view.get(), Qt::Key_C);
    const UnitSet columnByKey = m_selection->selected();

    QCOMPARE(qint64(rowByMouse.count()), rowUnits);
    QCOMPARE(qint64(columnByMouse.count()), columnUnits);
    QCOMPARE(rowByKey, rowByMouse);
    QCOMPARE(columnByKey, columnByMouse);
}

void TestHeatmapView::doubleClickAndEnterSelectTheBlocksOfTheCell()
{
    show(cosineMap());

    QTest::mouseDClick(m_view.get(), Qt::LeftButton, {}, center({1, 4}));
    QCOMPARE(m_selection->selected(), blockUnits({1, 2, 3}));

    m_view->setCursorCell({4, 6});
    QTest::keyClick(m_view.get(), Qt::Key_Return);
    QCOMPARE(m_selection->selected(), blockUnits({4, 5}));
}

void TestHeatmapView::modifiersAddAndSubtract()
{
    show(cosineMap());
    m_selection->setSelected(blockUnits({0}));

    drag({2, 3}, {2, 5}, Qt::ShiftModifier);
    QCOMPARE(m_selection->selected(), blockUnits({0, 2, 3, 4}));

    drag({3, 4}, {3, 5}, Qt::AltModifier);
    QCOMPARE(m_selection->selected(), blockUnits({0, 2}));

    m_view->setCursorCell({4, 5});
    QTest::keyClick(m_view.get(), Qt::Key_Return, Qt::ShiftModifier);
    QCOMPARE(m_selection->selected(), blockUnits({0, 2, 4}));

    QTest::keyClick(m_view.get(), Qt::Key_Return, Qt::AltModifier);
    QCOMPARE(m_selection->selected(), blockUnits({0, 2}));
}

void TestHeatmapView::aDragChangesAliveAndCommitsOnce()
{
    show(unitMap("ffn_importance", 6, 40));
    QSignalSpy changed(m_selection.get(), &PruneSelection::changed);
    QSignalSpy committed(m_selection.get(), &PruneSelection::committed);

    pressDrag({1, 2}, {3, 20});
    QVERIFY(changed.count() >= 1);
    QCOMPARE(committed.count(), 0);
    QTest::mouseRelease(m_view.get(), Qt::LeftButton, {}, center({3, 20}));

    QCOMPARE(committed.count(), 1);
    QCOMPARE(m_selection->selected().count(), 3 * 19);
}

void TestHeatmapView::escapeCancelsADrag()
{
    show(cosineMap());
    m_selection->setSelected(blockUnits({5}));
    QSignalSpy committed(m_selection.get(), &PruneSelection::committed);

    pressDrag({1, 2}, {2, 4});
    QVERIFY(m_selection->selected() != blockUnits({5}));
    QTest::keyClick(m_view.get(), Qt::Key_Escape);
    QTest::mouseRelease(m_view.get(), Qt::LeftButton, {}, center({2, 4}));

    QCOMPARE(m_selection->selected(), blockUnits({5}));
    QCOMPARE(committed.count(), 0);
    QVERIFY(!m_selection->inGesture());
}

void TestHeatmapView::lockedUnitsSurviveARectangle()
{
    show(cosineMap());
    m_selection->lock(blockUnits({0, 3}));

    drag({0, 1}, {0, 6});

    QCOMPARE(m_selection->selected(), blockUnits({1, 2, 4, 5}));
}

void TestHeatmapView::spaceTogglesAndLLocks()
{
    show(cosineMap());
    m_view->setCursorCell({1, 3});

    QTest::keyClick(m_view.get(), Qt::Key_Space);
    QCOMPARE(m_selection->selected(), blockUnits({1, 2}));
    QTest::keyClick(m_view.get(), Qt::Key_Space);
    QVERIFY(m_selection->selected().empty());
    QTest::keyClick(m_view.get(), Qt::Key_L);
    QCOMPARE(m_selection->locked(), blockUnits({1, 2}));
    QTest::keyClick(m_view.get(), Qt::Key_L);
    QVERIFY(m_selection->locked().empty());
}

void TestHeatmapView::stripClicksSelectBlocks()
{
    show(cosineMap());
    const auto click = [&](int block, Qt::KeyboardModifiers modifiers = {}) {
        QTest::mouseClick(m_view.get(), Qt::LeftButton, modifiers, m_view->stripRect(block).center().toPoint());
    };

    click(1);
    QCOMPARE(m_selection->selected(), blockUnits({1}));
    click(3, Qt::ShiftModifier);
    QCOMPARE(m_selection->selected(), blockUnits({1, 2, 3}));
    click(2, Qt::ControlModifier);
    QCOMPARE(m_selection->selected(), blockUnits({1, 3}));
    click(5);
    QCOMPARE(m_selection->selected(), blockUnits({5}));
}

void TestHeatmapView::keysAskForWhatOthersDo()
{
    show(cosineMap());
    QSignalSpy threshold(m_view.get(), &HeatmapView::thresholdRequested);
    QSignalSpy unpin(m_view.get(), &HeatmapView::unpinRequested);
    QSignalSpy next(m_view.get(), &HeatmapView::nextMapRequested);

    QTest::keyClick(m_view.get(), Qt::Key_T);
    QTest::keyClick(m_view.get(), Qt::Key_P);
    QTest::keyClick(m_view.get(), Qt::Key_M);

    QCOMPARE(threshold.count(), 1);
    QCOMPARE(unpin.count(), 1);
    QCOMPARE(next.count(), 1);
}

void TestHeatmapView::controlArrowsGoToTheEdges()
{
    show(cosineMap());
    m_view->setCursorCell({3, 3});

    QTest::keyClick(m_view.get(), Qt::Key_Right, Qt::ControlModifier);
    QCOMPARE(m_view->cursorCell(), (HeatmapCell{3, 6}));
    QTest::keyClick(m_view.get(), Qt::Key_Up, Qt::ControlModifier);
    QCOMPARE(m_view->cursorCell(), (HeatmapCell{0, 6}));
    QTest::keyClick(m_view.get(), Qt::Key_Left, Qt::ControlModifier | Qt::ShiftModifier);
    QCOMPARE(m_view->markedCells(), QRect(0, 0, 7, 1));
}

void TestHeatmapView::paintsLowAndHighInScaleColours()
{
    show(influenceMap({0, 1, 2, 3, 4, 10}));
    m_view->clearFocus();
    const QImage shot = m_view->grab().toImage();
    const auto colourOf = [&](HeatmapCell cell) {
        return shot.pixelColor((m_view->cellRect(cell).center() * shot.devicePixelRatio()).toPoint());
    };

    QCOMPARE(colourOf({0, 0}), QColor(0x00204D));
    QCOMPARE(colourOf({5, 0}), QColor(0xFFEA46));
}

void TestHeatmapView::selectedAndUndefinedCellsAreHatched()
{
    const float nan = std::numeric_limits<float>::quiet_NaN();
    show(influenceMap({0, 1, nan, 3, 4, 10}));
    m_selection->setSelected(blockUnits({4}));
    m_view->clearFocus();
    const QImage shot = m_view->grab().toImage();
    const auto coloursOf = [&](int row) {
        std::set<QRgb> colours;
        const QRectF cell = m_view->cellRect({row, 0}).adjusted(3, 3, -3, -3);
        for (int y = int(cell.top()); y < int(cell.bottom()); ++y) {
            for (int x = int(cell.left()); x < int(cell.right()); ++x)
                colours.insert(shot.pixel((QPointF(x, y) * shot.devicePixelRatio()).toPoint()));
        }
        return colours.size();
    };

    QCOMPARE(coloursOf(1), std::size_t(1));
    QVERIFY(coloursOf(4) > 1);
    QVERIFY(coloursOf(2) > 1);
}

void TestHeatmapView::aPixelOverManyCellsShowsTheIsolatedExtreme_data()
{
    QTest::addColumn<float>("extreme");
    QTest::addColumn<int>("place");
    QTest::newRow("high, first cell") << 9.0F << 0;
    QTest::newRow("high, in the middle") << 9.0F << 17001;
    QTest::newRow("low, last cell") << 1.0F << 28671;
    QTest::newRow("low, in the middle") << 1.0F << 5003;
}

void TestHeatmapView::aPixelOverManyCellsShowsTheIsolatedExtreme()
{
    QFETCH(float, extreme);
    QFETCH(int, place);
    MetricMap map;
    map.group = "ffn_importance";
    map.rows = 2;
    map.columns = 28672;
    map.values.assign(2 * 28672, 5.0F);
    map.values[static_cast<std::size_t>(28672 + place)] = extreme;
    ColorScale scale;
    scale.setRange(0, 10);
    const HeatmapImageRequest request{QRectF(0, 0, 28672, 2), QSize(701, 2), 5.0F};

    const QImage image = heatmapImage(MapPyramid(std::make_shared<const MetricMap>(map)), scale, request);

    int found = 0;
    for (int x = 0; x < image.width(); ++x) {
        QCOMPARE(image.pixel(x, 0), scale.color(5.0F));
        found += image.pixel(x, 1) == scale.color(extreme);
    }
    QCOMPARE(found, 1);
}

void TestHeatmapView::poolingEqualsALoopOverAllCells()
{
    const MetricMapPtr map = unitMap("ffn_importance", 3, 5000);
    const MapPyramid pyramid(map);
    const std::pair<int, int> ranges[] = {{0, 5000}, {1, 4999}, {17, 18}, {17, 19}, {1023, 2049}, {4096, 5000}, {3, 3}};

    for (const auto &[first, last] : ranges) {
        float low = std::numeric_limits<float>::quiet_NaN();
        float high = low;
        for (int column = first; column < last; ++column) {
            low = std::fmin(low, map->at(1, column));
            high = std::fmax(high, map->at(1, column));
        }
        const MapPyramid::Pair pair = pyramid.extremes(1, first, last);
        QCOMPARE(std::isnan(pair.low), std::isnan(low));
        if (!std::isnan(low)) {
            QCOMPARE(pair.low, low);
            QCOMPARE(pair.high, high);
        }
    }
}

void TestHeatmapView::pixelsCoverEveryCellOnce_data()
{
    QTest::addColumn<int>("cells");
    QTest::addColumn<int>("pixels");
    QTest::newRow("few cells") << 7 << 100;
    QTest::newRow("one cell per pixel") << 100 << 100;
    QTest::newRow("a little more cells than pixels") << 107 << 100;
    QTest::newRow("many cells") << 28672 << 701;
}

void TestHeatmapView::pixelsCoverEveryCellOnce()
{
    QFETCH(int, cells);
    QFETCH(int, pixels);
    std::int64_t at = 0;

    for (int pixel = 0; pixel < pixels; ++pixel) {
        const CellSpan span = cellsUnderPixel(pixel, 0, double(cells) / pixels, cells);
        QVERIFY(span.last > span.first);
        QVERIFY2(span.first == at || (cells < pixels && span.last == at), qPrintable(QString::number(pixel)));
        at = span.last;
    }
    QCOMPARE(at, std::int64_t(cells));
}

void TestHeatmapView::wheelZoomsAtTheCursor()
{
    show(unitMap("ffn_importance", 6, 400));
    const QPointF position = m_view->cellRect({2, 100}).center();
    const auto wheel = [&](int delta) {
        QWheelEvent event(position, m_view->mapToGlobal(position), {}, QPoint(0, delta), Qt::NoButton, Qt::NoModifier,
                          Qt::NoScrollPhase, false);
        QCoreApplication::sendEvent(m_view.get(), &event);
    };

    wheel(360);

    QVERIFY(m_view->visibleCells().width() < 210);
    QCOMPARE(m_view->visibleCells().height(), 6.0);
    QCOMPARE(m_view->cellAt(position), (HeatmapCell{2, 100}));

    QTest::keyClick(m_view.get(), Qt::Key_0, Qt::ControlModifier);
    QCOMPARE(m_view->visibleCells(), QRectF(0, 0, 400, 6));
    wheel(-1200);
    QCOMPARE(m_view->visibleCells(), QRectF(0, 0, 400, 6));
}

void TestHeatmapView::middleDragPans()
{
    show(unitMap("ffn_importance", 6, 400));
    m_view->setVisibleCells(QRectF(100, 0, 50, 6));
    const QRect plot = m_view->plotRect();

    QTest::mousePress(m_view.get(), Qt::MiddleButton, {}, plot.center());
    const QPointF aim = plot.center() + QPointF(plot.width() / 5.0, 0);
    QMouseEvent move(QEvent::MouseMove, aim, m_view->mapToGlobal(aim), Qt::NoButton, Qt::MiddleButton, Qt::NoModifier);
    QCoreApplication::sendEvent(m_view.get(), &move);
    QTest::mouseRelease(m_view.get(), Qt::MiddleButton, {}, aim.toPoint());

    QVERIFY(qAbs(m_view->visibleCells().left() - 90) < 0.5);
    QCOMPARE(m_view->visibleCells().width(), 50.0);
}

void TestHeatmapView::theCursorStaysInSight()
{
    show(unitMap("ffn_importance", 6, 400));
    m_view->setVisibleCells(QRectF(100, 0, 50, 6));
    m_view->setCursorCell({2, 120});

    QTest::keyClick(m_view.get(), Qt::Key_Right, Qt::ControlModifier);

    QCOMPARE(m_view->cursorCell(), (HeatmapCell{2, 399}));
    QCOMPARE(m_view->visibleCells().right(), 400.0);
}

void TestHeatmapView::aLargeMapRepaintsInOneFrame()
{
    show(unitMap("ffn_importance", 80, 28672), toyConfig(80, 8, 28672));
    m_view->resize(1000, 600);
    UnitSet half;
    for (int block = 0; block < 80; block += 4) {
        for (int channel = block; channel < 28672; channel += 3)
            half.ffnChannels[block].insert(half.ffnChannels[block].end(), channel);
    }
    m_selection->setSelected(half);
    QImage target(m_view->size(), QImage::Format_RGB32);
    m_view->render(&target); // the first draw is not measured

    std::vector<double> milliseconds;
    for (int step = 1; step <= 15; ++step) {
        m_view->setVisibleCells(QRectF(step * 400, 0, 28672 - 400 * step * 1.5, 80));
        // Processor time, so that a busy machine does not fail the test.
        const std::clock_t start = std::clock();
        m_view->render(&target);
        milliseconds.push_back(1000.0 * double(std::clock() - start) / CLOCKS_PER_SEC);
    }
    std::sort(milliseconds.begin(), milliseconds.end());
    qInfo("median repaint after pan and zoom: %.1f ms", milliseconds[7]);
    QVERIFY2(milliseconds[7] < 48, "even an unoptimised build stays within three frames");
}

void TestHeatmapView::readOutNamesStatesBlocksAndRank()
{
    show(cosineMap());
    m_selection->setSelected(blockUnits({3}));
    m_selection->lock(blockUnits({2}));

    const CellDescription text = describeCell(*m_view->map(), m_view->ranks(), {2, 5}, m_selection.get());

    QCOMPARE(text.states, QStringLiteral("h2 × h5"));
    QCOMPARE(text.skips, QStringLiteral("[2, 5) = 2, 3, 4"));
    QCOMPARE(text.value, QStringLiteral("0.693000"));
    QCOMPARE(text.state, QStringLiteral("3 selected; 2 locked; 4 kept"));
    // Distances 1 and 2 are more alike: 6 + 5 pairs; of the four of distance 3 this is the third.
    QVERIFY2(text.rank.startsWith(QStringLiteral("14 of 21 pairs, ")), qPrintable(text.rank));
}

void TestHeatmapView::rangesStartAtTheirFirstLength()
{
    const MetricMapPtr map = distanceMap();

    const CellDescription text = describeCell(*map, MapRanks(*map), {3, 1}, nullptr);

    QCOMPARE(text.states, QStringLiteral("block 3, 2 long"));
    QCOMPARE(text.skips, QStringLiteral("[3, 5) = 3, 4"));
    QCOMPARE(describeCell(*map, MapRanks(*map), {5, 5}, nullptr).value, QStringLiteral("–"));
}

void TestHeatmapView::exposesCellsAsAnAccessibleTable()
{
    show(cosineMap());
    m_selection->setSelected(blockUnits({3}));

    QAccessibleInterface *interface = QAccessible::queryAccessibleInterface(m_view.get());

    QVERIFY(interface);
    QCOMPARE(interface->role(), QAccessible::Table);
    QCOMPARE(interface->text(QAccessible::Name), QStringLiteral("Cosine between hidden states map, 7 by 7"));
    QAccessibleTableInterface *table = interface->tableInterface();
    QVERIFY(table);
    QCOMPARE(table->rowCount(), 7);
    QCOMPARE(table->columnCount(), 7);
    QAccessibleInterface *cell = table->cellAt(2, 5);
    QVERIFY(cell && cell->isValid());
    QCOMPARE(cell->role(), QAccessible::Cell);
    QCOMPARE(cell->text(QAccessible::Name),
             QStringLiteral("states 2 and 5, mean cosine 0.693000, rank 14 of 21, blocks 2 to 4, 1 selected"));
    QCOMPARE(interface->indexOfChild(cell), 2 * 7 + 5);
    QCOMPARE(interface->child(2 * 7 + 5), cell);
    QVERIFY(cell->rect().contains(m_view->mapToGlobal(center({2, 5}))));
    QVERIFY(!table->cellAt(7, 0));

    m_view->setMap(cosineMap(3));
    QCOMPARE(table->rowCount(), 4);
    QVERIFY(!table->cellAt(2, 5));
}

void TestHeatmapView::copiesTheReadOut()
{
    show(cosineMap());
    m_view->setCursorCell({1, 2});

    QTest::keyClick(m_view.get(), Qt::Key_C, Qt::ControlModifier);

    const QString text = QGuiApplication::clipboard()->text();
    QVERIFY2(text.contains(QStringLiteral("h1 × h2")), qPrintable(text));
    QVERIFY(text.contains(QStringLiteral("0.897000")));
}

void TestHeatmapView::contextMenuAsksForExports()
{
    show(cosineMap());
    QSignalSpy requested(m_view.get(), &HeatmapView::exportRequested);
    QContextMenuEvent event(QContextMenuEvent::Mouse, center({1, 1}), m_view->mapToGlobal(center({1, 1})));

    QCoreApplication::sendEvent(m_view.get(), &event);
    auto *menu = m_view->findChild<QMenu *>(QString(), Qt::FindDirectChildrenOnly);
    QVERIFY(menu);
    for (QAction *action : menu->findChildren<QAction *>()) {
        if (action->text().startsWith(QStringLiteral("SVG")))
            action->trigger();
    }
    menu->close();

    QCOMPARE(requested.count(), 1);
    QCOMPARE(requested.at(0).at(0).value<ExportKind>(), ExportKind::Svg);
}

void TestHeatmapView::exportsEveryKind_data()
{
    QTest::addColumn<ExportKind>("kind");
    QTest::addColumn<QByteArray>("start");
    QTest::newRow("PNG") << ExportKind::Png << QByteArray("\x89PNG");
    QTest::newRow("SVG") << ExportKind::Svg << QByteArray("<?xml");
    QTest::newRow("PDF") << ExportKind::Pdf << QByteArray("%PDF-");
    QTest::newRow("CSV") << ExportKind::Csv << QByteArray("layer_from\\layer_to,0,1,2,3,4,5,6\n0,");
}

void TestHeatmapView::exportsEveryKind()
{
    QFETCH(ExportKind, kind);
    QFETCH(QByteArray, start);
    show(cosineMap());
    QTemporaryDir folder;
    const QString path = folder.filePath(QStringLiteral("map.out"));

    exportHeatmap(*m_view, path, kind, QStringLiteral("Title"));

    QFile file(path);
    QVERIFY(file.open(QIODevice::ReadOnly));
    const QByteArray bytes = file.readAll();
    QVERIFY2(bytes.startsWith(start), bytes.left(40).constData());
    if (kind == ExportKind::Png) {
        const QImage image = QImage::fromData(bytes);
        QCOMPARE(image.size(), m_view->pictureSize() * 2);
        QCOMPARE(image.pixelColor(1, image.height() - 2), QColor(Qt::white));
    }
}

void TestHeatmapView::aFailedExportThrowsAndLeavesNothing()
{
    show(cosineMap());
    QTemporaryDir folder;
    const QString path = folder.filePath(QStringLiteral("missing/map.png"));

    try {
        exportHeatmap(*m_view, path, ExportKind::Png, {});
        QFAIL("no exception");
    } catch (const Error &error) {
        QCOMPARE(error.kind(), ErrorKind::Io);
        QVERIFY(QString::fromUtf8(error.what()).contains(path));
    }
    QVERIFY(!QFile::exists(path));
}

void TestHeatmapView::csvReadsBackToTheSameValues()
{
    show(distanceMap());

    const QList<QByteArray> lines = m_view->toCsv().split('\n');

    QCOMPARE(lines.at(0), QByteArray("block_start\\block_length,1,2,3,4,5,6"));
    QCOMPARE(lines.size(), 8);
    QCOMPARE(lines.at(3).split(',').at(2).toFloat(), m_view->map()->at(2, 1));
    QCOMPARE(lines.at(6).split(',').at(6), QByteArray("nan"));
}

void TestHeatmapView::scalesMapValuesToPositions_data()
{
    QTest::addColumn<ColorScale::Palette>("palette");
    QTest::addColumn<ColorScale::Scaling>("scaling");
    QTest::addColumn<float>("low");
    QTest::addColumn<float>("high");
    QTest::addColumn<float>("value");
    QTest::addColumn<float>("position");
    using P = ColorScale::Palette;
    using S = ColorScale::Scaling;
    QTest::newRow("linear") << P::Sequential << S::Linear << 0.0F << 10.0F << 2.5F << 0.25F;
    QTest::newRow("below the range") << P::Sequential << S::Linear << 0.0F << 10.0F << -3.0F << 0.0F;
    QTest::newRow("above the range") << P::Sequential << S::Linear << 0.0F << 10.0F << 30.0F << 1.0F;
    QTest::newRow("infinite") << P::Sequential << S::Linear << 0.0F << 10.0F << std::numeric_limits<float>::infinity()
                              << 1.0F;
    QTest::newRow("log") << P::Sequential << S::Log << 0.01F << 100.0F << 1.0F << 0.5F;
    QTest::newRow("log of zero") << P::Sequential << S::Log << 0.01F << 100.0F << 0.0F << 0.0F;
    QTest::newRow("zero of a signed map") << P::Signed << S::Linear << -2.0F << 2.0F << 0.0F << 0.5F;
    QTest::newRow("zero of a signed map, log") << P::Signed << S::Log << -2.0F << 2.0F << 0.0F << 0.5F;
    QTest::newRow("constant map") << P::Sequential << S::Linear << 4.0F << 4.0F << 4.0F << 0.0F;
}

void TestHeatmapView::scalesMapValuesToPositions()
{
    QFETCH(ColorScale::Palette, palette);
    QFETCH(ColorScale::Scaling, scaling);
    QFETCH(float, low);
    QFETCH(float, high);
    QFETCH(float, value);
    QFETCH(float, position);
    ColorScale scale;
    scale.setPalette(palette);
    scale.setScaling(scaling);
    scale.setRange(low, high);

    QVERIFY2(std::abs(scale.position(value) - position) < 1e-5F, qPrintable(QString::number(scale.position(value))));
    QVERIFY(scale.position(std::numeric_limits<float>::quiet_NaN()) < 0);
    QCOMPARE(qAlpha(scale.color(std::numeric_limits<float>::quiet_NaN())), 0);
}

void TestHeatmapView::draggingAnEndOfTheColourBarClips()
{
    HeatmapPanel panel;
    panel.resize(700, 500);
    panel.setMap(cosineMap(), {});
    panel.show();
    QVERIFY(QTest::qWaitForWindowExposed(&panel));
    ColorBar *bar = panel.colorBar();
    const QRectF rect = bar->barRect();
    const QPoint top(int(rect.center().x()), int(rect.top()) + 1);
    const QPoint middle(top.x(), int(rect.center().y()));

    QTest::mousePress(bar, Qt::LeftButton, {}, top);
    QMouseEvent move(QEvent::MouseMove, middle, bar->mapToGlobal(QPointF(middle)), Qt::NoButton, Qt::LeftButton,
                     Qt::NoModifier);
    QCoreApplication::sendEvent(bar, &move);
    QTest::mouseRelease(bar, Qt::LeftButton, {}, middle);

    QVERIFY2(std::abs(panel.view()->colorScale().high() - 0.5F) < 0.02F,
             qPrintable(QString::number(panel.view()->colorScale().high())));
    QVERIFY(panel.titleText().contains(QStringLiteral("max 1.000, drawn as 0.")));

    QTest::mouseDClick(bar, Qt::LeftButton, {}, middle);
    QCOMPARE(panel.view()->colorScale().high(), 1.0F);
    QTest::keyClick(bar, Qt::Key_End);
    QTest::keyClick(bar, Qt::Key_Up);
    QVERIFY(std::abs(panel.view()->colorScale().low() - 0.01F) < 1e-6F);
    QTest::keyClick(bar, Qt::Key_Delete);
    QCOMPARE(panel.view()->colorScale().low(), 0.0F);
}

void TestHeatmapView::panelTitleSaysWhatIsClipped()
{
    MetricMap map = *cosineMap();
    map.values[1] = -0.03F;
    HeatmapPanel panel;

    panel.setMap(std::make_shared<const MetricMap>(map), QStringLiteral("16 × 256 tokens"));

    QCOMPARE(panel.titleText(),
             QStringLiteral("Cosine between hidden states · 16 × 256 tokens · min −0.03, drawn as 0"));
}

QTEST_MAIN(TestHeatmapView)
#include "tst_heatmap_view.moc"
