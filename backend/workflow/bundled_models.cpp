#include "backend/workflow/bundled_models.h"

#include "backend/core/error.h"
#include "backend/core/resource_path.h"
#include "backend/io/weight_files.h"

#include <algorithm>
#include <array>
#include <system_error>
#include <vector>

namespace secateur::workflow {

namespace {

constexpr const char *kSmolModel = "bundled:smollm2";
constexpr std::array<BundledModel, 3> kBundledModels{{{"bundled:mini-instruct", "mini-instruct", "bundled:mini-think"},
                                                      {"bundled:mini-think", "mini-think", "bundled:mini-instruct"},
                                                      {kSmolModel, "SmolLM2-135M-Instruct", nullptr}}};

/// Fetched once by packaging/start; too large for the sources.
std::filesystem::path smolModelPath()
{
    const auto folder = cacheDirectory() / "smollm2-0.1.2";
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
        if (it->path().extension() == ".gguf")
            files.push_back(it->path());
    if (files.empty())
        throw Error(ErrorKind::NotFound,
                    "The bundled model 'smollm2' is not there: no .gguf file in '" + folder.string() + "'.",
                    "Run packaging/start once, which fetches it.");
    return *std::min_element(files.begin(), files.end());
}

std::filesystem::path existingResource(const std::filesystem::path &path)
{
    std::error_code error;
    if (!std::filesystem::exists(path, error))
        throw Error(ErrorKind::NotFound, "'" + path.string() + "' is not there.",
                    "The program's resources are not complete; install it again.");
    return path;
}

/// The first whose place \a fits; those that are not on this machine, or cannot be read, do not.
template <typename Fits> const BundledModel *findBundledModel(const Fits &fits)
{
    for (const BundledModel &model : kBundledModels) {
        try {
            if (fits(bundledModelPath(model.argument)))
                return &model;
        } catch (const Error &) { }
    }
    return nullptr;
}

} // namespace

std::span<const BundledModel> bundledModels()
{
    return kBundledModels;
}

std::filesystem::path bundledModelPath(const std::string &argument)
{
    std::string known;
    for (const BundledModel &model : kBundledModels) {
        if (argument == model.argument)
            return argument == kSmolModel ? smolModelPath()
                                          : existingResource(resourceDirectory() / "models" / model.name);
        known += (known.empty() ? "" : ", ") + std::string(model.argument);
    }
    throw Error(ErrorKind::NotFound, "There is no bundled model '" + argument + "'.", "Known: " + known + ".");
}

const BundledModel *bundledModelAt(const std::filesystem::path &path)
{
    std::error_code error;
    return findBundledModel(
        [&](const std::filesystem::path &place) { return std::filesystem::equivalent(place, path, error) && !error; });
}

const BundledModel *bundledModelOf(const std::string &digest)
{
    return findBundledModel([&](const std::filesystem::path &place) { return inspectModel(place).digest == digest; });
}

std::filesystem::path exampleSessionPath(const std::string &model)
{
    return existingResource(resourceDirectory() / "examples" / model / (model + ".json"));
}

} // namespace secateur::workflow
