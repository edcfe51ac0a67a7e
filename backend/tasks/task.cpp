#include "backend/tasks/task.h"

#include "backend/core/error.h"
#include "backend/core/resource_path.h"
#include "backend/io/atomic_file.h"
#include "backend/io/json_node.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace secateur {

namespace {

constexpr std::uint64_t kTaskRowsLimitBytes = 1ull << 30;
constexpr std::string_view kTaskBlanks = " \t\r\n";

std::string_view taskTrimmed(std::string_view text)
{
    const auto first = text.find_first_not_of(kTaskBlanks);
    return first == std::string_view::npos ? std::string_view()
                                           : text.substr(first, text.find_last_not_of(kTaskBlanks) - first + 1);
}

std::int64_t taskCodePoints(std::string_view text)
{
    return std::count_if(text.begin(), text.end(),
                         [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

/// One member or list entry of \a value by its dotted path, "choices.text" or "options.0".
JsonNode taskField(JsonNode value, std::string_view path)
{
    while (!path.empty()) {
        const auto dot = std::min(path.find('.'), path.size());
        const auto part = path.substr(0, dot);
        path.remove_prefix(std::min(dot + 1, path.size()));
        if (value.isArray()) {
            std::size_t index = 0;
            const auto items = value.items();
            const auto parsed = std::from_chars(part.data(), part.data() + part.size(), index);
            if (parsed.ec != std::errc() || parsed.ptr != part.data() + part.size() || index >= items.size())
                value.fail("has no entry \"" + std::string(part) + "\"");
            value = items[index];
        } else {
            value = value.at(part);
        }
    }
    return value;
}

/// Text as it is, numbers and truth values as JSON writes them.
std::string taskFieldText(const JsonNode &value)
{
    if (value.isString())
        return value.string();
    if (value.json().is_number() || value.json().is_boolean())
        return compactJson(value.json());
    value.fail("is neither text nor a number");
}

/// Fills "{field}" from \a row, and "{item}" with \a item when given; "{{" and "}}" stand for braces.
std::string fillTaskTemplate(std::string_view pattern, const JsonNode &row, const std::string *item = nullptr)
{
    std::string text;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if ((c == '{' || c == '}') && i + 1 < pattern.size() && pattern[i + 1] == c) {
            text += c;
            ++i;
        } else if (c == '{') {
            const auto end = pattern.find('}', i); // checkTaskTemplate() has seen it
            const auto field = pattern.substr(i + 1, end - i - 1);
            text += item && field == "item" ? *item : taskFieldText(taskField(row, field));
            i = end;
        } else {
            text += c;
        }
    }
    return text;
}

void checkTaskTemplate(const JsonNode &node)
{
    const std::string pattern = node.string();
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c != '{' && c != '}')
            continue;
        if (i + 1 < pattern.size() && pattern[i + 1] == c) {
            ++i;
            continue;
        }
        const auto end = pattern.find('}', i);
        if (c == '}' || end == std::string::npos || end == i + 1 || pattern.find('{', i + 1) < end)
            node.fail("has a brace without its partner; write {{ or }} for a brace in the text");
        i = end;
    }
}

void checkTaskWord(const JsonNode &node, std::initializer_list<const char *> known)
{
    const std::string value = node.string();
    std::string list;
    for (const char *name : known) {
        if (value == name)
            return;
        list += (list.empty() ? "" : ", ") + std::string(name);
    }
    node.fail("is \"" + value + "\"; known are " + list);
}

/// A task's definition as JSON, with the name of its file for messages.
struct TaskDefinition {
    explicit TaskDefinition(const TaskSpec &task)
        : file(task.id + ".json"), document(parseJsonText(task.definition, file))
    { }
    JsonNode root() const { return {document, file}; }

    std::string file;
    nlohmann::json document;
};

std::vector<std::string> taskStrings(const JsonNode &node)
{
    std::vector<std::string> values;
    for (const auto &item : node.items())
        values.push_back(item.string());
    return values;
}

TaskSpec readTaskSpec(const std::filesystem::path &path)
{
    TaskSpec task;
    task.definition = readTextFile(path);
    const std::string file = path.string();
    const auto document = parseJsonText(task.definition, file);
    const JsonNode root(document, file);
    task.id = root.at("id").string();
    if (task.id != path.stem().string())
        root.at("id").fail("is \"" + task.id + "\", which is not the name of the file");
    task.title = root.at("title").string();
    checkTaskWord(root.at("kind"), {"loglikelihood", "generation"});
    task.kind = root.at("kind").string();
    checkTaskWord(root.at("family"), {"classification", "generation", "reasoning"});
    task.family = root.at("family").string();
    root.read("folder", task.folder);
    if (const auto rows = root.at("rows"); taskStrings(rows).empty())
        rows.fail("names no file");
    root.at("gold").at("field").string();
    if (task.kind == "generation") {
        checkTaskTemplate(root.at("prompt"));
        checkTaskWord(root.at("grader"), {"gsm8k", "number", "boxed", "exact", "word-rules", "function"});
        task.grader = root.at("grader").string();
        if (task.grader == "function") {
            for (const auto &input : root.at("inputs").items())
                task.inputs.push_back(input.integer());
            if (task.inputs.empty())
                root.at("inputs").fail("names no value to try");
        }
        root.read("stop", task.stopStrings);
        if (const auto cap = root.find("max_new_tokens"))
            task.maxNewTokens = static_cast<int>(cap->integer(1, 1 << 20));
        return task;
    }
    const auto context = root.at("context");
    for (const auto &pattern : context.isArray() ? context.items() : std::vector<JsonNode>{context})
        checkTaskTemplate(pattern);
    if (const auto choices = root.at("choices"); choices.isObject()) {
        choices.at("each").string();
        checkTaskTemplate(choices.at("template"));
    } else {
        for (const auto &choice : choices.items())
            checkTaskTemplate(choice);
        if (choices.items().size() < 2)
            choices.fail("needs at least two entries");
    }
    return task;
}

std::filesystem::path taskRowsFolder(const TaskSpec &task, const JsonNode &root,
                                     const std::filesystem::path &dataFolder)
{
    bool bundled = false;
    root.read("bundled", bundled);
    if (!bundled)
        return dataFolder / task.folder;
    return resourceDirectory() / (task.folder.empty() ? "items" : task.folder);
}

std::filesystem::path taskFirstExisting(const std::filesystem::path &folder, const std::vector<std::string> &names)
{
    std::error_code error;
    for (const auto &name : names)
        if (std::filesystem::is_regular_file(folder / name, error))
            return folder / name;
    return {};
}

/// One row with its place, "…/dev.jsonl, line 7".
struct TaskRow {
    nlohmann::json value;
    std::string place;
};

/// JSON lines or one JSON array, told apart by content: the name says too little (AIME's .json files are JSON lines).
std::vector<TaskRow> readTaskRows(const std::filesystem::path &path, std::int64_t limit)
{
    const std::string file = path.string();
    const std::string text = readTextFile(path, kTaskRowsLimitBytes);
    const auto wanted = limit > 0 ? static_cast<std::size_t>(limit) : std::string::npos;
    std::string_view rest = text;
    if (rest.starts_with("\xEF\xBB\xBF"))
        rest.remove_prefix(3);
    std::vector<TaskRow> rows;
    if (taskTrimmed(rest).starts_with('[')) {
        auto document = parseJsonText(rest, file);
        for (std::size_t i = 0; i < document.size() && rows.size() < wanted; ++i)
            rows.push_back({std::move(document[i]), file + ", row " + std::to_string(i + 1)});
    } else {
        for (std::int64_t number = 1; !rest.empty() && rows.size() < wanted; ++number) {
            const auto end = std::min(rest.find('\n'), rest.size());
            const auto line = taskTrimmed(rest.substr(0, end));
            rest.remove_prefix(std::min(end + 1, rest.size()));
            if (line.empty())
                continue;
            const std::string place = file + ", line " + std::to_string(number);
            try {
                rows.push_back({parseJsonText(line, place), place});
            } catch (const Error &) {
                throw Error(ErrorKind::BadFormat, place + ": the line is not valid JSON.",
                            "Each line must hold one JSON object.");
            }
        }
    }
    if (rows.empty())
        throw Error(ErrorKind::BadFormat, file + " holds no row.");
    return rows;
}

/// Where the right answers are: a field of the row, or line k of a second file for row k.
class GoldReader {
public:
    GoldReader(const JsonNode &definition, const std::filesystem::path &folder) : m_definition(definition)
    {
        definition.read("base", m_base);
        if (const auto files = definition.find("files"))
            m_labels = taskFirstExisting(folder, taskStrings(*files));
        m_field = definition.at("field").string();
        definition.read("in", m_in);
        definition.read("after", m_after);
    }

    int choice(const JsonNode &row, std::size_t index, std::size_t choices)
    {
        if (!hasField(row) && !m_labels.empty())
            return labelOfFile(index, choices);
        const JsonNode value = taskField(row, m_field);
        if (!m_in.empty()) {
            const auto keys = taskField(row, m_in).items();
            for (std::size_t i = 0; i < keys.size() && i < choices; ++i)
                if (taskFieldText(keys[i]) == taskFieldText(value))
                    return static_cast<int>(i);
            value.fail("is \"" + taskFieldText(value) + "\", which is not one of the choices");
        }
        const auto number
            = parsedLabel(value.json().is_boolean() ? (value.boolean() ? "1" : "0") : taskFieldText(value), choices);
        if (!number)
            value.fail("is " + taskFieldText(value) + "; the number of one of the " + std::to_string(choices)
                       + " choices is expected");
        return *number;
    }

    std::string answer(const JsonNode &row) const
    {
        const JsonNode value = taskField(row, m_field);
        std::string text = taskFieldText(value);
        if (!m_after.empty()) {
            const auto mark = text.rfind(m_after);
            if (mark == std::string::npos)
                value.fail("has no \"" + m_after + "\" before the answer");
            text.erase(0, mark + m_after.size());
        }
        text = std::string(taskTrimmed(text));
        if (text.empty())
            value.fail("holds no answer");
        return text;
    }

private:
    bool hasField(const JsonNode &row) const
    {
        const auto first = m_field.substr(0, m_field.find('.'));
        return row.isObject() && row.find(first).has_value();
    }

    std::optional<int> parsedLabel(std::string_view text, std::size_t choices) const
    {
        int number = 0;
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
        if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || number < m_base
            || number - m_base >= static_cast<int>(choices))
            return std::nullopt;
        return number - m_base;
    }

    int labelOfFile(std::size_t index, std::size_t choices)
    {
        if (m_lines.empty()) {
            const std::string text = readTextFile(m_labels);
            for (std::string_view rest = text; !rest.empty();) {
                const auto end = std::min(rest.find('\n'), rest.size());
                m_lines.emplace_back(taskTrimmed(rest.substr(0, end)));
                rest.remove_prefix(std::min(end + 1, rest.size()));
            }
        }
        const std::string place = m_labels.string() + ", line " + std::to_string(index + 1);
        if (index >= m_lines.size())
            throw Error(ErrorKind::BadFormat, place + " is missing: there are fewer labels than rows.");
        const auto number = parsedLabel(m_lines[index], choices);
        if (!number)
            throw Error(ErrorKind::BadFormat,
                        place + ": the label is \"" + m_lines[index] + "\", not the number of a choice.");
        return *number;
    }

    JsonNode m_definition;
    std::filesystem::path m_labels;
    std::vector<std::string> m_lines;
    std::string m_field, m_in, m_after;
    int m_base = 0;
};

void fillTaskChoices(const JsonNode &definition, const JsonNode &row, TaskItem &item)
{
    if (definition.isObject()) {
        const std::string pattern = definition.at("template").string();
        for (const auto &entry : taskField(row, definition.at("each").string()).items()) {
            const std::string text = taskFieldText(entry);
            item.choices.push_back(fillTaskTemplate(pattern, row, &text));
        }
    } else {
        for (const auto &pattern : definition.items())
            item.choices.push_back(fillTaskTemplate(pattern.string(), row));
    }
    if (item.choices.size() < 2)
        row.fail("has fewer than two choices");
    for (const auto &choice : item.choices)
        item.choiceCharacters.push_back(taskCodePoints(choice) - (choice.starts_with(' ') ? 1 : 0));
}

/// One context, or one per choice.
void fillTaskContext(const JsonNode &definition, const JsonNode &row, TaskItem &item)
{
    if (definition.isArray()) {
        for (const auto &pattern : definition.items())
            item.contexts.push_back(fillTaskTemplate(pattern.string(), row));
        if (item.contexts.size() != item.choices.size())
            definition.fail("has " + std::to_string(item.contexts.size()) + " entries for "
                            + std::to_string(item.choices.size()) + " choices");
        item.context = item.contexts.front();
    } else {
        item.context = fillTaskTemplate(definition.string(), row);
    }
}

/// Length of the blank at the end of \a text, 0 when there is none. The blanks are those of Python's str.rstrip().
std::size_t taskTrailingBlank(std::string_view text)
{
    if (text.empty())
        return 0;
    const auto last = static_cast<unsigned char>(text.back());
    if (last == ' ' || (last >= 0x09 && last <= 0x0D) || (last >= 0x1C && last <= 0x1F))
        return 1;
    static constexpr std::array<std::string_view, 19> kWideBlanks{
        "\u0085", "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
        "\u2007", "\u2008", "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};
    for (const auto blank : kWideBlanks)
        if (text.ends_with(blank))
            return blank.size();
    return 0;
}

} // namespace

std::vector<TaskSpec> taskCatalogue()
{
    const auto folder = resourceDirectory() / "tasks";
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(folder, error))
        if (entry.path().extension() == ".json")
            files.push_back(entry.path());
    if (files.empty())
        throw Error(ErrorKind::NotFound, "The folder " + folder.string() + " holds no task.",
                    "Set SECATEUR_RESOURCES to the program's resources folder.");
    std::sort(files.begin(), files.end(), [](const auto &a, const auto &b) { return a.stem() < b.stem(); });
    std::vector<TaskSpec> tasks;
    for (const auto &file : files)
        tasks.push_back(readTaskSpec(file));
    return tasks;
}

TaskSpec findTask(const std::string &id)
{
    std::string known;
    for (auto &task : taskCatalogue()) {
        if (task.id == id)
            return std::move(task);
        known += (known.empty() ? "" : ", ") + task.id;
    }
    throw Error(ErrorKind::NotFound, "There is no task \"" + id + "\".", "Known tasks: " + known + ".");
}

std::filesystem::path taskRows(const TaskSpec &task, const std::filesystem::path &dataFolder, std::string *missing)
{
    const TaskDefinition definition(task);
    const auto folder = taskRowsFolder(task, definition.root(), dataFolder);
    const auto names = taskStrings(definition.root().at("rows"));
    auto rows = taskFirstExisting(folder, names);
    if (rows.empty() && missing)
        *missing = (task.folder.empty() ? std::filesystem::path("items") : std::filesystem::path(task.folder))
            / names.front();
    return rows;
}

std::vector<TaskItem> loadTaskItems(const TaskSpec &task, const std::filesystem::path &dataFolder, std::int64_t limit)
{
    std::string missing;
    const auto path = taskRows(task, dataFolder, &missing);
    if (path.empty())
        throw Error(ErrorKind::NotFound,
                    "The task " + task.title + " needs the file " + missing + ", which is not in " + dataFolder.string()
                        + ".",
                    "Choose the folder that holds " + missing + ".");
    const TaskDefinition definition(task);
    const JsonNode root = definition.root();
    GoldReader gold(root.at("gold"), path.parent_path());
    std::vector<TaskItem> items;
    const auto rows = readTaskRows(path, limit);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const JsonNode row(rows[i].value, rows[i].place);
        TaskItem item;
        item.docId = static_cast<std::int64_t>(i);
        if (task.kind == "generation") {
            item.context = fillTaskTemplate(root.at("prompt").string(), row);
            item.goldAnswer = gold.answer(row);
        } else {
            fillTaskChoices(root.at("choices"), row, item);
            fillTaskContext(root.at("context"), row, item);
            item.gold = gold.choice(row, i, item.choices.size());
        }
        items.push_back(std::move(item));
    }
    return items;
}

void moveTrailingBlanks(std::string &context, std::string &continuation)
{
    std::size_t end = context.size();
    while (const auto blank = taskTrailingBlank(std::string_view(context).substr(0, end)))
        end -= blank;
    continuation.insert(0, context, end, std::string::npos);
    context.resize(end);
}

} // namespace secateur
