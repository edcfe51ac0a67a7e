#include "widgets/charts/profile_chart.h"

#include "widgets/charts/profile_plot.h"
#include "widgets/controls/threshold_bar.h"
#include "widgets/controls/title_line.h"
#include "widgets/heatmap/map_units.h"
#include "widgets/theme/theme.h"

#include <QHBoxLayout>
#include <QImage>
#include <QPainter>
#include <QVBoxLayout>

namespace secateur {

struct ProfileChart::Private {
    TitleLine *title = nullptr;
    ThresholdBar *threshold = nullptr;
    ProfilePlot *plot = nullptr;
    PruneSelection *selection = nullptr;
    MetricMapPtr map;
    MetricMapPtr thresholdMap;
    bool hovering = false;

    /// The line belongs to the values of the plot; a threshold in another map has no place there.
    void showThreshold()
    {
        const bool ownMap = !thresholdMap || thresholdMap == map;
        plot->setThreshold(ownMap ? threshold->threshold() : std::nullopt);
    }
};

ProfileChart::ProfileChart(QWidget *parent) : QWidget(parent), d(std::make_unique<Private>())
{
    setBackgroundRole(QPalette::Base);
    setAutoFillBackground(true);
    d->title = new TitleLine;
    d->title->setSeparator({});
    d->threshold = new ThresholdBar;
    d->plot = new ProfilePlot;
    auto *head = new QHBoxLayout;
    head->setContentsMargins(12, 0, 12, 0);
    head->setSpacing(16);
    head->addWidget(d->title, 1);
    head->addWidget(d->threshold);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 4, 0, 4);
    layout->setSpacing(2);
    layout->addLayout(head);
    layout->addWidget(d->plot, 1);
    setFocusProxy(d->plot);

    connect(d->threshold, &ThresholdBar::thresholdChanged, this, [this](std::optional<double> threshold) {
        d->showThreshold();
        Q_EMIT thresholdChanged(threshold);
    });
    d->plot->thresholdDragged = [this](double value) { d->threshold->setThreshold(value); };
    d->plot->brushChanged = [this] { Q_EMIT brushChanged(); };
    d->plot->blockHovered = [this](int block) {
        d->hovering = true;
        if (d->selection)
            d->selection->setHighlighted(block < 0 ? UnitSet{} : blockUnits({block}));
        d->hovering = false;
        Q_EMIT blockHovered(block);
    };
}

ProfileChart::~ProfileChart() = default;

void ProfileChart::setSelection(PruneSelection *selection)
{
    if (d->selection)
        d->selection->disconnect(this);
    d->selection = selection;
    d->plot->setSelection(selection);
    d->threshold->setSelection(selection);
    if (!selection)
        return;
    connect(selection, &PruneSelection::changed, d->plot, qOverload<>(&QWidget::update));
    connect(selection, &PruneSelection::lockedChanged, d->plot, qOverload<>(&QWidget::update));
    connect(selection, &PruneSelection::highlightedChanged, this, [this] {
        if (!d->hovering)
            d->plot->setLinkedBlocks(d->selection->highlighted().blocks);
    });
    connect(selection, &QObject::destroyed, this, [this] {
        d->selection = nullptr;
        d->plot->setSelection(nullptr);
    });
}

void ProfileChart::setMap(const MetricMapPtr &map)
{
    d->map = map;
    std::vector<ProfileSeries> series;
    QString axisTitle;
    if (map && map->rows > 0 && map->columns == 1) {
        series.push_back({{}, map->values, ProfileSeries::Kind::Plain});
        axisTitle = metricName(*map);
    }
    d->plot->setSeries(std::move(series), axisTitle);
    if (!d->thresholdMap)
        d->threshold->setMap(map);
    d->showThreshold();
}

void ProfileChart::setSeries(const std::vector<ProfileSeries> &series, const QString &axisTitle)
{
    d->plot->setSeries(series, axisTitle);
}

void ProfileChart::setTitle(const QString &title, const QString &description)
{
    d->title->setTexts(title, description);
    d->plot->setAccessibleName(tr("%1 chart").arg(title));
}

void ProfileChart::setThresholdMap(const MetricMapPtr &map)
{
    d->thresholdMap = map;
    d->threshold->setMap(map ? map : d->map);
    d->showThreshold();
}

std::optional<double> ProfileChart::threshold() const
{
    return d->threshold->threshold();
}

void ProfileChart::setThreshold(std::optional<double> threshold)
{
    d->threshold->setThreshold(threshold);
}

void ProfileChart::focusThreshold()
{
    d->threshold->focusField();
}

std::optional<std::pair<int, int>> ProfileChart::brush() const
{
    return d->plot->brush();
}

void ProfileChart::setBrush(std::optional<std::pair<int, int>> brush)
{
    d->plot->setBrush(brush);
}

void ProfileChart::setLinkedBlocks(const std::set<int> &blocks)
{
    d->plot->setLinkedBlocks(blocks);
}

QPointF ProfileChart::pointOf(int block, int series) const
{
    return d->plot->mapTo(this, d->plot->pointOf(block, series));
}

QRect ProfileChart::plotRect() const
{
    return d->plot->plotRect().translated(d->plot->mapTo(this, QPoint(0, 0)));
}

QImage ProfileChart::render(const QSize &size) const
{
    QImage image(size, QImage::Format_RGB32);
    const ThemeColors &colors = lightColors();
    image.fill(colors.base);
    QPainter painter(&image);
    QFont bold = font();
    bold.setWeight(QFont::DemiBold);
    painter.setFont(bold);
    painter.setPen(colors.text);
    painter.drawText(QRect(12, 6, size.width() - 24, 20), Qt::AlignLeft | Qt::AlignVCenter, d->title->title());
    const int used = QFontMetrics(bold).horizontalAdvance(d->title->title()) + 10;
    painter.setFont(font());
    painter.setPen(colors.secondaryText);
    painter.drawText(QRect(12 + used, 6, size.width() - 24 - used, 20), Qt::AlignLeft | Qt::AlignVCenter,
                     d->title->description());
    d->plot->paintInto(&painter, QRect(0, 30, size.width(), size.height() - 30), colors);
    return image;
}

} // namespace secateur
