#pragma once

#include "backend/engine/adapter.h"
#include "backend/engine/nn/causal_lm.h"

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace secateur {

using LoraBranches = std::map<std::string, std::shared_ptr<LoraBranch>>;

/// Branches by module path "model.layers.{i}.self_attn.q_proj", i as in the (pruned) model it belongs to. f32.
struct Adapter::Impl {
    RecoveryOptions options; ///< rank, alpha, dropout, rsLora, targets
    LoraBranches branches;
    bool coversTargets = true; ///< every module of the model that options.targets name has a branch
};

/// The linears of a block that can have a branch, in the order of the forward pass.
inline constexpr std::array<std::string_view, 7> kLoraTargets
    = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};

/// "model.layers.{block}.self_attn.q_proj".
std::string loraModulePath(std::size_t block, std::string_view target);

/// The last component of a module path.
std::string_view loraTargetOf(std::string_view path);

/// The linear at a module path; nullptr when the model has none there.
const Linear *findModule(const Model::Impl &model, std::string_view path);

/// alpha / r, or alpha / √r with rank stabilisation.
double loraScaling(double alpha, std::int64_t rank, bool rsLora);

/// \a base with \a branches beside its weights, everything else shared. Throws Error(InvalidArgument) when a module
/// does not exist, a shape does not fit or a module already has a branch.
std::shared_ptr<Model::Impl> attachBranches(const Model::Impl &base, const LoraBranches &branches);

} // namespace secateur
