#pragma once

#include "backend/core/eval_report.h"

#include <QWidget>

#include <memory>
#include <vector>

namespace secateur {

/// Lengths of generated outputs in tokens, side by side for up to four models. Qt Charts: box plot (5, 25, 50, 75, 95
/// %), censored outputs (token cap reached) counted beside each box, or survival curves (Kaplan–Meier, + = censored).
/// The length is the trace when any sample has one, else the answer; the axis says which.
class TraceLengthChart : public QWidget {
    Q_OBJECT
public:
    enum class Mode { Box, Survival };
    explicit TraceLengthChart(QWidget *parent = nullptr);
    ~TraceLengthChart() override;

    void setReports(const std::vector<EvaluationReportPtr> &reports);
    void setMode(Mode mode);
    Mode mode() const;
    QImage render(const QSize &size) const;

private:
    struct Private;
    std::unique_ptr<Private> m_private;
};

} // namespace secateur
