#include "app/output_folders.h"

#include "app/qt_paths.h"
#include "app/workspace.h"

#include <QStandardPaths>

namespace secateur {

QString scratchRoot()
{
    return QStandardPaths::writableLocation(QStandardPaths::GenericDataLocation) + u"/secateur/unsaved"_qs;
}

std::filesystem::path adapterFolderBeside(const std::filesystem::path &session, const std::string &run)
{
    return session.parent_path() / (session.stem().string() + ".adapters") / run;
}

std::filesystem::path adapterFolderFor(const Workspace &workspace, const std::string &run)
{
    if (!workspace.filePath().isEmpty())
        return adapterFolderBeside(toPath(workspace.filePath()), run);
    return toPath(workspace.scratchFolder()) / "adapters" / run;
}

std::filesystem::path resultsFolderFor(const Workspace &workspace, const std::string &subject)
{
    if (!workspace.filePath().isEmpty()) {
        const auto session = toPath(workspace.filePath());
        return session.parent_path() / (session.stem().string() + ".results") / subject;
    }
    return toPath(workspace.scratchFolder()) / "results" / subject;
}

} // namespace secateur
