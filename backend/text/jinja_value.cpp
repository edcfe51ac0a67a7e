#include "backend/text/jinja_value.h"

#include "backend/text/jinja_text.h"
#include "backend/text/utf8.h"

#include <algorithm>
#include <cmath>

namespace secateur::jinja {
namespace {

constexpr int kDeepestValue = 100;

int depthOfItems(const std::vector<Value> &items)
{
    int depth = 0;
    for (const Value &item : items)
        depth = std::max(depth, item.depth());
    if (depth >= kDeepestValue)
        fail("lists and mappings are nested too deeply");
    return depth + 1;
}

Value makeList(std::vector<Value> items, List::Kind kind)
{
    auto list = std::make_shared<List>();
    list->depth = depthOfItems(items);
    list->kind = kind;
    list->items = std::move(items);
    return std::shared_ptr<const List>(std::move(list));
}

std::string joinedRepresentations(const std::vector<Value> &items)
{
    std::string text;
    for (const Value &item : items) {
        if (!text.empty())
            text += ", ";
        text += item.representation();
    }
    return text;
}

/// Start and step of a slice as Python's slice.indices() gives them, and how many items it takes.
struct SliceRange {
    std::int64_t start = 0;
    std::int64_t step = 1;
    std::int64_t count = 0;
};

SliceRange sliceRange(std::int64_t size, const Value &start, const Value &stop, const Value &step)
{
    const auto bound = [](const Value &value) {
        if (!value.isInteger() && !value.isBool()) {
            value.requireDefined();
            fail("slice indices must be integers or none");
        }
        return value.integer();
    };
    SliceRange range;
    range.step = step.isNone() ? 1 : bound(step);
    if (range.step == 0)
        fail("slice step cannot be zero");
    const bool forward = range.step > 0;
    const std::int64_t low = forward ? 0 : -1;
    const std::int64_t high = forward ? size : size - 1;
    const auto clamped = [&](const Value &value, std::int64_t fallback) {
        if (value.isNone())
            return fallback;
        const std::int64_t at = bound(value);
        return std::clamp(at < 0 ? std::max(at, -size - 1) + size : at, low, high);
    };
    range.start = clamped(start, forward ? low : high);
    const std::int64_t end = clamped(stop, forward ? high : low);
    const std::int64_t distance = forward ? end - range.start : range.start - end;
    const std::uint64_t stride
        = forward ? static_cast<std::uint64_t>(range.step) : 0 - static_cast<std::uint64_t>(range.step);
    range.count = distance > 0 ? static_cast<std::int64_t>((static_cast<std::uint64_t>(distance) - 1) / stride) + 1 : 0;
    return range;
}

/// -1 when \a key is no position in \a size items
std::int64_t position(const Value &key, std::int64_t size)
{
    const std::int64_t at = key.integer();
    const std::int64_t index = at < 0 ? at + size : at;
    return index >= 0 && index < size ? index : -1;
}

Value loopAttribute(const LoopState &loop, std::string_view name)
{
    const auto index = static_cast<std::int64_t>(loop.index);
    const auto count = static_cast<std::int64_t>(loop.items.size());
    if (name == "index")
        return index + 1;
    if (name == "index0")
        return index;
    if (name == "revindex")
        return count - index;
    if (name == "revindex0")
        return count - index - 1;
    if (name == "first")
        return index == 0;
    if (name == "last")
        return index + 1 == count;
    if (name == "length")
        return count;
    if (name == "depth") // of recursion, which only recursive loops have
        return std::int64_t{1};
    if (name == "depth0")
        return std::int64_t{0};
    if (name == "previtem")
        return index > 0 ? loop.items[loop.index - 1] : Value::undefined("there is no previous item");
    if (name == "nextitem")
        return index + 1 < count ? loop.items[loop.index + 1] : Value::undefined("there is no next item");
    return Value::undefined("'loop' has no attribute '" + std::string(name) + "'");
}

Value noSuchMember(const Value &value, const std::string &name)
{
    const std::string owner = value.isNone() ? "'None'" : "'" + std::string(value.typeName()) + " object'";
    return Value::undefined(owner + " has no attribute " + name);
}

} // namespace

void fail(std::string message)
{
    throw Failure{std::move(message), 0};
}

Value Value::undefined(std::string reason)
{
    return Undefined{std::make_shared<const std::string>(std::move(reason))};
}

Value Value::list(std::vector<Value> items)
{
    return makeList(std::move(items), List::Kind::List);
}

Value Value::tuple(std::vector<Value> items)
{
    return makeList(std::move(items), List::Kind::Tuple);
}

Value Value::generator(std::vector<Value> items)
{
    return makeList(std::move(items), List::Kind::Generator);
}

Value Value::dict(std::vector<std::pair<Value, Value>> items)
{
    auto dict = std::make_shared<Dict>();
    std::vector<Value> values;
    for (auto &[key, value] : items) {
        if (key.asDict() || key.asNamespace() || (key.asList() && key.asList()->kind != List::Kind::Tuple))
            fail("unhashable type: '" + std::string(key.typeName()) + "'");
        values.push_back(key);
        values.push_back(value);
        const auto known
            = std::ranges::find_if(dict->items, [&](const auto &entry) { return equal(entry.first, key); });
        if (known != dict->items.end())
            known->second = std::move(value);
        else
            dict->items.emplace_back(std::move(key), std::move(value));
    }
    dict->depth = depthOfItems(values);
    return std::shared_ptr<const Dict>(std::move(dict));
}

std::int64_t Value::integer() const
{
    if (const auto *value = std::get_if<std::int64_t>(&m_data))
        return *value;
    if (const bool *value = asBool())
        return *value ? 1 : 0;
    requireDefined();
    fail("'" + std::string(typeName()) + "' object cannot be interpreted as an integer");
}

double Value::number() const
{
    if (const auto *value = std::get_if<double>(&m_data))
        return *value;
    if (isFloat() || isInteger() || isBool())
        return static_cast<double>(integer());
    requireDefined();
    fail("a number is needed instead of '" + std::string(typeName()) + "'");
}

bool Value::truth() const
{
    if (isUndefined() || isNone())
        return false;
    if (isNumber())
        return number() != 0;
    if (const std::string *string = asString())
        return !string->empty();
    if (const List *list = asList())
        return list->kind == List::Kind::Generator || !list->items.empty();
    if (const Dict *dict = asDict())
        return !dict->items.empty();
    return true;
}

std::string Value::text() const
{
    if (isUndefined())
        return {};
    if (const std::string *string = asString())
        return *string;
    return representation();
}

std::string Value::representation() const
{
    if (isUndefined())
        return "Undefined";
    if (isNone())
        return "None";
    if (const bool *value = asBool())
        return *value ? "True" : "False";
    if (isInteger())
        return std::to_string(integer());
    if (isFloat())
        return floatText(number());
    if (const std::string *string = asString())
        return quotedText(*string);
    if (const List *list = asList()) {
        const std::string items = joinedRepresentations(list->items);
        if (list->kind == List::Kind::List)
            return "[" + items + "]";
        if (list->kind == List::Kind::Tuple)
            return "(" + items + (list->items.size() == 1 ? ",)" : ")");
        return "<generator object>";
    }
    if (const Dict *dict = asDict()) {
        std::string text;
        for (const auto &[key, value] : dict->items) {
            if (!text.empty())
                text += ", ";
            text += key.representation() + ": " + value.representation();
        }
        return "{" + text + "}";
    }
    if (asNamespace())
        return "<Namespace>";
    if (const LoopState *loop = asLoop())
        return "<LoopContext " + std::to_string(loop->index + 1) + "/" + std::to_string(loop->items.size()) + ">";
    return "<function " + asCallable()->name + ">";
}

std::string_view Value::typeName() const
{
    if (isUndefined())
        return "Undefined";
    if (isNone())
        return "NoneType";
    if (isBool())
        return "bool";
    if (isInteger())
        return "int";
    if (isFloat())
        return "float";
    if (asString())
        return "str";
    if (const List *list = asList())
        return list->kind == List::Kind::List ? "list" : list->kind == List::Kind::Tuple ? "tuple" : "generator";
    if (asDict())
        return "dict";
    if (asNamespace())
        return "Namespace";
    return asLoop() ? "LoopContext" : "function";
}

void Value::requireDefined() const
{
    if (const auto *undefined = std::get_if<Undefined>(&m_data))
        fail(undefined->reason ? *undefined->reason : "a value is undefined");
}

int Value::depth() const
{
    if (const List *list = asList())
        return list->depth;
    if (const Dict *dict = asDict())
        return dict->depth;
    if (const LoopState *loop = asLoop())
        return loop->depth;
    return 0;
}

bool Value::isSame(const Value &other) const
{
    if (m_data.index() != other.m_data.index())
        return false;
    return std::visit(
        [&](const auto &held) {
            using Held = std::decay_t<decltype(held)>;
            if constexpr (std::is_same_v<Held, Undefined> || std::is_same_v<Held, None>)
                return true;
            else if constexpr (std::is_same_v<Held, std::shared_ptr<const std::string>>)
                return *held == *std::get<Held>(other.m_data); // Python shares equal short strings
            else
                return held == std::get<Held>(other.m_data);
        },
        m_data);
}

const Value *Dict::find(const Value &key) const
{
    for (const auto &[name, value] : items) {
        if (equal(name, key))
            return &value;
    }
    return nullptr;
}

const Value *Dict::find(std::string_view key) const
{
    for (const auto &[name, value] : items) {
        const std::string *text = name.asString();
        if (text && *text == key)
            return &value;
    }
    return nullptr;
}

Value *Namespace::find(std::string_view name)
{
    for (auto &[key, value] : variables) {
        if (key == name)
            return &value;
    }
    return nullptr;
}

void Namespace::set(std::string_view name, Value value)
{
    if (Value *known = find(name))
        *known = std::move(value);
    else
        variables.emplace_back(std::string(name), std::move(value));
}

bool equal(const Value &a, const Value &b)
{
    if (a.isNumber() && b.isNumber())
        return a.isFloat() || b.isFloat() ? a.number() == b.number() : a.integer() == b.integer();
    if (a.asString() && b.asString())
        return *a.asString() == *b.asString();
    if (const List *left = a.asList(), *right = b.asList(); left && right) {
        return left == right
            || (left->kind == right->kind && left->kind != List::Kind::Generator
                && std::ranges::equal(left->items, right->items, equal));
    }
    if (const Dict *left = a.asDict(), *right = b.asDict(); left && right) {
        return left->items.size() == right->items.size() && std::ranges::all_of(left->items, [&](const auto &entry) {
                   const Value *other = right->find(entry.first);
                   return other && equal(entry.second, *other);
               });
    }
    return a.isSame(b);
}

int order(const Value &a, const Value &b, std::string_view operation)
{
    a.requireDefined();
    b.requireDefined();
    if (a.isNumber() && b.isNumber()) {
        if (a.isFloat() || b.isFloat())
            return a.number() < b.number() ? -1 : a.number() > b.number() ? 1 : 0;
        return a.integer() < b.integer() ? -1 : a.integer() > b.integer() ? 1 : 0;
    }
    if (a.asString() && b.asString())
        return a.asString()->compare(*b.asString()); // UTF-8 sorts as code points do
    const List *left = a.asList();
    const List *right = b.asList();
    if (left && right && left->kind == right->kind && left->kind != List::Kind::Generator) {
        for (std::size_t i = 0; i < std::min(left->items.size(), right->items.size()); ++i) {
            if (!equal(left->items[i], right->items[i]))
                return order(left->items[i], right->items[i], operation);
        }
        return left->items.size() < right->items.size() ? -1 : left->items.size() > right->items.size() ? 1 : 0;
    }
    fail("'" + std::string(operation) + "' not supported between instances of '" + std::string(a.typeName()) + "' and '"
         + std::string(b.typeName()) + "'");
}

std::vector<Value> iterate(const Value &value)
{
    std::vector<Value> items;
    if (value.isUndefined())
        return items;
    if (const List *list = value.asList())
        return list->items;
    if (const Dict *dict = value.asDict()) {
        for (const auto &entry : dict->items)
            items.push_back(entry.first);
        return items;
    }
    if (const std::string *text = value.asString()) {
        for (std::size_t i = 0; i < text->size();) {
            const std::size_t size = utf8Step(*text, i).length;
            items.emplace_back(text->substr(i, size));
            i += size;
        }
        return items;
    }
    if (const LoopState *loop = value.asLoop())
        return {loop->items.begin() + static_cast<std::ptrdiff_t>(loop->index), loop->items.end()};
    fail("'" + std::string(value.typeName()) + "' object is not iterable");
}

std::int64_t length(const Value &value)
{
    if (value.isUndefined())
        return 0;
    if (const std::string *text = value.asString())
        return static_cast<std::int64_t>(countCodePoints(*text));
    if (const List *list = value.asList(); list && list->kind != List::Kind::Generator)
        return static_cast<std::int64_t>(list->items.size());
    if (const Dict *dict = value.asDict())
        return static_cast<std::int64_t>(dict->items.size());
    if (const LoopState *loop = value.asLoop())
        return static_cast<std::int64_t>(loop->items.size());
    fail("object of type '" + std::string(value.typeName()) + "' has no len()");
}

bool contains(const Value &container, const Value &item)
{
    if (const std::string *text = container.asString()) {
        const std::string *part = item.asString();
        if (!part) {
            item.requireDefined();
            fail("'in <string>' requires string as left operand, not " + std::string(item.typeName()));
        }
        return text->find(*part) != std::string::npos;
    }
    if (const Dict *dict = container.asDict())
        return dict->find(item) != nullptr;
    if (container.isUndefined())
        return false;
    if (!container.asList())
        fail("argument of type '" + std::string(container.typeName()) + "' is not iterable");
    return std::ranges::any_of(container.asList()->items, [&](const Value &other) { return equal(other, item); });
}

Value attribute(const Value &value, std::string_view name)
{
    value.requireDefined();
    if (Namespace *variables = value.asNamespace()) {
        const Value *found = variables->find(name);
        return found ? *found : noSuchMember(value, quotedText(name));
    }
    if (auto bound = method(value, name))
        return *std::move(bound);
    if (const LoopState *loop = value.asLoop())
        return loopAttribute(*loop, name);
    const Dict *dict = value.asDict();
    const Value *found = dict ? dict->find(name) : nullptr;
    return found ? *found : noSuchMember(value, quotedText(name));
}

Value item(const Value &value, const Value &key)
{
    value.requireDefined();
    if (const Dict *dict = value.asDict()) {
        if (const Value *found = dict->find(key))
            return *found;
    } else if (key.isInteger() || key.isBool()) {
        if (const List *list = value.asList(); list && list->kind != List::Kind::Generator) {
            const std::int64_t at = position(key, static_cast<std::int64_t>(list->items.size()));
            if (at >= 0)
                return list->items[static_cast<std::size_t>(at)];
        } else if (const std::string *text = value.asString()) {
            const std::int64_t at = position(key, static_cast<std::int64_t>(countCodePoints(*text)));
            if (at >= 0)
                return codePointAt(*text, static_cast<std::size_t>(at));
        }
    }
    if (const std::string *name = key.asString()) {
        if (value.asNamespace() || value.asLoop())
            return attribute(value, *name);
        if (auto bound = method(value, *name))
            return *std::move(bound);
    }
    return noSuchMember(value, key.representation());
}

Value slice(const Value &value, const Value &start, const Value &stop, const Value &step)
{
    value.requireDefined();
    const auto picked = [&](auto size, auto &&take) {
        const SliceRange range = sliceRange(static_cast<std::int64_t>(size), start, stop, step);
        for (std::int64_t i = 0; i < range.count; ++i)
            take(static_cast<std::size_t>(range.start + i * range.step));
    };
    if (const std::string *text = value.asString()) {
        std::string result;
        if (isAscii(*text)) {
            picked(text->size(), [&](std::size_t i) { result += (*text)[i]; });
        } else {
            const std::vector<std::string_view> points = codePoints(*text);
            picked(points.size(), [&](std::size_t i) { result += points[i]; });
        }
        return result;
    }
    if (const List *list = value.asList(); list && list->kind != List::Kind::Generator) {
        std::vector<Value> items;
        picked(list->items.size(), [&](std::size_t i) { items.push_back(list->items[i]); });
        return makeList(std::move(items), list->kind);
    }
    fail("'" + std::string(value.typeName()) + "' object is not subscriptable");
}

} // namespace secateur::jinja
