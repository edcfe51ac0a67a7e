#include "app/cli/inputs.h"

#include "backend/core/error.h"
#include "backend/core/json_text.h"
#include "backend/io/atomic_file.h"
#include "backend/io/json_node.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>

namespace secateur::cli {

namespace {

constexpr int kLargestId = std::numeric_limits<std::int32_t>::max();

bool isBlank(std::string_view text)
{
    return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

/// Rows of a JSON lines file, or of one JSON array.
void forEachRow(const std::filesystem::path &path, const std::function<void(const JsonNode &)> &visit)
{
    const std::string file = path.string();
    const std::string text = readTextFile(path);
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string::npos)
        throw Error(ErrorKind::BadFormat, file + " is empty.");
    if (text[first] == '[') {
        const auto document = parseJson(text, file);
        for (const JsonNode &row : JsonNode(document, file).items())
            visit(row);
        return;
    }
    std::string_view rest = text;
    for (std::int64_t number = 1; !rest.empty(); ++number) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        if (isBlank(line))
            continue;
        const std::string place = file + ", line " + std::to_string(number);
        const auto row = parseJson(line, place);
        visit(JsonNode(row, place));
    }
}

std::vector<ChatMessage> messagesOf(const JsonNode &list)
{
    std::vector<ChatMessage> messages;
    for (const JsonNode &item : list.items())
        messages.push_back({item.at("role").string(), item.at("content").string()});
    if (messages.empty())
        list.fail("holds no message");
    return messages;
}

TokenIds idsOf(const JsonNode &list)
{
    TokenIds ids;
    for (const JsonNode &item : list.items())
        ids.push_back(static_cast<std::int32_t>(item.integer(0, kLargestId)));
    return ids;
}

int parseInteger(std::string_view text, const std::string &option)
{
    while (!text.empty() && text.front() == ' ')
        text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ')
        text.remove_suffix(1);
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0)
        throw Error(ErrorKind::InvalidArgument,
                    option + " has '" + std::string(text) + "' where a number of 0 or more is needed.");
    return value;
}

std::vector<std::string_view> splitAt(std::string_view text, char separator)
{
    std::vector<std::string_view> parts;
    while (true) {
        const auto at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos)
            return parts;
        text.remove_prefix(at + 1);
    }
}

} // namespace

std::vector<std::string> readStrings(const std::filesystem::path &path)
{
    const std::string file = path.string();
    const auto document = parseJson(readTextFile(path), file);
    std::vector<std::string> strings;
    for (const JsonNode &item : JsonNode(document, file).items())
        strings.push_back(item.string());
    return strings;
}

std::vector<ChatMessage> readMessages(const std::filesystem::path &path)
{
    const std::string file = path.string();
    const auto document = parseJson(readTextFile(path), file);
    const JsonNode root(document, file);
    return messagesOf(root.isObject() ? root.at("messages") : root);
}

std::vector<workflow::TextRequest> readTextRequests(const std::filesystem::path &path)
{
    std::vector<workflow::TextRequest> requests;
    forEachRow(path, [&](const JsonNode &row) {
        requests.push_back({row.at("context").string(), row.at("continuation").string()});
    });
    return requests;
}

std::vector<Prompt> readPrompts(const std::filesystem::path &path)
{
    std::vector<Prompt> prompts;
    forEachRow(path, [&](const JsonNode &row) {
        Prompt prompt;
        if (row.isString())
            prompt.text = row.string();
        else if (const auto messages = row.find("messages"))
            prompt.messages = messagesOf(*messages);
        else if (const auto ids = row.find("ids"))
            prompt.ids = idsOf(*ids);
        else
            prompt.text = row.at("prompt").string();
        prompts.push_back(std::move(prompt));
    });
    return prompts;
}

TokenIds parseIds(const std::string &text)
{
    TokenIds ids;
    std::string commas = text;
    for (char &c : commas)
        if (c == ' ')
            c = ',';
    for (const auto part : splitAt(commas, ','))
        if (!part.empty())
            ids.push_back(parseInteger(part, "The list of ids"));
    return ids;
}

std::set<int> parseUnits(const std::string &text, const std::string &option)
{
    std::set<int> units;
    for (const auto part : splitAt(text, ',')) {
        const auto dash = part.find('-');
        const int first = parseInteger(part.substr(0, dash), option);
        const int last = dash == std::string_view::npos ? first : parseInteger(part.substr(dash + 1), option);
        if (last < first || last - first > 1'000'000)
            throw Error(ErrorKind::InvalidArgument, option + " has the range '" + std::string(part) + "'.");
        for (int unit = first; unit <= last; ++unit)
            units.insert(unit);
    }
    return units;
}

std::map<int, std::set<int>> parseUnitsByBlock(const std::string &text, const std::string &option)
{
    std::map<int, std::set<int>> units;
    for (const auto part : splitAt(text, ';')) {
        const auto colon = part.find(':');
        if (colon == std::string_view::npos)
            throw Error(ErrorKind::InvalidArgument, option + " has '" + std::string(part) + "' without a block number.",
                        "Write block:units, for example 3:0-9,17;4:1.");
        units[parseInteger(part.substr(0, colon), option)].merge(
            parseUnits(std::string(part.substr(colon + 1)), option));
    }
    return units;
}

AdapterSummary readAdapterSummary(const std::filesystem::path &folder)
{
    const auto path = folder / "adapter_config.json";
    const std::string file = path.string();
    const auto document = parseJson(readTextFile(path), file);
    const JsonNode root(document, file);
    AdapterSummary summary;
    summary.type = root.at("peft_type").string();
    root.read("base_model_name_or_path", summary.base);
    root.read("r", summary.rank);
    root.read("lora_alpha", summary.alpha);
    root.read("use_rslora", summary.rsLora);
    if (const auto targets = root.find("target_modules")) {
        if (targets->isString())
            summary.targets = {targets->string()};
        else
            root.read("target_modules", summary.targets);
    }
    return summary;
}

} // namespace secateur::cli
