#include "widgets/heatmap/row_bars.h"

#include "widgets/heatmap/heatmap_view.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QHelpEvent>
#include <QPainter>
#include <QToolTip>

#include <algorithm>
#include <cmath>
#include <utility>

namespace secateur {

namespace {

constexpr int kBarsWidth = 28;

QString barNumber(double value)
{
    return std::isnan(value) ? missingNumber() : tickValue(value, 0.01);
}

} // namespace

RowBars::RowBars(HeatmapView *view, QWidget *parent) : QWidget(parent), m_view(view)
{
    connect(view, &HeatmapView::visibleCellsChanged, this, qOverload<>(&QWidget::update));
    connect(view, &HeatmapView::mapChanged, this, qOverload<>(&QWidget::update));
}

void RowBars::setValues(const QString &title, std::vector<double> values)
{
    m_title = title;
    m_values = std::move(values);
    QStringList spoken;
    for (const double value : m_values)
        spoken << barNumber(value);
    setAccessibleName(title);
    setAccessibleDescription(spoken.join(QStringLiteral(", ")));
    update();
}

int RowBars::numberWidth() const
{
    return fontMetrics().horizontalAdvance(QStringLiteral("−0.00"));
}

QSize RowBars::sizeHint() const
{
    return {std::max(numberWidth() + 6 + kBarsWidth, fontMetrics().horizontalAdvance(m_title)) + 4, 60};
}

QRectF RowBars::rowRect(int row) const
{
    const QRectF cell = m_view->cellRect({row, static_cast<int>(std::max(0.0, m_view->visibleCells().left()))});
    return QRectF(0, m_view->mapTo(parentWidget(), cell.topLeft().toPoint()).y() - y(), width(), cell.height());
}

void RowBars::paintEvent(QPaintEvent *)
{
    if (m_values.empty())
        return;
    QPainter painter(this);
    const ThemeColors &colors = themeColors(this);
    const QRect plot = m_view->plotRect();
    const int top = plot.top() + m_view->y() - y();
    painter.setPen(colors.secondaryText);
    painter.drawText(QRect(0, top + plot.height() + 6, width(), fontMetrics().height()),
                     Qt::AlignLeft | Qt::AlignVCenter, m_title);
    painter.setClipRect(QRect(0, top, width(), plot.height() + 1));
    const int number = numberWidth();
    for (int row = 0; row < static_cast<int>(m_values.size()); ++row) {
        const QRectF place = rowRect(row);
        const double value = m_values[static_cast<std::size_t>(row)];
        // Where rows are lower than a line of text, bars alone stand; the tooltip has the numbers.
        if (place.height() >= fontMetrics().height() - 3) {
            painter.setPen(colors.text);
            painter.drawText(QRectF(0, place.top(), number, place.height()), Qt::AlignRight | Qt::AlignVCenter,
                             barNumber(value));
        }
        if (std::isnan(value))
            continue;
        const double height = std::clamp(place.height() - 4, 1.0, 9.0);
        painter.fillRect(
            QRectF(number + 6, place.center().y() - height / 2, std::max(1.0, std::abs(value) * kBarsWidth), height),
            value < 0 ? colors.warning.line : colors.secondaryText);
    }
}

bool RowBars::event(QEvent *event)
{
    if (event->type() == QEvent::ToolTip) {
        const QPointF at = static_cast<QHelpEvent *>(event)->pos();
        for (int row = 0; row < static_cast<int>(m_values.size()); ++row) {
            if (rowRect(row).contains(at)) {
                QToolTip::showText(static_cast<QHelpEvent *>(event)->globalPos(),
                                   tr("%1, block %2: %3")
                                       .arg(m_title)
                                       .arg(row)
                                       .arg(barNumber(m_values[static_cast<std::size_t>(row)])),
                                   this);
                return true;
            }
        }
        QToolTip::hideText();
        return true;
    }
    return QWidget::event(event);
}

} // namespace secateur
