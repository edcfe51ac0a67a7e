#pragma once

#include "backend/core/run_config.h"

#include <QString>

namespace secateur {

/// The command line that trains the same: every option that is not the command's own default.
QString recoveryCommand(const QString &model, const QString &data, const RecoveryOptions &options);

} // namespace secateur
