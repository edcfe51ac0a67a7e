#pragma once

#include "backend/core/metric_map.h"
#include "widgets/heatmap/map_units.h"

#include <QWidget>

#include <memory>

namespace secateur {

class HeatmapView;

/// States, skipped blocks, value, rank and state of the hovered cell, and up to three pinned ones below it.
class ReadOut : public QWidget {
    Q_OBJECT
public:
    explicit ReadOut(QWidget *parent = nullptr);
    ~ReadOut() override;

    /// Follows the hover, cursor and pins of \a view (may be null).
    void setView(HeatmapView *view);
    void showCell(HeatmapCell cell);
    void pinCell(HeatmapCell cell);
    void unpinLast();
    int pinCount() const;
    QString text() const; ///< of the shown cell, as copied

private:
    struct Private;
    std::unique_ptr<Private> d;

    void refresh();
};

} // namespace secateur
