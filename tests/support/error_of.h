#pragma once

#include "backend/core/error.h"

#include <optional>
#include <string>
#include <utility>

namespace secateur {

/// What \a action throws; nothing when it succeeds.
template <typename Action> std::optional<ErrorInfo> errorOf(Action &&action)
{
    try {
        std::forward<Action>(action)();
    } catch (const Error &error) {
        return error.info();
    }
    return std::nullopt;
}

inline bool mentions(const ErrorInfo &error, const std::string &text)
{
    return error.message.find(text) != std::string::npos;
}

} // namespace secateur
