#include "app/controls/notice_corner.h"

#include "widgets/theme/theme.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QPushButton>
#include <QTimer>
#include <QToolButton>
#include <QVBoxLayout>

namespace secateur {

namespace {

constexpr int kNoticeMs = 8000;
constexpr int kNoticeWidth = 344;

} // namespace

NoticeCorner::NoticeCorner(QWidget *window)
    : QWidget(window),
      m_title(new QLabel(this)),
      m_text(new QLabel(this)),
      m_show(new QPushButton(tr("Show"), this)),
      m_timer(new QTimer(this))
{
    auto *outer = new QHBoxLayout(this);
    outer->setContentsMargins(12, 10, 8, 10);
    outer->setSpacing(8);
    auto *icon = new QLabel(this);
    icon->setPixmap(themedIcon(u"check"_qs, IconColor::Accent).pixmap(16, 16));
    outer->addWidget(icon, 0, Qt::AlignTop);
    auto *texts = new QVBoxLayout;
    texts->setSpacing(2);
    m_title->setFont(titleFont());
    m_title->setWordWrap(true);
    m_text->setWordWrap(true);
    texts->addWidget(m_title);
    texts->addWidget(m_text);
    texts->addWidget(m_show, 0, Qt::AlignLeft);
    outer->addLayout(texts, 1);
    auto *close = new QToolButton(this);
    close->setIcon(themedIcon(u"close"_qs));
    close->setAutoRaise(true);
    close->setFocusPolicy(Qt::NoFocus);
    close->setAccessibleName(tr("Close the notice"));
    outer->addWidget(close, 0, Qt::AlignTop);
    m_show->setFocusPolicy(Qt::NoFocus);
    m_timer->setSingleShot(true);
    m_timer->setInterval(kNoticeMs);
    connect(m_timer, &QTimer::timeout, this, &QWidget::hide);
    connect(close, &QToolButton::clicked, this, &QWidget::hide);
    connect(m_show, &QPushButton::clicked, this, [this] {
        hide();
        if (m_action)
            m_action();
    });
    setFixedWidth(kNoticeWidth);
    hide();
}

void NoticeCorner::showNotice(const QString &title, const QString &text, std::function<void()> show)
{
    m_title->setText(title);
    m_text->setText(text);
    m_text->setVisible(!text.isEmpty());
    m_action = std::move(show);
    m_show->setVisible(m_action != nullptr);
    layout()->activate();
    place();
    QWidget::show();
    raise();
    m_timer->start();
}

void NoticeCorner::place()
{
    const int wanted = layout()->hasHeightForWidth() ? layout()->heightForWidth(kNoticeWidth) : sizeHint().height();
    resize(kNoticeWidth, wanted);
    const QWidget *window = parentWidget();
    move(window->width() - width() - 8, window->height() - height() - 32);
}

void NoticeCorner::paintEvent(QPaintEvent * /*event*/)
{
    const ThemeColors &colors = themeColors(this);
    QPainter painter(this);
    painter.fillRect(rect(), colors.base);
    painter.setPen(colors.accent);
    painter.drawRect(rect().adjusted(0, 0, -1, -1));
}

void NoticeCorner::enterEvent(QEnterEvent *event)
{
    m_timer->stop();
    QWidget::enterEvent(event);
}

void NoticeCorner::leaveEvent(QEvent *event)
{
    m_timer->start();
    QWidget::leaveEvent(event);
}

} // namespace secateur
