#include "app/pages/plan_page_parts.h"

#include "app/qt_paths.h"
#include "widgets/heatmap/map_units.h"
#include "widgets/theme/theme.h"

#include <QClipboard>
#include <QCoreApplication>
#include <QDialog>
#include <QDialogButtonBox>
#include <QGuiApplication>
#include <QHeaderView>
#include <QPlainTextEdit>
#include <QShortcut>
#include <QTableView>
#include <QTreeWidget>
#include <QVBoxLayout>

#include <algorithm>

namespace secateur {

namespace {

QString planText(const char *text)
{
    return QCoreApplication::translate("PlanPage", text);
}

QString paradigmName(const std::string &paradigm)
{
    if (paradigm == "depth")
        return planText(QT_TRANSLATE_NOOP("PlanPage", "Depth"));
    if (paradigm == "width")
        return planText(QT_TRANSLATE_NOOP("PlanPage", "Width"));
    return planText(QT_TRANSLATE_NOOP("PlanPage", "By hand"));
}

/// "192–231, 240" out of {192, …, 231, 240}
QString compactRange(const std::set<int> &numbers)
{
    QStringList parts;
    for (auto it = numbers.begin(); it != numbers.end();) {
        const int first = *it;
        int last = first;
        for (++it; it != numbers.end() && *it == last + 1; ++it)
            last = *it;
        parts.append(first == last ? QString::number(first) : u"%1–%2"_qs.arg(first).arg(last));
    }
    return parts.join(u", "_qs);
}

} // namespace

void fillMethodList(QTreeWidget *list, const std::vector<workflow::MethodCard> &cards)
{
    for (const char *paradigm : {"depth", "width", "hand"}) {
        auto *head = new QTreeWidgetItem(list, {paradigmName(paradigm)});
        head->setFlags(Qt::ItemIsEnabled);
        head->setFirstColumnSpanned(true);
        head->setFont(0, titleFont());
        head->setExpanded(true);
        for (const workflow::MethodCard &card : cards) {
            if (card.paradigm != paradigm)
                continue;
            auto *item = new QTreeWidgetItem(head, {qString(card.title), QString::number(card.sweeps)});
            item->setData(0, Qt::UserRole, qString(card.id));
            item->setToolTip(0, qString(card.summary));
            item->setTextAlignment(1, Qt::AlignRight | Qt::AlignVCenter);
        }
    }
    list->expandAll();
}

QTreeWidgetItem *methodItem(QTreeWidget *list, const QString &id)
{
    for (int i = 0; i < list->topLevelItemCount(); ++i) {
        QTreeWidgetItem *head = list->topLevelItem(i);
        for (int j = 0; j < head->childCount(); ++j) {
            if (head->child(j)->data(0, Qt::UserRole).toString() == id)
                return head->child(j);
        }
    }
    return nullptr;
}

MethodCardText cardText(const workflow::MethodCard &card)
{
    return {.title = qString(card.title),
            .paradigm = qString(card.paradigm),
            .summary = qString(card.summary),
            .formula = card.formula == "none" ? QString() : qString(card.formula),
            .paper = qString(card.paper),
            .sweeps = QString::number(card.sweeps),
            .needs = qString(card.needs)};
}

void setUpPlanTable(QTableView *table)
{
    table->setFrameShape(QFrame::NoFrame);
    table->setShowGrid(false);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setWordWrap(false);
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(24);
    table->horizontalHeader()->setHighlightSections(false);
    table->horizontalHeader()->setStretchLastSection(true);
    auto *copy = new QShortcut(QKeySequence::Copy, table);
    copy->setContext(Qt::WidgetShortcut);
    QObject::connect(copy, &QShortcut::activated, table, [table] { copyTableSelection(table); });
}

void copyTableSelection(const QTableView *table)
{
    QModelIndexList rows = table->selectionModel()->selectedRows();
    std::sort(rows.begin(), rows.end());
    QStringList lines;
    for (const QModelIndex &row : rows) {
        QStringList cells;
        for (int column = 0; column < table->model()->columnCount(); ++column)
            cells.append(row.siblingAtColumn(column).data().toString());
        lines.append(cells.join(u'\t'));
    }
    if (!lines.isEmpty())
        QGuiApplication::clipboard()->setText(lines.join(u'\n'));
}

void showRemovedUnits(QWidget *parent, const UnitSet &removed)
{
    QStringList lines;
    if (!removed.blocks.empty())
        lines.append(planText(QT_TRANSLATE_NOOP("PlanPage", "blocks %1")).arg(qString(describeBlocks(removed.blocks))));
    for (const auto &[block, groups] : removed.kvGroups)
        lines.append(
            planText(QT_TRANSLATE_NOOP("PlanPage", "block %1, KV groups %2")).arg(block).arg(compactRange(groups)));
    for (const auto &[block, channels] : removed.ffnChannels)
        lines.append(
            planText(QT_TRANSLATE_NOOP("PlanPage", "block %1, channels %2")).arg(block).arg(compactRange(channels)));
    auto *dialog = new QDialog(parent);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setWindowTitle(planText(QT_TRANSLATE_NOOP("PlanPage", "Units that go")));
    dialog->resize(520, 360);
    auto *layout = new QVBoxLayout(dialog);
    auto *text = new QPlainTextEdit(lines.join(u'\n'), dialog);
    text->setReadOnly(true);
    layout->addWidget(text);
    auto *buttons = new QDialogButtonBox(QDialogButtonBox::Close, dialog);
    QObject::connect(buttons, &QDialogButtonBox::rejected, dialog, &QDialog::close);
    layout->addWidget(buttons);
    dialog->open();
}

} // namespace secateur
