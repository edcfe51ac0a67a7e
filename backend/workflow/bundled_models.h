#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace secateur::workflow {

/// A model that comes with the program and is opened by name.
struct BundledModel {
    const char *argument; ///< "bundled:mini-think"
    const char *name; ///< as shown
    const char *sibling; ///< argument of the other one of a pair, nullptr: none
};
std::span<const BundledModel> bundledModels();

inline bool isBundled(std::string_view argument)
{
    return argument.starts_with("bundled:");
}

/// Throws Error(NotFound) when there is no such model, or it is not on this machine.
std::filesystem::path bundledModelPath(const std::string &argument);

/// The bundled model that lies at \a path; nullptr: none.
const BundledModel *bundledModelAt(const std::filesystem::path &path);

/// The bundled model with this digest (ModelInfo::digest); nullptr: none on this machine. Reads headers only.
const BundledModel *bundledModelOf(const std::string &digest);

/// The finished session of one of the mini pair, "mini-think" or "mini-instruct". Throws Error(NotFound).
std::filesystem::path exampleSessionPath(const std::string &model);

} // namespace secateur::workflow
