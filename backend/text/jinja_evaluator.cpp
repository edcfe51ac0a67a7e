#include "backend/text/jinja_evaluator.h"

#include <algorithm>
#include <optional>

namespace secateur::jinja {

/// Counts how deep the evaluator is in itself.
class Evaluator::Depth {
public:
    explicit Depth(Evaluator &evaluator) : m_evaluator(evaluator)
    {
        if (m_evaluator.m_depth >= m_evaluator.m_limits.depth)
            fail("the template calls itself too deeply");
        ++m_evaluator.m_depth;
    }
    ~Depth() { --m_evaluator.m_depth; }
    Depth(const Depth &) = delete;
    Depth &operator=(const Depth &) = delete;

private:
    Evaluator &m_evaluator;
};

namespace {

/// Puts a value into a variable for as long as a C++ scope lasts.
template <typename T> class Restored {
public:
    Restored(T &variable, T value) : m_variable(variable), m_old(std::exchange(variable, std::move(value))) { }
    ~Restored() { m_variable = std::move(m_old); }
    Restored(const Restored &) = delete;
    Restored &operator=(const Restored &) = delete;

private:
    T &m_variable;
    T m_old;
};

std::shared_ptr<Scope> innerScope(const std::shared_ptr<Scope> &outer)
{
    auto scope = std::make_shared<Scope>();
    scope->outer = outer;
    return scope;
}

} // namespace

const Value *Scope::find(std::string_view name) const
{
    for (const Scope *scope = this; scope; scope = scope->outer.get()) {
        for (const auto &[key, value] : scope->variables) {
            if (key == name)
                return &value;
        }
    }
    return nullptr;
}

void Scope::set(std::string_view name, Value value)
{
    for (auto &[key, known] : variables) {
        if (key == name) {
            known = std::move(value);
            return;
        }
    }
    variables.emplace_back(std::string(name), std::move(value));
}

Evaluator::~Evaluator()
{
    // Namespaces may hold themselves or long chains of others: empty them one by one.
    for (const std::shared_ptr<Namespace> &variables : m_namespaces)
        variables->variables.clear();
}

std::string Evaluator::render(const Block &block, std::vector<std::pair<std::string, Value>> variables)
{
    std::string output;
    m_out = &output;
    m_scope = std::make_shared<Scope>();
    m_scope->variables = std::move(variables);
    m_scope = innerScope(m_scope);
    run(block);
    return output;
}

void Evaluator::charge(std::size_t bytes)
{
    m_spent += 1 + bytes / 64;
    if (m_spent > m_limits.steps)
        fail("the template takes too many steps");
    if (bytes > m_limits.output)
        fail("the template makes a text of more than " + std::to_string(m_limits.output / (1024 * 1024)) + " MB");
}

Value Evaluator::makeNamespace(std::vector<std::pair<std::string, Value>> variables)
{
    auto result = std::make_shared<Namespace>();
    result->variables = std::move(variables);
    m_namespaces.push_back(result);
    return result;
}

// Statements ---------------------------------------------------------------------------------------------------------

Evaluator::Flow Evaluator::run(const Block &block)
{
    for (const StatementPtr &statement : block) {
        const Flow flow = run(*statement);
        if (flow != Flow::Normal)
            return flow;
    }
    return Flow::Normal;
}

Evaluator::Flow Evaluator::run(const Statement &statement)
{
    try {
        const Depth depth(*this);
        charge(0);
        switch (statement.kind) {
        case StatementKind::Text:
            print(statement.text);
            break;
        case StatementKind::Output:
            for (const ExpressionPtr &expression : statement.expressions)
                print(evaluate(*expression));
            break;
        case StatementKind::If:
            return runIf(statement);
        case StatementKind::For:
            return runFor(statement);
        case StatementKind::Set:
            assign(statement.targets.front(), evaluate(*statement.expressions.front()));
            break;
        case StatementKind::SetBlock: {
            Value value = captured(statement.blocks.front());
            if (const Expression *chain = statement.expressions.front().get())
                value = filtered(*chain, &value);
            assign(statement.targets.front(), std::move(value));
            break;
        }
        case StatementKind::Macro:
            m_scope->set(statement.macro->name, makeMacro(statement.macro));
            break;
        case StatementKind::CallBlock:
            runCallBlock(statement);
            break;
        case StatementKind::FilterBlock: {
            const Value value = captured(statement.blocks.front());
            print(filtered(*statement.expressions.front(), &value));
            break;
        }
        case StatementKind::With:
            runWith(statement);
            break;
        case StatementKind::Scope:
            runScoped(statement.blocks.front());
            break;
        case StatementKind::Break:
            return Flow::Break;
        case StatementKind::Continue:
            return Flow::Continue;
        }
    } catch (Failure &failure) {
        if (failure.line == 0)
            failure.line = statement.line;
        throw;
    }
    return Flow::Normal;
}

Evaluator::Flow Evaluator::runIf(const Statement &statement)
{
    for (std::size_t i = 0; i < statement.expressions.size(); ++i) {
        if (evaluate(*statement.expressions[i]).truth())
            return run(statement.blocks[i]);
    }
    if (statement.blocks.size() > statement.expressions.size())
        return run(statement.blocks.back());
    return Flow::Normal;
}

Evaluator::Flow Evaluator::runFor(const Statement &statement)
{
    std::vector<Value> items = iterate(evaluate(*statement.expressions[0]));
    chargeItems(items.size());
    const std::shared_ptr<Scope> outer = m_scope;
    if (statement.expressions[1])
        items = filteredItems(statement, std::move(items), outer);
    if (!items.empty())
        return runLoopBody(statement, std::move(items), outer);
    if (statement.blocks.size() > 1) {
        const Restored scope(m_scope, innerScope(outer));
        return run(statement.blocks[1]);
    }
    return Flow::Normal;
}

std::vector<Value> Evaluator::filteredItems(const Statement &statement, std::vector<Value> items,
                                            const std::shared_ptr<Scope> &outer)
{
    std::vector<Value> kept;
    for (Value &item : items) {
        const Restored scope(m_scope, innerScope(outer));
        assign(statement.targets.front(), item);
        if (evaluate(*statement.expressions[1]).truth())
            kept.push_back(std::move(item));
    }
    return kept;
}

Evaluator::Flow Evaluator::runLoopBody(const Statement &statement, std::vector<Value> items,
                                       const std::shared_ptr<Scope> &outer)
{
    auto loop = std::make_shared<LoopState>();
    const Value holder = Value::list(items); // checks how deep the items are nested
    loop->depth = holder.depth();
    loop->items = std::move(items);
    for (loop->index = 0; loop->index < loop->items.size(); ++loop->index) {
        const Restored scope(m_scope, innerScope(outer));
        charge(0);
        m_scope->set("loop", loop);
        assign(statement.targets.front(), loop->items[loop->index]);
        if (run(statement.blocks[0]) == Flow::Break)
            break;
    }
    return Flow::Normal;
}

void Evaluator::runWith(const Statement &statement)
{
    std::vector<Value> values = evaluateAll(statement.expressions);
    const Restored scope(m_scope, innerScope(m_scope));
    for (std::size_t i = 0; i < values.size(); ++i)
        assign(statement.targets[i], std::move(values[i]));
    run(statement.blocks.front());
}

void Evaluator::runScoped(const Block &block)
{
    const Restored scope(m_scope, innerScope(m_scope));
    run(block);
}

void Evaluator::runCallBlock(const Statement &statement)
{
    const Expression &expression = *statement.expressions.front();
    const Value callee = evaluate(*expression.children.front());
    Arguments arguments = evaluateArguments(expression.arguments);
    arguments.named.emplace_back("caller", makeMacro(statement.macro));
    print(call(callee, arguments));
}

std::string Evaluator::captured(const Block &block)
{
    std::string text;
    const Restored out(m_out, &text);
    runScoped(block);
    return text;
}

void Evaluator::print(const Value &value)
{
    const std::string *text = value.asString();
    const std::string made = text ? std::string() : value.text();
    const std::string &shown = text ? *text : made;
    charge(shown.size());
    if (m_out->size() + shown.size() > m_limits.output)
        fail("the template makes a text of more than " + std::to_string(m_limits.output / (1024 * 1024)) + " MB");
    *m_out += shown;
}

void Evaluator::assign(const Target &target, Value value)
{
    if (target.items.empty()) {
        if (target.attribute.empty()) {
            m_scope->set(target.name, std::move(value));
            return;
        }
        const Value *owner = m_scope->find(target.name);
        Namespace *variables = owner ? owner->asNamespace() : nullptr;
        if (!variables)
            fail("cannot assign attribute on non-namespace object");
        variables->set(target.attribute, std::move(value));
        return;
    }
    value.requireDefined();
    std::vector<Value> items = iterate(value);
    if (items.size() != target.items.size()) {
        fail((items.size() < target.items.size() ? "not enough" : "too many")
             + std::string(" values to unpack (expected ") + std::to_string(target.items.size()) + ", got "
             + std::to_string(items.size()) + ")");
    }
    for (std::size_t i = 0; i < items.size(); ++i)
        assign(target.items[i], std::move(items[i]));
}

Value Evaluator::makeMacro(std::shared_ptr<const MacroBody> macro)
{
    auto callable = std::make_shared<Callable>();
    callable->name = macro->name;
    // The scope holds the macro, so the macro must not hold the scope.
    callable->call = [macro = std::move(macro), definedIn = std::weak_ptr<Scope>(m_scope)](Evaluator &evaluator,
                                                                                           const Arguments &arguments) {
        return evaluator.callMacro(*macro, definedIn, arguments);
    };
    return std::shared_ptr<const Callable>(std::move(callable));
}

Value Evaluator::callMacro(const MacroBody &macro, const std::weak_ptr<Scope> &definedIn, const Arguments &arguments)
{
    const Depth depth(*this);
    const std::shared_ptr<Scope> outer = definedIn.lock();
    if (!outer)
        fail("macro '" + macro.name + "' is called outside of the block that defines it");
    std::string text;
    const Restored scope(m_scope, innerScope(outer));
    const Restored out(m_out, &text);
    bindParameters(macro, arguments);
    run(macro.body);
    return text;
}

void Evaluator::bindParameters(const MacroBody &macro, const Arguments &arguments)
{
    const auto named = [&](std::string_view name) {
        return std::ranges::find_if(arguments.named, [&](const auto &entry) { return entry.first == name; });
    };
    const std::size_t count = macro.parameters.size();
    std::vector<Value> surplus(arguments.positional.begin()
                                   + static_cast<std::ptrdiff_t>(std::min(count, arguments.positional.size())),
                               arguments.positional.end());
    if (!surplus.empty() && !macro.takesVarargs)
        fail("macro '" + macro.name + "' takes not more than " + std::to_string(count) + " argument(s)");
    for (std::size_t i = 0; i < count; ++i) {
        const Parameter &parameter = macro.parameters[i];
        const auto given = named(parameter.name);
        if (i < arguments.positional.size()) {
            if (given != arguments.named.end())
                fail("macro '" + macro.name + "' got multiple values for argument '" + parameter.name + "'");
            m_scope->set(parameter.name, arguments.positional[i]);
        } else if (given != arguments.named.end()) {
            m_scope->set(parameter.name, given->second);
        } else if (parameter.fallback) {
            m_scope->set(parameter.name, evaluate(*parameter.fallback));
        } else {
            m_scope->set(parameter.name, Value::undefined("parameter '" + parameter.name + "' was not provided"));
        }
    }
    std::vector<std::pair<Value, Value>> keywords;
    for (const auto &[name, value] : arguments.named) {
        const bool isParameter
            = std::ranges::any_of(macro.parameters, [&](const Parameter &p) { return p.name == name; });
        if (isParameter || (name == "caller" && macro.takesCaller))
            continue;
        if (!macro.takesKeywords)
            fail("macro '" + macro.name + "' takes no keyword argument '" + name + "'");
        keywords.emplace_back(name, value);
    }
    if (macro.takesCaller) {
        const auto caller = named("caller");
        m_scope->set("caller",
                     caller != arguments.named.end() ? caller->second : Value::undefined("No caller defined"));
    }
    if (macro.takesVarargs)
        m_scope->set("varargs", Value::tuple(std::move(surplus)));
    if (macro.takesKeywords)
        m_scope->set("kwargs", Value::dict(std::move(keywords)));
}

// Expressions --------------------------------------------------------------------------------------------------------

Value Evaluator::evaluate(const Expression &expression)
{
    try {
        const Depth depth(*this);
        charge(0);
        return evaluateKind(expression);
    } catch (Failure &failure) {
        if (failure.line == 0)
            failure.line = expression.line;
        throw;
    }
}

Value Evaluator::evaluateKind(const Expression &expression)
{
    const auto child = [&](std::size_t i) { return evaluate(*expression.children[i]); };
    switch (expression.kind) {
    case ExpressionKind::Constant:
        return expression.constant;
    case ExpressionKind::Name:
        return name(expression);
    case ExpressionKind::List:
        return Value::list(evaluateAll(expression.children));
    case ExpressionKind::Tuple:
        return Value::tuple(evaluateAll(expression.children));
    case ExpressionKind::Dict:
        return dict(expression);
    case ExpressionKind::And:
    case ExpressionKind::Or:
        return logical(expression);
    case ExpressionKind::Not:
        return !child(0).truth();
    case ExpressionKind::Compare:
        return compare(expression);
    case ExpressionKind::Binary: {
        const Value left = child(0);
        return arithmetic(*this, expression.name, left, child(1));
    }
    case ExpressionKind::Negative:
        return negated(child(0));
    case ExpressionKind::Positive: {
        const Value value = child(0);
        return value.isFloat() ? value : Value(value.integer());
    }
    case ExpressionKind::Concatenation:
        return concatenation(expression);
    case ExpressionKind::Conditional:
        return conditional(expression);
    case ExpressionKind::Attribute:
        return attribute(child(0), expression.name);
    case ExpressionKind::Item: {
        const Value value = child(0);
        return item(value, child(1));
    }
    case ExpressionKind::Slice:
        return sliceOf(expression);
    case ExpressionKind::Call: {
        const Value callee = child(0);
        return call(callee, evaluateArguments(expression.arguments));
    }
    case ExpressionKind::Filter:
        return filtered(expression, nullptr);
    case ExpressionKind::Test: {
        const Value value = child(0);
        return applyTest(*this, expression.name, value, evaluateArguments(expression.arguments)) != expression.negated;
    }
    }
    fail("an expression of unknown kind");
}

Value Evaluator::name(const Expression &expression) const
{
    if (const Value *found = m_scope->find(expression.name))
        return *found;
    Value function = globalFunction(expression.name);
    return function.isUndefined() ? Value::undefined("'" + expression.name + "' is undefined") : function;
}

Value Evaluator::dict(const Expression &expression)
{
    std::vector<std::pair<Value, Value>> items;
    for (std::size_t i = 0; i + 1 < expression.children.size(); i += 2) {
        Value key = evaluate(*expression.children[i]);
        items.emplace_back(std::move(key), evaluate(*expression.children[i + 1]));
    }
    return Value::dict(std::move(items));
}

Value Evaluator::logical(const Expression &expression)
{
    const bool stopsAt = expression.kind == ExpressionKind::Or;
    Value value;
    for (const ExpressionPtr &child : expression.children) {
        value = evaluate(*child);
        if (value.truth() == stopsAt)
            break;
    }
    return value;
}

Value Evaluator::compare(const Expression &expression)
{
    Value left = evaluate(*expression.children[0]);
    for (std::size_t i = 0; i < expression.operators.size(); ++i) {
        Value right = evaluate(*expression.children[i + 1]);
        if (!compareOnce(left, expression.operators[i], right))
            return false;
        left = std::move(right);
    }
    return true;
}

bool Evaluator::compareOnce(const Value &left, const std::string &operation, const Value &right)
{
    if (const std::string *text = right.asString())
        charge(text->size());
    if (const List *list = right.asList())
        chargeItems(list->items.size());
    if (operation == "==")
        return equal(left, right);
    if (operation == "!=")
        return !equal(left, right);
    if (operation == "in")
        return contains(right, left);
    if (operation == "not in")
        return !contains(right, left);
    const int sign = order(left, right, operation);
    if (operation == "<")
        return sign < 0;
    if (operation == "<=")
        return sign <= 0;
    return operation == ">" ? sign > 0 : sign >= 0;
}

Value Evaluator::concatenation(const Expression &expression)
{
    std::string text;
    for (const ExpressionPtr &child : expression.children)
        text += evaluate(*child).text();
    charge(text.size());
    return text;
}

Value Evaluator::conditional(const Expression &expression)
{
    if (evaluate(*expression.children[0]).truth())
        return evaluate(*expression.children[1]);
    if (expression.children.size() > 2)
        return evaluate(*expression.children[2]);
    return Value::undefined("the inline if-expression evaluated to false and no else section was defined.");
}

Value Evaluator::sliceOf(const Expression &expression)
{
    const Value value = evaluate(*expression.children[0]);
    const auto bound = [&](std::size_t i) {
        const Expression *child = expression.children[i].get();
        return child ? evaluate(*child) : Value(None{});
    };
    const Value start = bound(1);
    const Value stop = bound(2);
    const Value step = bound(3);
    if (const std::string *text = value.asString())
        charge(text->size());
    else if (const List *list = value.asList())
        chargeItems(list->items.size());
    return slice(value, start, stop, step);
}

/// \a input: what a filter block holds, where the innermost filter of the chain has no child.
Value Evaluator::filtered(const Expression &expression, const Value *input)
{
    Value value;
    if (expression.children.empty())
        value = *input;
    else if (input && expression.children[0]->kind == ExpressionKind::Filter)
        value = filtered(*expression.children[0], input);
    else
        value = evaluate(*expression.children[0]);
    if (const std::string *text = value.asString())
        charge(text->size());
    else if (const List *list = value.asList())
        chargeItems(list->items.size());
    return applyFilter(*this, expression.name, value, evaluateArguments(expression.arguments));
}

std::vector<Value> Evaluator::evaluateAll(const std::vector<ExpressionPtr> &expressions)
{
    std::vector<Value> values;
    values.reserve(expressions.size());
    for (const ExpressionPtr &expression : expressions)
        values.push_back(evaluate(*expression));
    return values;
}

Arguments Evaluator::evaluateArguments(const std::vector<Argument> &arguments)
{
    Arguments values;
    for (const Argument &argument : arguments) {
        Value value = evaluate(*argument.value);
        if (argument.unpacks && argument.name.empty()) {
            for (Value &item : iterate(value))
                values.positional.push_back(std::move(item));
        } else if (argument.unpacks) {
            const Dict *dict = value.asDict();
            if (!dict)
                fail("argument after ** must be a mapping, not " + std::string(value.typeName()));
            for (const auto &[key, item] : dict->items)
                values.named.emplace_back(key.text(), item);
        } else if (argument.name.empty()) {
            values.positional.push_back(std::move(value));
        } else {
            values.named.emplace_back(argument.name, std::move(value));
        }
    }
    return values;
}

Value Evaluator::call(const Value &callable, const Arguments &arguments)
{
    callable.requireDefined();
    const Callable *function = callable.asCallable();
    if (!function)
        fail("'" + std::string(callable.typeName()) + "' object is not callable");
    Value result = function->call(*this, arguments);
    if (const std::string *text = result.asString())
        charge(text->size());
    else if (const List *list = result.asList())
        chargeItems(list->items.size());
    return result;
}

} // namespace secateur::jinja
