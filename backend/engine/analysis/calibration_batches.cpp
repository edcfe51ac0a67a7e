#include "backend/engine/analysis/calibration_batches.h"

#include "backend/core/error.h"
#include "backend/engine/nn/checks.h"

#include <algorithm>
#include <string>
#include <utility>

namespace secateur {

namespace {

/// States of one batch that are kept at a time, in values: longer batches are cut to stay in the processor's reach.
constexpr std::int64_t kStateBudget = 32'000'000;

} // namespace

std::int64_t calibrationBatchTokens(const ModelConfig &config, std::int64_t wanted)
{
    const std::int64_t perToken = (config.layers() + 1) * std::int64_t{config.hiddenSize};
    return std::clamp<std::int64_t>(kStateBudget / perToken, 1, std::max<std::int64_t>(1, wanted));
}

std::vector<CalibrationBatch> calibrationBatches(const ModelConfig &config, const std::vector<TokenIds> &sequences,
                                                 std::int64_t batchTokens)
{
    if (sequences.empty()) {
        throw Error(ErrorKind::InvalidArgument, "The calibration set has no sequences.",
                    "Choose a text or a file with samples.");
    }
    const std::int64_t limit = calibrationBatchTokens(config, batchTokens);
    std::vector<CalibrationBatch> batches;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        requireSequence(config, sequences[i], "Calibration sequence " + std::to_string(i));
        const auto size = static_cast<std::int64_t>(sequences[i].size());
        if (batches.empty() || batches.back().tokens + size > limit)
            batches.push_back({i, {}, 0});
        batches.back().sequences.push_back(sequences[i]);
        batches.back().tokens += size;
    }
    return batches;
}

void throwNonFiniteScores(const CalibrationBatch &batch)
{
    throw Error(ErrorKind::Numeric,
                "The scores of the sequences " + std::to_string(batch.first) + " … "
                    + std::to_string(batch.first + batch.sequences.size() - 1) + " are not finite.");
}

} // namespace secateur
