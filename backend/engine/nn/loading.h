#pragma once

#include "backend/engine/nn/causal_lm.h"

#include <functional>
#include <string>
#include <vector>

namespace secateur {

/// Delivers one tensor of the given name and shape on the model's device and in its dtype.
using WeightSource = std::function<Tensor(const std::string &name, const std::vector<std::int64_t> &shape)>;

/// A model of the shape of \a config whose tensors come from \a source, under Hugging Face names and in layer order.
std::shared_ptr<Model::Impl> assembleModel(const ModelConfig &config, const at::Device &device,
                                           const WeightSource &source);

/// Block \a index of such a model.
DecoderBlock assembleBlock(const ModelConfig &config, int index, const WeightSource &source);

/// A model of the shape of \a config with frequencies alone: no block and an empty embedding of \a dtype.
std::shared_ptr<Model::Impl> emptyModel(const ModelConfig &config, const at::Device &device, at::ScalarType dtype);

/// Throws Error(Numeric) naming \a name in \a file and the first index whose value is not finite.
void requireFinite(const Tensor &tensor, const std::string &name, const std::string &file);

} // namespace secateur
