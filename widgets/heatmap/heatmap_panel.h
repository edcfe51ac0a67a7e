#pragma once

#include "widgets/heatmap/color_bar.h"
#include "widgets/heatmap/heatmap_view.h"

#include <QWidget>

#include <memory>
#include <vector>

namespace secateur {

/// Title line, heatmap and colour bar, connected: what a page puts in its centre.
class HeatmapPanel : public QWidget {
    Q_OBJECT
public:
    explicit HeatmapPanel(QWidget *parent = nullptr);
    ~HeatmapPanel() override;

    HeatmapView *view() const;
    ColorBar *colorBar() const;

    /// \a details follows the map's title in secondary text: "16 × 256 tokens". What is clipped is added by the panel.
    void setMap(const MetricMapPtr &map, const QString &details);
    void setSelection(PruneSelection *selection);
    void setScaling(ColorScale::Scaling scaling);
    /// Without its bar, where another panel beside it has the same one.
    void setColorBarShown(bool shown);
    /// The same range for two maps side by side.
    void setRange(float low, float high);
    /// A number −1…1 for each row, right of the colour bar; empty: none.
    void setRowValues(const QString &title, const std::vector<double> &values);
    QString titleText() const; ///< "Cosine between hidden states · 16 × 256 tokens · min −0.03, drawn as 0"

protected:
    void resizeEvent(QResizeEvent *event) override;
    void changeEvent(QEvent *event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;

    void arrange();
    void applyScale(const ColorScale &scale);
};

} // namespace secateur
