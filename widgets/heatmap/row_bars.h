#pragma once

#include <QString>
#include <QWidget>

#include <vector>

namespace secateur {

class HeatmapView;

/// One number with a bar for each row of a heatmap, level with the rows as they are zoomed: "ρ per block".
class RowBars : public QWidget {
    Q_OBJECT
public:
    explicit RowBars(HeatmapView *view, QWidget *parent = nullptr);

    /// Values −1…1, one per row; NaN is a dash. Empty: nothing to show.
    void setValues(const QString &title, std::vector<double> values);
    QSize sizeHint() const override;

protected:
    void paintEvent(QPaintEvent *event) override;
    bool event(QEvent *event) override;

private:
    HeatmapView *m_view;
    QString m_title;
    std::vector<double> m_values;

    int numberWidth() const;
    QRectF rowRect(int row) const;
};

} // namespace secateur
