#pragma once

#include <cstdlib>
#include <filesystem>

namespace secateur {

/// The folder with reference values and data sets: $SECATEUR_TEST_DATA, empty when unset.
inline std::filesystem::path testData()
{
    const char *folder = std::getenv("SECATEUR_TEST_DATA");
    return folder ? std::filesystem::path(folder) : std::filesystem::path();
}

} // namespace secateur
