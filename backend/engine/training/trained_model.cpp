#include "backend/engine/training/trained_model.h"

#include "backend/core/error.h"
#include "backend/engine/nn/loading.h"
#include "backend/engine/transforms/named_tensors.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace secateur {

namespace {

[[noreturn]] void trainedRefuse(const std::string &message, const std::string &hint = {})
{
    throw Error(ErrorKind::InvalidArgument, message, hint);
}

/// The rank of the branch at \a path: the first pattern that is the path or its end behind a dot, as in PEFT.
int trainedRank(const RecoveryOptions &options, const std::string &path, std::set<std::string> &used)
{
    for (const auto &[pattern, rank] : options.rankPattern) {
        if (path == pattern || path.ends_with("." + pattern)) {
            used.insert(pattern);
            return rank;
        }
    }
    return options.rank;
}

void trainedCheckTargets(const Model::Impl &base, const RecoveryOptions &options)
{
    for (const std::string &target : options.targets) {
        const bool isKnown = std::find(kLoraTargets.begin(), kLoraTargets.end(), target) != kLoraTargets.end();
        const bool isThere = std::any_of(base.blocks.begin(), base.blocks.end(), [&](const DecoderBlock &block) {
            return blockLinear(block, target) != nullptr;
        });
        if (!isKnown || !isThere)
            trainedRefuse("The model has no linear layers called '" + target + "'.",
                          "Choose from q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj and down_proj.");
    }
}

LoraBranches trainedFreshBranches(const Model::Impl &base, const RecoveryOptions &options)
{
    trainedCheckTargets(base, options);
    LoraBranches branches;
    std::set<std::string> used;
    at::Generator generator = at::detail::createCPUGenerator(options.seed);
    for (std::size_t block = 0; block < base.blocks.size(); ++block) {
        for (const std::string_view target : kLoraTargets) {
            const Linear *linear = blockLinear(base.blocks[block], target);
            if (!linear || std::find(options.targets.begin(), options.targets.end(), target) == options.targets.end())
                continue;
            const std::string path = loraModulePath(block, target);
            const int rank = trainedRank(options, path, used);
            if (rank < 1)
                trainedRefuse("The rank of " + path + " must be at least 1, not " + std::to_string(rank) + ".");
            const std::int64_t in = linear->inputs();
            const double bound = 1 / std::sqrt(static_cast<double>(in));
            auto branch = std::make_shared<LoraBranch>();
            branch->a = at::empty({rank, in}, at::kFloat).uniform_(-bound, bound, generator).to(base.device());
            branch->b
                = at::zeros({linear->outputs(), rank}, at::TensorOptions().dtype(at::kFloat).device(base.device()));
            branch->scaling = loraScaling(options.alpha, rank, options.rsLora);
            branches.emplace(path, std::move(branch));
        }
    }
    if (branches.empty())
        trainedRefuse("No linear layer is chosen for training.", "Choose at least one target.");
    for (const auto &[pattern, rank] : options.rankPattern) {
        if (!used.contains(pattern))
            trainedRefuse("The rank pattern '" + pattern + "' matches no branch.",
                          "Write the end of a module path, for example 0.self_attn.q_proj.");
    }
    return branches;
}

LoraBranches trainedCopies(const LoraBranches &branches, const at::Device &device)
{
    LoraBranches copies;
    for (const auto &[path, branch] : branches) {
        auto copy = std::make_shared<LoraBranch>(*branch);
        copy->a = branch->a.detach().to(device, at::kFloat, false, true);
        copy->b = branch->b.detach().to(device, at::kFloat, false, true);
        copies.emplace(path, std::move(copy));
    }
    return copies;
}

} // namespace

std::shared_ptr<const Adapter> TrainedModel::adapter() const
{
    auto impl = std::make_shared<Adapter::Impl>();
    impl->options = options;
    impl->coversTargets = coversTargets;
    for (const auto &[path, branch] : branches) {
        auto copy = std::make_shared<LoraBranch>(*branch);
        copy->a = branch->a.detach();
        copy->b = branch->b.detach();
        impl->branches.emplace(path, std::move(copy));
    }
    return std::make_shared<const Adapter>(std::move(impl));
}

Model TrainedModel::weights() const
{
    std::map<std::string, Tensor> values;
    for (const TrainedTensor &tensor : tensors)
        values.emplace(tensor.name, tensor.value.detach());
    return Model(assembleModel(model->config, model->device(),
                               [&](const std::string &name, const auto &) { return values.at(name); }));
}

TrainedModel trainedBranches(const Model::Impl &base, const RecoveryOptions &options, const Adapter *start)
{
    TrainedModel trained;
    trained.options = options;
    if (start) {
        const RecoveryOptions &first = start->impl().options;
        trained.options.rank = first.rank;
        trained.options.alpha = first.alpha;
        trained.options.rsLora = first.rsLora;
        trained.options.targets = first.targets;
        trained.coversTargets = start->impl().coversTargets;
        trained.branches = trainedCopies(start->impl().branches, base.device());
    } else {
        trained.branches = trainedFreshBranches(base, options);
    }
    for (const auto &[path, branch] : trained.branches) {
        branch->dropout = options.dropout;
        for (Tensor *side : {&branch->a, &branch->b}) {
            side->requires_grad_(true);
            trained.tensors.push_back({path + (side == &branch->a ? ".lora_A.weight" : ".lora_B.weight"), *side});
        }
    }
    trained.model = attachBranches(base, trained.branches);
    return trained;
}

TrainedModel trainedWeights(const Model::Impl &base, const RecoveryOptions &options)
{
    TrainedModel trained;
    trained.options = options;
    const auto stored = namedTensors(base);
    const std::map<std::string, Tensor> values(stored.begin(), stored.end());
    trained.model
        = assembleModel(base.config, base.device(), [&](const std::string &name, const std::vector<std::int64_t> &) {
              const Tensor copy = values.at(name).detach().to(base.device(), at::kFloat, false, true);
              copy.requires_grad_(true);
              const bool isMatrix = copy.dim() == 2;
              const bool isInBlock = isMatrix && name.starts_with("model.layers.");
              // beside Muon, AdamW trains what is left without decay, as Muon's recipes do
              trained.tensors.push_back({name, copy, isInBlock, options.optimizer == "muon" ? isInBlock : isMatrix});
              return copy;
          });
    return trained;
}

} // namespace secateur
