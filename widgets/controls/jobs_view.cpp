#include "widgets/controls/jobs_view.h"

#include "widgets/theme/theme.h"

#include <QHeaderView>
#include <QKeyEvent>
#include <QPainter>
#include <QStyledItemDelegate>
#include <QTableView>
#include <QToolButton>
#include <QVBoxLayout>

namespace secateur {

namespace {

/// Draws the progress column as a bar with its text beside it.
class JobProgressDelegate : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;

    void paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const override
    {
        const double fraction = index.data(JobsModel::FractionRole).toDouble();
        if (fraction < 0) {
            QStyledItemDelegate::paint(painter, option, index);
            return;
        }
        QStyleOptionViewItem blank = option;
        initStyleOption(&blank, index);
        blank.text.clear();
        option.widget->style()->drawControl(QStyle::CE_ItemViewItem, &blank, painter, option.widget);
        const ThemeColors &colors = themeColors(option.widget);
        const QRect cell = option.rect.adjusted(4, 0, -4, 0);
        const QRect frame(cell.left(), cell.center().y() - 5, cell.width() * 3 / 5, 10);
        painter->setPen(colors.line);
        painter->setBrush(colors.base);
        painter->drawRect(frame);
        painter->fillRect(QRect(frame.left() + 1, frame.top() + 1,
                                static_cast<int>((frame.width() - 1) * qBound(0.0, fraction, 1.0)), frame.height() - 1),
                          colors.accent);
        painter->setPen(colors.text);
        painter->drawText(QRect(frame.right() + 8, cell.top(), cell.right() - frame.right() - 8, cell.height()),
                          Qt::AlignVCenter | Qt::AlignLeft, index.data().toString());
    }
};

} // namespace

JobsView::JobsView(JobsModel *model, QWidget *parent) : QWidget(parent)
{
    auto *table = new QTableView(this);
    table->setModel(model);
    table->setItemDelegateForColumn(JobsModel::ProgressColumn, new JobProgressDelegate(table));
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setSelectionMode(QAbstractItemView::SingleSelection);
    table->setShowGrid(false);
    table->setFrameShape(QFrame::NoFrame);
    table->setTabKeyNavigation(false);
    table->setAccessibleName(tr("Jobs"));
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(24);
    table->horizontalHeader()->setHighlightSections(false);
    table->horizontalHeader()->setStretchLastSection(false);
    const int widths[] = {230, 220, 300, 170, 90, 100, 90};
    for (int column = 0; column < JobsModel::ColumnCount; ++column)
        table->setColumnWidth(column, widths[column]);
    table->horizontalHeader()->setSectionResizeMode(JobsModel::Job, QHeaderView::Stretch);

    auto *cancel = new QToolButton(this);
    cancel->setText(tr("Cancel"));
    cancel->setToolTip(tr("Stop the selected job after its current batch (Delete)"));
    cancel->setEnabled(false);
    auto *clear = new QToolButton(this);
    clear->setText(tr("Clear"));
    clear->setToolTip(tr("Remove finished jobs from the list"));
    auto *buttons = new QVBoxLayout;
    buttons->setContentsMargins(4, 4, 8, 4);
    buttons->addWidget(cancel);
    buttons->addWidget(clear);
    buttons->addStretch(1);
    auto *layout = new QHBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addWidget(table, 1);
    layout->addLayout(buttons);

    const auto currentId = [table] {
        const QModelIndex index = table->currentIndex();
        return index.isValid() ? index.data(JobsModel::IdRole).toInt() : -1;
    };
    // Without a selection the buttons act on the job that runs.
    const auto target = [model, currentId] {
        const JobRow *row = model->rowOf(currentId());
        const auto active = [](const JobRow *candidate) {
            return candidate
                && (candidate->state == JobRow::State::Running || candidate->state == JobRow::State::Waiting);
        };
        if (active(row))
            return row->id;
        for (int i = 0; i < model->rowCount(); ++i) {
            const JobRow *candidate = model->rowOf(model->index(i, 0).data(JobsModel::IdRole).toInt());
            if (active(candidate))
                return candidate->id;
        }
        return -1;
    };
    const auto refresh = [cancel, target] { cancel->setEnabled(target() >= 0); };
    connect(model, &QAbstractItemModel::dataChanged, this, refresh);
    connect(model, &QAbstractItemModel::rowsInserted, this, refresh);
    connect(model, &QAbstractItemModel::rowsRemoved, this, refresh);
    connect(model, &QAbstractItemModel::rowsInserted, table, &QTableView::scrollToBottom);
    connect(cancel, &QToolButton::clicked, this, [this, target] {
        if (const int id = target(); id >= 0)
            Q_EMIT cancelRequested(id);
    });
    connect(clear, &QToolButton::clicked, model, &JobsModel::removeFinished);
    connect(table, &QTableView::activated, this, [this, currentId] {
        if (const int id = currentId(); id >= 0)
            Q_EMIT showRequested(id);
    });
    auto *stop = new QAction(this);
    stop->setShortcut(QKeySequence(Qt::Key_Delete));
    stop->setShortcutContext(Qt::WidgetWithChildrenShortcut);
    addAction(stop);
    connect(stop, &QAction::triggered, cancel, &QToolButton::click);
}

} // namespace secateur
