#include "app/controls/option_bar.h"

#include "widgets/theme/theme.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QToolButton>

namespace secateur {

namespace {

constexpr int kCompactWidth = 760; ///< below, the fields alone just fit

} // namespace

OptionBar::OptionBar(QWidget *parent) : QWidget(parent), m_layout(new QHBoxLayout(this))
{
    setFixedHeight(40);
    m_layout->setContentsMargins(12, 0, 12, 0);
    m_layout->setSpacing(8);
}

void OptionBar::addField(const QString &label, QWidget *field, bool staysLabelled)
{
    auto *text = new QLabel(label, this);
    setSecondary(text);
    text->setBuddy(field);
    if (field->accessibleName().isEmpty())
        field->setAccessibleName(label);
    if (field->toolTip().isEmpty())
        field->setToolTip(label);
    if (!staysLabelled)
        m_labels.append(text);
    m_layout->addWidget(text);
    m_layout->addWidget(field);
    m_layout->addSpacing(4);
}

void OptionBar::addStretch()
{
    m_layout->addStretch(1);
}

void OptionBar::addWidget(QWidget *widget)
{
    m_layout->addWidget(widget);
}

QToolButton *OptionBar::addHelp()
{
    auto *help = new QToolButton(this);
    help->setText(u"?"_qs);
    help->setAutoRaise(true);
    help->setToolTip(tr("What am I looking at? (F1)"));
    help->setAccessibleName(tr("Help for this view"));
    m_layout->addWidget(help);
    return help;
}

void OptionBar::resizeEvent(QResizeEvent *event)
{
    QWidget::resizeEvent(event);
    for (QLabel *label : m_labels)
        label->setVisible(width() >= kCompactWidth);
}

void OptionBar::paintEvent(QPaintEvent * /*event*/)
{
    QPainter painter(this);
    painter.setPen(themeColors(this).line);
    painter.drawLine(0, height() - 1, width(), height() - 1);
}

} // namespace secateur
