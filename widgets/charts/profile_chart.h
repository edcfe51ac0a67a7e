#pragma once

#include "backend/core/metric_map.h"
#include "widgets/models/prune_selection.h"

#include <QString>
#include <QWidget>

#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace secateur {

/// A line of the profile: one value per block, and the kind of model that colours it.
struct ProfileSeries {
    enum class Kind { Plain, Instruct, Think };
    QString name;
    std::vector<float> values; ///< NaN: a gap
    Kind kind = Kind::Plain;
};

/// Block profile under the map: title, threshold controls, and a line over the blocks with a log axis when the values
/// ask for it. Selected blocks are hatched squares, locked ones carry a lock. Linked to the map by the shared
/// selection.
class ProfileChart : public QWidget {
    Q_OBJECT
public:
    explicit ProfileChart(QWidget *parent = nullptr);
    ~ProfileChart() override;

    void setSelection(PruneSelection *selection);
    /// One column, rows = blocks. Null: an empty chart.
    void setMap(const MetricMapPtr &map);
    /// At most two lines; the first carries selection and threshold.
    void setSeries(const std::vector<ProfileSeries> &series, const QString &axisTitle);
    /// "Block influence", "1 − mean cosine of block input and output".
    void setTitle(const QString &title, const QString &description);
    /// The map that the threshold selects in, when it is not the profile itself (KV groups, channels).
    void setThresholdMap(const MetricMapPtr &map);

    std::optional<double> threshold() const;
    void setThreshold(std::optional<double> threshold); ///< selects everything below; nullopt keeps the selection
    void focusThreshold();
    /// Brushed blocks [first, last]; others are dimmed.
    std::optional<std::pair<int, int>> brush() const;
    void setBrush(std::optional<std::pair<int, int>> brush);
    void setLinkedBlocks(const std::set<int> &blocks); ///< outlined, e.g. under the pointer in the map

    QPointF pointOf(int block, int series = 0) const; ///< in this widget's coordinates
    QRect plotRect() const; ///< in this widget's coordinates
    QImage render(const QSize &size) const; ///< light theme, for export

Q_SIGNALS:
    void thresholdChanged(std::optional<double> threshold);
    void brushChanged();
    void blockHovered(int block); ///< −1: left

private:
    struct Private;
    std::unique_ptr<Private> d;
};

} // namespace secateur
