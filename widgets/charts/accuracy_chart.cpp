#include "widgets/charts/accuracy_chart.h"

#include "widgets/charts/chart_style.h"

#include <QtCharts/QBarCategoryAxis>
#include <QtCharts/QBarSeries>
#include <QtCharts/QBarSet>
#include <QtCharts/QValueAxis>

#include <QBoxLayout>
#include <QLabel>
#include <QPainter>

#include <algorithm>

namespace secateur {

namespace {

constexpr std::size_t kAccuracyMaximumSeries = 4;
constexpr int kAccuracyMostNames = 10;
constexpr double kAccuracyGroupWidth = 0.72;
constexpr int kHeadMargin = 12;

const TaskReport *accuracyTask(const EvaluationReport &report, const std::string &task)
{
    const auto found = std::find_if(report.tasks.begin(), report.tasks.end(),
                                    [&](const TaskReport &other) { return other.task == task && other.n > 0; });
    return found == report.tasks.end() ? nullptr : &*found;
}

} // namespace

struct AccuracyChart::Private {
    QChart *chart = new QChart;
    OverlayChartView *view = nullptr;
    QLabel *title = nullptr;
    QLabel *legend = nullptr;
    QBoxLayout *head = nullptr;
    QBarCategoryAxis *tasksAxis = new QBarCategoryAxis;
    QValueAxis *valueAxis = new QValueAxis;
    QBarSeries *series = nullptr;
    std::vector<EvaluationReportPtr> reports;
    std::vector<std::string> tasks;
    ThemeColors colors;

    void rebuild()
    {
        chart->removeAllSeries();
        series = nullptr;
        styleChart(chart, colors);
        styleAxis(tasksAxis, QString(), colors, false);
        styleAxis(valueAxis, AccuracyChart::tr("accuracy, %"), colors, true);
        tasksAxis->setVisible(!tasks.empty());
        valueAxis->setVisible(!tasks.empty());
        if (tasks.empty())
            return;
        series = new QBarSeries;
        series->setBarWidth(kAccuracyGroupWidth);
        for (const EvaluationReportPtr &report : reports) {
            auto *set = new QBarSet(QString::fromStdString(report->modelName));
            const SeriesStyle style = seriesStyle(*report, colors);
            set->setBrush(style.fill);
            set->setPen(style.outline);
            for (const std::string &task : tasks) {
                const TaskReport *result = accuracyTask(*report, task);
                set->append(result ? result->accuracy * 100 : 0);
            }
            series->append(set);
        }
        QStringList names;
        for (const std::string &task : tasks)
            names << QString::fromStdString(task);
        tasksAxis->setLabelsVisible(names.size() <= kAccuracyMostNames); // of more, nothing but dots would be left
        tasksAxis->setCategories(names);
        chart->addSeries(series);
        series->attachAxis(tasksAxis);
        series->attachAxis(valueAxis);
    }

    /// 95 % intervals: 1.2-px lines with 8-px caps in text colour; a missing task is marked with a dash.
    void paintIntervals(QPainter &painter)
    {
        if (!series) {
            paintEmptyPlot(painter, chart->plotArea(),
                           AccuracyChart::tr("No report yet. Evaluate a model to see its accuracy here."), colors);
            return;
        }
        painter.setRenderHint(QPainter::Antialiasing, false);
        const double width = kAccuracyGroupWidth / static_cast<double>(reports.size());
        for (std::size_t model = 0; model < reports.size(); ++model) {
            for (std::size_t task = 0; task < tasks.size(); ++task) {
                const double x
                    = static_cast<double>(task) - kAccuracyGroupWidth / 2 + (static_cast<double>(model) + 0.5) * width;
                const TaskReport *result = accuracyTask(*reports[model], tasks[task]);
                painter.setPen(QPen(result ? colors.text : colors.secondaryText, 1.2));
                if (!result) {
                    const QPointF at = chart->mapToPosition(QPointF(x, 0), series);
                    painter.drawText(QRectF(at.x() - 8, at.y() - 18, 16, 16), Qt::AlignCenter, QStringLiteral("–"));
                    continue;
                }
                const QPointF low = chart->mapToPosition(QPointF(x, result->low * 100), series);
                const QPointF high = chart->mapToPosition(QPointF(x, result->high * 100), series);
                painter.drawLine(low, high);
                painter.drawLine(low - QPointF(4, 0), low + QPointF(4, 0));
                painter.drawLine(high - QPointF(4, 0), high + QPointF(4, 0));
            }
        }
    }

    QString titleText(const QString &details) const
    {
        return QStringLiteral("<b>%1</b>&nbsp; <span style=\"color:%2\">%3</span>")
            .arg(AccuracyChart::tr("Accuracy by task"), colors.secondaryText.name(), details);
    }

    /// Beside the title where both fit, else below it.
    void arrangeHead(int width)
    {
        const int needed = title->sizeHint().width() + legend->sizeHint().width() + 3 * kHeadMargin;
        head->setDirection(needed <= width ? QBoxLayout::LeftToRight : QBoxLayout::TopToBottom);
    }

    QString legendText() const
    {
        QStringList parts;
        for (const EvaluationReportPtr &report : reports) {
            const QString name = QString::fromStdString(report->modelName).toHtmlEscaped();
            const QString mark = report->state == "pruned" ? QStringLiteral("▨")
                : report->state == "recovered"             ? QStringLiteral("□")
                                                           : QStringLiteral("■");
            const QColor color = report->state == "pruned" ? colors.text
                : report->state == "sibling"               ? colors.think
                                                           : colors.instruct;
            parts << QStringLiteral("<span style=\"color:%1\">%2</span> %3").arg(color.name(), mark, name);
        }
        return parts.join(QStringLiteral("&nbsp;&nbsp; "));
    }
};

AccuracyChart::AccuracyChart(QWidget *parent) : QWidget(parent), m_private(std::make_unique<Private>())
{
    m_private->colors = themeColors(this);
    m_private->view = new OverlayChartView(m_private->chart, this);
    m_private->view->overlay = [this](QPainter &painter) { m_private->paintIntervals(painter); };
    m_private->view->themeChanged = [this] {
        m_private->colors = themeColors(this);
        m_private->rebuild();
        m_private->legend->setText(m_private->legendText());
    };
    m_private->chart->addAxis(m_private->tasksAxis, Qt::AlignBottom);
    m_private->chart->addAxis(m_private->valueAxis, Qt::AlignLeft);
    m_private->valueAxis->setRange(0, 100);
    m_private->valueAxis->setTickCount(5);
    m_private->valueAxis->setLabelFormat(QStringLiteral("%.0f"));

    m_private->title = new QLabel(this);
    m_private->title->setTextFormat(Qt::RichText);
    m_private->legend = new QLabel(this);
    m_private->legend->setTextFormat(Qt::RichText);
    m_private->legend->setMinimumWidth(1); // names may be long: the chart must not force the window wide
    m_private->title->setMinimumWidth(1);
    m_private->head = new QBoxLayout(QBoxLayout::LeftToRight);
    m_private->head->setContentsMargins(kHeadMargin, 6, kHeadMargin, 0);
    m_private->head->setSpacing(2);
    m_private->head->addWidget(m_private->title);
    m_private->head->addWidget(m_private->legend, 1);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addLayout(m_private->head);
    layout->addWidget(m_private->view, 1);
    setAccessibleName(tr("Accuracy by task"));
    setReports({});
}

AccuracyChart::~AccuracyChart() = default;

void AccuracyChart::setReports(const std::vector<EvaluationReportPtr> &reports)
{
    m_private->reports.assign(reports.begin(),
                              reports.begin()
                                  + static_cast<std::ptrdiff_t>(std::min(reports.size(), kAccuracyMaximumSeries)));
    m_private->tasks.clear();
    for (const EvaluationReportPtr &report : m_private->reports)
        for (const TaskReport &task : report->tasks)
            if (task.n > 0
                && std::find(m_private->tasks.begin(), m_private->tasks.end(), task.task) == m_private->tasks.end())
                m_private->tasks.push_back(task.task);
    m_private->rebuild();
    m_private->legend->setText(m_private->legendText());
    m_private->title->setText(m_private->titleText(title()));
    m_private->arrangeHead(width());
    m_private->view->viewport()->update();
}

void AccuracyChart::resizeEvent(QResizeEvent *event)
{
    QWidget::resizeEvent(event);
    m_private->arrangeHead(width());
}

QString AccuracyChart::title() const
{
    std::int64_t low = 0, high = 0;
    for (const EvaluationReportPtr &report : m_private->reports) {
        for (const TaskReport &task : report->tasks) {
            if (task.n == 0)
                continue;
            low = low == 0 ? task.n : std::min(low, task.n);
            high = std::max(high, task.n);
        }
    }
    if (high == 0)
        return {};
    return low == high ? tr("n = %1, 95 % Wilson").arg(low) : tr("n = %1 to %2, 95 % Wilson").arg(low).arg(high);
}

QImage AccuracyChart::render(const QSize &size) const
{
    return renderChartLight(
        *m_private->view, size,
        [this](const ThemeColors &colors) {
            m_private->colors = colors;
            m_private->rebuild();
        },
        themeColors(this),
        [this]() -> QString { // not a string builder that outlives its parts
            return m_private->titleText(title().toHtmlEscaped()) + QStringLiteral("<br>") + m_private->legendText();
        });
}

} // namespace secateur
