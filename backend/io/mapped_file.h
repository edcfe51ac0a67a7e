#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace secateur {

/// Read-only memory mapping of a whole file. Copies share the mapping.
class MappedFile {
public:
    MappedFile() = default;
    /// Throws Error(NotFound or Io) naming the file.
    explicit MappedFile(const std::filesystem::path &path);

    std::uint64_t size() const { return m_size; }
    const std::filesystem::path &path() const { return m_path; }
    /// Bounds-checked: throws Error(BadFormat) naming the file when the range is outside.
    std::span<const std::byte> bytes(std::uint64_t offset, std::uint64_t count) const;
    std::span<const std::byte> all() const { return bytes(0, m_size); }
    /// 64 pieces of 64 bytes, evenly spread: tells siblings with equal headers apart without reading their files.
    std::string sample() const;
    /// Tells the system that the pages of this range will not be needed again (streaming).
    void release(std::uint64_t offset, std::uint64_t count) const;

private:
    std::filesystem::path m_path;
    std::shared_ptr<const void> m_mapping;
    std::uint64_t m_size = 0;
};

} // namespace secateur
