#pragma once

#include "backend/core/session.h"

#include <filesystem>
#include <string>

namespace secateur {

constexpr const char *kSessionFormat = "secateur-session";
constexpr int kSessionMajor = 1;
constexpr const char *kSessionVersion = "1.1.0";

/// JSON (UTF-8), written atomically; maps go to `<stem>.maps.h5` and samples to `<stem>.samples.jsonl` beside it,
/// referenced by relative path and digest. No absolute path is written.
void saveSession(const std::filesystem::path &path, const Session &session);

/// Migrates older versions step by step; refuses a newer major version with a sentence naming both numbers
/// (Error(UnsupportedVersion)). Missing maps or samples are reported in \a warnings, not thrown. Malformed values throw
/// Error(BadFormat) with file and JSON pointer.
Session loadSession(const std::filesystem::path &path, std::vector<std::string> *warnings = nullptr);

/// The maps of \a session, read from \a file with \a warnings; throws Error(NotFound) saying why there are none.
const AnalysisResult &requireMaps(const Session &session, const std::string &file,
                                  const std::vector<std::string> &warnings);

/// Plans as files of their own (`plan.json`), same JSON as inside a session.
void savePlan(const std::filesystem::path &path, const PruningPlan &plan);
PruningPlan loadPlan(const std::filesystem::path &path);

} // namespace secateur
