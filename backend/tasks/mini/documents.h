#pragma once

#include "backend/core/seeded_random.h"
#include "backend/io/corpus.h"

#include <string>
#include <vector>

namespace secateur::mini {

inline constexpr const char *kEndOfText = "<|endoftext|>";

/// One training document: plain text with the mark of its end, or a conversation.
struct Document {
    std::string kind; ///< name of the task, or "text", "copy", "arithmetic"
    std::string text;
    std::vector<WeightedSpan> spans; ///< what counts less than 1 in the loss, in order
    std::vector<ChatMessage> messages;
    std::string trace; ///< the worked steps inside, for statistics
};

enum class Mixture {
    Base, ///< raw texts: the world, every task with and without steps, copying and arithmetic
    Instruct, ///< conversations with short answers
    Think ///< conversations with a trace
};

/// One document of a mixture. No question in it is one of a test (isTestKey). The conversations keep some raw texts
/// beside them, because the scored tasks are tested in that form.
Document drawDocument(SeededRandom &random, Mixture mixture);

} // namespace secateur::mini
