#pragma once

#include <QWidget>

namespace secateur {

/// Head of a panel: title in weight 600, description beside it in secondary text, both elided when there is no room.
class TitleLine : public QWidget {
    Q_OBJECT
public:
    explicit TitleLine(QWidget *parent = nullptr);

    void setTexts(const QString &title, const QString &description);
    /// Between title and description; default " · ", empty: a wider gap.
    void setSeparator(const QString &separator);
    QString title() const { return m_title; }
    QString description() const { return m_description; }
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent *event) override;

private:
    QString m_title;
    QString m_description;
    QString m_separator;
};

} // namespace secateur
