#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace secateur {

/// Writes beside the target and renames on commit(): after any failure the old file is still whole and nothing else is
/// left behind. Throws Error(Io) naming the target and the system's reason ("No space left on device").
class AtomicFile {
public:
    explicit AtomicFile(std::filesystem::path target);
    ~AtomicFile(); ///< removes the temporary file when not committed
    AtomicFile(const AtomicFile &) = delete;
    AtomicFile &operator=(const AtomicFile &) = delete;

    void write(const void *data, std::size_t size);
    void write(std::string_view text) { write(text.data(), text.size()); }
    void commit(); ///< flush, fsync, rename
    const std::filesystem::path &temporaryPath() const { return m_temporary; }

private:
    std::filesystem::path m_target;
    std::filesystem::path m_temporary;
    int m_descriptor = -1;
    bool m_committed = false;
};

/// Whole small file at once.
void writeFileAtomically(const std::filesystem::path &target, std::string_view contents);

/// Whole text file. Throws Error(NotFound or Io) naming the file; \a limitBytes guards against absurd sizes.
std::string readTextFile(const std::filesystem::path &path, std::uint64_t limitBytes = 256ull << 20);

/// A folder that appears whole or not at all: work in path(), then commit() renames it to the target. An existing
/// target is replaced only on commit. Throws Error(Io).
class AtomicFolder {
public:
    explicit AtomicFolder(std::filesystem::path target);
    ~AtomicFolder();
    AtomicFolder(const AtomicFolder &) = delete;
    AtomicFolder &operator=(const AtomicFolder &) = delete;
    const std::filesystem::path &path() const { return m_temporary; }
    void commit();

private:
    std::filesystem::path m_target;
    std::filesystem::path m_temporary;
    bool m_committed = false;
};

} // namespace secateur
