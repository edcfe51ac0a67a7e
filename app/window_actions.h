#pragma once

#include <QKeySequence>
#include <QList>
#include <QObject>
#include <QString>

class QAction;
class QActionGroup;
class QMainWindow;
class QMenu;
class QToolBar;

namespace secateur {

/// What decides which actions are on.
struct ActionState {
    bool hasModel = false;
    bool hasWeights = false;
    bool isLoading = false;
    bool hasMaps = false;
    bool hasTwin = false;
    bool hasSelection = false;
    bool isPlanCurrent = false;
    bool isRecordCurrent = false; ///< a plan or a run: can be renamed and deleted
    bool hasReports = false;
    bool isDirty = false;
    bool isPlanPossible = false; ///< the Plan view's preview
    bool isBusy = false;
    QString modelName;
};

/// Every action of the program: text, shortcut, what it does, and, when it is off, why and what to do.
class WindowActions : public QObject {
    Q_OBJECT
public:
    explicit WindowActions(QMainWindow *window);

    // File
    QAction *open, *openFolder, *openSession, *save, *saveAs, *close, *exportModel, *exportMaps, *exportPicture,
        *exportData, *exportTable, *savePlan, *quit;
    QMenu *exportMenu; ///< also behind the toolbar's Export…
    // Edit
    QAction *undo, *redo, *rename, *remove, *find, *settings;
    // View
    QList<QAction *> tabs; ///< Alt+1 … Alt+6
    QList<QAction *> docks; ///< Ctrl+1 … Ctrl+5
    QAction *themeSystem, *themeLight, *themeDark, *resetLayout, *startPage, *fullScreen, *nextPane, *previousPane;
    // Select
    QAction *clearSelection, *invertSelection, *lock, *threshold, *nextMap;
    // Model
    QAction *calibrate, *locate, *device, *openMaps, *openTwin, *closeTwin;
    // Plan
    QAction *prune, *newChildPlan, *scoreAndPrune;
    // Run
    QAction *recover, *stopAndKeep, *evaluate, *cancelJobs;
    // Tools
    QAction *commands, *copyCommand;
    // Help
    QAction *helpCard, *firstSteps, *methodCards, *keyboard, *about;

    void fillMenus(QMainWindow *window, const QList<QAction *> &dockToggles);
    void fillToolBar(QToolBar *bar);
    /// Switches every action on or off, with the reason in tooltip, status tip and palette.
    void update(const ActionState &state);
    QList<QAction *> all() const { return m_all; }

private:
    QList<QAction *> m_all;
    QMainWindow *m_window;

    QAction *add(const QString &menu, const QString &text, const QString &does, const QKeySequence &key = {},
                 const QString &icon = {});
    void makeFile();
    void makeEdit();
    void makeView();
    void makeModel();
    void makeHelp();
};

/// "File: Open…" without mnemonics.
QString commandName(const QAction *action);
/// Why \a action is off, in one line; empty when it is on.
QString offReason(const QAction *action);
/// Switches \a action off with what to do about it, or on when \a reason is empty.
void setActionOff(QAction *action, const QString &reason, const QString &remedy = {});

} // namespace secateur
