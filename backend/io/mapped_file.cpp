#include "backend/io/mapped_file.h"

#include "backend/core/error.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace secateur {

MappedFile::MappedFile(const std::filesystem::path &path) : m_path(path)
{
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        const int reason = errno;
        throw Error(reason == ENOENT || reason == ENOTDIR ? ErrorKind::NotFound : ErrorKind::Io,
                    "The file " + path.string() + " cannot be opened: " + std::generic_category().message(reason) + ".",
                    "Check the path and its permissions.");
    }
    const struct Closer {
        int descriptor;
        ~Closer() { ::close(descriptor); }
    } closer{descriptor};

    struct stat status = {};
    if (::fstat(descriptor, &status) != 0)
        throw Error(ErrorKind::Io,
                    "The size of " + path.string() + " cannot be read: " + std::generic_category().message(errno)
                        + ".");
    if (!S_ISREG(status.st_mode))
        throw Error(ErrorKind::Io, path.string() + " is not a regular file.");
    m_size = static_cast<std::uint64_t>(status.st_size);
    if (m_size == 0)
        return; // an empty range cannot be mapped
    void *address = ::mmap(nullptr, m_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED)
        throw Error(errno == ENOMEM ? ErrorKind::OutOfMemory : ErrorKind::Io,
                    "The file " + path.string()
                        + " cannot be mapped into memory: " + std::generic_category().message(errno) + ".");
    m_mapping = std::shared_ptr<const void>(address,
                                            [size = m_size](const void *p) { ::munmap(const_cast<void *>(p), size); });
}

std::span<const std::byte> MappedFile::bytes(std::uint64_t offset, std::uint64_t count) const
{
    if (offset > m_size || count > m_size - offset)
        throw Error(ErrorKind::BadFormat,
                    m_path.filename().string() + " ends early: bytes " + std::to_string(offset) + " to "
                        + std::to_string(offset) + " + " + std::to_string(count) + " are needed, but the file has only "
                        + std::to_string(m_size) + " bytes.",
                    "Download or copy the file again.");
    if (count == 0)
        return {};
    return {static_cast<const std::byte *>(m_mapping.get()) + offset, static_cast<std::size_t>(count)};
}

std::string MappedFile::sample() const
{
    constexpr std::uint64_t kPieces = 64;
    constexpr std::uint64_t kBytes = 64;
    std::string text;
    for (std::uint64_t piece = 0; piece < kPieces; ++piece) {
        const std::uint64_t offset = m_size / kPieces * piece;
        const auto part = bytes(offset, std::min(kBytes, m_size - offset));
        text.append(reinterpret_cast<const char *>(part.data()), part.size());
    }
    return text;
}

void MappedFile::release(std::uint64_t offset, std::uint64_t count) const
{
    if (!m_mapping || offset > m_size || count > m_size - offset)
        return;
    // Whole pages inside the range only: a neighbour may share the first and the last one.
    static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::uint64_t begin = (offset + page - 1) / page * page;
    const std::uint64_t end = (offset + count) / page * page;
    if (begin < end) {
        auto *address = static_cast<std::byte *>(const_cast<void *>(m_mapping.get())) + begin;
        ::madvise(address, static_cast<std::size_t>(end - begin), MADV_DONTNEED);
    }
}

} // namespace secateur
