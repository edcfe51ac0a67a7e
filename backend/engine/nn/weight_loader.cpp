#include "backend/engine/nn/weight_loader.h"

#include "backend/core/error.h"
#include "backend/engine/detail/placement.h"
#include "backend/engine/nn/loading.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace secateur {

namespace {

std::string weightLoaderShapeText(const std::vector<std::int64_t> &shape)
{
    std::string text;
    for (const std::int64_t size : shape)
        text += (text.empty() ? "" : ", ") + std::to_string(size);
    return "[" + text + "]";
}

at::ScalarType weightLoaderPlainType(const std::string &dtype)
{
    return dtype == "F32" ? at::kFloat : dtype == "BF16" ? at::kBFloat16 : at::kHalf;
}

/// Lets the system drop mapped pages that were converted, so that file and copy are never resident together.
void releasePages(std::span<const std::byte> bytes)
{
    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
    const std::uintptr_t first = (begin + page - 1) / page * page;
    const std::uintptr_t last = (begin + bytes.size()) / page * page;
    if (last > first)
        madvise(reinterpret_cast<void *>(first), last - first, MADV_DONTNEED);
}

} // namespace

WeightLoader::WeightLoader(const ModelInfo &info, const ComputeSettings &settings, const JobContext &context)
    : m_device(placementDevice(settings)),
      m_dtype(placementDtype(settings)),
      m_weights(openWeights(info)),
      m_context(context),
      m_total(static_cast<std::int64_t>(expectedTensors(*info.config).size()))
{ }

const WeightFiles::Entry &WeightLoader::entry(const std::string &name) const
{
    const WeightFiles::Entry *entry = m_weights->find(name);
    if (!entry)
        throw Error(ErrorKind::BadFormat, "The model has no tensor \"" + name + "\".");
    return *entry;
}

Tensor WeightLoader::operator()(const std::string &name, const std::vector<std::int64_t> &shape)
{
    m_context.checkpoint({"model.load", m_done, m_total});
    const WeightFiles::Entry &stored = entry(name);
    if (stored.shape != shape) {
        throw Error(ErrorKind::BadFormat,
                    "Tensor \"" + name + "\" of " + stored.file + " has shape " + weightLoaderShapeText(stored.shape)
                        + ", expected " + weightLoaderShapeText(shape) + ".");
    }
    const Tensor tensor = read(stored, shape);
    requireFinite(tensor, name, stored.file);
    ++m_done;
    return tensor;
}

Tensor WeightLoader::rows(const std::string &name, const std::vector<std::int64_t> &shape, const TokenIds &ids) const
{
    const WeightFiles::Entry &stored = entry(name);
    const auto rowBytes = stored.bytes.size() / static_cast<std::size_t>(shape[0]);
    const auto width = static_cast<std::size_t>(shape[1]);
    Tensor result = at::empty({static_cast<std::int64_t>(ids.size()), shape[1]}, at::kFloat);
    float *out = result.mutable_data_ptr<float>();
    WeightFiles::Entry row = stored;
    row.shape = {1, shape[1]};
    for (const std::int32_t id : ids) {
        row.bytes = stored.bytes.subspan(static_cast<std::size_t>(id) * rowBytes, rowBytes);
        WeightFiles::readF32(row, {out, width});
        out += width;
    }
    return result.to(m_device, m_dtype);
}

bool WeightLoader::staysMapped(const WeightFiles::Entry &entry) const
{
    return m_device.is_cpu() && WeightFiles::isPlain(entry) && weightLoaderPlainType(entry.dtype) == m_dtype
        && reinterpret_cast<std::uintptr_t>(entry.bytes.data()) % c10::elementSize(m_dtype) == 0;
}

void WeightLoader::releaseMapped()
{
    for (const std::span<const std::byte> bytes : m_mapped)
        releasePages(bytes);
    m_mapped.clear();
}

Tensor WeightLoader::read(const WeightFiles::Entry &entry, const std::vector<std::int64_t> &shape)
{
    if (staysMapped(entry)) {
        m_mapped.push_back(entry.bytes);
        return at::from_blob(const_cast<std::byte *>(entry.bytes.data()), shape,
                             at::TensorOptions().dtype(m_dtype)); // read only: nobody writes into weights
    }
    Tensor result;
    if (WeightFiles::isPlain(entry) && weightLoaderPlainType(entry.dtype) == m_dtype) {
        result = at::empty(shape, m_dtype);
        std::memcpy(result.mutable_data_ptr(), entry.bytes.data(), entry.bytes.size());
    } else {
        result = at::empty(shape, at::kFloat);
        WeightFiles::readF32(entry, {result.mutable_data_ptr<float>(), static_cast<std::size_t>(result.numel())});
    }
    releasePages(entry.bytes);
    return result.to(m_device, m_dtype);
}

} // namespace secateur
