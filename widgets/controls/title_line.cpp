#include "widgets/controls/title_line.h"

#include "widgets/theme/theme.h"

#include <QFontMetrics>
#include <QPainter>

#include <algorithm>

namespace secateur {

TitleLine::TitleLine(QWidget *parent) : QWidget(parent), m_separator(QStringLiteral(" · "))
{
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void TitleLine::setTexts(const QString &title, const QString &description)
{
    m_title = title;
    m_description = description;
    setToolTip(description.isEmpty() ? title : title + m_separator + description);
    setAccessibleName(toolTip());
    updateGeometry();
    update();
}

void TitleLine::setSeparator(const QString &separator)
{
    m_separator = separator;
    update();
}

QSize TitleLine::sizeHint() const
{
    QFont bold = font();
    bold.setWeight(QFont::DemiBold);
    return QSize(QFontMetrics(bold).horizontalAdvance(m_title)
                     + fontMetrics().horizontalAdvance(m_separator + m_description) + 14,
                 fontMetrics().height() + 4);
}

QSize TitleLine::minimumSizeHint() const
{
    return QSize(60, sizeHint().height());
}

void TitleLine::paintEvent(QPaintEvent *)
{
    const ThemeColors &colors = themeColors(this);
    QPainter painter(this);
    QFont bold = font();
    bold.setWeight(QFont::DemiBold);
    const QFontMetrics boldMetrics(bold);
    const QString title = boldMetrics.elidedText(m_title, Qt::ElideRight, width());
    painter.setFont(bold);
    painter.setPen(colors.text);
    painter.drawText(rect(), Qt::AlignLeft | Qt::AlignVCenter, title);
    const int used = boldMetrics.horizontalAdvance(title) + (m_separator.isEmpty() ? 10 : 0);
    if (m_description.isEmpty() || width() - used < 40)
        return;
    painter.setFont(font());
    painter.setPen(colors.secondaryText);
    painter.drawText(rect().adjusted(used, 0, 0, 0), Qt::AlignLeft | Qt::AlignVCenter,
                     fontMetrics().elidedText(m_separator + m_description, Qt::ElideRight, width() - used));
}

} // namespace secateur
