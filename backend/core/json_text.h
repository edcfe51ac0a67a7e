#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace secateur {

/// Parses JSON from a file that nobody vouches for: no nesting deeper than \a maxDepth, no key twice in one object,
/// valid UTF-8. Throws Error(BadFormat) naming \a fileName.
nlohmann::json parseJson(std::string_view text, const std::string &fileName, int maxDepth = 64);

/// The same, keeping the order of keys.
nlohmann::ordered_json parseOrderedJson(std::string_view text, const std::string &fileName, int maxDepth = 64);

} // namespace secateur
