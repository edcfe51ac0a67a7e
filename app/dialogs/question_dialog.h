#pragma once

#include <QDialog>

class QGridLayout;
class QHBoxLayout;
class QLabel;
class QPushButton;

namespace secateur {

/// A question in the house style: warning mark, bold fact, plain consequence, rows of numbers, buttons at the right.
class QuestionDialog : public QDialog {
    Q_OBJECT
public:
    explicit QuestionDialog(const QString &title, QWidget *parent = nullptr);

    void setText(const QString &fact, const QString &consequence);
    void addRow(const QString &label, const QString &value);
    void addButton(const QString &text, int answer);
    void addPrimary(const QString &text, int answer); ///< filled, default button
    /// \a escape is the answer of Esc and of the window's close button.
    int ask(int escape);

private:
    QLabel *m_fact;
    QLabel *m_consequence;
    QGridLayout *m_rows;
    QHBoxLayout *m_buttons;
    int m_answer = 0;

    QPushButton *makeButton(const QString &text, int answer);
};

} // namespace secateur
