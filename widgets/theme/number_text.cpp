#include "widgets/theme/number_text.h"

#include <QStringBuilder>

#include <algorithm>
#include <array>
#include <cmath>

namespace secateur {

namespace {

constexpr QChar kMinus(0x2212);
constexpr QChar kThinSpace(0x202F);

QString withMinus(QString text)
{
    if (text.startsWith(u'-')) {
        const bool isZero = std::none_of(text.cbegin(), text.cend(), [](QChar c) { return c >= u'1' && c <= u'9'; });
        if (isZero)
            text.remove(0, 1);
        else
            text[0] = kMinus;
    }
    const qsizetype exponent = text.indexOf(QStringLiteral("e-"));
    if (exponent >= 0)
        text[exponent + 1] = kMinus;
    return text;
}

QString fixedText(double value, int decimals)
{
    return withMinus(QString::number(value, 'f', std::clamp(decimals, 0, 12)));
}

/// The place of the first digit after rounding to \a digits significant ones: 9.9996 with 4 digits is a "10".
int leadingPlace(double value, int digits)
{
    const double magnitude = std::abs(value);
    const int place = static_cast<int>(std::floor(std::log10(magnitude)));
    const double unit = std::pow(10.0, place - digits + 1);
    return std::round(magnitude / unit) * unit >= std::pow(10.0, place + 1) * (1 - 1e-12) ? place + 1 : place;
}

struct CountUnit {
    double size;
    const char *suffix;
};

/// The largest unit of which \a magnitude, rounded to \a digits digits, is at least one.
template <std::size_t N> const CountUnit *unitFor(double magnitude, const std::array<CountUnit, N> &units, int digits)
{
    const double slack = 0.5 * std::pow(10.0, -digits);
    for (const CountUnit &unit : units) {
        if (magnitude >= unit.size * (1 - slack))
            return &unit;
    }
    return nullptr;
}

} // namespace

QString missingNumber()
{
    return QString(QChar(0x2013));
}

QString exactCount(qint64 value)
{
    QString digits = QString::number(value);
    const bool negative = digits.startsWith(u'-');
    if (negative)
        digits.remove(0, 1);
    for (qsizetype place = digits.size() - 3; place > 0; place -= 3)
        digits.insert(place, kThinSpace);
    if (negative)
        digits.prepend(kMinus);
    return digits;
}

QString shortCount(double value)
{
    static constexpr std::array<CountUnit, 4> kUnits{{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}}};
    if (!std::isfinite(value))
        return missingNumber();
    const CountUnit *unit = unitFor(std::abs(value), kUnits, 4);
    if (!unit)
        return fixedText(value, value == std::floor(value) ? 0 : 1);
    const double scaled = value / unit->size;
    return fixedText(scaled, std::abs(scaled) < 9.995 ? 2 : 1) + u' ' + QLatin1String(unit->suffix);
}

QString flops(double value)
{
    static constexpr std::array<CountUnit, 4> kUnits{{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
    if (!std::isfinite(value))
        return missingNumber();
    const CountUnit *unit = unitFor(std::abs(value), kUnits, 3);
    if (!unit)
        return fixedText(value, 0);
    const double scaled = value / unit->size;
    const double magnitude = std::abs(scaled);
    return fixedText(scaled, magnitude < 9.995 ? 2 : magnitude < 99.95 ? 1 : 0) + u' ' + QLatin1String(unit->suffix);
}

QString significant(double value, int digits)
{
    if (!std::isfinite(value))
        return missingNumber();
    if (value == 0)
        return fixedText(0, digits - 1);
    const int place = leadingPlace(value, digits);
    if (place < -4 || place > 9)
        return withMinus(QString::number(value, 'e', digits - 1));
    return fixedText(value, std::max(0, digits - 1 - place));
}

QString mapValue(double value)
{
    if (!std::isfinite(value))
        return missingNumber();
    const double magnitude = std::abs(value);
    // Six decimals would leave no digit of a very small score.
    if (magnitude > 0 && magnitude < 1e-4)
        return significant(value, 6);
    return magnitude < 0.9999995 ? fixedText(value, 6) : significant(value, 6);
}

QString tickValue(double value, double step)
{
    if (!std::isfinite(value) || !std::isfinite(step))
        return missingNumber();
    const double size = std::abs(step);
    if (size > 0 && (size < 1e-5 || std::abs(value) >= 1e6))
        return withMinus(QString::number(value, 'g', 3));
    const int decimals = size > 0 ? static_cast<int>(std::max(0.0, std::ceil(-std::log10(size) - 1e-9))) : 2;
    return fixedText(value, decimals);
}

QString fileSize(qint64 bytes)
{
    static constexpr std::array<CountUnit, 4> kUnits{{{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}}};
    const double value = static_cast<double>(bytes);
    const CountUnit *unit = unitFor(std::abs(value), kUnits, 4);
    if (!unit)
        return QString::number(bytes) + QStringLiteral(" B");
    return fixedText(value / unit->size, 1) + u' ' + QLatin1String(unit->suffix);
}

QString memorySize(qint64 bytes)
{
    constexpr double kMebibyte = 1024.0 * 1024.0;
    constexpr double kGibibyte = kMebibyte * 1024.0;
    const double value = static_cast<double>(bytes);
    if (std::abs(value) >= 0.095 * kGibibyte)
        return fixedText(value / kGibibyte, 1) + QStringLiteral(" GiB");
    return fixedText(value / kMebibyte, 1) + QStringLiteral(" MiB");
}

QString duration(qint64 seconds)
{
    seconds = std::max<qint64>(0, seconds);
    const auto two = [](qint64 part) { return QString::number(part).rightJustified(2, u'0'); };
    if (seconds < 3600)
        return QString::number(seconds / 60) + u':' + two(seconds % 60);
    return QString::number(seconds / 3600) + u':' + two(seconds / 60 % 60) + u':' + two(seconds % 60);
}

QString percent(double share, int decimals)
{
    return std::isfinite(share) ? fixedText(share * 100, decimals) + QStringLiteral(" %") : missingNumber();
}

QString signedChange(double value, int decimals)
{
    if (!std::isfinite(value))
        return missingNumber();
    const QString text = fixedText(value, decimals);
    const bool isZero = std::none_of(text.cbegin(), text.cend(), [](QChar c) { return c >= u'1' && c <= u'9'; });
    return isZero || text.startsWith(kMinus) ? text : u'+' + text;
}

QString relativeChange(double before, double after)
{
    if (!std::isfinite(before) || !std::isfinite(after) || before == 0)
        return missingNumber();
    return signedChange((after - before) / before * 100) + QStringLiteral(" %");
}

} // namespace secateur
