#pragma once

#include "backend/core/run_config.h"
#include "widgets/theme/theme.h"

#include <QByteArray>
#include <QDateTime>
#include <QList>
#include <QSettings>
#include <QString>
#include <QStringList>

#include <memory>

namespace secateur {

/// One line of the Recent list.
struct RecentEntry {
    enum class Kind { Model, Session };
    Kind kind = Kind::Model;
    QString path;
    QString title;
    QString detail;
    QDateTime opened;
    QByteArray thumbnail; ///< PNG of the last map, may be empty
};

/// Typed access to what the program remembers between starts. State of the window only: whatever changes a result
/// lives in the session.
class AppSettings {
public:
    /// The user's own settings.
    AppSettings();
    /// Settings in \a file, for tests.
    explicit AppSettings(const QString &file);

    ThemeMode theme() const;
    void setTheme(ThemeMode mode);
    bool showStartPage() const;
    void setShowStartPage(bool show);

    ComputeSettings compute() const;
    void setCompute(const ComputeSettings &compute);

    QString dataFolder() const; ///< rows of evaluation tasks
    void setDataFolder(const QString &folder);
    QStringList trainingData() const; ///< files that were added to the Recovery view
    void setTrainingData(const QStringList &files);
    QStringList probes(const QStringList &standard) const; ///< questions of the Recovery view
    void setProbes(const QStringList &questions);
    QString lastFolder() const;
    void setLastFolder(const QString &folder);

    QList<RecentEntry> recent() const;
    void addRecent(const RecentEntry &entry); ///< to the front; an older one of the same path goes
    void removeRecent(const QString &path);
    void setRecentThumbnail(const QString &path, const QByteArray &png);

    QByteArray geometry() const;
    void setGeometry(const QByteArray &geometry);
    QByteArray layout(const QString &tab) const;
    void setLayout(const QString &tab, const QByteArray &state);
    void clearLayouts();

private:
    std::unique_ptr<QSettings> m_settings;

    void upgrade();
    void writeRecent(const QList<RecentEntry> &entries);
};

} // namespace secateur
