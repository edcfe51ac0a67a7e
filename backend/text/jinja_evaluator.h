#pragma once

#include "backend/text/jinja_ast.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace secateur::jinja {

/// What one rendering may use before it is stopped.
struct Limits {
    std::size_t steps = 4'000'000; ///< nodes evaluated and, at a lower price, bytes and items made
    std::size_t output = 64 * 1024 * 1024; ///< bytes of the result and of any one string
    int depth = 600; ///< nodes inside nodes, through macros
};

/// Variables of one block; inner blocks see outer ones.
struct Scope {
    std::vector<std::pair<std::string, Value>> variables;
    std::shared_ptr<Scope> outer;

    const Value *find(std::string_view name) const;
    void set(std::string_view name, Value value);
};

/// Runs a syntax tree once. Throws Failure with a line, or Raised.
class Evaluator {
public:
    explicit Evaluator(Limits limits = {}) : m_limits(limits) { }
    ~Evaluator();
    Evaluator(const Evaluator &) = delete;
    Evaluator &operator=(const Evaluator &) = delete;

    std::string render(const Block &block, std::vector<std::pair<std::string, Value>> variables);

    // For filters, tests and functions:
    Value call(const Value &callable, const Arguments &arguments);
    /// Pays for \a bytes of work; fails when the budget is spent.
    void charge(std::size_t bytes);
    void chargeItems(std::size_t count) { charge(count * 16); }
    /// Remembers a namespace, so that values that hold each other are let go in the end.
    Value makeNamespace(std::vector<std::pair<std::string, Value>> variables);

private:
    enum class Flow { Normal, Break, Continue };
    class Depth;
    struct Capture;

    Flow run(const Block &block);
    Flow run(const Statement &statement);
    Flow runIf(const Statement &statement);
    Flow runFor(const Statement &statement);
    Flow runLoopBody(const Statement &statement, std::vector<Value> items, const std::shared_ptr<Scope> &outer);
    void runWith(const Statement &statement);
    void runScoped(const Block &block);
    void runCallBlock(const Statement &statement);
    std::vector<Value> filteredItems(const Statement &statement, std::vector<Value> items,
                                     const std::shared_ptr<Scope> &outer);
    std::string captured(const Block &block);
    void print(const Value &value);
    void assign(const Target &target, Value value);
    Value makeMacro(std::shared_ptr<const MacroBody> macro);
    Value callMacro(const MacroBody &macro, const std::weak_ptr<Scope> &definedIn, const Arguments &arguments);
    void bindParameters(const MacroBody &macro, const Arguments &arguments);

    Value evaluate(const Expression &expression);
    Value evaluateKind(const Expression &expression);
    Value name(const Expression &expression) const;
    Value dict(const Expression &expression);
    Value logical(const Expression &expression);
    Value compare(const Expression &expression);
    Value concatenation(const Expression &expression);
    Value conditional(const Expression &expression);
    Value sliceOf(const Expression &expression);
    Value filtered(const Expression &expression, const Value *input);
    bool compareOnce(const Value &left, const std::string &operation, const Value &right);
    std::vector<Value> evaluateAll(const std::vector<ExpressionPtr> &expressions);
    Arguments evaluateArguments(const std::vector<Argument> &arguments);

    Limits m_limits;
    std::size_t m_spent = 0;
    int m_depth = 0;
    std::string *m_out = nullptr;
    std::shared_ptr<Scope> m_scope;
    std::vector<std::shared_ptr<Namespace>> m_namespaces;
};

/// Arithmetic with Python's rules. \a operation: + - * / // % **
Value arithmetic(Evaluator &evaluator, std::string_view operation, const Value &left, const Value &right);
Value negated(const Value &value);

/// Fails with "No filter named …" for unknown ones.
Value applyFilter(Evaluator &evaluator, std::string_view name, const Value &value, const Arguments &arguments);
bool applyTest(Evaluator &evaluator, std::string_view name, const Value &value, const Arguments &arguments);
bool hasFilter(std::string_view name);
bool hasTest(std::string_view name);

/// range, dict, namespace, raise_exception, strftime_now; undefined for other names.
Value globalFunction(std::string_view name);

/// "%s and %d" % values
std::string formatted(std::string_view format, const std::vector<Value> &values);

} // namespace secateur::jinja
