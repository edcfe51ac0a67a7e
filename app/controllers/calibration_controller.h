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
    void askTwin(); ///< file dialog for the sibling, then openTwin()
    /// The sibling's maps to compare with: from a maps file or a session, or computed when it is a model.
    void openTwin(const QString &source);
    const workflow::CalibrationRequest &lastRequest() const { return m_last; }

Q_SIGNALS:
    void mapsReady();
    void twinReady();

private:
    AppServices m_services;
    workflow::CalibrationRequest m_last;

    void accept(const std::shared_ptr<const AnalysisResult> &result);
};

} // namespace secateur
