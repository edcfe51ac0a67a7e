#include "tests/support/strict_device.h"

#include "backend/engine/detail/tensor.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/empty_strided.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace secateur {

namespace {

constexpr c10::DeviceType kStrict = c10::DeviceType::PrivateUse1;
constexpr std::size_t kBytes = std::size_t(1) << 30; ///< only what is touched costs memory

/// One memory mapped twice: tensors carry addresses of the forbidden view, operations work in the open one.
class StrictMemory : public c10::Allocator {
public:
    StrictMemory()
    {
        const int file = memfd_create("strict-device", 0);
        void *open = MAP_FAILED;
        void *forbidden = MAP_FAILED;
        if (file >= 0 && ftruncate(file, kBytes) == 0) {
            open = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            forbidden = mmap(nullptr, kBytes, PROT_NONE, MAP_SHARED, file, 0);
        }
        if (open == MAP_FAILED || forbidden == MAP_FAILED)
            throw std::runtime_error("the strict device has no memory");
        m_open = static_cast<char *>(open);
        m_forbidden = static_cast<char *>(forbidden);
        close(file);
    }

    c10::DataPtr allocate(std::size_t bytes) override
    {
        const c10::Device device(kStrict, 0);
        if (bytes == 0)
            return {nullptr, nullptr, &release, device};
        const std::lock_guard lock(m_mutex);
        const std::size_t size = (bytes + 63) / 64 * 64;
        std::size_t offset = m_used;
        if (const auto free = m_free.find(size); free != m_free.end()) {
            offset = free->second;
            m_free.erase(free);
        } else {
            TORCH_CHECK(size <= kBytes - m_used, "the strict device is out of memory");
            m_used += size;
        }
        m_sizes[offset] = size;
        return {m_forbidden + offset, m_forbidden + offset, &release, device};
    }

    void copy_data(void *to, const void *from, std::size_t count) const override
    {
        std::memcpy(opened(to), opened(from), count);
    }

    /// The address that operations may use.
    void *opened(const void *address) const
    {
        return address ? m_open + (static_cast<const char *>(address) - m_forbidden) : nullptr;
    }

private:
    static void release(void *address);

    std::mutex m_mutex;
    char *m_open = nullptr;
    char *m_forbidden = nullptr;
    std::size_t m_used = 0;
    std::multimap<std::size_t, std::size_t> m_free; ///< size → offset
    std::unordered_map<std::size_t, std::size_t> m_sizes; ///< offset → size
};

StrictMemory &strictMemory()
{
    static StrictMemory *memory = new StrictMemory; // tensors may die after everything else
    return *memory;
}

void StrictMemory::release(void *address)
{
    if (!address)
        return;
    StrictMemory &memory = strictMemory();
    const std::lock_guard lock(memory.m_mutex);
    const auto offset = static_cast<std::size_t>(static_cast<char *>(address) - memory.m_forbidden);
    memory.m_free.emplace(memory.m_sizes.at(offset), offset);
}

bool isStrict(const Tensor &tensor)
{
    return tensor.defined() && tensor.device().type() == kStrict;
}

Tensor tensorOn(c10::Storage storage, c10::DispatchKey key, const Tensor &like)
{
    Tensor result
        = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), like.dtype());
    result.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
    return result;
}

/// CPU tensors over the memory of the strict tensors that one operation works on.
class OpenedTensors {
public:
    explicit OpenedTensors(std::string operation) : m_operation(std::move(operation)) { }

    Tensor open(const Tensor &tensor)
    {
        if (!tensor.defined() || (!isStrict(tensor) && tensor.dim() == 0))
            return tensor; // a number may come from the CPU, as on a card
        TORCH_CHECK(isStrict(tensor), m_operation, ": a tensor on ", tensor.device(),
                    " among tensors on the strict device");
        c10::Storage &storage = m_opened[tensor.storage().unsafeGetStorageImpl()];
        if (!storage) {
            storage = c10::Storage(c10::Storage::use_byte_size_t(), tensor.storage().nbytes(),
                                   c10::DataPtr(strictMemory().opened(tensor.storage().data()), c10::kCPU),
                                   c10::GetAllocator(c10::kCPU), true);
            m_owners.emplace(storage.unsafeGetStorageImpl(), tensor.storage());
        }
        Tensor opened = tensorOn(storage, c10::DispatchKey::CPU, tensor);
        m_pairs.emplace_back(opened, tensor);
        return opened;
    }

    Tensor close(const Tensor &result)
    {
        if (!result.defined())
            return result;
        for (const auto &[opened, tensor] : m_pairs)
            if (opened.is_same(result))
                return tensor; // changed in place
        if (const auto owner = m_owners.find(result.storage().unsafeGetStorageImpl()); owner != m_owners.end())
            return tensorOn(owner->second, c10::DispatchKey::PrivateUse1, result); // a view
        Tensor closed = at::empty_strided(result.sizes(), result.strides(), result.options().device(kStrict, 0));
        open(closed).copy_(result);
        return closed;
    }

    /// Results that were given too small and have grown.
    void takeGrown()
    {
        for (auto &[opened, owner] : m_owners) {
            if (opened->data() == strictMemory().opened(owner.data()))
                continue;
            c10::DataPtr grown = strictMemory().allocate(opened->nbytes());
            std::memcpy(strictMemory().opened(grown.get()), opened->data(), opened->nbytes());
            owner.unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(grown));
            owner.set_nbytes(opened->nbytes());
        }
        for (const auto &[opened, tensor] : m_pairs)
            if (opened.sizes() != tensor.sizes())
                tensor.unsafeGetTensorImpl()->set_sizes_and_strides(opened.sizes(), opened.strides());
    }

private:
    std::string m_operation;
    std::unordered_map<c10::StorageImpl *, c10::Storage> m_opened;
    std::unordered_map<c10::StorageImpl *, c10::Storage> m_owners;
    std::vector<std::pair<Tensor, Tensor>> m_pairs;
};

template <typename Change> c10::IValue changed(const c10::IValue &value, const Change &change)
{
    if (value.isTensor())
        return change(value.toTensor());
    if (value.isTensorList()) {
        std::vector<Tensor> list;
        for (const Tensor &tensor : value.toTensorVector())
            list.push_back(change(tensor));
        return list;
    }
    if (value.isOptionalTensorList()) {
        c10::List<std::optional<Tensor>> list;
        for (const std::optional<Tensor> &tensor : value.toOptionalTensorVector())
            list.push_back(tensor ? std::optional<Tensor>(change(*tensor)) : std::nullopt);
        return list;
    }
    return value;
}

/// Every operation without a kernel of its own: checked, done by the CPU kernel, closed again.
void runOpened(const c10::OperatorHandle &operation, c10::Stack *stack)
{
    OpenedTensors tensors(operation.schema().name());
    const auto open = [&](const Tensor &tensor) { return tensors.open(tensor); };
    const std::size_t arguments = operation.schema().arguments().size();
    for (std::size_t i = stack->size() - arguments; i < stack->size(); ++i) {
        c10::IValue &value = (*stack)[i];
        value = value.isDevice() ? c10::IValue(c10::Device(c10::kCPU)) : changed(value, open);
    }
    operation.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
    tensors.takeGrown();
    const std::size_t results = operation.schema().returns().size();
    for (std::size_t i = stack->size() - results; i < stack->size(); ++i)
        (*stack)[i] = changed((*stack)[i], [&](const Tensor &tensor) { return tensors.close(tensor); });
}

Tensor emptyStrict(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                   std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format)
{
    return at::detail::empty_generic(size, &strictMemory(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                     dtype.value_or(at::kFloat), format);
}

Tensor emptyStridedStrict(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                          std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>)
{
    return at::detail::empty_strided_generic(
        size, stride, &strictMemory(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), dtype.value_or(at::kFloat));
}

/// The only operation that may see two devices.
Tensor copyBetween(const Tensor &from, const Tensor &to, bool)
{
    OpenedTensors tensors("copy");
    const Tensor target = isStrict(to) ? tensors.open(to) : to;
    target.copy_(isStrict(from) ? tensors.open(from) : from);
    return to;
}

struct StrictHooks : at::PrivateUse1HooksInterface {
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
    c10::DeviceIndex deviceCount() const override { return 1; }
    const at::Generator &getDefaultGenerator(c10::DeviceIndex) const override
    {
        return at::detail::getDefaultCPUGenerator();
    }
    c10::DeviceIndex getCurrentDevice() const override { return 0; }
    void setCurrentDevice(c10::DeviceIndex) const override { }
    c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
    c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
};

struct StrictGuard : c10::impl::NoOpDeviceGuardImpl<kStrict> {
    c10::Device exchangeDevice(c10::Device) const override { return {kStrict, 0}; }
    c10::Device getDevice() const override { return {kStrict, 0}; }
    c10::Stream getStream(c10::Device) const noexcept override
    {
        return c10::Stream(c10::Stream::DEFAULT, c10::Device(kStrict, 0));
    }
};

void fallBack(torch::Library &library)
{
    library.fallback(torch::CppFunction::makeFromBoxedFunction<&runOpened>());
}

void addKernels(torch::Library &library)
{
    library.impl("empty.memory_format", &emptyStrict);
    library.impl("empty_strided", &emptyStridedStrict);
    library.impl("_copy_from", &copyBetween);
}

} // namespace

std::string registerStrictDevice()
{
    static const bool registered = [] {
        c10::register_privateuse1_backend("strict");
        c10::SetAllocator(kStrict, &strictMemory());
        at::RegisterPrivateUse1HooksInterface(new StrictHooks);
        c10::impl::registerDeviceGuard(kStrict, new StrictGuard);
        static torch::Library fallback(torch::Library::IMPL, "_", c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
        fallBack(fallback);
        static torch::Library kernels(torch::Library::IMPL, "aten", c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
        addKernels(kernels);
        return true;
    }();
    return registered ? "strict:0" : "";
}

} // namespace secateur
