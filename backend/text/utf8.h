#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace secateur {

/// One step through UTF-8 text.
struct Utf8Step {
    enum class Kind { Valid, Invalid, Incomplete };
    Kind kind = Kind::Valid;
    std::size_t length = 0; ///< bytes; for Invalid the longest prefix of a code point that stands here
    char32_t codePoint = 0xFFFD;
};

/// \a position must be inside \a text. Incomplete: the text ends inside a code point that is right so far.
inline Utf8Step utf8Step(std::string_view text, std::size_t position)
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(position);
    if (lead < 0x80)
        return {Utf8Step::Kind::Valid, 1, lead};
    std::size_t length = 0;
    // The second byte is narrower for some lead bytes: no overlong forms, no surrogates, nothing above U+10FFFF.
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    char32_t value = 0;
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
        value = lead & 0x1Fu;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        value = lead & 0x0Fu;
        low = lead == 0xE0 ? 0xA0 : 0x80;
        high = lead == 0xED ? 0x9F : 0xBF;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        value = lead & 0x07u;
        low = lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xF4 ? 0x8F : 0xBF;
    } else {
        return {Utf8Step::Kind::Invalid, 1, 0xFFFD};
    }
    for (std::size_t i = 1; i < length; ++i) {
        if (position + i == text.size())
            return {Utf8Step::Kind::Incomplete, i, 0xFFFD};
        const unsigned char next = byte(position + i);
        if (next < low || next > high)
            return {Utf8Step::Kind::Invalid, i, 0xFFFD};
        value = (value << 6) | (next & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    return {Utf8Step::Kind::Valid, length, value};
}

inline void appendUtf8(std::string &text, char32_t codePoint)
{
    if (codePoint < 0x80) {
        text += static_cast<char>(codePoint);
    } else if (codePoint < 0x800) {
        text += static_cast<char>(0xC0 | (codePoint >> 6));
        text += static_cast<char>(0x80 | (codePoint & 0x3F));
    } else if (codePoint < 0x10000) {
        text += static_cast<char>(0xE0 | (codePoint >> 12));
        text += static_cast<char>(0x80 | ((codePoint >> 6) & 0x3F));
        text += static_cast<char>(0x80 | (codePoint & 0x3F));
    } else {
        text += static_cast<char>(0xF0 | (codePoint >> 18));
        text += static_cast<char>(0x80 | ((codePoint >> 12) & 0x3F));
        text += static_cast<char>(0x80 | ((codePoint >> 6) & 0x3F));
        text += static_cast<char>(0x80 | (codePoint & 0x3F));
    }
}

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD"; ///< U+FFFD

inline bool isAscii(std::string_view text)
{
    for (const char c : text) {
        if (static_cast<unsigned char>(c) >= 0x80)
            return false;
    }
    return true;
}

inline bool isValidUtf8(std::string_view text)
{
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Step step = utf8Step(text, i);
        if (step.kind != Utf8Step::Kind::Valid)
            return false;
        i += step.length;
    }
    return true;
}

/// Replaces every longest broken sequence by U+FFFD, as the Unicode standard recommends.
inline std::string repairedUtf8(std::string_view text)
{
    std::string repaired;
    repaired.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Step step = utf8Step(text, i);
        if (step.kind == Utf8Step::Kind::Valid)
            repaired.append(text.substr(i, step.length));
        else
            repaired.append(kReplacementCharacter);
        i += step.length;
    }
    return repaired;
}

/// Bytes from the start that no later byte can change: everything but an unfinished code point at the end.
inline std::size_t settledUtf8Length(std::string_view text)
{
    std::size_t i = 0;
    while (i < text.size()) {
        const Utf8Step step = utf8Step(text, i);
        if (step.kind == Utf8Step::Kind::Incomplete)
            break;
        i += step.length;
    }
    return i;
}

} // namespace secateur
