#include "app/docks/log_dock.h"

#include "widgets/theme/theme.h"

#include <QLineEdit>
#include <QPlainTextEdit>
#include <QVBoxLayout>

namespace secateur {

namespace {

constexpr int kMaxLogLines = 5000;

} // namespace

LogDock::LogDock(QWidget *parent) : QWidget(parent), m_filter(new QLineEdit(this)), m_text(new QPlainTextEdit(this))
{
    auto *outer = new QVBoxLayout(this);
    outer->setContentsMargins(0, 0, 0, 0);
    outer->setSpacing(0);
    m_filter->setPlaceholderText(tr("Filter"));
    m_filter->setClearButtonEnabled(true);
    m_filter->setAccessibleName(tr("Filter the log"));
    m_filter->setMaximumWidth(260);
    auto *head = new QHBoxLayout;
    head->setContentsMargins(8, 2, 8, 2);
    head->addWidget(m_filter);
    head->addStretch(1);
    outer->addLayout(head);
    m_text->setReadOnly(true);
    m_text->setFrameShape(QFrame::NoFrame);
    m_text->setMaximumBlockCount(kMaxLogLines);
    m_text->setAccessibleName(tr("Log"));
    outer->addWidget(m_text, 1);
    connect(m_filter, &QLineEdit::textChanged, this, &LogDock::refill);
}

void LogDock::append(const QString &line)
{
    m_lines.append(line);
    if (m_lines.size() > kMaxLogLines)
        m_lines.removeFirst();
    if (m_filter->text().isEmpty() || line.contains(m_filter->text(), Qt::CaseInsensitive))
        m_text->appendPlainText(line);
}

void LogDock::refill()
{
    m_text->setPlainText(m_filter->text().isEmpty()
                             ? m_lines.join(u'\n')
                             : m_lines.filter(m_filter->text(), Qt::CaseInsensitive).join(u'\n'));
}

} // namespace secateur
