#include "widgets/heatmap/heatmap_panel.h"

#include "widgets/controls/title_line.h"
#include "widgets/heatmap/row_bars.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QEvent>
#include <QResizeEvent>

#include <algorithm>
#include <cmath>

namespace secateur {

namespace {

constexpr int kPanelTitleHeight = 32;

} // namespace

struct HeatmapPanel::Private {
    TitleLine *title = nullptr;
    HeatmapView *view = nullptr;
    ColorBar *bar = nullptr;
    RowBars *rows = nullptr;
    bool showsBar = true;
    QString details;
    ColorScale full;
    ColorScale::Scaling scaling = ColorScale::Scaling::Linear;
    ValueRange values;
};

HeatmapPanel::HeatmapPanel(QWidget *parent) : QWidget(parent), d(std::make_unique<Private>())
{
    setBackgroundRole(QPalette::Base);
    setAutoFillBackground(true);
    d->title = new TitleLine(this);
    d->view = new HeatmapView(this);
    d->bar = new ColorBar(this);
    d->rows = new RowBars(d->view, this);
    d->rows->hide();
    connect(d->bar, &ColorBar::scaleChanged, this, &HeatmapPanel::applyScale);
    const auto mark = [this](HeatmapCell cell) {
        const MetricMapPtr map = d->view->map();
        d->bar->setMarker(map && cell.isValid() ? std::optional(map->at(cell.row, cell.column)) : std::nullopt);
    };
    connect(d->view, &HeatmapView::cellHovered, this, mark);
    connect(d->view, &HeatmapView::cursorMoved, this, mark);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
    setMinimumSize(240, 180);
}

HeatmapPanel::~HeatmapPanel() = default;

HeatmapView *HeatmapPanel::view() const
{
    return d->view;
}

ColorBar *HeatmapPanel::colorBar() const
{
    return d->bar;
}

void HeatmapPanel::setMap(const MetricMapPtr &map, const QString &details)
{
    d->details = details;
    d->view->setMap(map);
    d->values = map ? finiteRange(*map) : ValueRange{};
    d->full = map ? ColorScale::forMap(*map, d->scaling) : ColorScale();
    d->bar->setTitle(map ? metricName(*map) : QString());
    d->bar->setMarker(std::nullopt);
    d->bar->setVisible(d->showsBar && d->view->map() != nullptr);
    applyScale(d->full);
    arrange();
}

void HeatmapPanel::setSelection(PruneSelection *selection)
{
    d->view->setSelection(selection);
}

void HeatmapPanel::setScaling(ColorScale::Scaling scaling)
{
    d->scaling = scaling;
    if (const MetricMapPtr map = d->view->map()) {
        d->full = ColorScale::forMap(*map, scaling);
        applyScale(d->full);
        arrange();
    }
}

void HeatmapPanel::setColorBarShown(bool shown)
{
    d->showsBar = shown;
    d->bar->setVisible(shown && d->view->map() != nullptr);
    arrange();
}

void HeatmapPanel::setRange(float low, float high)
{
    ColorScale scale = d->view->colorScale();
    scale.setRange(low, high);
    applyScale(scale);
}

void HeatmapPanel::applyScale(const ColorScale &scale)
{
    d->view->setColorScale(scale);
    d->bar->setScale(scale, d->full);
    const MetricMapPtr map = d->view->map();
    std::int64_t clipped = 0;
    if (map && (scale.low() > d->full.low() || scale.high() < d->full.high()))
        clipped = std::count_if(map->values.begin(), map->values.end(),
                                [&](float value) { return value < scale.low() || value > scale.high(); });
    d->bar->setClippedCount(scale.scaling() == ColorScale::Scaling::Percentile ? 0 : clipped);
    d->title->setTexts(map ? QString::fromStdString(map->title) : QString(), [&] {
        QStringList parts;
        if (!d->details.isEmpty())
            parts << d->details;
        if (map && scale.scaling() != ColorScale::Scaling::Percentile) {
            const auto drawnAs = [](double value, double limit, double span) {
                return std::pair(tickValue(value, span * 0.01), tickValue(limit, span * 0.01));
            };
            const double span = static_cast<double>(scale.high()) - static_cast<double>(scale.low());
            if (d->values.low < scale.low()) {
                const auto [value, limit]
                    = drawnAs(static_cast<double>(d->values.low), static_cast<double>(scale.low()), span);
                parts << tr("min %1, drawn as %2").arg(value, scale.low() == 0 ? QStringLiteral("0") : limit);
            }
            if (d->values.high > scale.high()) {
                const auto [value, limit]
                    = drawnAs(static_cast<double>(d->values.high), static_cast<double>(scale.high()), span);
                parts << tr("max %1, drawn as %2").arg(value, limit);
            }
        }
        return parts.join(QStringLiteral(" · "));
    }());
}

void HeatmapPanel::setRowValues(const QString &title, const std::vector<double> &values)
{
    d->rows->setValues(title, values);
    d->rows->setVisible(!values.empty());
    arrange();
}

QString HeatmapPanel::titleText() const
{
    return d->title->description().isEmpty() ? d->title->title()
                                             : d->title->title() + QStringLiteral(" · ") + d->title->description();
}

void HeatmapPanel::arrange()
{
    d->title->setGeometry(12, 0, std::max(10, width() - 24), kPanelTitleHeight);
    const int barWidth = d->showsBar ? d->bar->sizeHint().width() : 0;
    const int rowsWidth = d->rows->isHidden() ? 0 : d->rows->sizeHint().width() + 8;
    const int height = std::max(60, this->height() - kPanelTitleHeight);
    d->view->setGeometry(0, kPanelTitleHeight, std::max(100, width() - barWidth - rowsWidth - 12), height);
    const QRect plot = d->view->plotRect();
    if (!plot.isValid())
        return;
    // The bar stands beside the cells, wherever square cells end.
    d->view->resize(plot.right() + 12, height);
    d->bar->setGeometry(plot.right() + 12, kPanelTitleHeight, barWidth, height);
    d->bar->setBarExtent(plot.top(), plot.bottom() + 1);
    d->rows->setGeometry(plot.right() + 12 + barWidth, kPanelTitleHeight, rowsWidth, height);
}

void HeatmapPanel::resizeEvent(QResizeEvent *)
{
    arrange();
}

void HeatmapPanel::changeEvent(QEvent *event)
{
    if (event->type() == QEvent::FontChange && d->bar)
        arrange();
    QWidget::changeEvent(event);
}

} // namespace secateur
