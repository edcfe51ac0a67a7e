#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace secateur {

/// Bytes [begin, end) of a text.
struct TextSpan {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool operator==(const TextSpan &) const = default;
};

/// A regular expression of a tokenizer file (Oniguruma syntax and character classes), run by PCRE2 with its
/// just-in-time compiler where there is one. Immutable, thread-safe. Work is limited: an expression that explodes on a
/// text ends with Error(Unsupported).
class TextRegex {
public:
    /// \a origin names file and field for messages. Throws Error(BadFormat, Unsupported).
    TextRegex(std::string_view pattern, std::string origin);

    /// All matches from left to right, none overlapping. \a text must be valid UTF-8.
    std::vector<TextSpan> matches(std::string_view text) const;
    const std::string &pattern() const { return m_pattern; }

private:
    std::string m_pattern;
    std::string m_origin;
    std::shared_ptr<const void> m_code;
};

/// The same expression in PCRE2 syntax.
std::string pcrePattern(std::string_view pattern, const std::string &origin);

} // namespace secateur
