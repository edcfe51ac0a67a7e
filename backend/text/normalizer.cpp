#include "backend/text/normalizer.h"

#include "backend/core/error.h"
#include "backend/text/byte_level.h"
#include "backend/text/utf8.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

namespace secateur {
namespace {

std::string normalizedForm(std::string_view text, UnicodeForm form)
{
    if (isAscii(text))
        return std::string(text);
    int options = UTF8PROC_STABLE;
    if (form == UnicodeForm::Nfc || form == UnicodeForm::Nfkc)
        options |= UTF8PROC_COMPOSE;
    else
        options |= UTF8PROC_DECOMPOSE;
    if (form == UnicodeForm::Nfkc || form == UnicodeForm::Nfkd)
        options |= UTF8PROC_COMPAT;
    utf8proc_uint8_t *result = nullptr;
    const utf8proc_ssize_t length
        = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t *>(text.data()),
                       static_cast<utf8proc_ssize_t>(text.size()), &result, static_cast<utf8proc_option_t>(options));
    const std::unique_ptr<utf8proc_uint8_t, void (*)(void *)> guard(result, std::free);
    if (length < 0)
        throw Error(ErrorKind::InvalidArgument,
                    std::string("The text cannot be normalised: ") + utf8proc_errmsg(length) + ".");
    return {reinterpret_cast<const char *>(result), static_cast<std::size_t>(length)};
}

std::string lowercased(std::string_view text)
{
    std::string lower;
    lower.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Step step = utf8Step(text, i);
        if (step.codePoint == 0x130) // the one letter whose lower case is two code points
            lower += "i\xCC\x87";
        else
            appendUtf8(lower, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(step.codePoint))));
        i += step.length;
    }
    return lower;
}

std::string strippedText(std::string_view text, bool left, bool right)
{
    std::size_t begin = 0;
    std::size_t end = 0;
    bool seen = false;
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Step step = utf8Step(text, i);
        if (!isUnicodeSpace(step.codePoint)) {
            if (!seen)
                begin = i;
            seen = true;
            end = i + step.length;
        }
        i += step.length;
    }
    if (!seen)
        return left || right ? std::string() : std::string(text);
    begin = left ? begin : 0;
    end = right ? end : text.size();
    return std::string(text.substr(begin, end - begin));
}

struct NormalizerVisitor {
    std::string_view text;

    std::string operator()(const UnicodeFormStep &step) const { return normalizedForm(text, step.form); }
    std::string operator()(const PrependStep &step) const
    {
        return text.empty() ? std::string() : step.text + std::string(text);
    }
    std::string operator()(const ReplaceStep &step) const { return replaceAll(text, step.pattern, step.content); }
    std::string operator()(const LowercaseStep &) const { return lowercased(text); }
    std::string operator()(const StripTextStep &step) const { return strippedText(text, step.left, step.right); }
    std::string operator()(const ByteLevelTextStep &) const
    {
        std::string mapped;
        appendByteLevel(text, mapped);
        return mapped;
    }
};

} // namespace

std::vector<TextSpan> TextPattern::matches(std::string_view text) const
{
    if (regex)
        return regex->matches(text);
    std::vector<TextSpan> found;
    if (literal.empty())
        return found;
    for (std::size_t at = text.find(literal); at != std::string_view::npos;
         at = text.find(literal, at + literal.size()))
        found.push_back({at, at + literal.size()});
    return found;
}

std::string replaceAll(std::string_view text, const TextPattern &pattern, std::string_view content)
{
    std::string result;
    result.reserve(text.size());
    std::size_t from = 0;
    for (const TextSpan &span : pattern.matches(text)) {
        result += text.substr(from, span.begin - from);
        result += content;
        from = span.end;
    }
    result += text.substr(from);
    return result;
}

std::string Normalizer::apply(std::string_view text) const
{
    std::string current(text);
    for (const NormalizerStep &step : m_steps)
        current = std::visit(NormalizerVisitor{current}, step);
    return current;
}

bool isUnicodeSpace(char32_t codePoint)
{
    return (codePoint >= 0x09 && codePoint <= 0x0D) || codePoint == 0x20 || codePoint == 0x85 || codePoint == 0xA0
        || codePoint == 0x1680 || (codePoint >= 0x2000 && codePoint <= 0x200A) || codePoint == 0x2028
        || codePoint == 0x2029 || codePoint == 0x202F || codePoint == 0x205F || codePoint == 0x3000;
}

} // namespace secateur
