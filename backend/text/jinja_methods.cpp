#include "backend/text/jinja_evaluator.h"

#include "backend/text/jinja_text.h"
#include "backend/text/utf8.h"

#include <algorithm>
#include <array>

namespace secateur::jinja {
namespace {

using StringMethod = Value (*)(const std::string &text, const Arguments &arguments);

const std::string &stringArgument(std::string_view function, const Value *value)
{
    if (!value)
        fail(std::string(function) + "() needs an argument");
    const std::string *text = value->asString();
    if (!text) {
        value->requireDefined();
        fail(std::string(function) + "() needs a str, not '" + std::string(value->typeName()) + "'");
    }
    return *text;
}

long limitArgument(const Value *value)
{
    return value ? static_cast<long>(value->integer()) : -1;
}

Value listOf(const std::vector<std::string_view> &parts)
{
    std::vector<Value> items;
    items.reserve(parts.size());
    for (const std::string_view part : parts)
        items.emplace_back(part);
    return Value::list(std::move(items));
}

Value stripMethod(std::string_view name, const std::string &text, const Arguments &arguments, StripSide side)
{
    const auto bound = boundArguments(name, arguments, {"chars"});
    if (!bound[0] || bound[0]->isNone())
        return strippedSpace(text, side);
    return strippedCharacters(text, stringArgument(name, bound[0]), side);
}

Value splitMethod(std::string_view name, const std::string &text, const Arguments &arguments, bool fromRight)
{
    const auto bound = boundArguments(name, arguments, {"sep", "maxsplit"});
    const long limit = limitArgument(bound[1]);
    if (!bound[0] || bound[0]->isNone()) {
        if (fromRight && limit >= 0)
            fail("rsplit() at blanks with a limit is not supported");
        return listOf(splitAtSpace(text, limit));
    }
    const std::string &separator = stringArgument(name, bound[0]);
    if (separator.empty())
        fail("empty separator");
    return listOf(fromRight ? splitAtFromRight(text, separator, limit) : splitAt(text, separator, limit));
}

/// The part of \a text that optional start and end positions (in code points) pick, and where it starts.
std::string_view pickedPart(const std::string &text, const Value *start, const Value *end, std::size_t &first)
{
    const auto size = static_cast<std::int64_t>(countCodePoints(text));
    const auto position = [&](const Value *value, std::int64_t fallback) {
        if (!value || value->isNone())
            return fallback;
        const std::int64_t at = value->integer();
        return std::clamp<std::int64_t>(at < 0 ? std::max(at, -size) + size : at, 0, size);
    };
    const std::int64_t from = position(start, 0);
    const std::int64_t to = std::max(from, position(end, size));
    first = static_cast<std::size_t>(from);
    const auto byteOf = [&](std::int64_t index) {
        std::size_t at = 0;
        for (; index > 0 && at < text.size(); --index)
            at += utf8Step(text, at).length;
        return at;
    };
    if (from == 0 && to == size)
        return text;
    const std::size_t begin = byteOf(from);
    return std::string_view(text).substr(begin, byteOf(to) - begin);
}

Value affixMethod(std::string_view name, const std::string &text, const Arguments &arguments, bool atStart)
{
    const auto bound = boundArguments(name, arguments, {"affix", "start", "end"});
    std::size_t first = 0;
    const std::string_view part = pickedPart(text, bound[1], bound[2], first);
    const auto matches = [&](const Value &affix) {
        const std::string &what = stringArgument(name, &affix);
        return atStart ? part.starts_with(what) : part.ends_with(what);
    };
    const List *several = bound[0] ? bound[0]->asList() : nullptr;
    if (several && several->kind == List::Kind::Tuple)
        return std::ranges::any_of(several->items, matches);
    return matches(bound[0] ? *bound[0] : Value::undefined(std::string(name) + "() needs an argument"));
}

/// find, rfind, index, rindex
Value findMethod(std::string_view name, const std::string &text, const Arguments &arguments, bool fromRight,
                 bool mustExist)
{
    const auto bound = boundArguments(name, arguments, {"sub", "start", "end"});
    std::size_t first = 0;
    const std::string_view part = pickedPart(text, bound[1], bound[2], first);
    const std::string &what = stringArgument(name, bound[0]);
    const std::size_t at = fromRight ? part.rfind(what) : part.find(what);
    if (at == std::string_view::npos) {
        if (mustExist)
            fail("substring not found");
        return std::int64_t{-1};
    }
    return static_cast<std::int64_t>(first + countCodePoints(part.substr(0, at)));
}

Value countMethod(const std::string &text, const Arguments &arguments)
{
    const auto bound = boundArguments("count", arguments, {"sub", "start", "end"});
    std::size_t first = 0;
    const std::string_view part = pickedPart(text, bound[1], bound[2], first);
    const std::string &what = stringArgument("count", bound[0]);
    if (what.empty())
        return static_cast<std::int64_t>(countCodePoints(part) + 1);
    std::int64_t count = 0;
    for (std::size_t at = part.find(what); at != std::string_view::npos; at = part.find(what, at + what.size()))
        ++count;
    return count;
}

Value replaceMethod(const std::string &text, const Arguments &arguments)
{
    const auto bound = boundArguments("replace", arguments, {"old", "new", "count"});
    const std::string &from = stringArgument("replace", bound[0]);
    return replacedText(text, from, stringArgument("replace", bound[1]), limitArgument(bound[2]));
}

Value joinMethod(const std::string &text, const Arguments &arguments)
{
    const auto bound = boundArguments("join", arguments, {"iterable"});
    if (!bound[0])
        fail("join() needs an argument");
    std::string result;
    bool first = true;
    for (const Value &part : iterate(*bound[0])) {
        if (!std::exchange(first, false))
            result += text;
        result += stringArgument("join", &part);
    }
    return result;
}

Value partitionMethod(std::string_view name, const std::string &text, const Arguments &arguments, bool fromRight)
{
    const auto bound = boundArguments(name, arguments, {"sep"});
    const std::string &separator = stringArgument(name, bound[0]);
    if (separator.empty())
        fail("empty separator");
    const std::size_t at = fromRight ? text.rfind(separator) : text.find(separator);
    if (at == std::string::npos)
        return fromRight ? Value::tuple({"", "", text}) : Value::tuple({text, "", ""});
    return Value::tuple({text.substr(0, at), separator, text.substr(at + separator.size())});
}

Value removeAffixMethod(std::string_view name, const std::string &text, const Arguments &arguments, bool atStart)
{
    const auto bound = boundArguments(name, arguments, {"affix"});
    const std::string &affix = stringArgument(name, bound[0]);
    if (atStart)
        return text.starts_with(affix) ? text.substr(affix.size()) : text;
    return text.ends_with(affix) ? text.substr(0, text.size() - affix.size()) : text;
}

Value justifiedMethod(std::string_view name, const std::string &text, const Arguments &arguments, bool left)
{
    const auto bound = boundArguments(name, arguments, {"width", "fillchar"});
    if (!bound[0])
        fail(std::string(name) + "() needs a width");
    const std::string fill = bound[1] ? stringArgument(name, bound[1]) : std::string(" ");
    if (countCodePoints(fill) != 1)
        fail("The fill character must be exactly one character long");
    const std::int64_t width = bound[0]->integer();
    const std::int64_t missing = width - static_cast<std::int64_t>(countCodePoints(text));
    if (missing > 1'000'000)
        fail(std::string(name) + "() makes too long a text");
    std::string padding;
    for (std::int64_t i = 0; i < missing; ++i)
        padding += fill;
    return left ? text + padding : padding + text;
}

Value splitLinesMethod(const std::string &text, const Arguments &arguments)
{
    const auto bound = boundArguments("splitlines", arguments, {"keepends"});
    return listOf(splitLines(text, bound[0] && bound[0]->truth()));
}

/// isdigit() and its like: not empty, and all code points are of the kind
template <bool (*Predicate)(char32_t)> Value allMethod(const std::string &text, const Arguments &arguments)
{
    boundArguments("test", arguments, {});
    if (text.empty())
        return false;
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Step step = utf8Step(text, i);
        if (!Predicate(step.codePoint))
            return false;
        i += step.length;
    }
    return true;
}

bool isAlphanumeric(char32_t c)
{
    return isLetter(c) || isNumeric(c);
}

/// isupper() and islower(): some letter has case, and none has the other one
template <bool (*Wanted)(char32_t), bool (*Other)(char32_t)>
Value caseMethod(const std::string &text, const Arguments &)
{
    bool found = false;
    for (std::size_t i = 0; i < text.size();) {
        const Utf8Step step = utf8Step(text, i);
        if (Other(step.codePoint))
            return false;
        found |= Wanted(step.codePoint);
        i += step.length;
    }
    return found;
}

template <std::string (*Function)(std::string_view)>
Value convertedMethod(const std::string &text, const Arguments &arguments)
{
    boundArguments("conversion", arguments, {});
    return Function(text);
}

constexpr auto kStringMethods = std::to_array<std::pair<std::string_view, StringMethod>>({
    {"strip", [](const std::string &t, const Arguments &a) { return stripMethod("strip", t, a, StripSide::Both); }},
    {"lstrip", [](const std::string &t, const Arguments &a) { return stripMethod("lstrip", t, a, StripSide::Left); }},
    {"rstrip", [](const std::string &t, const Arguments &a) { return stripMethod("rstrip", t, a, StripSide::Right); }},
    {"split", [](const std::string &t, const Arguments &a) { return splitMethod("split", t, a, false); }},
    {"rsplit", [](const std::string &t, const Arguments &a) { return splitMethod("rsplit", t, a, true); }},
    {"startswith", [](const std::string &t, const Arguments &a) { return affixMethod("startswith", t, a, true); }},
    {"endswith", [](const std::string &t, const Arguments &a) { return affixMethod("endswith", t, a, false); }},
    {"replace", replaceMethod},
    {"join", joinMethod},
    {"upper", convertedMethod<upperText>},
    {"lower", convertedMethod<lowerText>},
    {"casefold", convertedMethod<lowerText>},
    {"title", convertedMethod<titleText>},
    {"capitalize", convertedMethod<capitalizedText>},
    {"find", [](const std::string &t, const Arguments &a) { return findMethod("find", t, a, false, false); }},
    {"rfind", [](const std::string &t, const Arguments &a) { return findMethod("rfind", t, a, true, false); }},
    {"index", [](const std::string &t, const Arguments &a) { return findMethod("index", t, a, false, true); }},
    {"rindex", [](const std::string &t, const Arguments &a) { return findMethod("rindex", t, a, true, true); }},
    {"count", countMethod},
    {"splitlines", splitLinesMethod},
    {"partition", [](const std::string &t, const Arguments &a) { return partitionMethod("partition", t, a, false); }},
    {"rpartition", [](const std::string &t, const Arguments &a) { return partitionMethod("rpartition", t, a, true); }},
    {"removeprefix",
     [](const std::string &t, const Arguments &a) { return removeAffixMethod("removeprefix", t, a, true); }},
    {"removesuffix",
     [](const std::string &t, const Arguments &a) { return removeAffixMethod("removesuffix", t, a, false); }},
    {"ljust", [](const std::string &t, const Arguments &a) { return justifiedMethod("ljust", t, a, true); }},
    {"rjust", [](const std::string &t, const Arguments &a) { return justifiedMethod("rjust", t, a, false); }},
    {"isdigit", allMethod<isDecimalDigit>},
    {"isdecimal", allMethod<isDecimalDigit>},
    {"isnumeric", allMethod<isNumeric>},
    {"isalpha", allMethod<isLetter>},
    {"isalnum", allMethod<isAlphanumeric>},
    {"isspace", allMethod<isPythonSpace>},
    {"isupper", caseMethod<isUpperLetter, isLowerLetter>},
    {"islower", caseMethod<isLowerLetter, isUpperLetter>},
});

Value dictEntries(const Dict &dict, std::string_view what)
{
    std::vector<Value> items;
    for (const auto &[key, value] : dict.items)
        items.push_back(what == "items" ? Value::tuple({key, value}) : what == "keys" ? key : value);
    return Value::list(std::move(items));
}

Value dictGet(const Dict &dict, const Arguments &arguments)
{
    const auto bound = boundArguments("get", arguments, {"key", "default"});
    if (!bound[0])
        fail("get() needs a key");
    const Value *found = dict.find(*bound[0]);
    return found ? *found : bound[1] ? *bound[1] : Value(None{});
}

Value listIndex(const List &list, const Arguments &arguments)
{
    const auto bound = boundArguments("index", arguments, {"value"});
    for (std::size_t i = 0; bound[0] && i < list.items.size(); ++i) {
        if (equal(list.items[i], *bound[0]))
            return static_cast<std::int64_t>(i);
    }
    fail("the value is not in the list");
}

Value listCount(const List &list, const Arguments &arguments)
{
    const auto bound = boundArguments("count", arguments, {"value"});
    return static_cast<std::int64_t>(
        std::ranges::count_if(list.items, [&](const Value &item) { return bound[0] && equal(item, *bound[0]); }));
}

Value loopCycle(const LoopState &loop, const Arguments &arguments)
{
    if (arguments.positional.empty())
        fail("no items for cycling given");
    return arguments.positional[loop.index % arguments.positional.size()];
}

Value loopChanged(LoopState &loop, const Arguments &arguments)
{
    const bool changed = !loop.hasChanged
        || !std::ranges::equal(loop.lastChanged, arguments.positional,
                               [](const Value &a, const Value &b) { return equal(a, b); });
    loop.hasChanged = true;
    for (const Value &value : arguments.positional)
        loop.depth = std::max(loop.depth, value.depth() + 1);
    if (loop.depth > 90)
        fail("lists and mappings are nested too deeply");
    loop.lastChanged = arguments.positional;
    return changed;
}

/// Methods that would change a shared list or mapping.
constexpr std::array<std::string_view, 12> kForbiddenMethods{"append",  "clear",      "pop",    "reverse",
                                                             "insert",  "sort",       "extend", "remove",
                                                             "popitem", "setdefault", "update", "copy"};

template <typename Function> Value boundMethod(std::string_view name, Function function)
{
    auto callable = std::make_shared<Callable>();
    callable->name = std::string(name);
    callable->call = std::move(function);
    return std::shared_ptr<const Callable>(std::move(callable));
}

Value forbiddenMethod(std::string_view name, std::string_view owner)
{
    std::string message
        = "access to attribute '" + std::string(name) + "' of '" + std::string(owner) + "' object is unsafe.";
    return boundMethod(name,
                       [message = std::move(message)](Evaluator &, const Arguments &) -> Value { fail(message); });
}

bool isForbidden(std::string_view name)
{
    return std::ranges::find(kForbiddenMethods, name) != kForbiddenMethods.end();
}

} // namespace

std::optional<Value> method(const Value &value, std::string_view name)
{
    if (value.asString()) {
        const auto *found = std::ranges::find(kStringMethods, name, &std::pair<std::string_view, StringMethod>::first);
        if (found == kStringMethods.end())
            return std::nullopt;
        return boundMethod(name, [value, function = found->second](Evaluator &evaluator, const Arguments &arguments) {
            evaluator.charge(value.asString()->size());
            return function(*value.asString(), arguments);
        });
    }
    if (value.asDict()) {
        if (name == "items" || name == "keys" || name == "values") {
            return boundMethod(name, [value, what = std::string(name)](Evaluator &, const Arguments &arguments) {
                boundArguments(what, arguments, {});
                return dictEntries(*value.asDict(), what);
            });
        }
        if (name == "get")
            return boundMethod(
                name, [value](Evaluator &, const Arguments &arguments) { return dictGet(*value.asDict(), arguments); });
        if (name == "copy")
            return boundMethod(name, [value](Evaluator &, const Arguments &) { return value; });
        if (name == "clear" || name == "pop" || name == "popitem" || name == "setdefault" || name == "update")
            return forbiddenMethod(name, "dict");
    }
    if (const List *list = value.asList(); list && list->kind != List::Kind::Generator) {
        if (name == "index")
            return boundMethod(name, [value](Evaluator &, const Arguments &arguments) {
                return listIndex(*value.asList(), arguments);
            });
        if (name == "count")
            return boundMethod(name, [value](Evaluator &, const Arguments &arguments) {
                return listCount(*value.asList(), arguments);
            });
        if (name == "copy" && list->kind == List::Kind::List)
            return boundMethod(name, [value](Evaluator &, const Arguments &) { return value; });
        if (list->kind == List::Kind::List && isForbidden(name))
            return forbiddenMethod(name, "list");
    }
    if (value.asLoop() && (name == "cycle" || name == "changed")) {
        return boundMethod(name, [value, cycles = name == "cycle"](Evaluator &, const Arguments &arguments) {
            return cycles ? loopCycle(*value.asLoop(), arguments) : loopChanged(*value.asLoop(), arguments);
        });
    }
    return std::nullopt;
}

std::vector<const Value *> boundArguments(std::string_view function, const Arguments &arguments,
                                          std::initializer_list<std::string_view> parameters)
{
    if (arguments.positional.size() > parameters.size()) {
        fail(std::string(function) + "() takes at most " + std::to_string(parameters.size()) + " argument(s), got "
             + std::to_string(arguments.positional.size()));
    }
    std::vector<const Value *> bound(parameters.size(), nullptr);
    for (std::size_t i = 0; i < arguments.positional.size(); ++i)
        bound[i] = &arguments.positional[i];
    for (const auto &[name, value] : arguments.named) {
        const auto *found = std::find(parameters.begin(), parameters.end(), name);
        if (found == parameters.end())
            fail(std::string(function) + "() got an unexpected keyword argument '" + name + "'");
        const Value *&slot = bound[static_cast<std::size_t>(found - parameters.begin())];
        if (slot)
            fail(std::string(function) + "() got multiple values for argument '" + name + "'");
        slot = &value;
    }
    return bound;
}

} // namespace secateur::jinja
