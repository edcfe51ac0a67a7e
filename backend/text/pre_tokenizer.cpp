#include "backend/text/pre_tokenizer.h"

#include "backend/text/byte_level.h"

#include <algorithm>

namespace secateur {
namespace {

struct FlaggedSpan {
    TextSpan span;
    bool match = false;
};

/// The whole text as matches and what lies between them.
std::vector<FlaggedSpan> cutAtMatches(const SplitStep &step, std::string_view text)
{
    std::vector<FlaggedSpan> parts;
    std::size_t from = 0;
    for (const TextSpan &span : step.pattern.matches(text)) {
        if (span.begin > from)
            parts.push_back({{from, span.begin}, step.invert});
        parts.push_back({span, !step.invert});
        from = span.end;
    }
    if (from < text.size())
        parts.push_back({{from, text.size()}, step.invert});
    return parts;
}

std::vector<TextSpan> mergedParts(const std::vector<FlaggedSpan> &parts, SplitBehavior behavior)
{
    std::vector<TextSpan> result;
    result.reserve(parts.size());
    bool previousMatch = false;
    switch (behavior) {
    case SplitBehavior::Removed:
        for (const FlaggedSpan &part : parts) {
            if (!part.match)
                result.push_back(part.span);
        }
        break;
    case SplitBehavior::Isolated:
        for (const FlaggedSpan &part : parts)
            result.push_back(part.span);
        break;
    case SplitBehavior::Contiguous:
        for (const FlaggedSpan &part : parts) {
            if (part.match == previousMatch && !result.empty())
                result.back().end = part.span.end;
            else
                result.push_back(part.span);
            previousMatch = part.match;
        }
        break;
    case SplitBehavior::MergedWithPrevious:
        for (const FlaggedSpan &part : parts) {
            if (part.match && !previousMatch && !result.empty())
                result.back().end = part.span.end;
            else
                result.push_back(part.span);
            previousMatch = part.match;
        }
        break;
    case SplitBehavior::MergedWithNext:
        for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
            if (part->match && !previousMatch && !result.empty())
                result.back().begin = part->span.begin;
            else
                result.push_back(part->span);
            previousMatch = part->match;
        }
        std::reverse(result.begin(), result.end());
        break;
    }
    return result;
}

void splitPieces(const SplitStep &step, TextPieces &text)
{
    std::vector<TextPieces::Piece> pieces;
    pieces.reserve(text.pieces.size() * 2);
    for (const TextPieces::Piece &piece : text.pieces) {
        for (const TextSpan &span : mergedParts(cutAtMatches(step, piece.text), step.behavior)) {
            if (span.end > span.begin)
                pieces.push_back(
                    {piece.text.substr(span.begin, span.end - span.begin), piece.atStart && span.begin == 0});
        }
    }
    text.pieces = std::move(pieces);
}

const SplitStep &gpt2Split()
{
    static const SplitStep step{.pattern = {.literal = {}, .regex = TextRegex(gpt2Pattern(), "pre_tokenizer")},
                                .behavior = SplitBehavior::Isolated,
                                .invert = false};
    return step;
}

void prependToPieces(TextPieces &text, std::string_view prefix, std::string_view unlessStartsWith, bool onlyAtStart)
{
    for (TextPieces::Piece &piece : text.pieces) {
        if (piece.text.starts_with(unlessStartsWith) || (onlyAtStart && !piece.atStart))
            continue;
        text.storage.push_back(std::string(prefix) + std::string(piece.text));
        piece.text = text.storage.back();
    }
}

void byteLevelPieces(const ByteLevelStep &step, TextPieces &text)
{
    if (step.addPrefixSpace)
        prependToPieces(text, " ", " ", false);
    if (step.useRegex)
        splitPieces(gpt2Split(), text);

    std::size_t bytes = 0;
    for (const TextPieces::Piece &piece : text.pieces)
        bytes += piece.text.size();
    std::string &mapped = text.storage.emplace_back();
    mapped.reserve(bytes * 2); // no character of the alphabet takes more than two bytes: views stay valid
    for (TextPieces::Piece &piece : text.pieces) {
        const std::size_t begin = mapped.size();
        appendByteLevel(piece.text, mapped);
        piece.text = std::string_view(mapped.data() + begin, mapped.size() - begin);
    }
}

void metaspacePieces(const MetaspaceStep &step, TextPieces &text)
{
    const TextPattern blank{.literal = " ", .regex = std::nullopt};
    for (TextPieces::Piece &piece : text.pieces) {
        text.storage.push_back(replaceAll(piece.text, blank, step.replacement));
        piece.text = text.storage.back();
    }
    if (step.prepend != MetaspaceStep::Prepend::Never)
        prependToPieces(text, step.replacement, step.replacement, step.prepend == MetaspaceStep::Prepend::First);
    if (step.split) {
        splitPieces({.pattern = {.literal = step.replacement, .regex = std::nullopt},
                     .behavior = SplitBehavior::MergedWithNext,
                     .invert = false},
                    text);
    }
}

struct PreTokenizerVisitor {
    TextPieces &text;

    void operator()(const SplitStep &step) const { splitPieces(step, text); }
    void operator()(const ByteLevelStep &step) const { byteLevelPieces(step, text); }
    void operator()(const MetaspaceStep &step) const { metaspacePieces(step, text); }
};

} // namespace

PreTokenizer::PreTokenizer(std::vector<PreTokenizerStep> steps) : m_steps(std::move(steps))
{ }

TextPieces PreTokenizer::apply(std::string_view text, bool atStart) const
{
    TextPieces pieces;
    if (text.empty())
        return pieces;
    pieces.pieces.push_back({text, atStart});
    for (const PreTokenizerStep &step : m_steps)
        std::visit(PreTokenizerVisitor{pieces}, step);
    return pieces;
}

std::string_view gpt2Pattern()
{
    return R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
}

} // namespace secateur
