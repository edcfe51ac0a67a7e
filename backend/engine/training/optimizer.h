#pragma once

#include "backend/core/run_config.h"
#include "backend/engine/detail/tensor.h"

#include <memory>
#include <vector>

namespace secateur {

/// AdamW (decoupled weight decay, bias-corrected) over a fixed list of leaf tensors. The .cpp is the one file that
/// includes torch::optim, which is slow to compile.
class AdamWOptimizer {
public:
    AdamWOptimizer(std::vector<Tensor> parameters, const RecoveryOptions &options);
    ~AdamWOptimizer();
    AdamWOptimizer(const AdamWOptimizer &) = delete;
    AdamWOptimizer &operator=(const AdamWOptimizer &) = delete;

    /// One update from the gradients, which are forgotten afterwards.
    void step(double learningRate);

private:
    struct State;
    std::unique_ptr<State> m_state;
};

} // namespace secateur
