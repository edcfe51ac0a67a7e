#pragma once

#include "backend/core/error.h"

#include <optional>

namespace secateur {

/// The Error that \a function throws; nothing when it returns. Anything else passes through and fails the test.
template <typename Function> std::optional<ErrorInfo> errorOf(Function function)
{
    try {
        function();
    } catch (const Error &error) {
        return error.info();
    }
    return std::nullopt;
}

} // namespace secateur
