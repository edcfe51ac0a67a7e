#include "widgets/heatmap/heatmap_accessible.h"

#include "widgets/heatmap/heatmap_view.h"

#include <QAccessible>
#include <QAccessibleWidget>
#include <QHash>

#include <algorithm>
#include <limits>

namespace secateur {

namespace {

class AccessibleHeatmap;

/// One cell: lives as long as the table that made it.
class AccessibleHeatmapCell : public QAccessibleInterface, public QAccessibleTableCellInterface {
public:
    AccessibleHeatmapCell(AccessibleHeatmap *table, HeatmapCell cell) : m_table(table), m_cell(cell) { }

    bool isValid() const override;
    QObject *object() const override { return nullptr; }
    QAccessibleInterface *childAt(int, int) const override { return nullptr; }
    QAccessibleInterface *parent() const override;
    QAccessibleInterface *child(int) const override { return nullptr; }
    int childCount() const override { return 0; }
    int indexOfChild(const QAccessibleInterface *) const override { return -1; }
    QString text(QAccessible::Text kind) const override;
    void setText(QAccessible::Text, const QString &) override { }
    QRect rect() const override;
    QAccessible::Role role() const override { return QAccessible::Cell; }
    QAccessible::State state() const override;
    void *interface_cast(QAccessible::InterfaceType type) override
    {
        return type == QAccessible::TableCellInterface ? static_cast<QAccessibleTableCellInterface *>(this) : nullptr;
    }

    int columnExtent() const override { return 1; }
    int rowExtent() const override { return 1; }
    QList<QAccessibleInterface *> columnHeaderCells() const override { return {}; }
    QList<QAccessibleInterface *> rowHeaderCells() const override { return {}; }
    int columnIndex() const override { return m_cell.column; }
    int rowIndex() const override { return m_cell.row; }
    bool isSelected() const override;
    QAccessibleInterface *table() const override;

private:
    AccessibleHeatmap *m_table;
    HeatmapCell m_cell;
};

class AccessibleHeatmap : public QAccessibleWidget, public QAccessibleTableInterface {
public:
    explicit AccessibleHeatmap(QWidget *widget) : QAccessibleWidget(widget, QAccessible::Table) { }
    ~AccessibleHeatmap() override
    {
        for (const QAccessible::Id id : std::as_const(m_cells))
            QAccessible::deleteAccessibleInterface(id);
    }

    HeatmapView *view() const { return static_cast<HeatmapView *>(widget()); }
    bool contains(HeatmapCell cell) const { return cell.row < rowCount() && cell.column < columnCount(); }

    void *interface_cast(QAccessible::InterfaceType type) override
    {
        if (type == QAccessible::TableInterface)
            return static_cast<QAccessibleTableInterface *>(this);
        return QAccessibleWidget::interface_cast(type);
    }
    int childCount() const override
    {
        const qint64 cells = qint64(rowCount()) * columnCount();
        return static_cast<int>(std::min<qint64>(cells, std::numeric_limits<int>::max()));
    }
    QAccessibleInterface *child(int index) const override
    {
        return index < 0 || columnCount() == 0 ? nullptr : cellAt(index / columnCount(), index % columnCount());
    }
    int indexOfChild(const QAccessibleInterface *child) const override
    {
        if (!child || child->parent() != this)
            return -1;
        auto *cell = const_cast<QAccessibleInterface *>(child)->tableCellInterface();
        return cell ? cell->rowIndex() * columnCount() + cell->columnIndex() : -1;
    }
    QAccessibleInterface *childAt(int x, int y) const override
    {
        const HeatmapCell cell = view()->cellAt(view()->mapFromGlobal(QPoint(x, y)));
        return cell.isValid() ? cellAt(cell.row, cell.column) : nullptr;
    }
    QAccessibleInterface *focusChild() const override
    {
        const HeatmapCell cell = view()->cursorCell();
        return view()->hasFocus() && cell.isValid() ? cellAt(cell.row, cell.column) : nullptr;
    }

    QAccessibleInterface *caption() const override { return nullptr; }
    QAccessibleInterface *summary() const override { return nullptr; }
    QAccessibleInterface *cellAt(int row, int column) const override
    {
        if (row < 0 || column < 0 || row >= rowCount() || column >= columnCount())
            return nullptr;
        const qint64 key = qint64(row) * columnCount() + column;
        if (const auto known = m_cells.constFind(key); known != m_cells.constEnd())
            return QAccessible::accessibleInterface(*known);
        auto *cell = new AccessibleHeatmapCell(const_cast<AccessibleHeatmap *>(this), {row, column});
        m_cells.insert(key, QAccessible::registerAccessibleInterface(cell));
        return cell;
    }
    int selectedCellCount() const override { return 0; }
    QList<QAccessibleInterface *> selectedCells() const override { return {}; }
    QString columnDescription(int column) const override
    {
        const MetricMapPtr map = view()->map();
        return map ? QString::number(column + map->columnAxis.first) : QString();
    }
    QString rowDescription(int row) const override
    {
        const MetricMapPtr map = view()->map();
        return map ? QString::number(row + map->rowAxis.first) : QString();
    }
    int selectedColumnCount() const override { return 0; }
    int selectedRowCount() const override { return 0; }
    int columnCount() const override { return view()->map() ? static_cast<int>(view()->map()->columns) : 0; }
    int rowCount() const override { return view()->map() ? static_cast<int>(view()->map()->rows) : 0; }
    QList<int> selectedColumns() const override { return {}; }
    QList<int> selectedRows() const override { return {}; }
    bool isColumnSelected(int) const override { return false; }
    bool isRowSelected(int) const override { return false; }
    bool selectRow(int row) override { return select(row, true, true); }
    bool selectColumn(int column) override { return select(column, false, true); }
    bool unselectRow(int row) override { return select(row, true, false); }
    bool unselectColumn(int column) override { return select(column, false, false); }
    void modelChange(QAccessibleTableModelChangeEvent *) override
    {
        for (const QAccessible::Id id : std::as_const(m_cells))
            QAccessible::deleteAccessibleInterface(id);
        m_cells.clear();
    }

private:
    mutable QHash<qint64, QAccessible::Id> m_cells;

    bool select(int index, bool isRow, bool on)
    {
        const MetricMapPtr map = view()->map();
        PruneSelection *selection = view()->selection();
        if (!map || !selection)
            return false;
        const UnitSet units = isRow ? unitsOfRow(*map, index) : unitsOfColumn(*map, index);
        if (on)
            selection->add(units);
        else
            selection->remove(units);
        return !units.empty();
    }
};

bool AccessibleHeatmapCell::isValid() const
{
    return m_table->isValid() && m_table->contains(m_cell);
}

QAccessibleInterface *AccessibleHeatmapCell::parent() const
{
    return m_table;
}

QAccessibleInterface *AccessibleHeatmapCell::table() const
{
    return m_table;
}

QString AccessibleHeatmapCell::text(QAccessible::Text kind) const
{
    const HeatmapView *view = m_table->view();
    if (!isValid() || (kind != QAccessible::Name && kind != QAccessible::Value))
        return {};
    return accessibleCellText(*view->map(), view->ranks(), m_cell, view->selection());
}

QRect AccessibleHeatmapCell::rect() const
{
    const HeatmapView *view = m_table->view();
    return isValid()
        ? QRect(view->mapToGlobal(view->cellRect(m_cell).topLeft().toPoint()), view->cellRect(m_cell).size().toSize())
        : QRect();
}

QAccessible::State AccessibleHeatmapCell::state() const
{
    QAccessible::State state;
    if (!isValid()) {
        state.invalid = true;
        return state;
    }
    state.focusable = true;
    state.selectable = true;
    state.focused = m_table->view()->hasFocus() && m_table->view()->cursorCell() == m_cell;
    state.selected = isSelected();
    return state;
}

bool AccessibleHeatmapCell::isSelected() const
{
    const HeatmapView *view = m_table->view();
    if (!isValid() || !view->selection())
        return false;
    const UnitSet units = unitsOfCell(*view->map(), m_cell);
    return !units.empty() && unitsContain(view->selection()->selected(), units);
}

QAccessibleInterface *makeHeatmapInterface(const QString &, QObject *object)
{
    auto *view = qobject_cast<HeatmapView *>(object);
    return view ? new AccessibleHeatmap(view) : nullptr;
}

} // namespace

void installHeatmapAccessibility()
{
    static const bool kInstalled = [] {
        QAccessible::installFactory(makeHeatmapInterface);
        return true;
    }();
    Q_UNUSED(kInstalled)
}

} // namespace secateur
