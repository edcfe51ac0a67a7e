#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace secateur {

/// A token that is cut out of the text before anything else happens to it.
struct AddedToken {
    std::int32_t id = 0;
    std::string content;
    bool singleWord = false; ///< only where no word character touches it
    bool leftStrip = false; ///< takes the blanks before it along
    bool rightStrip = false; ///< takes the blanks after it along
    bool normalized = false; ///< looked for after normalisation
    bool special = false; ///< can be left out when decoding
};

/// A stretch of text between added tokens, or one of them.
struct AddedTokenSegment {
    std::string_view text;
    std::int32_t id = -1; ///< -1: plain text
};

/// Finds added tokens: the leftmost first, of several the longest. Time is linear in the text for given tokens.
/// Immutable.
class AddedTokenMatcher {
public:
    AddedTokenMatcher();
    explicit AddedTokenMatcher(const std::vector<AddedToken> &tokens);
    /// \a text in order; no plain stretch is empty.
    std::vector<AddedTokenSegment> split(std::string_view text) const;

private:
    struct Node {
        std::int32_t token = -1; ///< index into m_tokens
        std::vector<std::pair<unsigned char, std::int32_t>> next;
    };
    std::int32_t child(std::int32_t node, unsigned char byte) const;
    void insert(std::int32_t token);

    std::vector<AddedToken> m_tokens;
    std::vector<Node> m_nodes;
    std::vector<std::int32_t> m_first; ///< node per first byte, -1 where no token starts
};

} // namespace secateur
