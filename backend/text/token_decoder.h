#pragma once

#include "backend/text/normalizer.h"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace secateur {

struct ByteLevelDecodeStep { };
struct ReplaceDecodeStep {
    TextPattern pattern;
    std::string content;
};
struct ByteFallbackDecodeStep { }; ///< "<0xNN>" tokens become bytes
struct FuseDecodeStep { }; ///< all tokens become one text
struct StripDecodeStep {
    std::string content;
    int start = 0;
    int stop = 0;
};
struct MetaspaceDecodeStep {
    std::string replacement;
    bool dropsFirst = true;
};
using TokenDecoderStep = std::variant<ByteLevelDecodeStep, ReplaceDecodeStep, ByteFallbackDecodeStep, FuseDecodeStep,
                                      StripDecodeStep, MetaspaceDecodeStep>;

/// Turns tokens back into text. Immutable.
class TokenDecoder {
public:
    TokenDecoder() = default;
    explicit TokenDecoder(std::vector<TokenDecoderStep> steps) : m_steps(std::move(steps)), m_joinsWithBlanks(false) { }

    /// Valid UTF-8, whatever the tokens are. Without any decoder in the file tokens are joined by blanks.
    std::string decode(std::vector<std::string> tokens) const;
    /// What one token contributes inside a text; may be part of a code point.
    std::string bytes(std::string_view token) const;

private:
    std::vector<TokenDecoderStep> m_steps;
    bool m_joinsWithBlanks = true;
};

} // namespace secateur
