#pragma once

#include "backend/core/model_info.h"
#include "backend/engine/analysis.h"

#include <cstdint>

namespace secateur {

/// What an analysis that reads the model block by block needs. Bytes; memory counts what has no file behind it
/// (RssAnon), mapped weights that are used where they lie cost none.
struct StreamingEstimate {
    std::uint64_t process = 0; ///< held already
    std::uint64_t block = 0; ///< the largest block's weights, converted
    std::uint64_t batch = 0; ///< the largest batch on its way through a block, or its copies while a weight is read
    std::uint64_t similarity = 0; ///< one batch's hidden states side by side, when no block is there any more
    std::uint64_t states = 0; ///< hidden states of the whole calibration set that are kept
    bool statesInFile = false; ///< the states go to a temporary file because they alone would exceed the budget
    std::uint64_t smallestBudget = 0; ///< in whole MiB
    int passes = 1; ///< over the weights
    std::uint64_t bytesRead = 0; ///< of the model's files, in all passes

    std::uint64_t peak() const; ///< memory that is expected to be used
};

/// Reads headers only. Throws as analyze() for a bad request and as openWeights() for a model that cannot be read.
StreamingEstimate estimateStreaming(const ModelInfo &info, const AnalysisRequest &request,
                                    const ComputeSettings &settings, std::uint64_t memoryBudget);

/// true when weights and activations of analyze() fit into the free memory of the device.
bool analysisFitsInMemory(const ModelInfo &info, const ComputeSettings &settings,
                          std::int64_t batchTokens = AnalysisRequest().batchTokens);

/// Nine tenths of what this process has and could get.
std::uint64_t defaultMemoryBudget();

/// The maps of analyze(), bit for bit, with one block in memory at a time: the outer loop goes over blocks, the inner
/// one over the same batches in the same order. \a memoryBudget is for the whole process. Weights are checked as they
/// are read. Throws Error(InvalidArgument) naming the smallest budget when \a memoryBudget is too small, Error(Io) when
/// the temporary file cannot be written, else as loadModel() and analyze(). Compute thread only.
AnalysisResult analyzeStreaming(const ModelInfo &info, const AnalysisRequest &request, const ComputeSettings &settings,
                                std::uint64_t memoryBudget, const JobContext &context = {});

} // namespace secateur
