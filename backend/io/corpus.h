#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace secateur {

struct ChatMessage {
    std::string role; ///< "system", "user", "assistant"
    std::string content;
    bool operator==(const ChatMessage &) const = default;
};

/// Bytes [begin, end) of a text that count with \a weight in a training loss.
struct WeightedSpan {
    std::size_t begin = 0, end = 0;
    double weight = 1;
    bool operator==(const WeightedSpan &) const = default;
};

/// One sample of calibration or recovery data.
struct CorpusSample {
    std::string text; ///< plain text; empty when `messages` is used
    std::vector<WeightedSpan> spans = {}; ///< of the text, in order and apart; what lies outside weighs 1
    std::vector<ChatMessage> messages; ///< chat data; loss on assistant turns only
    bool isChat() const { return !messages.empty(); }
};

struct Corpus {
    std::string kind; ///< "text", "jsonl-text", "chat", "prompt-response"
    std::string name; ///< file name without folder
    std::string sha256; ///< of the file
    std::vector<CorpusSample> samples;
    std::int64_t skipped = 0; ///< rows with an empty response
};

/// Reads plain text (one sample: the whole file), JSON lines or one JSON array, told apart by content. Row forms:
/// {text} with optional spans:[[begin, end, weight]], {messages:[{role, content}]} (content may be a list of
/// {type,value|text} parts), {conversations:[{from,value}]}, {prompt,response}, {instruction,input,output},
/// {question,answer}. Throws Error(BadFormat) naming file, line and field; an empty file is an error.
Corpus readCorpus(const std::filesystem::path &path);

/// `{"sequences": [[…], …]}` or a bare list of lists. Throws Error(BadFormat).
std::vector<std::vector<std::int32_t>> readIdsFile(const std::filesystem::path &path);

} // namespace secateur
