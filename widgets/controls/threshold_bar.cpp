#include "widgets/controls/threshold_bar.h"

#include "widgets/heatmap/map_units.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QLocale>
#include <QSignalBlocker>
#include <QSlider>
#include <QToolButton>

#include <algorithm>
#include <cmath>

namespace secateur {

namespace {

constexpr int kThresholdSteps = 1000;

QString thresholdText(double value)
{
    return QString::number(value, 'g', 4);
}

} // namespace

struct ThresholdBar::Private {
    QSlider *slider = nullptr;
    QLineEdit *field = nullptr;
    QLabel *label = nullptr;
    QLabel *count = nullptr;
    QToolButton *remove = nullptr;
    PruneSelection *selection = nullptr;
    MetricMapPtr map;
    std::optional<UnitKind> unit;
    std::optional<double> threshold;
    double low = 0;
    double high = 1;
    bool isLog = false;
    bool applying = false;

    double valueAt(int step) const
    {
        const double share = double(step) / kThresholdSteps;
        const double value = isLog ? low * std::pow(high / low, share) : low + (high - low) * share;
        return thresholdText(value).toDouble(); // what is shown is what is used
    }
    int stepOf(double value) const
    {
        const double share
            = isLog ? std::log(std::max(value, low) / low) / std::log(high / low) : (value - low) / (high - low);
        return static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * kThresholdSteps));
    }
};

ThresholdBar::ThresholdBar(QWidget *parent) : QWidget(parent), d(std::make_unique<Private>())
{
    auto *layout = new QHBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(8);
    d->label = new QLabel(tr("Threshold"));
    setSecondary(d->label);
    d->slider = new QSlider(Qt::Horizontal);
    d->slider->setRange(0, kThresholdSteps);
    d->slider->setSingleStep(5);
    d->slider->setPageStep(50);
    d->slider->setMinimumWidth(80);
    d->slider->setMaximumWidth(136);
    d->slider->setAccessibleName(tr("Threshold"));
    d->field = new QLineEdit;
    d->field->setFixedWidth(72);
    d->field->setAccessibleName(tr("Threshold value"));
    d->field->setPlaceholderText(missingNumber());
    d->count = new QLabel;
    setSecondary(d->count);
    d->remove = new QToolButton;
    d->remove->setAutoRaise(true);
    d->remove->setIcon(themedIcon(QStringLiteral("close"), IconColor::Secondary));
    d->remove->setIconSize(QSize(12, 12));
    d->remove->setToolTip(tr("Remove the threshold, keep the selection"));
    d->remove->setAccessibleName(tr("Remove threshold"));
    for (QWidget *widget : std::initializer_list<QWidget *>{d->label, d->slider, d->field, d->count, d->remove})
        layout->addWidget(widget);

    connect(d->slider, &QSlider::sliderPressed, this, [this] {
        if (d->selection)
            d->selection->beginGesture();
    });
    connect(d->slider, &QSlider::sliderReleased, this, [this] {
        if (d->selection)
            d->selection->endGesture();
    });
    connect(d->slider, &QSlider::valueChanged, this, [this](int step) { setThreshold(d->valueAt(step)); });
    connect(d->field, &QLineEdit::editingFinished, this, &ThresholdBar::readField);
    connect(d->remove, &QToolButton::clicked, this, [this] { setThreshold(std::nullopt); });
    showThreshold();
}

ThresholdBar::~ThresholdBar() = default;

void ThresholdBar::setSelection(PruneSelection *selection)
{
    if (d->selection)
        d->selection->disconnect(this);
    d->selection = selection;
    if (selection) {
        connect(selection, &PruneSelection::changed, this, [this] {
            // The line would lie once something else has changed the selection.
            if (!d->applying && d->threshold) {
                d->threshold.reset();
                showThreshold();
                Q_EMIT thresholdChanged(d->threshold);
            }
            d->count->setText(countText());
        });
        connect(selection, &PruneSelection::configChanged, this, [this] { d->count->setText(countText()); });
        connect(selection, &QObject::destroyed, this, [this] { d->selection = nullptr; });
    }
    showThreshold();
}

void ThresholdBar::setMap(const MetricMapPtr &map)
{
    const bool usable = map && scoresUnits(mapKind(*map));
    if (usable && d->map == map)
        return;
    d->map = usable ? map : nullptr;
    d->unit = usable ? unitKindOf(mapKind(*map)) : std::nullopt;
    d->threshold.reset();
    if (usable) {
        float smallest = 0;
        const ValueRange range = finiteRange(*map);
        for (const float value : map->values) {
            if (value > 0 && (smallest == 0 || value < smallest))
                smallest = value;
        }
        d->isLog = range.low >= 0 && smallest > 0 && range.high > smallest;
        // A little beyond both ends, so that none and all can be had.
        const double span = static_cast<double>(range.high) - static_cast<double>(range.low);
        d->low = d->isLog ? static_cast<double>(smallest) * 0.98 : static_cast<double>(range.low);
        d->high = d->isLog ? static_cast<double>(range.high) * 1.02 : static_cast<double>(range.high) + span * 0.01;
        if (d->high <= d->low)
            d->high = d->low + 1;
    }
    showThreshold();
    Q_EMIT thresholdChanged(d->threshold);
}

std::optional<double> ThresholdBar::threshold() const
{
    return d->threshold;
}

void ThresholdBar::setThreshold(std::optional<double> threshold)
{
    if (!d->map || threshold == d->threshold)
        return;
    d->threshold = threshold;
    showThreshold();
    Q_EMIT thresholdChanged(threshold);
    if (!threshold || !d->selection)
        return;
    d->applying = true;
    d->selection->replace(unitsBelow(*d->map, *threshold), *d->unit);
    d->applying = false;
}

void ThresholdBar::readField()
{
    const QString text = d->field->text().trimmed();
    if (text.isEmpty()) {
        setThreshold(std::nullopt);
        return;
    }
    bool ok = false;
    double value = QLocale::c().toDouble(text, &ok);
    if (!ok)
        value = QLocale().toDouble(text, &ok);
    if (ok && std::isfinite(value))
        setThreshold(value);
    showThreshold();
}

void ThresholdBar::showThreshold()
{
    const QSignalBlocker blocker(d->slider);
    setEnabled(d->map && d->selection);
    d->slider->setValue(d->threshold ? d->stepOf(*d->threshold) : 0);
    d->field->setText(d->threshold ? thresholdText(*d->threshold) : QString());
    d->remove->setEnabled(d->threshold.has_value());
    d->count->setText(countText());
    setToolTip(d->map ? tr("Selects every unit below it; locked units stay")
                      : tr("This map has no score per unit: choose Block influence, heads or channels"));
}

void ThresholdBar::focusField()
{
    d->field->setFocus(Qt::ShortcutFocusReason);
    d->field->selectAll();
}

QString ThresholdBar::countText() const
{
    if (!d->unit || !d->selection)
        return {};
    return tr("%1 of %2")
        .arg(exactCount(countOfKind(d->selection->selected(), *d->unit)),
             countedUnits(*d->unit, d->selection->unitCount(*d->unit)));
}

} // namespace secateur
