#pragma once

#include "backend/core/run_config.h"
#include "backend/engine/detail/tensor.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace secateur {

/// One leaf tensor of a run, f32, with its gradient.
struct TrainedTensor {
    std::string name; ///< the key it is stored under
    Tensor value;
    bool isBlockMatrix = false; ///< Muon's part, when Muon is asked for
    bool decays = true; ///< weight decay applies
};

/// AdamW (decoupled weight decay, bias-corrected; Loshchilov and Hutter 2019) over a fixed list of leaf tensors, and
/// Muon (Jordan 2024) for the block matrices when the options say so: Nesterov momentum 0.95, the update orthogonalised
/// and scaled to a root mean square of 0.2 times the rate.
class Optimizer {
public:
    Optimizer(std::vector<TrainedTensor> tensors, const RecoveryOptions &options);

    /// One update from the gradients, which are forgotten afterwards. \a learningRate is AdamW's; Muon's follows the
    /// same schedule.
    void step(double learningRate);
    void forgetGradients();

    /// Everything but the tensors themselves that the next step depends on; empty before the first step.
    std::int64_t steps() const { return m_steps; }
    using Visit = std::function<void(const std::string &key, Tensor &state)>;
    void visitState(const Visit &visit); ///< allocates what is not there yet
    void setSteps(std::int64_t steps) { m_steps = steps; }

private:
    struct Moments {
        Tensor first, second; ///< second is undefined for Muon
    };
    bool usesMuon(const TrainedTensor &tensor) const;
    void ensureMoments(std::size_t index);

    std::vector<TrainedTensor> m_tensors;
    std::vector<Moments> m_moments;
    RecoveryOptions m_options;
    std::int64_t m_steps = 0;
};

/// The nearest matrix with equal singular values, nearly: five steps of the quintic Newton-Schulz iteration with
/// Jordan's coefficients, which bring every singular value of \a matrix (not too far below the largest) between 0.68
/// and 1.14. (rows, columns) → the same shape, f32.
Tensor orthogonalized(const Tensor &matrix);

} // namespace secateur
