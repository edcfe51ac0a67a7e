#pragma once

#include "backend/core/calibration.h"
#include "backend/core/job_context.h"
#include "backend/core/model_info.h"
#include "backend/core/pruning_plan.h"
#include "backend/core/run_config.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace secateur {

/// A loaded decoder: weights on one device in one compute dtype. Copies are cheap: they share tensors, and a pruned
/// model shares every tensor that the plan left alone. Compute thread only.
class Model {
public:
    struct Impl; ///< backend/engine/nn/causal_lm.h
    explicit Model(std::shared_ptr<const Impl> impl) : m_impl(std::move(impl)) { }

    const ModelConfig &config() const;
    std::string dtype() const; ///< "f32" or "bf16"
    std::string device() const;
    std::int64_t parameters() const; ///< counted from the tensors, a tied head once
    const Impl &impl() const { return *m_impl; }

private:
    std::shared_ptr<const Impl> m_impl;
};

/// Loads all weights. f32 weights computed in f32 on the CPU stay in the memory map; everything else is converted
/// tensor by tensor, so the peak is the weights plus one tensor. NaN or infinite weights throw Error(Numeric) naming
/// file, tensor and index. Throws Error(Unsupported) for a model that can only be inspected.
Model loadModel(const ModelInfo &info, const ComputeSettings &settings, const JobContext &context = {});

/// How new weights are drawn: N(0, σ²) for matrices, one for norms, zero for biases.
struct InitialWeights {
    double embedding = 0.02; ///< σ of the embedding and an untied head
    double matrix = 0.02; ///< σ of the matrices of the blocks
    double gain = 0; ///< above 0: σ = gain / √inputs instead
    bool zeroOutputs = false; ///< o_proj and down_proj are zero, so that every block begins as the identity
};

/// A model with new weights of \a config's shape.
Model randomModel(const ModelConfig &config, std::uint64_t seed, const ComputeSettings &settings = {},
                  const InitialWeights &initial = {});

} // namespace secateur
