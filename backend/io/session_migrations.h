#pragma once

#include "backend/io/json_node.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace secateur {

/// Brings a session document from major version N to N + 1, in place. Throws Error(BadFormat) with file and pointer.
using SessionMigration = void (*)(nlohmann::json &document, const std::string &file);

/// Step N of the chain starts from major version N; the last step leads to kSessionMajor.
const std::vector<SessionMigration> &sessionMigrations();

/// Major version of a session document: `format_version` "1.2.0", or `version` 0 of the first files.
int sessionMajorOf(const JsonNode &document);

/// Runs every step from the document's version to the current one. Refuses a newer major version with
/// Error(UnsupportedVersion) naming both.
void migrateSession(nlohmann::json &document, const std::string &file);

/// Major number of "1.2.0"; throws Error(BadFormat) through \a node when it is no version.
int majorOfVersion(const JsonNode &node);

} // namespace secateur
