#include "backend/io/safetensors.h"

#include "backend/core/error.h"
#include "backend/io/atomic_file.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

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

/// Takes the header as a stream of events: a file of ten thousand tensors opens several times faster than through a
/// tree of values. Everything is checked before it is kept.
class SafetensorsHeaderReader {
public:
    using number_integer_t = nlohmann::json::number_integer_t;
    using number_unsigned_t = nlohmann::json::number_unsigned_t;
    using number_float_t = nlohmann::json::number_float_t;
    using string_t = nlohmann::json::string_t;
    using binary_t = nlohmann::json::binary_t;

    SafetensorsHeaderReader(std::string file, std::uint64_t dataStart, std::uint64_t dataSize)
        : m_file(std::move(file)), m_dataStart(dataStart), m_dataSize(dataSize)
    { }

    std::vector<TensorInfo> takeTensors() { return std::move(m_tensors); }
    std::map<std::string, std::string> takeMetadata() { return std::move(m_metadata); }

    [[noreturn]] void fail(const std::string &problem) const
    {
        throw Error(ErrorKind::BadFormat, m_file + ": " + problem + ".", "Download or copy the file again.");
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

    // The events, as the JSON library names them.
    bool null() { return otherValue("null"); }
    bool boolean(bool value) { return otherValue(value ? "true" : "false"); }
    bool number_integer(number_integer_t value) { return otherValue(std::to_string(value)); }
    bool number_float(number_float_t, const string_t &text) { return otherValue(text); }
    bool binary(binary_t &) { return otherValue("bytes"); }
    bool number_unsigned(number_unsigned_t value)
    {
        if (m_depth != 3 || m_entry != Entry::Tensor || (m_field != Field::Shape && m_field != Field::Offsets))
            return otherValue(std::to_string(value));
        (m_field == Field::Shape ? m_shape : m_offsets).push_back(value);
        return true;
    }
    bool string(string_t &value)
    {
        if (m_depth == 2 && m_entry == Entry::Metadata) {
            if (!m_metadata.emplace(m_key, value).second)
                fail("__metadata__ has the key \"" + m_key + "\" twice");
        } else if (m_depth == 2 && m_entry == Entry::Tensor && m_field == Field::Dtype) {
            m_dtype = value;
        } else {
            return otherValue("\"" + value.substr(0, 60) + "\"");
        }
        return true;
    }
    bool key(string_t &name)
    {
        if (m_depth == 1) {
            m_key = name;
            m_entry = name == "__metadata__" ? Entry::Metadata : Entry::Tensor;
        } else if (m_depth == 2 && m_entry == Entry::Metadata) {
            m_key = name;
        } else if (m_depth == 2) {
            m_field = name == "dtype"    ? Field::Dtype
                : name == "shape"        ? Field::Shape
                : name == "data_offsets" ? Field::Offsets
                                         : Field::Other;
            if (m_field != Field::Other && !(m_seen[static_cast<int>(m_field)] = !m_seen[static_cast<int>(m_field)]))
                fail("tensor \"" + m_key + "\" has the key \"" + name + "\" twice");
        }
        return true;
    }
    bool start_object(std::size_t)
    {
        if (m_depth == 1 && m_entry == Entry::Metadata) {
            if (std::exchange(m_hasMetadata, true))
                fail("the header has the key \"__metadata__\" twice");
        } else if (m_depth == 1) {
            m_dtype.clear();
            m_shape.clear();
            m_offsets.clear();
            std::fill(std::begin(m_seen), std::end(m_seen), false);
            m_listed[0] = m_listed[1] = false;
        } else if (m_depth > 1) {
            otherValue("an object");
        }
        return deeper();
    }
    bool end_object()
    {
        --m_depth;
        if (m_depth == 1 && m_entry == Entry::Tensor)
            addTensor();
        return true;
    }
    bool start_array(std::size_t)
    {
        const bool list
            = m_depth == 2 && m_entry == Entry::Tensor && (m_field == Field::Shape || m_field == Field::Offsets);
        if (list)
            m_listed[m_field == Field::Offsets] = true;
        else
            otherValue("a list");
        return deeper();
    }
    bool end_array()
    {
        --m_depth;
        return true;
    }
    bool parse_error(std::size_t position, const std::string &, const nlohmann::json::exception &)
    {
        fail("the header is not valid JSON at byte " + std::to_string(position));
    }

private:
    enum class Entry { Metadata, Tensor };
    enum class Field { Dtype, Shape, Offsets, Other };

    bool deeper()
    {
        constexpr int limit = 8;
        if (++m_depth > limit)
            fail("the header is nested deeper than " + std::to_string(limit) + " levels");
        return true;
    }

    /// A value that stands where it must not, or under a key that nobody asks for.
    bool otherValue(const std::string &text) const
    {
        if (m_depth == 0)
            fail("the header is no JSON object but " + text);
        if (m_depth == 1)
            fail(m_entry == Entry::Metadata ? "__metadata__ is no object but " + text
                                            : "the entry of tensor \"" + m_key + "\" is no object but " + text);
        if (m_entry == Entry::Metadata)
            fail("the value of \"" + m_key + "\" in __metadata__ is no text but " + text);
        static constexpr const char *names[] = {"dtype", "shape", "data_offsets"};
        if (m_field != Field::Other)
            fail(std::string(names[static_cast<int>(m_field)]) + " of tensor \"" + m_key + "\" cannot hold " + text);
        return true;
    }

    void addTensor()
    {
        const std::string what = "tensor \"" + m_key + "\"";
        if (m_dtype.empty())
            fail(what + " has no dtype");
        const int rank = safetensorsRank(m_dtype);
        if (rank < 0)
            fail(what + " has the unknown dtype \"" + m_dtype + "\"");
        if (!m_listed[0])
            fail(what + " has no shape");
        if (!m_listed[1] || m_offsets.size() != 2)
            fail(what + " has no data_offsets of begin and end");

        TensorInfo info;
        info.shape.reserve(m_shape.size());
        std::uint64_t bits = static_cast<std::uint64_t>(kSafetensorsTypes[rank].bits);
        for (const std::uint64_t size : m_shape) {
            if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())
                || __builtin_mul_overflow(bits, size, &bits))
                fail("the shape of " + what + " overflows");
            info.shape.push_back(static_cast<std::int64_t>(size));
        }
        if (bits % 8 != 0)
            fail(what + " ends inside a byte");
        const std::uint64_t begin = m_offsets[0];
        const std::uint64_t end = m_offsets[1];
        if (begin > end)
            fail("data_offsets of " + what + " are " + std::to_string(begin) + " and " + std::to_string(end));
        if (end > m_dataSize)
            fail("data_offsets of " + what + " end at " + std::to_string(end) + ", but the data have only "
                 + std::to_string(m_dataSize) + " bytes");
        if (end - begin != bits / 8)
            fail("data_offsets of " + what + " span " + std::to_string(end - begin) + " bytes, but its shape and "
                 + m_dtype + " need " + std::to_string(bits / 8));
        info.name = m_key;
        info.dtype = m_dtype;
        info.file = m_file;
        info.offset = m_dataStart + begin;
        info.bytes = bits / 8;
        m_tensors.push_back(std::move(info));
    }

    std::string m_file;
    std::uint64_t m_dataStart;
    std::uint64_t m_dataSize;
    std::vector<TensorInfo> m_tensors;
    std::map<std::string, std::string> m_metadata;

    // The entry being read.
    int m_depth = 0;
    Entry m_entry = Entry::Tensor;
    Field m_field = Field::Other;
    std::string m_key;
    std::string m_dtype;
    std::vector<std::uint64_t> m_shape;
    std::vector<std::uint64_t> m_offsets;
    bool m_hasMetadata = false;
    bool m_seen[3] = {};
    bool m_listed[2] = {}; ///< shape, data_offsets
};

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

    const std::uint64_t dataStart = 8 + m_headerSize;
    SafetensorsHeaderReader reader(file, dataStart, m_file.size() - dataStart);
    nlohmann::json::sax_parse(headerText(), &reader);
    m_metadata = reader.takeMetadata();
    m_tensors = reader.takeTensors();
    // Empty tensors share an offset with their neighbour, so the end decides as well.
    std::stable_sort(m_tensors.begin(), m_tensors.end(), [](const TensorInfo &a, const TensorInfo &b) {
        return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
    });
    reader.checkLayout(m_tensors);
    for (std::size_t i = 0; i < m_tensors.size(); ++i)
        if (!m_index.emplace(m_tensors[i].name, i).second)
            reader.fail("the header has the key \"" + m_tensors[i].name + "\" twice");
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
