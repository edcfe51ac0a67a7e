#include "backend/stats/intervals.h"

#include <QTest>

#include <cmath>
#include <limits>

using namespace secateur;

class TestIntervals : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void wilsonEqualsPublishedValues_data();
    void wilsonEqualsPublishedValues();
    void wilsonWithoutItemsKnowsNothing();
    void wilsonWidensWithConfidence();
    void mcnemarEqualsTheBinomialTest_data();
    void mcnemarEqualsTheBinomialTest();
    void quantileInterpolatesLinearly_data();
    void quantileInterpolatesLinearly();
    void boxSummaryCountsAndSkipsNotANumber();
    void emptyBoxIsNotANumber();
    void spearmanKnowsTies_data();
    void spearmanKnowsTies();
};

void TestIntervals::wilsonEqualsPublishedValues_data()
{
    QTest::addColumn<int>("successes");
    QTest::addColumn<int>("n");
    QTest::addColumn<double>("low");
    QTest::addColumn<double>("high");
    // Newcombe 1998, Statistics in Medicine 17, table I (score method, 95 %)
    QTest::newRow("81 of 263") << 81 << 263 << 0.2553 << 0.3662;
    QTest::newRow("15 of 148") << 15 << 148 << 0.0624 << 0.1605;
    QTest::newRow("0 of 20") << 0 << 20 << 0.0000 << 0.1611;
    QTest::newRow("1 of 29") << 1 << 29 << 0.0061 << 0.1718;
    QTest::newRow("all of 10") << 10 << 10 << 0.7225 << 1.0;
}

void TestIntervals::wilsonEqualsPublishedValues()
{
    QFETCH(int, successes);
    QFETCH(int, n);
    QFETCH(double, low);
    QFETCH(double, high);

    const auto interval = wilsonInterval(successes, n);

    QVERIFY2(std::abs(interval.low - low) < 6e-5, qPrintable(QString::number(interval.low, 'g', 10)));
    QVERIFY2(std::abs(interval.high - high) < 6e-5, qPrintable(QString::number(interval.high, 'g', 10)));
}

void TestIntervals::wilsonWithoutItemsKnowsNothing()
{
    const auto interval = wilsonInterval(0, 0);
    QCOMPARE(interval.low, 0.0);
    QCOMPARE(interval.high, 1.0);
}

void TestIntervals::wilsonWidensWithConfidence()
{
    const auto narrow = wilsonInterval(30, 100, 0.90);
    const auto wide = wilsonInterval(30, 100, 0.99);
    QVERIFY(wide.low < narrow.low);
    QVERIFY(wide.high > narrow.high);
}

void TestIntervals::mcnemarEqualsTheBinomialTest_data()
{
    QTest::addColumn<int>("first");
    QTest::addColumn<int>("second");
    QTest::addColumn<double>("p");
    QTest::newRow("no discordant pairs") << 0 << 0 << 1.0;
    QTest::newRow("one") << 1 << 0 << 1.0;
    QTest::newRow("even") << 7 << 7 << 1.0;
    QTest::newRow("1 to 9 is 2 * 11 / 1024") << 1 << 9 << 22.0 / 1024;
    QTest::newRow("9 to 1 is the same") << 9 << 1 << 22.0 / 1024;
    QTest::newRow("0 to 6") << 0 << 6 << 2.0 / 64;
    QTest::newRow("far beyond underflow of the single term") << 2000 << 2000 << 1.0;
}

void TestIntervals::mcnemarEqualsTheBinomialTest()
{
    QFETCH(int, first);
    QFETCH(int, second);
    QFETCH(double, p);
    QVERIFY2(std::abs(mcnemarExact(first, second) - p) < 1e-9,
             qPrintable(QString::number(mcnemarExact(first, second))));
}

void TestIntervals::quantileInterpolatesLinearly_data()
{
    QTest::addColumn<double>("q");
    QTest::addColumn<double>("expected");
    QTest::newRow("minimum") << 0.0 << 1.0;
    QTest::newRow("first quartile") << 0.25 << 3.25;
    QTest::newRow("median") << 0.5 << 5.5;
    QTest::newRow("95 %") << 0.95 << 9.55;
    QTest::newRow("maximum") << 1.0 << 10.0;
    QTest::newRow("above the range") << 1.5 << 10.0;
}

void TestIntervals::quantileInterpolatesLinearly()
{
    QFETCH(double, q);
    QFETCH(double, expected);
    const std::vector<double> values{7, 1, 10, 3, 5, 2, 9, 4, 8, 6};
    QVERIFY(std::abs(quantile(values, q) - expected) < 1e-12);
}

void TestIntervals::boxSummaryCountsAndSkipsNotANumber()
{
    const std::vector<double> values{4, std::numeric_limits<double>::quiet_NaN(), 2, 3, 1, 5};

    const auto box = boxSummary(values, 2);

    QCOMPARE(box.n, 5);
    QCOMPARE(box.censored, 2);
    QCOMPARE(box.p5, 1.2);
    QCOMPARE(box.p25, 2.0);
    QCOMPARE(box.p50, 3.0);
    QCOMPARE(box.p75, 4.0);
    QCOMPARE(box.p95, 4.8);
    QCOMPARE(box.maximum, 5.0);
}

void TestIntervals::emptyBoxIsNotANumber()
{
    const auto box = boxSummary({}, 0);
    QCOMPARE(box.n, 0);
    QVERIFY(std::isnan(box.p50));
    QVERIFY(std::isnan(box.maximum));
    QVERIFY(std::isnan(quantile({}, 0.5)));
}

void TestIntervals::spearmanKnowsTies_data()
{
    const double missing = std::numeric_limits<double>::quiet_NaN();
    QTest::addColumn<QList<double>>("a");
    QTest::addColumn<QList<double>>("b");
    QTest::addColumn<double>("rho");
    QTest::newRow("same order") << QList<double>{1, 2, 3} << QList<double>{10, 100, 1000} << 1.0;
    QTest::newRow("reversed") << QList<double>{1, 2, 3} << QList<double>{3, 2, 1} << -1.0;
    QTest::newRow("ties share their rank")
        << QList<double>{1, 2, 2, 3} << QList<double>{1, 2, 3, 4} << 4.5 / std::sqrt(22.5);
    QTest::newRow("undefined cells are left out")
        << QList<double>{1, missing, 2, 3} << QList<double>{1, 9, 2, 3} << 1.0;
    QTest::newRow("one value") << QList<double>{1} << QList<double>{1} << missing;
    QTest::newRow("constant side") << QList<double>{1, 1, 1} << QList<double>{1, 2, 3} << missing;
}

void TestIntervals::spearmanKnowsTies()
{
    QFETCH(QList<double>, a);
    QFETCH(QList<double>, b);
    QFETCH(double, rho);

    const double result = spearman({a.constData(), static_cast<std::size_t>(a.size())},
                                   {b.constData(), static_cast<std::size_t>(b.size())});

    QCOMPARE(std::isnan(result), std::isnan(rho));
    if (!std::isnan(rho))
        QVERIFY2(std::abs(result - rho) < 1e-12, qPrintable(QString::number(result, 'g', 17)));
}

QTEST_APPLESS_MAIN(TestIntervals)
#include "tst_intervals.moc"
