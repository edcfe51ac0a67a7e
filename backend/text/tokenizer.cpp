#include "backend/text/tokenizer.h"

#include "backend/core/error.h"
#include "backend/text/tokenizer_definition.h"
#include "backend/text/utf8.h"

#include <algorithm>
#include <system_error>
#include <unordered_map>

namespace secateur {
namespace {

std::vector<AddedToken> addedTokensWhere(const std::vector<AddedToken> &tokens, bool normalized)
{
    std::vector<AddedToken> selected;
    std::ranges::copy_if(tokens, std::back_inserter(selected),
                         [&](const AddedToken &token) { return token.normalized == normalized; });
    return selected;
}

/// Normaliser, pre-tokenizer, byte-pair model, post-processor and decoder of one tokenizer file.
class BpeTokenizer final : public Tokenizer {
public:
    explicit BpeTokenizer(TokenizerDefinition definition)
        : m_model(std::move(definition.model), definition.origin),
          m_normalizer(std::move(definition.normalizer)),
          m_preTokenizer(std::move(definition.preTokenizer)),
          m_decoder(std::move(definition.decoder)),
          m_prefix(std::move(definition.prefix)),
          m_suffix(std::move(definition.suffix)),
          m_idLimit(m_model.idLimit())
    {
        std::vector<AddedToken> &added = definition.addedTokens;
        for (AddedToken &token : added) // a token that the model knows keeps the model's id, whatever the list says
            token.id = m_model.id(token.content).value_or(token.id);
        m_rawMatcher = AddedTokenMatcher(addedTokensWhere(added, false));
        std::vector<AddedToken> normalized = addedTokensWhere(added, true);
        if (!m_normalizer.isEmpty()) {
            for (AddedToken &token : normalized)
                token.content = m_normalizer.apply(token.content);
        }
        m_normalizedMatcher = AddedTokenMatcher(normalized);
        for (AddedToken &token : added) {
            m_idLimit = std::max(m_idLimit, token.id + 1);
            m_addedIds.emplace(token.content, token.id);
            m_added.insert_or_assign(token.id, std::move(token));
        }
    }

    TokenIds encode(std::string_view text, bool addSpecial) const override
    {
        std::string repaired;
        if (!isValidUtf8(text)) {
            repaired = repairedUtf8(text);
            text = repaired;
        }
        TokenIds ids;
        ids.reserve(text.size() / 3 + 2);
        if (addSpecial)
            ids = m_prefix;
        for (const AddedTokenSegment &segment : m_rawMatcher.split(text)) {
            if (segment.id >= 0)
                ids.push_back(segment.id);
            else
                encodePlain(segment.text, segment.text.data() == text.data(), ids);
        }
        if (addSpecial)
            ids.insert(ids.end(), m_suffix.begin(), m_suffix.end());
        return ids;
    }

    std::string decode(std::span<const std::int32_t> ids, bool skipSpecial) const override
    {
        std::vector<std::string> tokens;
        tokens.reserve(ids.size());
        for (const std::int32_t id : ids) {
            const std::string *text = find(id);
            if (text && !(skipSpecial && isSpecial(id)))
                tokens.push_back(*text);
        }
        return m_decoder.decode(std::move(tokens));
    }

    std::string tokenBytes(std::int32_t id) const override
    {
        const std::string *text = find(id);
        return text ? m_decoder.bytes(*text) : std::string();
    }

    std::string tokenText(std::int32_t id) const override
    {
        const std::string *text = find(id);
        return text ? *text : std::string();
    }

    std::optional<std::int32_t> tokenId(std::string_view token) const override
    {
        const auto found = m_addedIds.find(std::string(token));
        return found != m_addedIds.end() ? std::optional(found->second) : m_model.id(token);
    }

    std::int64_t vocabularySize() const override { return m_idLimit; }

    bool isSpecial(std::int32_t id) const override
    {
        const auto found = m_added.find(id);
        return found != m_added.end() && found->second.special;
    }

private:
    void encodePlain(std::string_view text, bool atStart, TokenIds &ids) const
    {
        std::string normalized;
        if (!m_normalizer.isEmpty()) {
            normalized = m_normalizer.apply(text);
            text = normalized;
        }
        for (const AddedTokenSegment &segment : m_normalizedMatcher.split(text)) {
            if (segment.id >= 0) {
                ids.push_back(segment.id);
                continue;
            }
            const TextPieces pieces = m_preTokenizer.apply(segment.text, atStart && segment.text.data() == text.data());
            for (const TextPieces::Piece &piece : pieces.pieces)
                m_model.encode(piece.text, ids);
        }
    }

    const std::string *find(std::int32_t id) const
    {
        const auto found = m_added.find(id);
        return found != m_added.end() ? &found->second.content : m_model.token(id);
    }

    BpeModel m_model;
    Normalizer m_normalizer;
    PreTokenizer m_preTokenizer;
    TokenDecoder m_decoder;
    TokenIds m_prefix;
    TokenIds m_suffix;
    AddedTokenMatcher m_rawMatcher;
    AddedTokenMatcher m_normalizedMatcher;
    std::unordered_map<std::int32_t, AddedToken> m_added;
    std::unordered_map<std::string, std::int32_t> m_addedIds;
    std::int32_t m_idLimit;
};

} // namespace

std::shared_ptr<const Tokenizer> makeTokenizer(TokenizerDefinition definition)
{
    return std::make_shared<const BpeTokenizer>(std::move(definition));
}

std::shared_ptr<const Tokenizer> loadTokenizer(const std::filesystem::path &path)
{
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
        const std::filesystem::path file = path / "tokenizer.json";
        if (std::filesystem::exists(file, ignored))
            return makeTokenizer(readTokenizerJson(file));
        if (std::filesystem::exists(path / "tokenizer.model", ignored))
            throw Error(ErrorKind::Unsupported,
                        path.string() + " holds a SentencePiece model (tokenizer.model) but no tokenizer.json.",
                        "Save the tokenizer once with transformers' fast tokenizer, which writes tokenizer.json.");
        throw Error(ErrorKind::NotFound, path.string() + " has no tokenizer.json.",
                    "Copy tokenizer.json from the original model into this folder.");
    }
    if (!std::filesystem::exists(path, ignored))
        throw Error(ErrorKind::NotFound, "There is no tokenizer at " + path.string() + ".");
    if (path.extension() == ".gguf")
        return makeTokenizer(readTokenizerGguf(path));
    return makeTokenizer(readTokenizerJson(path));
}

std::string StreamingDecoder::push(std::int32_t id)
{
    std::string bytes = m_tokenizer->tokenBytes(id);
    if (bytes.size() == 1 && m_tokenizer->tokenText(id).starts_with("<0x")) {
        m_run.push_back(id);
        return {};
    }
    std::string text = endRun();
    if (!m_started) {
        // Some decoders drop blanks at the start of the whole text; ask how this one treats the first token.
        m_started = true;
        if (bytes.starts_with(' ')) {
            const std::string first = m_tokenizer->decode({&id, 1});
            if (bytes.ends_with(first))
                bytes = first;
        }
    }
    return text + settled(bytes);
}

std::string StreamingDecoder::endRun()
{
    if (m_run.empty())
        return {};
    std::string bytes;
    for (const std::int32_t id : m_run)
        bytes += m_tokenizer->tokenBytes(id);
    if (!m_started) {
        bytes = m_tokenizer->decode(m_run);
    } else if (!isValidUtf8(bytes)) {
        const std::size_t count = bytes.size();
        bytes.clear();
        for (std::size_t i = 0; i < count; ++i)
            bytes += kReplacementCharacter;
    }
    m_started = true;
    m_run.clear();
    return settled(bytes);
}

/// What is complete of everything that came, \a bytes included.
std::string StreamingDecoder::settled(std::string_view bytes)
{
    m_pending += bytes;
    const std::size_t length = settledUtf8Length(m_pending);
    std::string text = repairedUtf8(std::string_view(m_pending).substr(0, length));
    m_pending.erase(0, length);
    return text;
}

std::string StreamingDecoder::flush()
{
    std::string text = endRun();
    text += repairedUtf8(m_pending);
    m_pending.clear();
    return text;
}

} // namespace secateur
