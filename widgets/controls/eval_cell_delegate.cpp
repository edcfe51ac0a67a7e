#include "widgets/controls/eval_cell_delegate.h"

#include "widgets/models/eval_table_model.h"
#include "widgets/theme/theme.h"

#include <QLocale>
#include <QPainter>

namespace secateur {

namespace {
constexpr double kEvalAmberShare = 0.05;
}

void EvalCellDelegate::paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const
{
    const double value = index.data(EvalTableModel::AccuracyRole).toDouble();
    const qint64 n = index.data(EvalTableModel::CountRole).toLongLong();
    const qint64 total = index.data(EvalTableModel::TotalRole).toLongLong();
    const QString text = index.data().toString();
    if (index.column() < 2 || !text.contains(u'[')) {
        QStyledItemDelegate::paint(painter, option, index);
        if (index.column() < 2 || total <= 0)
            return;
    }
    const ThemeColors &colors = themeColors(option.widget);
    const QRect cell = option.rect;
    painter->save();
    if (text.contains(u'[')) {
        const double cap = index.data(EvalTableModel::CapShareRole).toDouble();
        const bool amber = cap > kEvalAmberShare;
        QStyleOptionViewItem blank = option;
        initStyleOption(&blank, index);
        blank.text.clear();
        option.widget->style()->drawControl(QStyle::CE_ItemViewItem, &blank, painter, option.widget);
        if (amber)
            painter->fillRect(cell.adjusted(0, 0, -1, -1), colors.amberCell);

        const QRect line(cell.left() + 8, cell.top() + 3, cell.width() - 16, 16);
        QFont bold = numberFont();
        bold.setWeight(QFont::DemiBold);
        const qsizetype split = text.indexOf(u'[');
        painter->setFont(bold);
        painter->setPen(colors.text);
        const QString number = text.left(split);
        painter->drawText(line, Qt::AlignLeft | Qt::AlignVCenter, number);
        const int width = painter->fontMetrics().horizontalAdvance(number);
        painter->setFont(numberFont());
        painter->setPen(amber ? colors.warning.text : colors.secondaryText);
        painter->drawText(line.adjusted(width, 0, 0, 0), Qt::AlignLeft | Qt::AlignVCenter, text.mid(split));
        const QString capText = cap < 0
            ? QStringLiteral("–")
            : tr("cap %1 %").arg(QLocale::c().toString(cap * 100, 'f', cap > 0 && cap < 0.1 ? 1 : 0));
        if (amber)
            painter->setFont(bold);
        painter->drawText(line, Qt::AlignRight | Qt::AlignVCenter,
                          amber ? QString(QStringLiteral("⚠ ") + capText) : capText);

        // interval on a 0–100 scale
        const QRect scale(cell.left() + 8, cell.bottom() - 9, cell.width() - 16, 1);
        const auto at = [&](double share) { return scale.left() + scale.width() * share; };
        painter->fillRect(scale, colors.lineFaint);
        painter->setRenderHint(QPainter::Antialiasing);
        painter->setPen(QPen(colors.secondaryText, 1.4));
        painter->drawLine(QPointF(at(index.data(EvalTableModel::LowRole).toDouble()), scale.top()),
                          QPointF(at(index.data(EvalTableModel::HighRole).toDouble()), scale.top()));
        painter->fillRect(QRectF(at(value) - 2, scale.top() - 2.5, 4, 5), colors.text);
    }
    if (total > 0) {
        const QRect bar(cell.left() + 1, cell.bottom() - 3, cell.width() - 2, 2);
        painter->fillRect(QRect(bar.left(), bar.top(), static_cast<int>(bar.width() * n / total), bar.height()),
                          colors.accent);
    }
    painter->restore();
}

QSize EvalCellDelegate::sizeHint(const QStyleOptionViewItem &option, const QModelIndex &index) const
{
    QSize size = QStyledItemDelegate::sizeHint(option, index);
    size.setHeight(38);
    if (index.column() >= 2)
        size.setWidth(qMax(size.width(), 150));
    return size;
}

} // namespace secateur
