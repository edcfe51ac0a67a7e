#pragma once

#include "backend/core/calibration.h"
#include "backend/text/tokenizer.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace secateur {

/// How the thinking marks of one output stand.
enum class TraceState { Closed, OpenTruncated, OpenEos, Empty, Absent, Multiple };
std::string_view traceStateName(TraceState state); ///< "closed", "truncated", "open-eos", "empty", "absent", "multiple"

/// Spans of one generated output, in bytes of the text and in tokens of the model's own tokenizer.
struct TraceSpans {
    TraceState state = TraceState::Absent;
    std::int64_t traceTokens = 0; ///< strictly between the marks
    std::int64_t answerTokens = 0; ///< after the close, or everything when there is no trace
    std::string answer; ///< text after the last close; whole text when absent; empty when not closed
};

/// Marks "<think>…</think>" and "<|begin_of_thought|>…<|end_of_thought|>". \a promptOpensTrace: the prompt ended with
/// the opening mark. \a finish "stop", "length" or "loop". Fewer than 5 tokens between the marks count as Empty.
TraceSpans analyzeTrace(const Tokenizer &tokenizer, std::string_view generated, std::string_view finish,
                        bool promptOpensTrace);

/// true when the rendered prompt ends inside an opened thinking mark
bool promptOpensTrace(std::string_view prompt);

/// Share of the last \a window tokens covered by an n-gram (n = 1…64) repeated at least 4 times in a row at the end.
double repetitionShare(std::span<const std::int32_t> ids, int window = 512);

/// A proven loop: the last \a window tokens are one n-gram (n = 1…64) over and over.
bool endsInLoop(std::span<const std::int32_t> ids, int window = 512);

} // namespace secateur
