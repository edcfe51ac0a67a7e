#pragma once

#include "app/app_services.h"
#include "app/settings/app_settings.h"

#include <QObject>
#include <QSet>
#include <QString>
#include <QStringList>

#include <functional>

namespace secateur {

class CalibrationController;
class LoadController;
class PruningController;

/// What a dropped or opened path turned out to be.
struct RecognisedFile {
    enum class Kind { Model, Session, Plan, Maps, Adapter, Unknown };
    Kind kind = Kind::Unknown;
    QString path; ///< what to open: the folder for files inside of one
};
/// Looks at names and the first bytes; reads no weights. Any thread.
RecognisedFile recogniseFile(const QString &path);

/// Opens and saves the document, keeps the Recent list, and asks before unsaved work is lost.
class DocumentController : public QObject {
    Q_OBJECT
public:
    DocumentController(const AppServices &services, LoadController *load, CalibrationController *calibration,
                       PruningController *pruning, QObject *parent = nullptr);

    void askOpen();
    void askOpenFolder();
    void askOpenSession();
    /// Anything the program knows; says what it recognised.
    void openAny(const QString &path);
    void openModel(const QString &argument); ///< asks about unsaved work first
    void openSession(const QString &path);
    void openExample(const QString &model); ///< a copy of the session that came with a bundled model
    void closeDocument();

    void save(std::function<void()> then = {});
    void saveAs(std::function<void()> then = {});
    /// Asks when there is something to lose, then runs \a then; not after Cancel or a failed save.
    void whenSafe(std::function<void()> then);

    /// Looks which entries of the Recent list are still there.
    void checkRecent();
    bool isMissing(const QString &path) const { return m_missing.contains(path); }
    void addRecent(RecentEntry::Kind kind, const QString &path);
    void setThumbnail(const QByteArray &png);

Q_SIGNALS:
    void recentChanged();
    void sessionOpened();

private:
    AppServices m_services;
    LoadController *m_load;
    CalibrationController *m_calibration;
    PruningController *m_pruning;
    QSet<QString> m_missing;
    QString m_documentPath; ///< of the Recent entry that the open document belongs to

    void saveTo(const QString &path, std::function<void()> then);
    void openSessionFile(const QString &path, bool asCopy);
    void openRecognised(const RecognisedFile &file);
};

} // namespace secateur
