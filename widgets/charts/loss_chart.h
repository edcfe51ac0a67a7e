#pragma once

#include "backend/core/metric_feed.h"

#include <QWidget>

#include <memory>
#include <vector>

namespace secateur {

/// Training loss (left axis, nat/token) and learning rate (right axis, dotted) against the step, with Qt Charts.
/// Series are replaced, never appended point by point. Hover shows step, loss, rate and tokens/s.
class LossChart : public QWidget {
    Q_OBJECT
public:
    explicit LossChart(QWidget *parent = nullptr);
    ~LossChart() override;

    /// \a plannedSteps fixes the step axis; 0 = as many as there are points.
    void setPoints(const std::vector<TrainingPoint> &points, std::int64_t plannedSteps);
    void appendPoints(const std::vector<TrainingPoint> &points);
    const std::vector<TrainingPoint> &points() const;
    void clear();
    QImage render(const QSize &size) const; ///< light theme, for export

protected:
    bool eventFilter(QObject *watched, QEvent *event) override;

private:
    struct Private;
    std::unique_ptr<Private> m_private;
};

} // namespace secateur
