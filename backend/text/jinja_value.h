#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace secateur::jinja {

/// What stops a template that is being rendered. The evaluator adds the line.
struct Failure {
    std::string message;
    int line = 0; ///< 0: not known yet
};
/// Thrown by the template's own raise_exception().
struct Raised {
    std::string message;
};

[[noreturn]] void fail(std::string message);

class Value;
struct List;
struct Dict;
struct Namespace;
struct Callable;
struct LoopState;

struct Undefined {
    std::shared_ptr<const std::string> reason; ///< "'x' is undefined"
};
struct None { };

/// A value as a template sees it, with Python's rules for truth, equality, order and text. Copies share contents;
/// everything but namespaces is immutable.
class Value {
public:
    Value() : Value(None{}) { }
    Value(None none) : m_data(none) { }
    Value(Undefined undefined) : m_data(std::move(undefined)) { }
    Value(bool value) : m_data(value) { }
    Value(std::int64_t value) : m_data(value) { }
    Value(double value) : m_data(value) { }
    Value(std::string text) : m_data(std::make_shared<const std::string>(std::move(text))) { }
    Value(std::string_view text) : Value(std::string(text)) { }
    Value(const char *text) : Value(std::string(text)) { }
    Value(std::shared_ptr<const List> list) : m_data(std::move(list)) { }
    Value(std::shared_ptr<const Dict> dict) : m_data(std::move(dict)) { }
    Value(std::shared_ptr<Namespace> variables) : m_data(std::move(variables)) { }
    Value(std::shared_ptr<const Callable> callable) : m_data(std::move(callable)) { }
    Value(std::shared_ptr<LoopState> loop) : m_data(std::move(loop)) { }

    static Value undefined(std::string reason);
    static Value list(std::vector<Value> items);
    static Value tuple(std::vector<Value> items);
    static Value generator(std::vector<Value> items);
    static Value dict(std::vector<std::pair<Value, Value>> items); ///< a later key replaces an earlier one

    bool isUndefined() const { return std::holds_alternative<Undefined>(m_data); }
    bool isNone() const { return std::holds_alternative<None>(m_data); }
    bool isBool() const { return std::holds_alternative<bool>(m_data); }
    bool isInteger() const { return std::holds_alternative<std::int64_t>(m_data); } ///< not true for bools
    bool isFloat() const { return std::holds_alternative<double>(m_data); }
    bool isNumber() const { return isBool() || isInteger() || isFloat(); }

    const std::string *asString() const { return pointer<std::shared_ptr<const std::string>>(); }
    const List *asList() const { return pointer<std::shared_ptr<const List>>(); }
    const Dict *asDict() const { return pointer<std::shared_ptr<const Dict>>(); }
    Namespace *asNamespace() const { return pointer<std::shared_ptr<Namespace>>(); }
    const Callable *asCallable() const { return pointer<std::shared_ptr<const Callable>>(); }
    LoopState *asLoop() const { return pointer<std::shared_ptr<LoopState>>(); }
    const bool *asBool() const { return std::get_if<bool>(&m_data); }

    std::int64_t integer() const; ///< of a bool or an integer; fails otherwise
    double number() const; ///< of a bool, an integer or a float; fails otherwise

    bool truth() const;
    /// As printed by {{ }}.
    std::string text() const;
    /// As Python's repr() shows it.
    std::string representation() const;
    /// "str", "dict", … as in Python's messages
    std::string_view typeName() const;
    /// Fails with the reason when the value is undefined.
    void requireDefined() const;
    /// How deep containers are nested in this one.
    int depth() const;
    /// true when the two are one object
    bool isSame(const Value &other) const;

private:
    template <typename Pointer> auto pointer() const -> typename Pointer::element_type *
    {
        const Pointer *held = std::get_if<Pointer>(&m_data);
        return held ? held->get() : nullptr;
    }

    std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const std::string>,
                 std::shared_ptr<const List>, std::shared_ptr<const Dict>, std::shared_ptr<Namespace>,
                 std::shared_ptr<const Callable>, std::shared_ptr<LoopState>>
        m_data;
};

struct List {
    enum class Kind { List, Tuple, Generator };
    Kind kind = Kind::List;
    std::vector<Value> items;
    int depth = 1;
};

/// Keeps the order of insertion.
struct Dict {
    std::vector<std::pair<Value, Value>> items;
    int depth = 1;
    const Value *find(const Value &key) const;
    const Value *find(std::string_view key) const;
};

/// The one thing that a template can change: namespace(...).
struct Namespace {
    std::vector<std::pair<std::string, Value>> variables;
    Value *find(std::string_view name);
    void set(std::string_view name, Value value);
};

/// `loop` inside a for.
struct LoopState {
    std::vector<Value> items;
    std::size_t index = 0;
    int depth = 1;
    std::vector<Value> lastChanged;
    bool hasChanged = false;
};

struct Arguments {
    std::vector<Value> positional;
    std::vector<std::pair<std::string, Value>> named;
};

class Evaluator;

/// A function, macro or bound method.
struct Callable {
    std::string name;
    std::function<Value(Evaluator &, const Arguments &)> call;
};

bool equal(const Value &a, const Value &b);
/// Negative, zero or positive; fails where Python has no order.
int order(const Value &a, const Value &b, std::string_view operation);
/// Items of a list, characters of a string, keys of a dict; nothing for an undefined value. Fails for the rest.
std::vector<Value> iterate(const Value &value);
std::int64_t length(const Value &value);
bool contains(const Value &container, const Value &item);
/// x.name as Jinja resolves it: methods first, then items.
Value attribute(const Value &value, std::string_view name);
/// x[key]: items first, then methods.
Value item(const Value &value, const Value &key);
Value slice(const Value &value, const Value &start, const Value &stop, const Value &step);

/// A method of a string, list, dict or loop, bound to the value.
std::optional<Value> method(const Value &value, std::string_view name);

/// Arguments by parameter, nullptr where none was given. Fails on surplus and unknown ones.
std::vector<const Value *> boundArguments(std::string_view function, const Arguments &arguments,
                                          std::initializer_list<std::string_view> parameters);

struct JsonStyle {
    bool ensureAscii = false;
    bool sortKeys = false;
    std::string indent; ///< per level, used when `multiline`
    bool multiline = false;
    std::string itemSeparator = ", ";
    std::string keySeparator = ": ";
};
/// As Python's json.dumps writes it.
std::string toJson(const Value &value, const JsonStyle &style);

} // namespace secateur::jinja
