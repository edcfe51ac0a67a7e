#include "backend/core/error.h"
#include "backend/io/gguf_file.h"
#include "backend/io/gguf_pre_tokenizer.h"
#include "backend/io/weight_sources.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>

namespace secateur {

namespace {

using GgufJson = nlohmann::ordered_json;

enum GgufTokenType : std::int64_t { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 };

GgufJson ggufByteLevel(bool useRegex)
{
    return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", useRegex}};
}

GgufJson ggufSplitThenBytes(std::string_view expression)
{
    const GgufJson split
        = {{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
    return {{"type", "Sequence"}, {"pretokenizers", GgufJson::array({split, ggufByteLevel(false)})}};
}

/// Texts in the file are bytes of anybody's making: what is no UTF-8 is replaced rather than the model refused.
std::string ggufJsonText(const GgufJson &json, int indent = -1)
{
    return json.dump(indent, ' ', false, GgufJson::error_handler_t::replace);
}

class GgufTokenizerReader {
public:
    explicit GgufTokenizerReader(const GgufFile &file)
        : m_file(file), m_name(file.file().path().filename().string()), m_tokens(file.strings("tokenizer.ggml.tokens"))
    { }

    bool hasTokenizer() const { return m_tokens && !m_tokens->empty(); }
    std::string tokenizer();
    GgufJson tokenizerConfig() const;
    GgufJson generationConfig() const;

private:
    [[noreturn]] void fail(const std::string &problem) const
    {
        throw Error(ErrorKind::BadFormat, m_name + ": " + problem + ".", "Download or convert the model again.");
    }
    [[noreturn]] void unsupported(const std::string &problem) const
    {
        throw Error(ErrorKind::Unsupported, m_name + ": " + problem + ".",
                    "Use the model's Hugging Face folder, which has the tokenizer itself.");
    }
    std::int64_t typeOf(std::size_t id) const { return m_types ? (*m_types)[id] : std::int64_t(Normal); }
    std::optional<std::size_t> tokenId(const std::string &role) const
    {
        const auto id = m_file.integer("tokenizer.ggml." + role + "_token_id");
        if (!id || *id < 0 || static_cast<std::size_t>(*id) >= m_tokens->size())
            return std::nullopt;
        return static_cast<std::size_t>(*id);
    }
    bool flag(const std::string &key, bool fallback) const
    {
        return m_file.integer("tokenizer.ggml." + key).value_or(fallback ? 1 : 0) != 0;
    }

    void readVocabulary();
    GgufJson byteLevelModel(GgufJson &json);
    GgufJson sentencePieceModel(GgufJson &json);
    GgufJson addedTokens() const;
    GgufJson postProcessor(bool addBos, bool addEos) const;

    const GgufFile &m_file;
    std::string m_name;
    const std::vector<std::string> *m_tokens;
    const std::vector<std::int64_t> *m_types = nullptr;
    std::unordered_map<std::string, std::size_t> m_ids;
    std::vector<std::pair<std::string, std::string>> m_merges;
    bool m_addBos = false;
};

void GgufTokenizerReader::readVocabulary()
{
    m_types = m_file.integers("tokenizer.ggml.token_type");
    if (m_types && m_types->size() != m_tokens->size())
        fail("tokenizer.ggml.token_type has " + std::to_string(m_types->size()) + " entries for "
             + std::to_string(m_tokens->size()) + " tokens");
    m_ids.reserve(m_tokens->size());
    for (std::size_t id = 0; id < m_tokens->size(); ++id)
        m_ids.emplace((*m_tokens)[id], id); // of two equal texts the first counts
}

GgufJson GgufTokenizerReader::byteLevelModel(GgufJson &json)
{
    const std::string pre = m_file.string("tokenizer.ggml.pre").value_or("default");
    const GgufPreTokenizer *cut = findGgufPreTokenizer(pre);
    if (!cut)
        unsupported("tokenizer.ggml.pre is \"" + pre + "\", a way to cut text that is not known");
    if (cut->composes)
        json["normalizer"] = {{"type", "NFC"}};
    if (!cut->pattern.empty())
        json["pre_tokenizer"] = ggufSplitThenBytes(cut->pattern);
    else if (cut->singleDigits)
        json["pre_tokenizer"]
            = {{"type", "Sequence"},
               {"pretokenizers",
                GgufJson::array({GgufJson({{"type", "Digits"}, {"individual_digits", true}}), ggufByteLevel(true)})}};
    else
        json["pre_tokenizer"] = ggufByteLevel(true);
    json["decoder"] = ggufByteLevel(true);

    const auto *merges = m_file.strings("tokenizer.ggml.merges");
    if (!merges)
        fail("tokenizer.ggml.merges is missing");
    for (const std::string &merge : *merges) {
        const auto blank = merge.find(' ', 1);
        if (blank == std::string::npos || blank + 1 >= merge.size())
            fail("tokenizer.ggml.merges holds \"" + merge + "\", which is no pair");
        m_merges.emplace_back(merge.substr(0, blank), merge.substr(blank + 1));
    }
    GgufJson model = {{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"ignore_merges", cut->ignoresMerges}};
    m_addBos = cut->addsBosByDefault;
    return model;
}

/// SentencePiece BPE has scores instead of merges: joining two pieces is as urgent as the score of the result.
GgufJson GgufTokenizerReader::sentencePieceModel(GgufJson &json)
{
    const auto *scores = m_file.numbers("tokenizer.ggml.scores");
    if (!scores || scores->size() != m_tokens->size())
        fail("tokenizer.ggml.scores is missing or has not one entry per token");
    const bool prefix = flag("add_space_prefix", true);
    const GgufJson blank = {{"String", " "}};
    GgufJson normalizers = GgufJson::array();
    if (prefix)
        normalizers.push_back({{"type", "Prepend"}, {"prepend", "▁"}});
    normalizers.push_back({{"type", "Replace"}, {"pattern", blank}, {"content", "▁"}});
    json["normalizer"] = {{"type", "Sequence"}, {"normalizers", normalizers}};
    GgufJson decoders = GgufJson::array();
    decoders.push_back({{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}});
    decoders.push_back({{"type", "ByteFallback"}});
    decoders.push_back({{"type", "Fuse"}});
    if (prefix)
        decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    json["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};

    struct Merge {
        std::size_t result, left, right;
    };
    std::vector<Merge> merges;
    for (std::size_t id = 0; id < m_tokens->size(); ++id) {
        const std::string &piece = (*m_tokens)[id];
        if (typeOf(id) != Normal || m_ids.at(piece) != id)
            continue;
        for (std::size_t cut = 1; cut < piece.size(); ++cut) {
            if ((static_cast<unsigned char>(piece[cut]) & 0xc0) == 0x80) // inside a character
                continue;
            const auto left = m_ids.find(piece.substr(0, cut));
            const auto right = m_ids.find(piece.substr(cut));
            if (left != m_ids.end() && right != m_ids.end())
                merges.push_back({id, left->second, right->second});
        }
    }
    std::stable_sort(merges.begin(), merges.end(), [scores](const Merge &a, const Merge &b) {
        const double scoreA = (*scores)[a.result], scoreB = (*scores)[b.result];
        return scoreA != scoreB ? scoreA > scoreB : std::tie(a.left, a.right) < std::tie(b.left, b.right);
    });
    for (const Merge &merge : merges)
        m_merges.emplace_back((*m_tokens)[merge.left], (*m_tokens)[merge.right]);
    const auto unknown = tokenId("unknown");
    GgufJson model = {{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", unknown ? GgufJson((*m_tokens)[*unknown]) : GgufJson()},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", true},
                      {"byte_fallback", true},
                      {"ignore_merges", false}};
    return model;
}

GgufJson GgufTokenizerReader::addedTokens() const
{
    GgufJson added = GgufJson::array();
    for (std::size_t id = 0; id < m_tokens->size(); ++id) {
        const std::int64_t type = typeOf(id);
        if ((type != Control && type != UserDefined && type != Unknown) || (*m_tokens)[id].empty())
            continue;
        added.push_back({{"id", id},
                         {"content", (*m_tokens)[id]},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", type != UserDefined}});
    }
    return added;
}

GgufJson GgufTokenizerReader::postProcessor(bool addBos, bool addEos) const
{
    const auto bos = addBos ? tokenId("bos") : std::nullopt;
    const auto eos = addEos ? tokenId("eos") : std::nullopt;
    if (!bos && !eos)
        return nullptr;
    GgufJson special = GgufJson::object();
    const auto piece = [&](std::size_t id, int type) -> GgufJson {
        const std::string &text = (*m_tokens)[id];
        special[text] = {{"id", text}, {"ids", GgufJson::array({id})}, {"tokens", GgufJson::array({text})}};
        return {{"SpecialToken", {{"id", text}, {"type_id", type}}}};
    };
    const auto part = [&](GgufJson &list, const char *name, int type) {
        if (bos)
            list.push_back(piece(*bos, type));
        list.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
        if (eos)
            list.push_back(piece(*eos, type));
    };
    GgufJson single = GgufJson::array(), pair = GgufJson::array();
    part(single, "A", 0);
    part(pair, "A", 0);
    part(pair, "B", 1);
    return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

std::string GgufTokenizerReader::tokenizer()
{
    readVocabulary();
    const std::string kind = m_file.string("tokenizer.ggml.model").value_or("");
    GgufJson json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
    json["added_tokens"] = addedTokens();
    json["normalizer"] = nullptr;
    json["pre_tokenizer"] = nullptr;
    json["post_processor"] = nullptr;
    json["decoder"] = nullptr;
    GgufJson model;
    if (kind == "gpt2") {
        model = byteLevelModel(json);
        m_addBos = flag("add_bos_token", m_addBos);
    } else if (kind == "llama") {
        model = sentencePieceModel(json);
        m_addBos = flag("add_bos_token", true);
    } else {
        unsupported("tokenizer.ggml.model is \"" + kind + "\"; known are gpt2 and llama");
    }
    json["post_processor"] = postProcessor(m_addBos, flag("add_eos_token", false));
    // Vocabulary and merges are written as text: trees of a hundred thousand values would take most of a second.
    std::string text = ggufJsonText(json);
    text.pop_back();
    text += ",\"model\":" + ggufJsonText(model);
    text.pop_back();
    text += ",\"vocab\":{";
    bool first = true;
    for (std::size_t id = 0; id < m_tokens->size(); ++id) {
        if (m_ids.at((*m_tokens)[id]) != id)
            continue;
        text += (first ? "" : ",") + ggufJsonText((*m_tokens)[id]) + ":" + std::to_string(id);
        first = false;
    }
    text += "},\"merges\":[";
    first = true;
    for (const auto &[left, right] : m_merges) {
        text += (first ? "[" : ",[") + ggufJsonText(left) + "," + ggufJsonText(right) + "]";
        first = false;
    }
    return text + "]}}\n";
}

GgufJson GgufTokenizerReader::tokenizerConfig() const
{
    GgufJson json = GgufJson::object();
    json["tokenizer_class"] = "PreTrainedTokenizerFast";
    const std::pair<const char *, const char *> roles[]
        = {{"bos_token", "bos"}, {"eos_token", "eos"}, {"unk_token", "unknown"}, {"pad_token", "padding"}};
    for (const auto &[name, role] : roles)
        if (const auto id = tokenId(role))
            json[name] = (*m_tokens)[*id];
    json["add_bos_token"] = m_addBos;
    json["add_eos_token"] = flag("add_eos_token", false);
    json["clean_up_tokenization_spaces"] = false;
    const std::string architecture = m_file.string("general.architecture").value_or("");
    if (const auto length = m_file.integer(architecture + ".context_length"))
        json["model_max_length"] = *length;
    if (const auto chat = m_file.string("tokenizer.chat_template"))
        json["chat_template"] = *chat;
    for (const GgufJson &token : addedTokens()) {
        GgufJson entry = token;
        entry.erase("id");
        json["added_tokens_decoder"][std::to_string(token["id"].get<std::size_t>())] = std::move(entry);
    }
    return json;
}

GgufJson GgufTokenizerReader::generationConfig() const
{
    GgufJson json = GgufJson::object();
    if (const auto bos = tokenId("bos"))
        json["bos_token_id"] = *bos;
    GgufJson eos = GgufJson::array();
    for (const char *role : {"eos", "eot"})
        if (const auto id = tokenId(role); id && std::find(eos.begin(), eos.end(), *id) == eos.end())
            eos.push_back(*id);
    if (!eos.empty())
        json["eos_token_id"] = eos.size() == 1 ? eos.front() : eos;
    if (const auto pad = tokenId("padding"))
        json["pad_token_id"] = *pad;
    return json;
}

} // namespace

std::vector<CompanionFile> ggufCompanions(const GgufFile &file)
{
    GgufTokenizerReader reader(file);
    if (!reader.hasTokenizer())
        return {};
    std::string tokenizer = reader.tokenizer();
    return {{"tokenizer.json", std::move(tokenizer)},
            {"tokenizer_config.json", ggufJsonText(reader.tokenizerConfig(), 2) + "\n"},
            {"generation_config.json", ggufJsonText(reader.generationConfig(), 2) + "\n"}};
}

} // namespace secateur
