#include "backend/workflow/twin.h"

#include "backend/core/error.h"
#include "backend/io/map_archive.h"
#include "backend/io/session_file.h"
#include "backend/stats/twin_maps.h"

#include <filesystem>
#include <system_error>

namespace secateur::workflow {

namespace {

bool holdsMaps(const std::string &source)
{
    const std::filesystem::path path(source);
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error))
        return false;
    const auto suffix = path.extension();
    return suffix == ".h5" || suffix == ".hdf5" || (suffix == ".json" && path.filename() != "config.json");
}

} // namespace

AnalysisResult readMapsFrom(const std::string &source)
{
    const std::filesystem::path path(source);
    std::error_code error;
    if (!std::filesystem::exists(path, error))
        throw Error(ErrorKind::NotFound, "There is no file '" + source + "'.");
    if (path.extension() != ".json")
        return readMaps(path);
    std::vector<std::string> warnings;
    const Session session = loadSession(path, &warnings);
    AnalysisResult maps = requireMaps(session, source, warnings);
    if (maps.modelName.empty())
        maps.modelName = session.model.alias;
    return maps;
}

AnalysisResult twinMapsFrom(const std::string &source, const AnalysisResult &own, const CalibrationRequest &calibration,
                            const ComputeSettings &settings, const JobContext &context)
{
    AnalysisResult twin;
    if (holdsMaps(source)) {
        twin = readMapsFrom(source);
    } else {
        const LoadedModel model = openModel(source, settings, {}, context);
        AnalyzeRequest request;
        request.calibration = calibration;
        twin = analyze(model, request, context);
    }
    checkTwinShapes(own, twin);
    return twin;
}

} // namespace secateur::workflow
