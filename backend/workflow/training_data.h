#pragma once

#include "backend/core/job_context.h"
#include "backend/core/run_config.h"
#include "backend/text/chat_template.h"
#include "backend/text/tokenizer.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace secateur::workflow {

/// What is to be known of a data set before it trains a model.
struct TrainingDataQuestion {
    std::string source; ///< path of text / JSONL, or "bundled"
    std::filesystem::path model = {}; ///< its folder; what came with the program has data of its own
    std::shared_ptr<const Tokenizer> tokenizer;
    std::shared_ptr<const ChatTemplate> chatTemplate; ///< null: the model has none
    bool modelThinks = false; ///< the model opens its answers with a trace
    RecoveryOptions options; ///< maxLength, splitLong, promptWeight
};

/// One data set as a model sees it.
struct TrainingDataCard {
    std::string source; ///< as asked
    std::string name, sha256; ///< of the file
    std::string form; ///< Corpus::kind
    std::string kind; ///< "instruct", "think", "mixed" (some answers with a trace), "text" (no answers)
    std::int64_t documents = 0; ///< rows of the file
    std::int64_t samples = 0; ///< that a run draws from
    std::int64_t tokens = 0, scoredTokens = 0; ///< of the samples
    std::int64_t longest = 0; ///< tokens of the longest sample, those left out included
    std::int64_t dropped = 0; ///< longer than maxLength
    std::int64_t split = 0; ///< texts that became several samples
    std::int64_t skipped = 0; ///< without a response
    std::int64_t answers = 0, traces = 0; ///< assistant turns, and those that hold a thinking mark

    /// How the answers fit what the model does.
    enum class Fit { Good, TracesMissing, TracesUnwanted, NoTemplate };
    Fit fit = Fit::Good;
};

/// Reads, renders and counts; touches no tensor, so any thread may call it. Throws Error naming file and field, and
/// Error(InvalidArgument) for conversations without a template and when no sample is left.
TrainingDataCard describeTrainingData(const TrainingDataQuestion &question, const JobContext &context = {});

} // namespace secateur::workflow
