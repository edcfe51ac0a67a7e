#include "backend/text/bpe_training.h"

#include "backend/core/error.h"
#include "backend/text/byte_level.h"
#include "backend/text/pre_tokenizer.h"
#include "backend/text/utf8.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace secateur {

namespace {

constexpr std::size_t kBytes = 256;

using TrainingPair = std::pair<std::int32_t, std::int32_t>;

struct TrainingWord {
    std::vector<std::int32_t> symbols;
    std::int64_t count = 0;
};

const PreTokenizer &trainingPreTokenizer()
{
    static const PreTokenizer preTokenizer = [] {
        std::vector<PreTokenizerStep> steps;
        steps.emplace_back(
            SplitStep{{.literal = {}, .regex = TextRegex("\\p{N}", "digits")}, SplitBehavior::Isolated, false});
        steps.emplace_back(ByteLevelStep{});
        return PreTokenizer(std::move(steps));
    }();
    return preTokenizer;
}

/// The pair that occurs most often; count 0 when there is none.
std::pair<const TrainingPair, std::int64_t> mostFrequentPair(const std::vector<TrainingWord> &words)
{
    std::map<TrainingPair, std::int64_t> counts; // ordered: the first of equals has the oldest tokens
    for (const TrainingWord &word : words)
        for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i)
            counts[{word.symbols[i], word.symbols[i + 1]}] += word.count;
    const auto best = std::max_element(counts.begin(), counts.end(),
                                       [](const auto &a, const auto &b) { return a.second < b.second; });
    return best == counts.end() ? std::pair<const TrainingPair, std::int64_t>{} : *best;
}

void mergePair(TrainingWord &word, TrainingPair pair, std::int32_t merged)
{
    std::size_t out = 0;
    for (std::size_t i = 0; i < word.symbols.size(); ++out) {
        const bool here
            = i + 1 < word.symbols.size() && word.symbols[i] == pair.first && word.symbols[i + 1] == pair.second;
        word.symbols[out] = here ? merged : word.symbols[i];
        i += here ? 2 : 1;
    }
    word.symbols.resize(out);
}

} // namespace

void BpeTrainer::add(std::string_view text)
{
    while (!text.empty()) {
        std::size_t at = text.size();
        std::size_t length = 0;
        for (const FixedToken &token : m_fixed) {
            const auto found = text.find(token.text);
            if (found < at) {
                at = found;
                length = token.text.size();
            }
        }
        count(text.substr(0, at));
        text.remove_prefix(at + length);
    }
}

void BpeTrainer::count(std::string_view text)
{
    if (text.empty())
        return;
    for (const auto &piece : trainingPreTokenizer().apply(text, true).pieces)
        ++m_words[std::string(piece.text)];
}

std::string BpeTrainer::tokenizerJson(std::size_t size) const
{
    using Json = nlohmann::ordered_json;
    if (size < m_fixed.size() + kBytes)
        throw Error(ErrorKind::InvalidArgument,
                    "A vocabulary of " + std::to_string(size) + " tokens is too small: "
                        + std::to_string(m_fixed.size() + kBytes) + " are needed for the bytes and fixed tokens.");
    std::vector<std::string> tokens;
    Json added = Json::array();
    for (const FixedToken &token : m_fixed) {
        added.push_back({{"id", tokens.size()},
                         {"content", token.text},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", token.isSpecial}});
        tokens.push_back(token.text);
    }
    std::vector<char32_t> alphabet;
    for (std::size_t byte = 0; byte < kBytes; ++byte)
        alphabet.push_back(characterOfByte(static_cast<unsigned char>(byte)));
    std::sort(alphabet.begin(), alphabet.end());
    std::unordered_map<std::string, std::int32_t> ids;
    for (const char32_t c : alphabet) {
        std::string letter;
        appendUtf8(letter, c);
        ids[letter] = static_cast<std::int32_t>(tokens.size());
        tokens.push_back(letter);
    }

    std::vector<TrainingWord> words;
    for (const auto &[text, times] : m_words) {
        TrainingWord word{.symbols = {}, .count = times};
        for (std::size_t i = 0; i < text.size();) {
            const std::size_t length = utf8Step(text, i).length;
            word.symbols.push_back(ids.at(text.substr(i, length)));
            i += length;
        }
        words.push_back(std::move(word));
    }
    Json merges = Json::array();
    while (tokens.size() < size) {
        const auto [pair, times] = mostFrequentPair(words);
        if (times == 0)
            break;
        const std::string &left = tokens[static_cast<std::size_t>(pair.first)];
        const std::string &right = tokens[static_cast<std::size_t>(pair.second)];
        merges.push_back(left + " " + right);
        // Two ways of merging may end in the same text: that is one token.
        const auto [merged, isNew] = ids.emplace(left + right, static_cast<std::int32_t>(tokens.size()));
        for (TrainingWord &word : words)
            mergePair(word, pair, merged->second);
        if (isNew)
            tokens.push_back(merged->first);
    }

    Json vocabulary = Json::object();
    for (std::size_t id = 0; id < tokens.size(); ++id)
        vocabulary[tokens[id]] = id;
    const Json byteLevel
        = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
    const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
    const Json document
        = {{"version", "1.0"},
           {"truncation", nullptr},
           {"padding", nullptr},
           {"added_tokens", added},
           {"normalizer", nullptr},
           {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({digits, byteLevel})}}},
           {"post_processor", nullptr},
           {"decoder", byteLevel},
           {"model",
            {{"type", "BPE"},
             {"dropout", nullptr},
             {"unk_token", nullptr},
             {"continuing_subword_prefix", nullptr},
             {"end_of_word_suffix", nullptr},
             {"fuse_unk", false},
             {"byte_fallback", false},
             {"ignore_merges", false},
             {"vocab", vocabulary},
             {"merges", merges}}}};
    return document.dump(1) + "\n";
}

} // namespace secateur
