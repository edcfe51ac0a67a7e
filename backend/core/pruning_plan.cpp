#include "backend/core/pruning_plan.h"

#include "backend/core/block_tensors.h"
#include "backend/core/error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <tuple>

namespace secateur {

namespace {

/// How many of the units 0 … \a limit − 1 of \a block are in \a units.
int planCountIn(const std::map<int, std::set<int>> &units, int block, int limit)
{
    const auto it = units.find(block);
    if (it == units.end())
        return 0;
    return static_cast<int>(std::distance(it->second.lower_bound(0), it->second.lower_bound(limit)));
}

/// Shape of block \a index after the removal; nothing when the block goes.
std::optional<BlockShape> planShapeAfter(const ModelConfig &dense, const UnitSet &removed, int index)
{
    if (removed.blocks.contains(index))
        return std::nullopt;
    BlockShape shape = dense.blocks[static_cast<std::size_t>(index)];
    if (shape.hasAttention) {
        const int rep = shape.queryHeads / shape.kvHeads;
        shape.kvHeads -= planCountIn(removed.kvGroups, index, shape.kvHeads);
        shape.queryHeads = shape.kvHeads * rep;
        shape.hasAttention = shape.kvHeads > 0;
    }
    if (shape.hasMlp) {
        shape.intermediateSize -= planCountIn(removed.ffnChannels, index, shape.intermediateSize);
        shape.hasMlp = shape.intermediateSize > 0;
    }
    if (!shape.hasAttention && !shape.hasMlp)
        return std::nullopt;
    std::erase_if(shape.ranks, [&shape](const auto &entry) {
        const bool mlp = entry.first == "gate_proj" || entry.first == "up_proj" || entry.first == "down_proj";
        return mlp ? !shape.hasMlp : !shape.hasAttention;
    });
    return shape;
}

std::string planCounted(std::int64_t count, const char *one, const char *many)
{
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

[[noreturn]] void planInvalid(const PruningPlan &plan, const std::string &problem)
{
    throw Error(ErrorKind::InvalidArgument,
                "The plan \"" + (plan.name.empty() ? plan.id : plan.name) + "\" " + problem + ".",
                "Units are numbered from 0 in the dense model.");
}

void planCheckUnits(const PruningPlan &plan, const ModelConfig &dense, const std::map<int, std::set<int>> &units,
                    const char *one, const char *many, int BlockShape::*width)
{
    for (const auto &[block, indices] : units) {
        if (block < 0 || block >= dense.layers())
            planInvalid(plan,
                        std::string("removes ") + many + " of block " + std::to_string(block) + ", but the model has "
                            + planCounted(dense.layers(), "block", "blocks"));
        const int count = dense.blocks[static_cast<std::size_t>(block)].*width;
        for (const int index : indices)
            if (index < 0 || index >= count)
                planInvalid(plan,
                            std::string("removes ") + one + " " + std::to_string(index) + " of block "
                                + std::to_string(block) + ", which has " + planCounted(count, one, many));
    }
}

std::int64_t planUnits(const ModelConfig &config, int BlockShape::*width)
{
    std::int64_t count = 0;
    for (const BlockShape &block : config.blocks)
        count += block.*width;
    return count;
}

/// Removed blocks / blocks as long as no width changes, else removed units / units of the kinds that change; the units
/// of a removed block count as removed.
double planNominalSparsity(const ModelConfig &dense, const ModelConfig &pruned, const UnitSet &removed)
{
    const auto touches = [&removed, &dense](const std::map<int, std::set<int>> &units) {
        return std::any_of(units.begin(), units.end(), [&](const auto &entry) {
            return !entry.second.empty() && entry.first >= 0 && entry.first < dense.layers()
                && !removed.blocks.contains(entry.first);
        });
    };
    std::int64_t before = 0;
    std::int64_t after = 0;
    if (touches(removed.kvGroups)) {
        before += planUnits(dense, &BlockShape::kvHeads);
        after += planUnits(pruned, &BlockShape::kvHeads);
    }
    if (touches(removed.ffnChannels)) {
        before += planUnits(dense, &BlockShape::intermediateSize);
        after += planUnits(pruned, &BlockShape::intermediateSize);
    }
    if (before == 0) {
        before = dense.layers();
        after = pruned.layers();
    }
    return before == 0 ? 0 : static_cast<double>(before - after) / static_cast<double>(before);
}

/// Why stock loaders refuse \a config, which is not uniform.
std::string planLoaderNote(const ModelConfig &config)
{
    std::set<int> noAttention, noMlp;
    std::set<int> groups, channels;
    for (int i = 0; i < config.layers(); ++i) {
        const BlockShape &block = config.blocks[static_cast<std::size_t>(i)];
        if (block.hasAttention)
            groups.insert(block.kvHeads);
        else
            noAttention.insert(block.originalIndex);
        if (block.hasMlp)
            channels.insert(block.intermediateSize);
        else
            noMlp.insert(block.originalIndex);
    }
    std::string problem;
    const auto add = [&problem](const std::string &part) { problem += (problem.empty() ? "" : ", ") + part; };
    const auto range = [](const std::set<int> &values) {
        return std::to_string(*values.begin()) + " to " + std::to_string(*values.rbegin());
    };
    if (!noAttention.empty())
        add("blocks without attention: " + describeBlocks(noAttention));
    if (!noMlp.empty())
        add("blocks without MLP: " + describeBlocks(noMlp));
    if (groups.size() > 1)
        add(range(groups) + " KV groups");
    if (channels.size() > 1)
        add(range(channels) + " FFN channels");
    return "Stock loaders expect blocks of equal shape, but these differ (" + problem
        + "); such a model runs here, or after making the widths uniform.";
}

std::string planReason(BlockTensor::Part part, bool attentionGoes, bool mlpGoes, int groups, int heads, int channels)
{
    using Part = BlockTensor::Part;
    switch (part) {
    case Part::AttentionNorm:
    case Part::HeadNorm:
    case Part::Query:
    case Part::Key:
    case Part::Value:
    case Part::Output:
        if (attentionGoes)
            return "all KV groups are removed, so the attention goes with its norm";
        if (part == Part::Query)
            return "rows of " + planCounted(heads, "query head", "query heads") + " in "
                + planCounted(groups, "removed KV group", "removed KV groups");
        if (part == Part::Output)
            return "columns that read the " + planCounted(heads, "removed query head", "removed query heads");
        return "rows of " + planCounted(groups, "removed KV group", "removed KV groups");
    default:
        if (mlpGoes)
            return "all FFN channels are removed, so the MLP goes with its norm";
        if (part == Part::Down)
            return "columns that read the " + planCounted(channels, "removed FFN channel", "removed FFN channels");
        return "rows of " + planCounted(channels, "removed FFN channel", "removed FFN channels");
    }
}

std::int64_t planElements(const std::vector<std::int64_t> &shape)
{
    std::int64_t count = 1;
    for (const std::int64_t extent : shape)
        count *= extent;
    return count;
}

/// Score of one unit; units without a finite score are the last to go.
float planScore(const std::vector<std::vector<float>> &scores, int block, int unit)
{
    const auto row = static_cast<std::size_t>(block);
    const auto column = static_cast<std::size_t>(unit);
    if (row >= scores.size() || column >= scores[row].size() || std::isnan(scores[row][column]))
        return std::numeric_limits<float>::infinity();
    return scores[row][column];
}

/// Adds units of one kind until \a target are left in every kept block. Returns how many were added.
int planSnapKind(const ModelConfig &dense, const std::vector<int> &kept, std::map<int, std::set<int>> UnitSet::*kind,
                 int BlockShape::*width, int target, const std::vector<std::vector<float>> &scores, SnapResult &result)
{
    int added = 0;
    for (const int block : kept) {
        const int count = dense.blocks[static_cast<std::size_t>(block)].*width;
        const auto removed = (result.removed.*kind).find(block);
        std::vector<int> left;
        for (int unit = count - 1; unit >= 0; --unit) // of equal scores the highest index goes first
            if (removed == (result.removed.*kind).end() || !removed->second.contains(unit))
                left.push_back(unit);
        std::stable_sort(left.begin(), left.end(), [&scores, block](int a, int b) {
            return planScore(scores, block, a) < planScore(scores, block, b);
        });
        for (int i = 0; i < static_cast<int>(left.size()) - target; ++i) {
            (result.removed.*kind)[block].insert(left[static_cast<std::size_t>(i)]);
            (result.added.*kind)[block].insert(left[static_cast<std::size_t>(i)]);
            ++added;
        }
    }
    return added;
}

} // namespace

void validatePlan(const PruningPlan &plan, const ModelConfig &dense)
{
    if (plan.removed.count() == 0)
        planInvalid(plan, "removes nothing");
    for (const int block : plan.removed.blocks)
        if (block < 0 || block >= dense.layers())
            planInvalid(plan,
                        "removes block " + std::to_string(block) + ", but the model has "
                            + planCounted(dense.layers(), "block", "blocks"));
    planCheckUnits(plan, dense, plan.removed.kvGroups, "KV group", "KV groups", &BlockShape::kvHeads);
    planCheckUnits(plan, dense, plan.removed.ffnChannels, "FFN channel", "FFN channels", &BlockShape::intermediateSize);
    if (prunedConfig(dense, plan.removed).blocks.empty())
        planInvalid(plan, "removes all " + planCounted(dense.layers(), "block", "blocks") + ", but one must stay");
}

ModelConfig prunedConfig(const ModelConfig &dense, const UnitSet &removed)
{
    ModelConfig config = dense;
    config.blocks.clear();
    for (int i = 0; i < dense.layers(); ++i)
        if (const auto shape = planShapeAfter(dense, removed, i))
            config.blocks.push_back(*shape);
    return config;
}

Budget computeBudget(const ModelConfig &dense, const UnitSet &removed, int exportBytesPerElement, std::int64_t context)
{
    const ModelConfig pruned = prunedConfig(dense, removed);
    Budget budget;
    budget.context = context;
    budget.parametersBefore = totalParameters(dense);
    budget.parametersAfter = totalParameters(pruned);
    budget.bytesBefore = budget.parametersBefore * exportBytesPerElement;
    budget.bytesAfter = budget.parametersAfter * exportBytesPerElement;
    budget.flopsBefore = flopsPerToken(dense, context);
    budget.flopsAfter = flopsPerToken(pruned, context);
    budget.kvBefore = kvBytesPerToken(dense);
    budget.kvAfter = kvBytesPerToken(pruned);
    budget.nominalSparsity = planNominalSparsity(dense, pruned, removed);
    if (budget.parametersBefore > 0)
        budget.parameterSparsity = static_cast<double>(budget.parametersBefore - budget.parametersAfter)
            / static_cast<double>(budget.parametersBefore);
    if (budget.flopsBefore > 0)
        budget.flopsSparsity = (budget.flopsBefore - budget.flopsAfter) / budget.flopsBefore;
    budget.loadsInStock = pruned.isUniform();
    if (!budget.loadsInStock)
        budget.loaderNote = planLoaderNote(pruned);
    return budget;
}

std::vector<TensorChange> dependencyPreview(const ModelConfig &dense, const UnitSet &removed)
{
    std::vector<TensorChange> changes;
    for (int i = 0; i < dense.layers(); ++i) {
        const BlockShape &before = dense.blocks[static_cast<std::size_t>(i)];
        const auto after = planShapeAfter(dense, removed, i);
        if (after && *after == before)
            continue;
        std::map<std::string, std::vector<std::int64_t>> shapeAfter;
        if (after)
            for (BlockTensor &tensor : blockTensors(dense, *after))
                shapeAfter[tensor.name] = std::move(tensor.shape);
        const BlockShape left = after.value_or(BlockShape{before.originalIndex, false, false, 0, 0, 0});
        for (const BlockTensor &tensor : blockTensors(dense, before)) {
            TensorChange change;
            if (const auto it = shapeAfter.find(tensor.name); it != shapeAfter.end())
                change.after = it->second;
            if (change.after == tensor.shape)
                continue;
            change.tensor = "model.layers." + std::to_string(i) + "." + tensor.name;
            change.block = i;
            change.before = tensor.shape;
            change.parametersRemoved
                = planElements(tensor.shape) - (change.after.empty() ? 0 : planElements(change.after));
            change.reason = after
                ? planReason(tensor.part, !left.hasAttention, !left.hasMlp, before.kvHeads - left.kvHeads,
                             before.queryHeads - left.queryHeads, before.intermediateSize - left.intermediateSize)
                : "the whole block is removed";
            changes.push_back(std::move(change));
        }
    }
    return changes;
}

std::vector<TensorChange> summarizePreview(const std::vector<TensorChange> &changes)
{
    using Key = std::tuple<std::string, std::vector<std::int64_t>, std::vector<std::int64_t>, std::string>;
    std::map<Key, std::size_t> placeOf;
    std::vector<TensorChange> summary;
    std::vector<std::set<int>> blocks;
    for (const TensorChange &change : changes) {
        const std::string prefix = "model.layers." + std::to_string(change.block) + ".";
        std::string name = change.tensor.starts_with(prefix) ? change.tensor.substr(prefix.size()) : change.tensor;
        const auto [it, isNew]
            = placeOf.try_emplace({name, change.before, change.after, change.reason}, summary.size());
        if (isNew) {
            summary.push_back(change);
            summary.back().tensor = std::move(name);
            summary.back().parametersRemoved = 0;
            blocks.emplace_back();
        }
        summary[it->second].parametersRemoved += change.parametersRemoved;
        blocks[it->second].insert(change.block);
    }
    for (std::size_t i = 0; i < summary.size(); ++i)
        summary[i].reason += (blocks[i].size() == 1 ? ", block " : ", blocks ") + describeBlocks(blocks[i]);
    return summary;
}

SnapResult snapToUniform(const ModelConfig &dense, const UnitSet &removed, int ffnMultiple,
                         const std::vector<std::vector<float>> &ffnScores,
                         const std::vector<std::vector<float>> &kvScores)
{
    SnapResult result;
    result.removed = removed;
    std::vector<int> kept;
    int groups = std::numeric_limits<int>::max();
    int channels = std::numeric_limits<int>::max();
    bool channelsRemoved = false;
    for (int i = 0; i < dense.layers(); ++i) {
        const auto shape = planShapeAfter(dense, removed, i);
        if (!shape)
            continue;
        if (!shape->hasAttention || !shape->hasMlp)
            throw Error(ErrorKind::InvalidArgument,
                        "Block " + std::to_string(i) + " has no " + (shape->hasAttention ? "MLP" : "attention")
                            + " left, so no width is the same in all blocks.",
                        "Keep a unit of it, or remove the whole block.");
        kept.push_back(i);
        groups = std::min(groups, shape->kvHeads);
        channels = std::min(channels, shape->intermediateSize);
        channelsRemoved |= shape->intermediateSize != dense.blocks[static_cast<std::size_t>(i)].intermediateSize;
    }
    if (kept.empty())
        return result;
    // A width that rounds down to nothing is left as it is.
    if (channelsRemoved && ffnMultiple > 1 && channels >= ffnMultiple)
        channels -= channels % ffnMultiple;

    const int addedGroups
        = planSnapKind(dense, kept, &UnitSet::kvGroups, &BlockShape::kvHeads, groups, kvScores, result);
    const int addedChannels
        = planSnapKind(dense, kept, &UnitSet::ffnChannels, &BlockShape::intermediateSize, channels, ffnScores, result);
    if (addedGroups + addedChannels > 0) {
        std::string parts;
        if (addedGroups > 0)
            parts = planCounted(addedGroups, "KV group", "KV groups");
        if (addedChannels > 0)
            parts += (parts.empty() ? "" : " and ") + planCounted(addedChannels, "FFN channel", "FFN channels");
        result.explanation = parts + (addedGroups + addedChannels == 1 ? " was" : " were")
            + " added so that every block keeps " + planCounted(groups, "KV group", "KV groups") + " and "
            + planCounted(channels, "FFN channel", "FFN channels") + ".";
    }
    return result;
}

std::string describeBlocks(const std::set<int> &blocks)
{
    if (blocks.empty())
        return "none";
    std::string members, ranges;
    int runs = 0;
    for (auto it = blocks.begin(); it != blocks.end(); ++runs) {
        const int first = *it;
        int end = first;
        for (; it != blocks.end() && *it == end; ++it, ++end)
            members += (members.empty() ? "" : ", ") + std::to_string(end);
        ranges += (ranges.empty() ? "" : ", ")
            + (end - first == 1 ? std::to_string(first)
                                : "[" + std::to_string(first) + ", " + std::to_string(end) + ")");
    }
    if (blocks.size() > 6)
        return ranges;
    return runs == 1 && blocks.size() > 1 ? ranges + " = " + members : members;
}

} // namespace secateur
