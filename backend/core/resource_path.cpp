#include "backend/core/resource_path.h"

#include <cstdlib>
#include <system_error>

namespace secateur {

namespace {

std::filesystem::path resourceVariable(const char *name)
{
    const char *value = std::getenv(name);
    return value ? std::filesystem::path(value) : std::filesystem::path();
}

} // namespace

std::filesystem::path resourceDirectory()
{
    if (auto path = resourceVariable("SECATEUR_RESOURCES"); !path.empty())
        return path;
    std::error_code error;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
    if (!error) {
        // Installed: bin/secateur and share/secateur in one prefix. Portable: share beside the program itself.
        const auto folder = program.parent_path();
        for (const auto &prefix : {folder.parent_path(), folder})
            if (auto path = prefix / "share" / "secateur"; std::filesystem::is_directory(path, error))
                return path;
    }
    return SECATEUR_SOURCE_RESOURCES;
}

std::filesystem::path cacheDirectory()
{
    // The XDG rules ask to ignore a relative path.
    if (const auto cache = resourceVariable("XDG_CACHE_HOME"); cache.is_absolute())
        return cache / "secateur";
    if (const auto home = resourceVariable("HOME"); !home.empty())
        return home / ".cache" / "secateur";
    std::error_code error;
    const auto temporary = std::filesystem::temp_directory_path(error);
    return (error ? std::filesystem::path("/tmp") : temporary) / "secateur-cache";
}

const char *versionString()
{
    return SECATEUR_VERSION;
}

} // namespace secateur
