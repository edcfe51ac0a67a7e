#pragma once

#include "backend/core/calibration.h"
#include "backend/io/corpus.h"
#include "backend/workflow/evaluate.h"

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace secateur::cli {

// Small input files of the verbs. All throw Error(NotFound or BadFormat) naming file, line and field.

/// A JSON list of strings.
std::vector<std::string> readStrings(const std::filesystem::path &path);

/// A list of {role, content}, or an object with such a list under "messages".
std::vector<ChatMessage> readMessages(const std::filesystem::path &path);

/// JSON lines {context, continuation}.
std::vector<workflow::TextRequest> readTextRequests(const std::filesystem::path &path);

/// One thing to continue; exactly one member is set.
struct Prompt {
    std::string text;
    std::vector<ChatMessage> messages;
    TokenIds ids;
};
/// JSON lines: a string, {prompt}, {messages} or {ids}.
std::vector<Prompt> readPrompts(const std::filesystem::path &path);

/// "1,2,3", commas or blanks between. Throws Error(InvalidArgument).
TokenIds parseIds(const std::string &text);

/// "0,4,7-9" as a set. Throws Error(InvalidArgument) naming \a option.
std::set<int> parseUnits(const std::string &text, const std::string &option);

/// "3:0-9,17;4:1" as block → units.
std::map<int, std::set<int>> parseUnitsByBlock(const std::string &text, const std::string &option);

/// What adapter_config.json says.
struct AdapterSummary {
    std::string type, base;
    int rank = 0;
    double alpha = 0;
    bool rsLora = false;
    std::vector<std::string> targets;
};
AdapterSummary readAdapterSummary(const std::filesystem::path &folder);

} // namespace secateur::cli
