#pragma once

#include "backend/engine/nn/causal_lm.h"

#include <string>
#include <utility>
#include <vector>

namespace secateur {

/// All stored tensors of a model under their Hugging Face names in layer order, layers numbered without gaps; a tied
/// head is absent.
std::vector<std::pair<std::string, Tensor>> namedTensors(const Model::Impl &model);

} // namespace secateur
