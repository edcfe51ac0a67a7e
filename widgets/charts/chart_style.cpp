#include "widgets/charts/chart_style.h"

#include <QTextDocument>
#include <QtCharts/QAbstractAxis>
#include <QtCharts/QLegend>
#include <QtMath>

#include <QEvent>
#include <QGraphicsLayout>
#include <QImage>
#include <QPainter>

#include <cmath>

namespace secateur {

OverlayChartView::OverlayChartView(QChart *chart, QWidget *parent) : QChartView(chart, parent)
{
    setFrameShape(QFrame::NoFrame);
    setRenderHint(QPainter::Antialiasing);
    // The overlay draws over the whole plot: a partial update would leave parts of the last one behind.
    setViewportUpdateMode(QGraphicsView::FullViewportUpdate);
    setMinimumSize(160, 120);
}

void OverlayChartView::drawForeground(QPainter *painter, const QRectF &rect)
{
    QChartView::drawForeground(painter, rect);
    if (!overlay)
        return;
    painter->save();
    overlay(*painter);
    painter->restore();
}

void OverlayChartView::changeEvent(QEvent *event)
{
    QChartView::changeEvent(event);
    if ((event->type() == QEvent::PaletteChange || event->type() == QEvent::StyleChange) && themeChanged)
        themeChanged();
}

void styleChart(QChart *chart, const ThemeColors &colors)
{
    chart->setAnimationOptions(QChart::NoAnimation);
    chart->legend()->hide();
    chart->setBackgroundRoundness(0);
    chart->setBackgroundPen(Qt::NoPen);
    chart->setBackgroundBrush(colors.base);
    chart->setMargins(QMargins(4, 4, 8, 4));
    chart->layout()->setContentsMargins(0, 0, 0, 0);
}

void styleAxis(QAbstractAxis *axis, const QString &title, const ThemeColors &colors, bool grid)
{
    QFont small = numberFont();
    small.setPixelSize(11);
    axis->setTitleText(title);
    axis->setTitleFont(small);
    axis->setTitleBrush(colors.text);
    axis->setLabelsFont(small);
    axis->setLabelsBrush(colors.secondaryText);
    axis->setLinePen(QPen(colors.line, 1));
    axis->setGridLineVisible(grid);
    axis->setGridLinePen(QPen(colors.chartGrid, 1));
}

SeriesStyle seriesStyle(const EvaluationReport &report, const ThemeColors &colors)
{
    const QColor hue = colors.instruct;
    if (report.state == "pruned")
        return {QBrush(colors.text, Qt::BDiagPattern), QPen(colors.text, 1), QPen(colors.text, 1.6, Qt::DashLine)};
    if (report.state == "recovered")
        return {QBrush(colors.instructTint), QPen(hue, 1.2), QPen(hue, 1.6, Qt::DotLine)};
    if (report.state == "sibling") // the other of the pair
        return {QBrush(colors.think), QPen(colors.think, 1), QPen(colors.think, 1.6, Qt::DashDotLine)};
    return {QBrush(hue), QPen(hue, 1), QPen(hue, 1.6)};
}

void paintEmptyPlot(QPainter &painter, const QRectF &area, const QString &text, const ThemeColors &colors)
{
    painter.setPen(colors.secondaryText);
    painter.drawText(area.adjusted(16, 0, -16, 0), Qt::AlignCenter | Qt::TextWordWrap, text);
}

double niceStep(double maximum, int count)
{
    if (!(maximum > 0) || count < 1)
        return 1;
    const double raw = maximum / count;
    const double power = std::pow(10.0, std::floor(std::log10(raw)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (raw <= factor * power)
            return factor * power;
    return 10 * power;
}

QImage renderChartLight(OverlayChartView &view, const QSize &size,
                        const std::function<void(const ThemeColors &)> &restyle, const ThemeColors &current,
                        const std::function<QString()> &heading)
{
    const QSize before = view.size();
    view.ensurePolished(); // a view that was never shown has not got its font
    restyle(lightColors());
    QTextDocument head;
    head.setDefaultFont(view.font());
    head.setTextWidth(size.width());
    head.setDefaultStyleSheet(QStringLiteral("body { color: %1 }").arg(lightColors().text.name()));
    head.setHtml(heading ? QStringLiteral("<body>%1</body>").arg(heading()) : QString());
    const int top = heading ? qCeil(head.size().height()) : 0;
    view.resize(size.width(), qMax(1, size.height() - top));
    QImage image(size * 2, QImage::Format_RGB32);
    image.setDevicePixelRatio(2);
    image.fill(lightColors().base);
    static_cast<QWidget &>(view).render(&image, QPoint(0, top)); // as a widget: sends the resize a hidden view missed
    if (heading) {
        QPainter painter(&image);
        head.drawContents(&painter);
    }
    restyle(current);
    view.resize(before);
    return image;
}

} // namespace secateur
