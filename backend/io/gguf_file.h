#pragma once

#include "backend/core/model_info.h"
#include "backend/io/mapped_file.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace secateur {

/// A metadata value. Integers of any width are widened; arrays hold one kind.
using GgufValue = std::variant<std::int64_t, double, bool, std::string, std::vector<std::int64_t>, std::vector<double>,
                               std::vector<std::string>>;

/// One GGUF file (version 2 or 3): header, metadata and tensor table checked, data memory-mapped.
/// Throws Error(BadFormat) naming file and key or tensor.
class GgufFile {
public:
    explicit GgufFile(const std::filesystem::path &path);

    const std::map<std::string, GgufValue, std::less<>> &metadata() const { return m_metadata; }
    std::optional<std::string> string(std::string_view key) const;
    std::optional<std::int64_t> integer(std::string_view key) const;
    std::optional<double> number(std::string_view key) const; ///< integer or float
    const std::vector<std::string> *strings(std::string_view key) const;
    const std::vector<std::int64_t> *integers(std::string_view key) const;
    const std::vector<double> *numbers(std::string_view key) const;

    /// Shapes are given row-major ([out, in]), that is, reversed from the file; dtype is the GGUF type name ("Q4_1").
    const std::vector<TensorInfo> &tensors() const { return m_tensors; }
    const TensorInfo *find(std::string_view name) const;
    std::span<const std::byte> data(const TensorInfo &tensor) const;
    const MappedFile &file() const { return m_file; }
    std::uint64_t headerBytes() const { return m_dataStart; }

private:
    MappedFile m_file;
    std::map<std::string, GgufValue, std::less<>> m_metadata;
    std::vector<TensorInfo> m_tensors;
    std::uint64_t m_dataStart = 0;
};

} // namespace secateur
