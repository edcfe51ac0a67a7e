#include "backend/io/atomic_file.h"

#include "backend/core/error.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace secateur {

namespace {

std::string atomicReason(int error)
{
    return std::generic_category().message(error);
}

[[noreturn]] void atomicFailed(const std::filesystem::path &target, int error)
{
    throw Error(ErrorKind::Io, "The file " + target.string() + " cannot be written: " + atomicReason(error) + ".",
                error == ENOSPC || error == EDQUOT ? "Free some space or choose another folder."
                                                   : "Check the folder and its permissions.");
}

[[noreturn]] void atomicFolderFailed(const std::filesystem::path &target, int error)
{
    throw Error(ErrorKind::Io, "The folder " + target.string() + " cannot be written: " + atomicReason(error) + ".",
                "Check the parent folder and its permissions.");
}

/// The file that a link points to, so that writing keeps the link.
std::filesystem::path atomicResolved(std::filesystem::path target)
{
    std::error_code error;
    if (std::filesystem::is_symlink(target, error)) {
        auto resolved = std::filesystem::canonical(target, error);
        if (!error)
            return resolved;
    }
    return target;
}

std::filesystem::path atomicParent(const std::filesystem::path &target)
{
    return target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
}

/// Makes the rename itself durable. Not every file system can; then the rename is still atomic.
void atomicSyncFolder(const std::filesystem::path &folder)
{
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return;
    ::fsync(descriptor);
    ::close(descriptor);
}

mode_t atomicUserMask()
{
    const mode_t mask = ::umask(0);
    ::umask(mask);
    return mask;
}

} // namespace

AtomicFile::AtomicFile(std::filesystem::path target) : m_target(atomicResolved(std::move(target)))
{
    if (!m_target.has_filename())
        atomicFailed(m_target, EISDIR);
    std::error_code error;
    if (std::filesystem::is_directory(m_target, error))
        atomicFailed(m_target, EISDIR);
    std::string pattern = (atomicParent(m_target) / ("." + m_target.filename().string() + ".XXXXXX")).string();
    m_descriptor = ::mkostemp(pattern.data(), O_CLOEXEC);
    if (m_descriptor < 0)
        atomicFailed(m_target, errno);
    m_temporary = pattern;
    struct stat old = {};
    const mode_t mode = ::stat(m_target.c_str(), &old) == 0 ? old.st_mode & 0777 : 0666 & ~atomicUserMask();
    ::fchmod(m_descriptor, mode); // mkostemp() gives 0600
}

AtomicFile::~AtomicFile()
{
    if (m_descriptor >= 0)
        ::close(m_descriptor);
    if (!m_committed)
        ::unlink(m_temporary.c_str());
}

void AtomicFile::write(const void *data, std::size_t size)
{
    const auto *bytes = static_cast<const char *>(data);
    while (size > 0) {
        // The system call takes at most about 2 GiB at once.
        const ssize_t written = ::write(m_descriptor, bytes, std::min<std::size_t>(size, 1u << 30));
        if (written < 0) {
            if (errno == EINTR)
                continue;
            atomicFailed(m_target, errno);
        }
        bytes += written;
        size -= static_cast<std::size_t>(written);
    }
}

void AtomicFile::commit()
{
    if (m_descriptor < 0 || m_committed)
        return;
    if (::fsync(m_descriptor) != 0 && errno != EINVAL && errno != EROFS)
        atomicFailed(m_target, errno);
    const int descriptor = std::exchange(m_descriptor, -1);
    if (::close(descriptor) != 0)
        atomicFailed(m_target, errno);
    if (::rename(m_temporary.c_str(), m_target.c_str()) != 0)
        atomicFailed(m_target, errno);
    m_committed = true;
    atomicSyncFolder(atomicParent(m_target));
}

void writeFileAtomically(const std::filesystem::path &target, std::string_view contents)
{
    AtomicFile file(target);
    file.write(contents);
    file.commit();
}

std::string readTextFile(const std::filesystem::path &path, std::uint64_t limitBytes)
{
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (status.type() == std::filesystem::file_type::not_found)
        throw Error(ErrorKind::NotFound, "The file " + path.string() + " does not exist.");
    if (status.type() == std::filesystem::file_type::directory)
        throw Error(ErrorKind::Io, path.string() + " is a folder, not a file.");
    std::ifstream stream(path, std::ios::binary);
    if (!stream)
        throw Error(ErrorKind::Io, "The file " + path.string() + " cannot be opened: " + atomicReason(errno) + ".",
                    "Check its permissions.");
    // Read rather than ask for the size: pipes and files in /proc have none.
    std::string text;
    char buffer[1 << 16];
    while (stream.read(buffer, sizeof buffer), stream.gcount() > 0) {
        text.append(buffer, static_cast<std::size_t>(stream.gcount()));
        if (text.size() > limitBytes)
            throw Error(ErrorKind::BadFormat,
                        "The file " + path.string() + " is larger than " + std::to_string(limitBytes)
                            + " bytes, which is too large for a file of its kind.");
    }
    if (stream.bad())
        throw Error(ErrorKind::Io, "The file " + path.string() + " cannot be read: " + atomicReason(errno) + ".");
    return text;
}

AtomicFolder::AtomicFolder(std::filesystem::path target) : m_target(std::move(target))
{
    if (!m_target.has_filename() && m_target.has_parent_path())
        m_target = m_target.parent_path(); // "folder/"
    m_target = atomicResolved(m_target);
    std::error_code error;
    if (m_target.empty() || m_target == m_target.root_path())
        atomicFolderFailed(m_target, EINVAL);
    if (std::filesystem::exists(m_target, error) && !std::filesystem::is_directory(m_target, error))
        atomicFolderFailed(m_target, ENOTDIR);
    std::filesystem::create_directories(atomicParent(m_target), error);
    if (error)
        atomicFolderFailed(m_target, error.value());
    std::string pattern = (atomicParent(m_target) / ("." + m_target.filename().string() + ".XXXXXX")).string();
    if (!::mkdtemp(pattern.data()))
        atomicFolderFailed(m_target, errno);
    m_temporary = pattern;
    ::chmod(m_temporary.c_str(), 0777 & ~atomicUserMask()); // mkdtemp() gives 0700
}

AtomicFolder::~AtomicFolder()
{
    if (m_committed)
        return;
    std::error_code ignored;
    std::filesystem::remove_all(m_temporary, ignored);
}

void AtomicFolder::commit()
{
    if (m_committed)
        return;
    std::error_code ignored;
    if (!std::filesystem::exists(m_target, ignored)) {
        if (::rename(m_temporary.c_str(), m_target.c_str()) != 0)
            atomicFolderFailed(m_target, errno);
    } else if (::renameat2(AT_FDCWD, m_temporary.c_str(), AT_FDCWD, m_target.c_str(), RENAME_EXCHANGE) == 0) {
        std::filesystem::remove_all(m_temporary, ignored); // the old folder is here now
    } else {
        // File systems without an exchange: step aside, and back again if the second rename fails.
        const std::filesystem::path aside = m_temporary.string() + ".old";
        if (::rename(m_target.c_str(), aside.c_str()) != 0)
            atomicFolderFailed(m_target, errno);
        if (::rename(m_temporary.c_str(), m_target.c_str()) != 0) {
            const int reason = errno;
            ::rename(aside.c_str(), m_target.c_str());
            atomicFolderFailed(m_target, reason);
        }
        std::filesystem::remove_all(aside, ignored);
    }
    m_committed = true;
    atomicSyncFolder(atomicParent(m_target));
}

} // namespace secateur
