#pragma once

#include <QFile>
#include <QString>

#include <filesystem>
#include <string>

namespace secateur {

/// The only way between the paths of Qt and those of the backend.
inline std::filesystem::path toPath(const QString &text)
{
    return QFile::encodeName(text).toStdString();
}

inline QString fromPath(const std::filesystem::path &path)
{
    return QFile::decodeName(path.native().c_str());
}

inline QString qString(const std::string &text)
{
    return QString::fromStdString(text);
}

} // namespace secateur
