#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace secateur {

/// hid_t, without its header.
using Hdf5Handle = std::int64_t;

/// Hold one while any HDF5 call is made: the library is not thread-safe everywhere, and it prints its errors to the
/// terminal on every thread on which nobody has silenced it.
class Hdf5Scope {
public:
    Hdf5Scope();
    ~Hdf5Scope();
    Hdf5Scope(const Hdf5Scope &) = delete;
    Hdf5Scope &operator=(const Hdf5Scope &) = delete;

private:
    std::unique_lock<std::mutex> m_lock;
    int (*m_printer)(Hdf5Handle, void *) = nullptr;
    void *m_printerData = nullptr;
};

/// Owns one HDF5 id of any kind.
class Hdf5Id {
public:
    Hdf5Id() = default;
    explicit Hdf5Id(Hdf5Handle id) : m_id(id) { }
    ~Hdf5Id() { reset(); }
    Hdf5Id(Hdf5Id &&other) noexcept : m_id(other.m_id) { other.m_id = -1; }
    Hdf5Id &operator=(Hdf5Id &&other) noexcept;
    Hdf5Handle get() const { return m_id; }
    Hdf5Handle release() noexcept { return std::exchange(m_id, -1); }
    explicit operator bool() const { return m_id >= 0; }

private:
    void reset() noexcept;
    Hdf5Handle m_id = -1;
};

/// How a two-dimensional data set is stored.
struct Hdf5Layout {
    std::vector<std::uint64_t> chunk; ///< empty: contiguous, no filters
    int deflate = 0;
};

/// One HDF5 file and the few operations the archive needs. Objects are named by absolute path; every return code is
/// checked and becomes an Error naming the file, the object and the library's reason. Use inside a Hdf5Scope.
class Hdf5File {
public:
    /// A file that grows in memory until image() is asked for. HDF5 cannot recover from a failed write (a full disk
    /// ends in a crash when the library shuts down), so it never writes to the disk itself. \a shownPath is for
    /// messages.
    static Hdf5File create(const std::filesystem::path &shownPath);
    /// Throws Error(NotFound, BadFormat or Io).
    static Hdf5File open(const std::filesystem::path &path);

    /// Closes a created file and returns its bytes.
    std::string image();

    // Writing
    void createGroup(const std::string &path);
    void writeText(const std::string &path, const std::string &value); ///< scalar string data set
    void writeTexts(const std::string &path, const std::vector<std::string> &values);
    void writeFloats(const std::string &path, std::span<const float> values, const std::vector<std::uint64_t> &shape,
                     const Hdf5Layout &layout);
    void writeIntegers(const std::string &path, std::span<const std::int32_t> values);
    void writeScalar(const std::string &path, std::int64_t value);
    void writeScalar(const std::string &path, std::uint64_t value);
    void writeScalar(const std::string &path, double value);
    void setAttribute(const std::string &object, const std::string &name, const std::string &value);
    void setAttribute(const std::string &object, const std::string &name, const std::vector<std::string> &values);
    void setAttribute(const std::string &object, const std::string &name, std::int32_t value);
    /// Makes \a axis the dimension scale of \a dimension of \a data.
    void attachScale(const std::string &data, const std::string &axis, unsigned dimension, const std::string &label);

    // Reading
    enum class Kind { Missing, Group, Data, Other };
    Kind kind(const std::string &path) const;
    std::vector<std::string> children(const std::string &group) const; ///< link names, alphabetical
    /// Every data set below the root, by absolute path; soft and external links are not followed.
    std::vector<std::string> dataSets() const;
    std::vector<std::uint64_t> shape(const std::string &path) const;
    bool isNumeric(const std::string &path) const;
    bool isText(const std::string &path) const;
    bool isDimensionScale(const std::string &path) const;
    std::vector<float> readFloats(const std::string &path) const;
    std::vector<std::int64_t> readIntegers(const std::string &path) const;
    std::string readText(const std::string &path) const;
    std::int64_t readInteger(const std::string &path) const;
    std::uint64_t readUnsigned(const std::string &path) const;
    double readNumber(const std::string &path) const;
    std::optional<std::string> textAttribute(const std::string &object, const std::string &name) const;
    std::vector<std::string> textListAttribute(const std::string &object,
                                               const std::string &name) const; ///< empty: none
    std::optional<std::int64_t> integerAttribute(const std::string &object, const std::string &name) const;

private:
    Hdf5File() = default;
    [[noreturn]] void failWriting(const std::string &object) const;
    [[noreturn]] void failReading(const std::string &object, const std::string &reason = {}) const;
    Hdf5Id openData(const std::string &path) const;
    void readInto(const std::string &path, Hdf5Handle memoryType, void *values, std::size_t count) const;
    void writeData(const std::string &path, Hdf5Handle fileType, Hdf5Handle memoryType, const void *values,
                   const std::vector<std::uint64_t> &shape, const Hdf5Layout &layout = {});
    void writeAttribute(const std::string &object, const std::string &name, Hdf5Handle type, const void *value,
                        std::optional<std::uint64_t> count);
    std::vector<std::string> readTextAttribute(const std::string &object, const std::string &name) const;

    Hdf5Id m_file;
    std::string m_shown;
};

/// Open ids of all kinds in this process; 0 when nothing leaked.
std::int64_t hdf5OpenObjects();

/// "1.10.8"
std::string hdf5Version();

} // namespace secateur
