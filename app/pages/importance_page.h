#pragma once

#include "app/pages/twin_panel.h"
#include "backend/core/metric_map.h"

#include <QWidget>

class QComboBox;
class QLabel;
class QPushButton;
class QStackedWidget;

namespace secateur {

class EmptyState;
class ExportController;
class HeatmapPanel;
class OptionBar;
class ProfileChart;
class ReadOut;
class SegmentedControl;
class Workspace;

/// Which blocks, heads and channels matter: heatmap with colour bar, read-out, and the block profile below with the
/// threshold. All of them work on the one selection. With the sibling's maps open, they stand beside or are compared.
class ImportancePage : public QWidget {
    Q_OBJECT
public:
    ImportancePage(Workspace *workspace, ExportController *exporter, QWidget *parent = nullptr);

    MetricMapPtr currentMap() const;
    HeatmapPanel *panel() const { return m_panel; }
    TwinPanel *twinPanel() const { return m_maps; }
    SegmentedControl *twinControl() const { return m_twin; }
    ProfileChart *profile() const { return m_profile; }
    QComboBox *mapBox() const { return m_map; }
    EmptyState *emptyState() const { return m_empty; }
    bool showsMaps() const;
    /// Why calibration is off; empty: it is on.
    void setCalibrationReason(const QString &reason);
    QString statusText() const;
    /// Off when there is no such map of the sibling.
    void showTwin(TwinMode mode);

public Q_SLOTS:
    void nextMap();
    void exportPicture();
    void exportData();

Q_SIGNALS:
    void calibrateRequested();
    void openMapsRequested();
    void twinRequested(const QString &source); ///< empty: ask
    void makePlanRequested();
    void helpRequested();
    void currentMapChanged(const secateur::MetricMapPtr &map);
    void exportFailed(const QString &message);

private:
    Workspace *m_workspace;
    ExportController *m_exporter;
    OptionBar *m_options;
    QStackedWidget *m_stack;
    EmptyState *m_empty;
    QComboBox *m_map;
    QComboBox *m_metric;
    SegmentedControl *m_twin;
    QPushButton *m_openTwin;
    QComboBox *m_scale;
    TwinPanel *m_maps;
    HeatmapPanel *m_panel; ///< of m_maps
    ReadOut *m_readOut;
    ProfileChart *m_profile;
    QLabel *m_headline;
    QPushButton *m_makePlan;

    QWidget *makeSide();
    void fillTwin();
    MetricMapPtr twinMap(const MetricMapPtr &own) const;
    void showMaps(const MetricMapPtr &own);
    bool twinIsFirst() const;
    TwinMode twinMode() const;
    void showProfile();
    void fillMaps();
    void fillMetrics();
    void showMap();
    void showSelection();
    void showScale();
    void exportView(int kind, const HeatmapPanel &panel);
};

/// A small picture of \a map for the Recent list, as PNG.
QByteArray mapThumbnail(const MetricMapPtr &map);

} // namespace secateur
