#include "widgets/controls/empty_state.h"

#include "widgets/controls/icon_label.h"
#include "widgets/theme/theme.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

namespace secateur {

namespace {

constexpr int kEmptyTextWidth = 380;

} // namespace

struct EmptyState::Private {
    IconLabel *icon = nullptr;
    QLabel *title = nullptr;
    QLabel *text = nullptr;
    QPushButton *primary = nullptr;
    QPushButton *alternative = nullptr;
};

EmptyState::EmptyState(QWidget *parent) : QWidget(parent), d(std::make_unique<Private>())
{
    setBackgroundRole(QPalette::Base);
    setAutoFillBackground(true);
    d->icon = new IconLabel(32);
    d->title = new QLabel;
    d->title->setFont(titleFont(15.0 / 12.0));
    d->title->setAlignment(Qt::AlignCenter);
    d->title->setWordWrap(true);
    d->text = new QLabel;
    d->text->setAlignment(Qt::AlignCenter);
    d->text->setWordWrap(true);
    d->text->setFixedWidth(kEmptyTextWidth);
    setSecondary(d->text);
    d->primary = new QPushButton;
    d->primary->setProperty("primary", true);
    d->alternative = new QPushButton;
    auto *buttons = new QHBoxLayout;
    buttons->setSpacing(8);
    buttons->addStretch(1);
    buttons->addWidget(d->primary);
    buttons->addWidget(d->alternative);
    buttons->addStretch(1);
    // Not AlignHCenter: an aligned item is not asked for the height that its wrapped text needs.
    auto *text = new QHBoxLayout;
    text->addStretch(1);
    text->addWidget(d->text);
    text->addStretch(1);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(24, 24, 24, 24);
    layout->setSpacing(4);
    layout->addStretch(2);
    layout->addWidget(d->icon, 0, Qt::AlignHCenter);
    layout->addSpacing(4);
    layout->addWidget(d->title);
    layout->addLayout(text);
    layout->addSpacing(8);
    layout->addLayout(buttons);
    layout->addStretch(3);
    d->primary->hide();
    d->alternative->hide();
    connect(d->primary, &QPushButton::clicked, this, &EmptyState::primaryClicked);
    connect(d->alternative, &QPushButton::clicked, this, &EmptyState::alternativeClicked);
}

EmptyState::~EmptyState() = default;

void EmptyState::setContent(const QString &iconName, const QString &title, const QString &text)
{
    d->icon->setThemedIcon(iconName, IconColor::Secondary);
    d->title->setText(title);
    d->text->setText(text);
    d->text->setVisible(!text.isEmpty());
    setAccessibleName(title);
    setAccessibleDescription(text);
}

void EmptyState::setPrimary(const QString &text)
{
    d->primary->setText(text);
    d->primary->setVisible(!text.isEmpty());
}

void EmptyState::setAlternative(const QString &text)
{
    d->alternative->setText(text);
    d->alternative->setVisible(!text.isEmpty());
}

QPushButton *EmptyState::primaryButton() const
{
    return d->primary;
}

QPushButton *EmptyState::alternativeButton() const
{
    return d->alternative;
}

} // namespace secateur
