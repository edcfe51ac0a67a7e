#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace secateur {

/// One scored item. Everything needed to grade it again.
struct SampleResult {
    std::int64_t docId = 0;
    std::string prompt;
    std::string target; ///< gold answer or choice text
    std::string raw; ///< whole generated text, empty for log-likelihood tasks
    std::string extracted; ///< answer the grader found, empty: none
    bool correct = false; ///< primary metric
    bool correctNorm = false; ///< acc_norm, log-likelihood tasks only
    std::vector<double> choiceLogprobs;
    std::int64_t promptTokens = 0;
    std::int64_t traceTokens = 0; ///< strictly between the thinking marks
    std::int64_t answerTokens = 0; ///< after the closing mark, or all generated tokens without a trace
    std::string finish; ///< "stop", "length", "loop"; empty for log-likelihood
    std::string traceState; ///< "closed", "truncated", "open-eos", "empty", "absent", "multiple"
};

/// true when the output was cut: the token cap was reached, or a proven loop that would have reached it.
inline bool reachedCap(const SampleResult &sample)
{
    return sample.finish == "length" || sample.finish == "loop";
}

/// One model on one task.
struct TaskReport {
    std::string task;
    std::string kind; ///< "loglikelihood" or "generation"
    std::int64_t n = 0;
    double accuracy = 0; ///< 0…1
    double low = 0, high = 0; ///< 95 % Wilson interval
    double accuracyNorm = -1; ///< −1: not defined for this task
    double capHitShare = -1; ///< −1: not defined (log-likelihood)
    std::int64_t traceClosed = 0, traceTruncated = 0, traceAbsent = 0;
    double seconds = 0;
    std::string note; ///< "not available: …" when n is 0
    std::vector<SampleResult> samples;
};

/// Begins the subject of a report on another whole model, shown beside those of the session's own.
inline constexpr const char *kSiblingPrefix = "sibling:";

/// One model under one protocol: what the Evaluation tab shows as a column.
struct EvaluationReport {
    std::string id; ///< "report-1"
    std::string modelName; ///< "SmolLM2-135M-Instruct", "Selection, 3 blocks"
    std::string subject; ///< record id of the plan or run, "dense" for the model itself, kSiblingPrefix + name
    std::string state; ///< "dense", "pruned", "recovered", "sibling"
    std::string protocol; ///< every setting that changes a number, as one line
    std::vector<TaskReport> tasks;
};
using EvaluationReportPtr = std::shared_ptr<const EvaluationReport>;

} // namespace secateur
