#include "backend/core/error.h"
#include "backend/io/gguf_file.h"
#include "backend/io/gguf_pre_tokenizer.h"
#include "backend/text/tokenizer_definition.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace secateur {
namespace {

// tokenizer.ggml.token_type
constexpr std::int64_t kGgufUnknownToken = 2;
constexpr std::int64_t kGgufControlToken = 3;
constexpr std::int64_t kGgufUserToken = 4;

/// Reads the tokenizer.ggml.* keys of one file; every message names file and key.
class TokenizerGgufReader {
public:
    explicit TokenizerGgufReader(const std::filesystem::path &path) : m_file(path), m_origin(path.string()) { }

    TokenizerDefinition read()
    {
        TokenizerDefinition definition;
        definition.origin = m_origin;
        const auto model = m_file.string("tokenizer.ggml.model");
        if (!model)
            throw Error(ErrorKind::NotFound, m_origin + " holds no tokenizer (\"tokenizer.ggml.model\" is missing).");
        const std::vector<std::string> &tokens = strings("tokenizer.ggml.tokens");
        readTypes(tokens.size());
        definition.model.vocabulary.reserve(tokens.size());
        for (std::size_t i = 0; i < tokens.size(); ++i)
            definition.model.vocabulary.emplace_back(tokens[i], static_cast<std::int32_t>(i));
        readAddedTokens(tokens, definition);
        if (*model == "gpt2")
            readByteLevel(definition);
        else if (*model == "llama")
            readSentencePiece(tokens, definition);
        else
            throw Error(ErrorKind::Unsupported,
                        m_origin + ": \"tokenizer.ggml.model\" is \"" + *model + "\", which is not supported.");
        return definition;
    }

private:
    [[noreturn]] void bad(std::string_view key, const std::string &what) const
    {
        throw Error(ErrorKind::BadFormat, m_origin + ": \"" + std::string(key) + "\" " + what + ".");
    }
    const std::vector<std::string> &strings(std::string_view key) const
    {
        const std::vector<std::string> *list = m_file.strings(key);
        if (!list)
            bad(key, "must be a list of strings");
        return *list;
    }
    std::optional<bool> flag(std::string_view key) const
    {
        const auto found = m_file.metadata().find(key);
        if (found == m_file.metadata().end())
            return std::nullopt;
        const bool *value = std::get_if<bool>(&found->second);
        if (!value)
            bad(key, "must be true or false");
        return *value;
    }

    void readTypes(std::size_t count)
    {
        constexpr std::string_view key = "tokenizer.ggml.token_type";
        if (const std::vector<std::int64_t> *types = m_file.integers(key)) {
            if (types->size() != count)
                bad(key, "has " + std::to_string(types->size()) + " entries for " + std::to_string(count) + " tokens");
            m_types = *types;
        } else {
            m_types.assign(count, 1);
        }
    }

    void readAddedTokens(const std::vector<std::string> &tokens, TokenizerDefinition &definition) const
    {
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            const bool special = m_types[i] == kGgufControlToken || m_types[i] == kGgufUnknownToken;
            if ((!special && m_types[i] != kGgufUserToken) || tokens[i].empty())
                continue;
            AddedToken token;
            token.id = static_cast<std::int32_t>(i);
            token.content = tokens[i];
            token.special = special;
            definition.addedTokens.push_back(std::move(token));
        }
    }

    void addEnds(TokenizerDefinition &definition, bool bosByDefault) const
    {
        const auto append = [&](std::string_view flagKey, std::string_view idKey, bool byDefault, TokenIds &ids) {
            if (!flag(flagKey).value_or(byDefault))
                return;
            const auto id = m_file.integer(idKey);
            if (!id)
                return;
            if (*id < 0 || *id >= static_cast<std::int64_t>(m_types.size()))
                bad(idKey, "is " + std::to_string(*id) + ", which is no token");
            ids.push_back(static_cast<std::int32_t>(*id));
        };
        append("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id", bosByDefault, definition.prefix);
        append("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id", false, definition.suffix);
    }

    void readByteLevel(TokenizerDefinition &definition) const
    {
        const std::string name = m_file.string("tokenizer.ggml.pre").value_or("default");
        const GgufPreTokenizer *pre = findGgufPreTokenizer(name);
        if (!pre)
            throw Error(ErrorKind::Unsupported,
                        m_origin + ": \"tokenizer.ggml.pre\" is \"" + name + "\", which is not supported.",
                        "Open the original folder with tokenizer.json instead.");
        if (pre->composes)
            definition.normalizer.push_back(UnicodeFormStep{UnicodeForm::Nfc});
        const auto split = [&](std::string_view pattern) {
            definition.preTokenizer.push_back(SplitStep{
                {.literal = {}, .regex = TextRegex(pattern, "tokenizer.ggml.pre")}, SplitBehavior::Isolated, false});
        };
        if (pre->singleDigits)
            split("\\p{N}");
        if (!pre->pattern.empty())
            split(pre->pattern);
        definition.preTokenizer.push_back(ByteLevelStep{.addPrefixSpace = false, .useRegex = pre->pattern.empty()});
        definition.model.ignoreMerges = pre->ignoresMerges;
        definition.decoder = TokenDecoder({ByteLevelDecodeStep{}});
        readMerges(definition);
        addEnds(definition, pre->addsBosByDefault);
    }

    void readMerges(TokenizerDefinition &definition) const
    {
        constexpr std::string_view key = "tokenizer.ggml.merges";
        const std::vector<std::string> &merges = strings(key);
        definition.model.merges.reserve(merges.size());
        for (const std::string &merge : merges) {
            const std::size_t blank = merge.find(' ', 1);
            if (blank == std::string::npos)
                bad(key, "holds \"" + merge + "\", which is not a pair of tokens");
            definition.model.merges.emplace_back(merge.substr(0, blank), merge.substr(blank + 1));
        }
    }

    /// A SentencePiece vocabulary has scores and no merges: every way to put a token together from two others is a
    /// merge, and the token with the best score goes first.
    void readSentencePiece(const std::vector<std::string> &tokens, TokenizerDefinition &definition) const
    {
        constexpr std::string_view key = "tokenizer.ggml.scores";
        const std::vector<double> *scores = m_file.numbers(key);
        if (!scores || scores->size() != tokens.size())
            bad(key, "must hold one number per token");

        std::unordered_map<std::string_view, std::int32_t> ids;
        for (std::size_t i = 0; i < tokens.size(); ++i)
            ids.emplace(tokens[i], static_cast<std::int32_t>(i));
        struct Merge {
            double score;
            std::int32_t left;
            std::int32_t right;
        };
        std::vector<Merge> merges;
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            if (m_types[i] != 1)
                continue;
            const std::string_view token = tokens[i];
            for (std::size_t cut = 1; cut < token.size(); ++cut) {
                const auto left = ids.find(token.substr(0, cut));
                const auto right = ids.find(token.substr(cut));
                if (left != ids.end() && right != ids.end())
                    merges.push_back({(*scores)[i], left->second, right->second});
            }
        }
        std::ranges::stable_sort(merges, [](const Merge &a, const Merge &b) { return a.score > b.score; });
        for (const Merge &merge : merges)
            definition.model.merges.emplace_back(tokens[static_cast<std::size_t>(merge.left)],
                                                 tokens[static_cast<std::size_t>(merge.right)]);

        const std::string mark = "\xE2\x96\x81";
        definition.model.byteFallback = true;
        definition.model.fuseUnknown = true;
        if (const auto unknown = std::ranges::find(m_types, kGgufUnknownToken); unknown != m_types.end())
            definition.model.unknownToken = tokens[static_cast<std::size_t>(unknown - m_types.begin())];
        const bool prefixed = flag("tokenizer.ggml.add_space_prefix").value_or(true);
        definition.preTokenizer.push_back(
            MetaspaceStep{mark, prefixed ? MetaspaceStep::Prepend::First : MetaspaceStep::Prepend::Never, false});
        const TextPattern pattern{.literal = mark, .regex = std::nullopt};
        std::vector<TokenDecoderStep> decoder{ReplaceDecodeStep{pattern, " "}, ByteFallbackDecodeStep{},
                                              FuseDecodeStep{}};
        if (prefixed)
            decoder.push_back(StripDecodeStep{" ", 1, 0});
        definition.decoder = TokenDecoder(std::move(decoder));
        addEnds(definition, true);
    }

    GgufFile m_file;
    std::string m_origin;
    std::vector<std::int64_t> m_types;
};

} // namespace

TokenizerDefinition readTokenizerGguf(const std::filesystem::path &path)
{
    return TokenizerGgufReader(path).read();
}

} // namespace secateur
