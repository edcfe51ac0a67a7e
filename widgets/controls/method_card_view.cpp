#include "widgets/controls/method_card_view.h"

#include "widgets/theme/theme.h"

#include <QGridLayout>
#include <QLabel>
#include <QVBoxLayout>

namespace secateur {

struct MethodCardView::Private {
    QLabel *title = nullptr;
    QLabel *badge = nullptr;
    QLabel *summary = nullptr;
    QLabel *formula = nullptr;
    QLabel *sweeps = nullptr;
    QLabel *needs = nullptr;
};

MethodCardView::MethodCardView(QWidget *parent) : QWidget(parent), m_private(std::make_unique<Private>())
{
    const auto label = [this] {
        auto *made = new QLabel(this);
        made->setWordWrap(true);
        made->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
        return made;
    };
    Private &d = *m_private;
    d.title = label();
    d.title->setFont(titleFont(1.25));
    d.badge = new QLabel(this);
    d.badge->setFrameShape(QFrame::StyledPanel);
    d.badge->setMargin(2);
    setSecondary(d.badge);
    d.summary = label();
    setSecondary(d.summary);
    d.formula = label();
    QFont italic(QStringLiteral("Noto Serif"));
    italic.setItalic(true);
    italic.setPixelSize(14);
    d.formula->setFont(italic);
    d.formula->setAlignment(Qt::AlignCenter);
    d.formula->setFrameShape(QFrame::StyledPanel);
    d.formula->setMargin(10);
    d.formula->setAccessibleName(tr("Formula"));
    d.sweeps = label();
    d.needs = label();
    auto *sweepsLabel = new QLabel(tr("cost in sweeps"), this);
    auto *needsLabel = new QLabel(tr("needs"), this);
    for (QLabel *small : {sweepsLabel, needsLabel})
        setSecondary(small);

    auto *head = new QHBoxLayout;
    head->addWidget(d.title, 1);
    head->addWidget(d.badge, 0, Qt::AlignTop);
    auto *facts = new QGridLayout;
    facts->setHorizontalSpacing(24);
    facts->setVerticalSpacing(0);
    facts->addWidget(d.sweeps, 0, 0);
    facts->addWidget(sweepsLabel, 1, 0);
    facts->addWidget(d.needs, 0, 1);
    facts->addWidget(needsLabel, 1, 1);
    facts->setColumnStretch(2, 1);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(8);
    layout->addLayout(head);
    layout->addWidget(d.summary);
    layout->addWidget(d.formula);
    layout->addLayout(facts);
    setAccessibleName(tr("Method card"));
}

MethodCardView::~MethodCardView() = default;

void MethodCardView::setCard(const MethodCardText &card)
{
    Private &d = *m_private;
    d.title->setText(card.title);
    d.badge->setText(card.paradigm);
    d.badge->setVisible(!card.paradigm.isEmpty());
    d.summary->setText(card.paper.isEmpty() ? card.summary : QString(card.summary + u' ' + card.paper));
    d.formula->setText(card.formula);
    d.formula->setVisible(!card.formula.isEmpty());
    d.sweeps->setText(QStringLiteral("<b>%1</b>").arg(card.sweeps.toHtmlEscaped()));
    d.needs->setText(QStringLiteral("<b>%1</b>").arg(card.needs.toHtmlEscaped()));
    setAccessibleDescription(card.summary);
}

} // namespace secateur
