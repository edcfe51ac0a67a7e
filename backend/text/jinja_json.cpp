#include "backend/text/jinja_text.h"
#include "backend/text/jinja_value.h"

#include <algorithm>
#include <cmath>

namespace secateur::jinja {
namespace {

std::string jsonNumber(double value)
{
    if (std::isnan(value))
        return "NaN";
    if (std::isinf(value))
        return value < 0 ? "-Infinity" : "Infinity";
    return floatText(value);
}

/// A key as json.dumps writes it: always a string.
std::string jsonKey(const Value &key)
{
    if (const std::string *text = key.asString())
        return *text;
    if (key.isNone())
        return "null";
    if (const bool *flag = key.asBool())
        return *flag ? "true" : "false";
    if (key.isInteger())
        return std::to_string(key.integer());
    if (key.isFloat())
        return jsonNumber(key.number());
    fail("keys must be str, int, float, bool or None, not " + std::string(key.typeName()));
}

class JsonWriter {
public:
    explicit JsonWriter(const JsonStyle &style) : m_style(style) { }

    std::string write(const Value &value)
    {
        put(value, 0);
        return std::move(m_out);
    }

private:
    void put(const Value &value, int level)
    {
        if (value.isNone())
            m_out += "null";
        else if (const bool *flag = value.asBool())
            m_out += *flag ? "true" : "false";
        else if (value.isInteger())
            m_out += std::to_string(value.integer());
        else if (value.isFloat())
            m_out += jsonNumber(value.number());
        else if (const std::string *text = value.asString())
            m_out += jsonText(*text, m_style.ensureAscii);
        else if (const List *list = value.asList(); list && list->kind != List::Kind::Generator)
            putList(*list, level);
        else if (const Dict *dict = value.asDict())
            putDict(*dict, level);
        else
            fail("Object of type " + std::string(value.typeName()) + " is not JSON serializable");
    }

    void newLine(int level)
    {
        if (!m_style.multiline)
            return;
        m_out += '\n';
        for (int i = 0; i < level; ++i)
            m_out += m_style.indent;
    }

    void putList(const List &list, int level)
    {
        m_out += '[';
        for (std::size_t i = 0; i < list.items.size(); ++i) {
            if (i > 0)
                m_out += m_style.itemSeparator;
            newLine(level + 1);
            put(list.items[i], level + 1);
        }
        if (!list.items.empty())
            newLine(level);
        m_out += ']';
    }

    void putDict(const Dict &dict, int level)
    {
        auto items = dict.items;
        if (m_style.sortKeys)
            std::ranges::stable_sort(items,
                                     [](const auto &a, const auto &b) { return order(a.first, b.first, "<") < 0; });
        m_out += '{';
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (i > 0)
                m_out += m_style.itemSeparator;
            newLine(level + 1);
            m_out += jsonText(jsonKey(items[i].first), m_style.ensureAscii) + m_style.keySeparator;
            put(items[i].second, level + 1);
        }
        if (!items.empty())
            newLine(level);
        m_out += '}';
    }

    const JsonStyle &m_style;
    std::string m_out;
};

} // namespace

std::string toJson(const Value &value, const JsonStyle &style)
{
    return JsonWriter(style).write(value);
}

} // namespace secateur::jinja
