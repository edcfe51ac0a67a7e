#pragma once

#include "backend/engine/process_group.h"
#include "backend/engine/training/sample_order.h"
#include "backend/engine/training/trained_model.h"

#include <cstdint>
#include <string>
#include <vector>

namespace secateur {

/// The samples of one micro-batch that a process computes.
struct BatchPiece {
    std::int64_t part = 0; ///< which micro-batch of the step; layer drop goes by it
    SampleRefs samples;
};

/// Gives the samples of \a parts, whose longest come first, one after another to the process with the fewest tokens so
/// far, and returns those of \a rank. Samples of different parts stay apart.
std::vector<BatchPiece> shareOfBatch(const std::vector<SampleRefs> &parts, int rank, int size);

/// What a process of a data-parallel run exchanges with the others: each computes its share of the samples of a step,
/// the gradients are summed, and all make the same step. Without a group everything is this process's own.
class TrainingShare {
public:
    explicit TrainingShare(const ProcessGroup *group) : m_group(group) { }

    bool isShared() const { return m_group != nullptr; }
    int rank() const { return m_group ? m_group->rank() : 0; }

    /// The pieces of this process. \a keepsParts: those of different micro-batches must not be computed together;
    /// otherwise they are packed anew into micro-batches of \a tokens.
    std::vector<BatchPiece> pieces(const std::vector<SampleRefs> &parts, std::int64_t tokens, bool keepsParts) const;

    void sum(std::vector<double> &values) const;
    /// Σ of the gradients, in place. Where no process has one there is none afterwards, as in one process.
    void sumGradients(const std::vector<TrainedTensor> &tensors) const;

    /// Throws Error(CheckFailed) when the processes do not train the same: other options, samples or checkpoints.
    void requireSameRun(const RecoveryOptions &options, const SampleRefs &samples, std::int64_t step) const;
    /// Throws Error(CheckFailed) when the norm of a tensor differs between the processes by more than rounding. They do
    /// the same arithmetic; on processors of different kinds it may round differently.
    void requireSameWeights(const std::vector<TrainedTensor> &tensors, std::int64_t step) const;

private:
    /// Largest difference between two processes at an index of \a values, as a share of the larger value.
    double largestDifference(const std::vector<double> &values) const;

    const ProcessGroup *m_group;
};

} // namespace secateur
