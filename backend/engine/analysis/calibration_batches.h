#pragma once

#include "backend/core/calibration.h"
#include "backend/core/model_config.h"

#include <cstdint>
#include <vector>

namespace secateur {

/// Neighbouring sequences that go through the model together.
struct CalibrationBatch {
    std::size_t first = 0; ///< number of the first sequence
    std::vector<TokenIds> sequences;
    std::int64_t tokens = 0;
};

/// Tokens that one batch may have: \a wanted, less where all hidden states of a batch would be too many.
std::int64_t calibrationBatchTokens(const ModelConfig &config, std::int64_t wanted);

/// \a sequences in their order, packed as full as calibrationBatchTokens() allows. Throws Error(InvalidArgument) when
/// there is none or one does not fit the model.
std::vector<CalibrationBatch> calibrationBatches(const ModelConfig &config, const std::vector<TokenIds> &sequences,
                                                 std::int64_t batchTokens);

/// "The scores of the sequences 4 … 7 are not finite."
[[noreturn]] void throwNonFiniteScores(const CalibrationBatch &batch);

} // namespace secateur
