#include "backend/tasks/word_rules.h"

#include "backend/core/error.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <vector>

namespace secateur {

namespace {

std::string lowerWord(std::string_view word)
{
    std::string lower(word);
    for (char &c : lower)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    return lower;
}

std::vector<std::string> lowerWords(std::string_view text, std::string_view edges)
{
    constexpr std::string_view kBlanks = " \t\r\n";
    std::vector<std::string> words;
    for (auto at = text.find_first_not_of(kBlanks); at != std::string_view::npos;) {
        const auto end = std::min(text.find_first_of(kBlanks, at), text.size());
        auto word = text.substr(at, end - at);
        const auto first = word.find_first_not_of(edges);
        if (first != std::string_view::npos)
            words.push_back(lowerWord(word.substr(first, word.find_last_not_of(edges) - first + 1)));
        at = text.find_first_not_of(kBlanks, end);
    }
    return words;
}

/// One rule, already cut into words: its name and what follows.
class WordRule {
public:
    WordRule(std::string_view text) : m_text(text), m_parts(lowerWords(text, "")) { }

    bool holds(std::span<const std::string> words, std::string_view text) const
    {
        const std::string &name = m_parts.at(0);
        const auto count = [&](const std::string &word) { return std::count(words.begin(), words.end(), word); };
        if (name == "words")
            return static_cast<std::int64_t>(words.size()) == number(1, 2);
        if (name == "times")
            return count(word(1, 3)) == number(2, 3);
        if (name == "first")
            return words.front() == word(1, 2);
        if (name == "last")
            return words.back() == word(1, 2);
        if (name == "without")
            return count(word(1, 2)) == 0;
        if (name == "order")
            return std::equal(words.begin(), words.end(), m_parts.begin() + 1, m_parts.end());
        if (name == "turn") {
            const auto period = m_parts.size() - 1;
            for (std::size_t i = 0; i < words.size(); ++i)
                if (period == 0 || words[i] != m_parts[1 + i % period])
                    return false;
            return true;
        }
        if (name == "capital" && m_parts.size() == 1)
            return std::none_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; });
        fail();
    }

private:
    [[noreturn]] void fail() const
    {
        throw Error(ErrorKind::BadFormat, "The rule \"" + m_text + "\" about words is not known or not complete.");
    }

    const std::string &word(std::size_t index, std::size_t parts) const
    {
        if (m_parts.size() != parts)
            fail();
        return m_parts[index];
    }

    std::int64_t number(std::size_t index, std::size_t parts) const
    {
        const std::string &digits = word(index, parts);
        std::int64_t value = 0;
        const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size())
            fail();
        return value;
    }

    std::string m_text;
    std::vector<std::string> m_parts;
};

} // namespace

bool checkWordRules(std::string_view rules, std::string_view text)
{
    const auto words = lowerWords(text, ".,;:!?");
    if (words.empty())
        return false;
    while (!rules.empty()) {
        const auto end = std::min(rules.find(';'), rules.size());
        const auto one = rules.substr(0, end);
        rules.remove_prefix(std::min(end + 1, rules.size()));
        if (one.find_first_not_of(' ') != std::string_view::npos && !WordRule(one).holds(words, text))
            return false;
    }
    return true;
}

} // namespace secateur
