#include "app/pages/twin_panel.h"

#include "widgets/controls/banner.h"
#include "widgets/heatmap/heatmap_panel.h"
#include "widgets/theme/theme.h"

#include <QComboBox>
#include <QEvent>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QPromise>
#include <QPushButton>
#include <QThreadPool>
#include <QTimer>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace secateur {

namespace {

constexpr int kFlickerMs = 250; // both maps twice a second

QString joined(const QStringList &parts)
{
    QStringList filled = parts;
    filled.removeAll(QString());
    return filled.join(QStringLiteral(" · "));
}

MetricMapPtr titled(const MetricMapPtr &map, const QString &title)
{
    MetricMap copy = *map;
    copy.title = title.toStdString();
    return std::make_shared<const MetricMap>(std::move(copy));
}

} // namespace

TwinPanel::TwinPanel(QWidget *parent)
    : QWidget(parent),
      m_head(new QWidget(this)),
      m_sides(new QHBoxLayout),
      m_flicker(new QPushButton(tr("Flicker (hold F)"), m_head)),
      m_scale(new QComboBox(m_head)),
      m_panel(new HeatmapPanel(this)),
      m_other(new HeatmapPanel(this)),
      m_statement(new Banner(Banner::Kind::Notice, this)),
      m_flickerTimer(new QTimer(this))
{
    setBackgroundRole(QPalette::Base);
    setAutoFillBackground(true);
    auto *head = new QHBoxLayout(m_head);
    head->setContentsMargins(12, 6, 12, 0);
    auto *label = new QLabel(tr("Normalise"), m_head);
    label->setBuddy(m_scale);
    setSecondary(label);
    m_scale->addItem(tr("per model"), int(TwinScale::PerModel));
    m_scale->addItem(tr("per block"), int(TwinScale::PerBlock));
    m_scale->addItem(tr("raw"), int(TwinScale::Raw));
    m_scale->setAccessibleName(tr("Normalise"));
    m_scale->setToolTip(
        tr("What scores are divided by before the difference: the mean magnitude in the model or in the "
           "block, or nothing"));
    m_flicker->setToolTip(tr("Shows the two maps in turn while it is held"));
    m_flicker->setAutoDefault(false);
    head->addWidget(label);
    head->addWidget(m_scale);
    head->addWidget(m_flicker);
    head->addStretch(1);
    m_sides->setContentsMargins(0, 0, 0, 0);
    m_sides->setSpacing(0);
    m_sides->addWidget(m_panel, 1);
    m_sides->addWidget(m_other, 1);
    m_panel->setMinimumWidth(195); // without its colour bar beside the other
    m_other->setMinimumWidth(290);
    m_statement->setBoxed(true);
    m_statement->setClosable(false);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addWidget(m_head);
    layout->addLayout(m_sides, 1);

    HeatmapView *view = m_panel->view();
    HeatmapView *other = m_other->view();
    connect(view, &HeatmapView::cellHovered, other, &HeatmapView::setLinkedCell);
    connect(other, &HeatmapView::cellHovered, view, &HeatmapView::setLinkedCell);
    const auto follow = [this](HeatmapView *follower, const QRectF &cells) {
        if (m_mode == TwinMode::Side && follower->visibleCells() != cells)
            follower->setVisibleCells(cells);
    };
    connect(view, &HeatmapView::visibleCellsChanged, this, [=](const QRectF &cells) { follow(other, cells); });
    connect(other, &HeatmapView::visibleCellsChanged, this, [=](const QRectF &cells) { follow(view, cells); });
    connect(m_other->colorBar(), &ColorBar::scaleChanged, this,
            [this](const ColorScale &scale) { m_panel->setRange(scale.low(), scale.high()); });
    connect(m_scale, &QComboBox::activated, this, &TwinPanel::compare);
    connect(&m_watcher, &QFutureWatcherBase::finished, this, [this] {
        if (m_watcher.future().resultCount() > 0)
            accept(m_watcher.result());
    });
    connect(m_flicker, &QPushButton::pressed, this, &TwinPanel::startFlicker);
    connect(m_flicker, &QPushButton::released, this, &TwinPanel::stopFlicker);
    m_flickerTimer->setInterval(kFlickerMs);
    connect(m_flickerTimer, &QTimer::timeout, this, [this] {
        m_showsSecond = !m_showsSecond;
        showTurn();
    });
    view->installEventFilter(this);
    setMode(TwinMode::Off);
}

void TwinPanel::setSelection(PruneSelection *selection)
{
    m_panel->setSelection(selection);
    m_other->setSelection(selection);
}

void TwinPanel::setScaling(ColorScale::Scaling scaling)
{
    m_scaling = scaling;
    m_panel->setScaling(scaling);
    m_other->setScaling(scaling);
    shareRange();
    clipOutliers();
}

void TwinPanel::setMode(TwinMode mode)
{
    m_flickerTimer->stop();
    m_mode = mode;
    m_head->setVisible(mode == TwinMode::Difference);
    m_statement->setVisible(mode == TwinMode::Difference);
    m_other->setVisible(mode == TwinMode::Side);
    m_panel->setColorBarShown(mode != TwinMode::Side);
    if (mode != TwinMode::Difference) {
        m_watcher.setFuture({});
        m_comparison.reset();
        m_panel->setRowValues({}, {});
    }
    if (mode != TwinMode::Side)
        m_other->setMap(nullptr, {});
}

void TwinPanel::showOne(const Side &own)
{
    setMode(TwinMode::Off);
    m_panel->setMap(own.map, own.details);
}

void TwinPanel::showSides(const Side &own, const Side &twin)
{
    setMode(TwinMode::Side);
    m_panel->setMap(titled(own.map, own.name), own.details);
    m_other->setMap(titled(twin.map, twin.name), twin.details);
    shareRange();
}

void TwinPanel::showDifference(const Side &first, const Side &second, const MetricMapPtr &firstInfluence,
                               const MetricMapPtr &secondInfluence)
{
    const bool sameKind = m_mode == TwinMode::Difference && m_first.map && m_first.map->group == first.map->group;
    setMode(TwinMode::Difference);
    m_first = first;
    m_second = second;
    m_firstInfluence = firstInfluence;
    m_secondInfluence = secondInfluence;
    if (!sameKind)
        m_scale->setCurrentIndex(m_scale->findData(int(usualTwinScale(*first.map))));
    compare();
}

/// A large map has millions of ranks: they are sorted in a thread of the pool, not in that of the computing jobs, which
/// may be busy for hours. A newer request drops the result of an older one.
void TwinPanel::compare()
{
    if (m_mode != TwinMode::Difference)
        return;
    const auto promise = std::make_shared<QPromise<Comparisons>>();
    m_watcher.setFuture(promise->future());
    promise->start();
    QThreadPool::globalInstance()->start([promise, first = m_first.map, second = m_second.map,
                                          firstInfluence = m_firstInfluence, secondInfluence = m_secondInfluence,
                                          title = tr("%1 − %2").arg(m_first.name, m_second.name),
                                          scale = TwinScale(m_scale->currentData().toInt())] {
        try {
            Comparisons result;
            result.shown = compareTwinMap(*first, *second, scale);
            result.shown.difference = titled(result.shown.difference, title);
            if (firstInfluence && secondInfluence)
                result.influence = compareTwinMap(*firstInfluence, *secondInfluence, TwinScale::Raw);
            promise->addResult(std::move(result));
        } catch (const std::bad_alloc &) {
            // without a result the map stays as it was
        }
        promise->finish();
    });
}

void TwinPanel::accept(const Comparisons &comparisons)
{
    if (m_mode != TwinMode::Difference)
        return;
    m_comparison = comparisons.shown;
    const TwinStatement statement = twinStatement(comparisons.influence ? &*comparisons.influence : nullptr,
                                                  comparisons.shown, m_first.name, m_second.name);
    m_statement->setText(statement.sentence, statement.evidence);
    if (!m_flickerTimer->isActive())
        drawDifference();
    Q_EMIT differenceChanged();
}

void TwinPanel::drawDifference()
{
    const bool isRaw = TwinScale(m_scale->currentData().toInt()) == TwinScale::Raw;
    const QString data = m_first.details == m_second.details ? m_first.details
                                                             : tr("%1 and %2").arg(m_first.details, m_second.details);
    m_panel->setMap(m_comparison->difference,
                    joined({isRaw ? QString() : tr("relative, %1").arg(m_scale->currentText()), data}));
    clipOutliers();
    m_panel->setRowValues(tr("ρ per block"), m_comparison->rowRho);
}

/// A few channels can differ a hundred times as much as all others, which then are one grey: the range ends at the
/// 99.5th percentile of the magnitudes when that is less than half of the largest. The colour bar counts what is
/// clipped.
void TwinPanel::clipOutliers()
{
    if (m_mode != TwinMode::Difference || !m_comparison || m_scaling != ColorScale::Scaling::Linear)
        return;
    std::vector<float> magnitudes;
    for (const float value : m_comparison->difference->values)
        if (std::isfinite(value))
            magnitudes.push_back(std::abs(value));
    if (magnitudes.empty())
        return;
    const auto at
        = magnitudes.begin() + static_cast<std::ptrdiff_t>(0.995 * static_cast<double>(magnitudes.size() - 1));
    std::nth_element(magnitudes.begin(), at, magnitudes.end());
    const float limit = *at;
    const float largest = *std::max_element(at, magnitudes.end());
    if (limit > 0 && limit < 0.5F * largest)
        m_panel->setRange(-limit, limit);
}

/// Two maps side by side are compared by colour: they need one range.
void TwinPanel::shareRange()
{
    if (m_mode != TwinMode::Side || m_scaling == ColorScale::Scaling::Percentile)
        return;
    const ColorScale &one = m_panel->view()->colorScale();
    const ColorScale &two = m_other->view()->colorScale();
    const float low = std::min(one.low(), two.low());
    const float high = std::max(one.high(), two.high());
    m_panel->setRange(low, high);
    m_other->setRange(low, high);
}

void TwinPanel::startFlicker()
{
    if (m_mode != TwinMode::Difference || !m_comparison || m_flickerTimer->isActive())
        return;
    m_panel->setRowValues({}, {});
    m_turns = {titled(m_first.map, m_first.name), titled(m_second.map, m_second.name)};
    m_showsSecond = false;
    showTurn();
    m_flickerTimer->start();
}

void TwinPanel::stopFlicker()
{
    if (!m_flickerTimer->isActive())
        return;
    m_flickerTimer->stop();
    m_turns = {};
    if (m_comparison)
        drawDifference();
}

void TwinPanel::showTurn()
{
    m_panel->setMap(m_turns[m_showsSecond], m_showsSecond ? m_second.details : m_first.details);
    if (m_scaling == ColorScale::Scaling::Percentile)
        return;
    const ValueRange first = finiteRange(*m_turns[0]);
    const ValueRange second = finiteRange(*m_turns[1]);
    m_panel->setRange(std::min(first.low, second.low), std::max(first.high, second.high));
}

/// Both maps are as wide, though the colour bar stands at the right one.
void TwinPanel::resizeEvent(QResizeEvent *event)
{
    QWidget::resizeEvent(event);
    const int bar = m_other->colorBar()->sizeHint().width();
    m_sides->setStretch(0, std::max(1, width() - bar));
    m_sides->setStretch(1, width() + bar);
}

bool TwinPanel::eventFilter(QObject *watched, QEvent *event)
{
    const bool isKey = event->type() == QEvent::KeyPress || event->type() == QEvent::KeyRelease;
    if (isKey && m_mode == TwinMode::Difference) {
        auto *key = static_cast<QKeyEvent *>(event);
        if (key->key() == Qt::Key_F && key->modifiers() == Qt::NoModifier) {
            if (!key->isAutoRepeat())
                event->type() == QEvent::KeyPress ? startFlicker() : stopFlicker();
            return true;
        }
    }
    if (event->type() == QEvent::FocusOut)
        stopFlicker();
    return QWidget::eventFilter(watched, event);
}

} // namespace secateur
