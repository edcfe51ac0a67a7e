#include "backend/text/jinja_text.h"

#include "backend/text/utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace secateur::jinja {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

utf8proc_category_t categoryOf(char32_t codePoint)
{
    return utf8proc_category(static_cast<utf8proc_int32_t>(codePoint));
}

template <typename Visit> void eachCodePoint(std::string_view text, Visit &&visit)
{
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Step step = utf8Step(text, i);
        visit(step.codePoint, text.substr(i, step.length));
        i += step.length;
    }
}

void appendUpper(std::string &out, char32_t c)
{
    if (c == 0xDF) // sharp s, the one common letter whose capital is two letters
        out += "SS";
    else
        appendUtf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
}

void appendLower(std::string &out, char32_t c)
{
    if (c == 0x130)
        out += "i\xCC\x87";
    else
        appendUtf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

void appendTitle(std::string &out, char32_t c)
{
    if (c == 0xDF)
        out += "Ss";
    else
        appendUtf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
}

bool isCased(char32_t c)
{
    return isUpperLetter(c) || isLowerLetter(c) || categoryOf(c) == UTF8PROC_CATEGORY_LT;
}

/// Takes code points off the ends of \a text while \a takes says so.
template <typename Takes> std::string_view strippedWhile(std::string_view text, StripSide side, Takes &&takes)
{
    while (side != StripSide::Right && !text.empty()) {
        const Utf8Step step = utf8Step(text, 0);
        if (!takes(step.codePoint))
            break;
        text.remove_prefix(step.length);
    }
    while (side != StripSide::Left && !text.empty()) {
        std::size_t begin = text.size() - 1;
        while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80)
            --begin;
        if (!takes(utf8Step(text, begin).codePoint))
            break;
        text.remove_suffix(text.size() - begin);
    }
    return text;
}

bool isLineBreak(char32_t c)
{
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

void appendHex(std::string &out, char32_t value, int digits)
{
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
        out += kHexDigits[(value >> shift) & 15];
}

bool isPrintable(char32_t c)
{
    if (c == ' ')
        return true;
    switch (categoryOf(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    default:
        return true;
    }
}

} // namespace

std::size_t countCodePoints(std::string_view text)
{
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::vector<std::string_view> codePoints(std::string_view text)
{
    std::vector<std::string_view> points;
    eachCodePoint(text, [&](char32_t, std::string_view bytes) { points.push_back(bytes); });
    return points;
}

std::string codePointAt(std::string_view text, std::size_t index)
{
    std::size_t at = 0;
    for (; index > 0 && at < text.size(); --index)
        at += utf8Step(text, at).length;
    return at < text.size() ? std::string(text.substr(at, utf8Step(text, at).length)) : std::string();
}

bool isPythonSpace(char32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680
        || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool isLetter(char32_t c)
{
    const auto category = categoryOf(c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool isDecimalDigit(char32_t c)
{
    return categoryOf(c) == UTF8PROC_CATEGORY_ND;
}

bool isNumeric(char32_t c)
{
    const auto category = categoryOf(c);
    return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

bool isUpperLetter(char32_t c)
{
    return categoryOf(c) == UTF8PROC_CATEGORY_LU;
}

bool isLowerLetter(char32_t c)
{
    return categoryOf(c) == UTF8PROC_CATEGORY_LL;
}

std::string upperText(std::string_view text)
{
    std::string result;
    eachCodePoint(text, [&](char32_t c, std::string_view) { appendUpper(result, c); });
    return result;
}

std::string lowerText(std::string_view text)
{
    std::string result;
    eachCodePoint(text, [&](char32_t c, std::string_view) { appendLower(result, c); });
    return result;
}

std::string capitalizedText(std::string_view text)
{
    std::string result;
    eachCodePoint(text, [&](char32_t c, std::string_view) {
        if (result.empty())
            appendTitle(result, c);
        else
            appendLower(result, c);
    });
    return result;
}

std::string titleText(std::string_view text)
{
    std::string result;
    bool inside = false;
    eachCodePoint(text, [&](char32_t c, std::string_view) {
        if (inside)
            appendLower(result, c);
        else
            appendTitle(result, c);
        inside = isCased(c);
    });
    return result;
}

std::string_view strippedSpace(std::string_view text, StripSide side)
{
    return strippedWhile(text, side, isPythonSpace);
}

std::string_view strippedCharacters(std::string_view text, std::string_view characters, StripSide side)
{
    std::u32string set;
    eachCodePoint(characters, [&](char32_t c, std::string_view) { set += c; });
    return strippedWhile(text, side, [&](char32_t c) { return set.find(c) != std::u32string::npos; });
}

std::vector<std::string_view> splitAtSpace(std::string_view text, long limit)
{
    std::vector<std::string_view> parts;
    text = strippedSpace(text, StripSide::Left);
    while (!text.empty()) {
        if (limit >= 0 && parts.size() == static_cast<std::size_t>(limit)) {
            parts.push_back(text); // with the blanks at its end, as Python does
            break;
        }
        std::size_t end = 0;
        while (end < text.size() && !isPythonSpace(utf8Step(text, end).codePoint))
            end += utf8Step(text, end).length;
        parts.push_back(text.substr(0, end));
        text = strippedSpace(text.substr(end), StripSide::Left);
    }
    return parts;
}

std::vector<std::string_view> splitAt(std::string_view text, std::string_view separator, long limit)
{
    std::vector<std::string_view> parts;
    while (limit < 0 || parts.size() < static_cast<std::size_t>(limit)) {
        const std::size_t at = text.find(separator);
        if (at == std::string_view::npos)
            break;
        parts.push_back(text.substr(0, at));
        text.remove_prefix(at + separator.size());
    }
    parts.push_back(text);
    return parts;
}

std::vector<std::string_view> splitAtFromRight(std::string_view text, std::string_view separator, long limit)
{
    std::vector<std::string_view> parts;
    while (limit < 0 || parts.size() < static_cast<std::size_t>(limit)) {
        const std::size_t at = text.rfind(separator);
        if (at == std::string_view::npos)
            break;
        parts.push_back(text.substr(at + separator.size()));
        text = text.substr(0, at);
    }
    parts.push_back(text);
    std::ranges::reverse(parts);
    return parts;
}

std::vector<std::string_view> splitLines(std::string_view text, bool keepEnds)
{
    std::vector<std::string_view> lines;
    std::size_t from = 0;
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Step step = utf8Step(text, i);
        const std::size_t begin = i;
        i += step.length;
        if (!isLineBreak(step.codePoint))
            continue;
        if (step.codePoint == '\r' && i < text.size() && text[i] == '\n')
            ++i;
        lines.push_back(text.substr(from, (keepEnds ? i : begin) - from));
        from = i;
    }
    if (from < text.size())
        lines.push_back(text.substr(from));
    return lines;
}

std::string replacedText(std::string_view text, std::string_view from, std::string_view to, long limit)
{
    std::string result;
    if (from.empty()) {
        for (const std::string_view point : codePoints(text)) {
            if (limit != 0) {
                result += to;
                limit = limit > 0 ? limit - 1 : limit;
            }
            result += point;
        }
        if (limit != 0)
            result += to;
        return result;
    }
    while (limit != 0) {
        const std::size_t at = text.find(from);
        if (at == std::string_view::npos)
            break;
        result += text.substr(0, at);
        result += to;
        text.remove_prefix(at + from.size());
        limit = limit > 0 ? limit - 1 : limit;
    }
    result += text;
    return result;
}

std::string quotedText(std::string_view text)
{
    const bool doubled = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
    const char quote = doubled ? '"' : '\'';
    std::string result(1, quote);
    eachCodePoint(text, [&](char32_t c, std::string_view bytes) {
        if (c == static_cast<char32_t>(quote) || c == '\\') {
            result += '\\';
            result += static_cast<char>(c);
        } else if (c == '\n') {
            result += "\\n";
        } else if (c == '\r') {
            result += "\\r";
        } else if (c == '\t') {
            result += "\\t";
        } else if (isPrintable(c)) {
            result += bytes;
        } else if (c < 0x100) {
            result += "\\x";
            appendHex(result, c, 2);
        } else if (c < 0x10000) {
            result += "\\u";
            appendHex(result, c, 4);
        } else {
            result += "\\U";
            appendHex(result, c, 8);
        }
    });
    result += quote;
    return result;
}

std::string floatText(double value)
{
    if (std::isnan(value))
        return "nan";
    if (std::isinf(value))
        return value < 0 ? "-inf" : "inf";
    std::array<char, 64> buffer{};
    const double magnitude = std::fabs(value);
    const bool fixed = magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
    const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                      fixed ? std::chars_format::fixed : std::chars_format::scientific);
    std::string text(buffer.data(), result.ptr);
    if (fixed && text.find('.') == std::string::npos)
        text += ".0";
    return text;
}

std::string jsonText(std::string_view text, bool ensureAscii)
{
    std::string result = "\"";
    eachCodePoint(text, [&](char32_t c, std::string_view bytes) {
        constexpr std::string_view escaped = "\"\\\n\r\t\b\f";
        constexpr std::string_view letters = "\"\\nrtbf";
        if (const std::size_t at = c < 0x80 ? escaped.find(static_cast<char>(c)) : std::string_view::npos;
            at != std::string_view::npos) {
            result += '\\';
            result += letters[at];
        } else if (c < 0x20 || (ensureAscii && c > 0x7F && c < 0x10000)) {
            result += "\\u";
            appendHex(result, c, 4);
        } else if (ensureAscii && c >= 0x10000) {
            result += "\\u";
            appendHex(result, 0xD800 + ((c - 0x10000) >> 10), 4);
            result += "\\u";
            appendHex(result, 0xDC00 + ((c - 0x10000) & 0x3FF), 4);
        } else {
            result += bytes;
        }
    });
    result += '"';
    return result;
}

} // namespace secateur::jinja
