#pragma once

#include "widgets/charts/profile_chart.h"

#include <QWidget>

#include <functional>

namespace secateur {

struct ThemeColors;

/// The plot of ProfileChart: axes, lines, markers, brush. Mouse and keyboard end in callbacks.
class ProfilePlot : public QWidget {
public:
    explicit ProfilePlot(QWidget *parent = nullptr);

    void setSelection(PruneSelection *selection) { m_selection = selection; }
    void setSeries(std::vector<ProfileSeries> series, const QString &axisTitle);
    const std::vector<ProfileSeries> &series() const { return m_series; }
    void setThreshold(std::optional<double> threshold);
    std::optional<std::pair<int, int>> brush() const { return m_brush; }
    void setBrush(std::optional<std::pair<int, int>> brush);
    void setLinkedBlocks(const std::set<int> &blocks);
    int blockCount() const;

    QRect plotRect() const { return plotIn(rect()); }
    QPointF pointOf(int block, int series) const;
    void paintInto(QPainter *painter, const QRect &area, const ThemeColors &colors) const;
    QSize sizeHint() const override { return QSize(600, 130); }
    QSize minimumSizeHint() const override { return QSize(200, m_series.size() > 1 ? 112 : 90); } // two: numbers above

    std::function<void(int)> blockHovered;
    std::function<void()> brushChanged;
    std::function<void(double)> thresholdDragged;

protected:
    void paintEvent(QPaintEvent *event) override;
    void mousePressEvent(QMouseEvent *event) override;
    void mouseMoveEvent(QMouseEvent *event) override;
    void mouseReleaseEvent(QMouseEvent *event) override;
    void leaveEvent(QEvent *event) override;
    void keyPressEvent(QKeyEvent *event) override;
    bool event(QEvent *event) override;
    void focusInEvent(QFocusEvent *event) override;
    void focusOutEvent(QFocusEvent *event) override;

private:
    enum class Drag { None, Press, Brush, Threshold };

    std::vector<ProfileSeries> m_series;
    QString m_axisTitle;
    PruneSelection *m_selection = nullptr;
    std::optional<double> m_threshold;
    std::optional<std::pair<int, int>> m_brush;
    std::set<int> m_linked;
    double m_low = 0;
    double m_high = 1;
    bool m_log = false;
    int m_hovered = -1;
    int m_cursor = -1;
    int m_brushAnchor = -1;
    int m_rangeAnchor = -1;
    Drag m_drag = Drag::None;
    QPointF m_press;

    QRect plotIn(const QRect &area) const;
    double xOf(const QRect &plot, double block) const;
    double yOf(const QRect &plot, double value) const;
    double valueAt(const QRect &plot, double y) const;
    int blockAt(const QPointF &position) const;
    bool isSelected(int block) const;
    bool isLocked(int block) const;
    std::vector<double> valueTicks(const QRect &plot) const;
    void setHovered(int block);
    void clickBlock(int block, Qt::KeyboardModifiers modifiers);
    void paintRings(QPainter *painter) const;
    void paintValueAxis(QPainter *painter, const QRect &plot, const ThemeColors &colors) const;
    void paintBlockAxis(QPainter *painter, const QRect &plot, const ThemeColors &colors) const;
    void paintDifferences(QPainter *painter, const QRect &plot, const ThemeColors &colors) const;
    void paintSeries(QPainter *painter, const QRect &plot, std::size_t index, const ThemeColors &colors) const;
};

} // namespace secateur
