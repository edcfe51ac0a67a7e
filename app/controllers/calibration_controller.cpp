#include "app/controllers/calibration_controller.h"

#include "app/controllers/load_controller.h"
#include "app/qt_paths.h"
#include "app/settings/app_settings.h"
#include "app/user_prompts.h"
#include "app/workspace.h"
#include "backend/io/map_archive.h"
#include "backend/workflow/bundled_models.h"
#include "backend/workflow/twin.h"
#include "widgets/theme/number_text.h"

#include <QFileInfo>

namespace secateur {

CalibrationController::CalibrationController(const AppServices &services, QObject *parent)
    : QObject(parent), m_services(services)
{
    m_last.source = "bundled";
}

void CalibrationController::ask()
{
    const auto request = m_services.prompts.calibration(m_last, m_services.settings.lastFolder());
    if (request)
        start(*request);
}

void CalibrationController::start(const workflow::CalibrationRequest &request)
{
    m_last = request;
    startJob<AnalysisResult>(
        m_services, this, tr("Calibration sweep"), qString(m_services.workspace.session().model.alias),
        [&bench = m_services.bench, request](const JobContext &context) {
            return workflow::analyze(bench->dense(), {.calibration = request, .maps = {}}, context);
        },
        [this](std::shared_ptr<const AnalysisResult> result) { accept(result); }, [this, request] { start(request); });
}

void CalibrationController::accept(const std::shared_ptr<const AnalysisResult> &result)
{
    const SessionModel &model = m_services.workspace.session().model;
    if (!result->modelDigest.empty() && result->modelDigest != model.digest) {
        m_services.messages.reportError(
            tr("Maps"),
            {.kind = ErrorKind::InvalidArgument,
             .message = tr("These maps belong to %1 (digest %2…), the open model has digest %3…")
                            .arg(qString(result->modelName), qString(result->modelDigest).left(12),
                                 qString(model.digest).left(12))
                            .toStdString(),
             .hint = tr("Open the model that the maps were made with.").toStdString(),
             .details = {}});
        return;
    }
    m_services.workspace.setAnalysis(result);
    m_services.messages.reportFinished(
        tr("Calibration finished in %1").arg(duration(static_cast<qint64>(result->seconds + 0.5))),
        tr("%1 tokens, %2 maps, %3 tok/s")
            .arg(exactCount(result->calibration.tokens))
            .arg(result->maps.size())
            .arg(significant(result->tokensPerSecond, 3)));
    Q_EMIT mapsReady();
}

void CalibrationController::openMaps(const QString &file)
{
    const auto path = toPath(file);
    const ModelConfig config = m_services.workspace.config();
    startJob<AnalysisResult>(
        m_services, this, tr("Open maps"), QFileInfo(file).fileName(),
        [path, layers = config.layers()](const JobContext &) {
            AnalysisResult result = readMaps(path);
            for (const MetricMapPtr &map : result.maps) {
                const bool isStates = map->group == "block_cosine";
                if (map->rows != layers + (isStates ? 1 : 0))
                    throw Error(ErrorKind::InvalidArgument,
                                path.filename().string() + ": map '" + map->id() + "' has " + std::to_string(map->rows)
                                    + " rows, the open model has " + std::to_string(layers) + " blocks",
                                "Open the model that the maps were made with.");
            }
            return result;
        },
        [this](std::shared_ptr<const AnalysisResult> result) { accept(result); });
}

void CalibrationController::askTwin()
{
    const QString file = m_services.prompts.openFile(
        tr("Open the sibling"), m_services.settings.lastFolder(),
        tr("Models, sessions and maps (*.safetensors *.gguf config.json *.json *.h5 *.hdf5);;All files (*)"));
    if (file.isEmpty())
        return;
    m_services.settings.setLastFolder(QFileInfo(file).absolutePath());
    openTwin(file);
}

void CalibrationController::openTwin(const QString &source)
{
    const auto own = m_services.workspace.analysis();
    if (!own)
        return;
    const QString argument = workflow::isBundled(source.toStdString()) ? source : modelArgument(source);
    workflow::CalibrationRequest request = m_last; // a model needs as much data as the open one got
    request.samples = own->calibration.sequences;
    request.length = own->calibration.length;
    request.seed = own->calibration.seed;
    startJob<AnalysisResult>(
        m_services, this, tr("Maps of the sibling"), QFileInfo(argument).fileName(),
        [argument = argument.toStdString(), own, request, settings = m_services.settings.compute()](
            const JobContext &context) { return workflow::twinMapsFrom(argument, *own, request, settings, context); },
        [this, own](std::shared_ptr<const AnalysisResult> twin) {
            if (m_services.workspace.analysis() != own)
                return; // another document by now
            m_services.workspace.setTwin(twin);
            m_services.messages.log(tr("Compared with %1 from here on").arg(qString(twin->modelName)));
            Q_EMIT twinReady();
        },
        [this, source] { openTwin(source); });
}

} // namespace secateur
