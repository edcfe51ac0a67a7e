#include "widgets/controls/banner.h"

#include "widgets/controls/icon_label.h"
#include "widgets/theme/theme.h"

#include <QEvent>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QPainter>
#include <QPushButton>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>

namespace secateur {

namespace {

constexpr int kBannerLineHeight = 24;

const BannerColors &bannerColors(Banner::Kind kind, const ThemeColors &colors)
{
    switch (kind) {
    case Banner::Kind::Warning:
        return colors.warning;
    case Banner::Kind::Error:
        return colors.error;
    case Banner::Kind::Notice:
        break;
    }
    return colors.notice;
}

} // namespace

struct Banner::Private {
    Kind kind = Kind::Notice;
    QString title;
    QString text;
    IconLabel *icon = nullptr;
    QLabel *label = nullptr;
    QHBoxLayout *buttons = nullptr;
    QList<QPushButton *> buttonList;
    QToolButton *close = nullptr;
    bool boxed = false;
};

Banner::Banner(Kind kind, QWidget *parent) : QFrame(parent), d(std::make_unique<Private>())
{
    d->icon = new IconLabel;
    d->label = new QLabel;
    d->label->setWordWrap(true);
    d->label->setTextFormat(Qt::RichText);
    d->label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    d->label->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
    d->close = new QToolButton;
    d->close->setAutoRaise(true);
    d->close->setIcon(themedIcon(QStringLiteral("close"), IconColor::Secondary));
    d->close->setIconSize(QSize(12, 12));
    d->close->setToolTip(tr("Close (Esc)"));
    d->close->setAccessibleName(tr("Close notice"));
    d->buttons = new QHBoxLayout;
    d->buttons->setSpacing(8);
    auto *layout = new QHBoxLayout(this);
    layout->setContentsMargins(12, 7, 8, 7);
    layout->setSpacing(10);
    // The first line of the text, the icon and the buttons stand on one line, however long the text is.
    const int drop = std::max(0, (kBannerLineHeight - fontMetrics().height()) / 2);
    auto *icon = new QVBoxLayout;
    icon->setContentsMargins(0, (kBannerLineHeight - 16) / 2, 0, 0);
    icon->addWidget(d->icon);
    icon->addStretch(1);
    d->label->setContentsMargins(0, drop, 0, drop);
    d->label->setAlignment(Qt::AlignLeft | Qt::AlignTop);
    layout->addLayout(icon);
    layout->addWidget(d->label, 1);
    layout->addLayout(d->buttons);
    layout->addWidget(d->close, 0, Qt::AlignTop);
    setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Maximum);
    connect(d->close, &QToolButton::clicked, this, [this] {
        hide();
        Q_EMIT closed();
    });
    setKind(kind);
}

Banner::~Banner() = default;

void Banner::setKind(Kind kind)
{
    d->kind = kind;
    switch (kind) {
    case Kind::Notice:
        d->icon->setThemedIcon(QStringLiteral("info"), IconColor::Accent);
        break;
    case Kind::Warning:
        d->icon->setThemedIcon(QStringLiteral("warning"), IconColor::Warning);
        break;
    case Kind::Error:
        d->icon->setThemedIcon(QStringLiteral("error"), IconColor::Error);
        break;
    }
    showText();
}

Banner::Kind Banner::kind() const
{
    return d->kind;
}

void Banner::setText(const QString &title, const QString &text)
{
    d->title = title;
    d->text = text;
    setAccessibleName(title);
    setAccessibleDescription(text);
    showText();
}

void Banner::showText()
{
    const BannerColors &colors = bannerColors(d->kind, themeColors(this));
    // Rich text for the bold sentence; what comes from files is escaped.
    d->label->setText(QStringLiteral("<span style=\"color:%1\"><b>%2</b>%3%4</span>")
                          .arg(colors.text.name(), d->title.toHtmlEscaped(),
                               d->title.isEmpty() || d->text.isEmpty() ? QString() : QStringLiteral(" "),
                               d->text.toHtmlEscaped().replace(u'\n', QStringLiteral("<br>"))));
    update();
}

QString Banner::title() const
{
    return d->title;
}

QString Banner::text() const
{
    return d->text;
}

QPushButton *Banner::addButton(const QString &text, bool primary)
{
    auto *button = new QPushButton(text);
    button->setProperty("primary", primary);
    d->buttons->addWidget(button, 0, Qt::AlignTop);
    d->buttonList << button;
    return button;
}

void Banner::clearButtons()
{
    for (QPushButton *button : std::as_const(d->buttonList))
        button->deleteLater();
    d->buttonList.clear();
}

void Banner::setClosable(bool closable)
{
    d->close->setVisible(closable);
}

void Banner::setBoxed(bool boxed)
{
    d->boxed = boxed;
    update();
}

void Banner::paintEvent(QPaintEvent *)
{
    const BannerColors &colors = bannerColors(d->kind, themeColors(this));
    QPainter painter(this);
    painter.fillRect(rect(), colors.back);
    if (d->boxed) {
        painter.setPen(QPen(colors.line, 1));
        painter.drawRect(rect().adjusted(0, 0, -1, -1));
    } else {
        painter.fillRect(QRect(0, 0, width(), 1), colors.line);
        painter.fillRect(QRect(0, height() - 1, width(), 1), colors.line);
    }
}

void Banner::keyPressEvent(QKeyEvent *event)
{
    if (event->key() == Qt::Key_Escape && !d->close->isHidden()) {
        d->close->click();
        return;
    }
    QFrame::keyPressEvent(event);
}

void Banner::changeEvent(QEvent *event)
{
    if (event->type() == QEvent::PaletteChange && d->label)
        showText();
    QFrame::changeEvent(event);
}

} // namespace secateur
