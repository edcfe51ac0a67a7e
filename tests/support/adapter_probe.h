#pragma once

#include "backend/engine/training.h"

#include <map>
#include <string>
#include <vector>

namespace secateur {

/// Values of all branches by the keys of adapter_model.safetensors, row-major.
using AdapterValues = std::map<std::string, std::vector<float>>;

AdapterValues adapterValues(const Adapter &adapter);

/// The same adapter with other values; keys that are absent keep theirs.
Adapter withValues(const Adapter &adapter, const AdapterValues &values);

/// An adapter whose two sides are both random, so that it changes the model.
Adapter randomAdapter(const Model &model, const RecoveryOptions &options);

/// The gradient of the mean loss over all samples in one packed batch, without dropout.
AdapterValues adapterGradients(const Model &base, const Adapter &adapter, const std::vector<TrainingSample> &samples);

/// The mean loss over the scored tokens of all samples, without dropout.
double adapterLoss(const Model &base, const Adapter &adapter, const std::vector<TrainingSample> &samples);

/// Every weight of a model by stored name, row-major.
AdapterValues modelValues(const Model &model);

/// How the loss of a batch of all samples is put together, and how its gradient is found.
struct LossProbe {
    const Model *parent = nullptr;
    double distillWeight = 0.5;
    double temperature = 2;
    bool recompute = false;
};

/// Mean loss and its gradient by every weight of \a model, by stored name.
double weightLoss(const Model &model, const std::vector<TrainingSample> &samples, const LossProbe &probe = {});
AdapterValues weightGradients(const Model &model, const std::vector<TrainingSample> &samples,
                              const LossProbe &probe = {});

/// A copy with \a change added to one value.
Model withChangedWeight(const Model &model, const std::string &name, std::size_t index, float change);

/// The optimiser's orthogonalisation of a row-major matrix, and the singular values of the result.
std::vector<float> orthogonalSingularValues(const std::vector<float> &matrix, std::int64_t rows, std::int64_t columns);
/// Largest absolute difference to U·Vᵀ of the singular value decomposition.
double differenceToPolarFactor(const std::vector<float> &matrix, std::int64_t rows, std::int64_t columns);

/// Names of the stored tensors that are the same memory in both models.
std::vector<std::string> sharedTensors(const Model &a, const Model &b);

/// Names and shapes of the stored tensors.
std::map<std::string, std::vector<std::int64_t>> tensorShapes(const Model &model);

} // namespace secateur
