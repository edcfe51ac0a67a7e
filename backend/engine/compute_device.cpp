#include "backend/engine/compute_device.h"

#include "backend/core/error.h"
#include "backend/engine/detail/guards.h"
#include "backend/engine/detail/placement.h"
#include "backend/engine/kernels/dispatch.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <dlfcn.h>
#include <sched.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace secateur {

namespace {

/// The CUDA driver's own functions for the name and size of a card, which need no CUDA headers.
class CudaDriver {
public:
    CudaDriver()
    {
        const char *own = std::getenv("SECATEUR_CUDA_DRIVER");
        m_library = dlopen(own && *own ? own : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
        if (!m_library) {
            const char *why = dlerror();
            m_problem = "the driver cannot be loaded (" + std::string(why ? why : "unknown reason") + ")";
            return;
        }
        m_init = symbol<int (*)(unsigned)>("cuInit");
        m_count = symbol<int (*)(int *)>("cuDeviceGetCount");
        m_device = symbol<int (*)(int *, int)>("cuDeviceGet");
        m_name = symbol<int (*)(char *, int, int)>("cuDeviceGetName");
        m_totalMemory = symbol<int (*)(std::size_t *, int)>("cuDeviceTotalMem_v2");
        if (!m_init || !m_count || !m_device || !m_name || !m_totalMemory)
            m_problem = "the driver lacks functions of CUDA";
        else if (const int code = m_init(0); code != 0)
            m_problem = "the driver does not start (code " + std::to_string(code) + ")";
        else
            m_usable = true;
        if (m_usable && count() == 0)
            m_problem = "the driver finds no card";
    }

    /// Empty when there is a card.
    const std::string &problem() const { return m_problem; }

    int count() const
    {
        int devices = 0;
        return m_usable && m_count(&devices) == 0 ? devices : 0;
    }

    std::string name(int index) const
    {
        int device = 0;
        std::array<char, 256> text{};
        if (m_device(&device, index) != 0 || m_name(text.data(), static_cast<int>(text.size()) - 1, device) != 0)
            return "CUDA device";
        return text.data();
    }

    std::uint64_t totalBytes(int index) const
    {
        int device = 0;
        std::size_t bytes = 0;
        return m_device(&device, index) == 0 && m_totalMemory(&bytes, device) == 0 ? bytes : 0;
    }

private:
    template <typename Function> Function symbol(const char *name) const
    {
        return reinterpret_cast<Function>(dlsym(m_library, name));
    }

    void *m_library = nullptr; // stays loaded: LibTorch uses it too
    int (*m_init)(unsigned) = nullptr;
    int (*m_count)(int *) = nullptr;
    int (*m_device)(int *, int) = nullptr;
    int (*m_name)(char *, int, int) = nullptr;
    int (*m_totalMemory)(std::size_t *, int) = nullptr;
    bool m_usable = false;
    std::string m_problem;
};

const CudaDriver &cudaDriver()
{
    static const CudaDriver driver;
    return driver;
}

/// Registers LibTorch's CUDA half once; empty when it works, else the reason why not. Machines without a driver or a
/// card never pay for loading it.
const std::string &cudaProblem()
{
    static const std::string problem = []() -> std::string {
        if (!cudaDriver().problem().empty())
            return cudaDriver().problem();
        Dl_info info{};
        if (!dladdr(reinterpret_cast<const void *>(&at::get_num_threads), &info) || !info.dli_fname)
            return "the folder of LibTorch is not known";
        const auto library = std::filesystem::path(info.dli_fname).parent_path() / "libtorch_cuda.so";
        if (!std::filesystem::exists(library))
            return "this LibTorch was built for the CPU";
        if (!dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL)) {
            const char *why = dlerror();
            return "LibTorch's CUDA half cannot be loaded (" + std::string(why ? why : "unknown reason") + ")";
        }
        return at::globalContext().hasCUDA() ? "" : "LibTorch does not work with this driver";
    }();
    return problem;
}

int cudaDevices()
{
    return cudaProblem().empty() ? static_cast<int>(at::getNumGPUs()) : 0;
}

int usableCores()
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    return sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
}

/// The number after \a key in a file of "Key:  123 kB" lines, in bytes; 0 when it is not there.
std::uint64_t kilobyteField(const char *file, std::string_view key)
{
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        if (line.compare(0, key.size(), key) != 0)
            continue;
        const std::size_t digits = line.find_first_of("0123456789", key.size());
        std::uint64_t value = 0;
        if (digits != std::string::npos)
            std::from_chars(line.data() + digits, line.data() + line.size(), value);
        return value * 1024;
    }
    return 0;
}

/// Where bf16 is multiplied faster than f32, everything is faster with it. Elsewhere decoding is, which reads half the
/// bytes, but products of many rows take as long as in f32.
bool cpuMultipliesBf16()
{
    return kernelLevel() >= KernelLevel::Avx512Bf16 || hasBf16Tiles();
}

std::string knownDevices()
{
    std::string text = "cpu";
    for (int i = 0; i < cudaDevices(); ++i)
        text += ", cuda:" + std::to_string(i);
    return text;
}

} // namespace

at::Device placementDevice(const ComputeSettings &settings)
{
    const std::string &id = settings.device;
    if (id.empty() || id == "cpu")
        return at::Device(at::kCPU);
    if (c10::impl::hasDeviceGuardImpl(at::kPrivateUse1) && id == c10::get_privateuse1_backend() + ":0")
        return at::Device(at::kPrivateUse1, 0); // an accelerator that another library registered
    int index = -1;
    if (id == "cuda") {
        index = 0;
    } else if (id.compare(0, 5, "cuda:") == 0) {
        const auto [end, error] = std::from_chars(id.data() + 5, id.data() + id.size(), index);
        if (error != std::errc() || end != id.data() + id.size())
            index = -1;
    }
    if (index < 0 || index >= cudaDevices()) {
        const bool cuda = id.starts_with("cuda") && !cudaProblem().empty();
        throw Error(ErrorKind::InvalidArgument,
                    "There is no device \"" + id + "\" on this machine" + (cuda ? ", because " + cudaProblem() : "")
                        + "; there is: " + knownDevices() + ".",
                    "Choose one of these devices in the settings.");
    }
    return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

at::ScalarType placementDtype(const ComputeSettings &settings)
{
    return resolveDtype(settings) == "bf16" ? at::kBFloat16 : at::kFloat;
}

std::uint64_t freeDeviceBytes(const at::Device &device)
{
    return device.is_cuda() ? at::accelerator::getMemoryInfo(device.index()).first : memoryUse().available;
}

std::string missingCudaReason()
{
    return cudaProblem();
}

std::vector<DeviceInfo> listDevices()
{
    return translated([] {
        const MemoryUse memory = memoryUse();
        const int threads = at::get_num_threads();
        std::vector<DeviceInfo> devices;
        devices.push_back({"cpu", "CPU · " + std::to_string(threads) + (threads == 1 ? " thread" : " threads"),
                           memory.total, memory.available, cpuMultipliesBf16()});
        for (int i = 0; i < cudaDevices(); ++i) {
            const auto [free, total] = at::accelerator::getMemoryInfo(static_cast<c10::DeviceIndex>(i));
            devices.push_back({"cuda:" + std::to_string(i), cudaDriver().name(i),
                               total ? total : cudaDriver().totalBytes(i), free, true});
        }
        return devices;
    });
}

void applyComputeSettings(const ComputeSettings &settings)
{
    translated([&] {
        placementDevice(settings);
        resolveDtype(settings);
        if (settings.kernels != "own" && settings.kernels != "libtorch") {
            throw Error(ErrorKind::InvalidArgument,
                        "There are no kernels \"" + settings.kernels + "\"; there is: own, libtorch.");
        }
        if (settings.threads < 0) {
            throw Error(ErrorKind::InvalidArgument,
                        "The number of threads is " + std::to_string(settings.threads) + ", it cannot be negative.",
                        "Use 0 for all cores.");
        }
        if (settings.kernels == "own")
            useFastestKernels();
        else
            limitKernelLevel(KernelLevel::None);
        at::set_num_threads(settings.threads > 0 ? settings.threads : usableCores());
    });
}

std::string resolveDtype(const ComputeSettings &settings)
{
    if (settings.dtype == "f32" || settings.dtype == "bf16")
        return settings.dtype;
    if (settings.dtype != "auto") {
        throw Error(ErrorKind::InvalidArgument,
                    "There is no compute dtype \"" + settings.dtype + "\"; there is: auto, f32, bf16.");
    }
    const bool cpu = settings.device.empty() || settings.device == "cpu";
    return !cpu || cpuMultipliesBf16() ? "bf16" : "f32";
}

MemoryUse memoryUse()
{
    return {kilobyteField("/proc/self/status", "VmRSS:"), kilobyteField("/proc/self/status", "VmHWM:"),
            kilobyteField("/proc/meminfo", "MemAvailable:"), kilobyteField("/proc/meminfo", "MemTotal:"),
            kilobyteField("/proc/self/status", "RssAnon:")};
}

} // namespace secateur
