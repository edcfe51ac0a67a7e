#include "widgets/charts/loss_chart.h"

#include "widgets/charts/chart_style.h"
#include "widgets/theme/number_text.h"

#include <QtCharts/QLineSeries>
#include <QtCharts/QValueAxis>

#include <QEvent>
#include <QHBoxLayout>
#include <QLabel>
#include <QLocale>
#include <QMouseEvent>
#include <QPainter>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

namespace secateur {

struct LossChart::Private {
    QChart *chart = new QChart;
    OverlayChartView *view = nullptr;
    QLabel *legend = nullptr;
    QLineSeries *loss = new QLineSeries;
    QLineSeries *rate = new QLineSeries;
    QValueAxis *stepAxis = new QValueAxis;
    QValueAxis *lossAxis = new QValueAxis;
    QValueAxis *rateAxis = new QValueAxis;
    std::vector<TrainingPoint> points;
    std::int64_t plannedSteps = 0;
    int hovered = -1; ///< index into points
    ThemeColors colors;

    void restyle()
    {
        styleChart(chart, colors);
        styleAxis(stepAxis, LossChart::tr("step"), colors, false);
        styleAxis(lossAxis, LossChart::tr("loss, nat/token"), colors, true);
        styleAxis(rateAxis, LossChart::tr("learning rate"), colors, false);
        loss->setPen(QPen(colors.accent, 1.6));
        rate->setPen(QPen(colors.secondaryText, 1.2, Qt::DotLine));
        legend->setText(
            QStringLiteral("<span style=\"color:%1\">━</span> %2 &nbsp; <span style=\"color:%3\">┄</span> %4")
                .arg(colors.accent.name(), LossChart::tr("training loss"), colors.secondaryText.name(),
                     LossChart::tr("learning rate")));
    }

    void refill()
    {
        QList<QPointF> losses, rates;
        losses.reserve(static_cast<qsizetype>(points.size()));
        double highLoss = 0, highRate = 0;
        for (const TrainingPoint &point : points) {
            losses << QPointF(static_cast<double>(point.step), point.loss);
            rates << QPointF(static_cast<double>(point.step), point.learningRate);
            highLoss = std::max(highLoss, point.loss);
            highRate = std::max(highRate, point.learningRate);
        }
        loss->replace(losses);
        rate->replace(rates);

        const auto last = points.empty() ? std::int64_t{1} : points.back().step;
        const double steps = static_cast<double>(std::max<std::int64_t>({plannedSteps, last, 1}));
        setRange(stepAxis, steps, 6, true);
        setRange(lossAxis, highLoss > 0 ? highLoss * 1.05 : 1, 6, false);
        setRange(rateAxis, highRate > 0 ? highRate * 1.15 : 1e-3, 3, false);
    }

    static void setRange(QValueAxis *axis, double maximum, int ticks, bool exactEnd)
    {
        const double step = std::max(niceStep(maximum, ticks), exactEnd ? 1.0 : 0.0);
        axis->setTickType(QValueAxis::TicksDynamic);
        axis->setTickAnchor(0);
        axis->setTickInterval(step);
        axis->setRange(0, exactEnd ? maximum : std::ceil(maximum / step) * step);
        const int decimals = step >= 1 ? 0 : static_cast<int>(std::ceil(-std::log10(step) - 1e-9));
        axis->setLabelFormat(step < 1e-3 ? QStringLiteral("%.0e") : QStringLiteral("%.%1f").arg(decimals));
    }

    void paintCursor(QPainter &painter)
    {
        const QRectF area = chart->plotArea();
        if (points.empty()) {
            paintEmptyPlot(painter, area, LossChart::tr("The loss of each step appears here while a run is training."),
                           colors);
            return;
        }
        const bool live = hovered < 0;
        const TrainingPoint &point = points[live ? points.size() - 1 : static_cast<std::size_t>(hovered)];
        const double x = chart->mapToPosition(QPointF(static_cast<double>(point.step), 0), loss).x();
        painter.setPen(QPen(colors.accent, 1.2));
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()));
        QString text
            = LossChart::tr("step %1 · loss %2").arg(point.step).arg(QLocale::c().toString(point.loss, 'f', 3));
        if (!live)
            text += LossChart::tr(" · rate %1 · %2 tok/s")
                        .arg(QLocale::c().toString(point.learningRate, 'g', 3), shortCount(point.tokensPerSecond));
        const double width = painter.fontMetrics().horizontalAdvance(text) + 8;
        const double left = x + width > area.right() ? x - width : x + 6;
        const QRectF box(left, area.top() + 2, width, 16);
        painter.fillRect(box, colors.base);
        painter.drawText(box, Qt::AlignCenter, text);
    }
};

LossChart::LossChart(QWidget *parent) : QWidget(parent), m_private(std::make_unique<Private>())
{
    Private &d = *m_private;
    d.colors = themeColors(this);
    d.view = new OverlayChartView(d.chart, this);
    d.view->overlay = [this](QPainter &painter) { m_private->paintCursor(painter); };
    d.view->themeChanged = [this] {
        m_private->colors = themeColors(this);
        m_private->restyle();
    };
    d.chart->addSeries(d.rate);
    d.chart->addSeries(d.loss);
    d.chart->addAxis(d.stepAxis, Qt::AlignBottom);
    d.chart->addAxis(d.lossAxis, Qt::AlignLeft);
    d.chart->addAxis(d.rateAxis, Qt::AlignRight);
    for (QLineSeries *series : {d.loss, d.rate})
        series->attachAxis(d.stepAxis);
    d.loss->attachAxis(d.lossAxis);
    d.rate->attachAxis(d.rateAxis);

    auto *title = new QLabel(QStringLiteral("<b>%1</b>").arg(tr("Loss")), this);
    d.legend = new QLabel(this);
    d.legend->setTextFormat(Qt::RichText);
    auto *head = new QHBoxLayout;
    head->setContentsMargins(12, 6, 12, 0);
    head->addWidget(title);
    head->addStretch(1);
    head->addWidget(d.legend);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addLayout(head);
    layout->addWidget(d.view, 1);
    d.restyle();
    d.refill();
    setAccessibleName(tr("Loss chart"));
    d.view->viewport()->setMouseTracking(true);
    d.view->viewport()->installEventFilter(this);
}

LossChart::~LossChart() = default;

bool LossChart::eventFilter(QObject *watched, QEvent *event)
{
    Private &d = *m_private;
    if (watched == d.view->viewport() && (event->type() == QEvent::MouseMove || event->type() == QEvent::Leave)) {
        int hovered = -1;
        if (event->type() == QEvent::MouseMove && !d.points.empty()) {
            const QPointF at = static_cast<QMouseEvent *>(event)->position();
            if (d.chart->plotArea().contains(at)) {
                const double step = d.chart->mapToValue(at, d.loss).x();
                const auto nearest = std::min_element(d.points.begin(), d.points.end(),
                                                      [&](const TrainingPoint &a, const TrainingPoint &b) {
                                                          return std::abs(static_cast<double>(a.step) - step)
                                                              < std::abs(static_cast<double>(b.step) - step);
                                                      });
                hovered = static_cast<int>(nearest - d.points.begin());
            }
        }
        if (hovered != d.hovered) {
            d.hovered = hovered;
            d.view->viewport()->update();
        }
    }
    return QWidget::eventFilter(watched, event);
}

void LossChart::setPoints(const std::vector<TrainingPoint> &points, std::int64_t plannedSteps)
{
    m_private->points = points;
    m_private->plannedSteps = plannedSteps;
    m_private->hovered = -1;
    m_private->refill();
}

void LossChart::appendPoints(const std::vector<TrainingPoint> &points)
{
    if (points.empty())
        return;
    m_private->points.insert(m_private->points.end(), points.begin(), points.end());
    m_private->refill();
}

const std::vector<TrainingPoint> &LossChart::points() const
{
    return m_private->points;
}

void LossChart::clear()
{
    setPoints({}, 0);
}

QImage LossChart::render(const QSize &size) const
{
    return renderChartLight(
        *m_private->view, size,
        [this](const ThemeColors &colors) {
            m_private->colors = colors;
            m_private->restyle();
        },
        themeColors(this));
}

} // namespace secateur
