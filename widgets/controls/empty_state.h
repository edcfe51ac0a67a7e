#pragma once

#include <QWidget>

#include <memory>

class QPushButton;

namespace secateur {

/// What a view shows when it has nothing to show: icon, what is missing, what it takes, one primary and one alternative
/// action.
class EmptyState : public QWidget {
    Q_OBJECT
public:
    explicit EmptyState(QWidget *parent = nullptr);
    ~EmptyState() override;

    void setContent(const QString &iconName, const QString &title, const QString &text);
    /// Empty text hides the button.
    void setPrimary(const QString &text);
    void setAlternative(const QString &text);
    QPushButton *primaryButton() const;
    QPushButton *alternativeButton() const;

Q_SIGNALS:
    void primaryClicked();
    void alternativeClicked();

private:
    struct Private;
    std::unique_ptr<Private> d;
};

} // namespace secateur
