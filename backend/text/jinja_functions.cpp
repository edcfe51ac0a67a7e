#include "backend/text/jinja_evaluator.h"

#include "backend/text/jinja_text.h"

#include <array>
#include <charconv>
#include <clocale>
#include <cmath>
#include <ctime>
#include <limits>

namespace secateur::jinja {
namespace {

constexpr std::int64_t kLongestRange = 100'000; // as in Jinja's sandbox

[[noreturn]] void failOverflow()
{
    fail("an integer is out of range");
}

[[noreturn]] void failOperands(std::string_view operation, const Value &left, const Value &right)
{
    left.requireDefined();
    right.requireDefined();
    fail("unsupported operand type(s) for " + std::string(operation) + ": '" + std::string(left.typeName()) + "' and '"
         + std::string(right.typeName()) + "'");
}

Value integerPower(std::int64_t base, std::int64_t exponent)
{
    if (exponent < 0) {
        if (base == 0)
            fail("zero cannot be raised to a negative power");
        return std::pow(static_cast<double>(base), static_cast<double>(exponent));
    }
    std::int64_t result = 1;
    if (base >= -1 && base <= 1)
        return base == -1 && exponent % 2 == 0 ? result : exponent == 0 ? result : base;
    for (; exponent > 0; --exponent) {
        if (__builtin_mul_overflow(result, base, &result))
            failOverflow();
    }
    return result;
}

Value integerArithmetic(std::string_view operation, std::int64_t left, std::int64_t right)
{
    std::int64_t result = 0;
    bool overflow = false;
    if (operation == "+") {
        overflow = __builtin_add_overflow(left, right, &result);
    } else if (operation == "-") {
        overflow = __builtin_sub_overflow(left, right, &result);
    } else if (operation == "*") {
        overflow = __builtin_mul_overflow(left, right, &result);
    } else if (operation == "**") {
        return integerPower(left, right);
    } else {
        if (right == 0)
            fail("division by zero");
        if (operation == "/")
            return static_cast<double>(left) / static_cast<double>(right);
        if (right == -1) // the one divisor that can overflow
            return operation == "%" ? Value(std::int64_t{0}) : integerArithmetic("-", 0, left);
        const std::int64_t remainder = left % right;
        const bool adjust = remainder != 0 && (remainder < 0) != (right < 0); // Python rounds down
        result = operation == "%" ? remainder + (adjust ? right : 0) : left / right - (adjust ? 1 : 0);
    }
    if (overflow)
        failOverflow();
    return result;
}

Value floatArithmetic(std::string_view operation, double left, double right)
{
    if (operation == "+")
        return left + right;
    if (operation == "-")
        return left - right;
    if (operation == "*")
        return left * right;
    if (operation == "**")
        return std::pow(left, right);
    if (right == 0)
        fail("division by zero");
    if (operation == "/")
        return left / right;
    double remainder = std::fmod(left, right);
    if (remainder != 0 && (remainder < 0) != (right < 0))
        remainder += right;
    return operation == "%" ? remainder : std::floor((left - remainder) / right + 0.5);
}

Value repeated(Evaluator &evaluator, const Value &value, std::int64_t times)
{
    times = std::max<std::int64_t>(times, 0);
    const auto price = [&](std::size_t each) {
        const auto count = static_cast<std::size_t>(times);
        if (each > 0 && count > std::numeric_limits<std::size_t>::max() / each / 2)
            evaluator.charge(std::numeric_limits<std::size_t>::max() / 2);
        evaluator.charge(each * count);
    };
    if (const std::string *text = value.asString()) {
        price(text->size());
        std::string result;
        for (std::int64_t i = 0; i < times && !text->empty(); ++i)
            result += *text;
        return result;
    }
    const List &list = *value.asList();
    price(list.items.size() * 16);
    std::vector<Value> items;
    for (std::int64_t i = 0; i < times && !list.items.empty(); ++i)
        items.insert(items.end(), list.items.begin(), list.items.end());
    return list.kind == List::Kind::Tuple ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

bool isRepeatable(const Value &value)
{
    return value.asString() || (value.asList() && value.asList()->kind != List::Kind::Generator);
}

bool isWhole(const Value &value)
{
    return value.isInteger() || value.isBool();
}

Value rangeFunction(Evaluator &evaluator, const Arguments &arguments)
{
    const std::vector<Value> &bounds = arguments.positional;
    if (bounds.empty() || bounds.size() > 3 || !arguments.named.empty())
        fail("range expects 1 to 3 numbers");
    const std::int64_t start = bounds.size() > 1 ? bounds[0].integer() : 0;
    const std::int64_t stop = bounds.size() > 1 ? bounds[1].integer() : bounds[0].integer();
    const std::int64_t step = bounds.size() > 2 ? bounds[2].integer() : 1;
    if (step == 0)
        fail("range() arg 3 must not be zero");
    std::vector<Value> items;
    for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
        if (static_cast<std::int64_t>(items.size()) >= kLongestRange)
            fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
        items.emplace_back(at);
        if (__builtin_add_overflow(at, step, &at))
            break;
    }
    evaluator.chargeItems(items.size());
    return Value::list(std::move(items));
}

/// dict(...) and namespace(...) take one mapping or list of pairs, and names.
std::vector<std::pair<Value, Value>> mappingArguments(std::string_view function, const Arguments &arguments)
{
    if (arguments.positional.size() > 1)
        fail(std::string(function) + " expected at most 1 argument, got "
             + std::to_string(arguments.positional.size()));
    std::vector<std::pair<Value, Value>> items;
    if (!arguments.positional.empty()) {
        const Value &source = arguments.positional.front();
        if (const Dict *dict = source.asDict()) {
            items = dict->items;
        } else {
            for (const Value &pair : iterate(source)) {
                std::vector<Value> both = iterate(pair);
                if (both.size() != 2)
                    fail(std::string(function) + " needs pairs of a key and a value");
                items.emplace_back(std::move(both[0]), std::move(both[1]));
            }
        }
    }
    for (const auto &[name, value] : arguments.named)
        items.emplace_back(name, value);
    return items;
}

Value dictFunction(Evaluator &, const Arguments &arguments)
{
    return Value::dict(mappingArguments("dict", arguments));
}

Value namespaceFunction(Evaluator &evaluator, const Arguments &arguments)
{
    const Value mapping = Value::dict(mappingArguments("namespace", arguments));
    std::vector<std::pair<std::string, Value>> variables;
    for (const auto &[key, value] : mapping.asDict()->items)
        variables.emplace_back(key.text(), value);
    return evaluator.makeNamespace(std::move(variables));
}

Value raiseFunction(Evaluator &, const Arguments &arguments)
{
    const auto bound = boundArguments("raise_exception", arguments, {"message"});
    throw Raised{bound[0] ? bound[0]->text() : std::string()};
}

/// Today's date in English, whatever the locale of the program.
Value strftimeFunction(Evaluator &, const Arguments &arguments)
{
    const auto bound = boundArguments("strftime_now", arguments, {"format"});
    const std::string *format = bound[0] ? bound[0]->asString() : nullptr;
    if (!format)
        fail("strftime_now needs a format");
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    static const locale_t english = newlocale(LC_ALL_MASK, "C", nullptr);
    std::array<char, 4096> buffer{};
    const std::size_t size = strftime_l(buffer.data(), buffer.size(), format->c_str(), &local, english);
    return std::string(buffer.data(), size);
}

/// One conversion of a % format: flags, width, precision and letter.
struct Conversion {
    bool left = false;
    bool zero = false;
    bool plus = false;
    bool blank = false;
    bool alternate = false;
    std::size_t width = 0;
    int precision = -1;
    char letter = 's';
};

std::size_t readConversion(std::string_view format, std::size_t at, Conversion &conversion)
{
    for (; at < format.size(); ++at) {
        const char c = format[at];
        conversion.left |= c == '-';
        conversion.zero |= c == '0';
        conversion.plus |= c == '+';
        conversion.blank |= c == ' ';
        conversion.alternate |= c == '#';
        if (c != '-' && c != '0' && c != '+' && c != ' ' && c != '#')
            break;
    }
    const auto number = [&](std::size_t from, int &value) {
        const auto [end, error] = std::from_chars(format.data() + from, format.data() + format.size(), value);
        if (error == std::errc::result_out_of_range || value > 1000)
            fail("a width in a format is too large");
        return static_cast<std::size_t>(end - format.data());
    };
    int width = 0;
    at = number(at, width);
    conversion.width = static_cast<std::size_t>(std::max(width, 0));
    if (at < format.size() && format[at] == '.') {
        conversion.precision = 0;
        at = number(at + 1, conversion.precision);
    }
    if (at >= format.size())
        fail("incomplete format");
    conversion.letter = format[at];
    return at + 1;
}

std::int64_t wholeNumber(const Value &value)
{
    if (!value.isFloat())
        return value.integer();
    constexpr double limit = 9.2e18;
    if (!(std::fabs(value.number()) < limit))
        failOverflow();
    return static_cast<std::int64_t>(value.number());
}

std::string digitsOf(const Value &value, const Conversion &conversion)
{
    std::array<char, 512> buffer{};
    char *const end = buffer.data() + buffer.size();
    switch (conversion.letter) {
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o': {
        const std::int64_t whole = wholeNumber(value);
        const int base = conversion.letter == 'o' ? 8 : conversion.letter == 'x' || conversion.letter == 'X' ? 16 : 10;
        std::string digits(buffer.data(), std::to_chars(buffer.data(), end, whole, base).ptr);
        return conversion.letter == 'X' ? upperText(digits) : digits;
    }
    default: {
        const int precision = conversion.precision < 0 ? 6 : std::min(conversion.precision, 100);
        const auto form = conversion.letter == 'f' || conversion.letter == 'F' ? std::chars_format::fixed
            : conversion.letter == 'e' || conversion.letter == 'E'             ? std::chars_format::scientific
                                                                               : std::chars_format::general;
        return {buffer.data(), std::to_chars(buffer.data(), end, value.number(), form, precision).ptr};
    }
    }
}

std::string converted(const Value &value, const Conversion &conversion)
{
    std::string text;
    bool isNumber = false;
    switch (conversion.letter) {
    case 's':
    case 'r':
    case 'a':
        text = conversion.letter == 's' ? value.text() : value.representation();
        if (conversion.precision >= 0) {
            const std::vector<std::string_view> points = codePoints(text);
            std::string cut;
            for (std::size_t i = 0; i < std::min(points.size(), static_cast<std::size_t>(conversion.precision)); ++i)
                cut += points[i];
            text = cut;
        }
        break;
    case 'c':
        text = value.text();
        break;
    default:
        if (std::string_view("diuxXofFeEgG").find(conversion.letter) == std::string_view::npos)
            fail(std::string("unsupported format character '") + conversion.letter + "'");
        text = digitsOf(value, conversion);
        isNumber = true;
        if (!text.starts_with('-') && (conversion.plus || conversion.blank))
            text.insert(0, conversion.plus ? "+" : " ");
    }
    const std::size_t size = countCodePoints(text);
    if (size >= conversion.width)
        return text;
    const std::size_t missing = conversion.width - size;
    if (conversion.left)
        return text + std::string(missing, ' ');
    if (isNumber && conversion.zero)
        return text.insert(text.starts_with('-') || text.starts_with('+') || text.starts_with(' ') ? 1 : 0, missing,
                           '0');
    return std::string(missing, ' ') + text;
}

std::vector<Value> formatOperands(const Value &value)
{
    const List *list = value.asList();
    return list && list->kind == List::Kind::Tuple ? list->items : std::vector<Value>{value};
}

} // namespace

std::string formatted(std::string_view format, const std::vector<Value> &values)
{
    std::string result;
    std::size_t used = 0;
    for (std::size_t at = 0; at < format.size();) {
        if (format[at] != '%') {
            result += format[at++];
            continue;
        }
        ++at;
        if (at < format.size() && format[at] == '(')
            fail("formats with names are not supported");
        Conversion conversion;
        at = readConversion(format, at, conversion);
        if (conversion.letter == '%') {
            result += '%';
            continue;
        }
        if (used == values.size())
            fail("not enough arguments for format string");
        result += converted(values[used++], conversion);
    }
    if (used < values.size())
        fail("not all arguments converted during string formatting");
    return result;
}

Value arithmetic(Evaluator &evaluator, std::string_view operation, const Value &left, const Value &right)
{
    if (left.isNumber() && right.isNumber()) {
        return left.isFloat() || right.isFloat() ? floatArithmetic(operation, left.number(), right.number())
                                                 : integerArithmetic(operation, left.integer(), right.integer());
    }
    if (operation == "+") {
        if (const std::string *first = left.asString(), *second = right.asString(); first && second) {
            evaluator.charge(first->size() + second->size());
            return *first + *second;
        }
        if (const List *first = left.asList(), *second = right.asList();
            first && second && first->kind == second->kind && first->kind != List::Kind::Generator) {
            evaluator.chargeItems(first->items.size() + second->items.size());
            std::vector<Value> items = first->items;
            items.insert(items.end(), second->items.begin(), second->items.end());
            return first->kind == List::Kind::Tuple ? Value::tuple(std::move(items)) : Value::list(std::move(items));
        }
        if (left.asString() && !right.isUndefined())
            fail("can only concatenate str (not \"" + std::string(right.typeName()) + "\") to str");
    }
    if (operation == "*" && isRepeatable(left) && isWhole(right))
        return repeated(evaluator, left, right.integer());
    if (operation == "*" && isWhole(left) && isRepeatable(right))
        return repeated(evaluator, right, left.integer());
    if (operation == "%" && left.asString())
        return formatted(*left.asString(), formatOperands(right));
    failOperands(operation, left, right);
}

Value negated(const Value &value)
{
    if (value.isFloat())
        return -value.number();
    return integerArithmetic("-", 0, value.integer());
}

Value globalFunction(std::string_view name)
{
    using Function = Value (*)(Evaluator &, const Arguments &);
    constexpr std::array<std::pair<std::string_view, Function>, 5> functions{{
        {"range", rangeFunction},
        {"dict", dictFunction},
        {"namespace", namespaceFunction},
        {"raise_exception", raiseFunction},
        {"strftime_now", strftimeFunction},
    }};
    for (const auto &[known, function] : functions) {
        if (known == name) {
            auto callable = std::make_shared<Callable>();
            callable->name = std::string(name);
            callable->call = function;
            return std::shared_ptr<const Callable>(std::move(callable));
        }
    }
    return Value::undefined(std::string());
}

} // namespace secateur::jinja
