#include "app/dialogs/question_dialog.h"

#include "widgets/theme/theme.h"

#include <QGridLayout>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

namespace secateur {

QuestionDialog::QuestionDialog(const QString &title, QWidget *parent) : QDialog(parent)
{
    setWindowTitle(title);
    setModal(true);
    auto *outer = new QVBoxLayout(this);
    outer->setContentsMargins(16, 16, 16, 16);
    outer->setSpacing(12);
    auto *top = new QHBoxLayout;
    top->setSpacing(12);
    auto *icon = new QLabel(this);
    icon->setPixmap(themedIcon(u"warning"_qs, IconColor::Warning).pixmap(24, 24));
    top->addWidget(icon, 0, Qt::AlignTop);
    auto *texts = new QVBoxLayout;
    texts->setSpacing(4);
    m_fact = new QLabel(this);
    m_fact->setFont(titleFont());
    m_fact->setWordWrap(true);
    m_consequence = new QLabel(this);
    m_consequence->setWordWrap(true);
    setSecondary(m_consequence);
    texts->addWidget(m_fact);
    texts->addWidget(m_consequence);
    m_rows = new QGridLayout;
    m_rows->setColumnStretch(0, 1);
    m_rows->setVerticalSpacing(4);
    texts->addLayout(m_rows);
    top->addLayout(texts, 1);
    outer->addLayout(top);
    outer->addStretch(1);
    m_buttons = new QHBoxLayout;
    m_buttons->setSpacing(8);
    m_buttons->addStretch(1);
    outer->addLayout(m_buttons);
    setMinimumWidth(432);
}

void QuestionDialog::setText(const QString &fact, const QString &consequence)
{
    m_fact->setText(fact);
    m_consequence->setText(consequence);
    m_consequence->setVisible(!consequence.isEmpty());
}

void QuestionDialog::addRow(const QString &label, const QString &value)
{
    const int row = m_rows->rowCount();
    m_rows->addWidget(new QLabel(label, this), row, 0);
    m_rows->addWidget(new QLabel(value, this), row, 1, Qt::AlignRight);
}

QPushButton *QuestionDialog::makeButton(const QString &text, int answer)
{
    auto *button = new QPushButton(text, this);
    button->setAutoDefault(false);
    connect(button, &QPushButton::clicked, this, [this, answer] {
        m_answer = answer;
        accept();
    });
    m_buttons->addWidget(button);
    return button;
}

void QuestionDialog::addButton(const QString &text, int answer)
{
    makeButton(text, answer);
}

void QuestionDialog::addPrimary(const QString &text, int answer)
{
    QPushButton *button = makeButton(text, answer);
    button->setProperty("primary", true);
    button->setDefault(true);
    button->setFocus();
}

int QuestionDialog::ask(int escape)
{
    m_answer = escape;
    exec();
    return m_answer;
}

} // namespace secateur
