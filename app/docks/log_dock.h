#pragma once

#include <QStringList>
#include <QWidget>

class QLineEdit;
class QPlainTextEdit;

namespace secateur {

/// Content of the Log dock: what happened, one line each, with a filter.
class LogDock : public QWidget {
    Q_OBJECT
public:
    explicit LogDock(QWidget *parent = nullptr);

public Q_SLOTS:
    void append(const QString &line);

private:
    QLineEdit *m_filter;
    QPlainTextEdit *m_text;
    QStringList m_lines;

    void refill();
};

} // namespace secateur
