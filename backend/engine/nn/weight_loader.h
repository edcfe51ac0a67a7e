#pragma once

#include "backend/core/job_context.h"
#include "backend/core/model_info.h"
#include "backend/core/run_config.h"
#include "backend/engine/detail/tensor.h"
#include "backend/io/weight_files.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace secateur {

/// Turns the stored weights of a model into tensors of one dtype on one device. What has that dtype already and is
/// computed on the CPU stays in the memory map.
class WeightLoader {
public:
    WeightLoader(const ModelInfo &info, const ComputeSettings &settings, const JobContext &context);

    const at::Device &device() const { return m_device; }
    at::ScalarType dtype() const { return m_dtype; }
    /// The memory map, when a tensor lies in it; else null.
    std::shared_ptr<const void> mapping() const { return m_mapped.empty() ? nullptr : m_weights; }

    /// The tensor \a name, checked: Error(BadFormat) for another shape, Error(Numeric) for NaN or infinity.
    Tensor operator()(const std::string &name, const std::vector<std::int64_t> &shape);
    /// The rows \a ids of the matrix \a name of \a shape, not checked for NaN: (N, shape[1]).
    Tensor rows(const std::string &name, const std::vector<std::int64_t> &shape, const TokenIds &ids) const;

    /// true when the tensor is used where it lies and costs no memory of its own.
    bool staysMapped(const WeightFiles::Entry &entry) const;
    const WeightFiles::Entry &entry(const std::string &name) const; ///< throws Error(BadFormat)
    /// Lets the system drop the pages of all mapped tensors that were handed out; nobody may use them again.
    void releaseMapped();

private:
    Tensor read(const WeightFiles::Entry &entry, const std::vector<std::int64_t> &shape);

    at::Device m_device;
    at::ScalarType m_dtype;
    std::shared_ptr<const WeightFiles> m_weights;
    const JobContext &m_context;
    std::int64_t m_total = 0;
    std::int64_t m_done = 0;
    std::vector<std::span<const std::byte>> m_mapped;
};

} // namespace secateur
