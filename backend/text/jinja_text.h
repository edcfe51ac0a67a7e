#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// Python's text functions on UTF-8.
namespace secateur::jinja {

std::size_t countCodePoints(std::string_view text);
std::vector<std::string_view> codePoints(std::string_view text);
std::string codePointAt(std::string_view text, std::size_t index);

bool isPythonSpace(char32_t codePoint); ///< str.isspace()
bool isLetter(char32_t codePoint); ///< str.isalpha()
bool isDecimalDigit(char32_t codePoint); ///< str.isdecimal()
bool isNumeric(char32_t codePoint); ///< any number
bool isUpperLetter(char32_t codePoint);
bool isLowerLetter(char32_t codePoint);

std::string upperText(std::string_view text);
std::string lowerText(std::string_view text);
std::string capitalizedText(std::string_view text); ///< first letter large, the rest small
std::string titleText(std::string_view text); ///< str.title()

enum class StripSide { Left, Right, Both };
std::string_view strippedSpace(std::string_view text, StripSide side);
/// \a characters: the set of code points to take off
std::string_view strippedCharacters(std::string_view text, std::string_view characters, StripSide side);

std::vector<std::string_view> splitAtSpace(std::string_view text, long limit); ///< str.split(); limit < 0: all
std::vector<std::string_view> splitAt(std::string_view text, std::string_view separator, long limit);
std::vector<std::string_view> splitAtFromRight(std::string_view text, std::string_view separator, long limit);
std::vector<std::string_view> splitLines(std::string_view text, bool keepEnds);
std::string replacedText(std::string_view text, std::string_view from, std::string_view to, long limit);

std::string quotedText(std::string_view text); ///< repr() of a str
std::string floatText(double value); ///< repr() of a float
std::string jsonText(std::string_view text, bool ensureAscii); ///< quoted, as json.dumps does it

} // namespace secateur::jinja
