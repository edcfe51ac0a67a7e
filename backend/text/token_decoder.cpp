#include "backend/text/token_decoder.h"

#include "backend/text/byte_level.h"
#include "backend/text/utf8.h"

#include <optional>

namespace secateur {
namespace {

std::optional<char> byteOfFallbackToken(std::string_view token)
{
    const auto digit = [](char c) {
        return c >= '0' && c <= '9' ? c - '0'
            : c >= 'A' && c <= 'F'  ? c - 'A' + 10
            : c >= 'a' && c <= 'f'  ? c - 'a' + 10
                                    : -1;
    };
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>' || digit(token[3]) < 0 || digit(token[4]) < 0)
        return std::nullopt;
    return static_cast<char>(digit(token[3]) * 16 + digit(token[4]));
}

std::string joinedTokens(const std::vector<std::string> &tokens, std::string_view between)
{
    std::string text;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (i > 0)
            text += between;
        text += tokens[i];
    }
    return text;
}

std::string strippedToken(std::string_view token, const StripDecodeStep &step)
{
    if (step.content.empty())
        return std::string(token);
    for (int i = 0; i < step.start && token.starts_with(step.content); ++i)
        token.remove_prefix(step.content.size());
    for (int i = 0; i < step.stop && token.ends_with(step.content); ++i)
        token.remove_suffix(step.content.size());
    return std::string(token);
}

/// Runs of byte tokens become text where they are valid UTF-8, else one U+FFFD per byte.
std::vector<std::string> withFallbackBytes(const std::vector<std::string> &tokens)
{
    std::vector<std::string> result;
    std::string run;
    const auto flush = [&] {
        if (run.empty())
            return;
        if (isValidUtf8(run)) {
            result.push_back(run);
        } else {
            for (std::size_t i = 0; i < run.size(); ++i)
                result.emplace_back(kReplacementCharacter);
        }
        run.clear();
    };
    for (const std::string &token : tokens) {
        if (const auto byte = byteOfFallbackToken(token)) {
            run += *byte;
        } else {
            flush();
            result.push_back(token);
        }
    }
    flush();
    return result;
}

struct DecoderVisitor {
    std::vector<std::string> &tokens;

    void operator()(const ByteLevelDecodeStep &) const
    {
        std::string bytes;
        for (const std::string &token : tokens)
            appendByteLevelDecoded(token, bytes);
        tokens = {repairedUtf8(bytes)};
    }
    void operator()(const ReplaceDecodeStep &step) const
    {
        for (std::string &token : tokens)
            token = replaceAll(token, step.pattern, step.content);
    }
    void operator()(const ByteFallbackDecodeStep &) const { tokens = withFallbackBytes(tokens); }
    void operator()(const FuseDecodeStep &) const { tokens = {joinedTokens(tokens, {})}; }
    void operator()(const StripDecodeStep &step) const
    {
        for (std::string &token : tokens)
            token = strippedToken(token, step);
    }
    void operator()(const MetaspaceDecodeStep &step) const
    {
        const TextPattern mark{.literal = step.replacement, .regex = std::nullopt};
        for (std::size_t i = 0; i < tokens.size(); ++i)
            tokens[i] = replaceAll(tokens[i], mark, i == 0 && step.dropsFirst ? "" : " ");
    }
};

} // namespace

std::string TokenDecoder::decode(std::vector<std::string> tokens) const
{
    for (const TokenDecoderStep &step : m_steps)
        std::visit(DecoderVisitor{tokens}, step);
    return repairedUtf8(joinedTokens(tokens, m_joinsWithBlanks ? " " : ""));
}

std::string TokenDecoder::bytes(std::string_view token) const
{
    std::string text(token);
    for (const TokenDecoderStep &step : m_steps) {
        if (std::holds_alternative<ByteLevelDecodeStep>(step)) {
            std::string decoded;
            appendByteLevelDecoded(text, decoded);
            text = std::move(decoded);
        } else if (const auto *replace = std::get_if<ReplaceDecodeStep>(&step)) {
            text = replaceAll(text, replace->pattern, replace->content);
        } else if (std::holds_alternative<ByteFallbackDecodeStep>(step)) {
            if (const auto byte = byteOfFallbackToken(text))
                return std::string(1, *byte);
        } else if (const auto *metaspace = std::get_if<MetaspaceDecodeStep>(&step)) {
            text = replaceAll(text, {.literal = metaspace->replacement, .regex = std::nullopt}, " ");
        }
    }
    return text;
}

} // namespace secateur
