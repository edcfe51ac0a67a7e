#include "backend/engine/model.h"

#include "backend/engine/detail/guards.h"
#include "backend/engine/detail/placement.h"
#include "backend/engine/nn/loading.h"
#include "backend/io/weight_files.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace secateur {

namespace {

std::string modelShapeText(const std::vector<std::int64_t> &shape)
{
    std::string text;
    for (const std::int64_t size : shape)
        text += (text.empty() ? "" : ", ") + std::to_string(size);
    return "[" + text + "]";
}

at::ScalarType modelPlainType(const std::string &dtype)
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

/// Turns stored weights into tensors of one dtype on one device.
class WeightLoader {
public:
    WeightLoader(const ModelInfo &info, const ComputeSettings &settings, const JobContext &context)
        : m_device(placementDevice(settings)),
          m_dtype(placementDtype(settings)),
          m_weights(openWeights(info)),
          m_context(context),
          m_total(static_cast<std::int64_t>(expectedTensors(*info.config).size()))
    { }

    const at::Device &device() const { return m_device; }
    std::shared_ptr<const void> mapping() const { return m_mapped ? m_weights : nullptr; }

    Tensor operator()(const std::string &name, const std::vector<std::int64_t> &shape)
    {
        m_context.checkpoint({"model.load", m_done, m_total});
        const WeightFiles::Entry *entry = m_weights->find(name);
        if (!entry)
            throw Error(ErrorKind::BadFormat, "The model has no tensor \"" + name + "\".");
        if (entry->shape != shape) {
            throw Error(ErrorKind::BadFormat,
                        "Tensor \"" + name + "\" of " + entry->file + " has shape " + modelShapeText(entry->shape)
                            + ", expected " + modelShapeText(shape) + ".");
        }
        const Tensor tensor = read(*entry, shape);
        requireFinite(tensor, name, entry->file);
        ++m_done;
        return tensor;
    }

private:
    Tensor read(const WeightFiles::Entry &entry, const std::vector<std::int64_t> &shape)
    {
        const bool plain = WeightFiles::isPlain(entry);
        const bool sameType = plain && modelPlainType(entry.dtype) == m_dtype;
        const bool aligned = reinterpret_cast<std::uintptr_t>(entry.bytes.data()) % c10::elementSize(m_dtype) == 0;
        if (sameType && aligned && m_device.is_cpu()) {
            m_mapped = true;
            return at::from_blob(const_cast<std::byte *>(entry.bytes.data()), shape,
                                 at::TensorOptions().dtype(m_dtype)); // read only: nobody writes into weights
        }
        Tensor result;
        if (sameType) {
            result = at::empty(shape, m_dtype);
            std::memcpy(result.mutable_data_ptr(), entry.bytes.data(), entry.bytes.size());
        } else {
            result = at::empty(shape, at::kFloat);
            WeightFiles::readF32(entry, {result.mutable_data_ptr<float>(), static_cast<std::size_t>(result.numel())});
        }
        releasePages(entry.bytes);
        return result.to(m_device, m_dtype);
    }

    at::Device m_device;
    at::ScalarType m_dtype;
    std::shared_ptr<const WeightFiles> m_weights;
    const JobContext &m_context;
    std::int64_t m_total = 0;
    std::int64_t m_done = 0;
    bool m_mapped = false;
};

} // namespace

const ModelConfig &Model::config() const
{
    return m_impl->config;
}

std::string Model::dtype() const
{
    return m_impl->dtype() == at::kBFloat16 ? "bf16" : "f32";
}

std::string Model::device() const
{
    return m_impl->device().str();
}

std::int64_t Model::parameters() const
{
    const auto count = [](const Tensor &tensor) { return tensor.defined() ? tensor.numel() : 0; };
    std::int64_t total = count(m_impl->embedding) + count(m_impl->finalNorm) + count(m_impl->head.bias);
    if (!m_impl->head.weight.is_same(m_impl->embedding))
        total += count(m_impl->head.weight);
    for (const DecoderBlock &block : m_impl->blocks) {
        total += count(block.attentionNorm) + count(block.mlpNorm) + count(block.qNorm) + count(block.kNorm);
        for (const Linear *linear : {&block.q, &block.k, &block.v, &block.o, &block.gate, &block.up, &block.down})
            total += count(linear->weight) + count(linear->bias) + count(linear->factor);
    }
    return total;
}

Model loadModel(const ModelInfo &info, const ComputeSettings &settings, const JobContext &context)
{
    if (!info.config) {
        throw Error(ErrorKind::Unsupported,
                    "Model \"" + info.name + "\" can only be inspected: " + info.inspectOnlyReason);
    }
    return withoutGradients([&] {
        WeightLoader loader(info, settings, context);
        const std::shared_ptr<Model::Impl> model = assembleModel(*info.config, loader.device(), std::ref(loader));
        model->keepAlive = loader.mapping();
        return Model(model);
    });
}

Model randomModel(const ModelConfig &config, std::uint64_t seed, const ComputeSettings &settings)
{
    return withoutGradients([&] {
        const at::Device device = placementDevice(settings);
        const at::ScalarType dtype = placementDtype(settings);
        const at::Generator generator = at::detail::createCPUGenerator(seed);
        const auto options = at::TensorOptions().dtype(at::kFloat);
        const TensorSource source = [&](const std::string &name, const std::vector<std::int64_t> &shape) {
            if (shape.size() == 2)
                return (at::randn(shape, generator, options) * 0.02).to(device, dtype);
            return (name.ends_with(".bias") ? at::zeros(shape, options) : at::ones(shape, options)).to(device, dtype);
        };
        return Model(assembleModel(config, device, source));
    });
}

} // namespace secateur
