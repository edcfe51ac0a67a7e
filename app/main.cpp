#include "app/application.h"
#include "app/guarded_application.h"
#include "backend/core/resource_path.h"

#include <QCommandLineParser>
#include <QElapsedTimer>

#include <clocale>
#include <cstdio>
#include <cstdlib>

using namespace secateur;

int main(int argc, char *argv[])
{
    QElapsedTimer sinceMain;
    sinceMain.start();
    // Read by OpenMP when LibTorch first uses it: threads that wait actively slow everything down on a busy machine.
    ::setenv("OMP_WAIT_POLICY", "passive", 0);
    GuardedApplication application(argc, argv);
    std::setlocale(LC_NUMERIC, "C"); // QApplication has set the user's; files and models are locale-free
    QCoreApplication::setApplicationName(u"secateur"_qs);
    QCoreApplication::setApplicationVersion(QString::fromLatin1(versionString()));
    QGuiApplication::setDesktopFileName(u"secateur"_qs);

    installTranslations(application);

    QCommandLineParser parser;
    parser.setApplicationDescription(Application::tr("An interactive pruning bench for reasoning language models"));
    parser.addHelpOption();
    parser.addVersionOption();
    const QCommandLineOption theme(u"theme"_qs, Application::tr("Colours of this start: light or dark."), u"mode"_qs);
    parser.addOption(theme);
    parser.addPositionalArgument(u"FILE"_qs, Application::tr("Models, sessions, plans, maps or adapters to open."),
                                 u"[FILE…]"_qs);
    parser.process(application);
    const QString mode = parser.value(theme);
    if (parser.isSet(theme) && mode != u"light" && mode != u"dark") {
        std::fprintf(stderr, "secateur: --theme is 'light' or 'dark', not '%s'\n", qPrintable(mode));
        return 2;
    }

    Application program;
    if (parser.isSet(theme))
        applyTheme(application, mode == u"dark" ? ThemeMode::Dark : ThemeMode::Light);
    if (qEnvironmentVariableIsSet("SECATEUR_TRACE_START"))
        QObject::connect(&program.window(), &MainWindow::firstPainted, &program, [&sinceMain] {
            std::fprintf(stderr, "first paint %lld ms after main\n", static_cast<long long>(sinceMain.elapsed()));
        });
    program.start(parser.positionalArguments());
    return application.exec();
}
