#pragma once

#include <QAbstractButton>
#include <QStyledItemDelegate>

namespace secateur {

/// A card that is a button as a whole: icon, title, one line, shortcut.
class CardButton : public QAbstractButton {
    Q_OBJECT
public:
    CardButton(const QString &iconName, const QString &title, const QString &text, const QString &shortcut,
               QWidget *parent = nullptr);
    QSize sizeHint() const override { return {400, 64}; }

protected:
    void paintEvent(QPaintEvent *event) override;
    bool event(QEvent *event) override;

private:
    QString m_iconName, m_text, m_shortcut;
};

/// The dashed frame that says where things may be dropped; the whole window accepts them.
class DropHint : public QWidget {
    Q_OBJECT
public:
    explicit DropHint(const QString &text, QWidget *parent = nullptr);
    QSize sizeHint() const override { return {400, 80}; }

protected:
    void paintEvent(QPaintEvent *event) override;

private:
    QString m_text;
};

/// A row of the Recent list: picture of the last map, name, what it is, time. Missing entries keep their place.
class RecentDelegate : public QStyledItemDelegate {
    Q_OBJECT
public:
    enum Role { PathRole = Qt::UserRole + 1, DetailRole, TimeRole, ThumbnailRole, MissingRole };
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const override;
    QSize sizeHint(const QStyleOptionViewItem &option, const QModelIndex &index) const override;
};

/// "today 17:42", "yesterday", "19 Nov".
QString relativeDay(const QDateTime &time, const QDateTime &now);

} // namespace secateur
