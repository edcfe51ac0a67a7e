#include "widgets/controls/segmented_control.h"

#include "widgets/theme/theme.h"

#include <QAbstractButton>
#include <QButtonGroup>
#include <QFontMetrics>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QPainter>

#include <vector>

namespace secateur {

namespace {

/// One part: joined to its neighbours by a shared 1-px line, accent line below when chosen.
class SegmentButton : public QAbstractButton {
public:
    SegmentButton(const QString &text, bool isFirst, QWidget *parent) : QAbstractButton(parent), m_isFirst(isFirst)
    {
        setText(text);
        setCheckable(true);
        setAttribute(Qt::WA_Hover);
        setFocusPolicy(Qt::TabFocus);
    }
    QSize sizeHint() const override
    {
        QFont bold = font();
        bold.setWeight(QFont::DemiBold);
        const QFontMetrics metrics(bold);
        return QSize(metrics.horizontalAdvance(text()) + 18, std::max(24, metrics.height() + 6));
    }

protected:
    void paintEvent(QPaintEvent *) override
    {
        const ThemeColors &colors = themeColors(this);
        QPainter painter(this);
        const QColor fill = isChecked() ? colors.accentTint : isEnabled() ? colors.button : colors.window;
        painter.fillRect(rect(), fill);
        if (!isChecked() && isEnabled() && underMouse()) {
            QColor veil = colors.text;
            veil.setAlphaF(0.05F);
            painter.fillRect(rect(), veil);
        }
        painter.setPen(colors.line);
        painter.drawRect(rect().adjusted(m_isFirst ? 0 : -1, 0, -1, -1)); // neighbours share one line
        if (isChecked())
            painter.fillRect(QRect(0, height() - 2, width(), 2), colors.accent);
        QFont font = painter.font();
        font.setWeight(isChecked() ? QFont::DemiBold : QFont::Normal);
        painter.setFont(font);
        painter.setPen(!isEnabled() ? colors.disabledText : colors.text);
        painter.drawText(rect(), Qt::AlignCenter, text());
        if (hasFocus()) {
            painter.setPen(QPen(colors.accent, 2));
            painter.drawRect(rect().adjusted(1, 1, -1, -1));
        }
    }

private:
    bool m_isFirst;
};

} // namespace

struct SegmentedControl::Private {
    struct Segment {
        QString id;
        QAbstractButton *button;
    };
    QHBoxLayout *layout = nullptr;
    QButtonGroup *group = nullptr;
    std::vector<Segment> segments;

    QAbstractButton *buttonOf(const QString &id) const
    {
        for (const Segment &segment : segments) {
            if (segment.id == id)
                return segment.button;
        }
        return nullptr;
    }
};

SegmentedControl::SegmentedControl(QWidget *parent) : QWidget(parent), d(std::make_unique<Private>())
{
    d->layout = new QHBoxLayout(this);
    d->layout->setContentsMargins(0, 0, 0, 0);
    d->layout->setSpacing(0);
    d->group = new QButtonGroup(this);
    d->group->setExclusive(true);
    setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
}

SegmentedControl::~SegmentedControl() = default;

void SegmentedControl::addSegment(const QString &id, const QString &text)
{
    auto *button = new SegmentButton(text, d->segments.empty(), this);
    d->layout->addWidget(button);
    d->group->addButton(button);
    d->segments.push_back({id, button});
    if (d->segments.size() == 1)
        button->setChecked(true);
    connect(button, &QAbstractButton::clicked, this, [this, id] { Q_EMIT currentChanged(id); });
}

void SegmentedControl::clear()
{
    for (const Private::Segment &segment : d->segments)
        delete segment.button;
    d->segments.clear();
    while (QLayoutItem *item = d->layout->takeAt(0))
        delete item;
}

QString SegmentedControl::currentId() const
{
    for (const Private::Segment &segment : d->segments) {
        if (segment.button->isChecked())
            return segment.id;
    }
    return {};
}

void SegmentedControl::setCurrentId(const QString &id)
{
    QAbstractButton *button = d->buttonOf(id);
    if (!button || button->isChecked())
        return;
    button->setChecked(true);
    Q_EMIT currentChanged(id);
}

void SegmentedControl::setSegmentEnabled(const QString &id, bool enabled, const QString &reason)
{
    if (QAbstractButton *button = d->buttonOf(id)) {
        button->setEnabled(enabled);
        button->setToolTip(enabled ? QString() : reason);
        button->setStatusTip(button->toolTip());
    }
}

QStringList SegmentedControl::ids() const
{
    QStringList ids;
    for (const Private::Segment &segment : d->segments)
        ids << segment.id;
    return ids;
}

void SegmentedControl::keyPressEvent(QKeyEvent *event)
{
    int current = -1;
    for (std::size_t index = 0; index < d->segments.size(); ++index) {
        if (d->segments[index].button->hasFocus())
            current = static_cast<int>(index);
    }
    const int step = event->key() == Qt::Key_Left ? -1 : event->key() == Qt::Key_Right ? 1 : 0;
    if (step == 0 || current < 0) {
        QWidget::keyPressEvent(event);
        return;
    }
    for (int index = current + step; index >= 0 && index < static_cast<int>(d->segments.size()); index += step) {
        const Private::Segment &segment = d->segments[static_cast<std::size_t>(index)];
        if (!segment.button->isEnabled())
            continue;
        segment.button->setFocus(Qt::OtherFocusReason);
        setCurrentId(segment.id);
        return;
    }
}

} // namespace secateur
