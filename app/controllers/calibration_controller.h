#pragma once

#include "app/app_services.h"
#include "backend/workflow/calibrate.h"

#include <QObject>

namespace secateur {

/// Runs the calibration sweep and puts the maps into the workspace.
class CalibrationController : public QObject {
    Q_OBJECT
public:
    explicit CalibrationController(const AppServices &services, QObject *parent = nullptr);

    void ask(); ///< calibration dialog, then start()
    void start(const workflow::CalibrationRequest &request);
    /// Maps that were written to HDF5; refused when they are those of another model.
    void openMaps(const QString &file);
    const workflow::CalibrationRequest &lastRequest() const { return m_last; }

Q_SIGNALS:
    void mapsReady();

private:
    AppServices m_services;
    workflow::CalibrationRequest m_last;

    void accept(const std::shared_ptr<const AnalysisResult> &result);
};

} // namespace secateur
