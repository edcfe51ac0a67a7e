#include "widgets/controls/read_out.h"

#include "widgets/controls/icon_label.h"
#include "widgets/heatmap/heatmap_view.h"
#include "widgets/theme/theme.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPainter>
#include <QPointer>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>
#include <vector>

namespace secateur {

namespace {

constexpr std::size_t kMostPins = 3;
constexpr int kReadOutLabelWidth = 124;

/// Rows "label, value" with faint lines, painted: it changes with every move of the pointer.
class ReadOutTable : public QWidget {
public:
    explicit ReadOutTable(QWidget *parent = nullptr) : QWidget(parent)
    {
        setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    }
    void setDescription(const CellDescription &text)
    {
        m_rows.clear();
        m_rows.push_back({text.statesLabel, text.states, false});
        if (!text.skipsLabel.isEmpty())
            m_rows.push_back({text.skipsLabel, text.skips, false});
        m_rows.push_back({text.valueLabel, text.value, true});
        m_rows.push_back({ReadOut::tr("Rank"), text.rank, false});
        m_rows.push_back({ReadOut::tr("State"), text.state, false});
        setAccessibleName(text.toText());
        updateGeometry();
        update();
    }
    QSize sizeHint() const override { return QSize(300, rowHeight() * static_cast<int>(m_rows.size())); }
    QSize minimumSizeHint() const override { return QSize(160, sizeHint().height()); }

protected:
    void paintEvent(QPaintEvent *) override
    {
        const ThemeColors &colors = themeColors(this);
        QPainter painter(this);
        const int labelWidth = std::min(kReadOutLabelWidth, width() * 2 / 5);
        for (std::size_t index = 0; index < m_rows.size(); ++index) {
            const Row &row = m_rows[index];
            const QRect line(0, static_cast<int>(index) * rowHeight(), width(), rowHeight());
            painter.fillRect(QRect(0, line.bottom(), width(), 1), colors.lineFaint);
            painter.setFont(font());
            painter.setPen(colors.secondaryText);
            painter.drawText(line.adjusted(8, 0, 0, 0), Qt::AlignLeft | Qt::AlignVCenter,
                             fontMetrics().elidedText(row.label, Qt::ElideRight, labelWidth - 8));
            QFont bold = font();
            if (row.isBold)
                bold.setWeight(QFont::DemiBold);
            painter.setFont(bold);
            painter.setPen(colors.text);
            const QRect place = line.adjusted(8 + labelWidth, 0, -8, 0);
            painter.drawText(place, Qt::AlignLeft | Qt::AlignVCenter,
                             QFontMetrics(bold).elidedText(row.value, Qt::ElideRight, place.width()));
        }
    }

private:
    struct Row {
        QString label, value;
        bool isBold;
    };
    std::vector<Row> m_rows;

    int rowHeight() const { return fontMetrics().height() + 8; }
};

} // namespace

struct ReadOut::Private {
    QPointer<HeatmapView> view;
    QPointer<PruneSelection> selection;
    QLabel *hint = nullptr;
    ReadOutTable *table = nullptr;
    QVBoxLayout *pinLayout = nullptr;
    HeatmapCell shown;
    struct Pin {
        HeatmapCell cell;
        MetricMapPtr map;
        QWidget *frame = nullptr;
        ReadOutTable *table = nullptr;
    };
    std::vector<Pin> pins;
};

ReadOut::ReadOut(QWidget *parent) : QWidget(parent), d(std::make_unique<Private>())
{
    setBackgroundRole(QPalette::Base);
    setAutoFillBackground(true);
    setAccessibleName(tr("Read-out"));
    auto *title = new QLabel(tr("Read-out"));
    title->setFont(titleFont());
    d->hint = new QLabel(tr("click to pin"));
    d->hint->setFont(secondaryFont());
    setSecondary(d->hint);
    auto *pinIcon = new IconLabel(14);
    pinIcon->setThemedIcon(QStringLiteral("pin"), IconColor::Secondary);
    auto *head = new QHBoxLayout;
    head->setContentsMargins(8, 6, 8, 6);
    head->setSpacing(4);
    head->addWidget(title, 1);
    head->addWidget(d->hint);
    head->addWidget(pinIcon);
    d->table = new ReadOutTable;
    d->pinLayout = new QVBoxLayout;
    d->pinLayout->setContentsMargins(0, 0, 0, 0);
    d->pinLayout->setSpacing(0);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addLayout(head);
    layout->addWidget(d->table);
    layout->addLayout(d->pinLayout);
    layout->addStretch(1);
    setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Maximum);
}

ReadOut::~ReadOut() = default;

void ReadOut::setView(HeatmapView *view)
{
    if (d->view)
        d->view->disconnect(this);
    d->view = view;
    if (view) {
        connect(view, &HeatmapView::cellHovered, this, [this](const HeatmapCell &cell) {
            if (!cell.isValid() && d->view) // the pointer left: back to the keyboard cursor, if there is one
                showCell(d->view->cursorCell().isValid() ? d->view->cursorCell() : d->shown);
            else
                showCell(cell);
        });
        connect(view, &HeatmapView::cursorMoved, this, &ReadOut::showCell);
        connect(view, &HeatmapView::cellClicked, this, &ReadOut::pinCell);
        connect(view, &HeatmapView::unpinRequested, this, &ReadOut::unpinLast);
        connect(view, &HeatmapView::mapChanged, this, [this] {
            d->shown = {};
            while (!d->pins.empty())
                unpinLast();
            refresh();
        });
    }
    refresh();
}

void ReadOut::showCell(HeatmapCell cell)
{
    d->shown = cell;
    refresh();
}

void ReadOut::pinCell(HeatmapCell cell)
{
    if (!d->view || !d->view->map() || !cell.isValid())
        return;
    for (const Private::Pin &pin : d->pins) {
        if (pin.cell == cell)
            return;
    }
    if (d->pins.size() >= kMostPins) {
        delete d->pins.front().frame;
        d->pins.erase(d->pins.begin());
    }
    Private::Pin pin;
    pin.cell = cell;
    pin.map = d->view->map();
    pin.frame = new QWidget;
    auto *layout = new QVBoxLayout(pin.frame);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    auto *head = new QHBoxLayout;
    head->setContentsMargins(8, 4, 4, 2);
    auto *label = new QLabel(tr("Pinned"));
    label->setFont(secondaryFont());
    setSecondary(label);
    auto *close = new QToolButton;
    close->setAutoRaise(true);
    close->setIcon(themedIcon(QStringLiteral("close"), IconColor::Secondary));
    close->setIconSize(QSize(10, 10));
    close->setToolTip(tr("Unpin (P)"));
    close->setAccessibleName(tr("Unpin"));
    head->addWidget(label, 1);
    head->addWidget(close);
    layout->addLayout(head);
    pin.table = new ReadOutTable;
    layout->addWidget(pin.table);
    d->pinLayout->addWidget(pin.frame);
    QWidget *frame = pin.frame;
    connect(close, &QToolButton::clicked, this, [this, frame] {
        std::erase_if(d->pins, [frame](const Private::Pin &each) { return each.frame == frame; });
        frame->deleteLater();
        frame->hide();
    });
    d->pins.push_back(pin);
    refresh();
}

void ReadOut::unpinLast()
{
    if (d->pins.empty())
        return;
    delete d->pins.back().frame;
    d->pins.pop_back();
}

int ReadOut::pinCount() const
{
    return static_cast<int>(d->pins.size());
}

QString ReadOut::text() const
{
    if (!d->view || !d->view->map() || !d->shown.isValid())
        return {};
    return describeCell(*d->view->map(), d->view->ranks(), d->shown, d->view->selection()).toText();
}

void ReadOut::refresh()
{
    PruneSelection *selection = d->view ? d->view->selection() : nullptr;
    if (selection != d->selection) {
        if (d->selection)
            d->selection->disconnect(this);
        d->selection = selection;
        if (selection) {
            connect(selection, &PruneSelection::changed, this, &ReadOut::refresh);
            connect(selection, &PruneSelection::lockedChanged, this, &ReadOut::refresh);
        }
    }
    static const MetricMap kNoMap;
    const MetricMapPtr map = d->view ? d->view->map() : nullptr;
    const MapRanks none;
    d->table->setDescription(describeCell(map ? *map : kNoMap, map ? d->view->ranks() : none, d->shown, selection));
    for (const Private::Pin &pin : d->pins)
        pin.table->setDescription(describeCell(*pin.map, map ? d->view->ranks() : none, pin.cell, selection));
}

} // namespace secateur
