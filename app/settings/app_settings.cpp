#include "app/settings/app_settings.h"

#include <QDir>

namespace secateur {

namespace {

constexpr int kSettingsVersion = 1;
constexpr int kMaxRecent = 12;

QString themeName(ThemeMode mode)
{
    switch (mode) {
    case ThemeMode::Light:
        return u"light"_qs;
    case ThemeMode::Dark:
        return u"dark"_qs;
    case ThemeMode::System:
        break;
    }
    return u"system"_qs;
}

} // namespace

AppSettings::AppSettings() : m_settings(std::make_unique<QSettings>(u"secateur"_qs, u"secateur"_qs))
{
    upgrade();
}

AppSettings::AppSettings(const QString &file) : m_settings(std::make_unique<QSettings>(file, QSettings::IniFormat))
{
    upgrade();
}

void AppSettings::upgrade()
{
    // A newer program's dock layouts may not fit this one; everything else is read key by key with defaults.
    if (m_settings->value(u"settings/version"_qs, kSettingsVersion).toInt() > kSettingsVersion)
        clearLayouts();
    m_settings->setValue(u"settings/version"_qs, kSettingsVersion);
}

ThemeMode AppSettings::theme() const
{
    const QString name = m_settings->value(u"appearance/theme"_qs).toString();
    return name == u"light" ? ThemeMode::Light : name == u"dark" ? ThemeMode::Dark : ThemeMode::System;
}

void AppSettings::setTheme(ThemeMode mode)
{
    m_settings->setValue(u"appearance/theme"_qs, themeName(mode));
}

bool AppSettings::showStartPage() const
{
    return m_settings->value(u"start/show"_qs, true).toBool();
}

void AppSettings::setShowStartPage(bool show)
{
    m_settings->setValue(u"start/show"_qs, show);
}

ComputeSettings AppSettings::compute() const
{
    ComputeSettings compute;
    compute.device = m_settings->value(u"compute/device"_qs, u"cpu"_qs).toString().toStdString();
    compute.dtype = m_settings->value(u"compute/dtype"_qs, u"auto"_qs).toString().toStdString();
    compute.threads = m_settings->value(u"compute/threads"_qs, 0).toInt();
    compute.kernels = m_settings->value(u"compute/kernels"_qs, u"own"_qs).toString().toStdString();
    return compute;
}

void AppSettings::setCompute(const ComputeSettings &compute)
{
    m_settings->setValue(u"compute/device"_qs, QString::fromStdString(compute.device));
    m_settings->setValue(u"compute/dtype"_qs, QString::fromStdString(compute.dtype));
    m_settings->setValue(u"compute/threads"_qs, compute.threads);
    m_settings->setValue(u"compute/kernels"_qs, QString::fromStdString(compute.kernels));
}

QString AppSettings::dataFolder() const
{
    return m_settings->value(u"evaluation/dataFolder"_qs).toString();
}

void AppSettings::setDataFolder(const QString &folder)
{
    m_settings->setValue(u"evaluation/dataFolder"_qs, folder);
}

QStringList AppSettings::trainingData() const
{
    return m_settings->value(u"recovery/data"_qs).toStringList();
}

void AppSettings::setTrainingData(const QStringList &files)
{
    m_settings->setValue(u"recovery/data"_qs, files);
}

QStringList AppSettings::probes(const QStringList &standard) const
{
    return m_settings->value(u"recovery/probes"_qs, standard).toStringList();
}

void AppSettings::setProbes(const QStringList &questions)
{
    m_settings->setValue(u"recovery/probes"_qs, questions);
}

QString AppSettings::lastFolder() const
{
    return m_settings->value(u"files/lastFolder"_qs, QDir::homePath()).toString();
}

void AppSettings::setLastFolder(const QString &folder)
{
    m_settings->setValue(u"files/lastFolder"_qs, folder);
}

QList<RecentEntry> AppSettings::recent() const
{
    QList<RecentEntry> entries;
    const int count = m_settings->beginReadArray(u"recent"_qs);
    for (int i = 0; i < count; ++i) {
        m_settings->setArrayIndex(i);
        RecentEntry entry;
        entry.kind = m_settings->value(u"kind"_qs).toString() == u"session" ? RecentEntry::Kind::Session
                                                                            : RecentEntry::Kind::Model;
        entry.path = m_settings->value(u"path"_qs).toString();
        entry.title = m_settings->value(u"title"_qs).toString();
        entry.detail = m_settings->value(u"detail"_qs).toString();
        entry.opened = m_settings->value(u"opened"_qs).toDateTime();
        entry.thumbnail = m_settings->value(u"thumbnail"_qs).toByteArray();
        if (!entry.path.isEmpty())
            entries.append(entry);
    }
    m_settings->endArray();
    return entries;
}

void AppSettings::writeRecent(const QList<RecentEntry> &entries)
{
    m_settings->remove(u"recent"_qs);
    m_settings->beginWriteArray(u"recent"_qs);
    for (int i = 0; i < entries.size(); ++i) {
        const RecentEntry &entry = entries.at(i);
        m_settings->setArrayIndex(i);
        m_settings->setValue(u"kind"_qs, entry.kind == RecentEntry::Kind::Session ? u"session"_qs : u"model"_qs);
        m_settings->setValue(u"path"_qs, entry.path);
        m_settings->setValue(u"title"_qs, entry.title);
        m_settings->setValue(u"detail"_qs, entry.detail);
        m_settings->setValue(u"opened"_qs, entry.opened);
        m_settings->setValue(u"thumbnail"_qs, entry.thumbnail);
    }
    m_settings->endArray();
}

void AppSettings::addRecent(const RecentEntry &entry)
{
    QList<RecentEntry> entries = recent();
    RecentEntry added = entry;
    for (const RecentEntry &old : entries) {
        if (old.path == entry.path && added.thumbnail.isEmpty())
            added.thumbnail = old.thumbnail;
    }
    entries.removeIf([&](const RecentEntry &old) { return old.path == entry.path; });
    entries.prepend(added);
    while (entries.size() > kMaxRecent)
        entries.removeLast();
    writeRecent(entries);
}

void AppSettings::removeRecent(const QString &path)
{
    QList<RecentEntry> entries = recent();
    entries.removeIf([&](const RecentEntry &entry) { return entry.path == path; });
    writeRecent(entries);
}

void AppSettings::setRecentThumbnail(const QString &path, const QByteArray &png)
{
    QList<RecentEntry> entries = recent();
    for (RecentEntry &entry : entries) {
        if (entry.path == path)
            entry.thumbnail = png;
    }
    writeRecent(entries);
}

QByteArray AppSettings::geometry() const
{
    return m_settings->value(u"window/geometry"_qs).toByteArray();
}

void AppSettings::setGeometry(const QByteArray &geometry)
{
    m_settings->setValue(u"window/geometry"_qs, geometry);
}

QByteArray AppSettings::layout(const QString &tab) const
{
    return m_settings->value(u"window/layout/"_qs + tab).toByteArray();
}

void AppSettings::setLayout(const QString &tab, const QByteArray &state)
{
    m_settings->setValue(u"window/layout/"_qs + tab, state);
}

void AppSettings::clearLayouts()
{
    m_settings->remove(u"window/layout"_qs);
}

} // namespace secateur
