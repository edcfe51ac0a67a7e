#include "backend/engine/training/lora.h"

#include "backend/core/error.h"

#include <charconv>
#include <cmath>
#include <cstdint>

namespace secateur {

std::string loraModulePath(std::size_t block, std::string_view target)
{
    return "model.layers." + std::to_string(block) + "." + modulePath(target);
}

std::string_view loraTargetOf(std::string_view path)
{
    return path.substr(path.rfind('.') + 1);
}

const Linear *findModule(const Model::Impl &model, std::string_view path)
{
    constexpr std::string_view kPrefix = "model.layers.";
    if (!path.starts_with(kPrefix))
        return nullptr;
    const std::string_view rest = path.substr(kPrefix.size());
    std::size_t block = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), block);
    if (error != std::errc{} || block >= model.blocks.size())
        return nullptr;
    const std::string_view target = loraTargetOf(path);
    if (path != loraModulePath(block, target))
        return nullptr;
    return blockLinear(model.blocks[block], target);
}

double loraScaling(double alpha, std::int64_t rank, bool rsLora)
{
    const auto r = static_cast<double>(rank);
    return alpha / (rsLora ? std::sqrt(r) : r);
}

std::shared_ptr<Model::Impl> attachBranches(const Model::Impl &base, const LoraBranches &branches)
{
    auto result = std::make_shared<Model::Impl>(base);
    for (const auto &[path, branch] : branches) {
        auto *linear = const_cast<Linear *>(findModule(*result, path)); // result is ours
        if (!linear)
            throw Error(ErrorKind::InvalidArgument,
                        "The adapter has a branch for " + path + ", which this model of "
                            + std::to_string(base.blocks.size()) + " blocks does not have.",
                        "Use the model that the adapter was trained on.");
        if (branch->a.size(1) != linear->inputs() || branch->b.size(0) != linear->outputs())
            throw Error(ErrorKind::InvalidArgument,
                        "The adapter's branch for " + path + " maps " + std::to_string(branch->a.size(1)) + " to "
                            + std::to_string(branch->b.size(0)) + " values, but the weight maps "
                            + std::to_string(linear->inputs()) + " to " + std::to_string(linear->outputs()) + ".",
                        "Use the model that the adapter was trained on.");
        if (linear->lora)
            throw Error(ErrorKind::InvalidArgument, "The module " + path + " already has an adapter.",
                        "Merge the first adapter before adding another.");
        linear->lora = branch;
    }
    return result;
}

} // namespace secateur
