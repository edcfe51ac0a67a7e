#pragma once

#include "backend/core/metric_feed.h"

#include <QWidget>

#include <memory>
#include <vector>

class QComboBox;

namespace secateur {

/// Training loss and held-out loss (left axis, nat/token) against the step, with learning rate, speed or memory on the
/// right axis (dotted), with Qt Charts. Series are replaced, never appended point by point. The pointer shows all
/// values of its step.
class LossChart : public QWidget {
    Q_OBJECT
public:
    explicit LossChart(QWidget *parent = nullptr);
    ~LossChart() override;

    /// \a plannedSteps fixes the step axis; 0 = as many as there are points.
    void setPoints(const std::vector<TrainingPoint> &points, std::int64_t plannedSteps);
    void setHeldOut(const std::vector<HeldOutPoint> &points);
    /// Resident bytes of the process, one for each point; empty: not known.
    void setMemory(const std::vector<std::int64_t> &bytes);
    enum class RightAxis { Rate, Speed, Memory };
    void setRightAxis(RightAxis axis);
    /// A line at this step, as where a slider stands; −1: none.
    void setMarkedStep(std::int64_t step);
    QString hoverText(std::int64_t step) const; ///< the values of the point next to \a step
    QComboBox *rightAxisBox() const;
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
