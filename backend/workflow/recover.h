#pragma once

#include "backend/core/session.h"
#include "backend/engine/training.h"
#include "backend/workflow/workbench.h"

#include <filesystem>

namespace secateur::workflow {

struct RecoverRequest {
    std::string data; ///< path of text / JSONL, or "bundled"
    RecoveryOptions options;
    std::filesystem::path outputFolder; ///< PEFT adapter; empty: not written
    std::string basePath; ///< base_model_name_or_path
    std::shared_ptr<const Adapter> start; ///< continue from this adapter; null: a new one
};
struct RecoverOutcome {
    RunRecord record; ///< id and plan are left for the caller
    TrainingResult training;
};
/// Chat data: response-only loss through the template (every assistant turn, its end mark included). Text: all tokens.
/// Samples longer than maxLength are dropped and counted. Throws Error(InvalidArgument) when nothing is left.
RecoverOutcome recover(const LoadedModel &dense, const Model &model, const RecoverRequest &request,
                       const JobContext &context, MetricFeed *feed = nullptr);

/// The samples as recover() sees them.
struct TrainingData {
    std::vector<TrainingSample> samples;
    std::int64_t dropped = 0; ///< longer than maxLength
    std::int64_t skipped = 0; ///< empty responses
    std::int64_t tokens = 0, scoredTokens = 0;
    std::string name, sha256;
};
TrainingData makeTrainingData(const std::string &source, const Tokenizer &tokenizer, const ChatTemplate *chatTemplate,
                              int maxLength);

} // namespace secateur::workflow
