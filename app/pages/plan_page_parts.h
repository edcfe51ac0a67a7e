#pragma once

#include "backend/core/pruning_plan.h"
#include "backend/workflow/plan.h"
#include "widgets/controls/method_card_view.h"

#include <vector>

class QTableView;
class QTreeWidget;
class QTreeWidgetItem;
class QWidget;

namespace secateur {

/// Methods under the heads Depth, Width and By hand, with their cost in sweeps.
void fillMethodList(QTreeWidget *list, const std::vector<workflow::MethodCard> &cards);
QTreeWidgetItem *methodItem(QTreeWidget *list, const QString &id);

MethodCardText cardText(const workflow::MethodCard &card);

/// Row height, no grid, rows as a whole, Ctrl+C copies them.
void setUpPlanTable(QTableView *table);

/// Copies the marked rows of \a table as tab-separated text.
void copyTableSelection(const QTableView *table);

/// A list of the units that would go, to read and to copy.
void showRemovedUnits(QWidget *parent, const UnitSet &removed);

} // namespace secateur
