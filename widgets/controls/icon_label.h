#pragma once

#include "widgets/theme/theme.h"

#include <QWidget>

namespace secateur {

/// One themed icon as a widget; asks for its colour when it paints, so it follows theme changes.
class IconLabel : public QWidget {
    Q_OBJECT
public:
    explicit IconLabel(int size = 16, QWidget *parent = nullptr);

    void setThemedIcon(const QString &name, IconColor color);
    QString iconName() const { return m_name; }
    QSize sizeHint() const override { return QSize(m_size, m_size); }
    QSize minimumSizeHint() const override { return sizeHint(); }

protected:
    void paintEvent(QPaintEvent *event) override;

private:
    QString m_name;
    QIcon m_icon;
    int m_size;
};

} // namespace secateur
