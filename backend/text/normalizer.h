#pragma once

#include "backend/text/text_regex.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace secateur {

/// A text or an expression to look for, as `{"String": …}` or `{"Regex": …}` in a tokenizer file.
struct TextPattern {
    std::string literal; ///< used when there is no expression
    std::optional<TextRegex> regex;

    /// All matches from left to right; an empty literal matches nothing.
    std::vector<TextSpan> matches(std::string_view text) const;
};

/// Every match of \a pattern in \a text replaced by \a content.
std::string replaceAll(std::string_view text, const TextPattern &pattern, std::string_view content);

enum class UnicodeForm { Nfc, Nfd, Nfkc, Nfkd };

struct UnicodeFormStep {
    UnicodeForm form = UnicodeForm::Nfc;
};
struct PrependStep {
    std::string text;
}; ///< leaves an empty text empty
struct ReplaceStep {
    TextPattern pattern;
    std::string content;
};
struct LowercaseStep { };
struct StripTextStep {
    bool left = true;
    bool right = true;
};
struct ByteLevelTextStep { };
using NormalizerStep
    = std::variant<UnicodeFormStep, PrependStep, ReplaceStep, LowercaseStep, StripTextStep, ByteLevelTextStep>;

/// What a tokenizer does to text before it is cut into pieces. Immutable.
class Normalizer {
public:
    Normalizer() = default;
    explicit Normalizer(std::vector<NormalizerStep> steps) : m_steps(std::move(steps)) { }
    bool isEmpty() const { return m_steps.empty(); }
    std::string apply(std::string_view text) const;

private:
    std::vector<NormalizerStep> m_steps;
};

/// Unicode's White_Space property.
bool isUnicodeSpace(char32_t codePoint);

} // namespace secateur
