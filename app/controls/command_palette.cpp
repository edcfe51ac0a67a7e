#include "app/controls/command_palette.h"

#include "app/window_actions.h"
#include "widgets/theme/theme.h"

#include <QAction>
#include <QKeyEvent>
#include <QLineEdit>
#include <QListWidget>
#include <QPainter>
#include <QStyledItemDelegate>
#include <QVBoxLayout>

#include <algorithm>

namespace secateur {

namespace {

constexpr int kShortcutRole = Qt::UserRole + 1;
constexpr int kReasonRole = Qt::UserRole + 2;
constexpr int kActionRole = Qt::UserRole + 3;

/// Name at the left, shortcut at the right, the reason of an action that is off below.
class PaletteDelegate : public QStyledItemDelegate {
public:
    using QStyledItemDelegate::QStyledItemDelegate;

    void paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const override
    {
        const ThemeColors &colors = themeColors(option.palette);
        painter->save();
        if (option.state & QStyle::State_Selected) {
            painter->fillRect(option.rect, colors.accentTint);
            painter->fillRect(QRect(option.rect.topLeft(), QSize(3, option.rect.height())), colors.accent);
        }
        const QString reason = index.data(kReasonRole).toString();
        QRect line = option.rect.adjusted(12, 0, -12, 0);
        if (!reason.isEmpty())
            line.setHeight(option.rect.height() / 2 + 2);
        painter->setFont(option.font);
        painter->setPen(reason.isEmpty() ? colors.text : colors.disabledText);
        painter->drawText(line, Qt::AlignLeft | Qt::AlignVCenter, index.data(Qt::DisplayRole).toString());
        painter->setFont(secondaryFont());
        painter->setPen(colors.secondaryText);
        painter->drawText(line, Qt::AlignRight | Qt::AlignVCenter, index.data(kShortcutRole).toString());
        if (!reason.isEmpty()) {
            const QRect below(line.left(), line.bottom() - 2, line.width(), option.rect.bottom() - line.bottom());
            painter->drawText(below, Qt::AlignLeft | Qt::AlignVCenter,
                              painter->fontMetrics().elidedText(reason, Qt::ElideRight, below.width()));
        }
        painter->restore();
    }

    QSize sizeHint(const QStyleOptionViewItem &option, const QModelIndex &index) const override
    {
        const int lines = index.data(kReasonRole).toString().isEmpty() ? 1 : 2;
        return {200, option.fontMetrics.height() * lines + 10};
    }
};

} // namespace

CommandPalette::CommandPalette(QWidget *parent)
    : QDialog(parent, Qt::Popup), m_filter(new QLineEdit(this)), m_list(new QListWidget(this))
{
    setAccessibleName(tr("Commands"));
    resize(560, 420);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(8, 8, 8, 8);
    layout->setSpacing(8);
    m_filter->setPlaceholderText(tr("Type a command"));
    m_filter->setAccessibleName(tr("Find a command"));
    m_list->setItemDelegate(new PaletteDelegate(m_list));
    m_list->setAccessibleName(tr("Commands"));
    m_list->setFocusPolicy(Qt::NoFocus);
    m_list->setFrameShape(QFrame::NoFrame);
    layout->addWidget(m_filter);
    layout->addWidget(m_list, 1);
    m_filter->installEventFilter(this);
    connect(m_filter, &QLineEdit::textChanged, this, &CommandPalette::refill);
    connect(m_filter, &QLineEdit::returnPressed, this, &CommandPalette::run);
    connect(m_list, &QListWidget::itemClicked, this, &CommandPalette::run);
}

void CommandPalette::setActions(const QList<QAction *> &actions)
{
    m_actions = actions;
}

void CommandPalette::open()
{
    m_filter->clear();
    refill();
    if (const QWidget *window = parentWidget()) {
        const QPoint top = window->mapToGlobal(QPoint((window->width() - width()) / 2, 64));
        move(top);
    }
    show();
    m_filter->setFocus();
}

bool CommandPalette::eventFilter(QObject *watched, QEvent *event)
{
    if (watched == m_filter && event->type() == QEvent::KeyPress) {
        const int key = static_cast<QKeyEvent *>(event)->key();
        const int row = m_list->currentRow();
        if (key == Qt::Key_Down || key == Qt::Key_Up) {
            m_list->setCurrentRow(qBound(0, row + (key == Qt::Key_Down ? 1 : -1), m_list->count() - 1));
            return true;
        }
    }
    return QDialog::eventFilter(watched, event);
}

void CommandPalette::refill()
{
    m_list->clear();
    const QStringList words = m_filter->text().split(u' ', Qt::SkipEmptyParts);
    for (QAction *action : m_actions) {
        const QString name = commandName(action);
        const bool matches = std::all_of(words.begin(), words.end(),
                                         [&](const QString &word) { return name.contains(word, Qt::CaseInsensitive); });
        if (!matches)
            continue;
        auto *item = new QListWidgetItem(name, m_list);
        item->setData(kShortcutRole, action->shortcut().toString(QKeySequence::NativeText));
        item->setData(kReasonRole, action->isEnabled() ? QString() : offReason(action));
        item->setData(kActionRole, QVariant::fromValue(action));
    }
    m_list->setCurrentRow(0);
}

void CommandPalette::run()
{
    const QListWidgetItem *item = m_list->currentItem();
    if (!item)
        return;
    auto *action = item->data(kActionRole).value<QAction *>();
    if (!action->isEnabled())
        return;
    hide();
    // After the popup is gone: the action may open a dialog.
    QMetaObject::invokeMethod(action, &QAction::trigger, Qt::QueuedConnection);
}

} // namespace secateur
