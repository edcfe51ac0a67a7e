#pragma once

#include "app/main_window.h"
#include "app/messages.h"
#include "app/settings/app_settings.h"
#include "app/user_prompts.h"
#include "app/workspace.h"
#include "backend/jobs/job_runner.h"
#include "backend/workflow/workbench.h"

#include <QObject>
#include <QStringList>

#include <memory>

namespace secateur {

/// Owns everything and defines the order of start and shutdown: settings and workspace first, then the compute thread
/// with the models, then controllers, then the window; the other way round at the end.
class Application : public QObject {
    Q_OBJECT
public:
    /// \a prompts null: the real dialogs. \a settingsFile empty: the user's settings.
    explicit Application(std::unique_ptr<UserPrompts> prompts = {}, const QString &settingsFile = {});
    ~Application() override;

    /// Shows the window, then opens \a files and looks at the machine.
    void start(const QStringList &files = {});
    MainWindow &window() { return *m_window; }
    Workspace &workspace() { return m_workspace; }
    JobRunner &runner() { return *m_runner; }
    Controllers &controllers() { return m_controllers; }
    AppSettings &settings() { return *m_settings; }
    Messages &messages() { return m_messages; }

private:
    std::unique_ptr<AppSettings> m_settings;
    std::unique_ptr<UserPrompts> m_prompts;
    Workspace m_workspace;
    Messages m_messages;
    std::vector<DeviceInfo> m_devices;
    std::unique_ptr<workflow::Workbench> m_bench; ///< compute thread only
    std::unique_ptr<JobRunner> m_runner; ///< joined before the bench's place goes
    std::unique_ptr<QObject> m_controllerParent; ///< controllers go before the runner
    Controllers m_controllers{};
    std::unique_ptr<MainWindow> m_window;
    QStringList m_scratchFolders; ///< of the documents of this start

    void openArgument(const QString &argument);
    void lookAtMachine();
    void chooseDevice();
    void chooseTheme(int mode);
    void rememberScratch();
};

} // namespace secateur
