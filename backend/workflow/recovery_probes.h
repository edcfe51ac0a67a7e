#pragma once

#include "backend/core/job_context.h"
#include "backend/workflow/workbench.h"

#include <cstdint>
#include <string>
#include <vector>

namespace secateur::workflow {

/// What a model says to one question.
struct ProbeAnswer {
    std::string text; ///< raw, with its thinking marks
    std::string answer; ///< behind the trace; the whole text when there is none
    std::int64_t traceTokens = 0, answerTokens = 0;
    std::string finish; ///< "stop", "length" or "loop"
    bool operator==(const ProbeAnswer &) const = default;
};

/// The answers of the model after a step; 0: before the first.
struct ProbeRound {
    std::int64_t step = 0;
    std::vector<ProbeAnswer> answers; ///< one for each question
    bool operator==(const ProbeRound &) const = default;
};

/// Questions that any model can be asked.
std::vector<std::string> defaultProbes();

/// Greedy answers, through the chat template when the model has one. Compute thread. \a dense gives tokenizer and
/// template.
ProbeRound answerProbes(const LoadedModel &dense, const Model &model, const std::vector<std::string> &questions,
                        int maxNewTokens, const JobContext &context = {});

} // namespace secateur::workflow
