#include "backend/engine/transforms.h"

#include "backend/engine/detail/guards.h"
#include "backend/engine/forward.h"
#include "backend/engine/transforms/slicing.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

namespace secateur {

namespace {

/// What a plan leaves of one block; empty when the whole block goes.
std::optional<KeptUnits> transformsKept(const ModelConfig &dense, const UnitSet &removed, int block)
{
    if (removed.blocks.contains(block))
        return std::nullopt;
    static const std::set<int> nothing;
    const auto groups = removed.kvGroups.find(block);
    const auto channels = removed.ffnChannels.find(block);
    KeptUnits kept = keptUnits(dense.blocks[static_cast<std::size_t>(block)], dense.headDim,
                               groups == removed.kvGroups.end() ? nothing : groups->second,
                               channels == removed.ffnChannels.end() ? nothing : channels->second);
    if (kept.kvRows.empty() && kept.ffnChannels.empty())
        return std::nullopt;
    return kept;
}

void transformsValidate(const ModelConfig &dense, const UnitSet &removed)
{
    PruningPlan plan;
    plan.removed = removed;
    validatePlan(plan, dense);
}

DecoderBlock transformsSliced(const DecoderBlock &block, const KeptUnits &kept)
{
    DecoderBlock result;
    if (!kept.kvRows.empty()) { // without attention its norm goes as well
        result.attentionNorm = block.attentionNorm;
        result.q = withRows(block.q, kept.queryRows);
        result.k = withRows(block.k, kept.kvRows);
        result.v = withRows(block.v, kept.kvRows);
        result.o = withColumns(block.o, kept.queryRows);
        result.qNorm = block.qNorm;
        result.kNorm = block.kNorm;
    }
    if (!kept.ffnChannels.empty()) {
        result.mlpNorm = block.mlpNorm;
        result.gate = withRows(block.gate, kept.ffnChannels);
        result.up = withRows(block.up, kept.ffnChannels);
        result.down = withColumns(block.down, kept.ffnChannels);
    }
    return result;
}

DecoderBlock transformsMasked(const DecoderBlock &block, const std::optional<KeptUnits> &kept)
{
    DecoderBlock result = block;
    if (block.o.defined()) // a sublayer that loses all units loses its bias too, so it is silenced as a whole
        result.o = kept && !kept->queryRows.empty() ? withOthersZero(block.o, kept->queryRows) : silenced(block.o);
    if (block.down.defined()) {
        result.down
            = kept && !kept->ffnChannels.empty() ? withOthersZero(block.down, kept->ffnChannels) : silenced(block.down);
    }
    return result;
}

std::string transformsScientific(double value)
{
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific, 1).ptr;
    return {text, end};
}

CheckResult transformsFiniteCheck(const Model &pruned, const TokenIds &probe)
{
    CheckResult check{"finite logits", true, {}};
    try {
        for (const float logit : forwardSequence(pruned, probe, false).logits)
            check.passed = check.passed && std::isfinite(logit);
        check.detail = check.passed ? "all logits of " + std::to_string(probe.size()) + " tokens are finite"
                                    : "a logit is not a finite number";
    } catch (const Error &error) {
        if (error.kind() != ErrorKind::Numeric)
            throw;
        check.passed = false;
        check.detail = error.info().message;
    }
    return check;
}

CheckResult transformsTiedCheck(const Model &pruned)
{
    const Model::Impl &impl = pruned.impl();
    const bool shares = impl.head.weight.is_same(impl.embedding)
        || impl.head.weight.const_data_ptr() == impl.embedding.const_data_ptr();
    const bool passed = shares == impl.config.tiedEmbeddings;
    return {"tied embeddings", passed,
            !passed      ? "the head and the embedding are not what the configuration says"
                : shares ? "the head is the embedding"
                         : "the head has its own weights"};
}

} // namespace

Model prune(const Model &dense, const UnitSet &removed)
{
    return withoutGradients([&] {
        const Model::Impl &source = dense.impl();
        transformsValidate(source.config, removed);
        auto result = std::make_shared<Model::Impl>(source);
        result->config = prunedConfig(source.config, removed);
        result->blocks.clear();
        for (int block = 0; block < source.config.layers(); ++block) {
            const std::optional<KeptUnits> kept = transformsKept(source.config, removed, block);
            if (kept)
                result->blocks.push_back(transformsSliced(source.blocks[static_cast<std::size_t>(block)], *kept));
        }
        if (result->blocks.size() != result->config.blocks.size())
            throw Error(ErrorKind::Internal,
                        "The plan leaves " + std::to_string(result->blocks.size()) + " blocks, but "
                            + std::to_string(result->config.blocks.size()) + " were predicted.");
        for (std::size_t block = 0; block < result->blocks.size(); ++block)
            result->blocks[block].shape = result->config.blocks[block];
        return Model(std::move(result));
    });
}

Model mask(const Model &dense, const UnitSet &removed)
{
    return withoutGradients([&] {
        const Model::Impl &source = dense.impl();
        transformsValidate(source.config, removed);
        auto result = std::make_shared<Model::Impl>(source);
        for (int block = 0; block < source.config.layers(); ++block) {
            DecoderBlock &target = result->blocks[static_cast<std::size_t>(block)];
            target = transformsMasked(target, transformsKept(source.config, removed, block));
        }
        return Model(std::move(result));
    });
}

double largestLogitDifference(const Model &a, const Model &b, const TokenIds &probe)
{
    if (a.config().vocabSize != b.config().vocabSize)
        throw Error(ErrorKind::InvalidArgument,
                    "Models with " + std::to_string(a.config().vocabSize) + " and "
                        + std::to_string(b.config().vocabSize) + " tokens in their vocabularies cannot be compared.");
    const std::vector<float> left = forwardSequence(a, probe, false).logits;
    const std::vector<float> right = forwardSequence(b, probe, false).logits;
    double largest = 0;
    for (std::size_t index = 0; index < left.size(); ++index)
        largest = std::max(largest, std::abs(static_cast<double>(left[index]) - static_cast<double>(right[index])));
    return largest;
}

std::vector<CheckResult> sanityGate(const Model &dense, const Model &pruned, const TokenIds &probe)
{
    std::vector<CheckResult> checks;
    checks.push_back(transformsFiniteCheck(pruned, probe));

    const std::int64_t counted = pruned.parameters();
    const std::int64_t predicted = totalParameters(pruned.config());
    checks.push_back({"parameter count", counted == predicted,
                      std::to_string(counted) + " counted, " + std::to_string(predicted) + " predicted"});
    checks.push_back(transformsTiedCheck(pruned));

    CheckResult differs{"differs from dense", false, "not compared, because the logits are not finite"};
    if (checks.front().passed) {
        const double difference = largestLogitDifference(dense, pruned, probe);
        differs.passed = difference > 0;
        differs.detail = differs.passed ? "the largest change of a logit is " + transformsScientific(difference)
                                        : "the logits are equal: what was removed had no effect on the probe";
    }
    checks.push_back(std::move(differs));
    return checks;
}

} // namespace secateur
