#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace secateur {

/// GPT-2's alphabet: every byte has a visible character (printable Latin-1 stands for itself, the others take U+0100
/// and up in byte order).
char32_t characterOfByte(unsigned char byte);
/// nullopt when the character stands for no byte.
std::optional<unsigned char> byteOfCharacter(char32_t character);

/// Each byte of \a text as its character, in UTF-8, appended to \a out.
void appendByteLevel(std::string_view text, std::string &out);
/// The bytes behind a token. A token with any other character in it (an added token) is its own UTF-8.
void appendByteLevelDecoded(std::string_view token, std::string &out);

} // namespace secateur
