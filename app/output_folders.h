#pragma once

#include <QString>

#include <filesystem>
#include <string>

namespace secateur {

class Workspace;

/// Where jobs write what they append while they run: beside the session file, or in the scratch folder of a document
/// that has no file yet.
std::filesystem::path resultsFolderFor(const Workspace &workspace, const std::string &subject);
std::filesystem::path adapterFolderFor(const Workspace &workspace, const std::string &run);

/// "<folder>/<stem>.adapters/<run>" beside the session file \a session.
std::filesystem::path adapterFolderBeside(const std::filesystem::path &session, const std::string &run);

/// Root of all scratch folders: $XDG_DATA_HOME/secateur/unsaved.
QString scratchRoot();

} // namespace secateur
