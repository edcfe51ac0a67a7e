#include "backend/text/trace.h"

#include <algorithm>
#include <array>
#include <optional>

namespace secateur {
namespace {

constexpr std::array<std::string_view, 2> kTraceOpens{"<think>", "<|begin_of_thought|>"};
constexpr std::array<std::string_view, 2> kTraceCloses{"</think>", "<|end_of_thought|>"};
/// What a turn of a conversation starts or ends with in published templates.
constexpr std::array<std::string_view, 5> kTurnMarks{"<|", "<\xEF\xBD\x9C", "_of_turn>", "[/INST]", "</s>"};

constexpr std::int64_t kFewestTraceTokens = 5;
constexpr int kLongestRepeat = 64;
constexpr std::size_t kFewestRepeats = 4;

struct TraceMark {
    std::size_t begin = 0;
    std::size_t end = 0;
};

std::vector<TraceMark> traceMarks(std::string_view text, const std::array<std::string_view, 2> &names)
{
    std::vector<TraceMark> marks;
    for (const std::string_view name : names) {
        for (std::size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + name.size()))
            marks.push_back({at, at + name.size()});
    }
    std::ranges::sort(marks, {}, &TraceMark::begin);
    return marks;
}

/// Tokens at the end of \a ids that repeat with period \a n, the first round included.
std::size_t repeatedRun(std::span<const std::int32_t> ids, std::size_t n)
{
    std::size_t run = n;
    while (run < ids.size() && ids[ids.size() - 1 - run] == ids[ids.size() - 1 - run + n])
        ++run;
    return run;
}

} // namespace

std::string_view traceStateName(TraceState state)
{
    switch (state) {
    case TraceState::Closed:
        return "closed";
    case TraceState::OpenTruncated:
        return "truncated";
    case TraceState::OpenEos:
        return "open-eos";
    case TraceState::Empty:
        return "empty";
    case TraceState::Absent:
        return "absent";
    case TraceState::Multiple:
        return "multiple";
    }
    return "absent";
}

TraceSpans analyzeTrace(const Tokenizer &tokenizer, std::string_view generated, std::string_view finish,
                        bool promptOpensTrace)
{
    const std::vector<TraceMark> opens = traceMarks(generated, kTraceOpens);
    const std::vector<TraceMark> closes = traceMarks(generated, kTraceCloses);
    const auto tokens = [&](std::string_view text) { return static_cast<std::int64_t>(tokenizer.encode(text).size()); };

    TraceSpans spans;
    if (closes.empty() && opens.empty() && !promptOpensTrace) {
        spans.answer = generated;
        spans.answerTokens = tokens(generated);
        return spans;
    }
    // A model that closes what it never opened was thinking from its first token on.
    const bool opensItself = !opens.empty() && (closes.empty() || opens.front().begin < closes.front().begin);
    std::size_t begin = 0;
    if (opensItself) {
        const bool again
            = generated.substr(0, opens.front().begin).find_first_not_of(" \t\r\n") == std::string_view::npos;
        if (!promptOpensTrace || again)
            begin = opens.front().end;
    }
    if (closes.empty()) {
        spans.state = finish == "stop" ? TraceState::OpenEos : TraceState::OpenTruncated;
        spans.traceTokens = tokens(generated.substr(begin));
        return spans;
    }
    spans.traceTokens = tokens(generated.substr(begin, closes.back().begin - begin));
    spans.answer = generated.substr(closes.back().end);
    spans.answerTokens = tokens(spans.answer);
    if (closes.size() > 1)
        spans.state = TraceState::Multiple;
    else
        spans.state = spans.traceTokens < kFewestTraceTokens ? TraceState::Empty : TraceState::Closed;
    return spans;
}

bool promptOpensTrace(std::string_view prompt)
{
    const std::vector<TraceMark> opens = traceMarks(prompt, kTraceOpens);
    if (opens.empty())
        return false;
    const std::string_view rest = prompt.substr(opens.back().end);
    if (!traceMarks(rest, kTraceCloses).empty())
        return false;
    // A mark that a message merely mentions is followed by the end of that message.
    return std::ranges::none_of(kTurnMarks,
                                [&](std::string_view mark) { return rest.find(mark) != std::string_view::npos; });
}

double repetitionShare(std::span<const std::int32_t> ids, int window)
{
    if (ids.empty() || window <= 0)
        return 0;
    const auto tail = ids.last(std::min(ids.size(), static_cast<std::size_t>(window)));
    std::size_t covered = 0;
    for (std::size_t n = 1; n <= kLongestRepeat && n * kFewestRepeats <= tail.size(); ++n) {
        const std::size_t run = repeatedRun(tail, n);
        if (run / n >= kFewestRepeats)
            covered = std::max(covered, run / n * n);
    }
    return static_cast<double>(covered) / static_cast<double>(tail.size());
}

bool endsInLoop(std::span<const std::int32_t> ids, int window)
{
    const auto size = static_cast<std::size_t>(std::max(window, 0));
    if (size == 0 || ids.size() < size)
        return false;
    const auto tail = ids.last(size);
    for (std::size_t n = 1; n <= kLongestRepeat && n * kFewestRepeats <= size; ++n)
        if (repeatedRun(tail, n) == size)
            return true;
    return false;
}

} // namespace secateur
