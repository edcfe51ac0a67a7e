#include "app/controllers/export_controller.h"

#include "app/qt_paths.h"
#include "app/settings/app_settings.h"
#include "app/user_prompts.h"
#include "app/workspace.h"
#include "backend/io/atomic_file.h"
#include "backend/io/map_archive.h"
#include "backend/workflow/prune.h"

#include <QFileInfo>
#include <QRegularExpression>

namespace secateur {

namespace {

/// A file name out of what the user called it.
QString fileNameFrom(const QString &name)
{
    QString safe = name;
    safe.replace(QRegularExpression(u"[^\\w.+-]+"_qs), u"-"_qs);
    return safe.isEmpty() ? u"model"_qs : safe;
}

} // namespace

ExportController::ExportController(const AppServices &services, QObject *parent) : QObject(parent), m_services(services)
{ }

void ExportController::askModel(const QString &id)
{
    const Workspace &workspace = m_services.workspace;
    const Subject subject = workspace.subject(id);
    const Budget budget = computeBudget(workspace.config(), workspace.removedOf(id));
    const QString folder = m_services.settings.lastFolder() + u"/"_qs + fileNameFrom(qString(subject.name));
    const auto choice = m_services.prompts.exportModel(qString(subject.name), folder,
                                                       budget.loadsInStock ? QString() : qString(budget.loaderNote));
    if (choice)
        exportModel(subject, choice->folder, choice->dtype);
}

void ExportController::exportModel(const Subject &subject, const QString &folder, const std::string &dtype)
{
    workflow::ExportRequest request;
    request.folder = toPath(folder);
    request.dtype = dtype;
    request.modelName = subject.name;
    if (subject.plan)
        request.plan = *subject.plan;
    m_services.settings.setLastFolder(QFileInfo(folder).absolutePath());
    startJob<workflow::ExportOutcome>(
        m_services, this, tr("Export model"), qString(subject.name),
        [&bench = m_services.bench, subject, request](const JobContext &context) {
            const Model &model = modelOf(*bench, subject);
            // A run without an adapter has trained all weights: they are what is exported.
            if (subject.run.empty() || !bench->runAdapter(subject.run))
                return workflow::exportModel(bench->dense(), model, request, context);
            // An adapter is merged into the weights, so that every loader gets the recovered model.
            const Model &base = subject.plan ? bench->planModel(*subject.plan) : *bench->dense().model;
            return workflow::exportModel(bench->dense(), mergeAdapter(base, *bench->runAdapter(subject.run)), request,
                                         context);
        },
        [this, folder](std::shared_ptr<const workflow::ExportOutcome> outcome) {
            QStringList loaders;
            for (const std::string &loader : outcome->loadableBy)
                loaders.append(qString(loader));
            for (const CheckResult &check : outcome->checks)
                m_services.messages.log(tr("Check “%1”: %2").arg(qString(check.name), qString(check.detail)));
            m_services.messages.reportFinished(
                tr("Model exported to %1").arg(QFileInfo(folder).fileName()),
                tr("loads in %1; loaded again and compared").arg(loaders.join(u", "_qs)));
        },
        [this, subject, folder, dtype] { exportModel(subject, folder, dtype); });
}

void ExportController::askMaps()
{
    const auto analysis = m_services.workspace.analysis();
    if (!analysis)
        return;
    const QString file = m_services.prompts.saveFile(tr("Export maps"),
                                                     m_services.settings.lastFolder() + u"/"_qs
                                                         + fileNameFrom(m_services.workspace.name()) + u".maps.h5"_qs,
                                                     tr("HDF5 maps (*.h5)"));
    if (file.isEmpty())
        return;
    m_services.settings.setLastFolder(QFileInfo(file).absolutePath());
    startJob<bool>(
        m_services, this, tr("Export maps"), QFileInfo(file).fileName(),
        [path = toPath(file), analysis](const JobContext &) {
            writeMaps(path, *analysis);
            return true;
        },
        [this, file](std::shared_ptr<const bool>) {
            m_services.messages.reportFinished(tr("Maps exported"), QFileInfo(file).fileName());
        });
}

void ExportController::saveText(const QString &title, const QString &suggestion, const QString &filter,
                                const QString &text)
{
    saveBytes(title, suggestion, filter, text.toUtf8());
}

void ExportController::saveBytes(const QString &title, const QString &suggestion, const QString &filter,
                                 const QByteArray &bytes)
{
    const QString file = m_services.prompts.saveFile(
        title, m_services.settings.lastFolder() + u"/"_qs + fileNameFrom(suggestion), filter);
    if (file.isEmpty())
        return;
    m_services.settings.setLastFolder(QFileInfo(file).absolutePath());
    startJob<bool>(
        m_services, this, title, QFileInfo(file).fileName(),
        [path = toPath(file), bytes](const JobContext &) {
            writeFileAtomically(path, std::string_view(bytes.constData(), static_cast<std::size_t>(bytes.size())));
            return true;
        },
        [this, title, file](std::shared_ptr<const bool>) {
            m_services.messages.reportFinished(title, tr("written to %1").arg(QFileInfo(file).fileName()));
        });
}

} // namespace secateur
