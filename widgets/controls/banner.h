#pragma once

#include <QFrame>

#include <memory>

class QPushButton;

namespace secateur {

/// A strip under the toolbar or in a view: icon, bold first sentence, text, buttons, close.
class Banner : public QFrame {
    Q_OBJECT
public:
    enum class Kind { Notice, Warning, Error };

    explicit Banner(Kind kind, QWidget *parent = nullptr);
    ~Banner() override;

    void setKind(Kind kind);
    Kind kind() const;
    void setText(const QString &title, const QString &text);
    QString title() const;
    QString text() const;
    QPushButton *addButton(const QString &text, bool primary = false);
    void clearButtons();
    void setClosable(bool closable);
    /// Lines at all four sides (inside a view) instead of top and bottom (window-wide).
    void setBoxed(bool boxed);

Q_SIGNALS:
    void closed();

protected:
    void paintEvent(QPaintEvent *event) override;
    void keyPressEvent(QKeyEvent *event) override;
    void changeEvent(QEvent *event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;

    void showText();
};

} // namespace secateur
