#pragma once

#include "app/pages/twin_statement.h"
#include "widgets/heatmap/color_scale.h"
#include "widgets/models/prune_selection.h"

#include <QFutureWatcher>
#include <QWidget>

#include <array>
#include <optional>

class QComboBox;
class QHBoxLayout;
class QPushButton;
class QTimer;

namespace secateur {

class Banner;
class HeatmapPanel;

enum class TwinMode { Off, Side, Difference };

/// The map on view, and what the sibling adds to it: its own map beside it with one cursor and one range of colours, or
/// the difference with the statement of how alike the ranks are, which is computed beside the GUI thread.
class TwinPanel : public QWidget {
    Q_OBJECT
public:
    /// One model's map as it is shown.
    struct Side {
        QString name;
        QString details; ///< "16 × 256 tokens"
        MetricMapPtr map;
    };

    explicit TwinPanel(QWidget *parent = nullptr);

    HeatmapPanel *panel() const { return m_panel; } ///< the only one, or the left one
    HeatmapPanel *otherPanel() const { return m_other; }
    QComboBox *scaleBox() const { return m_scale; }
    /// In words, how alike the ranks are; shown with a difference. Its place is up to the page.
    Banner *statement() const { return m_statement; }
    void setSelection(PruneSelection *selection);
    void setScaling(ColorScale::Scaling scaling);

    /// The open model's map alone.
    void showOne(const Side &own);
    void showSides(const Side &own, const Side &twin);
    /// \a first − \a second, of one shape. The block influences are null when one model lacks them.
    void showDifference(const Side &first, const Side &second, const MetricMapPtr &firstInfluence,
                        const MetricMapPtr &secondInfluence);
    /// Of the map on view; nothing unless it is a difference.
    const std::optional<TwinComparison> &comparison() const { return m_comparison; }

Q_SIGNALS:
    void differenceChanged(); ///< the difference is there, or another one

protected:
    void resizeEvent(QResizeEvent *event) override;
    bool eventFilter(QObject *watched, QEvent *event) override;

private:
    struct Comparisons {
        TwinComparison shown;
        std::optional<TwinComparison> influence;
    };

    QWidget *m_head;
    QHBoxLayout *m_sides;
    QPushButton *m_flicker;
    QComboBox *m_scale;
    HeatmapPanel *m_panel;
    HeatmapPanel *m_other;
    Banner *m_statement;
    QTimer *m_flickerTimer;
    TwinMode m_mode = TwinMode::Off;
    ColorScale::Scaling m_scaling = ColorScale::Scaling::Linear;
    Side m_first, m_second;
    MetricMapPtr m_firstInfluence, m_secondInfluence;
    std::optional<TwinComparison> m_comparison;
    QFutureWatcher<Comparisons> m_watcher;
    std::array<MetricMapPtr, 2> m_turns; ///< what flickers, with the names as titles
    bool m_showsSecond = false;

    void setMode(TwinMode mode);
    void compare();
    void accept(const Comparisons &comparisons);
    void drawDifference();
    void clipOutliers();
    void shareRange();
    void startFlicker();
    void stopFlicker();
    void showTurn();
};

} // namespace secateur
