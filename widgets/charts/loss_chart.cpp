#include "widgets/charts/loss_chart.h"

#include "widgets/charts/chart_style.h"
#include "widgets/theme/number_text.h"

#include <QtCharts/QLineSeries>
#include <QtCharts/QScatterSeries>
#include <QtCharts/QValueAxis>

#include <QComboBox>
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
    QLineSeries *right = new QLineSeries;
    QLineSeries *heldOutLine = new QLineSeries;
    QScatterSeries *heldOut = new QScatterSeries;
    QComboBox *rightBox = nullptr;
    QValueAxis *stepAxis = new QValueAxis;
    QValueAxis *lossAxis = new QValueAxis;
    QValueAxis *rightAxis = new QValueAxis;
    std::vector<TrainingPoint> points;
    std::vector<HeldOutPoint> heldOutPoints;
    std::vector<std::int64_t> memory;
    RightAxis shown = RightAxis::Rate;
    std::int64_t marked = -1;
    std::int64_t plannedSteps = 0;
    int hovered = -1; ///< index into points
    ThemeColors colors;

    void restyle()
    {
        styleChart(chart, colors);
        styleAxis(stepAxis, LossChart::tr("step"), colors, false);
        styleAxis(lossAxis, LossChart::tr("loss, nat/token"), colors, true);
        styleAxis(rightAxis, rightTitle(), colors, false);
        loss->setPen(QPen(colors.accent, 1.6));
        right->setPen(QPen(colors.secondaryText, 1.2, Qt::DotLine));
        heldOutLine->setPen(QPen(colors.text, 1.4));
        heldOut->setMarkerShape(QScatterSeries::MarkerShapeRectangle);
        heldOut->setMarkerSize(8);
        heldOut->setColor(colors.base);
        heldOut->setBorderColor(colors.text);
        QString text = QStringLiteral("<span style=\"color:%1\">━</span> %2")
                           .arg(colors.accent.name(), LossChart::tr("training loss"));
        if (!heldOutPoints.empty())
            text += QStringLiteral(" &nbsp; <span style=\"color:%1\">◻</span> %2")
                        .arg(colors.text.name(), LossChart::tr("held-out loss"));
        text += QStringLiteral(" &nbsp; <span style=\"color:%1\">┄</span>&nbsp;").arg(colors.secondaryText.name());
        legend->setText(text);
    }

    QString rightTitle() const
    {
        return shown == RightAxis::Rate ? LossChart::tr("learning rate")
            : shown == RightAxis::Speed ? LossChart::tr("tokens/s")
                                        : LossChart::tr("memory, GiB");
    }

    double rightValue(std::size_t index) const
    {
        constexpr double kGiB = 1024.0 * 1024 * 1024;
        return shown == RightAxis::Rate ? points[index].learningRate
            : shown == RightAxis::Speed ? points[index].tokensPerSecond
            : index < memory.size()     ? static_cast<double>(memory[index]) / kGiB
                                        : 0;
    }

    void refill()
    {
        QList<QPointF> losses, rights, measured;
        losses.reserve(static_cast<qsizetype>(points.size()));
        double highLoss = 0, highRight = 0;
        for (std::size_t i = 0; i < points.size(); ++i) {
            losses << QPointF(static_cast<double>(points[i].step), points[i].loss);
            highLoss = std::max(highLoss, points[i].loss);
            if (shown == RightAxis::Memory && i >= memory.size())
                continue;
            rights << QPointF(static_cast<double>(points[i].step), rightValue(i));
            highRight = std::max(highRight, rightValue(i));
        }
        for (const HeldOutPoint &point : heldOutPoints) {
            measured << QPointF(static_cast<double>(point.step), point.loss);
            highLoss = std::max(highLoss, point.loss);
        }
        loss->replace(losses);
        right->replace(rights);
        heldOutLine->replace(measured);
        heldOut->replace(measured);

        const auto last = points.empty() ? std::int64_t{1} : points.back().step;
        const double steps = static_cast<double>(std::max<std::int64_t>({plannedSteps, last, 1}));
        setRange(stepAxis, steps, 6, true);
        setRange(lossAxis, highLoss > 0 ? highLoss * 1.05 : 1, 6, false);
        setRange(rightAxis, highRight > 0 ? highRight * 1.15 : 1e-3, 3, false);
    }

    std::size_t nearest(double step) const
    {
        const auto found
            = std::min_element(points.begin(), points.end(), [&](const TrainingPoint &a, const TrainingPoint &b) {
                  return std::abs(static_cast<double>(a.step) - step) < std::abs(static_cast<double>(b.step) - step);
              });
        return static_cast<std::size_t>(found - points.begin());
    }

    /// \a all: with what is not the loss.
    QString valuesOf(std::size_t index, bool all) const
    {
        const TrainingPoint &point = points[index];
        QString text
            = LossChart::tr("step %1 · loss %2").arg(point.step).arg(QLocale::c().toString(point.loss, 'f', 3));
        if (!all)
            return text;
        const auto measured = std::find_if(heldOutPoints.begin(), heldOutPoints.end(),
                                           [&](const HeldOutPoint &held) { return held.step == point.step; });
        if (measured != heldOutPoints.end())
            text += LossChart::tr(" · held out %1").arg(QLocale::c().toString(measured->loss, 'f', 3));
        text += LossChart::tr(" · rate %1 · %2 tok/s")
                    .arg(QLocale::c().toString(point.learningRate, 'g', 3), shortCount(point.tokensPerSecond));
        if (index < memory.size())
            text += u" · "_qs + memorySize(memory[index]);
        return text;
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
        const bool live = hovered < 0 && marked < 0;
        const std::size_t index = hovered >= 0 ? static_cast<std::size_t>(hovered)
            : marked >= 0                      ? nearest(static_cast<double>(marked))
                                               : points.size() - 1;
        const double step
            = hovered < 0 && marked >= 0 ? static_cast<double>(marked) : static_cast<double>(points[index].step);
        const double x = chart->mapToPosition(QPointF(step, 0), loss).x();
        painter.setPen(QPen(colors.accent, 1.2));
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()));
        const QString text = valuesOf(index, !live);
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
    d.chart->addSeries(d.right);
    d.chart->addSeries(d.loss);
    d.chart->addSeries(d.heldOutLine);
    d.chart->addSeries(d.heldOut);
    d.chart->addAxis(d.stepAxis, Qt::AlignBottom);
    d.chart->addAxis(d.lossAxis, Qt::AlignLeft);
    d.chart->addAxis(d.rightAxis, Qt::AlignRight);
    for (QXYSeries *series : std::initializer_list<QXYSeries *>{d.loss, d.right, d.heldOutLine, d.heldOut})
        series->attachAxis(d.stepAxis);
    for (QXYSeries *series : std::initializer_list<QXYSeries *>{d.loss, d.heldOutLine, d.heldOut})
        series->attachAxis(d.lossAxis);
    d.right->attachAxis(d.rightAxis);

    auto *title = new QLabel(QStringLiteral("<b>%1</b>").arg(tr("Loss")), this);
    d.legend = new QLabel(this);
    d.legend->setTextFormat(Qt::RichText);
    auto *head = new QHBoxLayout;
    head->setContentsMargins(12, 6, 12, 0);
    head->addWidget(title);
    head->addStretch(1);
    head->addWidget(d.legend);
    head->addSpacing(4);
    d.rightBox = new QComboBox(this);
    d.rightBox->addItems({tr("learning rate"), tr("tokens/s"), tr("memory")});
    d.rightBox->setAccessibleName(tr("Right axis"));
    d.rightBox->setToolTip(tr("What the dotted line shows on the right axis"));
    connect(d.rightBox, &QComboBox::currentIndexChanged, this,
            [this](int index) { setRightAxis(static_cast<RightAxis>(index)); });
    head->addWidget(d.rightBox);
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
                hovered = static_cast<int>(d.nearest(d.chart->mapToValue(at, d.loss).x()));
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
    if (m_private->hovered >= static_cast<int>(points.size())) // a growing run leaves the pointer where it is
        m_private->hovered = -1;
    m_private->refill();
}

void LossChart::setHeldOut(const std::vector<HeldOutPoint> &points)
{
    m_private->heldOutPoints = points;
    m_private->restyle(); // the legend names what is there
    m_private->refill();
}

void LossChart::setMemory(const std::vector<std::int64_t> &bytes)
{
    m_private->memory = bytes;
    m_private->refill();
}

void LossChart::setRightAxis(RightAxis axis)
{
    m_private->shown = axis;
    m_private->rightBox->setCurrentIndex(static_cast<int>(axis));
    m_private->restyle();
    m_private->refill();
}

void LossChart::setMarkedStep(std::int64_t step)
{
    m_private->marked = step;
    m_private->view->viewport()->update();
}

QString LossChart::hoverText(std::int64_t step) const
{
    return m_private->points.empty() ? QString()
                                     : m_private->valuesOf(m_private->nearest(static_cast<double>(step)), true);
}

QComboBox *LossChart::rightAxisBox() const
{
    return m_private->rightBox;
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
    m_private->memory.clear();
    m_private->marked = -1;
    setHeldOut({});
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
