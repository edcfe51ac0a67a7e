#include "backend/core/error.h"
#include "backend/text/tokenizer_definition.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <system_error>

namespace secateur {
namespace {

using nlohmann::json;

constexpr int kDeepestSequence = 32;

json readTokenizerFile(const std::filesystem::path &path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw Error(ErrorKind::NotFound, path.string() + " cannot be opened.");
    try {
        return json::parse(file);
    } catch (const json::exception &) {
        throw Error(ErrorKind::BadFormat, path.string() + " is not valid JSON.");
    }
}

/// Reads the parts of one tokenizer.json; every message names file and field.
class TokenizerJsonReader {
public:
    explicit TokenizerJsonReader(std::string origin) : m_origin(std::move(origin)) { }

    TokenizerDefinition read(const json &root)
    {
        if (!root.is_object())
            bad("the whole file", "an object");
        TokenizerDefinition definition;
        definition.origin = m_origin;
        readModel(member(root, "model", "model"), definition.model);
        readAddedTokens(root, definition);
        if (const json *part = optional(root, "normalizer"))
            readNormalizer(*part, "normalizer", definition.normalizer, 0);
        if (const json *part = optional(root, "pre_tokenizer"))
            readPreTokenizer(*part, "pre_tokenizer", definition.preTokenizer, 0);
        if (const json *part = optional(root, "post_processor"))
            readPostProcessor(*part, "post_processor", definition, 0);
        if (const json *part = optional(root, "decoder")) {
            std::vector<TokenDecoderStep> steps;
            readDecoder(*part, "decoder", steps, 0);
            definition.decoder = TokenDecoder(std::move(steps));
        }
        return definition;
    }

    AddedToken addedToken(const json &token, const std::string &field) const
    {
        AddedToken added;
        added.content = string(token, "content", field);
        added.singleWord = flag(token, "single_word", field, false);
        added.leftStrip = flag(token, "lstrip", field, false);
        added.rightStrip = flag(token, "rstrip", field, false);
        added.special = flag(token, "special", field, false);
        added.normalized = flag(token, "normalized", field, !added.special);
        return added;
    }

    std::int32_t checkedId(std::int64_t id, const std::string &field) const
    {
        if (id < 0 || id >= (1 << 24))
            throw Error(ErrorKind::BadFormat,
                        m_origin + ": \"" + field + "\" is the impossible id " + std::to_string(id) + ".");
        return static_cast<std::int32_t>(id);
    }

private:
    [[noreturn]] void bad(const std::string &field, std::string_view expected) const
    {
        throw Error(ErrorKind::BadFormat, m_origin + ": \"" + field + "\" must be " + std::string(expected) + ".");
    }
    [[noreturn]] void unsupported(const std::string &field, const std::string &value) const
    {
        throw Error(ErrorKind::Unsupported,
                    m_origin + ": \"" + field + "\" is \"" + value + "\", which is not supported.");
    }
    void checkDepth(const std::string &field, int depth) const
    {
        if (depth > kDeepestSequence)
            throw Error(ErrorKind::BadFormat, m_origin + ": \"" + field.substr(0, 80) + "…\" is nested too deeply.");
    }

    static const json *optional(const json &object, const char *key)
    {
        const auto found = object.find(key);
        return found == object.end() || found->is_null() ? nullptr : &*found;
    }
    const json &member(const json &object, const char *key, const std::string &field) const
    {
        if (!object.is_object())
            bad(field, "an object");
        const json *found = optional(object, key);
        if (!found)
            throw Error(ErrorKind::BadFormat, m_origin + ": \"" + field + "\" is missing.");
        return *found;
    }
    std::string string(const json &object, const char *key, const std::string &field) const
    {
        const json &value = member(object, key, field + "." + key);
        if (!value.is_string())
            bad(field + "." + key, "a string");
        return value.get<std::string>();
    }
    bool flag(const json &object, const char *key, const std::string &field, bool fallback) const
    {
        if (!object.is_object())
            bad(field, "an object");
        const json *value = optional(object, key);
        if (!value)
            return fallback;
        if (!value->is_boolean())
            bad(field + "." + key, "true or false");
        return value->get<bool>();
    }
    int count(const json &object, const char *key, const std::string &field) const
    {
        const json &value = member(object, key, field + "." + key);
        if (!value.is_number_integer() || value.get<std::int64_t>() < 0 || value.get<std::int64_t>() > 1'000'000)
            bad(field + "." + key, "a small number");
        return value.get<int>();
    }
    const json &list(const json &object, const char *key, const std::string &field) const
    {
        const json &value = member(object, key, field + "." + key);
        if (!value.is_array())
            bad(field + "." + key, "a list");
        return value;
    }
    std::int32_t id(const json &value, const std::string &field) const
    {
        if (!value.is_number_integer())
            bad(field, "an integer");
        return checkedId(value.get<std::int64_t>(), field);
    }
    static std::string at(const std::string &field, std::size_t index)
    {
        return field + "[" + std::to_string(index) + "]";
    }

    void readModel(const json &model, BpeDefinition &definition)
    {
        if (!model.is_object())
            bad("model", "an object");
        if (const json *type = optional(model, "type"); type && *type != "BPE")
            unsupported("model.type", type->is_string() ? type->get<std::string>() : type->dump());
        for (const char *key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
            if (const json *value = optional(model, key); value && *value != "")
                unsupported(std::string("model.") + key,
                            value->is_string() ? value->get<std::string>() : value->dump());
        }
        if (const json *dropout = optional(model, "dropout"); dropout && *dropout != 0)
            unsupported("model.dropout", dropout->dump());
        definition.fuseUnknown = flag(model, "fuse_unk", "model", false);
        definition.byteFallback = flag(model, "byte_fallback", "model", false);
        definition.ignoreMerges = flag(model, "ignore_merges", "model", false);
        if (optional(model, "unk_token"))
            definition.unknownToken = string(model, "unk_token", "model");
        readVocabulary(member(model, "vocab", "model.vocab"), definition);
        readMerges(list(model, "merges", "model"), definition);
    }

    void readVocabulary(const json &vocabulary, BpeDefinition &definition) const
    {
        if (!vocabulary.is_object())
            bad("model.vocab", "an object of tokens and ids");
        definition.vocabulary.reserve(vocabulary.size());
        for (const auto &[token, number] : vocabulary.items())
            definition.vocabulary.emplace_back(token, id(number, "model.vocab." + token));
    }

    void readMerges(const json &merges, BpeDefinition &definition) const
    {
        definition.merges.reserve(merges.size());
        for (std::size_t i = 0; i < merges.size(); ++i) {
            const json &merge = merges[i];
            if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
                definition.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
                continue;
            }
            if (!merge.is_string())
                bad(at("model.merges", i), "a pair of tokens");
            const auto &pair = merge.get_ref<const std::string &>();
            const std::size_t blank = pair.find(' ');
            if (blank == std::string::npos || pair.find(' ', blank + 1) != std::string::npos)
                bad(at("model.merges", i), "two tokens with one blank between");
            definition.merges.emplace_back(pair.substr(0, blank), pair.substr(blank + 1));
        }
    }

    void readAddedTokens(const json &root, TokenizerDefinition &definition) const
    {
        const json *found = optional(root, "added_tokens");
        if (!found)
            return;
        const json &tokens = *found;
        if (!tokens.is_array())
            bad("added_tokens", "a list");
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            const std::string field = at("added_tokens", i);
            AddedToken token = addedToken(tokens[i], field);
            token.id = id(member(tokens[i], "id", field + ".id"), field + ".id");
            if (!token.content.empty())
                definition.addedTokens.push_back(std::move(token));
        }
    }

    TextPattern pattern(const json &object, const std::string &field) const
    {
        const json &value = member(object, "pattern", field + ".pattern");
        if (value.is_string()) // as older files have it
            return {.literal = value.get<std::string>(), .regex = std::nullopt};
        if (!value.is_object())
            bad(field + ".pattern", "an object with \"String\" or \"Regex\"");
        if (optional(value, "String"))
            return {.literal = string(value, "String", field + ".pattern"), .regex = std::nullopt};
        return regexPattern(string(value, "Regex", field + ".pattern"), field + ".pattern.Regex");
    }
    TextPattern regexPattern(const std::string &text, const std::string &field) const
    {
        return {.literal = {}, .regex = TextRegex(text, m_origin + ": \"" + field + "\"")};
    }

    void readNormalizer(const json &part, const std::string &field, std::vector<NormalizerStep> &steps, int depth) const
    {
        checkDepth(field, depth);
        const std::string type = string(part, "type", field);
        if (type == "Sequence") {
            const json &children = list(part, "normalizers", field);
            for (std::size_t i = 0; i < children.size(); ++i)
                readNormalizer(children[i], at(field + ".normalizers", i), steps, depth + 1);
        } else if (type == "NFC") {
            steps.push_back(UnicodeFormStep{UnicodeForm::Nfc});
        } else if (type == "NFD") {
            steps.push_back(UnicodeFormStep{UnicodeForm::Nfd});
        } else if (type == "NFKC") {
            steps.push_back(UnicodeFormStep{UnicodeForm::Nfkc});
        } else if (type == "NFKD") {
            steps.push_back(UnicodeFormStep{UnicodeForm::Nfkd});
        } else if (type == "Prepend") {
            steps.push_back(PrependStep{string(part, "prepend", field)});
        } else if (type == "Replace") {
            steps.push_back(ReplaceStep{pattern(part, field), string(part, "content", field)});
        } else if (type == "Lowercase") {
            steps.push_back(LowercaseStep{});
        } else if (type == "Strip") {
            steps.push_back(
                StripTextStep{flag(part, "strip_left", field, true), flag(part, "strip_right", field, true)});
        } else if (type == "ByteLevel") {
            steps.push_back(ByteLevelTextStep{});
        } else {
            unsupported(field + ".type", type);
        }
    }

    SplitBehavior behavior(const json &part, const std::string &field) const
    {
        const std::string name = string(part, "behavior", field);
        if (name == "Removed")
            return SplitBehavior::Removed;
        if (name == "Isolated")
            return SplitBehavior::Isolated;
        if (name == "MergedWithPrevious")
            return SplitBehavior::MergedWithPrevious;
        if (name == "MergedWithNext")
            return SplitBehavior::MergedWithNext;
        if (name == "Contiguous")
            return SplitBehavior::Contiguous;
        unsupported(field + ".behavior", name);
    }

    MetaspaceStep metaspace(const json &part, const std::string &field) const
    {
        MetaspaceStep step;
        if (optional(part, "replacement"))
            step.replacement = string(part, "replacement", field);
        step.split = flag(part, "split", field, true);
        if (optional(part, "prepend_scheme")) {
            const std::string scheme = string(part, "prepend_scheme", field);
            if (scheme == "first")
                step.prepend = MetaspaceStep::Prepend::First;
            else if (scheme == "never")
                step.prepend = MetaspaceStep::Prepend::Never;
            else if (scheme != "always")
                unsupported(field + ".prepend_scheme", scheme);
        } else if (!flag(part, "add_prefix_space", field, true)) {
            step.prepend = MetaspaceStep::Prepend::Never;
        }
        return step;
    }

    void readPreTokenizer(const json &part, const std::string &field, std::vector<PreTokenizerStep> &steps,
                          int depth) const
    {
        checkDepth(field, depth);
        const std::string type = string(part, "type", field);
        const auto split = [&](const std::string &expression, SplitBehavior how) {
            steps.push_back(SplitStep{regexPattern(expression, field), how, false});
        };
        if (type == "Sequence") {
            const json &children = list(part, "pretokenizers", field);
            for (std::size_t i = 0; i < children.size(); ++i)
                readPreTokenizer(children[i], at(field + ".pretokenizers", i), steps, depth + 1);
        } else if (type == "ByteLevel") {
            steps.push_back(
                ByteLevelStep{flag(part, "add_prefix_space", field, true), flag(part, "use_regex", field, true)});
        } else if (type == "Split") {
            steps.push_back(SplitStep{pattern(part, field), behavior(part, field), flag(part, "invert", field, false)});
        } else if (type == "Digits") {
            split(flag(part, "individual_digits", field, false) ? "\\p{N}" : "\\p{N}+", SplitBehavior::Isolated);
        } else if (type == "Metaspace") {
            steps.push_back(metaspace(part, field));
        } else if (type == "Punctuation") {
            const SplitBehavior how = optional(part, "behavior") ? behavior(part, field) : SplitBehavior::Isolated;
            split("[!-/:-@\\[-`{-~\\p{P}]", how);
        } else if (type == "Whitespace") {
            steps.push_back(SplitStep{regexPattern("\\w+|[^\\w\\s]+", field), SplitBehavior::Removed, true});
        } else if (type == "WhitespaceSplit") {
            split("\\s", SplitBehavior::Removed);
        } else {
            unsupported(field + ".type", type);
        }
    }

    void readPostProcessor(const json &part, const std::string &field, TokenizerDefinition &definition, int depth) const
    {
        checkDepth(field, depth);
        const std::string type = string(part, "type", field);
        if (type == "Sequence") {
            const json &children = list(part, "processors", field);
            for (std::size_t i = 0; i < children.size(); ++i)
                readPostProcessor(children[i], at(field + ".processors", i), definition, depth + 1);
        } else if (type == "TemplateProcessing") {
            readTemplate(part, field, definition);
        } else if (type == "BertProcessing" || type == "RobertaProcessing") {
            wrap(definition, {pairId(part, "cls", field)}, {pairId(part, "sep", field)});
        } else if (type != "ByteLevel") { // ByteLevel only moves offsets
            unsupported(field + ".type", type);
        }
    }

    std::int32_t pairId(const json &part, const char *key, const std::string &field) const
    {
        const json &pair = list(part, key, field);
        if (pair.size() != 2)
            bad(field + "." + key, "a token and its id");
        return id(pair[1], field + "." + key);
    }

    /// A later post-processor works on the result of an earlier one.
    static void wrap(TokenizerDefinition &definition, const TokenIds &before, const TokenIds &after)
    {
        definition.prefix.insert(definition.prefix.begin(), before.begin(), before.end());
        definition.suffix.insert(definition.suffix.end(), after.begin(), after.end());
    }

    void readTemplate(const json &part, const std::string &field, TokenizerDefinition &definition) const
    {
        const json &pieces = list(part, "single", field);
        TokenIds before;
        TokenIds after;
        int sequences = 0;
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            const std::string where = at(field + ".single", i);
            if (!pieces[i].is_object())
                bad(where, "an object");
            if (optional(pieces[i], "Sequence")) {
                ++sequences;
                continue;
            }
            const std::string name = string(member(pieces[i], "SpecialToken", where + ".SpecialToken"), "id", where);
            const json &tokens = member(part, "special_tokens", field + ".special_tokens");
            const std::string entry = field + ".special_tokens." + name;
            const json &ids = list(member(tokens, name.c_str(), entry), "ids", entry);
            for (const json &value : ids)
                (sequences == 0 ? before : after).push_back(id(value, entry + ".ids"));
        }
        if (sequences != 1)
            unsupported(field + ".single", "a template that takes the text " + std::to_string(sequences) + " times");
        wrap(definition, before, after);
    }

    void readDecoder(const json &part, const std::string &field, std::vector<TokenDecoderStep> &steps, int depth) const
    {
        checkDepth(field, depth);
        const std::string type = string(part, "type", field);
        if (type == "Sequence") {
            const json &children = list(part, "decoders", field);
            for (std::size_t i = 0; i < children.size(); ++i)
                readDecoder(children[i], at(field + ".decoders", i), steps, depth + 1);
        } else if (type == "ByteLevel") {
            steps.push_back(ByteLevelDecodeStep{});
        } else if (type == "Replace") {
            steps.push_back(ReplaceDecodeStep{pattern(part, field), string(part, "content", field)});
        } else if (type == "ByteFallback") {
            steps.push_back(ByteFallbackDecodeStep{});
        } else if (type == "Fuse") {
            steps.push_back(FuseDecodeStep{});
        } else if (type == "Strip") {
            steps.push_back(StripDecodeStep{string(part, "content", field), count(part, "start", field),
                                            count(part, "stop", field)});
        } else if (type == "Metaspace") {
            const MetaspaceStep step = metaspace(part, field);
            steps.push_back(MetaspaceDecodeStep{step.replacement, step.prepend != MetaspaceStep::Prepend::Never});
        } else {
            unsupported(field + ".type", type);
        }
    }

    std::string m_origin;
};

/// Tokens that were added after training may stand only in tokenizer_config.json.
void addTokensOfConfig(const std::filesystem::path &path, TokenizerDefinition &definition)
{
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored))
        return;
    const json config = readTokenizerFile(path);
    const auto found = config.is_object() ? config.find("added_tokens_decoder") : config.end();
    if (found == config.end() || !found->is_object())
        return;
    const TokenizerJsonReader reader(path.string());
    for (const auto &[key, value] : found->items()) {
        const std::string field = "added_tokens_decoder." + key;
        AddedToken token = reader.addedToken(value, field);
        std::int64_t number = -1;
        std::from_chars(key.data(), key.data() + key.size(), number);
        token.id = reader.checkedId(number, field);
        const bool known = std::ranges::any_of(definition.addedTokens, [&](const AddedToken &other) {
            return other.id == token.id || other.content == token.content;
        });
        if (!known && !token.content.empty())
            definition.addedTokens.push_back(std::move(token));
    }
}

} // namespace

TokenizerDefinition readTokenizerJson(const std::filesystem::path &path)
{
    const std::string origin = path.string();
    TokenizerDefinition definition;
    try {
        definition = TokenizerJsonReader(origin).read(readTokenizerFile(path));
        addTokensOfConfig(path.parent_path() / "tokenizer_config.json", definition);
    } catch (const json::exception &error) {
        throw Error(ErrorKind::BadFormat, origin + " does not have the form of a tokenizer file: " + error.what());
    }
    return definition;
}

} // namespace secateur
