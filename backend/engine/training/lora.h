#pragma once

#include "backend/engine/adapter.h"
#include "backend/engine/nn/causal_lm.h"

#include <map>
#include <memory>
#include <string>

namespace secateur {

/// Branches by module path "model.layers.{i}.self_attn.q_proj", i as in the (pruned) model it belongs to. f32.
struct Adapter::Impl {
    RecoveryOptions options; ///< rank, alpha, dropout, rsLora, targets
    std::map<std::string, std::shared_ptr<LoraBranch>> branches;
};

} // namespace secateur
