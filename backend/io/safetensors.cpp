#include "backend/io/safetensors.h"

#include "backend/core/error.h"
#include "backend/core/json_text.h"
#include "backend/io/atomic_file.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

namespace secateur {

namespace {

constexpr std::uint64_t kSafetensorsHeaderLimit = 100'000'000;

struct SafetensorsType {
    std::string_view name;
    int bits;
};

// In the reference writer's order: largest alignment last.
constexpr SafetensorsType kSafetensorsTypes[] = {
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64},
};

/// Rank in the table, or −1.
int safetensorsRank(std::string_view dtype)
{
    for (int i = 0; i < static_cast<int>(std::size(kSafetensorsTypes)); ++i)
        if (kSafetensorsTypes[i].name == dtype)
            return i;
    return -1;
}

std::uint64_t safetensorsLittleEndian(std::span<const std::byte> bytes)
{
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;)
        value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
    return value;
}

class SafetensorsHeaderReader {
public:
    SafetensorsHeaderReader(std::string file, std::uint64_t dataStart, std::uint64_t dataSize)
        : m_file(std::move(file)), m_dataStart(dataStart), m_dataSize(dataSize)
    { }

    [[noreturn]] void fail(const std::string &problem) const
    {
        throw Error(ErrorKind::BadFormat, m_file + ": " + problem + ".", "Download or copy the file again.");
    }

    std::map<std::string, std::string> metadata(const nlohmann::json &value) const
    {
        if (!value.is_object())
            fail("__metadata__ is no object");
        std::map<std::string, std::string> result;
        for (const auto &[key, text] : value.items()) {
            if (!text.is_string())
                fail("the value of \"" + key + "\" in __metadata__ is no text");
            result.emplace(key, text.get<std::string>());
        }
        return result;
    }

    TensorInfo tensor(const std::string &name, const nlohmann::json &value) const
    {
        TensorInfo info;
        info.name = name;
        info.file = m_file;
        if (!value.is_object())
            fail("the entry of tensor \"" + name + "\" is no object");
        const auto dtype = value.find("dtype");
        if (dtype == value.end() || !dtype->is_string())
            fail("tensor \"" + name + "\" has no dtype");
        info.dtype = dtype->get<std::string>();
        const int rank = safetensorsRank(info.dtype);
        if (rank < 0)
            fail("tensor \"" + name + "\" has the unknown dtype \"" + info.dtype + "\"");

        const auto shape = value.find("shape");
        if (shape == value.end() || !shape->is_array())
            fail("tensor \"" + name + "\" has no shape");
        std::uint64_t elements = 1;
        for (const auto &extent : *shape) {
            const auto size = number(extent);
            if (!size || *size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
                fail("shape of tensor \"" + name + "\" holds " + extent.dump() + ", which is no size");
            if (__builtin_mul_overflow(elements, *size, &elements))
                fail("shape of tensor \"" + name + "\" overflows");
            info.shape.push_back(static_cast<std::int64_t>(*size));
        }
        std::uint64_t bits = 0;
        if (__builtin_mul_overflow(elements, static_cast<std::uint64_t>(kSafetensorsTypes[rank].bits), &bits))
            fail("shape of tensor \"" + name + "\" overflows");
        if (bits % 8 != 0)
            fail("tensor \"" + name + "\" ends inside a byte");

        const auto offsets = value.find("data_offsets");
        if (offsets == value.end() || !offsets->is_array() || offsets->size() != 2)
            fail("tensor \"" + name + "\" has no data_offsets");
        const auto begin = number((*offsets)[0]);
        const auto end = number((*offsets)[1]);
        if (!begin || !end || *begin > *end)
            fail("data_offsets of tensor \"" + name + "\" are " + offsets->dump());
        if (*end > m_dataSize)
            fail("data_offsets of tensor \"" + name + "\" end at " + std::to_string(*end) + ", but the data have only "
                 + std::to_string(m_dataSize) + " bytes");
        if (*end - *begin != bits / 8)
            fail("data_offsets of tensor \"" + name + "\" span " + std::to_string(*end - *begin)
                 + " bytes, but its shape and " + info.dtype + " need " + std::to_string(bits / 8));
        info.offset = m_dataStart + *begin;
        info.bytes = bits / 8;
        return info;
    }

    /// The data must follow one another without overlap or hole up to the end of the file.
    void checkLayout(const std::vector<TensorInfo> &byOffset) const
    {
        std::uint64_t expected = m_dataStart;
        for (const TensorInfo &info : byOffset) {
            if (info.offset < expected)
                fail("the data of tensor \"" + info.name + "\" overlap those of the tensor before");
            if (info.offset > expected)
                fail("there is a hole of " + std::to_string(info.offset - expected)
                     + " bytes before the data of tensor \"" + info.name + "\"");
            expected = info.offset + info.bytes;
        }
        if (expected != m_dataStart + m_dataSize)
            fail(std::to_string(m_dataStart + m_dataSize - expected)
                 + " bytes after the last tensor belong to nothing");
    }

private:
    static std::optional<std::uint64_t> number(const nlohmann::json &value)
    {
        if (value.is_number_unsigned())
            return value.get<std::uint64_t>();
        return std::nullopt;
    }

    std::string m_file;
    std::uint64_t m_dataStart;
    std::uint64_t m_dataSize;
};

/// Bytes that a tensor takes; the largest number, which no data has, when that cannot be told.
std::uint64_t safetensorsBytes(std::string_view dtype, const std::vector<std::int64_t> &shape)
{
    constexpr auto kImpossible = std::numeric_limits<std::uint64_t>::max();
    auto bytes = static_cast<std::uint64_t>(safetensorsElementSize(dtype));
    if (bytes == 0)
        return kImpossible;
    for (const std::int64_t extent : shape) {
        if (extent < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes))
            return kImpossible;
    }
    return bytes;
}

[[noreturn]] void safetensorsMisfit(const std::filesystem::path &path, const std::string &name,
                                    const std::string &dtype, std::size_t bytes)
{
    throw Error(ErrorKind::InvalidArgument,
                path.filename().string() + ": tensor \"" + name + "\" of dtype " + dtype + " has "
                    + std::to_string(bytes) + " bytes of data, which does not fit its shape.");
}

} // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path &path) : m_file(path)
{
    const std::string file = path.filename().string();
    if (m_file.size() < 8)
        throw Error(ErrorKind::BadFormat,
                    file + " has " + std::to_string(m_file.size())
                        + " bytes, too few for the header length of a safetensors file.",
                    "Download or copy the file again.");
    m_headerSize = safetensorsLittleEndian(m_file.bytes(0, 8));
    if (m_headerSize > kSafetensorsHeaderLimit)
        throw Error(ErrorKind::BadFormat,
                    file + ": the header length is " + std::to_string(m_headerSize) + " bytes, more than the format's "
                        + std::to_string(kSafetensorsHeaderLimit) + ".",
                    "The file is probably no safetensors file.");
    if (m_headerSize > m_file.size() - 8)
        throw Error(ErrorKind::BadFormat,
                    file + ": the header length is " + std::to_string(m_headerSize) + " bytes, but the file has only "
                        + std::to_string(m_file.size()) + ".",
                    "The file is incomplete; download or copy it again.");

    const nlohmann::json header = parseJson(headerText(), file + " header", 8);
    const std::uint64_t dataStart = 8 + m_headerSize;
    const SafetensorsHeaderReader reader(file, dataStart, m_file.size() - dataStart);
    if (!header.is_object())
        reader.fail("the header is no JSON object");
    m_tensors.reserve(header.size());
    for (const auto &[name, value] : header.items()) {
        if (name == "__metadata__")
            m_metadata = reader.metadata(value);
        else
            m_tensors.push_back(reader.tensor(name, value));
    }
    // Empty tensors share an offset with their neighbour, so the end decides as well.
    std::stable_sort(m_tensors.begin(), m_tensors.end(), [](const TensorInfo &a, const TensorInfo &b) {
        return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
    });
    reader.checkLayout(m_tensors);
    for (std::size_t i = 0; i < m_tensors.size(); ++i)
        m_index.emplace(m_tensors[i].name, i);
}

const TensorInfo *SafetensorsFile::find(std::string_view name) const
{
    const auto it = m_index.find(name);
    return it == m_index.end() ? nullptr : &m_tensors[it->second];
}

std::span<const std::byte> SafetensorsFile::data(const TensorInfo &tensor) const
{
    return m_file.bytes(tensor.offset, tensor.bytes);
}

std::string_view SafetensorsFile::headerText() const
{
    const auto bytes = m_file.bytes(8, m_headerSize);
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

int safetensorsElementSize(std::string_view dtype)
{
    const int rank = safetensorsRank(dtype);
    return rank < 0 ? 0 : kSafetensorsTypes[rank].bits / 8;
}

void writeSafetensors(const std::filesystem::path &path, const std::vector<TensorView> &tensors,
                      std::map<std::string, std::string> metadata)
{
    std::vector<TensorSource> sources;
    sources.reserve(tensors.size());
    for (const TensorView &tensor : tensors) {
        if (safetensorsBytes(tensor.dtype, tensor.shape) != tensor.data.size())
            safetensorsMisfit(path, tensor.name, tensor.dtype, tensor.data.size());
        sources.push_back({tensor.name, tensor.dtype, tensor.shape, [&tensor] { return tensor.data; }});
    }
    writeSafetensors(path, sources, std::move(metadata));
}

void writeSafetensors(const std::filesystem::path &path, const std::vector<TensorSource> &tensors,
                      std::map<std::string, std::string> metadata)
{
    std::vector<const TensorSource *> order;
    order.reserve(tensors.size());
    for (const TensorSource &tensor : tensors)
        order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](const TensorSource *a, const TensorSource *b) {
        const int rankA = safetensorsRank(a->dtype);
        const int rankB = safetensorsRank(b->dtype);
        return rankA != rankB ? rankA > rankB : a->name < b->name;
    });

    metadata.emplace("format", "pt");
    // Put together by hand: a JSON object that keeps its order looks keys up one by one.
    std::string text = "{\"__metadata__\":" + nlohmann::json(metadata).dump();
    std::set<std::string_view> names;
    std::uint64_t offset = 0;
    for (const TensorSource *tensor : order) {
        if (tensor->name == "__metadata__" || !names.insert(tensor->name).second)
            throw Error(ErrorKind::InvalidArgument,
                        path.filename().string() + ": the tensor name \"" + tensor->name + "\" is taken already.");
        const std::uint64_t bytes = safetensorsBytes(tensor->dtype, tensor->shape);
        const nlohmann::ordered_json entry
            = {{"dtype", tensor->dtype}, {"shape", tensor->shape}, {"data_offsets", {offset, offset + bytes}}};
        text += "," + nlohmann::json(tensor->name).dump() + ":" + entry.dump();
        offset += bytes;
    }
    text += "}";
    text.append((8 - text.size() % 8) % 8, ' ');

    AtomicFile file(path);
    char length[8];
    for (int i = 0; i < 8; ++i)
        length[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
    file.write(length, sizeof length);
    file.write(text);
    for (const TensorSource *tensor : order) {
        const std::span<const std::byte> data = tensor->data();
        if (data.size() != safetensorsBytes(tensor->dtype, tensor->shape))
            safetensorsMisfit(path, tensor->name, tensor->dtype, data.size());
        file.write(data.data(), data.size());
    }
    file.commit();
}

} // namespace secateur
