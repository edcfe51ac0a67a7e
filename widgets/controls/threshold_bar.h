#pragma once

#include "backend/core/metric_map.h"
#include "widgets/models/prune_selection.h"

#include <QWidget>

#include <memory>
#include <optional>

namespace secateur {

/// "Threshold" slider and field with log steps: selects every unit of the map below it, leaves locked units out, says
/// how many; × removes the threshold and keeps the selection.
class ThresholdBar : public QWidget {
    Q_OBJECT
public:
    explicit ThresholdBar(QWidget *parent = nullptr);
    ~ThresholdBar() override;

    void setSelection(PruneSelection *selection);
    /// A map with one score per unit; others switch the bar off.
    void setMap(const MetricMapPtr &map);
    std::optional<double> threshold() const;
    void setThreshold(std::optional<double> threshold);
    void focusField();
    QString countText() const; ///< "3 of 30 blocks"

Q_SIGNALS:
    void thresholdChanged(std::optional<double> threshold);

private:
    struct Private;
    std::unique_ptr<Private> d;

    void readField();
    void showThreshold();
};

} // namespace secateur
