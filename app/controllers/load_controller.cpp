#include "app/controllers/load_controller.h"

#include "app/qt_paths.h"
#include "app/settings/app_settings.h"
#include "app/user_prompts.h"
#include "backend/engine/compute_device.h"
#include "backend/io/weight_files.h"
#include "backend/workflow/bundled_models.h"
#include "widgets/theme/number_text.h"

#include <QFileInfo>

#include <algorithm>

namespace secateur {

struct LoadController::Inspected {
    ModelInfo info;
    std::uint64_t freeBytes = 0;
    std::string dtype; ///< that "auto" means here
};

namespace {

struct LoadedValues {
    SessionModel model;
    LoadedWeights weights;
};

/// "SmolLM2-135M-Instruct.Q4_1" → "SmolLM2-135M-Instruct": the stored type is shown beside the name.
std::string shortModelName(const ModelInfo &info)
{
    for (const std::string &dtype : info.dtypes) {
        const std::string suffix = "." + dtype;
        if (info.name.size() > suffix.size()
            && info.name.compare(info.name.size() - suffix.size(), suffix.size(), suffix) == 0)
            return info.name.substr(0, info.name.size() - suffix.size());
    }
    return info.name;
}

LoadedValues valuesOf(const workflow::LoadedModel &loaded)
{
    const ModelInfo &info = loaded.info;
    const bool isGguf = info.source == ModelInfo::Source::Gguf;
    LoadedValues values;
    values.model.alias = shortModelName(info);
    values.model.digest = info.digest;
    values.model.source = isGguf ? "gguf" : "hf";
    values.model.parameters = info.parameters;
    values.model.bytes = info.bytes;
    values.model.config = loaded.model->config();
    values.weights.path = info.path;
    values.weights.device = qString(loaded.model->device());
    values.weights.dtype = qString(loaded.model->dtype()).toUpper();
    const QString stored = info.dtypes.empty() ? QString() : qString(info.dtypes.front());
    values.weights.source = isGguf ? stored + u" GGUF"_qs : stored + u" safetensors"_qs;
    values.weights.tokenizer = loaded.tokenizer;
    values.weights.chatTemplate = loaded.chatTemplate;
    return values;
}

QString fileNameOf(const QString &argument)
{
    for (const workflow::BundledModel &model : workflow::bundledModels())
        if (argument == QLatin1String(model.argument))
            return QString::fromLatin1(model.name);
    return QFileInfo(argument).fileName();
}

} // namespace

LoadController::LoadController(const AppServices &services, QObject *parent) : QObject(parent), m_services(services)
{ }

void LoadController::changeLoading(int by)
{
    m_loading += by;
    Q_EMIT loadingChanged();
}

void LoadController::inspect(const QString &argument, std::function<void(const Inspected &)> next)
{
    const ComputeSettings settings = m_services.settings.compute();
    const std::string path = argument.toStdString();
    changeLoading(1);
    startJob<Inspected>(
        m_services, this, QString(), fileNameOf(argument),
        [path, settings](const JobContext &context) {
            context.checkpoint({.stage = "load.header"});
            Inspected inspected;
            inspected.info = inspectModel(workflow::resolveModelPath(path));
            if (!inspected.info.config)
                throw Error(ErrorKind::Unsupported,
                            inspected.info.name + " can only be inspected: " + inspected.info.inspectOnlyReason,
                            "Its tensors are listed by secateur-cli inspect.");
            inspected.freeBytes = memoryUse().available;
            inspected.dtype = resolveDtype(settings);
            return inspected;
        },
        [next = std::move(next)](std::shared_ptr<const Inspected> inspected) { next(*inspected); },
        [this, argument] { openModel(argument); }, [this] { changeLoading(-1); });
}

void LoadController::openModel(const QString &argument)
{
    inspect(argument, [this, argument](const Inspected &inspected) {
        ComputeSettings settings = m_services.settings.compute();
        const MemoryEstimate f32 = estimateMemory(*inspected.info.config, 4);
        const MemoryEstimate bf16 = estimateMemory(*inspected.info.config, 2);
        const MemoryEstimate &needed = inspected.dtype == "bf16" ? bf16 : f32;
        if (needed.total() > inspected.freeBytes && inspected.freeBytes > 0) {
            const auto answer
                = m_services.prompts.askMemory(qString(shortModelName(inspected.info)), f32, bf16, inspected.freeBytes);
            if (answer == UserPrompts::Memory::Cancel)
                return;
            if (answer == UserPrompts::Memory::LoadBf16)
                settings.dtype = "bf16";
        }
        load(argument, qString(shortModelName(inspected.info)), settings, {}, true);
    });
}

void LoadController::loadWeights(const QString &argument)
{
    load(argument, qString(m_services.workspace.session().model.alias), m_services.settings.compute(),
         m_services.workspace.session().model.digest, false);
}

void LoadController::load(const QString &argument, const QString &name, const ComputeSettings &settings,
                          const std::string &digest, bool newDocument)
{
    const std::string path = argument.toStdString();
    changeLoading(1);
    startJob<LoadedValues>(
        m_services, this, tr("Open model"), name,
        [&bench = m_services.bench, path, settings, digest](const JobContext &context) {
            if (!digest.empty()) {
                const ModelInfo info = inspectModel(workflow::resolveModelPath(path));
                if (info.digest != digest)
                    throw Error(ErrorKind::InvalidArgument,
                                info.name + " is another model: its digest is " + info.digest.substr(0, 12)
                                    + "…, the session was made with " + digest.substr(0, 12) + "…",
                                "Locate the model that the session was made with.");
            }
            applyComputeSettings(settings);
            workflow::LoadedModel loaded = workflow::openModel(path, settings, {}, context);
            LoadedValues values = valuesOf(loaded);
            bench->clear();
            bench->setDense(std::move(loaded));
            return values;
        },
        [this, newDocument, argument, name](std::shared_ptr<const LoadedValues> values) {
            if (newDocument) {
                m_services.workspace.openModel(values->model, values->weights);
                Q_EMIT modelOpened(argument);
            } else if (m_services.workspace.session().model.digest == values->model.digest) {
                m_services.workspace.setWeights(values->weights);
            }
            m_services.messages.log(tr("%1: %2 parameters, %3 blocks, computed in %4")
                                        .arg(name, exactCount(values->model.parameters))
                                        .arg(values->model.config.layers())
                                        .arg(values->weights.dtype));
        },
        [this, argument, newDocument] { newDocument ? openModel(argument) : loadWeights(argument); },
        [this] { changeLoading(-1); });
}

void LoadController::locateWeights()
{
    const QString file = m_services.prompts.openFile(
        tr("Locate %1").arg(qString(m_services.workspace.session().model.alias)), m_services.settings.lastFolder(),
        tr("Models (*.gguf *.safetensors *.index.json config.json);;All files (*)"));
    if (file.isEmpty())
        return;
    m_services.settings.setLastFolder(QFileInfo(file).absolutePath());
    loadWeights(modelArgument(file));
}

void LoadController::openAdapter(const QString &folder)
{
    if (!m_services.workspace.hasWeights()) {
        m_services.messages.reportError(tr("Open adapter"),
                                        {.kind = ErrorKind::InvalidArgument,
                                         .message = tr("An adapter needs the weights of its model.").toStdString(),
                                         .hint = tr("Open the model first.").toStdString(),
                                         .details = {}});
        return;
    }
    struct Opened {
        std::int64_t parameters = 0;
    };
    const std::string id = m_services.workspace.reserveId("run");
    const auto path = toPath(folder);
    startJob<Opened>(
        m_services, this, tr("Open adapter"), QFileInfo(folder).fileName(),
        [&bench = m_services.bench, id, path](const JobContext &) {
            const Adapter adapter = loadAdapter(path, *bench->dense().model);
            bench->setRun(id, nullptr, adapter);
            return Opened{adapter.parameters()};
        },
        [this, id, path, folder](std::shared_ptr<const Opened>) {
            RunRecord run;
            run.id = id;
            run.name = QFileInfo(folder).fileName().toStdString();
            run.dataName = tr("adapter opened from a folder").toStdString();
            m_services.workspace.addRun(run, path);
            m_services.workspace.setCurrentSubject(qString(id));
        });
}

QString modelArgument(const QString &file)
{
    const QFileInfo info(file);
    const bool insideFolder = info.fileName() == u"config.json" || file.endsWith(u".safetensors.index.json")
        || file.endsWith(u".safetensors");
    return insideFolder ? info.absolutePath() : info.absoluteFilePath();
}

} // namespace secateur
