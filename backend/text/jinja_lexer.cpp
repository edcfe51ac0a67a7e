#include "backend/text/jinja_lexer.h"

#include "backend/text/jinja_text.h"
#include "backend/text/jinja_value.h"
#include "backend/text/utf8.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace secateur::jinja {
namespace {

/// "\r\n" and "\r" become "\n"; one newline at the end goes.
std::string normalizedSource(std::string_view source)
{
    std::string text;
    text.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] != '\r') {
            text += source[i];
            continue;
        }
        text += '\n';
        if (i + 1 < source.size() && source[i + 1] == '\n')
            ++i;
    }
    if (text.ends_with('\n'))
        text.pop_back();
    return text;
}

/// Bytes of the letter or underscore at \a at, 0 when something else stands there.
std::size_t nameCharacter(std::string_view text, std::size_t at)
{
    const Utf8Step step = utf8Step(text, at);
    return step.codePoint == '_' || isLetter(step.codePoint) ? step.length : 0;
}

bool isDigit(char c)
{
    return c >= '0' && c <= '9';
}

class Lexer {
public:
    explicit Lexer(std::string_view source) : m_source(normalizedSource(source)), m_text(m_source) { }

    std::vector<Token> run()
    {
        while (m_at < m_text.size())
            outside();
        add(TokenKind::End, {});
        return std::move(m_tokens);
    }

private:
    [[noreturn]] void failHere(std::string message) const { throw Failure{std::move(message), m_line}; }

    void add(TokenKind kind, std::string text) { m_tokens.push_back({kind, std::move(text), m_line}); }
    void advance(std::size_t end)
    {
        end = std::min(end, m_text.size());
        m_line += static_cast<int>(std::count(m_text.begin() + static_cast<std::ptrdiff_t>(m_at),
                                              m_text.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
        m_at = end;
    }
    bool startsWith(std::string_view what, std::size_t at) const
    {
        return m_text.substr(std::min(at, m_text.size())).starts_with(what);
    }
    std::size_t spaceEnd(std::size_t at) const
    {
        while (at < m_text.size()) {
            const Utf8Step step = utf8Step(m_text, at);
            if (!isPythonSpace(step.codePoint))
                break;
            at += step.length;
        }
        return at;
    }

    /// Where the tag or comment whose end mark starts at \a at is over: "-" eats all blanks after it, otherwise one
    /// newline goes, unless there is a "+".
    std::optional<std::size_t> tagEnd(std::string_view mark, std::size_t at) const
    {
        if (startsWith("-", at) && startsWith(mark, at + 1))
            return spaceEnd(at + 1 + mark.size());
        if (startsWith("+", at) && startsWith(mark, at + 1))
            return at + 1 + mark.size();
        if (!startsWith(mark, at))
            return std::nullopt;
        const std::size_t end = at + mark.size();
        return startsWith("\n", end) ? end + 1 : end;
    }

    /// Text up to the next tag, and the tag.
    void outside()
    {
        std::size_t open = m_at;
        do {
            open = m_text.find('{', open);
            if (open == std::string_view::npos || startsWith("{{", open) || startsWith("{%", open)
                || startsWith("{#", open))
                break;
            ++open;
        } while (true);
        if (open == std::string_view::npos) {
            add(TokenKind::Text, std::string(m_text.substr(m_at)));
            advance(m_text.size());
            return;
        }
        const char kind = m_text[open + 1];
        const char sign = open + 2 < m_text.size() ? m_text[open + 2] : ' ';
        addTextBefore(open, sign, kind != '{');
        const bool isSigned = sign == '-' || sign == '+';
        const std::size_t inner = open + (isSigned ? 3 : 2);
        if (kind == '#') {
            comment(inner);
        } else if (kind == '%' && raw(inner)) {
            return;
        } else {
            advance(inner);
            add(kind == '{' ? TokenKind::VariableBegin : TokenKind::BlockBegin, {});
            inside(kind == '{');
        }
    }

    void addTextBefore(std::size_t open, char sign, bool stripsLine)
    {
        const std::string_view text = textBefore(open, sign, stripsLine);
        if (!text.empty())
            add(TokenKind::Text, std::string(text));
        advance(open);
    }
    std::string_view textBefore(std::size_t open, char sign, bool stripsLine) const
    {
        const std::string_view text = m_text.substr(m_at, open - m_at);
        if (sign == '-')
            return strippedSpace(text, StripSide::Right);
        if (sign == '+' || !stripsLine)
            return text;
        const std::size_t newline = text.rfind('\n');
        const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
        const bool atLineStart = line > 0 || m_at == 0 || m_text[m_at - 1] == '\n';
        if (atLineStart && strippedSpace(text.substr(line), StripSide::Left).empty())
            return text.substr(0, line);
        return text;
    }

    void comment(std::size_t inner)
    {
        for (std::size_t at = inner; at < m_text.size(); ++at) {
            if (const auto end = tagEnd("#}", at)) {
                advance(*end);
                return;
            }
        }
        failHere("Missing end of comment tag");
    }

    /// {% raw %} … {% endraw %}; false when the tag is another one.
    bool raw(std::size_t inner)
    {
        std::size_t at = spaceEnd(inner);
        if (!startsWith("raw", at))
            return false;
        at = spaceEnd(at + 3);
        if (startsWith("-%}", at))
            at = spaceEnd(at + 3);
        else if (startsWith("%}", at))
            at += 2;
        else
            return false;
        advance(at);
        for (std::size_t open = m_text.find("{%", m_at); open != std::string_view::npos;
             open = m_text.find("{%", open + 2)) {
            const char sign = open + 2 < m_text.size() ? m_text[open + 2] : ' ';
            std::size_t name = spaceEnd(open + (sign == '-' || sign == '+' ? 3 : 2));
            if (!startsWith("endraw", name))
                continue;
            name = spaceEnd(name + 6);
            if (const auto end = tagEnd("%}", name)) {
                addTextBefore(open, sign, true);
                advance(*end);
                return true;
            }
        }
        failHere("Missing end of raw directive");
    }

    /// Expression tokens up to the end of the tag.
    void inside(bool variable)
    {
        std::string brackets;
        while (m_at < m_text.size()) {
            if (brackets.empty()) {
                if (variable && startsWith("-}}", m_at)) {
                    add(TokenKind::VariableEnd, {});
                    advance(spaceEnd(m_at + 3));
                    return;
                }
                if (variable && startsWith("}}", m_at)) {
                    add(TokenKind::VariableEnd, {});
                    advance(m_at + 2);
                    return;
                }
                if (const auto end = variable ? std::nullopt : tagEnd("%}", m_at)) {
                    add(TokenKind::BlockEnd, {});
                    advance(*end);
                    return;
                }
            }
            const std::size_t blanks = spaceEnd(m_at);
            if (blanks > m_at)
                advance(blanks);
            else
                expressionToken(brackets);
        }
        failHere(variable ? "unexpected end of template, expected 'end of print statement'"
                          : "unexpected end of template, expected 'end of statement block'");
    }

    void expressionToken(std::string &brackets)
    {
        const char c = m_text[m_at];
        if (isDigit(c))
            return number();
        if (nameCharacter(m_text, m_at) > 0) {
            const std::size_t end = nameEnd(m_at);
            add(TokenKind::Name, std::string(m_text.substr(m_at, end - m_at)));
            return advance(end);
        }
        if (c == '\'' || c == '"')
            return string();
        operatorToken(brackets);
    }

    std::size_t nameEnd(std::size_t at) const
    {
        while (at < m_text.size()) {
            const std::size_t size = isDigit(m_text[at]) ? 1 : nameCharacter(m_text, at);
            if (size == 0)
                break;
            at += size;
        }
        return at;
    }

    /// End of digits with single underscores between them.
    std::size_t digitsEnd(std::size_t at) const
    {
        while (at < m_text.size()
               && (isDigit(m_text[at]) || (m_text[at] == '_' && at + 1 < m_text.size() && isDigit(m_text[at + 1]))))
            ++at;
        return at;
    }

    void number()
    {
        const std::size_t begin = m_at;
        if (m_text[begin] == '0' && begin + 1 < m_text.size()) {
            const std::string_view bases = "bBoOxX";
            const std::size_t base = bases.find(m_text[begin + 1]);
            if (base != std::string_view::npos)
                return radixNumber(base < 2 ? 2 : base < 4 ? 8 : 16);
        }
        std::size_t end = digitsEnd(begin);
        bool isFloat = false;
        const bool afterDot = begin > 0 && m_text[begin - 1] == '.'; // x.0.1 are two positions
        if (!afterDot && end + 1 < m_text.size() && m_text[end] == '.' && isDigit(m_text[end + 1])) {
            isFloat = true;
            end = digitsEnd(end + 1);
        }
        if (!afterDot && end < m_text.size() && (m_text[end] == 'e' || m_text[end] == 'E')) {
            std::size_t exponent = end + 1;
            if (exponent < m_text.size() && (m_text[exponent] == '+' || m_text[exponent] == '-'))
                ++exponent;
            if (exponent < m_text.size() && isDigit(m_text[exponent])) {
                isFloat = true;
                end = digitsEnd(exponent);
            }
        }
        addNumber(isFloat ? TokenKind::Float : TokenKind::Integer, m_text.substr(begin, end - begin), end);
    }
    void addNumber(TokenKind kind, std::string_view digits, std::size_t end)
    {
        std::string text(digits);
        std::erase(text, '_');
        add(kind, std::move(text));
        advance(end);
    }
    void radixNumber(int base)
    {
        const std::size_t at = nameEnd(m_at + 2);
        std::string digits(m_text.substr(m_at + 2, at - m_at - 2));
        std::erase(digits, '_');
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
        if (error != std::errc() || end != digits.data() + digits.size())
            failHere("'" + std::string(m_text.substr(m_at, at - m_at)) + "' is not a number");
        add(TokenKind::Integer, std::to_string(value));
        advance(at);
    }

    void string()
    {
        const char quote = m_text[m_at];
        std::size_t end = m_at + 1;
        while (end < m_text.size() && m_text[end] != quote)
            end += m_text[end] == '\\' ? 2 : 1;
        if (end >= m_text.size())
            failHere("unexpected end of template inside a string");
        add(TokenKind::String, unescaped(m_text.substr(m_at + 1, end - m_at - 1)));
        advance(end + 1);
    }

    /// Escapes as in Python's string literals.
    std::string unescaped(std::string_view text) const
    {
        constexpr std::string_view names = "\\'\"abfnrtv";
        constexpr std::string_view values = "\\'\"\a\b\f\n\r\t\v";
        std::string result;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] != '\\' || i + 1 == text.size()) {
                result += text[i];
                continue;
            }
            const char c = text[++i];
            if (const std::size_t at = names.find(c); at != std::string_view::npos)
                result += values[at];
            else if (c == '\n')
                continue;
            else if (c == 'x' || c == 'u' || c == 'U')
                i += hexEscape(text.substr(i + 1), c == 'x' ? 2 : c == 'u' ? 4 : 8, result);
            else if (c >= '0' && c <= '7')
                i += octalEscape(text.substr(i), result) - 1;
            else if (c == 'N')
                failHere("the escape \\N{…} in a string is not supported");
            else
                result.append("\\").append(1, c);
        }
        return result;
    }
    std::size_t hexEscape(std::string_view text, std::size_t digits, std::string &result) const
    {
        std::uint32_t value = 0;
        const std::string_view part = text.substr(0, digits);
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value, 16);
        if (part.size() < digits || error != std::errc() || end != part.data() + part.size() || value > 0x10FFFF)
            failHere("a string holds a broken \\x, \\u or \\U escape");
        appendUtf8(result, value >= 0xD800 && value < 0xE000 ? 0xFFFD : value);
        return digits;
    }
    static std::size_t octalEscape(std::string_view text, std::string &result)
    {
        char32_t value = 0;
        std::size_t count = 0;
        for (; count < 3 && count < text.size() && text[count] >= '0' && text[count] <= '7'; ++count)
            value = value * 8 + static_cast<char32_t>(text[count] - '0');
        appendUtf8(result, value);
        return count;
    }

    void operatorToken(std::string &brackets)
    {
        constexpr std::array<std::string_view, 26> operators{"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                             "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                             ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
        const auto *found
            = std::ranges::find_if(operators, [&](std::string_view name) { return startsWith(name, m_at); });
        if (found == operators.end())
            failHere("unexpected character '" + std::string(m_text.substr(m_at, utf8Step(m_text, m_at).length)) + "'");
        const char c = found->front();
        if (c == '(' || c == '[' || c == '{') {
            brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
        } else if (c == ')' || c == ']' || c == '}') {
            if (brackets.empty())
                failHere(std::string("unexpected '") + c + "'");
            if (brackets.back() != c)
                failHere(std::string("unexpected '") + c + "', expected '" + brackets.back() + "'");
            brackets.pop_back();
        }
        add(TokenKind::Operator, std::string(*found));
        advance(m_at + found->size());
    }

    std::string m_source;
    std::string_view m_text;
    std::size_t m_at = 0;
    int m_line = 1;
    std::vector<Token> m_tokens;
};

} // namespace

std::vector<Token> tokenize(std::string_view source)
{
    return Lexer(source).run();
}

} // namespace secateur::jinja
