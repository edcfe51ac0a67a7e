#pragma once

#include <QStyledItemDelegate>

namespace secateur {

/// Paints a grid cell of EvalTableModel: accuracy bold, interval, cap share at the right, interval bar on a 0–100
/// scale; amber with ⚠ when more than 5 % of the answers hit the cap.
class EvalCellDelegate : public QStyledItemDelegate {
    Q_OBJECT
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const override;
    QSize sizeHint(const QStyleOptionViewItem &option, const QModelIndex &index) const override;
};

} // namespace secateur
