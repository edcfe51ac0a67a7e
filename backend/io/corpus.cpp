#include "backend/io/corpus.h"

#include "backend/core/error.h"
#include "backend/io/atomic_file.h"
#include "backend/io/digest.h"
#include "backend/io/json_node.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

namespace secateur {

namespace {

constexpr std::uint64_t kCorpusLimitBytes = 1ull << 30;
constexpr const char *kCorpusForms
    = "Known row forms: text; messages; conversations; prompt and response; instruction, input and "
      "output; question and answer.";
constexpr std::string_view kCorpusBlanks = " \t\r\n\v\f";

bool corpusIsBlank(std::string_view text)
{
    return text.find_first_not_of(kCorpusBlanks) == std::string_view::npos;
}

/// Length of the UTF-8 sequence at the front of \a text, 0 when it is ill-formed (overlong, surrogate, beyond
/// U+10FFFF).
std::size_t corpusSequenceLength(std::string_view text)
{
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const auto isTail = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
    const unsigned first = byte(0);
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return isTail(1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        const bool overlong = first == 0xE0 && byte(1) < 0xA0;
        const bool surrogate = first == 0xED && byte(1) >= 0xA0;
        return isTail(1) && isTail(2) && !overlong && !surrogate ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        const bool overlong = first == 0xF0 && byte(1) < 0x90;
        const bool beyond = first == 0xF4 && byte(1) >= 0x90;
        return isTail(1) && isTail(2) && isTail(3) && !overlong && !beyond ? 4 : 0;
    }
    return 0;
}

void checkPlainText(std::string_view text, const std::string &file)
{
    for (std::size_t i = 0; i < text.size();) {
        const auto length = corpusSequenceLength(text.substr(i));
        if (length == 0 || text[i] == '\0') {
            const auto line = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(i), '\n') + 1;
            throw Error(ErrorKind::BadFormat,
                        file + ", line " + std::to_string(line) + ": the file is not UTF-8 text (byte "
                            + std::to_string(static_cast<unsigned char>(text[i])) + ").",
                        "Convert the file to UTF-8.");
        }
        i += length;
    }
}

/// A string, or a list of parts such as {"type": "text", "value": "…"}.
std::string contentText(const JsonNode &content)
{
    if (content.isNull())
        return {};
    if (!content.isArray())
        return content.string();
    std::string text;
    for (const auto &part : content.items()) {
        if (part.isString()) {
            text += part.string();
            continue;
        }
        if (const auto type = part.find("type"); type && type->string() != "text")
            type->fail("is \"" + type->string() + "\"; only text parts can be used");
        const auto value = part.find("value");
        text += value ? value->string() : part.at("text").string();
    }
    return text;
}

std::string messageRole(const JsonNode &role)
{
    static constexpr std::array<std::pair<std::string_view, const char *>, 7> kRoles{{{"system", "system"},
                                                                                      {"user", "user"},
                                                                                      {"human", "user"},
                                                                                      {"assistant", "assistant"},
                                                                                      {"gpt", "assistant"},
                                                                                      {"model", "assistant"},
                                                                                      {"bot", "assistant"}}};
    const std::string name = role.string();
    for (const auto &[known, canonical] : kRoles)
        if (name == known)
            return canonical;
    role.fail("is \"" + name + "\"; known roles are system, user (human) and assistant (gpt)");
}

enum class RowForm { Text, Chat, PromptResponse };

struct CorpusRow {
    RowForm form = RowForm::Text;
    CorpusSample sample;
    bool hasResponse = true;
};

CorpusRow chatRow(const JsonNode &row, const JsonNode &turns, const char *roleKey, const char *contentKey)
{
    CorpusRow result{RowForm::Chat, {}, false};
    if (const auto system = row.find("system"); system && !corpusIsBlank(system->string()))
        result.sample.messages.push_back({"system", system->string()});
    for (const auto &turn : turns.items()) {
        auto role = messageRole(turn.at(roleKey));
        auto content = contentText(turn.at(contentKey));
        if (role == "assistant")
            result.hasResponse = !corpusIsBlank(content); // the last assistant turn decides
        result.sample.messages.push_back({std::move(role), std::move(content)});
    }
    return result;
}

CorpusRow pairRow(std::string prompt, std::string response)
{
    CorpusRow result{RowForm::PromptResponse, {}, !corpusIsBlank(response)};
    result.sample.messages = {{"user", std::move(prompt)}, {"assistant", std::move(response)}};
    return result;
}

std::vector<WeightedSpan> textSpans(const JsonNode &spans, std::size_t bytes)
{
    std::vector<WeightedSpan> result;
    std::size_t last = 0;
    for (const JsonNode &item : spans.items()) {
        const auto parts = item.items();
        if (parts.size() != 3)
            item.fail("is not [begin, end, weight]");
        WeightedSpan span;
        span.begin = static_cast<std::size_t>(parts[0].integer(static_cast<std::int64_t>(last)));
        span.end = static_cast<std::size_t>(parts[1].integer(static_cast<std::int64_t>(span.begin)));
        span.weight = parts[2].number();
        if (span.end > bytes)
            parts[1].fail("lies behind the end of the text of " + std::to_string(bytes) + " bytes");
        if (!std::isfinite(span.weight) || span.weight < 0)
            parts[2].fail("is no weight: at least 0 is expected");
        last = span.end;
        result.push_back(span);
    }
    return result;
}

CorpusRow readRow(const JsonNode &row)
{
    if (const auto turns = row.find("messages")) {
        const bool shareGpt = turns->isArray() && !turns->json().empty() && turns->json().front().contains("from");
        return shareGpt ? chatRow(row, *turns, "from", "value") : chatRow(row, *turns, "role", "content");
    }
    if (const auto turns = row.find("conversations")) {
        const bool openAi = turns->isArray() && !turns->json().empty() && turns->json().front().contains("role");
        return openAi ? chatRow(row, *turns, "role", "content") : chatRow(row, *turns, "from", "value");
    }
    if (row.find("prompt")) {
        const auto response = row.find("response");
        return pairRow(row.at("prompt").string(), response ? response->string() : row.at("completion").string());
    }
    if (const auto instruction = row.find("instruction")) {
        std::string prompt = instruction->string();
        if (const auto input = row.find("input"); input && !corpusIsBlank(input->string()))
            prompt += "\n\n" + input->string();
        return pairRow(std::move(prompt), row.at("output").string());
    }
    if (const auto question = row.find("question"))
        return pairRow(question->string(), row.at("answer").string());
    if (const auto text = row.find("text")) {
        CorpusRow result;
        result.sample.text = text->string();
        result.hasResponse = !corpusIsBlank(result.sample.text);
        if (const auto spans = row.find("spans"))
            result.sample.spans = textSpans(*spans, result.sample.text.size());
        return result;
    }
    row.fail("has none of the known fields");
}

/// Collects rows and gives messages their place: file, line or row, field.
class CorpusBuilder {
public:
    explicit CorpusBuilder(Corpus &corpus) : m_corpus(corpus) { }

    void add(const nlohmann::json &value, const std::string &place)
    {
        try {
            if (!value.is_object())
                JsonNode(value, place).fail("is not a JSON object");
            auto row = readRow(JsonNode(value, place));
            m_chat |= row.form == RowForm::Chat;
            m_pair |= row.form == RowForm::PromptResponse;
            if (row.hasResponse)
                m_corpus.samples.push_back(std::move(row.sample));
            else
                ++m_corpus.skipped;
        } catch (const Error &error) {
            throw Error(error.kind(), error.info().message, kCorpusForms);
        }
    }

    void finish() { m_corpus.kind = m_chat ? "chat" : m_pair ? "prompt-response" : "jsonl-text"; }

private:
    Corpus &m_corpus;
    bool m_chat = false;
    bool m_pair = false;
};

/// The file is a JSON array or one object when it parses as such; prose may well begin with a bracket.
std::optional<nlohmann::json> wholeJson(std::string_view text, const std::string &file, bool mustBeJson)
{
    try {
        return parseJsonText(text, file);
    } catch (const Error &) {
        if (mustBeJson)
            throw;
        return std::nullopt;
    }
}

/// The first character after \a offset that is not blank, 0 at the end.
char corpusNextMark(std::string_view text, std::size_t offset)
{
    const auto next = text.find_first_not_of(kCorpusBlanks, offset);
    return next == std::string_view::npos ? '\0' : text[next];
}

void readLines(std::string_view text, const std::string &file, CorpusBuilder &builder)
{
    std::int64_t number = 0;
    while (!text.empty()) {
        ++number;
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (corpusIsBlank(line))
            continue;
        const std::string place = file + ", line " + std::to_string(number);
        nlohmann::json row;
        try {
            row = parseJsonText(line, file);
        } catch (const Error &error) {
            // parseJsonText() sees one line only, so the line number comes from here.
            const auto &message = error.info().message;
            const auto reason = message.find(": ", std::min(file.size(), message.size()));
            throw Error(ErrorKind::BadFormat,
                        place + (reason == std::string::npos ? ": not valid JSON." : message.substr(reason)),
                        "Each line of a JSON lines file must be one object.");
        }
        builder.add(row, place);
    }
}

bool readJsonCorpus(std::string_view text, const std::string &file, Corpus &corpus)
{
    const auto start = text.find_first_not_of(kCorpusBlanks);
    const char mark = text[start];
    CorpusBuilder builder(corpus);
    if (mark == '[') {
        const char second = corpusNextMark(text, start + 1);
        const auto document = wholeJson(text, file, second == '{');
        if (!document)
            return false;
        if (second == '[' || (second >= '0' && second <= '9'))
            throw Error(ErrorKind::BadFormat, file + " holds lists of numbers, not text or chat rows.",
                        "Give a file of token ids as ids:" + file + ".");
        for (std::size_t i = 0; i < document->size(); ++i)
            builder.add((*document)[i], file + ", row " + std::to_string(i + 1));
    } else if (mark == '{') {
        const char second = corpusNextMark(text, start + 1);
        if (second != '"' && second != '}')
            return false; // prose or code
        const auto lineEnd = std::min(text.find('\n', start), text.size());
        const bool firstLineIsWhole = nlohmann::json::accept(text.substr(start, lineEnd - start));
        const bool moreLines = lineEnd < text.size() && !corpusIsBlank(text.substr(lineEnd));
        if (!firstLineIsWhole && moreLines && nlohmann::json::accept(text)) {
            builder.add(parseJsonText(text, file), file); // one object over several lines
        } else {
            readLines(text, file, builder);
        }
    } else {
        return false;
    }
    builder.finish();
    return true;
}

} // namespace

Corpus readCorpus(const std::filesystem::path &path)
{
    const std::string text = readTextFile(path, kCorpusLimitBytes);
    const std::string file = path.filename().string();
    Corpus corpus;
    corpus.name = file;
    corpus.sha256 = sha256Hex(text);
    std::string_view body = text;
    if (body.starts_with("\xEF\xBB\xBF"))
        body.remove_prefix(3);
    if (corpusIsBlank(body))
        throw Error(ErrorKind::BadFormat, path.string() + " is empty.", "Choose a file with text or chat rows.");
    if (!readJsonCorpus(body, path.string(), corpus)) {
        checkPlainText(body, path.string());
        corpus.kind = "text";
        corpus.samples.push_back({std::string(body), {}, {}});
    }
    if (corpus.samples.empty())
        throw Error(ErrorKind::BadFormat,
                    path.string() + " has no usable row: " + std::to_string(corpus.skipped) + " of "
                        + std::to_string(corpus.skipped) + " rows have an empty text or response.",
                    kCorpusForms);
    return corpus;
}

std::vector<std::vector<std::int32_t>> readIdsFile(const std::filesystem::path &path)
{
    const std::string file = path.string();
    const auto document = parseJsonText(readTextFile(path), file);
    const JsonNode root(document, file);
    std::vector<std::vector<std::int32_t>> sequences;
    const auto rows = root.isObject() ? root.at("sequences").items() : root.items();
    for (const auto &row : rows) {
        auto &sequence = sequences.emplace_back();
        for (const auto &id : row.items())
            sequence.push_back(static_cast<std::int32_t>(id.integer(0, std::numeric_limits<std::int32_t>::max())));
        if (sequence.empty())
            row.fail("is an empty sequence");
    }
    if (sequences.empty())
        root.fail("holds no sequence");
    return sequences;
}

} // namespace secateur
