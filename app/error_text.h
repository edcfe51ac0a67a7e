#pragma once

#include "backend/core/error.h"

#include <QString>

#include <string>

namespace secateur {

/// Translated title of an error: "The file cannot be read".
QString errorTitle(ErrorKind kind);

/// Translated text of a progress stage such as "analyze.sweep"; an unknown id is shown as it is.
QString stageText(const std::string &stage);

} // namespace secateur
