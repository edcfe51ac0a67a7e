#include "backend/engine/process_group.h"

#include "backend/core/error.h"
#include "backend/engine/compute_device.h"
#include "backend/engine/training/process_exchange.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <utility>

namespace secateur {

namespace {

using GlooGroup = c10d::ProcessGroupGloo;

std::string groupNumber(double value)
{
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

/// "Process 1 of 4"
std::string groupMember(const ProcessSettings &settings)
{
    return "Process " + std::to_string(settings.rank) + " of " + std::to_string(settings.size);
}

std::string groupPlace(const ProcessSettings &settings)
{
    return settings.file.empty() ? settings.address + ":" + std::to_string(settings.port)
                                 : "'" + settings.file.string() + "'";
}

/// What c10d and Gloo throw is long and names sockets; it goes into the details. They log it with stack traces, too.
template <typename Work> void groupTranslated(const std::string &message, const char *hint, Work &&work)
{
    if (!std::getenv("TORCH_CPP_LOG_LEVEL")) // whoever sets it wants to read them
        FLAGS_caffe2_log_level = 3; // fatal ones alone
    try {
        std::forward<Work>(work)();
    } catch (const std::exception &error) {
        throw Error(ErrorInfo{ErrorKind::Io, message, hint, error.what()});
    }
}

std::chrono::milliseconds groupTimeout(const ProcessSettings &settings)
{
    return std::chrono::milliseconds(
        std::max<std::int64_t>(1, static_cast<std::int64_t>(settings.timeoutSeconds * 1000)));
}

c10::intrusive_ptr<c10d::Store> groupStore(const ProcessSettings &settings)
{
    c10::intrusive_ptr<c10d::Store> store;
    if (settings.file.empty()) {
        c10d::TCPStoreOptions options;
        options.port = static_cast<std::uint16_t>(settings.port);
        options.isServer = settings.rank == 0 && !settings.launcherListens;
        options.numWorkers = static_cast<std::size_t>(settings.size);
        options.waitWorkers = !settings.launcherListens;
        options.timeout = groupTimeout(settings);
        store = c10::make_intrusive<c10d::TCPStore>(settings.address, options);
    } else {
        // FileStore would try for minutes to create the file
        if (!std::filesystem::is_directory(std::filesystem::absolute(settings.file).parent_path()))
            throw std::runtime_error("There is no such folder.");
        store = c10::make_intrusive<c10d::FileStore>(settings.file.string(), settings.size);
    }
    store->setTimeout(groupTimeout(settings));
    return c10::make_intrusive<c10d::PrefixStore>("secateur/" + std::to_string(settings.attempt), store);
}

bool groupIsLocal(const ProcessSettings &settings)
{
    return settings.address == "localhost" || settings.address.starts_with("127.");
}

/// Gloo over TCP. Tensors of a GPU go through the memory of the CPU.
class GlooExchange : public ProcessGroup::Impl {
public:
    explicit GlooExchange(const ProcessSettings &settings) : m_settings(settings)
    {
        groupTranslated(groupMember(settings) + " did not find the others at " + groupPlace(settings) + " within "
                            + groupNumber(settings.timeoutSeconds) + " s.",
                        settings.file.empty() ? "All must run and reach this address, and the port must be free."
                                              : "All must run and see this file, which must be new for each run.",
                        [&] {
                            const auto options = GlooGroup::Options::create(groupTimeout(settings));
                            options->devices.push_back(
                                !settings.interface.empty()  ? GlooGroup::createDeviceForInterface(settings.interface)
                                    : groupIsLocal(settings) ? GlooGroup::createDeviceForHostname("127.0.0.1")
                                                             : GlooGroup::createDefaultDevice());
                            m_group = c10::make_intrusive<GlooGroup>(groupStore(settings), settings.rank, settings.size,
                                                                     options);
                        });
    }

    void reduce(const Tensor &tensor, Operation operation) override
    {
        groupTranslated(groupMember(m_settings) + " lost the others: one has ended or did not answer within "
                            + groupNumber(m_settings.timeoutSeconds) + " s.",
                        "The first process that failed says why.", [&] {
                            std::vector<Tensor> tensors = {tensor};
                            c10d::AllreduceOptions options;
                            options.reduceOp = operation == Operation::Sum ? c10d::ReduceOp::SUM : c10d::ReduceOp::MAX;
                            m_group->allreduce(tensors, options)->wait();
                        });
    }

private:
    ProcessSettings m_settings;
    c10::intrusive_ptr<GlooGroup> m_group;
};

Tensor groupView(std::span<double> values)
{
    return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kDouble);
}

/// Gloo's headers are those of the system, its code is in LibTorch: whether they fit shows in sums whose terms are
/// known, one of them so long that every process passes on a part.
void groupCheck(const ProcessGroup &group)
{
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        for (const std::int64_t count : {std::int64_t{1}, std::int64_t{10007}}) {
            const Tensor ramp = at::arange(count, type) + 1;
            const double terms = 0.5 * group.size() * (group.size() + 1);
            Tensor sum = ramp * (group.rank() + 1);
            group.impl().reduce(sum, ProcessGroup::Impl::Operation::Sum);
            Tensor largest = ramp * (group.rank() + 1);
            group.impl().reduce(largest, ProcessGroup::Impl::Operation::Maximum);
            if (!at::equal(sum, ramp * terms) || !at::equal(largest, ramp * group.size()))
                throw Error(ErrorKind::CheckFailed,
                            "Sums over the " + std::to_string(group.size()) + " processes come out wrong.",
                            "Build against the LibTorch that is used, with its own headers.");
        }
    }
}

} // namespace

ProcessGroup::ProcessGroup(const ProcessSettings &settings)
    : m_settings(settings), m_impl(std::make_unique<GlooExchange>(settings))
{
    groupCheck(*this);
}

ProcessGroup::~ProcessGroup() = default;

void ProcessGroup::sum(std::span<double> values) const
{
    m_impl->reduce(groupView(values), Impl::Operation::Sum);
}

void ProcessGroup::maximum(std::span<double> values) const
{
    m_impl->reduce(groupView(values), Impl::Operation::Maximum);
}

std::string deviceOfProcess(const std::string &device, const ProcessSettings &settings)
{
    if (device != "cuda")
        return device;
    const auto devices = listDevices();
    const auto cards = std::count_if(devices.begin(), devices.end(),
                                     [](const DeviceInfo &info) { return info.id.starts_with("cuda"); });
    // a launcher that shows every process one card leaves only number 0
    return cards > 0 ? "cuda:" + std::to_string(settings.localRank % cards) : device;
}

int threadsOfProcess(int threads, const ProcessSettings &settings)
{
    if (threads > 0 || settings.localSize < 2)
        return threads;
    const int cores = static_cast<int>(std::thread::hardware_concurrency());
    return std::max(1, cores / settings.localSize);
}

} // namespace secateur
