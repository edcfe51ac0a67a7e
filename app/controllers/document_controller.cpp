#include "app/controllers/document_controller.h"

#include "app/controllers/calibration_controller.h"
#include "app/controllers/load_controller.h"
#include "app/controllers/pruning_controller.h"
#include "app/output_folders.h"
#include "app/qt_paths.h"
#include "app/user_prompts.h"
#include "app/workspace.h"
#include "backend/core/error.h"
#include "backend/io/atomic_file.h"
#include "backend/io/session_file.h"
#include "backend/io/weight_files.h"
#include "backend/workflow/bundled_models.h"
#include "backend/workflow/recover.h"
#include "backend/workflow/recovery_history.h"
#include "backend/workflow/workbench.h"
#include "widgets/theme/number_text.h"

#include <QDir>
#include <QFileInfo>

#include <system_error>

namespace secateur {

namespace {

constexpr qint64 kSniffBytes = 64 << 20; // keys are sorted: "format" stands behind the evaluations
const QString kSessionSuffix = u".secateur.json"_qs;

QString modelFilter()
{
    return DocumentController::tr(
        "Everything known (*.json *.gguf *.safetensors *.h5);;Models (*.gguf *.safetensors *.index.json config.json);;"
        "Sessions and plans (*.json);;Maps (*.h5);;All files (*)");
}

/// What a session file and the folders around it hold, found on the compute thread.
struct OpenedSession {
    Session session;
    QStringList warnings;
    QString modelPath; ///< where the weights are; empty: not found
};

QString findWeights(const Session &session, const std::filesystem::path &folder)
{
    std::error_code ignored;
    if (!session.model.relativePath.empty()) {
        const auto path = (folder / session.model.relativePath).lexically_normal();
        if (std::filesystem::exists(path, ignored))
            return fromPath(path);
    }
    // what came with the program is found wherever the session lies
    if (const workflow::BundledModel *bundled = workflow::bundledModelOf(session.model.digest))
        return QString::fromLatin1(bundled->argument);
    return {};
}

/// Copies the adapters of \a session beside its file and makes every path relative to it.
std::map<std::string, std::filesystem::path>
gatherAdapters(const std::filesystem::path &file, Session &session,
               const std::map<std::string, std::filesystem::path> &adapters)
{
    std::map<std::string, std::filesystem::path> saved;
    for (RunRecord &run : session.runs) {
        const auto known = adapters.find(run.id);
        if (known == adapters.end() || !std::filesystem::is_directory(known->second))
            continue;
        const auto target = adapterFolderBeside(file, run.id);
        if (!std::filesystem::exists(target)) {
            std::filesystem::create_directories(target.parent_path());
            AtomicFolder folder(target);
            for (const auto &entry : std::filesystem::directory_iterator(known->second)) {
                if (entry.is_regular_file())
                    std::filesystem::copy_file(entry.path(), folder.path() / entry.path().filename());
            }
            folder.commit();
            // What lies beside a result goes with it; without it the result is still whole.
            for (const auto &[from, to] :
                 {std::pair(workflow::historyFolder(known->second), workflow::historyFolder(target)),
                  std::pair(workflow::checkpointFolder(known->second), workflow::checkpointFolder(target))}) {
                std::error_code ignored;
                if (std::filesystem::is_directory(from, ignored))
                    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive, ignored);
            }
        }
        saved[run.id] = target;
        run.adapterPath = target.lexically_relative(file.parent_path()).generic_string();
    }
    return saved;
}

} // namespace

RecognisedFile recogniseFile(const QString &path)
{
    using Kind = RecognisedFile::Kind;
    const QFileInfo info(path);
    if (info.isDir()) {
        const QDir folder(path);
        if (folder.exists(u"adapter_config.json"_qs))
            return {Kind::Adapter, path};
        if (folder.exists(u"config.json"_qs))
            return {Kind::Model, path};
        return {Kind::Unknown, path};
    }
    const QString name = info.fileName().toLower();
    if (name == u"adapter_config.json" || name == u"adapter_model.safetensors")
        return {Kind::Adapter, info.absolutePath()};
    if (name.endsWith(u".gguf") || name.endsWith(u".safetensors") || name.endsWith(u".index.json")
        || name == u"config.json" || name.endsWith(u".bin") || name.endsWith(u".pt"))
        return {Kind::Model, modelArgument(path)};
    if (name.endsWith(u".h5") || name.endsWith(u".hdf5"))
        return {Kind::Maps, path};
    if (!name.endsWith(u".json"))
        return {Kind::Unknown, path};
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly))
        return {Kind::Unknown, path};
    const QByteArray head = file.read(kSniffBytes); // on the compute thread
    if (head.contains(kSessionFormat))
        return {Kind::Session, path};
    if (head.contains("secateur-plan") || head.contains("\"removed\""))
        return {Kind::Plan, path};
    return {Kind::Unknown, path};
}

DocumentController::DocumentController(const AppServices &services, LoadController *load,
                                       CalibrationController *calibration, PruningController *pruning, QObject *parent)
    : QObject(parent), m_services(services), m_load(load), m_calibration(calibration), m_pruning(pruning)
{
    connect(m_load, &LoadController::modelOpened, this,
            [this](const QString &path) { addRecent(RecentEntry::Kind::Model, path); });
}

void DocumentController::askOpen()
{
    const QString file = m_services.prompts.openFile(tr("Open"), m_services.settings.lastFolder(), modelFilter());
    if (file.isEmpty())
        return;
    m_services.settings.setLastFolder(QFileInfo(file).absolutePath());
    openAny(file);
}

void DocumentController::askOpenFolder()
{
    const QString folder
        = m_services.prompts.openFolder(tr("Open model or adapter folder"), m_services.settings.lastFolder());
    if (folder.isEmpty())
        return;
    m_services.settings.setLastFolder(QFileInfo(folder).absolutePath());
    openAny(folder);
}

void DocumentController::askOpenSession()
{
    const QString file = m_services.prompts.openFile(tr("Open session"), m_services.settings.lastFolder(),
                                                     tr("Sessions (*.json);;All files (*)"));
    if (file.isEmpty())
        return;
    m_services.settings.setLastFolder(QFileInfo(file).absolutePath());
    openSession(file);
}

void DocumentController::openAny(const QString &path)
{
    startJob<RecognisedFile>(
        m_services, this, QString(), QString(),
        [path](const JobContext &) {
            if (!QFileInfo::exists(path))
                throw Error(ErrorKind::NotFound, "There is no file or folder '" + path.toStdString() + "'.");
            return recogniseFile(path);
        },
        [this](std::shared_ptr<const RecognisedFile> file) { openRecognised(*file); });
}

void DocumentController::openRecognised(const RecognisedFile &file)
{
    using Kind = RecognisedFile::Kind;
    const QString name = QFileInfo(file.path).fileName();
    switch (file.kind) {
    case Kind::Model:
        m_services.messages.log(tr("%1: model").arg(name));
        openModel(file.path);
        return;
    case Kind::Session:
        m_services.messages.log(tr("%1: session").arg(name));
        openSession(file.path);
        return;
    case Kind::Adapter:
        m_services.messages.log(tr("%1: adapter").arg(name));
        m_load->openAdapter(file.path);
        return;
    case Kind::Plan:
    case Kind::Maps:
        if (!m_services.workspace.hasModel()) {
            m_services.messages.reportError(
                tr("Open"),
                {.kind = ErrorKind::InvalidArgument,
                 .message = (file.kind == Kind::Plan ? tr("%1 is a plan; a plan needs its model.")
                                                     : tr("%1 holds maps; maps need their model."))
                                .arg(name)
                                .toStdString(),
                 .hint = tr("Open the model first.").toStdString(),
                 .details = {}});
        } else if (file.kind == Kind::Plan) {
            m_pruning->openPlan(file.path);
        } else {
            m_calibration->openMaps(file.path);
        }
        return;
    case Kind::Unknown:
        break;
    }
    m_services.messages.reportError(
        tr("Open"),
        {.kind = ErrorKind::BadFormat,
         .message = tr("%1 is nothing this program knows.").arg(name).toStdString(),
         .hint = tr("It opens model folders, GGUF files, adapters, sessions, plans and maps (.h5).").toStdString(),
         .details = {}});
}

void DocumentController::openModel(const QString &argument)
{
    whenSafe([this, argument] { m_load->openModel(argument); });
}

void DocumentController::openSession(const QString &path)
{
    openSessionFile(path, false);
}

void DocumentController::openExample(const QString &model)
{
    try {
        openSessionFile(fromPath(workflow::exampleSessionPath(model.toStdString())), true);
    } catch (const Error &error) {
        m_services.messages.reportError(tr("Open example"), error.info());
    }
}

void DocumentController::openSessionFile(const QString &path, bool asCopy)
{
    whenSafe([this, path, asCopy] {
        startJob<OpenedSession>(
            m_services, this, tr("Open session"), QFileInfo(path).fileName(),
            [file = toPath(QFileInfo(path).absoluteFilePath()), &bench = m_services.bench](const JobContext &) {
                OpenedSession opened;
                std::vector<std::string> warnings;
                opened.session = loadSession(file, &warnings);
                for (const std::string &warning : warnings)
                    opened.warnings.append(qString(warning));
                opened.modelPath = findWeights(opened.session, file.parent_path());
                bench->clear();
                return opened;
            },
            [this, path, asCopy](std::shared_ptr<const OpenedSession> opened) {
                const QString absolute = QFileInfo(path).absoluteFilePath();
                m_services.workspace.openSession(opened->session, absolute);
                if (asCopy)
                    m_services.workspace.forgetFile();
                else
                    addRecent(RecentEntry::Kind::Session, absolute);
                for (const QString &warning : opened->warnings)
                    m_services.messages.log(warning);
                if (!opened->modelPath.isEmpty())
                    m_load->loadWeights(opened->modelPath);
                Q_EMIT sessionOpened();
            },
            [this, path, asCopy] { openSessionFile(path, asCopy); });
    });
}

void DocumentController::closeDocument()
{
    whenSafe([this] {
        startJob<bool>(
            m_services, this, QString(), QString(),
            [&bench = m_services.bench](const JobContext &) {
                bench->clear();
                return true;
            },
            [this](std::shared_ptr<const bool>) { m_services.workspace.close(); });
    });
}

void DocumentController::whenSafe(std::function<void()> then)
{
    if (!m_services.workspace.isDirty()) {
        then();
        return;
    }
    switch (m_services.prompts.askUnsaved(m_services.workspace.name(), m_services.workspace.unsavedSteps())) {
    case UserPrompts::Save::Save:
        save(std::move(then));
        break;
    case UserPrompts::Save::Discard:
        then();
        break;
    case UserPrompts::Save::Cancel:
        break;
    }
}

void DocumentController::save(std::function<void()> then)
{
    if (m_services.workspace.filePath().isEmpty())
        saveAs(std::move(then));
    else
        saveTo(m_services.workspace.filePath(), std::move(then));
}

void DocumentController::saveAs(std::function<void()> then)
{
    const QString start = m_services.workspace.filePath().isEmpty()
        ? m_services.settings.lastFolder() + u"/"_qs + m_services.workspace.name() + kSessionSuffix
        : m_services.workspace.filePath();
    QString file = m_services.prompts.saveFile(tr("Save session"), start, tr("Sessions (*.secateur.json *.json)"));
    if (file.isEmpty())
        return;
    if (!file.endsWith(u".json"))
        file += kSessionSuffix;
    m_services.settings.setLastFolder(QFileInfo(file).absolutePath());
    saveTo(file, std::move(then));
}

void DocumentController::saveTo(const QString &path, std::function<void()> then)
{
    struct Saved {
        std::map<std::string, std::filesystem::path> adapters;
        std::vector<RunRecord> runs;
    };
    Workspace &workspace = m_services.workspace;
    const int undoIndex = workspace.undoStack()->index();
    const int revision = workspace.revision();
    std::filesystem::path weightsPath;
    if (const LoadedWeights *weights = workspace.weights())
        weightsPath = weights->path;
    else if (!workspace.filePath().isEmpty() && !workspace.session().model.relativePath.empty()
             && !workflow::isBundled(workspace.session().model.relativePath))
        weightsPath
            = (toPath(workspace.filePath()).parent_path() / workspace.session().model.relativePath).lexically_normal();
    startJob<Saved>(
        m_services, this, tr("Save session"), QFileInfo(path).fileName(),
        [file = toPath(path), session = workspace.snapshot(), adapters = workspace.adapters(),
         weightsPath](const JobContext &) mutable {
            Saved saved;
            std::error_code failed;
            if (!weightsPath.empty()) {
                const auto relative = std::filesystem::relative(weightsPath, file.parent_path(), failed);
                const workflow::BundledModel *bundled = workflow::bundledModelAt(weightsPath);
                session.model.relativePath = bundled ? bundled->argument // found on every machine
                    : failed                         ? std::string()
                                                     : relative.generic_string();
            }
            saved.adapters = gatherAdapters(file, session, adapters);
            saved.runs = session.runs;
            saveSession(file, session);
            return saved;
        },
        [this, path, undoIndex, revision, then](std::shared_ptr<const Saved> saved) {
            Workspace &open = m_services.workspace;
            open.setAdapters(saved->adapters, saved->runs);
            open.markSaved(path, undoIndex, revision);
            addRecent(RecentEntry::Kind::Session, path);
            m_services.messages.log(tr("Saved %1").arg(QFileInfo(path).fileName()));
            if (then)
                then();
        },
        [this, path, then] { saveTo(path, then); });
}

void DocumentController::checkRecent()
{
    const QList<RecentEntry> entries = m_services.settings.recent();
    startJob<QSet<QString>>(
        m_services, this, QString(), QString(),
        [entries](const JobContext &) {
            QSet<QString> missing;
            for (const RecentEntry &entry : entries) {
                if (!entry.path.startsWith(u"bundled:") && !QFileInfo::exists(entry.path))
                    missing.insert(entry.path);
            }
            return missing;
        },
        [this](std::shared_ptr<const QSet<QString>> missing) {
            m_missing = *missing;
            Q_EMIT recentChanged();
        });
}

void DocumentController::addRecent(RecentEntry::Kind kind, const QString &path)
{
    const Session &session = m_services.workspace.session();
    RecentEntry entry;
    entry.kind = kind;
    entry.path = path;
    entry.opened = QDateTime::currentDateTime();
    if (kind == RecentEntry::Kind::Session) {
        entry.title = m_services.workspace.name();
        entry.detail = tr("session · %n plan(s)", nullptr, static_cast<int>(session.plans.size())) + u" · "_qs
            + tr("%n block(s)", nullptr, session.model.config.layers());
    } else {
        entry.title = qString(session.model.alias);
        const LoadedWeights *weights = m_services.workspace.weights();
        entry.detail
            = tr("model · %1 · %2 parameters · %3")
                  .arg(weights ? weights->source : QString(), shortCount(static_cast<double>(session.model.parameters)),
                       fileSize(static_cast<qint64>(session.model.bytes)));
    }
    m_documentPath = path;
    m_services.settings.addRecent(entry);
    Q_EMIT recentChanged();
}

void DocumentController::setThumbnail(const QByteArray &png)
{
    if (m_documentPath.isEmpty())
        return;
    m_services.settings.setRecentThumbnail(m_documentPath, png);
    Q_EMIT recentChanged();
}

} // namespace secateur
