#include "backend/core/error.h"
#include "backend/stats/twin_maps.h"
#include "tests/support/map_fixtures.h"

#include <QTest>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

using namespace secateur;

namespace {

MetricMap changed(const MetricMapPtr &map, const std::function<float(std::int64_t, std::int64_t, float)> &change)
{
    MetricMap copy = *map;
    for (std::int64_t row = 0; row < copy.rows; ++row)
        for (std::int64_t column = 0; column < copy.columns; ++column) {
            float &value = copy.values[static_cast<std::size_t>(row * copy.columns + column)];
            value = change(row, column, value);
        }
    return copy;
}

bool near(double a, double b, double tolerance = 1e-12)
{
    return std::abs(a - b) <= tolerance;
}

} // namespace

class TestTwinMaps : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void equalMapsAgreeEverywhere();
    void reversedRanksGiveMinusOne();
    void scalesTakeOutWhatTheyName();
    void plantedEditsAreFound();
    void intervalsFollowBonettAndWright();
    void sharedCellsGetNoInterval();
    void undefinedCellsAreLeftOut();
    void shapesThatDifferAreNamed();
    void nothingInCommonIsSaid();
};

void TestTwinMaps::equalMapsAgreeEverywhere()
{
    const auto map = unitMap("ffn_importance", 4, 50);
    const auto same = compareTwinMap(*map, *map, TwinScale::PerModel);
    QCOMPARE(same.rho, 1.0);
    QCOMPARE(same.n, 200);
    QCOMPARE(same.higher + same.lower, 0);
    QCOMPARE(same.signP, 1.0);
    QCOMPARE(same.difference->metric, std::string("activation_weight_difference"));
    QVERIFY(std::all_of(same.difference->values.begin(), same.difference->values.end(),
                        [](float value) { return value == 0; }));
    QCOMPARE(same.rowRho, std::vector<double>(4, 1.0));
}

void TestTwinMaps::reversedRanksGiveMinusOne()
{
    const auto map = influenceMap({1, 2, 3, 4, 5, 6, 7, 8});
    const auto reversed = influenceMap({8, 7, 6, 5, 4, 3, 2, 1});
    const auto result = compareTwinMap(*map, *reversed, usualTwinScale(*map));
    QCOMPARE(result.rho, -1.0);
    QVERIFY(result.interval && result.interval->high < -0.99);
    QCOMPARE(result.higher, 4);
    QCOMPARE(result.lower, 4);
    QVERIFY(result.rowRho.empty()); // a profile has one value per row
    QCOMPARE(result.difference->at(0, 0), -7.0F);
}

void TestTwinMaps::scalesTakeOutWhatTheyName()
{
    const auto map = unitMap("ffn_importance", 5, 40);
    const MetricMap tripled = changed(map, [](auto, auto, float value) { return 3 * value; });
    const MetricMap byRow = changed(map, [](auto row, auto, float value) { return float(row + 2) * value; });
    const auto largest = [](const TwinComparison &comparison) {
        float reach = 0;
        for (const float value : comparison.difference->values)
            reach = std::max(reach, std::abs(value));
        return reach;
    };
    QVERIFY(largest(compareTwinMap(*map, tripled, TwinScale::PerModel)) < 1e-6F);
    QVERIFY(largest(compareTwinMap(*map, byRow, TwinScale::PerBlock)) < 1e-6F);
    QVERIFY(largest(compareTwinMap(*map, byRow, TwinScale::PerModel)) > 0.1F);
    QCOMPARE(compareTwinMap(*map, tripled, TwinScale::Raw).difference->at(1, 2), -2 * map->at(1, 2));
    QCOMPARE(compareTwinMap(*map, tripled, TwinScale::Raw).rho, 1.0); // ranks know no scale
}

void TestTwinMaps::plantedEditsAreFound()
{
    const auto map = unitMap("ffn_importance", 10, 64);
    const std::set<int> edited{2, 5, 9};
    MetricMap twin = changed(map, [&](std::int64_t row, std::int64_t column, float value) {
        return edited.contains(int(row)) && column % 2 == 0 ? value * 0.5F + 20000 : value;
    });
    twin.values[5 * 64 + 17] = 1e6F; // the largest change of all
    const auto result = compareTwinMap(*map, twin, TwinScale::Raw);
    QCOMPARE(result.row, 5);
    QCOMPARE(result.column, 17);
    std::vector<int> order(10);
    for (int row = 0; row < 10; ++row)
        order[static_cast<std::size_t>(row)] = row;
    std::sort(order.begin(), order.end(), [&](int a, int b) {
        return result.rowRho[static_cast<std::size_t>(a)] < result.rowRho[static_cast<std::size_t>(b)];
    });
    QVERIFY((std::set<int>(order.begin(), order.begin() + 3) == edited));
    QCOMPARE(result.rowRho[0], 1.0);
    // Spearman as the correlation of ranks, counted here in another way: 1 − 6 Σd² / (n (n² − 1)) without ties.
    const auto rankIn = [](const MetricMap &in, int row, float value) {
        return std::count_if(in.values.begin() + row * 64, in.values.begin() + (row + 1) * 64,
                             [value](float other) { return other < value; });
    };
    double squares = 0;
    for (int column = 0; column < 64; ++column) {
        const auto apart
            = static_cast<double>(rankIn(*map, 2, map->at(2, column)) - rankIn(twin, 2, twin.at(2, column)));
        squares += apart * apart;
    }
    QVERIFY(near(result.rowRho[2], 1 - 6 * squares / (64.0 * (64.0 * 64 - 1)), 1e-9));
}

void TestTwinMaps::intervalsFollowBonettAndWright()
{
    // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) = 0.8207826816681233
    const auto five = compareTwinMap(*influenceMap({1, 2, 3, 4, 5}), *influenceMap({5, 6, 7, 8, 7}), TwinScale::Raw);
    QVERIFY(near(five.rho, 0.8207826816681233));
    QVERIFY(five.interval);
    const double half = 1.959963984540054 * std::sqrt((1 + five.rho * five.rho / 2) / 2);
    QVERIFY(near(five.interval->low, std::tanh(std::atanh(five.rho) - half)));
    QVERIFY(near(five.interval->high, std::tanh(std::atanh(five.rho) + half)));
    QVERIFY(!compareTwinMap(*influenceMap({1, 2, 3, 4}), *influenceMap({1, 2, 3, 4}), TwinScale::Raw).interval);
    QCOMPARE(five.lower, 5);
    QCOMPARE(five.signP, 0.0625); // 2 / 2⁵
}

void TestTwinMaps::sharedCellsGetNoInterval()
{
    const auto cosine = compareTwinMap(*cosineMap(6), *cosineMap(6), TwinScale::Raw);
    QCOMPARE(cosine.n, 21); // pairs of 7 states, once each and without the diagonal
    QVERIFY(!cosine.interval);
    QVERIFY(cosine.rowRho.empty());
    const auto distance = compareTwinMap(*distanceMap(6), *distanceMap(6), TwinScale::Raw);
    QCOMPARE(distance.n, 21); // runs that fit into six blocks
    QVERIFY(!distance.interval);
    QVERIFY(usualTwinScale(*distanceMap(6)) == TwinScale::Raw);
    QVERIFY(usualTwinScale(*unitMap("head_importance", 2, 2)) == TwinScale::PerModel);
}

void TestTwinMaps::undefinedCellsAreLeftOut()
{
    const auto map = unitMap("head_importance", 3, 4);
    const MetricMap holes = changed(map, [](std::int64_t row, std::int64_t column, float value) {
        return row == 1 && column < 2 ? std::numeric_limits<float>::quiet_NaN()
            : row == 2 && column == 0 ? std::numeric_limits<float>::infinity()
                                      : value;
    });
    const auto result = compareTwinMap(*map, holes, TwinScale::Raw);
    QCOMPARE(result.n, 9);
    QVERIFY(std::isnan(result.difference->at(1, 1)));
    QVERIFY(std::isnan(result.rowRho[1])); // two pairs are no ranking
    QCOMPARE(result.rowRho[2], 1.0);
    const MetricMap nothing = changed(map, [](auto, auto, float) { return std::numeric_limits<float>::quiet_NaN(); });
    const auto none = compareTwinMap(*map, nothing, TwinScale::PerModel);
    QCOMPARE(none.n, 0);
    QCOMPARE(none.row, -1);
    QVERIFY(std::isnan(none.rho) && !none.interval);
}

void TestTwinMaps::shapesThatDifferAreNamed()
{
    AnalysisResult a, b;
    a.modelName = "one";
    b.modelName = "other";
    a.maps = {influenceMap({1, 2, 3}), unitMap("ffn_importance", 3, 8)};
    b.maps = {influenceMap({1, 2, 3}), unitMap("ffn_importance", 3, 9)};
    try {
        compareTwinMaps(a, b);
        QFAIL("accepted");
    } catch (const Error &error) {
        const auto message = QString::fromStdString(error.info().message);
        QVERIFY2(message.contains(u"one and other differ in shape") && message.contains(u"3 × 8 against 3 × 9"),
                 qPrintable(message));
    }
    b.maps.pop_back();
    const auto shared = compareTwinMaps(a, b); // the map that one of them lacks does no harm
    QCOMPARE(shared.size(), std::size_t(1));
    QVERIFY(shared.contains("block_influence/influence"));
}

void TestTwinMaps::nothingInCommonIsSaid()
{
    AnalysisResult a, b;
    a.maps = {influenceMap({1, 2, 3})};
    b.maps = {unitMap("ffn_importance", 3, 9)};
    QVERIFY_EXCEPTION_THROWN(compareTwinMaps(a, b), Error);
    QVERIFY_EXCEPTION_THROWN(compareTwinMap(*a.maps[0], *b.maps[0], TwinScale::Raw), Error);
}

QTEST_GUILESS_MAIN(TestTwinMaps)
#include "tst_twin_maps.moc"
