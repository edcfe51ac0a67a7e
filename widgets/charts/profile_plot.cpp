#include "widgets/charts/profile_plot.h"

#include "widgets/heatmap/axis_ticks.h"
#include "widgets/theme/marks.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QApplication>
#include <QCoreApplication>
#include <QFontMetrics>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>

#include <algorithm>
#include <cmath>
#include <limits>

namespace secateur {

namespace {

constexpr double kLogRatio = 8; // largest : smallest from which on a linear axis would hide most blocks
constexpr double kThresholdReach = 4;

QFont profileTickFont(QFont font)
{
    if (font.pointSizeF() > 0)
        font.setPointSizeF(font.pointSizeF() * 11 / 12);
    else
        font.setPixelSize(std::max(1, font.pixelSize() * 11 / 12));
    return font;
}

constexpr int kLegendLine = 18;
constexpr int kLegendText = 160;

QColor seriesColor(const ProfileSeries &series, const ThemeColors &colors)
{
    switch (series.kind) {
    case ProfileSeries::Kind::Instruct:
        return colors.instruct;
    case ProfileSeries::Kind::Think:
        return colors.think;
    case ProfileSeries::Kind::Plain:
        break;
    }
    return colors.text;
}

/// The next of 1, 2, 5 × 10ⁿ at or below (above) \a value.
double niceBound(double value, bool above)
{
    const double power = std::pow(10.0, std::floor(std::log10(value)));
    double best = above ? power * 10 : power;
    for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
        const double candidate = factor * power;
        if (above && candidate >= value * (1 - 1e-9))
            return candidate;
        if (!above && candidate <= value * (1 + 1e-9))
            best = candidate;
    }
    return best;
}

} // namespace

ProfilePlot::ProfilePlot(QWidget *parent) : QWidget(parent)
{
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
    setAccessibleName(QCoreApplication::translate("ProfileChart", "Block influence chart"));
}

int ProfilePlot::blockCount() const
{
    return m_series.empty() ? 0 : static_cast<int>(m_series.front().values.size());
}

void ProfilePlot::setSeries(std::vector<ProfileSeries> series, const QString &axisTitle)
{
    const int before = blockCount();
    m_series = std::move(series);
    if (m_series.size() > 2)
        m_series.resize(2);
    m_axisTitle = axisTitle;
    updateGeometry();
    double low = std::numeric_limits<double>::infinity();
    double high = -low;
    for (const ProfileSeries &each : m_series) {
        for (const float value : each.values) {
            if (!std::isfinite(value))
                continue;
            low = std::min(low, static_cast<double>(value));
            high = std::max(high, static_cast<double>(value));
        }
    }
    if (!(low <= high)) {
        low = 0;
        high = 1;
    }
    m_log = low > 0 && high / low >= kLogRatio;
    if (m_log) {
        m_low = niceBound(low, false);
        m_high = niceBound(high, true);
    } else {
        const double span = high > low ? high - low : std::max(1e-6, std::abs(high));
        const double step = niceStep(span / 4);
        m_low = low >= 0 && low < span ? 0 : std::floor(low / step) * step;
        m_high = std::ceil(high / step) * step;
        if (m_high <= m_low)
            m_high = m_low + step;
    }
    if (blockCount() != before) {
        m_brush.reset();
        m_cursor = -1;
        m_hovered = -1;
        m_rangeAnchor = -1;
    }
    update();
}

void ProfilePlot::setThreshold(std::optional<double> threshold)
{
    m_threshold = threshold;
    update();
}

void ProfilePlot::setBrush(std::optional<std::pair<int, int>> brush)
{
    if (brush && blockCount() > 0) {
        const auto [first, last] = std::minmax(brush->first, brush->second);
        brush = std::pair(std::clamp(first, 0, blockCount() - 1), std::clamp(last, 0, blockCount() - 1));
    }
    if (brush == m_brush)
        return;
    m_brush = brush;
    update();
    if (brushChanged)
        brushChanged();
}

void ProfilePlot::setLinkedBlocks(const std::set<int> &blocks)
{
    if (blocks == m_linked)
        return;
    m_linked = blocks;
    update();
}

QRect ProfilePlot::plotIn(const QRect &area) const
{
    const QFontMetrics small(profileTickFont(font()));
    int labelWidth = small.horizontalAdvance(QCoreApplication::translate("HeatmapView", "blocks"));
    if (!m_series.empty()) {
        double step = 0;
        const auto ticks = m_log ? logTicks(m_low, m_high, 7) : linearTicks(m_low, m_high, 4, &step);
        for (const double value : ticks)
            labelWidth
                = std::max(labelWidth, small.horizontalAdvance(m_log ? significant(value, 1) : tickValue(value, step)));
    }
    // The left edge lines up with that of the cosine map above.
    const int left = 8 + fontMetrics().height() + 6 + labelWidth + 7;
    const int top = m_series.size() > 1 ? small.height() + 8 : 8; // the differences stand there
    const int bottom = 5 + small.height() + small.height() + 5;
    int right = 16;
    if (m_series.size() > 1) {
        for (const ProfileSeries &each : m_series)
            right = std::max(right, kLegendLine + 22 + std::min(kLegendText, small.horizontalAdvance(each.name)));
    }
    return QRect(area.left() + left, area.top() + top, std::max(10, area.width() - left - right),
                 std::max(10, area.height() - top - bottom));
}

double ProfilePlot::xOf(const QRect &plot, double block) const
{
    // Half a block of air at both ends.
    return plot.left() + (block + 0.5) / std::max(1, blockCount()) * plot.width();
}

double ProfilePlot::yOf(const QRect &plot, double value) const
{
    const double share = m_log ? std::log(std::max(value, 1e-300) / m_low) / std::log(m_high / m_low)
                               : (value - m_low) / (m_high - m_low);
    return plot.bottom() - std::clamp(share, -0.05, 1.05) * plot.height();
}

double ProfilePlot::valueAt(const QRect &plot, double y) const
{
    const double share = std::clamp((plot.bottom() - y) / plot.height(), 0.0, 1.0);
    return m_log ? m_low * std::pow(m_high / m_low, share) : m_low + (m_high - m_low) * share;
}

QPointF ProfilePlot::pointOf(int block, int series) const
{
    if (series < 0 || static_cast<std::size_t>(series) >= m_series.size() || block < 0 || block >= blockCount())
        return {};
    const QRect plot = plotRect();
    return QPointF(
        xOf(plot, block),
        yOf(plot,
            static_cast<double>(m_series[static_cast<std::size_t>(series)].values[static_cast<std::size_t>(block)])));
}

int ProfilePlot::blockAt(const QPointF &position) const
{
    const QRect plot = plotRect();
    if (blockCount() == 0 || !plot.adjusted(0, -8, 0, 40).contains(position.toPoint()))
        return -1;
    return std::clamp(static_cast<int>(std::floor((position.x() - plot.left()) / plot.width() * blockCount())), 0,
                      blockCount() - 1);
}

bool ProfilePlot::isSelected(int block) const
{
    return m_selection && m_selection->selected().blocks.contains(block);
}

bool ProfilePlot::isLocked(int block) const
{
    return m_selection && m_selection->isProtected(UnitKind::Block, block);
}

void ProfilePlot::paintEvent(QPaintEvent *)
{
    QPainter painter(this);
    paintInto(&painter, rect(), themeColors(this));
    paintRings(&painter); // where pointer and cursor are: on screen only, not in pictures
    if (hasFocus()) {
        painter.setRenderHint(QPainter::Antialiasing, false);
        painter.setBrush(Qt::NoBrush);
        painter.setPen(QPen(themeColors(this).accent, 2));
        painter.drawRect(QRectF(plotRect()).adjusted(-2, -4, 2, 3));
    }
}

void ProfilePlot::paintRings(QPainter *painter) const
{
    painter->setPen(QPen(themeColors(this).accent, 1.4));
    painter->setBrush(Qt::NoBrush);
    for (int series = 0; series < static_cast<int>(m_series.size()); ++series) {
        const auto &values = m_series[static_cast<std::size_t>(series)].values;
        for (int block = 0; block < static_cast<int>(values.size()); ++block) {
            const bool isRinged = m_linked.contains(block) || block == m_hovered || (hasFocus() && block == m_cursor);
            if (isRinged && std::isfinite(values[static_cast<std::size_t>(block)]))
                painter->drawEllipse(pointOf(block, series), 6.5, 6.5);
        }
    }
}

void ProfilePlot::paintInto(QPainter *painter, const QRect &area, const ThemeColors &colors) const
{
    painter->fillRect(area, colors.base);
    if (blockCount() == 0)
        return;
    const QRect plot = plotIn(area);
    painter->setFont(profileTickFont(font()));
    if (m_brush) {
        QColor tint = colors.accentTint;
        tint.setAlphaF(0.55F);
        const double perBlock = double(plot.width()) / blockCount();
        const QRectF band(plot.left() + m_brush->first * perBlock, plot.top(),
                          (m_brush->second - m_brush->first + 1) * perBlock, plot.height());
        painter->fillRect(band, tint);
        painter->setPen(QPen(colors.accent, 1));
        painter->drawLine(band.topLeft(), band.bottomLeft());
        painter->drawLine(band.topRight(), band.bottomRight());
    }
    paintValueAxis(painter, plot, colors);
    paintBlockAxis(painter, plot, colors);
    if (m_threshold && *m_threshold > 0) {
        const double y = std::round(yOf(plot, *m_threshold)) + 0.5;
        if (y >= plot.top() && y <= plot.bottom() + 1) {
            QPen pen(colors.accent, 1.2);
            pen.setDashPattern({4, 3});
            painter->setPen(pen);
            painter->drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y));
        }
    }
    for (std::size_t index = m_series.size(); index-- > 0;)
        paintSeries(painter, plot, index, colors);
    if (m_series.size() > 1) {
        paintDifferences(painter, plot, colors);
        const QFontMetrics small(painter->font());
        double y = plot.top() + small.ascent();
        for (const ProfileSeries &each : m_series) {
            const double x = plot.right() + 12;
            painter->setPen(QPen(seriesColor(each, colors), 1.4));
            painter->drawLine(QPointF(x, y - 4), QPointF(x + kLegendLine, y - 4));
            painter->setPen(colors.text);
            painter->drawText(QPointF(x + kLegendLine + 6, y),
                              small.elidedText(each.name, Qt::ElideMiddle, kLegendText));
            y += small.height() + 2;
        }
    }
}

/// Think − instruct, or first − second, above each block, in the colour of the higher one; every n-th where they would
/// touch.
void ProfilePlot::paintDifferences(QPainter *painter, const QRect &plot, const ThemeColors &colors) const
{
    const QFontMetrics small(painter->font());
    const double perBlock = double(plot.width()) / blockCount();
    const int every = std::max(
        1,
        static_cast<int>(std::ceil((small.horizontalAdvance(QStringLiteral("−0.000")) + 8) / std::max(1.0, perBlock))));
    const auto &first = m_series[0].values;
    const auto &second = m_series[1].values;
    const bool isReversed
        = m_series[0].kind == ProfileSeries::Kind::Instruct && m_series[1].kind == ProfileSeries::Kind::Think;
    for (int block = 0; block < blockCount() && block < static_cast<int>(second.size()); block += every) {
        const double change = static_cast<double>(first[static_cast<std::size_t>(block)])
            - static_cast<double>(second[static_cast<std::size_t>(block)]);
        if (!std::isfinite(change))
            continue;
        painter->setPen(seriesColor(m_series[change < 0 ? 1 : 0], colors));
        painter->drawText(QRectF(xOf(plot, block) - 40, plot.top() - small.height() - 4, 80, small.height()),
                          Qt::AlignCenter, signedChange(isReversed ? -change : change, 3));
    }
}

void ProfilePlot::paintValueAxis(QPainter *painter, const QRect &plot, const ThemeColors &colors) const
{
    const QFontMetrics small(painter->font());
    double step = 0;
    const int room = std::max(2, static_cast<int>(plot.height() / (small.height() - 2)));
    const auto ticks
        = m_log ? logTicks(m_low, m_high, std::min(room, 7)) : linearTicks(m_low, m_high, std::min(room, 4), &step);
    double lastY = 1e9;
    for (const double value : ticks) {
        const double y = std::round(yOf(plot, value));
        painter->setPen(QPen(value == ticks.front() ? colors.line : colors.chartGrid, 1));
        painter->drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y));
        if (lastY - y < small.height() - 4)
            continue;
        lastY = y;
        painter->setPen(colors.secondaryText);
        painter->drawText(QRectF(plot.left() - 87, y - 20, 80, 40), Qt::AlignRight | Qt::AlignVCenter,
                          m_log ? significant(value, 1) : tickValue(value, step));
    }
    painter->save();
    painter->setPen(colors.text);
    int labelWidth = 0;
    for (const double value : ticks)
        labelWidth
            = std::max(labelWidth, small.horizontalAdvance(m_log ? significant(value, 1) : tickValue(value, step)));
    labelWidth = std::max(labelWidth, small.horizontalAdvance(QCoreApplication::translate("HeatmapView", "blocks")));
    const QString title
        = m_log ? QCoreApplication::translate("ProfileChart", "%1 (log)").arg(m_axisTitle) : m_axisTitle;
    // Longer than a low plot it hangs over at the bottom, where there is room, not at the top, where it is cut.
    const double middle = std::max<double>(plot.center().y(), plot.top() - 6 + small.horizontalAdvance(title) / 2.0);
    painter->translate(plot.left() - 7 - labelWidth - 6 - fontMetrics().height(), middle);
    painter->rotate(-90);
    painter->drawText(QRectF(-100, 0, 200, small.height()), Qt::AlignCenter, title);
    painter->restore();
}

void ProfilePlot::paintBlockAxis(QPainter *painter, const QRect &plot, const ThemeColors &colors) const
{
    const QFont normal = painter->font();
    QFont bold = normal;
    bold.setWeight(QFont::DemiBold);
    const QFontMetrics small(bold);
    std::vector<QRectF> taken;
    const auto place = [&](int block) {
        const QString text = QString::number(block);
        const double width = small.horizontalAdvance(text);
        return QRectF(xOf(plot, block) - width / 2, plot.bottom() + 6, width, small.height());
    };
    const auto isFree = [&](const QRectF &rect) {
        return std::none_of(taken.begin(), taken.end(), [&](const QRectF &other) {
            return rect.left() < other.right() + 5 && rect.right() > other.left() - 5;
        });
    };
    const auto label = [&](int block, bool strong) {
        const QRectF rect = place(block);
        if (!isFree(rect))
            return;
        taken.push_back(rect);
        painter->setFont(strong ? bold : normal);
        painter->setPen(strong ? colors.text : colors.secondaryText);
        painter->drawText(rect.adjusted(-10, 0, 10, 0), Qt::AlignHCenter | Qt::AlignTop, QString::number(block));
    };
    for (int block = 0; block < blockCount(); ++block) {
        if (isSelected(block))
            label(block, true);
    }
    const double perBlock = double(plot.width()) / blockCount();
    const double widest = small.horizontalAdvance(QString::number(blockCount())) + 16;
    for (const auto block : cellTicks(0, blockCount(), 0, std::max(widest, 80.0) / perBlock))
        label(static_cast<int>(block), false);
    label(blockCount() - 1, false);
    painter->setFont(normal);
    painter->setPen(colors.text);
    painter->drawText(QRectF(plot.left(), plot.bottom() + 6 + small.height(), plot.width(), small.height() + 2),
                      Qt::AlignHCenter | Qt::AlignTop, QCoreApplication::translate("ProfileChart", "block (0-based)"));
}

void ProfilePlot::paintSeries(QPainter *painter, const QRect &plot, std::size_t index, const ThemeColors &colors) const
{
    const ProfileSeries &series = m_series[index];
    const QColor color = seriesColor(series, colors);
    painter->save();
    painter->setRenderHint(QPainter::Antialiasing, true);
    const auto dimmed = [&](int block) {
        QColor result = color;
        if (m_brush && (block < m_brush->first || block > m_brush->second))
            result.setAlphaF(0.35F);
        return result;
    };
    QPointF previous;
    bool hasPrevious = false;
    for (int block = 0; block < blockCount() && block < static_cast<int>(series.values.size()); ++block) {
        const float value = series.values[static_cast<std::size_t>(block)];
        if (!std::isfinite(value)) {
            hasPrevious = false;
            continue;
        }
        const QPointF point(xOf(plot, block), yOf(plot, static_cast<double>(value)));
        if (hasPrevious) {
            QColor line = dimmed(block);
            line.setAlphaF(line.alphaF() * 0.75F);
            painter->setPen(QPen(line, 1.2));
            painter->drawLine(previous, point);
        }
        previous = point;
        hasPrevious = true;
    }
    for (int block = 0; block < blockCount() && block < static_cast<int>(series.values.size()); ++block) {
        const float value = series.values[static_cast<std::size_t>(block)];
        if (!std::isfinite(value))
            continue;
        const QPointF point(xOf(plot, block), yOf(plot, static_cast<double>(value)));
        if (index == 0 && isSelected(block)) {
            const QRectF square(std::round(point.x()) - 5, std::round(point.y()) - 5, 11, 11);
            painter->fillRect(square, colors.base);
            drawHatched(painter, square, colors, colors.accent);
        } else {
            painter->setPen(Qt::NoPen);
            painter->setBrush(dimmed(block));
            if (series.kind == ProfileSeries::Kind::Instruct)
                painter->drawRect(QRectF(point.x() - 2.5, point.y() - 2.5, 5, 5));
            else
                painter->drawEllipse(point, 2.7, 2.7);
        }
        if (index == 0 && isLocked(block)) {
            const double side = point.x() + 16 > plot.right() ? -10 : 10;
            drawLockMark(painter, point + QPointF(side, 1), colors.text);
        }
    }
    painter->restore();
}

void ProfilePlot::setHovered(int block)
{
    if (block == m_hovered)
        return;
    m_hovered = block;
    if (block >= 0 && !m_series.empty()) {
        QStringList lines{QCoreApplication::translate("ProfileChart", "block %1").arg(block)};
        for (const ProfileSeries &each : m_series)
            lines << (each.name.isEmpty() ? m_axisTitle : each.name) + u' '
                    + mapValue(static_cast<double>(each.values[static_cast<std::size_t>(block)]));
        setToolTip(lines.join(u'\n'));
    }
    update();
    if (blockHovered)
        blockHovered(block);
}

void ProfilePlot::clickBlock(int block, Qt::KeyboardModifiers modifiers)
{
    if (!m_selection)
        return;
    if (modifiers & Qt::ControlModifier) {
        m_selection->toggle(blockUnits({block}));
    } else if ((modifiers & Qt::ShiftModifier) && m_rangeAnchor >= 0) {
        std::set<int> range;
        for (int each = std::min(block, m_rangeAnchor); each <= std::max(block, m_rangeAnchor); ++each)
            range.insert(each);
        m_selection->add(blockUnits(range));
        return;
    } else if (modifiers & Qt::AltModifier) {
        m_selection->remove(blockUnits({block}));
    } else {
        m_selection->replace(blockUnits({block}), UnitKind::Block);
    }
    m_rangeAnchor = block;
}

void ProfilePlot::mousePressEvent(QMouseEvent *event)
{
    if (event->button() != Qt::LeftButton || blockCount() == 0)
        return;
    m_press = event->position();
    const QRect plot = plotRect();
    const bool onLine = m_threshold && plot.contains(event->position().toPoint())
        && std::abs(yOf(plot, *m_threshold) - event->position().y()) <= kThresholdReach;
    m_drag = onLine ? Drag::Threshold : blockAt(m_press) >= 0 ? Drag::Press : Drag::None;
    if (onLine && m_selection)
        m_selection->beginGesture();
}

void ProfilePlot::mouseMoveEvent(QMouseEvent *event)
{
    if (m_drag == Drag::Threshold) {
        if (thresholdDragged)
            thresholdDragged(valueAt(plotRect(), event->position().y()));
        return;
    }
    if (m_drag == Drag::Press && std::abs(event->position().x() - m_press.x()) >= QApplication::startDragDistance()) {
        m_drag = Drag::Brush;
        m_brushAnchor = blockAt(m_press);
    }
    if (m_drag == Drag::Brush) {
        const QRect plot = plotRect();
        const QPointF inside(std::clamp(event->position().x(), double(plot.left()), double(plot.right())),
                             plot.center().y());
        setBrush(std::pair(m_brushAnchor, blockAt(inside)));
    }
    const QRect plot = plotRect();
    const bool onLine = m_threshold && plot.contains(event->position().toPoint())
        && std::abs(yOf(plot, *m_threshold) - event->position().y()) <= kThresholdReach;
    setCursor(onLine ? Qt::SizeVerCursor : Qt::ArrowCursor);
    setHovered(blockAt(event->position()));
}

void ProfilePlot::mouseReleaseEvent(QMouseEvent *event)
{
    if (event->button() != Qt::LeftButton)
        return;
    if (m_drag == Drag::Threshold && m_selection)
        m_selection->endGesture();
    if (m_drag == Drag::Press) {
        m_cursor = blockAt(m_press);
        clickBlock(m_cursor, event->modifiers());
        update();
    }
    m_drag = Drag::None;
}

void ProfilePlot::leaveEvent(QEvent *)
{
    setHovered(-1);
}

bool ProfilePlot::event(QEvent *event)
{
    if (event->type() == QEvent::ShortcutOverride) {
        const auto *key = static_cast<QKeyEvent *>(event);
        const auto modifiers = key->modifiers() & ~(Qt::ShiftModifier | Qt::KeypadModifier);
        if (modifiers == Qt::NoModifier
            && (key->key() == Qt::Key_L || key->key() == Qt::Key_Space || key->key() == Qt::Key_Left
                || key->key() == Qt::Key_Right)) {
            event->accept();
            return true;
        }
    }
    return QWidget::event(event);
}

void ProfilePlot::keyPressEvent(QKeyEvent *event)
{
    if (blockCount() == 0) {
        QWidget::keyPressEvent(event);
        return;
    }
    const int last = blockCount() - 1;
    int target = m_cursor;
    switch (event->key()) {
    case Qt::Key_Left:
        target = m_cursor < 0 ? 0 : std::max(0, m_cursor - 1);
        break;
    case Qt::Key_Right:
        target = m_cursor < 0 ? 0 : std::min(last, m_cursor + 1);
        break;
    case Qt::Key_Home:
        target = 0;
        break;
    case Qt::Key_End:
        target = last;
        break;
    case Qt::Key_Space:
        if (m_selection && m_cursor >= 0)
            m_selection->toggle(blockUnits({m_cursor}));
        return;
    case Qt::Key_L:
        if (m_selection && m_cursor >= 0)
            m_selection->toggleLock(blockUnits({m_cursor}));
        return;
    case Qt::Key_Return:
    case Qt::Key_Enter:
        // The brushed blocks, else the one under the cursor.
        if (m_selection && (m_brush || m_cursor >= 0)) {
            std::set<int> blocks;
            const auto [first, end] = m_brush ? *m_brush : std::pair(m_cursor, m_cursor);
            for (int block = first; block <= end; ++block)
                blocks.insert(block);
            m_selection->replace(blockUnits(blocks), UnitKind::Block);
        }
        return;
    case Qt::Key_Escape:
        if (m_brush)
            setBrush(std::nullopt);
        else
            QWidget::keyPressEvent(event);
        return;
    default:
        QWidget::keyPressEvent(event);
        return;
    }
    if (event->modifiers() & Qt::ShiftModifier) {
        if (m_brushAnchor < 0 || !m_brush)
            m_brushAnchor = std::max(0, m_cursor);
        setBrush(std::pair(m_brushAnchor, target));
    }
    m_cursor = target;
    update();
    if (blockHovered)
        blockHovered(m_cursor);
}

void ProfilePlot::focusInEvent(QFocusEvent *)
{
    if (m_cursor < 0 && blockCount() > 0)
        m_cursor = 0;
    update();
}

void ProfilePlot::focusOutEvent(QFocusEvent *)
{
    update();
}

} // namespace secateur
