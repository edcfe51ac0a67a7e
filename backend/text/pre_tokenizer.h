#pragma once

#include "backend/text/normalizer.h"

#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace secateur {

/// What becomes of the matches when a text is split.
enum class SplitBehavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };

struct SplitStep {
    TextPattern pattern;
    SplitBehavior behavior = SplitBehavior::Isolated;
    bool invert = false; ///< what lies between the matches counts as the match
};
struct ByteLevelStep {
    bool addPrefixSpace = false;
    bool useRegex = true; ///< split by GPT-2's expression first
};
struct MetaspaceStep {
    enum class Prepend { Always, First, Never };
    std::string replacement = "\xE2\x96\x81"; ///< "▁"
    Prepend prepend = Prepend::Always;
    bool split = true;
};
using PreTokenizerStep = std::variant<SplitStep, ByteLevelStep, MetaspaceStep>;

/// The pieces of one text. Views point into the text itself or into `storage`.
struct TextPieces {
    struct Piece {
        std::string_view text;
        bool atStart = false; ///< the piece begins where the whole text begins
    };
    std::vector<Piece> pieces;
    std::deque<std::string> storage;
};

/// Cuts text into the pieces that are encoded one by one. Immutable.
class PreTokenizer {
public:
    PreTokenizer() = default;
    explicit PreTokenizer(std::vector<PreTokenizerStep> steps);

    /// \a text must outlive the result and be valid UTF-8. No piece is empty.
    TextPieces apply(std::string_view text, bool atStart) const;

private:
    std::vector<PreTokenizerStep> m_steps;
};

/// GPT-2's expression.
std::string_view gpt2Pattern();

} // namespace secateur
