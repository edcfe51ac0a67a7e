#include "backend/engine/training/training_share.h"

#include "backend/core/error.h"
#include "backend/engine/detail/guards.h"
#include "backend/engine/training/process_exchange.h"
#include "backend/io/record_json.h"

#include <nlohmann/json.hpp>

#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

namespace secateur {

namespace {

/// One exchange: large enough that its start does not count, small beside the gradients of a large model.
constexpr std::int64_t kShareBucket = 4 << 20;
constexpr double kShareRounding = 1e-6;

std::int64_t shareLength(const TrainingSample *sample)
{
    return static_cast<std::int64_t>(sample->ids.size());
}

/// Fowler–Noll–Vo, cut to 52 bits so that a double holds it.
class ShareDigest {
public:
    void add(std::span<const char> bytes)
    {
        for (const char byte : bytes)
            m_hash = (m_hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3ULL;
    }
    double value() const { return static_cast<double>(m_hash >> 12); }

private:
    std::uint64_t m_hash = 0xcbf29ce484222325ULL;
};

/// Sums gradients \a first … \a last − 1 in one exchange.
void shareBucket(const ProcessGroup &group, const std::vector<Tensor> &gradients, std::size_t first, std::size_t last)
{
    std::vector<Tensor> flat;
    for (std::size_t index = first; index < last; ++index)
        flat.push_back(gradients[index].reshape({-1}));
    const Tensor sum = at::cat(flat).to(at::kCPU).contiguous();
    group.impl().reduce(sum, ProcessGroup::Impl::Operation::Sum);
    std::int64_t offset = 0;
    for (std::size_t index = first; index < last; ++index) {
        Tensor gradient = gradients[index];
        gradient.copy_(sum.narrow(0, offset, gradient.numel()).view(gradient.sizes()));
        offset += gradient.numel();
    }
}

} // namespace

std::vector<BatchPiece> shareOfBatch(const std::vector<SampleRefs> &parts, int rank, int size)
{
    std::vector<std::int64_t> tokens(static_cast<std::size_t>(size), 0);
    std::vector<BatchPiece> pieces;
    for (std::size_t part = 0; part < parts.size(); ++part) {
        BatchPiece piece{static_cast<std::int64_t>(part), {}};
        for (const TrainingSample *sample : parts[part]) {
            const auto least = std::min_element(tokens.begin(), tokens.end());
            *least += shareLength(sample);
            if (least - tokens.begin() == rank)
                piece.samples.push_back(sample);
        }
        if (!piece.samples.empty())
            pieces.push_back(std::move(piece));
    }
    return pieces;
}

std::vector<BatchPiece> TrainingShare::pieces(const std::vector<SampleRefs> &parts, std::int64_t tokens,
                                              bool keepsParts) const
{
    std::vector<BatchPiece> own = shareOfBatch(parts, rank(), m_group ? m_group->size() : 1);
    if (!m_group || keepsParts)
        return own;
    SampleRefs samples;
    for (const BatchPiece &piece : own)
        samples.insert(samples.end(), piece.samples.begin(), piece.samples.end());
    own.clear();
    for (SampleRefs &batch : microBatches(std::move(samples), tokens))
        own.push_back({0, std::move(batch)});
    return own;
}

void TrainingShare::sum(std::vector<double> &values) const
{
    if (m_group)
        m_group->sum(values);
}

void TrainingShare::sumGradients(const std::vector<TrainedTensor> &tensors) const
{
    if (!m_group)
        return;
    const NoGradScope scope;
    std::vector<double> counts;
    for (const TrainedTensor &tensor : tensors)
        counts.push_back(tensor.value.grad().defined() ? 1 : 0);
    m_group->sum(counts);
    std::vector<Tensor> gradients;
    for (std::size_t index = 0; index < tensors.size(); ++index) {
        if (counts[index] < 0.5)
            continue;
        Tensor &gradient = tensors[index].value.mutable_grad();
        if (!gradient.defined())
            gradient = at::zeros_like(tensors[index].value.detach());
        gradients.push_back(gradient);
    }
    std::size_t first = 0;
    std::int64_t elements = 0;
    for (std::size_t index = 0; index < gradients.size(); ++index) {
        elements += gradients[index].numel();
        if (elements >= kShareBucket || index + 1 == gradients.size()) {
            shareBucket(*m_group, gradients, first, index + 1);
            first = index + 1;
            elements = 0;
        }
    }
}

double TrainingShare::largestDifference(const std::vector<double> &values) const
{
    std::vector<double> bounds = values; // largest values, then the negated smallest ones
    for (const double value : values)
        bounds.push_back(-value);
    m_group->maximum(bounds);
    double largest = 0;
    for (std::size_t index = 0; index < values.size(); ++index) {
        const double high = bounds[index];
        const double low = -bounds[values.size() + index];
        const double scale = std::max(std::abs(high), std::abs(low));
        if (scale > 0)
            largest = std::max(largest, (high - low) / scale);
    }
    return largest;
}

void TrainingShare::requireSameRun(const RecoveryOptions &options, const SampleRefs &samples, std::int64_t step) const
{
    if (!m_group)
        return;
    ShareDigest digest;
    digest.add(toJson(options).dump());
    for (const TrainingSample *sample : samples) {
        const auto *ids = reinterpret_cast<const char *>(sample->ids.data());
        digest.add({ids, sample->ids.size() * sizeof(TokenIds::value_type)});
    }
    const std::vector<double> own = {digest.value(), static_cast<double>(samples.size()), static_cast<double>(step)};
    if (largestDifference(own) > 0)
        throw Error(ErrorKind::InvalidArgument,
                    "The " + std::to_string(m_group->size())
                        + " processes were started with different options, data or checkpoints.",
                    "Start all with the same command, and let them read the same files.");
}

void TrainingShare::requireSameWeights(const std::vector<TrainedTensor> &tensors, std::int64_t step) const
{
    if (!m_group)
        return;
    const NoGradScope scope;
    std::vector<double> norms;
    for (const TrainedTensor &tensor : tensors)
        norms.push_back(at::linalg_vector_norm(tensor.value.detach()).item<double>());
    if (largestDifference(norms) > kShareRounding)
        throw Error(ErrorKind::CheckFailed,
                    "The weights of the " + std::to_string(m_group->size()) + " processes differ after step "
                        + std::to_string(step) + ".",
                    "Start all with the same program and the same model.");
}

} // namespace secateur
