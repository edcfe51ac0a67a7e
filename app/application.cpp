#include "app/application.h"

#include "app/controllers/calibration_controller.h"
#include "app/controllers/document_controller.h"
#include "app/controllers/eval_controller.h"
#include "app/controllers/export_controller.h"
#include "app/controllers/load_controller.h"
#include "app/controllers/pruning_controller.h"
#include "app/controllers/recovery_controller.h"
#include "app/qt_paths.h"
#include "backend/engine/compute_device.h"
#include "backend/workflow/bundled_models.h"

#include <QApplication>
#include <QDir>
#include <QFileInfo>

#include <algorithm>

namespace secateur {

namespace {

/// What the chip shows, found on the compute thread.
struct Machine {
    std::vector<DeviceInfo> devices;
    QString text; ///< "CPU · 2 threads · F32"
    bool hasExample = false;
};

} // namespace

Application::Application(std::unique_ptr<UserPrompts> prompts, const QString &settingsFile)
    : m_settings(settingsFile.isEmpty() ? std::make_unique<AppSettings>()
                                        : std::make_unique<AppSettings>(settingsFile)),
      m_prompts(std::move(prompts))
{
    applyTheme(*qApp, m_settings->theme());
    DialogPrompts *dialogs = nullptr;
    if (!m_prompts) {
        auto real = std::make_unique<DialogPrompts>();
        dialogs = real.get();
        m_prompts = std::move(real);
    }
    m_runner = std::make_unique<JobRunner>(JobRunner::Hooks{.threadStarted =
                                                                [this, compute = m_settings->compute()] {
                                                                    m_bench = std::make_unique<workflow::Workbench>();
                                                                    try {
                                                                        applyComputeSettings(compute);
                                                                    } catch (const Error &) {
                                                                        // A device that is gone since the last start:
                                                                        // the first model that is opened says so.
                                                                    }
                                                                },
                                                            .threadStopping = [this] { m_bench.reset(); }});

    const AppServices services{m_workspace, *m_runner, m_bench, m_messages, *m_prompts, *m_settings};
    m_controllerParent = std::make_unique<QObject>();
    QObject *parent = m_controllerParent.get();
    m_controllers.load = new LoadController(services, parent);
    m_controllers.calibration = new CalibrationController(services, parent);
    m_controllers.pruning = new PruningController(services, parent);
    m_controllers.recovery = new RecoveryController(services, parent);
    m_controllers.evaluation = new EvalController(services, parent);
    m_controllers.exporter = new ExportController(services, parent);
    m_controllers.document = new DocumentController(services, m_controllers.load, m_controllers.calibration,
                                                    m_controllers.pruning, parent);
    connect(&m_workspace, &Workspace::documentChanged, this, &Application::rememberScratch);
    connect(&m_workspace, &Workspace::recorded, &m_messages, &Messages::log);
    m_window = std::make_unique<MainWindow>(services, m_controllers);
    if (dialogs)
        dialogs->setParent(m_window.get());
    connect(m_window.get(), &MainWindow::themeChosen, this, &Application::chooseTheme);
    connect(m_window.get(), &MainWindow::deviceDialogRequested, this, &Application::chooseDevice);
}

Application::~Application()
{
    m_window.reset();
    m_controllerParent.reset();
    m_runner->cancelAll();
    m_runner.reset(); // joins; the models die on their own thread
    for (const QString &folder : std::as_const(m_scratchFolders))
        QDir(folder).removeRecursively();
}

void Application::start(const QStringList &files)
{
    connect(
        m_window.get(), &MainWindow::firstPainted, this,
        [this, files] {
            lookAtMachine();
            m_controllers.document->checkRecent();
            for (const QString &file : files)
                openArgument(file);
            if (!files.isEmpty() || m_settings->showStartPage())
                return;
            // Without the start page the program goes on with the newest entry.
            const QList<RecentEntry> recent = m_settings->recent();
            if (!recent.isEmpty() && QFileInfo::exists(recent.first().path))
                m_controllers.document->openAny(recent.first().path);
        },
        Qt::QueuedConnection);
    m_window->show();
}

void Application::openArgument(const QString &argument)
{
    if (argument == u"bundled:example")
        m_controllers.document->openExample(u"mini-think"_qs);
    else if (workflow::isBundled(argument.toStdString()))
        m_controllers.document->openModel(argument);
    else
        m_controllers.document->openAny(QFileInfo(argument).absoluteFilePath());
}

void Application::lookAtMachine()
{
    const ComputeSettings compute = m_settings->compute();
    m_runner->submit<Machine>(
        QString(), QString(), this,
        [compute](const JobContext &) {
            Machine machine;
            machine.devices = listDevices();
            const auto chosen = std::find_if(machine.devices.begin(), machine.devices.end(),
                                             [&](const DeviceInfo &device) { return device.id == compute.device; });
            const std::string name = chosen == machine.devices.end() ? compute.device : chosen->name;
            machine.text = qString(name) + u" · "_qs + qString(resolveDtype(compute)).toUpper();
            try {
                workflow::resolveModelPath("bundled:smollm2");
                machine.hasExample = true;
            } catch (const Error &) {
                machine.hasExample = false;
            }
            return machine;
        },
        [this](Outcome<Machine> outcome) {
            if (const auto *machine = std::get_if<std::shared_ptr<const Machine>>(&outcome)) {
                m_devices = (*machine)->devices;
                m_window->setMachine((*machine)->text, (*machine)->hasExample);
            } else if (const auto *error = std::get_if<ErrorInfo>(&outcome)) {
                m_messages.log(qString(error->message));
            }
        });
}

void Application::chooseDevice()
{
    const auto chosen = m_prompts->compute(m_settings->compute(), m_devices);
    if (!chosen)
        return;
    m_settings->setCompute(*chosen);
    lookAtMachine();
    if (m_workspace.hasWeights())
        m_messages.reportFinished(tr("Device settings changed"),
                                  tr("They are used when the model is opened the next time."));
}

void Application::chooseTheme(int mode)
{
    m_settings->setTheme(ThemeMode(mode));
    applyTheme(*qApp, ThemeMode(mode));
}

void Application::rememberScratch()
{
    if (!m_workspace.scratchFolder().isEmpty() && !m_scratchFolders.contains(m_workspace.scratchFolder()))
        m_scratchFolders.append(m_workspace.scratchFolder());
}

} // namespace secateur
