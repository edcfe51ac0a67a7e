#include "widgets/charts/trace_length_chart.h"

#include "backend/stats/intervals.h"
#include "widgets/charts/chart_style.h"

#include <QtCharts/QBarCategoryAxis>
#include <QtCharts/QBoxPlotSeries>
#include <QtCharts/QBoxSet>
#include <QtCharts/QLineSeries>
#include <QtCharts/QValueAxis>

#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

namespace secateur {

namespace {

constexpr std::size_t kTraceMaximumSeries = 4;

/// Lengths of one model's generated outputs; those cut at the cap are censored.
struct TraceLengths {
    std::vector<std::pair<double, bool>> values; ///< tokens, reached the cap
    bool hasTrace = false;
};

TraceLengths traceLengths(const EvaluationReport &report)
{
    TraceLengths lengths;
    for (const TaskReport &task : report.tasks) {
        if (task.kind != "generation")
            continue;
        for (const SampleResult &sample : task.samples)
            lengths.hasTrace = lengths.hasTrace || sample.traceTokens > 0;
    }
    for (const TaskReport &task : report.tasks) {
        if (task.kind != "generation")
            continue;
        for (const SampleResult &sample : task.samples)
            lengths.values.emplace_back(
                static_cast<double>(lengths.hasTrace ? sample.traceTokens : sample.traceTokens + sample.answerTokens),
                reachedCap(sample));
    }
    return lengths;
}

/// Kaplan–Meier estimate of the share still running, as step corners in percent.
QList<QPointF> traceSurvival(const TraceLengths &lengths)
{
    std::vector<std::pair<double, bool>> sorted = lengths.values;
    std::sort(sorted.begin(), sorted.end());
    QList<QPointF> corners = {QPointF(0, 100)};
    double share = 100;
    std::size_t at = 0;
    while (at < sorted.size()) {
        const double length = sorted[at].first;
        const auto atRisk = static_cast<double>(sorted.size() - at);
        double ended = 0;
        for (; at < sorted.size() && sorted[at].first == length; ++at)
            ended += sorted[at].second ? 0 : 1;
        corners << QPointF(length, share);
        share *= 1 - ended / atRisk;
        corners << QPointF(length, share);
    }
    return corners;
}

} // namespace

struct TraceLengthChart::Private {
    QChart *chart = new QChart;
    OverlayChartView *view = nullptr;
    QLabel *title = nullptr;
    QBarCategoryAxis *modelAxis = new QBarCategoryAxis;
    QValueAxis *lengthAxis = new QValueAxis;
    QValueAxis *shareAxis = new QValueAxis;
    QAbstractSeries *first = nullptr;
    Mode mode = Mode::Box;
    std::vector<EvaluationReportPtr> reports;
    std::vector<TraceLengths> lengths;
    std::vector<BoxSummary> boxes;
    std::size_t count = 0; ///< outputs of the model that has most
    ThemeColors colors;

    void showTitle()
    {
        const bool hasTrace
            = std::any_of(lengths.begin(), lengths.end(), [](const TraceLengths &l) { return l.hasTrace; });
        const QString what = mode == Mode::Survival ? TraceLengthChart::tr("Still running")
            : hasTrace || lengths.empty()           ? TraceLengthChart::tr("Trace length")
                                                    : TraceLengthChart::tr("Answer length");
        const QString how = mode == Mode::Survival ? TraceLengthChart::tr("n = %1 · Kaplan–Meier · + cut at the cap")
                                                   : TraceLengthChart::tr("n = %1 · 5, 25, 50, 75, 95 % · + at cap");
        title->setText(QStringLiteral("<b>%1</b>&nbsp; <span style=\"color:%2\">%3</span>")
                           .arg(what, colors.secondaryText.name(), count == 0 ? QString() : how.arg(count)));
    }

    /// Axes that are there already stay: a removed one is painted until the event loop comes round.
    void placeAxes(QAbstractAxis *bottom, QAbstractAxis *left)
    {
        if (chart->axes(Qt::Horizontal).value(0) == bottom && chart->axes(Qt::Vertical).value(0) == left)
            return;
        for (QAbstractAxis *axis : chart->axes())
            chart->removeAxis(axis);
        chart->addAxis(bottom, Qt::AlignBottom);
        chart->addAxis(left, Qt::AlignLeft);
    }

    void rebuild()
    {
        chart->removeAllSeries();
        first = nullptr;
        styleChart(chart, colors);
        for (QAbstractAxis *axis : chart->axes())
            axis->setVisible(!lengths.empty());
        if (lengths.empty())
            return;

        const bool hasTrace
            = std::any_of(lengths.begin(), lengths.end(), [](const TraceLengths &l) { return l.hasTrace; });
        const QString what
            = hasTrace ? TraceLengthChart::tr("trace length, tokens") : TraceLengthChart::tr("answer length, tokens");
        double maximum = 1;
        for (const TraceLengths &model : lengths)
            for (const auto &[length, censored] : model.values)
                maximum = std::max(maximum, length);
        const double step = std::max(1.0, niceStep(maximum * 1.08, 5));
        lengthAxis->setTickType(QValueAxis::TicksDynamic);
        lengthAxis->setTickInterval(step);
        lengthAxis->setRange(0, std::ceil(maximum * 1.08 / step) * step);
        lengthAxis->setLabelFormat(QStringLiteral("%.0f"));

        if (mode == Mode::Box) {
            styleAxis(lengthAxis, what, colors, true);
            styleAxis(modelAxis, QString(), colors, false);
            QStringList names;
            auto *series = new QBoxPlotSeries;
            series->setBoxWidth(0.5);
            series->setBoxOutlineVisible(true);
            for (std::size_t model = 0; model < lengths.size(); ++model) {
                const BoxSummary &box = boxes[model];
                auto *set = new QBoxSet(box.p5, box.p25, box.p50, box.p75, box.p95);
                const SeriesStyle style = seriesStyle(*reports[model], colors);
                set->setBrush(reports[model]->state == "dense" ? QBrush(colors.instructTint) : style.fill);
                set->setPen(style.outline);
                series->append(set);
                names << QString::fromStdString(reports[model]->modelName);
            }
            modelAxis->setCategories(names);
            chart->addSeries(series);
            placeAxes(modelAxis, lengthAxis);
            series->attachAxis(modelAxis);
            series->attachAxis(lengthAxis);
            first = series;
            return;
        }
        styleAxis(lengthAxis, what, colors, false);
        styleAxis(shareAxis, TraceLengthChart::tr("still running, %"), colors, true);
        shareAxis->setRange(0, 100);
        shareAxis->setTickCount(5);
        shareAxis->setLabelFormat(QStringLiteral("%.0f"));
        placeAxes(lengthAxis, shareAxis);
        for (std::size_t model = 0; model < lengths.size(); ++model) {
            auto *series = new QLineSeries;
            series->setPen(seriesStyle(*reports[model], colors).line);
            series->replace(traceSurvival(lengths[model]));
            chart->addSeries(series);
            series->attachAxis(lengthAxis);
            series->attachAxis(shareAxis);
            if (!first)
                first = series;
        }
    }

    void paintMarks(QPainter &painter)
    {
        if (!first) {
            paintEmptyPlot(painter, chart->plotArea(),
                           TraceLengthChart::tr("No generated answers yet. Lengths appear after a generation task."),
                           colors);
            return;
        }
        painter.setPen(QPen(colors.text, 1.2));
        if (mode == Mode::Box) {
            for (std::size_t model = 0; model < boxes.size(); ++model) {
                const BoxSummary &box = boxes[model];
                if (box.n == 0)
                    continue;
                const QPointF top = chart->mapToPosition(QPointF(static_cast<double>(model), box.maximum), first);
                if (box.maximum > box.p95)
                    painter.drawEllipse(top, 3, 3);
                if (box.censored > 0)
                    painter.drawText(QRectF(top.x() - 60, top.y() - 20, 120, 14), Qt::AlignCenter,
                                     TraceLengthChart::tr("%1 + at cap").arg(box.censored));
            }
            return;
        }
        for (std::size_t model = 0; model < lengths.size(); ++model) {
            const QList<QPointF> corners = traceSurvival(lengths[model]);
            for (const auto &[length, censored] : lengths[model].values) {
                if (!censored)
                    continue;
                double share = 100;
                for (const QPointF &corner : corners)
                    if (corner.x() <= length)
                        share = corner.y();
                const QPointF at = chart->mapToPosition(QPointF(length, share), first);
                painter.drawLine(at - QPointF(4, 0), at + QPointF(4, 0));
                painter.drawLine(at - QPointF(0, 4), at + QPointF(0, 4));
            }
        }
    }
};

TraceLengthChart::TraceLengthChart(QWidget *parent) : QWidget(parent), m_private(std::make_unique<Private>())
{
    Private &d = *m_private;
    d.colors = themeColors(this);
    for (QAbstractAxis *axis : {static_cast<QAbstractAxis *>(d.modelAxis), static_cast<QAbstractAxis *>(d.lengthAxis),
                                static_cast<QAbstractAxis *>(d.shareAxis)})
        axis->setParent(this);
    d.view = new OverlayChartView(d.chart, this);
    d.view->overlay = [this](QPainter &painter) { m_private->paintMarks(painter); };
    d.view->themeChanged = [this] {
        m_private->colors = themeColors(this);
        m_private->rebuild();
    };
    d.title = new QLabel(this);
    d.title->setTextFormat(Qt::RichText);
    auto *head = new QHBoxLayout;
    head->setContentsMargins(12, 6, 12, 0);
    head->addWidget(d.title);
    head->addStretch(1);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addLayout(head);
    layout->addWidget(d.view, 1);
    setAccessibleName(tr("Trace length"));
    setReports({});
}

TraceLengthChart::~TraceLengthChart() = default;

void TraceLengthChart::setReports(const std::vector<EvaluationReportPtr> &reports)
{
    Private &d = *m_private;
    d.reports.clear();
    d.lengths.clear();
    d.boxes.clear();
    std::size_t n = 0;
    for (const EvaluationReportPtr &report : reports) {
        TraceLengths lengths = traceLengths(*report);
        if (lengths.values.empty() || d.reports.size() == kTraceMaximumSeries)
            continue;
        std::vector<double> values;
        std::int64_t censored = 0;
        for (const auto &[length, cut] : lengths.values) {
            values.push_back(length);
            censored += cut ? 1 : 0;
        }
        n = std::max(n, values.size());
        d.boxes.push_back(boxSummary(values, censored));
        d.reports.push_back(report);
        d.lengths.push_back(std::move(lengths));
    }
    d.count = n;
    d.rebuild();
    d.showTitle();
    d.view->viewport()->update();
}

void TraceLengthChart::setMode(Mode mode)
{
    m_private->mode = mode;
    m_private->rebuild();
    m_private->showTitle();
    m_private->view->viewport()->update();
}

TraceLengthChart::Mode TraceLengthChart::mode() const
{
    return m_private->mode;
}

QImage TraceLengthChart::render(const QSize &size) const
{
    return renderChartLight(
        *m_private->view, size,
        [this](const ThemeColors &colors) {
            m_private->colors = colors;
            m_private->rebuild();
        },
        themeColors(this));
}

} // namespace secateur
