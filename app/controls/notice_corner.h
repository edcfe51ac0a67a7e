#pragma once

#include <QString>
#include <QWidget>

#include <functional>

class QLabel;
class QPushButton;
class QTimer;

namespace secateur {

/// "Calibration finished in 0:34" at the lower right for eight seconds; stays while the pointer is over it and never
/// takes the focus.
class NoticeCorner : public QWidget {
    Q_OBJECT
public:
    explicit NoticeCorner(QWidget *window);

    void showNotice(const QString &title, const QString &text, std::function<void()> show);
    void place();

protected:
    void paintEvent(QPaintEvent *event) override;
    void enterEvent(QEnterEvent *event) override;
    void leaveEvent(QEvent *event) override;

private:
    QLabel *m_title;
    QLabel *m_text;
    QPushButton *m_show;
    QTimer *m_timer;
    std::function<void()> m_action;
};

} // namespace secateur
