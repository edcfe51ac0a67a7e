#include "backend/io/json_node.h"

#include "backend/core/error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace secateur {

namespace {

constexpr int kJsonDepthLimit = 200;

/// "line 3, column 17" of a byte offset.
std::string jsonPlace(std::string_view text, std::size_t offset)
{
    const auto before = text.substr(0, std::min(offset, text.size()));
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const auto start = before.rfind('\n');
    const auto column = before.size() - (start == std::string_view::npos ? 0 : start + 1);
    return "line " + std::to_string(line) + ", column " + std::to_string(std::max<std::size_t>(column, 1));
}

/// The library's message without its id and position, which are said in our own words.
std::string jsonReason(const char *what)
{
    std::string reason = what;
    if (const auto end = reason.find("] "); end != std::string::npos)
        reason.erase(0, end + 2);
    if (const auto colon = reason.find(": "); reason.starts_with("parse error at") && colon != std::string::npos)
        reason.erase(0, colon + 2);
    return reason;
}

void checkJsonDepth(std::string_view text, const std::string &label)
{
    int depth = 0;
    bool inString = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (inString) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                inString = false;
        } else if (c == '"') {
            inString = true;
        } else if (c == '[' || c == '{') {
            if (++depth > kJsonDepthLimit)
                throw Error(ErrorKind::BadFormat,
                            label + ", " + jsonPlace(text, i + 1) + ": the JSON is nested deeper than "
                                + std::to_string(kJsonDepthLimit) + " levels.");
        } else if (c == ']' || c == '}') {
            --depth;
        }
    }
}

std::string jsonExcerpt(const nlohmann::json &value)
{
    if (value.is_object())
        return "an object";
    if (value.is_array())
        return "a list of " + std::to_string(value.size());
    std::string text = compactJson(value);
    if (text.size() > 60) {
        std::size_t end = 57;
        while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
            --end; // do not cut a character in two
        text = text.substr(0, end) + "…";
    }
    return text;
}

std::string escapedPointerToken(std::string_view key)
{
    std::string token;
    for (const char c : key) {
        if (c == '~')
            token += "~0";
        else if (c == '/')
            token += "~1";
        else
            token += c;
    }
    return token;
}

/// A list of plain values, or a short object of plain values.
bool fitsOnOneLine(const nlohmann::json &value)
{
    if (!value.is_structured() || value.empty())
        return true;
    const bool flat
        = std::all_of(value.begin(), value.end(), [](const nlohmann::json &item) { return !item.is_structured(); });
    return flat && (value.is_array() || (value.size() <= 8 && compactJson(value).size() <= 110));
}

void appendPretty(const nlohmann::json &value, std::size_t indent, std::string &out)
{
    if (fitsOnOneLine(value)) {
        out += compactJson(value);
        return;
    }
    out += value.is_object() ? '{' : '[';
    bool first = true;
    for (auto item = value.begin(); item != value.end(); ++item) {
        out += first ? "\n" : ",\n";
        first = false;
        out.append(indent + 2, ' ');
        if (value.is_object())
            out += compactJson(nlohmann::json(item.key())) + ": ";
        appendPretty(*item, indent + 2, out);
    }
    out += '\n';
    out.append(indent, ' ');
    out += value.is_object() ? '}' : ']';
}

} // namespace

nlohmann::json parseJsonText(std::string_view text, const std::string &label)
{
    checkJsonDepth(text, label);
    try {
        return nlohmann::json::parse(text.begin(), text.end());
    } catch (const nlohmann::json::parse_error &error) {
        throw Error(ErrorKind::BadFormat,
                    label + ", " + jsonPlace(text, error.byte) + ": not valid JSON (" + jsonReason(error.what())
                        + ").");
    } catch (const nlohmann::json::exception &error) { // a number beyond the range of double
        throw Error(ErrorKind::BadFormat, label + ": not valid JSON (" + jsonReason(error.what()) + ").");
    }
}

std::string prettyJson(const nlohmann::json &value)
{
    std::string out;
    appendPretty(value, 0, out);
    out += '\n';
    return out;
}

std::string compactJson(const nlohmann::json &value)
{
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

nlohmann::json numberToJson(double value)
{
    if (std::isnan(value))
        return "NaN";
    if (std::isinf(value))
        return value > 0 ? "Infinity" : "-Infinity";
    return value;
}

JsonNode::JsonNode(const nlohmann::json &value, const std::string &file, std::string pointer)
    : m_value(&value), m_file(&file), m_pointer(std::move(pointer))
{ }

bool JsonNode::isNull() const
{
    return m_value->is_null();
}

bool JsonNode::isObject() const
{
    return m_value->is_object();
}

bool JsonNode::isArray() const
{
    return m_value->is_array();
}

bool JsonNode::isString() const
{
    return m_value->is_string();
}

JsonNode JsonNode::at(std::string_view key) const
{
    if (!m_value->is_object())
        failType("an object");
    const auto member = m_value->find(key);
    if (member == m_value->end())
        fail("has no \"" + std::string(key) + "\"");
    return {*member, *m_file, m_pointer + "/" + escapedPointerToken(key)};
}

std::optional<JsonNode> JsonNode::find(std::string_view key) const
{
    if (!m_value->is_object())
        failType("an object");
    const auto member = m_value->find(key);
    if (member == m_value->end() || member->is_null())
        return std::nullopt;
    return JsonNode(*member, *m_file, m_pointer + "/" + escapedPointerToken(key));
}

std::vector<JsonNode> JsonNode::items() const
{
    if (!m_value->is_array())
        failType("a list");
    std::vector<JsonNode> nodes;
    nodes.reserve(m_value->size());
    for (std::size_t i = 0; i < m_value->size(); ++i)
        nodes.emplace_back((*m_value)[i], *m_file, m_pointer + "/" + std::to_string(i));
    return nodes;
}

void JsonNode::forEachMember(const std::function<void(const std::string &, const JsonNode &)> &visit) const
{
    if (!m_value->is_object())
        failType("an object");
    for (auto member = m_value->begin(); member != m_value->end(); ++member)
        visit(member.key(), JsonNode(*member, *m_file, m_pointer + "/" + escapedPointerToken(member.key())));
}

std::string JsonNode::string() const
{
    if (!m_value->is_string())
        failType("a string");
    return m_value->get<std::string>();
}

bool JsonNode::boolean() const
{
    if (!m_value->is_boolean())
        failType("true or false");
    return m_value->get<bool>();
}

double JsonNode::number() const
{
    if (m_value->is_number())
        return m_value->get<double>();
    if (m_value->is_string()) {
        const auto &text = m_value->get_ref<const std::string &>();
        if (text == "NaN")
            return std::numeric_limits<double>::quiet_NaN();
        if (text == "Infinity")
            return std::numeric_limits<double>::infinity();
        if (text == "-Infinity")
            return -std::numeric_limits<double>::infinity();
    }
    failType("a number");
}

std::int64_t JsonNode::integer(std::int64_t low, std::int64_t high) const
{
    if (!m_value->is_number_integer())
        failType("a whole number");
    const bool tooLarge = m_value->is_number_unsigned()
        && m_value->get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (tooLarge || m_value->get<std::int64_t>() < low || m_value->get<std::int64_t>() > high)
        fail("is " + jsonExcerpt(*m_value) + ", outside " + std::to_string(low) + " to " + std::to_string(high));
    return m_value->get<std::int64_t>();
}

std::uint64_t JsonNode::unsignedInteger() const
{
    if (!m_value->is_number_unsigned() && !(m_value->is_number_integer() && m_value->get<std::int64_t>() >= 0))
        failType("a whole number of at least 0");
    return m_value->get<std::uint64_t>();
}

void JsonNode::read(std::string_view key, std::string &value) const
{
    if (const auto node = find(key))
        value = node->string();
}

void JsonNode::read(std::string_view key, bool &value) const
{
    if (const auto node = find(key))
        value = node->boolean();
}

void JsonNode::read(std::string_view key, double &value) const
{
    if (const auto node = find(key))
        value = node->number();
}

void JsonNode::read(std::string_view key, int &value) const
{
    if (const auto node = find(key))
        value = static_cast<int>(node->integer(std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
}

void JsonNode::read(std::string_view key, std::int64_t &value) const
{
    if (const auto node = find(key))
        value = node->integer();
}

void JsonNode::read(std::string_view key, std::uint64_t &value) const
{
    if (const auto node = find(key))
        value = node->unsignedInteger();
}

void JsonNode::read(std::string_view key, std::vector<double> &value) const
{
    if (const auto node = find(key)) {
        value.clear();
        for (const auto &item : node->items())
            value.push_back(item.number());
    }
}

void JsonNode::read(std::string_view key, std::vector<std::string> &value) const
{
    if (const auto node = find(key)) {
        value.clear();
        for (const auto &item : node->items())
            value.push_back(item.string());
    }
}

void JsonNode::read(std::string_view key, std::map<std::string, int> &value) const
{
    if (const auto node = find(key)) {
        value.clear();
        node->forEachMember([&](const std::string &name, const JsonNode &member) {
            value[name]
                = static_cast<int>(member.integer(std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
        });
    }
}

void JsonNode::fail(const std::string &complaint) const
{
    throw Error(ErrorKind::BadFormat,
                *m_file + ": " + (m_pointer.empty() ? "the document" : m_pointer) + " " + complaint + ".");
}

void JsonNode::failType(const char *wanted) const
{
    fail(std::string("must be ") + wanted + ", found " + jsonExcerpt(*m_value));
}

} // namespace secateur
