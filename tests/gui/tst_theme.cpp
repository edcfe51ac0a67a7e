#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QApplication>
#include <QPushButton>
#include <QTest>

#include <cmath>

using namespace secateur;

namespace {

double linear(double channel)
{
    return channel <= 0.04045 ? channel / 12.92 : std::pow((channel + 0.055) / 1.055, 2.4);
}

double luminance(const QColor &color)
{
    return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF());
}

/// WCAG 2 contrast ratio.
double contrast(const QColor &a, const QColor &b)
{
    const double high = std::max(luminance(a), luminance(b)), low = std::min(luminance(a), luminance(b));
    return (high + 0.05) / (low + 0.05);
}

} // namespace

class TestTheme : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void textCanBeReadInBothThemes_data();
    void textCanBeReadInBothThemes();
    void paletteTellsItsTheme();
    void switchingRecoloursOpenWidgets();
    void numbersHaveTheirFormats_data();
    void numbersHaveTheirFormats();
};

void TestTheme::textCanBeReadInBothThemes_data()
{
    QTest::addColumn<QColor>("front");
    QTest::addColumn<QColor>("back");
    QTest::addColumn<double>("least");
    for (const ThemeColors *colors : {&lightColors(), &darkColors()}) {
        const char *name = colors->dark ? "dark" : "light";
        QTest::addRow("%s text", name) << colors->text << colors->base << 7.0;
        QTest::addRow("%s text on window", name) << colors->text << colors->window << 7.0;
        QTest::addRow("%s secondary", name) << colors->secondaryText << colors->base << 4.5;
        QTest::addRow("%s secondary on window", name) << colors->secondaryText << colors->window << 4.5;
        QTest::addRow("%s primary button", name) << colors->onAccent << colors->accent << 4.5;
        QTest::addRow("%s selected row", name) << colors->text << colors->accentTint << 7.0;
        QTest::addRow("%s notice", name) << colors->notice.text << colors->notice.back << 4.5;
        QTest::addRow("%s warning", name) << colors->warning.text << colors->warning.back << 4.5;
        QTest::addRow("%s error", name) << colors->error.text << colors->error.back << 4.5;
        QTest::addRow("%s instruct line", name) << colors->instruct << colors->base << 3.0;
        QTest::addRow("%s think line", name) << colors->think << colors->base << 3.0;
    }
}

void TestTheme::textCanBeReadInBothThemes()
{
    QFETCH(QColor, front);
    QFETCH(QColor, back);
    QFETCH(double, least);
    QVERIFY2(contrast(front, back) >= least, qPrintable(QString::number(contrast(front, back))));
}

void TestTheme::paletteTellsItsTheme()
{
    QVERIFY(themeColors(themePalette(darkColors())).dark);
    QVERIFY(!themeColors(themePalette(lightColors())).dark);
}

void TestTheme::switchingRecoloursOpenWidgets()
{
    applyTheme(*qApp, ThemeMode::Light);
    QPushButton button(QStringLiteral("Text"));
    button.show();
    QVERIFY(QTest::qWaitForWindowExposed(&button));
    const QImage light = button.grab().toImage();
    applyTheme(*qApp, ThemeMode::Dark);
    QTRY_VERIFY(themeColors(&button).dark);
    QVERIFY(button.grab().toImage() != light);
    applyTheme(*qApp, ThemeMode::Light);
    QTRY_VERIFY(button.grab().toImage() == light);
}

void TestTheme::numbersHaveTheirFormats_data()
{
    QTest::addColumn<QString>("shown");
    QTest::addColumn<QString>("expected");
    QTest::newRow("exact") << exactCount(134515008) << QStringLiteral("134\u202f515\u202f008");
    QTest::newRow("short") << shortCount(134515008) << QStringLiteral("134.5 M");
    QTest::newRow("short small") << shortCount(512) << QStringLiteral("512");
    QTest::newRow("map") << mapValue(0.925347) << QStringLiteral("0.925347");
    QTest::newRow("map nothing") << mapValue(std::nan("")) << QStringLiteral("–");
    QTest::newRow("file") << fileSize(269030016) << QStringLiteral("269.0 MB");
    QTest::newRow("memory") << memorySize(966367641) << QStringLiteral("0.9 GiB");
    QTest::newRow("short time") << duration(75) << QStringLiteral("1:15");
    QTest::newRow("long time") << duration(3675) << QStringLiteral("1:01:15");
    QTest::newRow("percent") << percent(0.62) << QStringLiteral("62.0 %");
    QTest::newRow("minus") << signedChange(-6.5) << QStringLiteral("−6.5");
    QTest::newRow("plus") << signedChange(43.6) << QStringLiteral("+43.6");
    QTest::newRow("ratio") << relativeChange(200, 100) << QStringLiteral("−50.0 %");
    QTest::newRow("ratio to nothing") << relativeChange(0, 100) << QStringLiteral("–");
}

void TestTheme::numbersHaveTheirFormats()
{
    QFETCH(QString, shown);
    QFETCH(QString, expected);
    QCOMPARE(shown, expected);
}

QTEST_MAIN(TestTheme)
#include "tst_theme.moc"
