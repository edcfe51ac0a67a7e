#include "widgets/controls/device_chip.h"

#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QPainter>

#include <algorithm>

namespace secateur {

namespace {

constexpr int kChipIconSize = 16;
constexpr int kChipBarWidth = 40;
constexpr int kChipMargin = 10;
constexpr int kChipGap = 8;
constexpr double kTightShare = 0.85;

} // namespace

DeviceChip::DeviceChip(QWidget *parent) : QAbstractButton(parent)
{
    setAttribute(Qt::WA_Hover);
    setFocusPolicy(Qt::TabFocus);
    setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);
    setAccessibleName(tr("Device"));
}

void DeviceChip::setDevice(const QString &device)
{
    m_device = device;
    setAccessibleDescription(device + QStringLiteral(", ") + memoryText());
    updateGeometry();
    update();
}

void DeviceChip::setMemory(qint64 usedBytes, qint64 totalBytes)
{
    m_used = usedBytes;
    m_total = totalBytes;
    setAccessibleDescription(m_device + QStringLiteral(", ") + memoryText());
    updateGeometry();
    update();
}

QString DeviceChip::memoryText() const
{
    constexpr double kGibibyte = 1024.0 * 1024.0 * 1024.0;
    return tr("%1 / %2 GiB")
        .arg(QString::number(static_cast<double>(m_used) / kGibibyte, 'f', 1),
             QString::number(static_cast<double>(m_total) / kGibibyte, 'f', 1));
}

bool DeviceChip::isTight() const
{
    return m_total > 0 && static_cast<double>(m_used) > kTightShare * static_cast<double>(m_total);
}

QSize DeviceChip::sizeHint() const
{
    const int text = fontMetrics().horizontalAdvance(m_device) + fontMetrics().horizontalAdvance(memoryText());
    return QSize(kChipMargin * 2 + kChipIconSize + kChipBarWidth + kChipGap * 5 + 1 + text, 24);
}

void DeviceChip::paintEvent(QPaintEvent *)
{
    const ThemeColors &colors = themeColors(this);
    const bool tight = isTight();
    QPainter painter(this);
    painter.fillRect(rect(), tight ? colors.amberCell : isDown() ? colors.accentTint : colors.base);
    painter.setPen(tight ? colors.warning.line : underMouse() ? colors.secondaryText : colors.line);
    painter.drawRect(rect().adjusted(0, 0, -1, -1));
    int x = kChipMargin;
    themedIcon(QStringLiteral("device"))
        .paint(&painter, QRect(x, (height() - kChipIconSize) / 2, kChipIconSize, kChipIconSize));
    x += kChipIconSize + kChipGap;
    painter.setPen(tight ? colors.warning.text : colors.text);
    const int deviceWidth = fontMetrics().horizontalAdvance(m_device);
    painter.drawText(QRect(x, 0, deviceWidth + 2, height()), Qt::AlignLeft | Qt::AlignVCenter, m_device);
    x += deviceWidth + kChipGap;
    painter.fillRect(QRect(x, 4, 1, height() - 8), colors.line);
    x += 1 + kChipGap;
    const QRect bar(x, height() / 2 - 3, kChipBarWidth, 7);
    painter.setPen(colors.line);
    painter.drawRect(bar.adjusted(0, 0, -1, -1));
    if (m_total > 0) {
        const double share = std::clamp(static_cast<double>(m_used) / static_cast<double>(m_total), 0.0, 1.0);
        painter.fillRect(
            bar.adjusted(1, 1, -1, -1).adjusted(0, 0, -static_cast<int>((bar.width() - 2) * (1 - share)), 0),
            tight ? colors.warning.line : colors.accent);
    }
    x += kChipBarWidth + kChipGap;
    painter.setPen(tight ? colors.warning.text : colors.text);
    painter.drawText(QRect(x, 0, width() - x, height()), Qt::AlignLeft | Qt::AlignVCenter, memoryText());
    if (hasFocus()) {
        painter.setPen(QPen(colors.accent, 2));
        painter.drawRect(rect().adjusted(1, 1, -1, -1));
    }
}

} // namespace secateur
