#pragma once

#include "backend/text/jinja_ast.h"

#include <string_view>

namespace secateur::jinja {

/// Throws Failure with a line when \a source cannot be parsed or is nested too deeply.
Block parseTemplate(std::string_view source);

} // namespace secateur::jinja
