#pragma once

#include "backend/core/calibration.h"
#include "backend/core/job_context.h"
#include "backend/engine/streaming_analysis.h"
#include "backend/text/chat_template.h"
#include "backend/text/tokenizer.h"
#include "backend/workflow/workbench.h"

#include <filesystem>
#include <functional>

namespace secateur::workflow {

struct CalibrationRequest {
    std::string source; ///< path of text / JSONL, "ids:F.json", or "bundled" (resources/calibration)
    std::int64_t samples = 16; ///< N; 0 = all (text: as many windows as fit one behind the other)
    std::int64_t length = 256; ///< S; samples may be shorter for chat data; 0 = whole samples
    std::uint64_t seed = 0;
};

/// The file behind "bundled": the calibration text, or with \a chat the conversations. Throws Error(NotFound).
std::filesystem::path bundledData(bool chat);

/// \a source with "bundled" made a path. A model that came with the program (\a model: its folder) has data of its own:
/// conversations like those it was trained with, for both uses. Throws Error(NotFound).
std::string dataSource(const std::string &source, const std::filesystem::path &model, bool chat);

/// Text: tokenised at once, N random windows of S tokens (all different starts; consecutive windows when the text is
/// too short for N random ones). JSONL text and chat: N seeded rows through the template, cut at S. Throws
/// Error(InvalidArgument) when there is nothing to count. Ids: the first N sequences, cut at S. Rows that the template
/// refuses are passed over as long as others are left.
CalibrationSet makeCalibrationSet(const CalibrationRequest &request, const Tokenizer *tokenizer,
                                  const ChatTemplate *chatTemplate);

struct AnalyzeRequest {
    CalibrationRequest calibration;
    std::vector<std::string> maps; ///< empty: all
};
AnalysisResult analyze(const LoadedModel &model, const AnalyzeRequest &request, const JobContext &context);

/// The same maps of a model from openHeaders(), block by block from its files, within \a memoryBudget bytes.
/// \a announce (may be empty) hears the estimate before the work starts.
AnalysisResult analyzeStreaming(const LoadedModel &headers, const AnalyzeRequest &request,
                                const ComputeSettings &settings, std::uint64_t memoryBudget, const JobContext &context,
                                const std::function<void(const StreamingEstimate &)> &announce = {});

} // namespace secateur::workflow
