#include "backend/io/gguf_file.h"

#include "backend/core/error.h"
#include "backend/io/gguf_types.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <set>

namespace secateur {

namespace {

constexpr GgufType kGgufTypes[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},      {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},      {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 40},
    {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},
    {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},
    {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
    {40, "NVFP4", 64, 36},    {41, "Q1_0", 128, 18},
};

enum class GgufKind : std::uint32_t { U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64 };

constexpr std::uint64_t kGgufNameLimit = 1024;

/// Reads the header front to back. Every length is compared with what is left of the file before it is believed.
class GgufHeaderReader {
public:
    explicit GgufHeaderReader(const MappedFile &file) : m_file(file), m_name(file.path().filename().string()) { }

    std::uint64_t position() const { return m_position; }
    std::uint64_t left() const { return m_file.size() - m_position; }

    [[noreturn]] void fail(const std::string &problem) const
    {
        throw Error(ErrorKind::BadFormat, m_name + ": " + problem + ".", "Download or copy the file again.");
    }

    template <typename T> T scalar(const std::string &what)
    {
        static_assert(std::endian::native == std::endian::little);
        if (left() < sizeof(T))
            fail("the file ends inside " + what);
        T value;
        std::memcpy(&value, m_file.bytes(m_position, sizeof(T)).data(), sizeof(T));
        m_position += sizeof(T);
        return value;
    }

    std::string text(const std::string &what, std::uint64_t limit = std::numeric_limits<std::uint64_t>::max())
    {
        const auto length = scalar<std::uint64_t>(what);
        if (length > left() || length > limit)
            fail(what + " has the impossible length " + std::to_string(length));
        const auto bytes = m_file.bytes(m_position, length);
        m_position += length;
        return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
    }

    GgufValue value(const std::string &key)
    {
        const auto kind = scalar<std::uint32_t>(key);
        if (kind != static_cast<std::uint32_t>(GgufKind::Array))
            return single(key, kind);
        const auto elementKind = scalar<std::uint32_t>(key);
        const auto count = scalar<std::uint64_t>(key);
        const std::uint64_t smallest = elementSize(key, elementKind);
        if (count > left() / smallest)
            fail("the list " + key + " has the impossible length " + std::to_string(count));
        return list(key, elementKind, static_cast<std::size_t>(count));
    }

private:
    std::int64_t integer(const std::string &key, std::uint32_t kind)
    {
        switch (static_cast<GgufKind>(kind)) {
        case GgufKind::U8:
            return scalar<std::uint8_t>(key);
        case GgufKind::I8:
            return scalar<std::int8_t>(key);
        case GgufKind::U16:
            return scalar<std::uint16_t>(key);
        case GgufKind::I16:
            return scalar<std::int16_t>(key);
        case GgufKind::U32:
            return scalar<std::uint32_t>(key);
        case GgufKind::I32:
            return scalar<std::int32_t>(key);
        case GgufKind::I64:
            return scalar<std::int64_t>(key);
        case GgufKind::U64: {
            const auto number = scalar<std::uint64_t>(key);
            if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
                fail(key + " is " + std::to_string(number) + ", which is beyond any real size");
            return static_cast<std::int64_t>(number);
        }
        default:
            return boolean(key);
        }
    }

    bool boolean(const std::string &key)
    {
        const auto value = scalar<std::uint8_t>(key);
        if (value > 1)
            fail(key + " is " + std::to_string(value) + ", but must be 0 or 1");
        return value == 1;
    }

    double real(const std::string &key, std::uint32_t kind)
    {
        return static_cast<GgufKind>(kind) == GgufKind::F32 ? double(scalar<float>(key)) : scalar<double>(key);
    }

    static bool isReal(std::uint32_t kind)
    {
        return static_cast<GgufKind>(kind) == GgufKind::F32 || static_cast<GgufKind>(kind) == GgufKind::F64;
    }

    GgufValue single(const std::string &key, std::uint32_t kind)
    {
        elementSize(key, kind);
        if (static_cast<GgufKind>(kind) == GgufKind::String)
            return text(key);
        if (static_cast<GgufKind>(kind) == GgufKind::Bool)
            return boolean(key);
        if (isReal(kind))
            return real(key, kind);
        return integer(key, kind);
    }

    GgufValue list(const std::string &key, std::uint32_t kind, std::size_t count)
    {
        if (static_cast<GgufKind>(kind) == GgufKind::String) {
            std::vector<std::string> values;
            values.reserve(count);
            for (std::size_t i = 0; i < count; ++i)
                values.push_back(text(key));
            return values;
        }
        if (isReal(kind)) {
            std::vector<double> values(count);
            for (double &value : values)
                value = real(key, kind);
            return values;
        }
        std::vector<std::int64_t> values(count);
        for (std::int64_t &value : values)
            value = integer(key, kind);
        return values;
    }

    /// Fewest bytes that a value of this kind takes.
    std::uint64_t elementSize(const std::string &key, std::uint32_t kind) const
    {
        static constexpr std::uint64_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};
        if (kind >= std::size(sizes))
            fail(key + " has the unknown value type " + std::to_string(kind));
        if (sizes[kind] == 0)
            fail(key + " is a list of lists, which is not known");
        return sizes[kind];
    }

    const MappedFile &m_file;
    std::string m_name;
    std::uint64_t m_position = 0;
};

TensorInfo readGgufTensor(GgufHeaderReader &reader, const std::string &file, std::uint64_t alignment)
{
    TensorInfo info;
    info.file = file;
    info.name = reader.text("a tensor's name", kGgufNameLimit);
    const std::string what = "tensor \"" + info.name + "\"";
    const auto dimensions = reader.scalar<std::uint32_t>(what);
    if (dimensions > 4)
        reader.fail(what + " has " + std::to_string(dimensions) + " dimensions, but 4 is the limit");
    std::uint64_t elements = 1;
    for (std::uint32_t i = 0; i < dimensions; ++i) {
        const auto extent = reader.scalar<std::uint64_t>(what);
        if (extent == 0 || extent > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())
            || __builtin_mul_overflow(elements, extent, &elements))
            reader.fail("the shape of " + what + " holds the impossible size " + std::to_string(extent));
        info.shape.push_back(static_cast<std::int64_t>(extent));
    }
    const auto typeId = reader.scalar<std::uint32_t>(what);
    info.offset = reader.scalar<std::uint64_t>(what);
    if (info.offset % alignment != 0)
        reader.fail("the data of " + what + " begin at " + std::to_string(info.offset) + ", which is no multiple of "
                    + std::to_string(alignment));
    const GgufType *type = ggufType(typeId);
    info.dtype = type ? std::string(type->name) : "type " + std::to_string(typeId);
    if (type) {
        const std::uint64_t row = info.shape.empty() ? 1 : static_cast<std::uint64_t>(info.shape.front());
        if (row % type->blockElements != 0)
            reader.fail("the rows of " + what + " have " + std::to_string(row) + " elements, which is no multiple of "
                        + std::to_string(type->blockElements) + " as " + info.dtype + " asks");
        if (__builtin_mul_overflow(elements / type->blockElements, std::uint64_t(type->blockBytes), &info.bytes))
            reader.fail("the shape of " + what + " overflows");
    }
    std::reverse(info.shape.begin(), info.shape.end());
    return info;
}

void checkGgufLayout(const GgufHeaderReader &reader, const std::vector<TensorInfo> &tensors, std::uint64_t fileSize)
{
    std::vector<const TensorInfo *> byOffset;
    byOffset.reserve(tensors.size());
    for (const TensorInfo &tensor : tensors) {
        if (tensor.offset > fileSize || tensor.bytes > fileSize - tensor.offset)
            reader.fail("the data of tensor \"" + tensor.name + "\" end at byte " + std::to_string(tensor.offset)
                        + " + " + std::to_string(tensor.bytes) + ", but the file has only " + std::to_string(fileSize));
        byOffset.push_back(&tensor);
    }
    std::sort(byOffset.begin(), byOffset.end(),
              [](const TensorInfo *a, const TensorInfo *b) { return a->offset < b->offset; });
    for (std::size_t i = 1; i < byOffset.size(); ++i)
        if (byOffset[i - 1]->offset + byOffset[i - 1]->bytes > byOffset[i]->offset)
            reader.fail("the data of tensor \"" + byOffset[i]->name + "\" overlap those of \"" + byOffset[i - 1]->name
                        + "\"");
}

template <typename T>
const T *ggufList(const std::map<std::string, GgufValue, std::less<>> &metadata, std::string_view key)
{
    const auto it = metadata.find(key);
    return it == metadata.end() ? nullptr : std::get_if<T>(&it->second);
}

} // namespace

const GgufType *ggufType(std::uint32_t id)
{
    for (const GgufType &type : kGgufTypes)
        if (type.id == id)
            return &type;
    return nullptr;
}

GgufFile::GgufFile(const std::filesystem::path &path) : m_file(path)
{
    GgufHeaderReader reader(m_file);
    const std::string file = path.filename().string();
    if (m_file.size() < 4 || std::memcmp(m_file.bytes(0, 4).data(), "GGUF", 4) != 0)
        throw Error(ErrorKind::BadFormat, file + " is no GGUF file: it does not begin with \"GGUF\".");
    reader.scalar<std::uint32_t>("the magic number");
    const auto version = reader.scalar<std::uint32_t>("the version");
    if (version != 0 && (version & 0xffff) == 0)
        throw Error(ErrorKind::Unsupported, file + " is a big-endian GGUF file, which is not read.");
    if (version > 3)
        throw Error(ErrorKind::UnsupportedVersion,
                    file + " is of GGUF version " + std::to_string(version) + ", but this program knows 2 and 3.",
                    "Look for a newer version of this program.");
    if (version < 2)
        throw Error(ErrorKind::Unsupported,
                    file + " is of GGUF version " + std::to_string(version) + ", but this program knows 2 and 3.",
                    "Convert the model again with a current llama.cpp.");
    const auto tensorCount = reader.scalar<std::uint64_t>("the tensor count");
    const auto keyCount = reader.scalar<std::uint64_t>("the metadata count");
    // The smallest tensor entry takes 24 bytes, the smallest key 13.
    if (tensorCount > reader.left() / 24)
        reader.fail("the tensor count is " + std::to_string(tensorCount) + ", too many for the size of the file");
    if (keyCount > reader.left() / 13)
        reader.fail("the metadata count is " + std::to_string(keyCount) + ", too many for the size of the file");

    for (std::uint64_t i = 0; i < keyCount; ++i) {
        const std::string key = reader.text("the name of metadata key " + std::to_string(i), 65535);
        if (m_metadata.contains(key))
            reader.fail("the metadata key " + key + " occurs twice");
        m_metadata.emplace(key, reader.value(key));
    }
    const std::int64_t alignment = integer("general.alignment").value_or(32);
    if (alignment < 1 || alignment > (1 << 24) || !std::has_single_bit(static_cast<std::uint64_t>(alignment)))
        reader.fail("general.alignment is " + std::to_string(alignment) + ", but must be a power of two");
    const auto step = static_cast<std::uint64_t>(alignment);

    std::set<std::string> names;
    m_tensors.reserve(tensorCount);
    for (std::uint64_t i = 0; i < tensorCount; ++i) {
        m_tensors.push_back(readGgufTensor(reader, file, step));
        if (!names.insert(m_tensors.back().name).second)
            reader.fail("the tensor name \"" + m_tensors.back().name + "\" occurs twice");
    }
    m_dataStart = (reader.position() + step - 1) / step * step;
    for (TensorInfo &tensor : m_tensors)
        if (__builtin_add_overflow(tensor.offset, m_dataStart, &tensor.offset))
            reader.fail("the offset of tensor \"" + tensor.name + "\" overflows");
    m_dataStart = std::min(m_dataStart, m_file.size()); // a file without tensors may end right after the header
    checkGgufLayout(reader, m_tensors, m_file.size());
}

std::optional<std::string> GgufFile::string(std::string_view key) const
{
    const auto *value = ggufList<std::string>(m_metadata, key);
    return value ? std::optional(*value) : std::nullopt;
}

std::optional<std::int64_t> GgufFile::integer(std::string_view key) const
{
    if (const auto *value = ggufList<std::int64_t>(m_metadata, key))
        return *value;
    if (const auto *value = ggufList<bool>(m_metadata, key))
        return *value ? 1 : 0;
    return std::nullopt;
}

std::optional<double> GgufFile::number(std::string_view key) const
{
    if (const auto *value = ggufList<double>(m_metadata, key))
        return *value;
    if (const auto *value = ggufList<std::int64_t>(m_metadata, key))
        return static_cast<double>(*value);
    return std::nullopt;
}

const std::vector<std::string> *GgufFile::strings(std::string_view key) const
{
    return ggufList<std::vector<std::string>>(m_metadata, key);
}

const std::vector<std::int64_t> *GgufFile::integers(std::string_view key) const
{
    return ggufList<std::vector<std::int64_t>>(m_metadata, key);
}

const std::vector<double> *GgufFile::numbers(std::string_view key) const
{
    return ggufList<std::vector<double>>(m_metadata, key);
}

const TensorInfo *GgufFile::find(std::string_view name) const
{
    for (const TensorInfo &tensor : m_tensors)
        if (tensor.name == name)
            return &tensor;
    return nullptr;
}

std::span<const std::byte> GgufFile::data(const TensorInfo &tensor) const
{
    return m_file.bytes(tensor.offset, tensor.bytes);
}

} // namespace secateur
