#include "backend/workflow/plan.h"

#include "backend/core/error.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace secateur::workflow {

namespace {

enum class MethodKind { LowestBlocks, ContiguousBlocks, FfnChannels, KvGroups, Selection };

struct MethodEntry {
    MethodKind kind;
    const char *group;
    const char *metric;
    MethodCard card;
};

const std::vector<MethodEntry> &methodRegistry()
{
    static const std::vector<std::string> kDepthOptions = {"sparsity", "remove"};
    static const std::vector<std::string> kFfnOptions = {"sparsity", "remove", "uniform", "multiple"};
    static const std::vector<std::string> kKvOptions = {"sparsity", "remove", "uniform"};
    static const std::vector<MethodEntry> entries = {
        {MethodKind::LowestBlocks,
         "block_influence",
         "influence",
         {"block_influence", "Block influence", "depth", "block",
          "Removes the blocks whose output points in nearly the same direction as their input.",
          "influence(l) = 1 − mean over tokens of cos(h_l, h_(l+1)); the lowest go, h_L before the final norm",
          "ShortGPT, arXiv 2403.03853", "calibration set", 1, kDepthOptions}},
        {MethodKind::ContiguousBlocks,
         "block_distance",
         "distance",
         {"angular_distance", "Angular distance", "depth", "block",
          "Removes one run of neighbouring blocks, the one that turns the last token's hidden state least.",
          "d(l, n) = mean over samples of arccos(cos(h_l, h_(l+n))) / π at the last token; blocks [l, l+n) of the "
          "smallest d go",
          "Gromov et al., arXiv 2403.17887", "calibration set", 1, kDepthOptions}},
        {MethodKind::FfnChannels,
         "ffn_importance",
         "activation_weight",
         {"ffn_activation", "FFN channels by activation", "width", "FFN channel",
          "Removes the FFN channels that feed the least into the output of their block.",
          "score(c) = mean over output rows r of |down(r, c)| · ‖x_c‖₂, x = input of down over all tokens",
          "Wanda-sp, in FLAP, arXiv 2312.11983, after Wanda, arXiv 2306.11695", "calibration set", 1, kFfnOptions}},
        {MethodKind::FfnChannels,
         "ffn_importance",
         "weight_magnitude",
         {"ffn_magnitude", "FFN channels by weight", "width", "FFN channel",
          "Removes the FFN channels with the smallest weights; a baseline that looks at no data.",
          "score(c) = Σ|gate(c, ·)| + Σ|up(c, ·)| + Σ|down(·, c)|", "LLM-Pruner's L1 baseline, arXiv 2305.11627",
          "nothing", 0, kFfnOptions}},
        {MethodKind::KvGroups,
         "head_importance",
         "activation_weight",
         {"kv_activation", "KV groups by activation", "width", "KV group",
          "Removes the attention groups (one key, one value and their query heads) that feed the least into the output "
          "of their block.",
          "score(g) = sum over the group's columns c of o of mean_r |o(r, c)| · ‖x_c‖₂",
          "Wanda-sp, in FLAP, arXiv 2312.11983, after Wanda, arXiv 2306.11695", "calibration set", 1, kKvOptions}},
        {MethodKind::KvGroups,
         "head_importance",
         "weight_magnitude",
         {"kv_magnitude", "KV groups by weight", "width", "KV group",
          "Removes the attention groups with the smallest weights; a baseline that looks at no data.",
          "score(g) = Σ|w| over the group's rows of q, k, v and columns of o",
          "LLM-Pruner's L1 baseline, arXiv 2305.11627", "nothing", 0, kKvOptions}},
        {MethodKind::Selection,
         "",
         "",
         {"selection",
          "Selection by hand",
          "hand",
          "any",
          "Removes the units that were picked in the maps or lists.",
          "none",
          "",
          "nothing",
          0,
          {"blocks", "ffn", "kv"}}},
    };
    return entries;
}

const MethodEntry &methodEntry(const std::string &id)
{
    std::string known;
    for (const MethodEntry &entry : methodRegistry()) {
        if (entry.card.id == id)
            return entry;
        known += (known.empty() ? "" : ", ") + entry.card.id;
    }
    throw Error(ErrorKind::NotFound, "There is no method '" + id + "'.", "Known: " + known + ".");
}

std::string planNumber(double value)
{
    char text[32];
    const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
    return {text, end};
}

std::string plural(std::int64_t count, const char *unit)
{
    return std::to_string(count) + " " + unit + (count == 1 ? "" : "s");
}

MetricMapPtr mapFor(const MethodEntry &method, const AnalysisResult &analysis, int layers)
{
    const auto map = analysis.find(method.group, method.metric);
    if (!map)
        throw Error(ErrorKind::InvalidArgument,
                    "Method '" + method.card.id + "' needs the map '" + method.group + "/" + method.metric
                        + "', which has not been computed.",
                    "Run the calibration sweep with this map.");
    if (map->rows != layers)
        throw Error(ErrorKind::InvalidArgument,
                    "The map '" + map->id() + "' has " + std::to_string(map->rows) + " rows, but the model has "
                        + std::to_string(layers) + " blocks.",
                    "Run the calibration sweep for this model.");
    return map;
}

/// Undefined scores come last; equal ones keep the order of their indices.
bool scoreLess(float a, float b)
{
    return std::isnan(b) ? !std::isnan(a) : a < b;
}

/// Units to remove of \a total. Depth rounds a share up (ShortGPT removes ceil(L·s) blocks), width down (Wanda-sp
/// removes int(F·s) channels).
std::int64_t unitsAsked(const PlanRequest &request, std::int64_t total, bool isDepth, const char *unit)
{
    if (request.remove >= 0 && request.sparsity >= 0)
        throw Error(ErrorKind::InvalidArgument, "Both a sparsity and a number of units were given.",
                    "Give one of them.");
    std::int64_t count = request.remove;
    if (request.sparsity >= 0) {
        if (!(request.sparsity < 1))
            throw Error(ErrorKind::InvalidArgument,
                        "Sparsity " + planNumber(request.sparsity) + " is not between 0 and 1.");
        const double share = static_cast<double>(total) * request.sparsity;
        count = static_cast<std::int64_t>(isDepth ? std::ceil(share - 1e-9) : std::floor(share + 1e-9));
    }
    if (count < 0)
        throw Error(ErrorKind::InvalidArgument, "Neither a sparsity nor a number of units was given.");
    if (count == 0)
        throw Error(ErrorKind::InvalidArgument, "The plan would remove nothing: 0 of " + plural(total, unit) + ".",
                    "Ask for more.");
    if (count >= total)
        throw Error(ErrorKind::InvalidArgument,
                    "Removing " + std::to_string(count) + " of " + plural(total, unit) + " would leave none.",
                    "Ask for less.");
    return count;
}

void addBlock(PlanResult &result, int block, double score)
{
    result.plan.removed.blocks.insert(block);
    result.order.push_back("block " + std::to_string(block));
    result.scores.push_back(score);
}

void planLowestBlocks(const PlanRequest &request, const MetricMap &map, int layers, PlanResult &result)
{
    const auto count = unitsAsked(request, layers, true, "block");
    std::vector<int> candidates;
    for (int block = 0; block < layers; ++block)
        if (!request.locked.blocks.contains(block) && !std::isnan(map.at(block, 0)))
            candidates.push_back(block);
    if (static_cast<std::int64_t>(candidates.size()) < count)
        throw Error(ErrorKind::InvalidArgument,
                    "Only " + plural(static_cast<std::int64_t>(candidates.size()), "block")
                        + " can go, the others are locked, but " + std::to_string(count) + " were asked for.",
                    "Unlock blocks or ask for less.");
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](int a, int b) { return scoreLess(map.at(a, 0), map.at(b, 0)); });
    for (std::int64_t i = 0; i < count; ++i)
        addBlock(result, candidates[static_cast<std::size_t>(i)], map.at(candidates[static_cast<std::size_t>(i)], 0));
    result.plan.name = "Block influence, " + plural(count, "block");
}

void planContiguousBlocks(const PlanRequest &request, const MetricMap &map, int layers, PlanResult &result)
{
    const auto count = static_cast<int>(unitsAsked(request, layers, true, "block"));
    int best = -1;
    for (int start = 0; start + count <= layers; ++start) {
        const auto locked = request.locked.blocks.lower_bound(start);
        if (locked != request.locked.blocks.end() && *locked < start + count)
            continue;
        const float distance = map.at(start, count - 1);
        if (!std::isnan(distance) && (best < 0 || distance < map.at(best, count - 1)))
            best = start;
    }
    if (best < 0)
        throw Error(ErrorKind::InvalidArgument,
                    "There is no run of " + plural(count, "neighbouring block") + " without a locked one.",
                    "Unlock blocks or ask for less.");
    for (int block = best; block < best + count; ++block)
        addBlock(result, block, map.at(best, count - 1));
    result.plan.name = "Angular distance, blocks [" + std::to_string(best) + ", " + std::to_string(best + count) + ")";
}

/// What a width method works on: how many units each block has and which may not go.
struct WidthUnits {
    const char *name;
    std::vector<int> widths;
    const std::map<int, std::set<int>> *locked;
    std::map<int, std::set<int>> *removed;

    bool isLocked(int block, int unit) const
    {
        const auto it = locked->find(block);
        return it != locked->end() && it->second.contains(unit);
    }
};

struct ScoredUnit {
    int block;
    int unit;
    float score;
};

std::vector<ScoredUnit> freeUnits(const WidthUnits &units, const MetricMap &map, int block)
{
    std::vector<ScoredUnit> free;
    for (int unit = 0; unit < units.widths[static_cast<std::size_t>(block)]; ++unit) {
        const float score = unit < map.columns ? map.at(block, unit) : std::nanf("");
        if (!units.isLocked(block, unit) && !std::isnan(score))
            free.push_back({block, unit, score});
    }
    return free;
}

void sortByScore(std::vector<ScoredUnit> &units)
{
    std::stable_sort(units.begin(), units.end(),
                     [](const ScoredUnit &a, const ScoredUnit &b) { return scoreLess(a.score, b.score); });
}

void addUnit(PlanResult &result, const WidthUnits &units, const ScoredUnit &unit)
{
    (*units.removed)[unit.block].insert(unit.unit);
    result.order.push_back("block " + std::to_string(unit.block) + " " + units.name + " " + std::to_string(unit.unit));
    result.scores.push_back(unit.score);
}

/// How many units go from a block of \a width so that the kept width is a multiple.
std::int64_t roundedRemoval(std::int64_t width, std::int64_t removed, int multiple)
{
    const std::int64_t kept = (width - removed) / multiple * multiple;
    return kept > 0 ? width - kept : removed;
}

int automaticMultiple(int width)
{
    // A narrow model would lose a large share to rounding, so the step is at most a sixteenth of the width.
    int multiple = 64;
    while (multiple > 1 && multiple > width / 16)
        multiple /= 2;
    return multiple;
}

/// Scores [layers][units] of \a group by activation × weight; empty without such a map.
std::vector<std::vector<float>> scoreRows(const AnalysisResult *analysis, const std::string &group)
{
    std::vector<std::vector<float>> rows;
    const MetricMapPtr map = analysis ? analysis->find(group, "activation_weight") : nullptr;
    if (!map)
        return rows;
    for (std::int64_t row = 0; row < map->rows; ++row) {
        const auto begin = map->values.begin() + static_cast<std::ptrdiff_t>(row * map->columns);
        rows.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(map->columns));
    }
    return rows;
}

void planUniformWidth(const PlanRequest &request, const MetricMap &map, const WidthUnits &units, bool isFfn,
                      PlanResult &result)
{
    const int width = units.widths.front();
    if (std::any_of(units.widths.begin(), units.widths.end(), [width](int other) { return other != width; }))
        throw Error(ErrorKind::InvalidArgument, "The blocks of this model have unequal widths already.",
                    "Switch uniform widths off.");
    const auto asked = unitsAsked(request, width, false, units.name);
    const int multiple = !isFfn ? 1 : request.ffnMultiple > 0 ? request.ffnMultiple : automaticMultiple(width);
    const auto count = roundedRemoval(width, asked, multiple);
    for (int block = 0; block < static_cast<int>(units.widths.size()); ++block) {
        auto candidates = freeUnits(units, map, block);
        if (static_cast<std::int64_t>(candidates.size()) < count)
            throw Error(ErrorKind::InvalidArgument,
                        "Only " + plural(static_cast<std::int64_t>(candidates.size()), units.name) + " of block "
                            + std::to_string(block) + " can go, the others are locked, but " + std::to_string(count)
                            + " must go from every block.",
                        "Unlock units, ask for less, or switch uniform widths off.");
        sortByScore(candidates);
        for (std::int64_t i = 0; i < count; ++i)
            addUnit(result, units, candidates[static_cast<std::size_t>(i)]);
    }
    if (count > asked)
        result.snapped = plural(count, units.name) + " instead of " + std::to_string(asked)
            + " go from every block, so that the kept width " + std::to_string(width - count) + " is a multiple of "
            + std::to_string(multiple) + ".";
    result.plan.name += ", " + plural(count, units.name) + " per block";
    if (isFfn)
        result.plan.options["multiple"] = std::to_string(multiple);
}

void planGlobalWidth(const PlanRequest &request, const MetricMap &map, const WidthUnits &units, PlanResult &result)
{
    std::int64_t total = 0;
    std::vector<ScoredUnit> candidates;
    for (int block = 0; block < static_cast<int>(units.widths.size()); ++block) {
        total += units.widths[static_cast<std::size_t>(block)];
        const auto free = freeUnits(units, map, block);
        candidates.insert(candidates.end(), free.begin(), free.end());
    }
    PlanRequest whole = request;
    if (request.remove >= 0)
        whole.remove = request.remove * static_cast<int>(units.widths.size());
    const auto count = unitsAsked(whole, total, false, units.name);
    if (static_cast<std::int64_t>(candidates.size()) < count)
        throw Error(ErrorKind::InvalidArgument,
                    "Only " + plural(static_cast<std::int64_t>(candidates.size()), units.name)
                        + " can go, the others are locked, but " + std::to_string(count) + " were asked for.",
                    "Unlock units or ask for less.");
    sortByScore(candidates);
    for (std::int64_t i = 0; i < count; ++i)
        addUnit(result, units, candidates[static_cast<std::size_t>(i)]);
    result.plan.name += ", " + plural(count, units.name) + " over all blocks";
}

} // namespace

std::vector<MethodCard> methodCards()
{
    std::vector<MethodCard> cards;
    for (const MethodEntry &entry : methodRegistry())
        cards.push_back(entry.card);
    return cards;
}

std::string mapOfMethod(const std::string &method)
{
    const MethodEntry &entry = methodEntry(method);
    return entry.kind == MethodKind::Selection ? std::string() : std::string(entry.group) + "/" + entry.metric;
}

PlanResult makePlan(const PlanRequest &request, const ModelConfig &dense, const AnalysisResult &analysis)
{
    const MethodEntry &method = methodEntry(request.method);
    if (method.kind == MethodKind::Selection)
        throw Error(ErrorKind::InvalidArgument, "Method 'selection' does not choose: its units are picked by hand.",
                    "Pick units, or choose another method.");
    const auto map = mapFor(method, analysis, dense.layers());

    PlanResult result;
    result.plan.method = request.method;
    result.plan.modelDigest = analysis.modelDigest;
    result.plan.name = method.card.title;
    if (request.remove >= 0)
        result.plan.options["remove"] = std::to_string(request.remove);
    if (request.sparsity >= 0)
        result.plan.options["sparsity"] = planNumber(request.sparsity);
    if (method.card.sweeps > 0)
        result.plan.options["calibration"] = analysis.calibration.sha256;

    switch (method.kind) {
    case MethodKind::LowestBlocks:
        planLowestBlocks(request, *map, dense.layers(), result);
        break;
    case MethodKind::ContiguousBlocks:
        planContiguousBlocks(request, *map, dense.layers(), result);
        break;
    case MethodKind::FfnChannels:
    case MethodKind::KvGroups: {
        const bool isFfn = method.kind == MethodKind::FfnChannels;
        UnitSet &removed = result.plan.removed;
        WidthUnits units{isFfn ? "channel" : "KV group",
                         {},
                         isFfn ? &request.locked.ffnChannels : &request.locked.kvGroups,
                         isFfn ? &removed.ffnChannels : &removed.kvGroups};
        for (const BlockShape &block : dense.blocks)
            units.widths.push_back(isFfn ? (block.hasMlp ? block.intermediateSize : 0)
                                         : (block.hasAttention ? block.kvHeads : 0));
        result.plan.options["uniform"] = request.uniformWidths ? "true" : "false";
        if (request.uniformWidths)
            planUniformWidth(request, *map, units, isFfn, result);
        else
            planGlobalWidth(request, *map, units, result);
        break;
    }
    case MethodKind::Selection:
        break; // refused above
    }
    validatePlan(result.plan, dense);
    result.budget = computeBudget(dense, result.plan.removed);
    return result;
}

SnapResult uniformSelection(const UnitSet &removed, const PlanRequest &request, const ModelConfig &dense,
                            const AnalysisResult *analysis)
{
    const int width = dense.blocks.empty() ? 0 : dense.blocks.front().intermediateSize;
    const int multiple = request.ffnMultiple > 0 ? request.ffnMultiple : automaticMultiple(width);
    SnapResult snap = snapToUniform(dense, removed, multiple, scoreRows(analysis, "ffn_importance"),
                                    scoreRows(analysis, "head_importance"));
    if (unitsIntersect(snap.added, request.locked))
        throw Error(ErrorKind::InvalidArgument, "Equal widths would take out locked units.",
                    "Unlock them, or switch uniform widths off.");
    return snap;
}

PlanResult makeSelectionPlan(const UnitSet &chosen, const ModelConfig &dense, const std::string &modelDigest,
                             const PlanRequest &request, const AnalysisResult *analysis)
{
    PlanResult result;
    result.plan.method = "selection";
    result.plan.modelDigest = modelDigest;
    result.plan.removed = chosen;
    if (request.uniformWidths) {
        SnapResult snap = uniformSelection(chosen, request, dense, analysis);
        result.plan.removed = std::move(snap.removed);
        result.snapped = std::move(snap.explanation);
    }
    const UnitSet &removed = result.plan.removed;
    std::string what;
    const auto add = [&](std::int64_t count, const char *unit) {
        if (count > 0)
            what += ", " + plural(count, unit);
    };
    std::int64_t groups = 0, channels = 0;
    for (const int block : removed.blocks)
        result.order.push_back("block " + std::to_string(block));
    for (const auto &[block, units] : removed.kvGroups) {
        groups += static_cast<std::int64_t>(units.size());
        for (const int unit : units)
            result.order.push_back("block " + std::to_string(block) + " KV group " + std::to_string(unit));
    }
    for (const auto &[block, units] : removed.ffnChannels) {
        channels += static_cast<std::int64_t>(units.size());
        for (const int unit : units)
            result.order.push_back("block " + std::to_string(block) + " channel " + std::to_string(unit));
    }
    add(static_cast<std::int64_t>(removed.blocks.size()), "block");
    add(groups, "KV group");
    add(channels, "channel");
    result.plan.name = "Selection" + what;
    validatePlan(result.plan, dense);
    result.budget = computeBudget(dense, removed);
    return result;
}

} // namespace secateur::workflow
