#include "backend/text/jinja_evaluator.h"
#include "backend/text/jinja_text.h"
#include "backend/text/utf8.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace secateur::jinja {
namespace {

using Filter = Value (*)(Evaluator &, const Value &, const Arguments &);

bool flagOf(const Value *value, bool fallback = false)
{
    return value ? value->truth() : fallback;
}

/// Comparison key: small letters unless case matters.
Value sortKey(const Value &value, bool caseSensitive)
{
    const std::string *text = value.asString();
    return text && !caseSensitive ? Value(lowerText(*text)) : value;
}

/// "a.b.0" on a value
Value attributePath(const Value &value, const Value &path, const Value *fallback)
{
    if (path.isInteger())
        return item(value, path);
    const std::string names = path.text();
    Value current = value;
    for (const std::string_view name : splitAt(names, ".", -1)) {
        std::int64_t position = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), position);
        const bool isPosition = error == std::errc() && end == name.data() + name.size();
        current = item(current, isPosition ? Value(position) : Value(name));
        if (fallback && current.isUndefined())
            current = *fallback;
    }
    return current;
}

/// map and select take none and other empty values for no items.
std::vector<Value> itemsOrNone(const Value &value)
{
    return value.truth() ? iterate(value) : std::vector<Value>{};
}

/// What follows the first \a count arguments.
Arguments argumentsAfter(const Arguments &arguments, std::size_t count)
{
    Arguments rest;
    rest.positional.assign(arguments.positional.begin()
                               + static_cast<std::ptrdiff_t>(std::min(count, arguments.positional.size())),
                           arguments.positional.end());
    rest.named = arguments.named;
    return rest;
}

Value tojsonFilter(Evaluator &evaluator, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
    JsonStyle style;
    style.ensureAscii = flagOf(bound[0]);
    style.sortKeys = flagOf(bound[3]);
    if (bound[1] && !bound[1]->isNone()) {
        style.multiline = true;
        style.itemSeparator = ",";
        const std::string *text = bound[1]->asString();
        style.indent = text
            ? *text
            : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(bound[1]->integer(), 0, 64)), ' ');
    }
    if (bound[2] && !bound[2]->isNone()) {
        const std::vector<Value> separators = iterate(*bound[2]);
        if (separators.size() != 2)
            fail("tojson needs two separators");
        style.itemSeparator = separators[0].text();
        style.keySeparator = separators[1].text();
    }
    std::string text = toJson(value, style);
    evaluator.charge(text.size());
    return text;
}

Value defaultFilter(Evaluator &, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("default", arguments, {"default_value", "boolean"});
    const bool missing = value.isUndefined() || (flagOf(bound[1]) && !value.truth());
    return !missing ? value : bound[0] ? *bound[0] : Value("");
}

Value trimFilter(Evaluator &, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("trim", arguments, {"chars"});
    const std::string text = value.text();
    if (!bound[0] || bound[0]->isNone())
        return strippedSpace(text, StripSide::Both);
    return strippedCharacters(text, bound[0]->text(), StripSide::Both);
}

Value joinFilter(Evaluator &evaluator, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("join", arguments, {"d", "attribute"});
    const std::string between = bound[0] ? bound[0]->text() : std::string();
    std::string result;
    bool first = true;
    for (const Value &part : iterate(value)) {
        if (!std::exchange(first, false))
            result += between;
        result += (bound[1] && !bound[1]->isNone() ? attributePath(part, *bound[1], nullptr) : part).text();
        evaluator.charge(0);
    }
    evaluator.charge(result.size());
    return result;
}

Value replaceFilter(Evaluator &evaluator, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("replace", arguments, {"old", "new", "count"});
    if (!bound[0] || !bound[1])
        fail("replace needs two texts");
    const long limit = bound[2] && !bound[2]->isNone() ? static_cast<long>(bound[2]->integer()) : -1;
    std::string text = replacedText(value.text(), bound[0]->text(), bound[1]->text(), limit);
    evaluator.charge(text.size());
    return text;
}

/// Jinja's own title: words start after blanks, hyphens and opening brackets.
Value titleFilter(Evaluator &, const Value &value, const Arguments &)
{
    std::string result;
    bool atStart = true;
    const std::string text = value.text();
    for (const std::string_view point : codePoints(text)) {
        result += atStart ? upperText(point) : lowerText(point);
        const char32_t c = utf8Step(point, 0).codePoint;
        atStart = isPythonSpace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    }
    return result;
}

Value indentFilter(Evaluator &evaluator, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("indent", arguments, {"width", "first", "blank"});
    std::string margin(4, ' ');
    if (bound[0]) {
        const std::string *text = bound[0]->asString();
        margin = text
            ? *text
            : std::string(static_cast<std::size_t>(std::clamp<std::int64_t>(bound[0]->integer(), 0, 1000)), ' ');
    }
    const bool first = flagOf(bound[1]);
    const bool blank = flagOf(bound[2]);
    const std::string text = value.text() + "\n";
    const std::vector<std::string_view> lines = splitLines(text, false);
    evaluator.charge(text.size() + lines.size() * margin.size());
    std::string result = first ? margin : std::string();
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i > 0) {
            result += '\n';
            if (blank || !lines[i].empty())
                result += margin;
        }
        result += lines[i];
    }
    return result;
}

Value intFilter(Evaluator &, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("int", arguments, {"default", "base"});
    const Value fallback = bound[0] ? *bound[0] : Value(std::int64_t{0});
    const auto fromFloat = [&](double number) {
        constexpr double limit = 9.2e18;
        return std::isfinite(number) && std::fabs(number) < limit ? Value(static_cast<std::int64_t>(number)) : fallback;
    };
    value.requireDefined();
    if (value.isFloat())
        return fromFloat(value.number());
    if (value.isNumber())
        return value.integer();
    const std::string *text = value.asString();
    if (!text)
        return fallback;
    std::string digits(strippedSpace(*text, StripSide::Both));
    std::erase(digits, '_');
    if (digits.starts_with('+'))
        digits.erase(0, 1);
    const std::int64_t base = bound[1] ? bound[1]->integer() : 10;
    if (base < 2 || base > 36)
        return fallback;
    const bool isNegative = digits.starts_with('-');
    for (const auto &[prefix, itsBase] : {std::pair{"0x", 16}, std::pair{"0o", 8}, std::pair{"0b", 2}}) {
        if (base == itsBase && lowerText(digits).starts_with((isNegative ? "-" : "") + std::string(prefix)))
            digits.erase(isNegative ? 1 : 0, 2);
    }
    const char *end = digits.data() + digits.size();
    std::int64_t whole = 0;
    if (const auto result = std::from_chars(digits.data(), end, whole, static_cast<int>(base));
        result.ec == std::errc() && result.ptr == end)
        return whole;
    double number = 0;
    if (const auto result = std::from_chars(digits.data(), end, number); result.ec == std::errc() && result.ptr == end)
        return fromFloat(number);
    return fallback;
}

Value floatFilter(Evaluator &, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("float", arguments, {"default"});
    value.requireDefined();
    if (value.isNumber())
        return value.number();
    if (const std::string *text = value.asString()) {
        std::string digits(strippedSpace(*text, StripSide::Both));
        if (digits.starts_with('+'))
            digits.erase(0, 1);
        double number = 0;
        const char *end = digits.data() + digits.size();
        if (const auto result = std::from_chars(digits.data(), end, number);
            result.ec == std::errc() && result.ptr == end)
            return number;
    }
    return bound[0] ? *bound[0] : Value(0.0);
}

Value absFilter(Evaluator &, const Value &value, const Arguments &)
{
    if (value.isFloat())
        return std::fabs(value.number());
    return value.integer() < 0 ? negated(value) : Value(value.integer());
}

Value roundFilter(Evaluator &, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("round", arguments, {"precision", "method"});
    const std::string method = bound[1] ? bound[1]->text() : "common";
    const std::int64_t precision = bound[0] ? std::clamp<std::int64_t>(bound[0]->integer(), -300, 300) : 0;
    const double factor = std::pow(10.0, static_cast<double>(precision));
    const double number = value.number();
    if (method == "ceil")
        return std::ceil(number * factor) / factor;
    if (method == "floor")
        return std::floor(number * factor) / factor;
    if (method != "common")
        fail("method must be common, ceil or floor");
    if (precision > 0 && std::isfinite(number)) {
        std::array<char, 700> buffer{};
        const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::fixed,
                                       static_cast<int>(precision))
                             .ptr;
        double rounded = 0;
        std::from_chars(buffer.data(), end, rounded);
        return rounded;
    }
    const double rounded = std::nearbyint(number * factor) / factor;
    return value.isFloat() ? Value(rounded) : Value(static_cast<std::int64_t>(rounded));
}

Value firstFilter(Evaluator &, const Value &value, const Arguments &)
{
    const std::vector<Value> items = iterate(value);
    return items.empty() ? Value::undefined("No first item, sequence was empty.") : items.front();
}

Value lastFilter(Evaluator &, const Value &value, const Arguments &)
{
    if (value.asList() && value.asList()->kind == List::Kind::Generator)
        fail("'generator' object is not reversible");
    const std::vector<Value> items = iterate(value);
    return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value itemsFilter(Evaluator &, const Value &value, const Arguments &)
{
    if (value.isUndefined())
        return Value::generator({});
    const Dict *dict = value.asDict();
    if (!dict)
        fail("Can only get item pairs from a mapping.");
    std::vector<Value> pairs;
    for (const auto &[key, entry] : dict->items)
        pairs.push_back(Value::tuple({key, entry}));
    return Value::generator(std::move(pairs));
}

/// Stable, so that equal items keep their order, backwards too.
void sortBy(std::vector<std::pair<Value, Value>> &keyed, bool reverse)
{
    std::ranges::stable_sort(keyed, [&](const auto &a, const auto &b) {
        return reverse ? order(b.first, a.first, "<") < 0 : order(a.first, b.first, "<") < 0;
    });
}

Value dictsortFilter(Evaluator &evaluator, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("dictsort", arguments, {"case_sensitive", "by", "reverse"});
    const std::string by = bound[1] ? bound[1]->text() : "key";
    if (by != "key" && by != "value")
        fail("You can only sort by either \"key\" or \"value\"");
    const Dict *dict = value.asDict();
    if (!dict) {
        value.requireDefined();
        fail("dictsort needs a mapping");
    }
    evaluator.chargeItems(dict->items.size());
    std::vector<std::pair<Value, Value>> keyed;
    for (const auto &[key, entry] : dict->items)
        keyed.emplace_back(sortKey(by == "key" ? key : entry, flagOf(bound[0])), Value::tuple({key, entry}));
    sortBy(keyed, flagOf(bound[2]));
    std::vector<Value> items;
    for (auto &entry : keyed)
        items.push_back(std::move(entry.second));
    return Value::list(std::move(items));
}

Value sortFilter(Evaluator &evaluator, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("sort", arguments, {"reverse", "case_sensitive", "attribute"});
    const bool caseSensitive = flagOf(bound[1]);
    std::vector<std::pair<Value, Value>> keyed;
    for (Value &entry : iterate(value)) {
        // Lists as keys compare equal items before they ask for an order, so that none beside none can be sorted.
        std::vector<Value> keys;
        if (bound[2] && !bound[2]->isNone()) {
            const std::string paths = bound[2]->text();
            for (const std::string_view path : splitAt(paths, ",", -1))
                keys.push_back(sortKey(attributePath(entry, bound[2]->isInteger() ? *bound[2] : Value(path), nullptr),
                                       caseSensitive));
        } else {
            keys.push_back(sortKey(entry, caseSensitive));
        }
        keyed.emplace_back(Value::list(std::move(keys)), std::move(entry));
    }
    evaluator.chargeItems(keyed.size() * 16);
    sortBy(keyed, flagOf(bound[0]));
    std::vector<Value> items;
    for (auto &entry : keyed)
        items.push_back(std::move(entry.second));
    return Value::list(std::move(items));
}

Value uniqueFilter(Evaluator &evaluator, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("unique", arguments, {"case_sensitive", "attribute"});
    std::vector<Value> keys;
    std::vector<Value> items;
    for (Value &entry : iterate(value)) {
        evaluator.chargeItems(keys.size());
        const Value source = bound[1] && !bound[1]->isNone() ? attributePath(entry, *bound[1], nullptr) : entry;
        Value key = sortKey(source, flagOf(bound[0]));
        if (std::ranges::any_of(keys, [&](const Value &known) { return equal(known, key); }))
            continue;
        keys.push_back(std::move(key));
        items.push_back(std::move(entry));
    }
    return Value::generator(std::move(items));
}

Value extremeFilter(const char *name, const Value &value, const Arguments &arguments, int wanted)
{
    const auto bound = boundArguments(name, arguments, {"case_sensitive", "attribute"});
    const auto keyOf = [&](const Value &entry) {
        return sortKey(bound[1] && !bound[1]->isNone() ? attributePath(entry, *bound[1], nullptr) : entry,
                       flagOf(bound[0]));
    };
    const std::vector<Value> items = iterate(value);
    if (items.empty())
        return Value::undefined("No aggregated item, sequence was empty.");
    std::size_t best = 0;
    for (std::size_t i = 1; i < items.size(); ++i) {
        const int sign = order(keyOf(items[i]), keyOf(items[best]), wanted < 0 ? "<" : ">");
        if (wanted < 0 ? sign < 0 : sign > 0)
            best = i;
    }
    return items[best];
}

Value sumFilter(Evaluator &evaluator, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("sum", arguments, {"attribute", "start"});
    Value sum = bound[1] ? *bound[1] : Value(std::int64_t{0});
    for (const Value &entry : iterate(value))
        sum = arithmetic(evaluator, "+", sum,
                         bound[0] && !bound[0]->isNone() ? attributePath(entry, *bound[0], nullptr) : entry);
    return sum;
}

Value reverseFilter(Evaluator &, const Value &value, const Arguments &)
{
    if (const std::string *text = value.asString()) {
        std::vector<std::string_view> points = codePoints(*text);
        std::string result;
        for (auto point = points.rbegin(); point != points.rend(); ++point)
            result += *point;
        return result;
    }
    std::vector<Value> items = iterate(value);
    std::ranges::reverse(items);
    return Value::generator(std::move(items));
}

Value mapFilter(Evaluator &evaluator, const Value &value, const Arguments &arguments)
{
    const auto named = [&](std::string_view name) -> const Value * {
        for (const auto &[key, entry] : arguments.named) {
            if (key == name)
                return &entry;
        }
        return nullptr;
    };
    std::vector<Value> items = itemsOrNone(value);
    const Value *path = named("attribute");
    if (arguments.positional.empty() && path) {
        for (Value &entry : items) {
            evaluator.charge(0);
            entry = attributePath(entry, *path, named("default"));
        }
        return Value::generator(std::move(items));
    }
    if (arguments.positional.empty())
        fail("map requires a filter argument");
    const std::string filter = arguments.positional.front().text();
    if (!hasFilter(filter))
        fail("No filter named '" + filter + "'.");
    const Arguments rest = argumentsAfter(arguments, 1);
    for (Value &entry : items) {
        evaluator.charge(0);
        entry = applyFilter(evaluator, filter, entry, rest);
    }
    return Value::generator(std::move(items));
}

/// select, reject, selectattr, rejectattr
Value selection(Evaluator &evaluator, const Value &value, const Arguments &arguments, bool byAttribute, bool wanted)
{
    const std::size_t skip = byAttribute ? 1 : 0;
    if (byAttribute && arguments.positional.empty())
        fail("Missing parameter for attribute name");
    const bool hasTestName = arguments.positional.size() > skip;
    const std::string test = hasTestName ? arguments.positional[skip].text() : std::string();
    if (hasTestName && !hasTest(test))
        fail("No test named '" + test + "'.");
    const Arguments rest = argumentsAfter(arguments, skip + 1);
    std::vector<Value> kept;
    for (Value &entry : itemsOrNone(value)) {
        evaluator.charge(0);
        const Value tested = byAttribute ? attributePath(entry, arguments.positional.front(), nullptr) : entry;
        if ((hasTestName ? applyTest(evaluator, test, tested, rest) : tested.truth()) == wanted)
            kept.push_back(std::move(entry));
    }
    return Value::generator(std::move(kept));
}

Value truncateFilter(Evaluator &, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("truncate", arguments, {"length", "killwords", "end", "leeway"});
    const std::string text = value.text();
    const std::string end = bound[2] ? bound[2]->text() : "...";
    const std::int64_t length = bound[0] ? bound[0]->integer() : 255;
    const std::int64_t leeway = bound[3] && !bound[3]->isNone() ? bound[3]->integer() : 5;
    const auto endLength = static_cast<std::int64_t>(countCodePoints(end));
    if (length < endLength)
        fail("truncate needs a length of at least that of its end");
    const std::vector<std::string_view> points = codePoints(text);
    if (static_cast<std::int64_t>(points.size()) <= length + std::max<std::int64_t>(leeway, 0))
        return text;
    std::string cut;
    for (std::int64_t i = 0; i < length - endLength; ++i)
        cut += points[static_cast<std::size_t>(i)];
    if (!flagOf(bound[1])) {
        const std::size_t blank = cut.rfind(' ');
        if (blank != std::string::npos)
            cut.resize(blank);
    }
    return cut + end;
}

Value escapeFilter(Evaluator &, const Value &value, const Arguments &)
{
    std::string result;
    for (const char c : value.text()) {
        constexpr std::string_view special = "&<>'\"";
        constexpr std::array<std::string_view, 5> entities{"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
        const std::size_t at = special.find(c);
        if (at == std::string_view::npos)
            result += c;
        else
            result += entities[at];
    }
    return result;
}

Value wordcountFilter(Evaluator &, const Value &value, const Arguments &)
{
    std::int64_t words = 0;
    bool inside = false;
    const std::string text = value.text();
    for (const std::string_view point : codePoints(text)) {
        const char32_t c = utf8Step(point, 0).codePoint;
        const bool isWord = isLetter(c) || isNumeric(c) || c == '_';
        words += isWord && !inside ? 1 : 0;
        inside = isWord;
    }
    return words;
}

Value centerFilter(Evaluator &, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("center", arguments, {"width"});
    const std::string text = value.text();
    const std::int64_t width = bound[0] ? std::min<std::int64_t>(bound[0]->integer(), 1'000'000) : 80;
    const std::int64_t missing = width - static_cast<std::int64_t>(countCodePoints(text));
    if (missing <= 0)
        return text;
    const std::int64_t left = missing / 2 + (missing & width & 1); // as str.center() does
    return std::string(static_cast<std::size_t>(left), ' ') + text
        + std::string(static_cast<std::size_t>(missing - left), ' ');
}

Value batchFilter(Evaluator &, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("batch", arguments, {"linecount", "fill_with"});
    const std::int64_t size = bound[0] ? bound[0]->integer() : 0;
    if (size < 1 || size > 1'000'000)
        fail("batch needs a size");
    std::vector<Value> rows;
    std::vector<Value> row;
    for (Value &entry : iterate(value)) {
        if (static_cast<std::int64_t>(row.size()) == size)
            rows.push_back(Value::list(std::exchange(row, {})));
        row.push_back(std::move(entry));
    }
    if (!row.empty()) {
        if (bound[1] && !bound[1]->isNone())
            row.resize(static_cast<std::size_t>(size), *bound[1]);
        rows.push_back(Value::list(std::move(row)));
    }
    return Value::generator(std::move(rows));
}

Value formatFilter(Evaluator &evaluator, const Value &value, const Arguments &arguments)
{
    std::string text = formatted(value.text(), arguments.positional);
    evaluator.charge(text.size());
    return text;
}

Value attrFilter(Evaluator &, const Value &value, const Arguments &arguments)
{
    const auto bound = boundArguments("attr", arguments, {"name"});
    const std::string name = bound[0] ? bound[0]->text() : std::string();
    value.requireDefined();
    if (value.asDict()) { // only true attributes, not items
        auto found = method(value, name);
        return found ? *found : Value::undefined("'dict object' has no attribute " + quotedText(name));
    }
    return attribute(value, name);
}

template <std::string (*Function)(std::string_view)>
Value textFilter(Evaluator &, const Value &value, const Arguments &)
{
    return Function(value.text());
}

Value lengthFilter(Evaluator &, const Value &value, const Arguments &)
{
    return length(value);
}

Value listFilter(Evaluator &, const Value &value, const Arguments &)
{
    return Value::list(iterate(value));
}

Value stringFilter(Evaluator &, const Value &value, const Arguments &)
{
    return value.text();
}

constexpr auto kFilters = std::to_array<std::pair<std::string_view, Filter>>({
    {"abs", absFilter},
    {"attr", attrFilter},
    {"batch", batchFilter},
    {"capitalize", textFilter<capitalizedText>},
    {"center", centerFilter},
    {"count", lengthFilter},
    {"d", defaultFilter},
    {"default", defaultFilter},
    {"dictsort", dictsortFilter},
    {"e", escapeFilter},
    {"escape", escapeFilter},
    {"first", firstFilter},
    {"float", floatFilter},
    {"format", formatFilter},
    {"indent", indentFilter},
    {"int", intFilter},
    {"items", itemsFilter},
    {"join", joinFilter},
    {"last", lastFilter},
    {"length", lengthFilter},
    {"list", listFilter},
    {"lower", textFilter<lowerText>},
    {"map", mapFilter},
    {"max", [](Evaluator &, const Value &v, const Arguments &a) { return extremeFilter("max", v, a, 1); }},
    {"min", [](Evaluator &, const Value &v, const Arguments &a) { return extremeFilter("min", v, a, -1); }},
    {"reject", [](Evaluator &e, const Value &v, const Arguments &a) { return selection(e, v, a, false, false); }},
    {"rejectattr", [](Evaluator &e, const Value &v, const Arguments &a) { return selection(e, v, a, true, false); }},
    {"replace", replaceFilter},
    {"reverse", reverseFilter},
    {"round", roundFilter},
    {"safe", stringFilter},
    {"select", [](Evaluator &e, const Value &v, const Arguments &a) { return selection(e, v, a, false, true); }},
    {"selectattr", [](Evaluator &e, const Value &v, const Arguments &a) { return selection(e, v, a, true, true); }},
    {"sort", sortFilter},
    {"string", stringFilter},
    {"sum", sumFilter},
    {"title", titleFilter},
    {"tojson", tojsonFilter},
    {"trim", trimFilter},
    {"truncate", truncateFilter},
    {"unique", uniqueFilter},
    {"upper", textFilter<upperText>},
    {"wordcount", wordcountFilter},
});

const Filter *findFilter(std::string_view name)
{
    const auto *found = std::ranges::find(kFilters, name, &std::pair<std::string_view, Filter>::first);
    return found == kFilters.end() ? nullptr : &found->second;
}

} // namespace

bool hasFilter(std::string_view name)
{
    return findFilter(name) != nullptr;
}

Value applyFilter(Evaluator &evaluator, std::string_view name, const Value &value, const Arguments &arguments)
{
    const Filter *filter = findFilter(name);
    if (!filter)
        fail("No filter named '" + std::string(name) + "'.");
    return (*filter)(evaluator, value, arguments);
}

} // namespace secateur::jinja
