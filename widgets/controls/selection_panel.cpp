#include "widgets/controls/selection_panel.h"

#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QKeyEvent>
#include <QLabel>
#include <QMouseEvent>
#include <QPainter>
#include <QPushButton>
#include <QStyledItemDelegate>
#include <QTableView>
#include <QVBoxLayout>

#include <algorithm>

namespace secateur {

namespace {

/// Small action icons, and row lines in the faint line colour.
class SelectionRowDelegate : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;
    void paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const override
    {
        QStyledItemDelegate::paint(painter, option, index);
        painter->fillRect(QRect(option.rect.left(), option.rect.bottom(), option.rect.width(), 1),
                          themeColors(option.palette).lineFaint);
    }

protected:
    void initStyleOption(QStyleOptionViewItem *option, const QModelIndex &index) const override
    {
        QStyledItemDelegate::initStyleOption(option, index);
        option->decorationSize = QSize(12, 12);
        option->state &= ~QStyle::State_HasFocus;
    }
};

} // namespace

struct SelectionPanel::Private {
    PruneSelection *selection = nullptr;
    SelectionTableModel *model = nullptr;
    QLabel *headline = nullptr;
    QLabel *total = nullptr;
    QTableView *table = nullptr;
    QPushButton *clear = nullptr;
    QPushButton *invert = nullptr;
    QPushButton *lock = nullptr;
    UnitKind kind = UnitKind::Block;

    UnitSet markedUnits() const
    {
        UnitSet units;
        for (const QModelIndex &index : table->selectionModel()->selectedRows())
            units = unitsUnion(std::move(units), model->unitsOfRow(index.row()));
        return units;
    }
    UnitSet lockTarget() const
    {
        UnitSet marked = markedUnits();
        return marked.empty() ? selection->selected() : marked;
    }
};

SelectionPanel::SelectionPanel(PruneSelection *selection, QWidget *parent)
    : QWidget(parent), d(std::make_unique<Private>())
{
    setBackgroundRole(QPalette::Base);
    setAutoFillBackground(true);
    d->selection = selection;
    d->model = new SelectionTableModel(selection, this);
    d->headline = new QLabel;
    d->headline->setFont(titleFont());
    d->total = new QLabel;
    setSecondary(d->total);
    auto *head = new QHBoxLayout;
    head->setContentsMargins(8, 6, 8, 6);
    head->addWidget(d->headline, 1);
    head->addWidget(d->total);

    d->table = new QTableView;
    d->table->setModel(d->model);
    d->table->setItemDelegate(new SelectionRowDelegate(d->table));
    d->table->setFrameShape(QFrame::NoFrame);
    d->table->setShowGrid(false);
    d->table->setSelectionBehavior(QAbstractItemView::SelectRows);
    d->table->setSelectionMode(QAbstractItemView::ExtendedSelection);
    d->table->setSortingEnabled(true);
    d->table->sortByColumn(SelectionTableModel::Score, Qt::AscendingOrder);
    d->table->setTabKeyNavigation(false);
    d->table->setMouseTracking(true);
    d->table->setWordWrap(false);
    d->table->setTextElideMode(Qt::ElideMiddle);
    d->table->verticalHeader()->hide();
    d->table->verticalHeader()->setSectionResizeMode(QHeaderView::Fixed);
    d->table->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 8);
    QHeaderView *columns = d->table->horizontalHeader();
    columns->setHighlightSections(false);
    columns->setMinimumSectionSize(24);
    columns->setSectionResizeMode(SelectionTableModel::Unit, QHeaderView::Stretch);
    columns->setSectionResizeMode(SelectionTableModel::Score, QHeaderView::Fixed);
    columns->setSectionResizeMode(SelectionTableModel::Rank, QHeaderView::Fixed);
    const QFontMetrics numbers(numberFont());
    columns->resizeSection(SelectionTableModel::Score, numbers.horizontalAdvance(QStringLiteral("0.000000")) + 32);
    columns->resizeSection(SelectionTableModel::Rank, numbers.horizontalAdvance(exactCount(99999)) + 16);
    columns->setSectionResizeMode(SelectionTableModel::Action, QHeaderView::Fixed);
    columns->resizeSection(SelectionTableModel::Action, 28);
    columns->setTextElideMode(Qt::ElideRight);
    d->table->installEventFilter(this);
    d->table->viewport()->installEventFilter(this);

    d->clear = new QPushButton(tr("Clear"));
    d->invert = new QPushButton(tr("Invert"));
    d->lock = new QPushButton(tr("Lock"));
    d->clear->setToolTip(tr("Deselect everything (Ctrl+Shift+A); locks stay"));
    d->invert->setToolTip(tr("Select what is not selected, without locked units (Ctrl+I)"));
    auto *buttons = new QHBoxLayout;
    buttons->setContentsMargins(8, 8, 8, 8);
    buttons->setSpacing(8);
    buttons->addWidget(d->clear);
    buttons->addWidget(d->invert);
    buttons->addWidget(d->lock);
    buttons->addStretch(1);

    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addLayout(head);
    layout->addWidget(d->table, 1);
    layout->addLayout(buttons);

    connect(d->clear, &QPushButton::clicked, this, &SelectionPanel::clear);
    connect(d->invert, &QPushButton::clicked, this, &SelectionPanel::invert);
    connect(d->lock, &QPushButton::clicked, this, &SelectionPanel::toggleLock);
    connect(d->table->selectionModel(), &QItemSelectionModel::selectionChanged, this, &SelectionPanel::refresh);
    connect(d->model, &QAbstractItemModel::modelReset, this, [this] {
        spanGroups();
        refresh();
    });
    connect(selection, &PruneSelection::configChanged, this, &SelectionPanel::refresh);
    connect(d->table, &QTableView::clicked, this, [this](const QModelIndex &index) {
        if (index.column() != SelectionTableModel::Action)
            return;
        const UnitSet units = d->model->unitsOfRow(index.row());
        if (units.empty())
            return;
        if (d->model->isLockedRow(index.row()))
            d->selection->unlock(units);
        else
            d->selection->remove(units);
    });
    spanGroups();
    refresh();
}

SelectionPanel::~SelectionPanel() = default;

void SelectionPanel::setScores(const MetricMapPtr &map)
{
    d->model->setScores(map);
    if (map && unitKindOf(mapKind(*map)))
        d->kind = *unitKindOf(mapKind(*map));
    refresh();
}

SelectionTableModel *SelectionPanel::model() const
{
    return d->model;
}

QTableView *SelectionPanel::table() const
{
    return d->table;
}

void SelectionPanel::spanGroups()
{
    d->table->clearSpans();
    for (int row = 0; row < d->model->rowCount(); ++row) {
        if (d->model->index(row, 0).data(SelectionTableModel::GroupRole).toBool())
            d->table->setSpan(row, 0, 1, SelectionTableModel::ColumnCount);
    }
}

void SelectionPanel::refresh()
{
    const PruneSelection &selection = *d->selection;
    d->headline->setText(selection.headline());
    // "of 30" belongs to one kind of unit; a mixed selection has no one total.
    const UnitSet &selected = selection.selected();
    const int kinds
        = int(!selected.blocks.empty()) + int(!selected.kvGroups.empty()) + int(!selected.ffnChannels.empty());
    const UnitKind shown = !selected.blocks.empty() ? UnitKind::Block
        : !selected.kvGroups.empty()                ? UnitKind::KvGroup
        : !selected.ffnChannels.empty()             ? UnitKind::FfnChannel
                                                    : d->kind;
    d->total->setText(selection.hasModel() && kinds <= 1 ? tr("of %1").arg(exactCount(selection.unitCount(shown)))
                                                         : QString());
    setAccessibleName(tr("Selection, %1").arg(selection.headline()));
    d->table->setAccessibleName(accessibleName());
    d->clear->setEnabled(!selected.empty());
    d->invert->setEnabled(selection.hasModel());
    const UnitSet target = d->lockTarget();
    const bool allLocked = !target.empty() && unitsContain(selection.locked(), target);
    d->lock->setText(allLocked ? tr("Unlock") : tr("Lock"));
    d->lock->setEnabled(!target.empty());
    d->lock->setToolTip(target.empty() ? tr("Lock is off: select units or rows first")
                                       : tr("Keep these units whatever a method or threshold selects (L)"));
}

void SelectionPanel::clear()
{
    d->selection->clear();
}

void SelectionPanel::invert()
{
    d->selection->invert(d->kind);
}

void SelectionPanel::toggleLock()
{
    d->selection->toggleLock(d->lockTarget());
}

void SelectionPanel::removeMarked()
{
    UnitSet units;
    for (const QModelIndex &index : d->table->selectionModel()->selectedRows()) {
        if (!d->model->isLockedRow(index.row()))
            units = unitsUnion(std::move(units), d->model->unitsOfRow(index.row()));
    }
    if (!units.empty())
        d->selection->remove(units);
}

bool SelectionPanel::eventFilter(QObject *watched, QEvent *event)
{
    if (watched == d->table->viewport() && event->type() == QEvent::MouseMove) {
        const QModelIndex index = d->table->indexAt(static_cast<QMouseEvent *>(event)->position().toPoint());
        d->selection->setHighlighted(index.isValid() ? d->model->unitsOfRow(index.row()) : UnitSet{});
    } else if (watched == d->table->viewport() && event->type() == QEvent::Leave) {
        d->selection->setHighlighted({});
    } else if (watched == d->table && event->type() == QEvent::KeyPress) {
        const auto *key = static_cast<QKeyEvent *>(event);
        if (key->key() == Qt::Key_Delete && key->modifiers() == Qt::NoModifier) {
            removeMarked();
            return true;
        }
        if (key->key() == Qt::Key_L && key->modifiers() == Qt::NoModifier) {
            toggleLock();
            return true;
        }
    }
    return QWidget::eventFilter(watched, event);
}

} // namespace secateur
