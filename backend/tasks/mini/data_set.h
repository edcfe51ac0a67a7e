#pragma once

#include "backend/core/job_context.h"
#include "backend/tasks/mini/mini_tasks.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace secateur::mini {

inline constexpr std::uint64_t kDefaultSeed = 0;
inline constexpr std::size_t kVocabularySize = 1024;
inline constexpr std::int64_t kRecoveryTokens = 150'000; ///< of the conversations that come with each sibling
inline constexpr int kItems = 100; ///< test items of a task, fewer where not so many exist
inline constexpr int kLongestDocument
    = 224; ///< tokens; the few longer ones are left out, so that a training row holds any

struct DataOptions {
    std::uint64_t seed = kDefaultSeed;
    std::int64_t baseTokens = 8'000'000;
    std::int64_t chatTokens = 1'500'000; ///< for each of the two siblings
};

/// Lengths in tokens of one kind of document.
struct LengthSummary {
    std::int64_t documents = 0, tokens = 0;
    double mean = 0;
    int p5 = 0, p95 = 0, longest = 0;
};
struct KindSummary {
    LengthSummary document;
    LengthSummary trace; ///< of the documents that have one
};
struct DataReport {
    std::map<std::string, std::map<std::string, KindSummary>> files; ///< file name, kind
    std::map<std::string, std::int64_t> items; ///< task name → number of test items
};

/// The two siblings. Both speak ChatML; a thinking answer begins with "<think>", its steps and "</think>".
enum class Sibling { Instruct, Think };

/// The test items of a task as JSON lines: {context(s), choices, answer} or {prompt, answer, solution}. `solution` is
/// an answer that earns the point. All different, at most kItems.
std::string itemRows(const MiniTask &task, std::uint64_t seed);

/// tokenizer.json of both siblings, learned from documents of all mixtures. Depends on \a seed alone.
std::string tokenizerText(std::uint64_t seed);
std::string tokenizerConfigText(Sibling sibling); ///< tokenizer_config.json with the chat template
/// config.json: Llama with 10 blocks of width 128, 8 query heads on 4 KV heads, MLP 352, tied embeddings.
std::string modelConfigText();

/// Writes the folder: base.jsonl {kind, text, spans: [[begin, end, weight], …]} with byte offsets, instruct.jsonl and
/// think.jsonl {kind, messages} or {kind, text}, items/mini-<task>.jsonl, instruct/ and think/ with tokenizer and
/// config, and summary.json. The same options give the same bytes on every machine. An existing folder is replaced when
/// all is written. Throws Error(Io), Cancelled.
DataReport makeDataSet(const std::filesystem::path &folder, const DataOptions &options, const JobContext &context);

} // namespace secateur::mini
