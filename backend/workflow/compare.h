#pragma once

#include "backend/core/session.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace secateur::workflow {

/// Two models on the same items of one task; B minus A.
struct PairedComparison {
    std::int64_t n = 0; ///< items that both have
    double accuracyA = 0, accuracyB = 0;
    double delta = 0;
    double low = 0, high = 0; ///< 95 % interval of the paired difference (normal approximation)
    std::int64_t rightToWrong = 0, wrongToRight = 0;
    double mcnemarP = 1;
};

/// Pairs the samples of two evaluation folders by task and doc_id. A folder is one model's (it holds
/// samples_<task>.jsonl) or one with a single such folder in it. Throws Error(NotFound) when nothing can be paired.
std::map<std::string, PairedComparison> compareResults(const std::filesystem::path &a, const std::filesystem::path &b);

/// Every report of \a session as a table, one row per model and task. \a format: "md" or "csv", else
/// Error(InvalidArgument).
std::string reportTable(const Session &session, const std::string &format);

} // namespace secateur::workflow
