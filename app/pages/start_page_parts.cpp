#include "app/pages/start_page_parts.h"

#include "widgets/theme/theme.h"

#include <QDateTime>
#include <QEvent>
#include <QLocale>
#include <QPainter>
#include <QPixmap>

namespace secateur {

CardButton::CardButton(const QString &iconName, const QString &title, const QString &text, const QString &shortcut,
                       QWidget *parent)
    : QAbstractButton(parent), m_iconName(iconName), m_text(text), m_shortcut(shortcut)
{
    setText(title);
    setAccessibleName(title);
    setAccessibleDescription(text);
    setFocusPolicy(Qt::StrongFocus);
    setAttribute(Qt::WA_Hover);
    setFixedHeight(64);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

bool CardButton::event(QEvent *event)
{
    if (event->type() == QEvent::HoverEnter || event->type() == QEvent::HoverLeave)
        update();
    return QAbstractButton::event(event);
}

void CardButton::paintEvent(QPaintEvent * /*event*/)
{
    const ThemeColors &colors = themeColors(this);
    QPainter painter(this);
    const QRectF frame = QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5);
    painter.fillRect(rect(), underMouse() || isDown() ? colors.accentTint : colors.base);
    painter.setPen(hasFocus() ? QPen(colors.accent, 2) : QPen(colors.line));
    painter.drawRect(hasFocus() ? frame.adjusted(0.5, 0.5, -0.5, -0.5) : frame);
    themedIcon(m_iconName, IconColor::Accent).paint(&painter, QRect(18, (height() - 22) / 2, 22, 22));
    painter.setPen(colors.text);
    painter.setFont(titleFont(13.0 / 12.0));
    const QRect texts(52, 8, width() - 68, height() - 16);
    painter.drawText(texts.adjusted(0, 0, 0, -texts.height() / 2), Qt::AlignLeft | Qt::AlignBottom, text());
    painter.setFont(secondaryFont());
    painter.setPen(colors.secondaryText);
    painter.drawText(texts.adjusted(0, texts.height() / 2, 0, 0), Qt::AlignLeft | Qt::AlignTop, m_text);
    const int keyWidth = painter.fontMetrics().horizontalAdvance(m_shortcut) + 12;
    const QRectF key(width() - 16 - keyWidth + 0.5, (height() - 18) / 2 + 0.5, keyWidth - 1, 17);
    painter.setPen(colors.line);
    painter.setBrush(colors.window);
    painter.drawRoundedRect(key, 2, 2);
    painter.setPen(colors.secondaryText);
    painter.drawText(key, Qt::AlignCenter, m_shortcut);
}

DropHint::DropHint(const QString &text, QWidget *parent) : QWidget(parent), m_text(text)
{
    setFixedHeight(80);
}

void DropHint::paintEvent(QPaintEvent * /*event*/)
{
    const ThemeColors &colors = themeColors(this);
    QPainter painter(this);
    painter.setPen(QPen(colors.line, 1, Qt::DashLine));
    painter.drawRect(QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5));
    painter.setPen(colors.secondaryText);
    painter.drawText(rect(), Qt::AlignCenter, m_text);
}

QString relativeDay(const QDateTime &time, const QDateTime &now)
{
    if (!time.isValid())
        return {};
    const QLocale locale;
    if (time.date() == now.date())
        return QObject::tr("today %1").arg(locale.toString(time.time(), u"HH:mm"_qs));
    if (time.date().addDays(1) == now.date())
        return QObject::tr("yesterday");
    return locale.toString(time.date(), time.date().year() == now.date().year() ? u"d MMM"_qs : u"d MMM yyyy"_qs);
}

void RecentDelegate::paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const
{
    const ThemeColors &colors = themeColors(option.palette);
    const bool missing = index.data(MissingRole).toBool();
    painter->save();
    const QRect row = option.rect;
    if (index.data(PathRole).toString().isEmpty()) {
        painter->setPen(colors.secondaryText);
        painter->drawText(row, Qt::AlignCenter, index.data(Qt::DisplayRole).toString());
        painter->restore();
        return;
    }
    if (option.state & (QStyle::State_Selected | QStyle::State_MouseOver))
        painter->fillRect(row, colors.accentTint);
    if ((option.state & QStyle::State_HasFocus) != 0)
        painter->fillRect(QRect(row.topLeft(), QSize(3, row.height())), colors.accent);
    const QRect picture(row.left() + 12, row.top() + 9, 48, row.height() - 18);
    const auto thumbnail = index.data(ThumbnailRole).value<QPixmap>();
    if (thumbnail.isNull() || missing) {
        painter->setPen(QPen(colors.line, 1, Qt::DashLine));
        painter->drawRect(QRectF(picture).adjusted(0.5, 0.5, -0.5, -0.5));
        themedIcon(u"session"_qs).paint(painter, QRect(picture.center() - QPoint(7, 7), QSize(16, 16)));
    } else {
        painter->drawPixmap(picture, thumbnail);
    }
    const QString right = missing ? QObject::tr("Locate…")
                                  : relativeDay(index.data(TimeRole).toDateTime(), QDateTime::currentDateTime());
    painter->setPen(missing ? colors.accent : colors.secondaryText);
    painter->drawText(row.adjusted(0, 0, -12, 0), Qt::AlignRight | Qt::AlignVCenter, right);
    const int rightWidth = painter->fontMetrics().horizontalAdvance(right) + 24;
    const QRect texts(picture.right() + 13, row.top() + 8, row.width() - picture.width() - 36 - rightWidth,
                      row.height() - 16);
    painter->setFont(missing ? option.font : titleFont());
    painter->setPen(missing ? colors.secondaryText : colors.text);
    painter->drawText(
        texts.adjusted(0, 0, 0, -texts.height() / 2), Qt::AlignLeft | Qt::AlignVCenter,
        painter->fontMetrics().elidedText(index.data(Qt::DisplayRole).toString(), Qt::ElideMiddle, texts.width()));
    painter->setFont(secondaryFont());
    painter->setPen(colors.secondaryText);
    const QString detail = missing ? QObject::tr("not found in its last folder") : index.data(DetailRole).toString();
    painter->drawText(texts.adjusted(0, texts.height() / 2, 0, 0), Qt::AlignLeft | Qt::AlignVCenter,
                      painter->fontMetrics().elidedText(detail, Qt::ElideRight, texts.width()));
    painter->setPen(colors.lineFaint);
    painter->drawLine(row.bottomLeft(), row.bottomRight());
    painter->restore();
}

QSize RecentDelegate::sizeHint(const QStyleOptionViewItem & /*option*/, const QModelIndex & /*index*/) const
{
    return {200, 54};
}

} // namespace secateur
