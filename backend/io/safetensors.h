#pragma once

#include "backend/core/model_info.h"
#include "backend/io/mapped_file.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace secateur {

/// One safetensors file: header checked in full (length, JSON, dtypes, shapes, overflow, overlaps, holes, duplicate
/// keys, end of data = end of file), data memory-mapped. Throws Error(BadFormat) naming file and tensor.
class SafetensorsFile {
public:
    explicit SafetensorsFile(const std::filesystem::path &path);

    const std::vector<TensorInfo> &tensors() const { return m_tensors; } ///< by offset
    const TensorInfo *find(std::string_view name) const;
    std::span<const std::byte> data(const TensorInfo &tensor) const;
    const std::map<std::string, std::string> &metadata() const { return m_metadata; }
    std::string_view headerText() const;
    const MappedFile &file() const { return m_file; }

private:
    MappedFile m_file;
    std::vector<TensorInfo> m_tensors;
    std::map<std::string, std::string> m_metadata;
    std::map<std::string, std::size_t, std::less<>> m_index;
    std::uint64_t m_headerSize = 0;
};

/// Bytes of one element of a safetensors dtype, 0 when unknown or sub-byte.
int safetensorsElementSize(std::string_view dtype);

/// A tensor to write; the data must outlive the call.
struct TensorView {
    std::string name;
    std::string dtype; ///< "F32", "BF16", "F16", "I64", "I32", "U8"
    std::vector<std::int64_t> shape;
    std::span<const std::byte> data;
};

/// Writes one file atomically, in the reference writer's order (alignment, then name), header padded to 8 bytes.
/// Metadata gets {"format": "pt"} unless it is there. Throws Error(Io).
void writeSafetensors(const std::filesystem::path &path, const std::vector<TensorView> &tensors,
                      std::map<std::string, std::string> metadata = {});

/// A tensor to write whose data is asked for when its turn in the file comes, so that only one needs to be in memory.
/// The data must stay valid until the next one is asked for.
struct TensorSource {
    std::string name;
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::function<std::span<const std::byte>()> data;
};

/// As above, tensor by tensor. What a source throws leaves no file behind.
void writeSafetensors(const std::filesystem::path &path, const std::vector<TensorSource> &tensors,
                      std::map<std::string, std::string> metadata = {});

} // namespace secateur
