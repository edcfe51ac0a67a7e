#include "app/dialogs/evaluate_dialog.h"

#include "app/dialogs/dialog_parts.h"
#include "widgets/theme/theme.h"

#include <QCheckBox>
#include <QFormLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPushButton>
#include <QSpinBox>
#include <QTreeWidget>
#include <QVBoxLayout>

#include <algorithm>

namespace secateur {

namespace {

constexpr int kNeedsDataRole = Qt::UserRole + 1;
enum Column { Task, ScoredBy, Items, Data };

} // namespace

EvaluateDialog::EvaluateDialog(const EvaluationChoice &start, const std::vector<TaskChoice> &tasks,
                               const std::vector<SubjectChoice> &subjects, UserPrompts &prompts, QWidget *parent)
    : QDialog(parent)
{
    setWindowTitle(tr("Evaluate"));
    resize(640, 560);
    auto *outer = dialogLayout(this);

    outer->addWidget(sectionLabel(tr("Tasks"), this));
    m_tasks = new QTreeWidget(this);
    m_tasks->setAccessibleName(tr("Tasks"));
    m_tasks->setHeaderLabels({tr("Task"), tr("Scored by"), tr("Items"), tr("Data")});
    m_tasks->header()->setStretchLastSection(true);
    m_tasks->setRootIsDecorated(false);
    fillTasks(start, tasks);
    outer->addWidget(m_tasks, 3);

    auto *folderRow = new QHBoxLayout;
    m_folder = new QLineEdit(start.dataFolder, this);
    m_folder->setPlaceholderText(tr("Folder with piqa/, gsm8k/ …; the demonstration tasks need none"));
    m_folder->setAccessibleName(tr("Data folder"));
    auto *browse = new QPushButton(tr("Choose…"), this);
    browse->setAutoDefault(false);
    folderRow->addWidget(new QLabel(tr("Data folder"), this));
    folderRow->addWidget(m_folder, 1);
    folderRow->addWidget(browse);
    outer->addLayout(folderRow);

    outer->addWidget(sectionLabel(tr("Models"), this));
    m_subjects = new QListWidget(this);
    m_subjects->setAccessibleName(tr("Models"));
    for (const SubjectChoice &subject : subjects) {
        auto *item = new QListWidgetItem(subject.name, m_subjects);
        item->setData(Qt::UserRole, subject.id);
        if (subject.id == u"dense") {
            // A pruned number is never shown without the dense one beside it.
            item->setFlags(Qt::ItemIsSelectable);
            item->setCheckState(Qt::Checked);
            item->setToolTip(tr("The dense baseline is measured under the same protocol; samples that are "
                                "already there are not run again"));
            continue;
        }
        item->setFlags(Qt::ItemIsEnabled | Qt::ItemIsUserCheckable | Qt::ItemIsSelectable);
        item->setCheckState(subject.checked ? Qt::Checked : Qt::Unchecked);
    }
    outer->addWidget(m_subjects, 2);

    outer->addWidget(sectionLabel(tr("Protocol"), this));
    auto *form = dialogForm(outer);
    m_limit = dialogSpin(this, 0, 1'000'000, static_cast<int>(start.options.limit), tr("Items per task"));
    m_limit->setSpecialValueText(tr("all"));
    form->addRow(tr("Items per task"), m_limit);
    m_cap = dialogSpin(this, 1, 131072, start.options.maxNewTokens, tr("Cap on new tokens"));
    m_cap->setToolTip(tr("Answers that reach the cap are counted and shown beside the accuracy"));
    form->addRow(tr("Cap on new tokens"), m_cap);
    m_seed = dialogSpin(this, 0, 1'000'000'000, static_cast<int>(start.options.seed), tr("Seed"));
    form->addRow(tr("Seed"), m_seed);
    m_chat = new QCheckBox(tr("Generation tasks go through the chat template"), this);
    m_chat->setChecked(start.options.chat);
    form->addRow(QString(), m_chat);
    m_warning = new QLabel(this);
    m_warning->setWordWrap(true);
    setSecondary(m_warning);
    outer->addWidget(m_warning);
    m_accept = dialogButtons(this, outer, tr("Evaluate"));

    connect(browse, &QPushButton::clicked, this, [this, &prompts] {
        const QString folder = prompts.openFolder(tr("Choose the data folder"), m_folder->text());
        if (!folder.isEmpty())
            m_folder->setText(folder);
    });
    connect(m_folder, &QLineEdit::textChanged, this, [this] {
        for (int i = 0; i < m_tasks->topLevelItemCount(); ++i) {
            QTreeWidgetItem *item = m_tasks->topLevelItem(i);
            if (item->data(0, kNeedsDataRole).toBool())
                item->setText(Data, tr("looked for in the data folder when it runs"));
        }
    });
    connect(m_tasks, &QTreeWidget::itemChanged, this, &EvaluateDialog::check);
    connect(m_limit, &QSpinBox::valueChanged, this, &EvaluateDialog::check);
    check();
}

void EvaluateDialog::fillTasks(const EvaluationChoice &start, const std::vector<TaskChoice> &tasks)
{
    const auto &chosen = start.options.tasks;
    for (const TaskChoice &task : tasks) {
        auto *item = new QTreeWidgetItem(m_tasks);
        item->setText(Task, task.title);
        item->setText(ScoredBy, task.kind);
        item->setText(Data, task.missing.isEmpty() ? tr("available") : tr("not available: %1").arg(task.missing));
        item->setToolTip(Data, item->text(Data));
        const auto limit = start.options.limits.find(task.id);
        auto *items = dialogSpin(m_tasks, 0, 1'000'000,
                                 limit == start.options.limits.end() ? 0 : static_cast<int>(limit->second),
                                 tr("Items of %1").arg(task.title));
        items->setSpecialValueText(tr("as below"));
        items->setToolTip(tr("How many items of this task; “as below” takes the number for all tasks"));
        connect(items, &QSpinBox::valueChanged, this, &EvaluateDialog::check);
        m_tasks->setItemWidget(item, Items, items);
        item->setData(0, kNeedsDataRole, !task.missing.isEmpty());
        item->setData(0, Qt::UserRole, QString::fromStdString(task.id));
        const bool isChosen = std::find(chosen.begin(), chosen.end(), task.id) != chosen.end();
        item->setCheckState(0, isChosen || (chosen.empty() && task.suggested) ? Qt::Checked : Qt::Unchecked);
    }
    for (const int column : {Task, ScoredBy, Items})
        m_tasks->resizeColumnToContents(column);
}

void EvaluateDialog::check()
{
    const EvaluationOptions options = choice().options;
    m_accept->setEnabled(!options.tasks.empty());
    std::int64_t fewest = 0; // 0: every task runs whole
    for (const std::string &task : options.tasks) {
        const std::int64_t items = options.rowsOf(task);
        if (items > 0 && (fewest == 0 || items < fewest))
            fewest = items;
    }
    if (options.tasks.empty())
        m_warning->setText(tr("Choose at least one task."));
    else if (fewest > 0 && fewest < 30)
        m_warning->setText(tr("With %n item(s) per task the 95 % interval is wide; small differences cannot be told "
                              "from chance.",
                              nullptr, static_cast<int>(fewest)));
    else
        m_warning->setText({});
}

EvaluationChoice EvaluateDialog::choice() const
{
    EvaluationChoice choice;
    for (int i = 0; i < m_tasks->topLevelItemCount(); ++i) {
        const QTreeWidgetItem *item = m_tasks->topLevelItem(i);
        if (item->checkState(0) != Qt::Checked)
            continue;
        const std::string task = item->data(0, Qt::UserRole).toString().toStdString();
        choice.options.tasks.push_back(task);
        const auto *items = qobject_cast<const QSpinBox *>(m_tasks->itemWidget(m_tasks->topLevelItem(i), Items));
        if (items && items->value() > 0)
            choice.options.limits[task] = items->value();
    }
    for (int i = 0; i < m_subjects->count(); ++i) {
        const QListWidgetItem *item = m_subjects->item(i);
        if (item->checkState() == Qt::Checked)
            choice.subjects.append(item->data(Qt::UserRole).toString());
    }
    choice.options.limit = m_limit->value();
    choice.options.maxNewTokens = m_cap->value();
    choice.options.seed = static_cast<std::uint64_t>(m_seed->value());
    choice.options.chat = m_chat->isChecked();
    choice.dataFolder = m_folder->text().trimmed();
    return choice;
}

} // namespace secateur
