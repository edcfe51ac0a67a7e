#pragma once

#include "backend/core/error.h"

#include <string>
#include <utility>

namespace secateur {

/// The Error that \a action throws; an empty one of kind Internal when it throws none.
template <typename Action> ErrorInfo thrownBy(Action &&action)
{
    try {
        std::forward<Action>(action)();
    } catch (const Error &error) {
        return error.info();
    }
    return {};
}

inline bool says(const ErrorInfo &error, const std::string &text)
{
    return error.message.find(text) != std::string::npos;
}

} // namespace secateur
