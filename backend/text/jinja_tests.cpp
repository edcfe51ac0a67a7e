#include "backend/text/jinja_evaluator.h"
#include "backend/text/jinja_text.h"

#include <algorithm>
#include <array>

namespace secateur::jinja {
namespace {

using Test = bool (*)(Evaluator &, const Value &, const Arguments &);

const Value &operand(const Arguments &arguments)
{
    if (arguments.positional.size() != 1 || !arguments.named.empty())
        fail("a test needs one operand");
    return arguments.positional.front();
}

bool isDivisible(Evaluator &evaluator, const Value &value, std::int64_t divisor, std::int64_t remainder)
{
    const Value rest = arithmetic(evaluator, "%", value, Value(divisor));
    return equal(rest, Value(remainder));
}

bool isIterable(const Value &value)
{
    return value.isUndefined() || value.asString() || value.asList() || value.asDict() || value.asLoop();
}

bool isSequence(const Value &value)
{
    return value.isUndefined() || value.asString() || value.asDict()
        || (value.asList() && value.asList()->kind != List::Kind::Generator);
}

bool hasCase(Evaluator &evaluator, const Value &value, std::string_view name)
{
    const auto function = method(Value(value.text()), name);
    return function && evaluator.call(*function, {}).truth();
}

int orderOf(const Value &value, const Arguments &arguments, std::string_view name)
{
    return order(value, operand(arguments), name);
}

constexpr auto kTests = std::to_array<std::pair<std::string_view, Test>>({
    {"defined", [](Evaluator &, const Value &v, const Arguments &) { return !v.isUndefined(); }},
    {"undefined", [](Evaluator &, const Value &v, const Arguments &) { return v.isUndefined(); }},
    {"none", [](Evaluator &, const Value &v, const Arguments &) { return v.isNone(); }},
    {"true", [](Evaluator &, const Value &v, const Arguments &) { return v.asBool() && *v.asBool(); }},
    {"false", [](Evaluator &, const Value &v, const Arguments &) { return v.asBool() && !*v.asBool(); }},
    {"boolean", [](Evaluator &, const Value &v, const Arguments &) { return v.isBool(); }},
    {"integer", [](Evaluator &, const Value &v, const Arguments &) { return v.isInteger(); }},
    {"float", [](Evaluator &, const Value &v, const Arguments &) { return v.isFloat(); }},
    {"number", [](Evaluator &, const Value &v, const Arguments &) { return v.isNumber(); }},
    {"string", [](Evaluator &, const Value &v, const Arguments &) { return v.asString() != nullptr; }},
    {"mapping", [](Evaluator &, const Value &v, const Arguments &) { return v.asDict() != nullptr; }},
    {"iterable", [](Evaluator &, const Value &v, const Arguments &) { return isIterable(v); }},
    {"sequence", [](Evaluator &, const Value &v, const Arguments &) { return isSequence(v); }},
    {"callable", [](Evaluator &, const Value &v, const Arguments &) { return v.isUndefined() || v.asCallable(); }},
    {"escaped", [](Evaluator &, const Value &, const Arguments &) { return false; }},
    {"even", [](Evaluator &e, const Value &v, const Arguments &) { return isDivisible(e, v, 2, 0); }},
    {"odd", [](Evaluator &e, const Value &v, const Arguments &) { return isDivisible(e, v, 2, 1); }},
    {"divisibleby",
     [](Evaluator &e, const Value &v, const Arguments &a) { return isDivisible(e, v, operand(a).integer(), 0); }},
    {"upper", [](Evaluator &e, const Value &v, const Arguments &) { return hasCase(e, v, "isupper"); }},
    {"lower", [](Evaluator &e, const Value &v, const Arguments &) { return hasCase(e, v, "islower"); }},
    {"in", [](Evaluator &, const Value &v, const Arguments &a) { return contains(operand(a), v); }},
    {"sameas", [](Evaluator &, const Value &v, const Arguments &a) { return v.isSame(operand(a)); }},
    {"filter", [](Evaluator &, const Value &v, const Arguments &) { return hasFilter(v.text()); }},
    {"test", [](Evaluator &, const Value &v, const Arguments &) { return hasTest(v.text()); }},
    {"eq", [](Evaluator &, const Value &v, const Arguments &a) { return equal(v, operand(a)); }},
    {"==", [](Evaluator &, const Value &v, const Arguments &a) { return equal(v, operand(a)); }},
    {"equalto", [](Evaluator &, const Value &v, const Arguments &a) { return equal(v, operand(a)); }},
    {"ne", [](Evaluator &, const Value &v, const Arguments &a) { return !equal(v, operand(a)); }},
    {"!=", [](Evaluator &, const Value &v, const Arguments &a) { return !equal(v, operand(a)); }},
    {"lt", [](Evaluator &, const Value &v, const Arguments &a) { return orderOf(v, a, "<") < 0; }},
    {"<", [](Evaluator &, const Value &v, const Arguments &a) { return orderOf(v, a, "<") < 0; }},
    {"lessthan", [](Evaluator &, const Value &v, const Arguments &a) { return orderOf(v, a, "<") < 0; }},
    {"le", [](Evaluator &, const Value &v, const Arguments &a) { return orderOf(v, a, "<=") <= 0; }},
    {"<=", [](Evaluator &, const Value &v, const Arguments &a) { return orderOf(v, a, "<=") <= 0; }},
    {"gt", [](Evaluator &, const Value &v, const Arguments &a) { return orderOf(v, a, ">") > 0; }},
    {">", [](Evaluator &, const Value &v, const Arguments &a) { return orderOf(v, a, ">") > 0; }},
    {"greaterthan", [](Evaluator &, const Value &v, const Arguments &a) { return orderOf(v, a, ">") > 0; }},
    {"ge", [](Evaluator &, const Value &v, const Arguments &a) { return orderOf(v, a, ">=") >= 0; }},
    {">=", [](Evaluator &, const Value &v, const Arguments &a) { return orderOf(v, a, ">=") >= 0; }},
});

const Test *findTest(std::string_view name)
{
    const auto *found = std::ranges::find(kTests, name, &std::pair<std::string_view, Test>::first);
    return found == kTests.end() ? nullptr : &found->second;
}

} // namespace

bool hasTest(std::string_view name)
{
    return findTest(name) != nullptr;
}

bool applyTest(Evaluator &evaluator, std::string_view name, const Value &value, const Arguments &arguments)
{
    const Test *test = findTest(name);
    if (!test)
        fail("No test named '" + std::string(name) + "'.");
    return (*test)(evaluator, value, arguments);
}

} // namespace secateur::jinja
