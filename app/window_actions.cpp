#include "app/window_actions.h"

#include "widgets/theme/theme.h"

#include <QAction>
#include <QActionGroup>
#include <QKeySequence>
#include <QMainWindow>
#include <QMenu>
#include <QMenuBar>
#include <QToolBar>

namespace secateur {

namespace {

constexpr const char *kMenuProperty = "menu";
constexpr const char *kDoesProperty = "does";
constexpr const char *kReasonProperty = "offReason";

QString plainText(const QAction *action)
{
    return QString(action->text()).remove(u'&');
}

} // namespace

QString commandName(const QAction *action)
{
    return action->property(kMenuProperty).toString() + u": "_qs + plainText(action);
}

QString offReason(const QAction *action)
{
    return action->property(kReasonProperty).toString();
}

void setActionOff(QAction *action, const QString &reason, const QString &remedy)
{
    const QString does = action->property(kDoesProperty).toString();
    const QString key = action->shortcut().toString(QKeySequence::NativeText);
    action->setEnabled(reason.isEmpty());
    if (reason.isEmpty()) {
        action->setProperty(kReasonProperty, QString());
        action->setStatusTip(does);
        action->setToolTip(key.isEmpty() ? does : does + u" ("_qs + key + u")"_qs);
        return;
    }
    const QString line = remedy.isEmpty() ? reason : reason + u" "_qs + remedy;
    action->setProperty(kReasonProperty, line);
    action->setStatusTip(line);
    action->setToolTip(
        u"<b>%1</b><br>%2<br>%3"_qs.arg(WindowActions::tr("%1 is off").arg(plainText(action)).toHtmlEscaped(),
                                        reason.toHtmlEscaped(), remedy.toHtmlEscaped()));
}

WindowActions::WindowActions(QMainWindow *window) : QObject(window), m_window(window)
{
    makeFile();
    makeEdit();
    makeView();
    makeModel();
    makeHelp();
}

QAction *WindowActions::add(const QString &menu, const QString &text, const QString &does, const QKeySequence &key,
                            const QString &icon)
{
    auto *action = new QAction(text, this);
    action->setProperty(kMenuProperty, menu);
    action->setProperty(kDoesProperty, does);
    action->setShortcut(key);
    if (!icon.isEmpty())
        action->setIcon(themedIcon(icon));
    m_window->addAction(action);
    m_all.append(action);
    setActionOff(action, {});
    return action;
}

void WindowActions::makeFile()
{
    const QString file = tr("File");
    open = add(file, tr("&Open…"), tr("Open a model, session, adapter, plan or maps"), QKeySequence::Open, u"open"_qs);
    openFolder = add(file, tr("Open &folder…"), tr("Open a model or adapter folder"));
    openSession = add(file, tr("Open s&ession…"), tr("Open a session; it opens without the weights too"),
                      Qt::CTRL | Qt::SHIFT | Qt::Key_O, u"session"_qs);
    save = add(file, tr("&Save"), tr("Save the session"), QKeySequence::Save, u"save"_qs);
    saveAs = add(file, tr("Save &as…"), tr("Save the session under another name"), Qt::CTRL | Qt::SHIFT | Qt::Key_S);
    exportModel = add(file, tr("Export &model…"), tr("Write the current model as a Hugging Face folder"),
                      Qt::CTRL | Qt::Key_E, u"export"_qs);
    exportMaps = add(file, tr("Export ma&ps…"), tr("Write all maps as HDF5"));
    exportPicture
        = add(file, tr("Export &figure…"), tr("Write the picture of this view"), Qt::CTRL | Qt::SHIFT | Qt::Key_E);
    exportData = add(file, tr("Export &data…"), tr("Write the values of the shown map as CSV"));
    exportTable = add(file, tr("Export &table…"), tr("Write the table of this view as CSV"));
    savePlan = add(file, tr("Save p&lan…"), tr("Write the current plan as a file of its own"));
    close = add(file, tr("&Close"), tr("Close the model or session"), Qt::CTRL | Qt::Key_W);
    quit = add(file, tr("&Quit"), tr("Close the program"), QKeySequence::Quit);
    exportMenu = new QMenu(m_window);
    exportMenu->setToolTipsVisible(true);
    exportMenu->setTitle(tr("E&xport"));
    exportMenu->addActions({exportModel, exportMaps, exportPicture, exportData, exportTable});
}

void WindowActions::makeEdit()
{
    const QString edit = tr("Edit");
    undo
        = add(edit, tr("&Undo"), tr("Undo the last edit of selection, locks or plans"), QKeySequence::Undo, u"undo"_qs);
    redo = add(edit, tr("&Redo"), tr("Do it again"), QKeySequence::Redo, u"redo"_qs);
    rename = add(edit, tr("Re&name"), tr("Rename the current plan or run"), Qt::Key_F2);
    remove = add(edit, tr("&Delete"), tr("Delete the current plan or run"));
    find = add(edit, tr("&Find…"), tr("Filter models and plans"), QKeySequence::Find, u"search"_qs);
    settings = add(edit, tr("&Device and threads…"), tr("Choose device, number format and threads"),
                   Qt::ALT | Qt::Key_D, u"settings"_qs);
    device = settings;
    const QString select = tr("Select");
    clearSelection = add(select, tr("&Clear"), tr("Select nothing"), Qt::CTRL | Qt::SHIFT | Qt::Key_A);
    invertSelection = add(select, tr("&Invert"), tr("Select what is not selected"), Qt::CTRL | Qt::Key_I);
    lock = add(select, tr("&Lock or unlock"), tr("Protect the marked or selected units against every method"), {},
               u"lock"_qs);
    threshold = add(select, tr("&Threshold"), tr("Select every unit below a value (T on the map)"));
    nextMap = add(select, tr("&Next map"), tr("Show the next map (M on the map)"));
}

void WindowActions::makeView()
{
    const QString view = tr("View");
    const QStringList tabNames{tr("&Importance"), tr("&Plan"),   tr("&Recovery"),
                               tr("&Evaluation"), tr("&Traces"), tr("&Compare")};
    for (int i = 0; i < tabNames.size(); ++i) {
        QAction *tab = add(view, tabNames.at(i), tr("Show this view"), QKeySequence(Qt::ALT | Qt::Key(Qt::Key_1 + i)));
        tabs.append(tab);
    }
    const QStringList dockNames{tr("Go to Models && plans"), tr("Go to Selection"), tr("Go to Budget"),
                                tr("Go to Jobs"), tr("Go to Log and History")};
    for (int i = 0; i < dockNames.size(); ++i) {
        docks.append(add(view, dockNames.at(i), tr("Show this dock and go to it"),
                         QKeySequence(Qt::CTRL | Qt::Key(Qt::Key_1 + i))));
    }
    themeSystem = add(view, tr("Like the &system"), tr("Light or dark like the desktop"));
    themeLight = add(view, tr("&Light"), tr("Light colours"));
    themeDark = add(view, tr("&Dark"), tr("Dark colours"));
    auto *themes = new QActionGroup(this);
    for (QAction *theme : {themeSystem, themeLight, themeDark}) {
        theme->setCheckable(true);
        themes->addAction(theme);
    }
    resetLayout = add(view, tr("&Reset layout"), tr("Put every dock back to where it was"));
    startPage = add(view, tr("Start pa&ge"), tr("Show the start page; the document stays open"));
    fullScreen = add(view, tr("F&ull screen"), tr("Fill the screen"), QKeySequence::FullScreen);
    nextPane = add(view, tr("Next pane"), tr("Go to the next pane"), Qt::Key_F6);
    previousPane = add(view, tr("Previous pane"), tr("Go to the previous pane"), Qt::SHIFT | Qt::Key_F6);
}

void WindowActions::makeModel()
{
    const QString model = tr("Model");
    calibrate = add(model, tr("&Calibrate…"), tr("Run the model over a calibration set and score its units"),
                    Qt::CTRL | Qt::Key_K, u"calibrate"_qs);
    openMaps = add(model, tr("Open &maps…"), tr("Open maps that were computed before (HDF5)"));
    openTwin
        = add(model, tr("Open s&ibling…"),
              tr("Compare the maps with those of the sibling: a model, a session or maps (HDF5)"), {}, u"compare"_qs);
    closeTwin = add(model, tr("Close si&bling"), tr("Take the sibling's maps out of the session"));
    locate = add(model, tr("&Locate weights…"), tr("Show where the weights of this session are"));
    const QString plan = tr("Plan");
    prune = add(plan, tr("&Prune…"), tr("Plan the removal of the selected units"), Qt::CTRL | Qt::Key_P, u"prune"_qs);
    newChildPlan = add(plan, tr("New &child plan"), tr("New child plan of the current one, without computing it"),
                       Qt::CTRL | Qt::ALT | Qt::Key_N, u"plus"_qs);
    scoreAndPrune = add(plan, tr("&Score and prune"), tr("Carry out the primary action of this view"),
                        Qt::CTRL | Qt::Key_Return, u"play"_qs);
    const QString run = tr("Run");
    recover
        = add(run, tr("&Recover…"), tr("Train an adapter on the current plan"), Qt::CTRL | Qt::Key_R, u"recover"_qs);
    stopAndKeep = add(run, tr("&Stop and keep"), tr("End the training run after its step and keep the weights"));
    evaluate = add(run, tr("&Evaluate…"), tr("Choose tasks; the dense baseline is measured too"), Qt::CTRL | Qt::Key_T,
                   u"check"_qs);
    cancelJobs = add(run, tr("&Cancel all jobs"), tr("Stop the running job and drop the waiting ones"));
}

void WindowActions::makeHelp()
{
    const QString tools = tr("Tools");
    commands
        = add(tools, tr("&Commands"), tr("Every action in one list"), Qt::CTRL | Qt::SHIFT | Qt::Key_P, u"search"_qs);
    copyCommand = add(tools, tr("Copy as command &line"), tr("The equal command line to the clipboard"));
    const QString help = tr("Help");
    helpCard = add(help, tr("&What am I looking at?"), tr("Help card of this view"), Qt::Key_F1, u"help"_qs);
    firstSteps = add(help, tr("&First steps"), tr("Open, look, prune, compare in five minutes"));
    methodCards = add(help, tr("&Method cards"), tr("Formula, paper and cost of each method"));
    keyboard = add(help, tr("&Keyboard"), tr("List of shortcuts"));
    about = add(help, tr("&About Secateur"), tr("Version and licence"));
}

void WindowActions::fillMenus(QMainWindow *window, const QList<QAction *> &dockToggles)
{
    QMenuBar *bar = window->menuBar();
    const auto menu = [bar](const QString &title) {
        QMenu *added = bar->addMenu(title);
        added->setToolTipsVisible(true);
        return added;
    };
    QMenu *file = menu(tr("&File"));
    file->addActions({open, openFolder, openSession});
    file->addSeparator();
    file->addActions({save, saveAs, savePlan});
    file->addMenu(exportMenu);
    file->addSeparator();
    file->addActions({close, quit});
    QMenu *edit = menu(tr("&Edit"));
    edit->addActions({undo, redo});
    edit->addSeparator();
    edit->addActions({rename, remove, find});
    edit->addSeparator();
    edit->addAction(settings);
    QMenu *view = menu(tr("&View"));
    view->addActions(tabs);
    view->addSeparator();
    QMenu *dockMenu = view->addMenu(tr("&Docks"));
    dockMenu->addActions(dockToggles);
    dockMenu->addSeparator();
    dockMenu->addActions(docks);
    QMenu *theme = view->addMenu(tr("T&heme"));
    theme->addActions({themeSystem, themeLight, themeDark});
    view->addSeparator();
    view->addActions({startPage, resetLayout, fullScreen});
    view->addSeparator();
    view->addActions({nextPane, previousPane});
    menu(tr("&Select"))->addActions({clearSelection, invertSelection, lock, threshold, nextMap});
    menu(tr("&Model"))->addActions({calibrate, openMaps, openTwin, closeTwin, locate});
    menu(tr("&Plan"))->addActions({prune, newChildPlan, scoreAndPrune});
    menu(tr("&Run"))->addActions({recover, stopAndKeep, evaluate, cancelJobs});
    menu(tr("&Tools"))->addActions({commands, copyCommand, settings});
    QMenu *help = menu(tr("&Help"));
    help->addActions({helpCard, firstSteps, methodCards, keyboard});
    help->addSeparator();
    help->addAction(about);
}

void WindowActions::fillToolBar(QToolBar *bar)
{
    bar->addAction(open);
    bar->addSeparator();
    bar->addActions({calibrate, prune, recover, evaluate});
    bar->addSeparator();
}

void WindowActions::update(const ActionState &state)
{
    const QString noModel = state.hasModel ? QString() : tr("No model or session is open.");
    const QString openOne = tr("Open one first (Ctrl+O).");
    QString noWeights = noModel;
    QString weightsRemedy = openOne;
    if (state.hasModel && !state.hasWeights) {
        noWeights = state.isLoading ? tr("The weights of %1 are being loaded.").arg(state.modelName)
                                    : tr("It needs the weights of %1, which were not found.").arg(state.modelName);
        weightsRemedy = state.isLoading ? tr("Wait a moment.") : tr("Use “Locate…”.");
    }
    const QString noMaps = !noModel.isEmpty() ? noModel : state.hasMaps ? QString() : tr("There are no maps yet.");
    const QString calibrateFirst = noModel.isEmpty() ? tr("Calibrate first (Ctrl+K).") : openOne;

    setActionOff(save, noModel, openOne);
    setActionOff(saveAs, noModel, openOne);
    setActionOff(close, noModel, openOne);
    setActionOff(exportModel, noWeights, weightsRemedy);
    setActionOff(exportMaps, noMaps, calibrateFirst);
    setActionOff(exportPicture, noMaps.isEmpty() || state.hasReports ? QString() : noMaps, calibrateFirst);
    setActionOff(exportData, noMaps, calibrateFirst);
    setActionOff(exportTable, noModel, openOne);
    const QString noPlan = state.isPlanCurrent ? QString() : tr("No plan is current.");
    setActionOff(savePlan, noPlan, tr("Choose one in Models & plans."));
    const QString noRecord = state.isRecordCurrent ? QString() : tr("No plan or run is current.");
    setActionOff(rename, noRecord, tr("Choose one in Models & plans."));
    setActionOff(remove, state.isBusy && state.isRecordCurrent ? tr("A running job may need it.") : noRecord,
                 state.isBusy && state.isRecordCurrent ? tr("Wait for the job or cancel it.")
                                                       : tr("Choose one in Models & plans."));
    setActionOff(calibrate, noWeights, weightsRemedy);
    setActionOff(openMaps, noModel, openOne);
    setActionOff(openTwin, noMaps, calibrateFirst);
    setActionOff(closeTwin, state.hasTwin ? QString() : tr("No sibling is open."), tr("Use “Open sibling…” first."));
    setActionOff(locate,
                 !noModel.isEmpty()     ? noModel
                     : state.hasWeights ? tr("The weights are there.")
                                        : QString(),
                 noModel.isEmpty() ? QString() : openOne);
    const QString noSelection = !noModel.isEmpty() ? noModel
        : state.hasSelection                       ? QString()
                                                   : tr("Nothing is selected.");
    const QString selectFirst = noModel.isEmpty() ? tr("Select units in the Importance view.") : openOne;
    setActionOff(clearSelection, noSelection, selectFirst);
    setActionOff(lock, noSelection, selectFirst);
    setActionOff(invertSelection, noModel, openOne);
    setActionOff(threshold, noMaps, calibrateFirst);
    setActionOff(nextMap, noMaps, calibrateFirst);
    setActionOff(prune,
                 !noWeights.isEmpty() ? noWeights
                     : state.hasSelection || state.hasMaps
                     ? QString()
                     : tr("There is neither a selection nor a map to choose from."),
                 !noWeights.isEmpty() ? weightsRemedy : calibrateFirst);
    setActionOff(newChildPlan,
                 !noModel.isEmpty()         ? noModel
                     : state.isPlanPossible ? QString()
                                            : tr("The Plan view has nothing to remove."),
                 noModel.isEmpty() ? tr("Choose a method there, or select units.") : openOne);
    setActionOff(scoreAndPrune, noModel, openOne);
    setActionOff(recover, !noWeights.isEmpty() ? noWeights : noPlan,
                 !noWeights.isEmpty() ? weightsRemedy : tr("Prune first, or choose a plan in Models & plans."));
    setActionOff(evaluate, noWeights, weightsRemedy);
    setActionOff(cancelJobs, state.isBusy ? QString() : tr("No job is running."));
    setActionOff(copyCommand, noModel, openOne);
    for (QAction *tab : std::as_const(tabs))
        setActionOff(tab, noModel, openOne);
}

} // namespace secateur
