#pragma once

#include "tests/support/error_of.h"

#include <string>

namespace secateur {

/// true when the sentence that the user reads contains \a text.
inline bool mentions(const ErrorInfo &error, const std::string &text)
{
    return error.message.find(text) != std::string::npos;
}

} // namespace secateur
