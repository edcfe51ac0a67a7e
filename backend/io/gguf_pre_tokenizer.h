#pragma once

#include <string_view>

namespace secateur {

/// How a byte-level tokenizer cuts text before merging, by the name in `tokenizer.ggml.pre`.
struct GgufPreTokenizer {
    std::string_view name;
    std::string_view pattern; ///< split expression as its authors publish it; empty: GPT-2's
    bool singleDigits = false; ///< digits are split one by one before the expression
    bool composes = false; ///< NFC comes first
    bool ignoresMerges = false; ///< a piece that is a token is taken whole
    bool addsBosByDefault = false; ///< when the file does not say
};

/// nullptr for a name that is not known.
const GgufPreTokenizer *findGgufPreTokenizer(std::string_view name);

} // namespace secateur
