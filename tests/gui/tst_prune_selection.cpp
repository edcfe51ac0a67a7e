#include "widgets/models/prune_selection.h"

#include "tests/support/map_fixtures.h"

#include <QSignalSpy>
#include <QTest>

#include <functional>

using namespace secateur;

namespace {

UnitSet channels(int block, const std::set<int> &members)
{
    UnitSet units;
    units.ffnChannels[block] = members;
    return units;
}

UnitSet groups(int block, const std::set<int> &members)
{
    UnitSet units;
    units.kvGroups[block] = members;
    return units;
}

using Edit = std::function<void(PruneSelection &)>;

} // namespace

Q_DECLARE_METATYPE(Edit)

class TestPruneSelection : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init();
    void oneEditIsOneChangeAndOneCommit_data();
    void oneEditIsOneChangeAndOneCommit();
    void anEditWithoutEffectIsSilent_data();
    void anEditWithoutEffectIsSilent();
    void lockedUnitsAreLeftOutOfEveryEdit_data();
    void lockedUnitsAreLeftOutOfEveryEdit();
    void lockingDeselectsWhatItProtects();
    void aLockedChannelProtectsItsBlock();
    void unlockingAllowsSelectionAgain();
    void unitsOutsideOfTheModelAreIgnored();
    void replaceKeepsOtherKindsOfUnits();
    void invertTakesTheComplementWithoutLocks_data();
    void invertTakesTheComplementWithoutLocks();
    void aGestureCommitsOnceWithTheStateBefore();
    void aGestureThatEndsWhereItBeganCommitsNothing();
    void restoreChangesWithoutACommit();
    void aNewModelStartsEmpty();
    void headlineNamesEveryKind_data();
    void headlineNamesEveryKind();

private:
    std::unique_ptr<PruneSelection> m_selection;
};

void TestPruneSelection::init()
{
    m_selection = std::make_unique<PruneSelection>();
    m_selection->setConfig(toyConfig());
    m_selection->setSelected(blockUnits({1, 2}));
}

void TestPruneSelection::oneEditIsOneChangeAndOneCommit_data()
{
    QTest::addColumn<Edit>("edit");
    QTest::addColumn<int>("selectionChanges");
    QTest::addColumn<int>("lockChanges");
    QTest::newRow("set") << Edit([](PruneSelection &s) { s.setSelected(blockUnits({4})); }) << 1 << 0;
    QTest::newRow("add") << Edit([](PruneSelection &s) { s.add(channels(3, {1, 2, 3})); }) << 1 << 0;
    QTest::newRow("remove") << Edit([](PruneSelection &s) { s.remove(blockUnits({1, 2})); }) << 1 << 0;
    QTest::newRow("toggle on") << Edit([](PruneSelection &s) { s.toggle(blockUnits({2, 3})); }) << 1 << 0;
    QTest::newRow("toggle off") << Edit([](PruneSelection &s) { s.toggle(blockUnits({1, 2})); }) << 1 << 0;
    QTest::newRow("replace") << Edit([](PruneSelection &s) { s.replace(blockUnits({5}), UnitKind::Block); }) << 1 << 0;
    QTest::newRow("invert") << Edit([](PruneSelection &s) { s.invert(UnitKind::Block); }) << 1 << 0;
    QTest::newRow("clear") << Edit([](PruneSelection &s) { s.clear(); }) << 1 << 0;
    QTest::newRow("lock others") << Edit([](PruneSelection &s) { s.lock(blockUnits({5})); }) << 0 << 1;
    QTest::newRow("lock selected") << Edit([](PruneSelection &s) { s.lock(blockUnits({1})); }) << 1 << 1;
}

void TestPruneSelection::oneEditIsOneChangeAndOneCommit()
{
    QFETCH(Edit, edit);
    QFETCH(int, selectionChanges);
    QFETCH(int, lockChanges);
    QSignalSpy changed(m_selection.get(), &PruneSelection::changed);
    QSignalSpy locked(m_selection.get(), &PruneSelection::lockedChanged);
    QSignalSpy committed(m_selection.get(), &PruneSelection::committed);

    edit(*m_selection);

    QCOMPARE(changed.count(), selectionChanges);
    QCOMPARE(locked.count(), lockChanges);
    QCOMPARE(committed.count(), 1);
    QCOMPARE(committed.at(0).at(0).value<UnitSet>(), blockUnits({1, 2}));
}

void TestPruneSelection::anEditWithoutEffectIsSilent_data()
{
    QTest::addColumn<Edit>("edit");
    QTest::newRow("set the same") << Edit([](PruneSelection &s) { s.setSelected(blockUnits({2, 1})); });
    QTest::newRow("add what is there") << Edit([](PruneSelection &s) { s.add(blockUnits({1})); });
    QTest::newRow("remove what is not there") << Edit([](PruneSelection &s) { s.remove(channels(0, {1})); });
    QTest::newRow("unlock nothing") << Edit([](PruneSelection &s) { s.unlock(blockUnits({1})); });
    QTest::newRow("toggle nothing") << Edit([](PruneSelection &s) { s.toggle({}); });
}

void TestPruneSelection::anEditWithoutEffectIsSilent()
{
    QFETCH(Edit, edit);
    QSignalSpy changed(m_selection.get(), &PruneSelection::changed);
    QSignalSpy locked(m_selection.get(), &PruneSelection::lockedChanged);
    QSignalSpy committed(m_selection.get(), &PruneSelection::committed);

    edit(*m_selection);

    QCOMPARE(changed.count() + locked.count() + committed.count(), 0);
}

void TestPruneSelection::lockedUnitsAreLeftOutOfEveryEdit_data()
{
    QTest::addColumn<Edit>("edit");
    QTest::newRow("set") << Edit([](PruneSelection &s) { s.setSelected(blockUnits({0, 3})); });
    QTest::newRow("add") << Edit([](PruneSelection &s) { s.clear(), s.add(blockUnits({0, 3})); });
    QTest::newRow("toggle") << Edit([](PruneSelection &s) { s.clear(), s.toggle(blockUnits({0, 3})); });
    QTest::newRow("replace") << Edit([](PruneSelection &s) { s.replace(blockUnits({0, 3}), UnitKind::Block); });
    QTest::newRow("invert") << Edit([](PruneSelection &s) {
        s.setSelected(blockUnits({1, 2, 4, 5}));
        s.invert(UnitKind::Block);
    });
    QTest::newRow("restore") << Edit([](PruneSelection &s) { s.restore(blockUnits({0, 3}), blockUnits({0})); });
}

void TestPruneSelection::lockedUnitsAreLeftOutOfEveryEdit()
{
    QFETCH(Edit, edit);
    m_selection->lock(blockUnits({0}));

    edit(*m_selection);

    QCOMPARE(m_selection->selected(), blockUnits({3}));
}

void TestPruneSelection::lockingDeselectsWhatItProtects()
{
    m_selection->setSelected(unitsUnion(blockUnits({1}), unitsUnion(channels(2, {3, 4}), groups(2, {0}))));

    m_selection->lock(blockUnits({2}));

    QCOMPARE(m_selection->selected(), blockUnits({1}));
    QVERIFY(m_selection->isProtected(UnitKind::FfnChannel, 2, 3));
    QVERIFY(m_selection->isProtected(UnitKind::KvGroup, 2, 0));
    QVERIFY(!m_selection->isProtected(UnitKind::FfnChannel, 1, 3));
}

void TestPruneSelection::aLockedChannelProtectsItsBlock()
{
    m_selection->lock(channels(2, {7}));

    QCOMPARE(m_selection->selected(), blockUnits({1}));
    m_selection->add(unitsUnion(blockUnits({2}), channels(2, {6, 7, 8})));
    QCOMPARE(m_selection->selected(), unitsUnion(blockUnits({1}), channels(2, {6, 8})));
}

void TestPruneSelection::unlockingAllowsSelectionAgain()
{
    m_selection->lock(blockUnits({0, 1}));
    m_selection->toggleLock(blockUnits({0, 1}));

    m_selection->add(blockUnits({0}));

    QVERIFY(m_selection->locked().empty());
    QCOMPARE(m_selection->selected(), blockUnits({0, 2}));
}

void TestPruneSelection::unitsOutsideOfTheModelAreIgnored()
{
    UnitSet units = blockUnits({-1, 5, 6, 99});
    units.kvGroups[0] = {-3, 1, 2};
    units.kvGroups[77] = {0};
    units.ffnChannels[4] = {39, 40, 100000};

    m_selection->setSelected(units);

    QCOMPARE(m_selection->selected(), unitsUnion(blockUnits({5}), unitsUnion(groups(0, {1}), channels(4, {39}))));
}

void TestPruneSelection::replaceKeepsOtherKindsOfUnits()
{
    m_selection->add(channels(4, {1, 2}));

    m_selection->replace(blockUnits({3}), UnitKind::Block);
    QCOMPARE(m_selection->selected(), unitsUnion(blockUnits({3}), channels(4, {1, 2})));

    m_selection->replace({}, UnitKind::FfnChannel);
    QCOMPARE(m_selection->selected(), blockUnits({3}));
}

void TestPruneSelection::invertTakesTheComplementWithoutLocks_data()
{
    QTest::addColumn<UnitKind>("kind");
    QTest::addColumn<qint64>("expected");
    QTest::newRow("blocks") << UnitKind::Block << qint64(6 - 2 - 1);
    QTest::newRow("KV groups") << UnitKind::KvGroup << qint64(6 * 2 - 2);
    QTest::newRow("channels") << UnitKind::FfnChannel << qint64(6 * 40 - 40);
}

void TestPruneSelection::invertTakesTheComplementWithoutLocks()
{
    QFETCH(UnitKind, kind);
    QFETCH(qint64, expected);
    m_selection->lock(blockUnits({0}));

    m_selection->invert(kind);

    QCOMPARE(qint64(countOfKind(m_selection->selected(), kind)), expected);
    if (kind != UnitKind::Block)
        QCOMPARE(m_selection->selected().blocks, (std::set<int>{1, 2}));
}

void TestPruneSelection::aGestureCommitsOnceWithTheStateBefore()
{
    QSignalSpy changed(m_selection.get(), &PruneSelection::changed);
    QSignalSpy committed(m_selection.get(), &PruneSelection::committed);

    m_selection->beginGesture();
    m_selection->setSelected(blockUnits({3}));
    m_selection->setSelected(blockUnits({3, 4}));
    QCOMPARE(committed.count(), 0);
    m_selection->endGesture();

    QCOMPARE(changed.count(), 2);
    QCOMPARE(committed.count(), 1);
    QCOMPARE(committed.at(0).at(0).value<UnitSet>(), blockUnits({1, 2}));
}

void TestPruneSelection::aGestureThatEndsWhereItBeganCommitsNothing()
{
    QSignalSpy committed(m_selection.get(), &PruneSelection::committed);

    m_selection->beginGesture();
    m_selection->setSelected(blockUnits({3}));
    m_selection->setSelected(blockUnits({1, 2}));
    m_selection->endGesture();

    QCOMPARE(committed.count(), 0);
}

void TestPruneSelection::restoreChangesWithoutACommit()
{
    QSignalSpy changed(m_selection.get(), &PruneSelection::changed);
    QSignalSpy committed(m_selection.get(), &PruneSelection::committed);

    m_selection->restore(blockUnits({4}), blockUnits({5}));

    QCOMPARE(m_selection->selected(), blockUnits({4}));
    QCOMPARE(m_selection->locked(), blockUnits({5}));
    QCOMPARE(changed.count(), 1);
    QCOMPARE(committed.count(), 0);
}

void TestPruneSelection::aNewModelStartsEmpty()
{
    m_selection->lock(blockUnits({4}));
    QSignalSpy changed(m_selection.get(), &PruneSelection::changed);

    m_selection->setConfig(toyConfig(3));

    QVERIFY(m_selection->selected().empty());
    QVERIFY(m_selection->locked().empty());
    QCOMPARE(m_selection->unitCount(UnitKind::Block), 3);
    QCOMPARE(changed.count(), 1);
}

void TestPruneSelection::headlineNamesEveryKind_data()
{
    QTest::addColumn<UnitSet>("units");
    QTest::addColumn<QString>("text");
    QTest::newRow("nothing") << UnitSet{} << QStringLiteral("Nothing selected");
    QTest::newRow("one block") << blockUnits({1}) << QStringLiteral("1 block selected");
    QTest::newRow("blocks") << blockUnits({1, 2, 3}) << QStringLiteral("3 blocks selected");
    QTest::newRow("mixed") << unitsUnion(blockUnits({1}), unitsUnion(groups(2, {0, 1}), channels(3, {5})))
                           << QStringLiteral("1 block, 2 KV groups, 1 channel selected");
}

void TestPruneSelection::headlineNamesEveryKind()
{
    QFETCH(UnitSet, units);
    QFETCH(QString, text);

    m_selection->setSelected(units);

    QCOMPARE(m_selection->headline(), text);
}

QTEST_MAIN(TestPruneSelection)
#include "tst_prune_selection.moc"
