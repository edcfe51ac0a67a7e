#pragma once

#include <string>
#include <string_view>

namespace secateur {

/// Checks a text against rules about its words, as IFEval's checkers do for longer texts. Rules are separated by ";":
///
///     words 4            so many words in all
///     times bell 3       this word so many times
///     first bell         the first word
///     last bell          the last word
///     without bell       not this word
///     order bell rock    exactly these words in this order
///     turn bell rock     these words in turn, over and over, beginning with the first
///     capital            no small letter
///
/// Words are separated by blanks; commas and points at their ends do not count, nor does the case of letters but for
/// "capital". A text without words breaks every rule.
/// Throws Error(BadFormat) naming a rule that is not known or not complete.
bool checkWordRules(std::string_view rules, std::string_view text);

} // namespace secateur
