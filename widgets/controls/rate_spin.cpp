#include "widgets/controls/rate_spin.h"

#include <cmath>
#include <utility>

namespace secateur {

RateSpin::RateSpin(QWidget *parent) : QDoubleSpinBox(parent)
{
    setDecimals(10);
    setRange(1e-8, 1);
}

QString RateSpin::textFromValue(double value) const
{
    // three digits at most, without zeros behind them: 2e-4, 1.25e-3
    const int exponent = value > 0 ? static_cast<int>(std::floor(std::log10(value) + 1e-9)) : 0;
    return QString::number(value / std::pow(10.0, exponent), 'g', 3) + u'e' + QString::number(exponent);
}

double RateSpin::valueFromText(const QString &text) const
{
    QString plain = text.trimmed();
    plain.replace(u'−', u'-').replace(u',', u'.').remove(u' ');
    return plain.toDouble(); // the C locale, as rates are written everywhere
}

QValidator::State RateSpin::validate(QString &text, int &) const
{
    bool isNumber = false;
    QString plain = text.trimmed();
    plain.replace(u'−', u'-').replace(u',', u'.').remove(u' ');
    const double value = plain.toDouble(&isNumber);
    if (isNumber)
        return value >= minimum() && value <= maximum() ? QValidator::Acceptable : QValidator::Intermediate;
    for (const QChar character : std::as_const(plain))
        if (!character.isDigit() && !u".eE+-"_qs.contains(character))
            return QValidator::Invalid;
    return QValidator::Intermediate;
}

void RateSpin::stepBy(int steps)
{
    double next = value();
    for (int i = 0; i < std::abs(steps); ++i) {
        const double down = steps < 0 ? 1e-9 : 0; // below 1e-4 comes 9.9e-5
        const double unit = std::pow(10.0, std::floor(std::log10(next * (1 - down)) + 1e-12) - 1);
        next += steps > 0 ? unit : -unit;
    }
    setValue(next);
}

} // namespace secateur
