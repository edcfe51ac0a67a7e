#pragma once

#include "backend/core/eval_report.h"
#include "widgets/theme/theme.h"

#include <QtCharts/QChart>
#include <QtCharts/QChartView>

#include <QBrush>
#include <QPen>

#include <functional>

namespace secateur {

/// A chart view that lets its owner paint over the plot (intervals, counts, cursors). Private to widgets/charts.
class OverlayChartView : public QChartView {
public:
    OverlayChartView(QChart *chart, QWidget *parent);
    std::function<void(QPainter &)> overlay;

protected:
    void drawForeground(QPainter *painter, const QRectF &rect) override;
    void changeEvent(QEvent *event) override;

public:
    std::function<void()> themeChanged;
};

/// Background, fonts and margins of every chart: no frame, no animation, legend off (the panel's title row has it).
void styleChart(QChart *chart, const ThemeColors &colors);
void styleAxis(QAbstractAxis *axis, const QString &title, const ThemeColors &colors, bool grid);

/// Fill and line of a model's series: dense solid, pruned hatched, recovered light tint with outline.
struct SeriesStyle {
    QBrush fill;
    QPen outline;
    QPen line; ///< dense solid, pruned dashed, recovered dotted
};
SeriesStyle seriesStyle(const EvaluationReport &report, const ThemeColors &colors);

/// A sentence in the middle of an empty plot.
void paintEmptyPlot(QPainter &painter, const QRectF &area, const QString &text, const ThemeColors &colors);

/// Steps of 1, 2 or 5 × 10^k that give about \a count ticks up to \a maximum; returns the step.
double niceStep(double maximum, int count);

/// The chart drawn light, at \a size, for export. \a heading (rich text, may be empty) gives the title and the legend
/// above it; it is asked for after the chart was styled light.
QImage renderChartLight(OverlayChartView &view, const QSize &size,
                        const std::function<void(const ThemeColors &)> &restyle, const ThemeColors &current,
                        const std::function<QString()> &heading = {});

} // namespace secateur
