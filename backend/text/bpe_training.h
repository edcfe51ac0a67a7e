#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace secateur {

/// Learns a byte-level byte-pair encoding: digits are split one by one, then GPT-2's expression cuts words, then the
/// most frequent pair of neighbours becomes a token, again and again (Sennrich et al. 2016, arXiv 1508.07909). Equally
/// frequent pairs: the one whose tokens are older. The result depends on nothing but the words and their counts.
class BpeTrainer {
public:
    /// A token that is never cut nor merged. `isSpecial`: left out when a decoder skips special tokens.
    struct FixedToken {
        std::string text;
        bool isSpecial = true;
    };
    explicit BpeTrainer(std::vector<FixedToken> fixedTokens) : m_fixed(std::move(fixedTokens)) { }

    /// Counts the words of one text; the fixed tokens inside are left out.
    void add(std::string_view text);

    /// A Hugging Face tokenizer.json with \a size tokens: the fixed ones, 256 bytes, then what was learned. It has
    /// fewer when no pair of neighbours is left. Throws Error(InvalidArgument) when \a size is below what must be
    /// there.
    std::string tokenizerJson(std::size_t size) const;

private:
    void count(std::string_view text);

    std::vector<FixedToken> m_fixed;
    std::map<std::string, std::int64_t> m_words; ///< in the byte alphabet
};

} // namespace secateur
