#pragma once

#include "backend/core/eval_report.h"

#include <QWidget>

#include <memory>
#include <vector>

namespace secateur {

/// Accuracy of up to four models side by side, one group of bars per task, with 95 % intervals. Qt Charts.
/// Fill = state (dense solid, pruned hatched, recovered light tint with outline).
class AccuracyChart : public QWidget {
    Q_OBJECT
public:
    explicit AccuracyChart(QWidget *parent = nullptr);
    ~AccuracyChart() override;

    /// The first four reports are drawn. Empty: an empty state with a sentence.
    void setReports(const std::vector<EvaluationReportPtr> &reports);
    /// Text of the panel title: "Accuracy by task · n = 40, 95 % Wilson".
    QString title() const;
    QImage render(const QSize &size) const; ///< with title and legend, light colours, for export

protected:
    void resizeEvent(QResizeEvent *event) override;

private:
    struct Private;
    std::unique_ptr<Private> m_private;
};

} // namespace secateur
