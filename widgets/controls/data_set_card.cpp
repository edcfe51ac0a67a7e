#include "widgets/controls/data_set_card.h"

#include "widgets/theme/theme.h"

#include <QContextMenuEvent>
#include <QFontMetrics>
#include <QKeyEvent>
#include <QMenu>
#include <QPainter>

namespace secateur {

namespace {

constexpr int kCardMargin = 8;
constexpr int kCardGap = 2;
constexpr int kCardTextFlags = Qt::AlignLeft | Qt::AlignTop | Qt::TextWordWrap;

int cardTextHeight(const QString &text, int width)
{
    const QFontMetrics metrics(secondaryFont());
    return metrics.boundingRect(QRect(0, 0, width, 10000), kCardTextFlags, text).height();
}

} // namespace

DataSetCard::DataSetCard(QWidget *parent) : QAbstractButton(parent)
{
    setCheckable(true);
    setAutoExclusive(true);
    setFocusPolicy(Qt::StrongFocus);
    setAttribute(Qt::WA_Hover);
    QSizePolicy policy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    policy.setHeightForWidth(true);
    setSizePolicy(policy);
    connect(this, &QAbstractButton::toggled, this, [this] { updateGeometry(); });
}

void DataSetCard::setContent(const DataSetText &content)
{
    m_content = content;
    setText(content.title);
    setAccessibleName(content.badge.isEmpty() ? content.title : tr("%1, %2").arg(content.title, content.badge));
    setAccessibleDescription(content.lines.join(u'\n'));
    updateGeometry();
    update();
}

QString DataSetCard::shownLines() const
{
    // an error is shown whole: it says what to mend
    QString lines = isChecked() || m_content.isProblem ? m_content.lines.join(u'\n') : m_content.lines.value(0);
    return lines.replace(u'/', QStringLiteral("/\u200b")); // paths may be longer than a line
}

int DataSetCard::heightForWidth(int width) const
{
    const QFontMetrics title(titleFont());
    return 2 * kCardMargin + title.height() + kCardGap + cardTextHeight(shownLines(), width - 2 * kCardMargin);
}

QSize DataSetCard::sizeHint() const
{
    const int width = this->width() > 120 ? this->width() : 288;
    return {288, heightForWidth(width)};
}

void DataSetCard::paintEvent(QPaintEvent *)
{
    const ThemeColors &colors = themeColors(this);
    QPainter painter(this);
    painter.fillRect(rect(),
                     isChecked()                       ? colors.base
                         : underMouse() && isEnabled() ? colors.alternate
                                                       : colors.window);
    painter.setPen(colors.line);
    painter.drawRect(rect().adjusted(0, 0, -1, -1));
    if (isChecked())
        painter.fillRect(QRect(0, 0, 3, height()), colors.accent);
    if (hasFocus()) {
        painter.setPen(QPen(colors.accent, 2));
        painter.drawRect(rect().adjusted(1, 1, -1, -1));
    }

    const QRect inside = rect().adjusted(kCardMargin, kCardMargin, -kCardMargin, -kCardMargin);
    int badgeWidth = 0;
    if (!m_content.badge.isEmpty()) {
        const QFontMetrics metrics(secondaryFont());
        badgeWidth = metrics.horizontalAdvance(m_content.badge) + 10;
        const QRect badge(inside.right() - badgeWidth + 1, inside.top() - 1, badgeWidth, metrics.height() + 2);
        const bool thinks = m_content.kind == DataSetText::Kind::Think;
        const bool instructs = m_content.kind == DataSetText::Kind::Instruct;
        painter.setPen(thinks ? colors.think : instructs ? colors.instruct : colors.line);
        painter.setBrush(thinks ? colors.thinkTint : instructs ? colors.instructTint : colors.alternate);
        painter.drawRect(badge.adjusted(0, 0, -1, -1));
        painter.setPen(colors.text);
        painter.setFont(secondaryFont());
        painter.drawText(badge, Qt::AlignCenter, m_content.badge);
    }
    painter.setFont(titleFont());
    painter.setPen(isEnabled() ? colors.text : colors.disabledText);
    const QFontMetrics title(titleFont());
    const QRect titleRect(inside.left(), inside.top(), inside.width() - badgeWidth - 6, title.height());
    painter.drawText(titleRect, Qt::AlignLeft | Qt::AlignVCenter,
                     title.elidedText(m_content.title, Qt::ElideMiddle, titleRect.width()));
    painter.setFont(secondaryFont());
    painter.setPen(m_content.isProblem ? colors.error.text : colors.secondaryText);
    painter.drawText(inside.adjusted(0, title.height() + kCardGap, 0, 0), kCardTextFlags, shownLines());
}

void DataSetCard::keyPressEvent(QKeyEvent *event)
{
    if (m_isRemovable && (event->key() == Qt::Key_Delete || event->key() == Qt::Key_Backspace)) {
        Q_EMIT removeRequested();
        return;
    }
    QAbstractButton::keyPressEvent(event);
}

void DataSetCard::contextMenuEvent(QContextMenuEvent *event)
{
    if (!m_isRemovable)
        return;
    QMenu menu(this);
    connect(menu.addAction(tr("Remove from the list")), &QAction::triggered, this, &DataSetCard::removeRequested);
    menu.exec(event->globalPos());
}

void DataSetCard::changeEvent(QEvent *event)
{
    if (event->type() == QEvent::FontChange || event->type() == QEvent::PaletteChange)
        update();
    QAbstractButton::changeEvent(event);
}

} // namespace secateur
