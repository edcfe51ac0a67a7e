#include "backend/text/added_tokens.h"

#include "backend/text/normalizer.h"
#include "backend/text/utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <optional>

namespace secateur {
namespace {

bool isWordCharacter(char32_t codePoint)
{
    switch (utf8proc_category(static_cast<utf8proc_int32_t>(codePoint))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return codePoint == 0x200C || codePoint == 0x200D; // join controls
    }
}

/// The last code point before \a end and where it starts; \a end > 0.
std::pair<char32_t, std::size_t> codePointBefore(std::string_view text, std::size_t end)
{
    std::size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80)
        --begin;
    return {utf8Step(text, begin).codePoint, begin};
}

bool touchesWord(std::string_view text, std::size_t begin, std::size_t end)
{
    return (begin > 0 && isWordCharacter(codePointBefore(text, begin).first))
        || (end < text.size() && isWordCharacter(utf8Step(text, end).codePoint));
}

} // namespace

AddedTokenMatcher::AddedTokenMatcher() : AddedTokenMatcher(std::vector<AddedToken>{})
{ }

AddedTokenMatcher::AddedTokenMatcher(const std::vector<AddedToken> &tokens)
    : m_tokens(tokens), m_nodes(1), m_first(256, -1)
{
    for (std::size_t i = 0; i < m_tokens.size(); ++i) {
        if (!m_tokens[i].content.empty())
            insert(static_cast<std::int32_t>(i));
    }
    for (const auto &[byte, node] : m_nodes.front().next)
        m_first[byte] = node;
}

void AddedTokenMatcher::insert(std::int32_t token)
{
    std::int32_t node = 0;
    for (const char c : m_tokens[static_cast<std::size_t>(token)].content) {
        const auto byte = static_cast<unsigned char>(c);
        std::int32_t next = child(node, byte);
        if (next < 0) {
            next = static_cast<std::int32_t>(m_nodes.size());
            m_nodes[static_cast<std::size_t>(node)].next.emplace_back(byte, next);
            m_nodes.emplace_back();
        }
        node = next;
    }
    m_nodes[static_cast<std::size_t>(node)].token = token;
}

std::int32_t AddedTokenMatcher::child(std::int32_t node, unsigned char byte) const
{
    for (const auto &[label, next] : m_nodes[static_cast<std::size_t>(node)].next) {
        if (label == byte)
            return next;
    }
    return -1;
}

std::vector<AddedTokenSegment> AddedTokenMatcher::split(std::string_view text) const
{
    std::vector<AddedTokenSegment> segments;
    std::size_t from = 0;
    for (std::size_t at = 0; at < text.size();) {
        std::int32_t node = m_first[static_cast<unsigned char>(text[at])];
        std::optional<std::size_t> found;
        std::size_t foundEnd = at;
        for (std::size_t i = at + 1; node >= 0; ++i) {
            const std::int32_t token = m_nodes[static_cast<std::size_t>(node)].token;
            if (token >= 0) {
                found = static_cast<std::size_t>(token);
                foundEnd = i;
            }
            if (i == text.size())
                break;
            node = child(node, static_cast<unsigned char>(text[i]));
        }
        if (!found) {
            ++at;
            continue;
        }
        const AddedToken &token = m_tokens[*found];
        std::size_t begin = at;
        std::size_t end = foundEnd;
        at = foundEnd;
        if (token.singleWord && touchesWord(text, begin, end))
            continue;
        while (token.leftStrip && begin > from) {
            const auto [codePoint, start] = codePointBefore(text, begin);
            if (!isUnicodeSpace(codePoint))
                break;
            begin = std::max(start, from);
        }
        while (token.rightStrip && end < text.size()) {
            const Utf8Step step = utf8Step(text, end);
            if (!isUnicodeSpace(step.codePoint))
                break;
            end += step.length;
        }
        if (begin > from)
            segments.push_back({text.substr(from, begin - from), -1});
        segments.push_back({text.substr(begin, std::max(begin, end) - begin), token.id});
        from = end; // a token found inside blanks that one before took along counts all the same
    }
    if (from < text.size())
        segments.push_back({text.substr(from), -1});
    return segments;
}

} // namespace secateur
