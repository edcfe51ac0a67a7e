#include "backend/io/hdf5_file.h"

#include "backend/core/error.h"

#include <hdf5.h>
#include <hdf5_hl.h>

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

namespace secateur {

static_assert(std::is_same_v<hid_t, Hdf5Handle>, "hid_t is a 64-bit integer from HDF5 1.10 on");

namespace {

constexpr std::uint64_t kHdf5ElementLimit = 1ull << 28; // 1 GiB of float32; a damaged header must not ask for more
constexpr std::size_t kHdf5MemoryStep = 1u << 20;
constexpr int kHdf5DepthLimit = 32;
constexpr std::size_t kHdf5ObjectLimit = 10000;

std::mutex &hdf5Mutex()
{
    static std::mutex mutex;
    return mutex;
}

herr_t hdf5CollectReason(unsigned number, const H5E_error2_t *error, void *data)
{
    // The innermost entry says what happened, for example "unable to open file: errno = 13".
    if (number == 0 && error->desc)
        *static_cast<std::string *>(data) = error->desc;
    return 0;
}

std::string hdf5Reason()
{
    std::string reason;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, hdf5CollectReason, &reason);
    H5Eclear2(H5E_DEFAULT);
    return reason;
}

Hdf5Id hdf5Utf8Type()
{
    Hdf5Id type(H5Tcopy(H5T_C_S1));
    H5Tset_size(type.get(), H5T_VARIABLE);
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    return type;
}

Hdf5Id hdf5Space(const std::vector<std::uint64_t> &shape)
{
    if (shape.empty())
        return Hdf5Id(H5Screate(H5S_SCALAR));
    const std::vector<hsize_t> dimensions(shape.begin(), shape.end());
    return Hdf5Id(H5Screate_simple(static_cast<int>(dimensions.size()), dimensions.data(), nullptr));
}

Hdf5Id hdf5FileAccess()
{
    Hdf5Id access(H5Pcreate(H5P_FILE_ACCESS));
    H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
    // The earliest object formats that suffice: the widest choice of readers.
    H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V18);
#if H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 11, 0) || H5_VERSION_GE(1, 12, 1)
    H5Pset_file_locking(access.get(), true, true); // cluster file systems without locks
#endif
    return access;
}

std::vector<const char *> hdf5Pointers(const std::vector<std::string> &values)
{
    std::vector<const char *> pointers;
    for (const auto &value : values)
        pointers.push_back(value.c_str());
    return pointers;
}

/// Elements of a shape; nothing when there are too many.
std::optional<std::size_t> hdf5ElementCount(const std::vector<std::uint64_t> &shape)
{
    std::uint64_t count = 1;
    for (const auto extent : shape) {
        if (extent != 0 && count > kHdf5ElementLimit / extent)
            return std::nullopt;
        count *= extent;
    }
    return static_cast<std::size_t>(count);
}

/// Strings of variable or fixed length, through \a read(memoryType, buffer). \a count elements.
template <typename Read>
std::optional<std::vector<std::string>> hdf5ReadStrings(Hdf5Handle fileType, Hdf5Handle space, std::size_t count,
                                                        Read read)
{
    std::vector<std::string> values;
    if (H5Tget_class(fileType) != H5T_STRING)
        return std::nullopt;
    if (H5Tis_variable_str(fileType) > 0) {
        const Hdf5Id memory(H5Tcopy(H5T_C_S1));
        H5Tset_size(memory.get(), H5T_VARIABLE);
        H5Tset_cset(memory.get(), H5Tget_cset(fileType));
        std::vector<char *> buffer(count, nullptr);
        if (read(memory.get(), static_cast<void *>(buffer.data())) < 0)
            return std::nullopt;
        for (const char *text : buffer)
            values.emplace_back(text ? text : "");
        H5Dvlen_reclaim(memory.get(), space, H5P_DEFAULT, buffer.data());
        return values;
    }
    const std::size_t size = H5Tget_size(fileType);
    if (size == 0 || size > kHdf5ElementLimit || count > kHdf5ElementLimit / size)
        return std::nullopt;
    std::string buffer(size * count, '\0');
    const Hdf5Id memory(H5Tcopy(fileType));
    if (read(memory.get(), static_cast<void *>(buffer.data())) < 0)
        return std::nullopt;
    for (std::size_t i = 0; i < count; ++i) {
        std::string value = buffer.substr(i * size, size);
        if (const auto end = value.find('\0'); end != std::string::npos)
            value.resize(end);
        if (H5Tget_strpad(fileType) == H5T_STR_SPACEPAD)
            value.resize(value.find_last_not_of(' ') + 1);
        values.push_back(std::move(value));
    }
    return values;
}

} // namespace

Hdf5Scope::Hdf5Scope() : m_lock(hdf5Mutex())
{
    H5Eget_auto2(H5E_DEFAULT, &m_printer, &m_printerData);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Hdf5Scope::~Hdf5Scope()
{
    H5Eset_auto2(H5E_DEFAULT, m_printer, m_printerData);
}

Hdf5Id &Hdf5Id::operator=(Hdf5Id &&other) noexcept
{
    if (this != &other) {
        reset();
        m_id = std::exchange(other.m_id, -1);
    }
    return *this;
}

void Hdf5Id::reset() noexcept
{
    const hid_t id = std::exchange(m_id, -1);
    if (id < 0)
        return;
    switch (H5Iget_type(id)) {
    case H5I_FILE:
        H5Fclose(id);
        break;
    case H5I_GROUP:
        H5Gclose(id);
        break;
    case H5I_DATASET:
        H5Dclose(id);
        break;
    case H5I_DATASPACE:
        H5Sclose(id);
        break;
    case H5I_DATATYPE:
        H5Tclose(id);
        break;
    case H5I_ATTR:
        H5Aclose(id);
        break;
    case H5I_GENPROP_LST:
        H5Pclose(id);
        break;
    default:
        break; // closed already, with its file
    }
}

Hdf5File Hdf5File::create(const std::filesystem::path &shownPath)
{
    Hdf5File file;
    file.m_shown = shownPath.string();
    const Hdf5Id access = hdf5FileAccess();
    H5Pset_fapl_core(access.get(), kHdf5MemoryStep, false);
    file.m_file = Hdf5Id(H5Fcreate("secateur-maps-in-memory", H5F_ACC_TRUNC, H5P_DEFAULT, access.get()));
    if (!file.m_file)
        file.failWriting("/");
    return file;
}

Hdf5File Hdf5File::open(const std::filesystem::path &path)
{
    Hdf5File file;
    file.m_shown = path.string();
    std::error_code error;
    if (!std::filesystem::exists(path, error))
        throw Error(ErrorKind::NotFound, "The file " + path.string() + " does not exist.");
    if (H5Fis_hdf5(path.c_str()) <= 0) {
        hdf5Reason();
        throw Error(ErrorKind::BadFormat, path.string() + " is not an HDF5 file.",
                    "Choose a file with importance maps (.h5).");
    }
    const Hdf5Id access = hdf5FileAccess();
    file.m_file = Hdf5Id(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()));
    if (!file.m_file)
        throw Error(ErrorKind::BadFormat, path.string() + " cannot be opened as HDF5: " + hdf5Reason() + ".",
                    "The file may be cut off or still being written.");
    return file;
}

std::string Hdf5File::image()
{
    const auto size = H5Fflush(m_file.get(), H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(m_file.get(), nullptr, 0);
    if (size <= 0)
        failWriting("/");
    std::string bytes(static_cast<std::size_t>(size), '\0');
    if (H5Fget_file_image(m_file.get(), bytes.data(), bytes.size()) != size || H5Fclose(m_file.release()) < 0)
        failWriting("/");
    return bytes;
}

void Hdf5File::failWriting(const std::string &object) const
{
    const std::string reason = hdf5Reason();
    throw Error(ErrorKind::Io,
                m_shown + ": " + object + " cannot be written (" + (reason.empty() ? "unknown reason" : reason) + ").",
                "Check the free space and the permissions of the folder.");
}

void Hdf5File::failReading(const std::string &object, const std::string &reason) const
{
    const std::string library = hdf5Reason();
    const std::string &said = !reason.empty() ? reason : library;
    throw Error(ErrorKind::BadFormat,
                m_shown + ": " + object + " cannot be read (" + (said.empty() ? "unknown reason" : said) + ").");
}

void Hdf5File::createGroup(const std::string &path)
{
    if (const Hdf5Id group(H5Gcreate2(m_file.get(), path.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)); !group)
        failWriting(path);
}

void Hdf5File::writeData(const std::string &path, Hdf5Handle fileType, Hdf5Handle memoryType, const void *values,
                         const std::vector<std::uint64_t> &shape, const Hdf5Layout &layout)
{
    const Hdf5Id creation(H5Pcreate(H5P_DATASET_CREATE));
    if (!layout.chunk.empty()) {
        const std::vector<hsize_t> chunk(layout.chunk.begin(), layout.chunk.end());
        // Filters run in this order; the checksum comes last and covers what is on disk.
        if (H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()) < 0
            || H5Pset_shuffle(creation.get()) < 0
            || H5Pset_deflate(creation.get(), static_cast<unsigned>(layout.deflate)) < 0
            || H5Pset_fletcher32(creation.get()) < 0)
            failWriting(path);
    }
    const Hdf5Id space = hdf5Space(shape);
    const Hdf5Id data(
        H5Dcreate2(m_file.get(), path.c_str(), fileType, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT));
    if (!data || H5Dwrite(data.get(), memoryType, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        failWriting(path);
}

void Hdf5File::writeText(const std::string &path, const std::string &value)
{
    const char *text = value.c_str();
    const Hdf5Id type = hdf5Utf8Type();
    writeData(path, type.get(), type.get(), &text, {});
}

void Hdf5File::writeTexts(const std::string &path, const std::vector<std::string> &values)
{
    const auto pointers = hdf5Pointers(values);
    const Hdf5Id type = hdf5Utf8Type();
    writeData(path, type.get(), type.get(), pointers.data(), {values.size()});
}

void Hdf5File::writeFloats(const std::string &path, std::span<const float> values,
                           const std::vector<std::uint64_t> &shape, const Hdf5Layout &layout)
{
    writeData(path, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, values.data(), shape, layout);
}

void Hdf5File::writeIntegers(const std::string &path, std::span<const std::int32_t> values)
{
    writeData(path, H5T_STD_I32LE, H5T_NATIVE_INT32, values.data(), {values.size()});
}

void Hdf5File::writeScalar(const std::string &path, std::int64_t value)
{
    writeData(path, H5T_STD_I64LE, H5T_NATIVE_INT64, &value, {});
}

void Hdf5File::writeScalar(const std::string &path, std::uint64_t value)
{
    writeData(path, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value, {});
}

void Hdf5File::writeScalar(const std::string &path, double value)
{
    writeData(path, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value, {});
}

void Hdf5File::writeAttribute(const std::string &object, const std::string &name, Hdf5Handle type, const void *value,
                              std::optional<std::uint64_t> count)
{
    const Hdf5Id holder(H5Oopen(m_file.get(), object.c_str(), H5P_DEFAULT));
    const Hdf5Id space = hdf5Space(count ? std::vector<std::uint64_t>{*count} : std::vector<std::uint64_t>{});
    const Hdf5Id attribute(H5Acreate2(holder.get(), name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT));
    if (!attribute || H5Awrite(attribute.get(), type, value) < 0)
        failWriting(object + "@" + name);
}

void Hdf5File::setAttribute(const std::string &object, const std::string &name, const std::string &value)
{
    const char *text = value.c_str();
    const Hdf5Id type = hdf5Utf8Type();
    writeAttribute(object, name, type.get(), &text, std::nullopt);
}

void Hdf5File::setAttribute(const std::string &object, const std::string &name, const std::vector<std::string> &values)
{
    const auto pointers = hdf5Pointers(values);
    const Hdf5Id type = hdf5Utf8Type();
    writeAttribute(object, name, type.get(), pointers.data(), values.size());
}

void Hdf5File::setAttribute(const std::string &object, const std::string &name, std::int32_t value)
{
    writeAttribute(object, name, H5T_NATIVE_INT32, &value, std::nullopt);
}

void Hdf5File::attachScale(const std::string &data, const std::string &axis, unsigned dimension,
                           const std::string &label)
{
    const Hdf5Id dataId = openData(data);
    const Hdf5Id axisId = openData(axis);
    const std::string name = axis.substr(axis.rfind('/') + 1);
    if (H5DSis_scale(axisId.get()) <= 0 && H5DSset_scale(axisId.get(), name.c_str()) < 0)
        failWriting(axis);
    if (H5DSattach_scale(dataId.get(), axisId.get(), dimension) < 0
        || H5DSset_label(dataId.get(), dimension, label.c_str()) < 0)
        failWriting(data);
}

Hdf5File::Kind Hdf5File::kind(const std::string &path) const
{
    // H5Lexists() fails when a part of the path is missing, so the parts are tried one by one.
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string part = path.substr(0, end);
        if (part.size() > 1 && H5Lexists(m_file.get(), part.c_str(), H5P_DEFAULT) <= 0) {
            hdf5Reason();
            return Kind::Missing;
        }
        if (end == std::string::npos)
            break;
    }
    const Hdf5Id object(H5Oopen(m_file.get(), path.c_str(), H5P_DEFAULT));
    if (!object) {
        hdf5Reason(); // a dangling link
        return Kind::Missing;
    }
    const auto type = H5Iget_type(object.get());
    return type == H5I_GROUP ? Kind::Group : type == H5I_DATASET ? Kind::Data : Kind::Other;
}

std::vector<std::string> Hdf5File::children(const std::string &group) const
{
    const Hdf5Id id(H5Gopen2(m_file.get(), group.c_str(), H5P_DEFAULT));
    H5G_info_t info = {};
    if (!id || H5Gget_info(id.get(), &info) < 0)
        failReading(group);
    std::vector<std::string> names;
    for (hsize_t i = 0; i < info.nlinks && names.size() < kHdf5ObjectLimit; ++i) {
        const auto length = H5Lget_name_by_idx(id.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i, nullptr, 0, H5P_DEFAULT);
        if (length < 0)
            failReading(group);
        std::string name(static_cast<std::size_t>(length) + 1, '\0');
        H5Lget_name_by_idx(id.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size(), H5P_DEFAULT);
        name.resize(static_cast<std::size_t>(length));
        H5L_info_t link = {};
        if (H5Lget_info(id.get(), name.c_str(), &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD)
            names.push_back(std::move(name));
    }
    return names;
}

std::vector<std::string> Hdf5File::dataSets() const
{
    std::vector<std::string> found;
    std::vector<std::pair<std::string, int>> groups{{"/", 0}};
    while (!groups.empty() && found.size() < kHdf5ObjectLimit) {
        const auto [group, depth] = groups.back();
        groups.pop_back();
        for (const auto &name : children(group)) {
            const std::string path = (group == "/" ? "" : group) + "/" + name;
            const Kind childKind = kind(path);
            if (childKind == Kind::Data)
                found.push_back(path);
            else if (childKind == Kind::Group && depth < kHdf5DepthLimit && groups.size() < kHdf5ObjectLimit)
                groups.emplace_back(path, depth + 1);
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

Hdf5Id Hdf5File::openData(const std::string &path) const
{
    Hdf5Id data(H5Dopen2(m_file.get(), path.c_str(), H5P_DEFAULT));
    if (!data)
        failReading(path);
    return data;
}

std::vector<std::uint64_t> Hdf5File::shape(const std::string &path) const
{
    const Hdf5Id data = openData(path);
    const Hdf5Id space(H5Dget_space(data.get()));
    const int rank = H5Sget_simple_extent_ndims(space.get());
    if (rank < 0)
        failReading(path);
    std::vector<hsize_t> dimensions(static_cast<std::size_t>(rank));
    H5Sget_simple_extent_dims(space.get(), dimensions.data(), nullptr);
    return {dimensions.begin(), dimensions.end()};
}

bool Hdf5File::isNumeric(const std::string &path) const
{
    const Hdf5Id data = openData(path);
    const Hdf5Id type(H5Dget_type(data.get()));
    const auto typeClass = H5Tget_class(type.get());
    return typeClass == H5T_FLOAT || typeClass == H5T_INTEGER;
}

bool Hdf5File::isText(const std::string &path) const
{
    const Hdf5Id data = openData(path);
    const Hdf5Id type(H5Dget_type(data.get()));
    return H5Tget_class(type.get()) == H5T_STRING;
}

bool Hdf5File::isDimensionScale(const std::string &path) const
{
    return H5DSis_scale(openData(path).get()) > 0;
}

void Hdf5File::readInto(const std::string &path, Hdf5Handle memoryType, void *values, std::size_t count) const
{
    if (const auto elements = hdf5ElementCount(shape(path)); elements != count)
        failReading(path, "it does not hold " + std::to_string(count) + " values");
    const Hdf5Id data = openData(path);
    if (H5Dread(data.get(), memoryType, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        failReading(path);
}

std::vector<float> Hdf5File::readFloats(const std::string &path) const
{
    const auto count = hdf5ElementCount(shape(path));
    if (!count || !isNumeric(path))
        failReading(path, count ? "it is not numeric" : "it is too large");
    std::vector<float> values(*count);
    readInto(path, H5T_NATIVE_FLOAT, values.data(), values.size());
    return values;
}

std::vector<std::int64_t> Hdf5File::readIntegers(const std::string &path) const
{
    const auto count = hdf5ElementCount(shape(path));
    if (!count || !isNumeric(path))
        failReading(path, count ? "it is not numeric" : "it is too large");
    std::vector<std::int64_t> values(*count);
    readInto(path, H5T_NATIVE_INT64, values.data(), values.size());
    return values;
}

std::string Hdf5File::readText(const std::string &path) const
{
    const Hdf5Id data = openData(path);
    const Hdf5Id type(H5Dget_type(data.get()));
    const Hdf5Id space(H5Dget_space(data.get()));
    if (H5Sget_simple_extent_npoints(space.get()) != 1)
        failReading(path, "it is not a single string");
    auto values = hdf5ReadStrings(type.get(), space.get(), 1, [&](Hdf5Handle memory, void *buffer) {
        return H5Dread(data.get(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer);
    });
    if (!values)
        failReading(path, "it is not a string");
    return std::move(values->front());
}

std::int64_t Hdf5File::readInteger(const std::string &path) const
{
    std::int64_t value = 0;
    readInto(path, H5T_NATIVE_INT64, &value, 1);
    return value;
}

std::uint64_t Hdf5File::readUnsigned(const std::string &path) const
{
    std::uint64_t value = 0;
    readInto(path, H5T_NATIVE_UINT64, &value, 1);
    return value;
}

double Hdf5File::readNumber(const std::string &path) const
{
    double value = 0;
    readInto(path, H5T_NATIVE_DOUBLE, &value, 1);
    return value;
}

std::vector<std::string> Hdf5File::readTextAttribute(const std::string &object, const std::string &name) const
{
    const Hdf5Id holder(H5Oopen(m_file.get(), object.c_str(), H5P_DEFAULT));
    if (!holder || H5Aexists(holder.get(), name.c_str()) <= 0) {
        hdf5Reason();
        return {};
    }
    const Hdf5Id attribute(H5Aopen(holder.get(), name.c_str(), H5P_DEFAULT));
    const Hdf5Id type(H5Aget_type(attribute.get()));
    const Hdf5Id space(H5Aget_space(attribute.get()));
    const auto count = H5Sget_simple_extent_npoints(space.get());
    if (count <= 0 || static_cast<std::size_t>(count) > kHdf5ObjectLimit)
        return {};
    auto values
        = hdf5ReadStrings(type.get(), space.get(), static_cast<std::size_t>(count),
                          [&](Hdf5Handle memory, void *buffer) { return H5Aread(attribute.get(), memory, buffer); });
    if (!values)
        failReading(object + "@" + name, "it is not a string");
    return std::move(*values);
}

std::optional<std::string> Hdf5File::textAttribute(const std::string &object, const std::string &name) const
{
    auto values = readTextAttribute(object, name);
    if (values.empty())
        return std::nullopt;
    return std::move(values.front());
}

std::vector<std::string> Hdf5File::textListAttribute(const std::string &object, const std::string &name) const
{
    return readTextAttribute(object, name);
}

std::optional<std::int64_t> Hdf5File::integerAttribute(const std::string &object, const std::string &name) const
{
    const Hdf5Id holder(H5Oopen(m_file.get(), object.c_str(), H5P_DEFAULT));
    if (!holder || H5Aexists(holder.get(), name.c_str()) <= 0) {
        hdf5Reason();
        return std::nullopt;
    }
    const Hdf5Id attribute(H5Aopen(holder.get(), name.c_str(), H5P_DEFAULT));
    const Hdf5Id space(H5Aget_space(attribute.get()));
    std::int64_t value = 0;
    if (H5Sget_simple_extent_npoints(space.get()) != 1 || H5Aread(attribute.get(), H5T_NATIVE_INT64, &value) < 0)
        failReading(object + "@" + name, "it is not a whole number");
    return value;
}

std::int64_t hdf5OpenObjects()
{
    const Hdf5Scope scope;
    return static_cast<std::int64_t>(H5Fget_obj_count(static_cast<hid_t>(H5F_OBJ_ALL), H5F_OBJ_ALL));
}

std::string hdf5Version()
{
    unsigned major = 0;
    unsigned minor = 0;
    unsigned release = 0;
    H5get_libversion(&major, &minor, &release);
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(release);
}

} // namespace secateur
