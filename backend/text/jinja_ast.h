#pragma once

#include "backend/text/jinja_value.h"

#include <memory>
#include <string>
#include <vector>

/// The syntax tree of a template.
namespace secateur::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Argument {
    std::string name; ///< empty: positional
    ExpressionPtr value;
    bool unpacks = false; ///< "*value", or "**value" when the name is "**"
};

enum class ExpressionKind {
    Constant, ///< constant
    Name, ///< name
    List, ///< children
    Tuple, ///< children
    Dict, ///< children: key, value, key, value, …
    And, ///< children
    Or, ///< children
    Not, ///< one child
    Compare, ///< children; operators[i] stands between children i and i + 1
    Binary, ///< two children, name is the operator
    Negative, ///< one child
    Positive, ///< one child
    Concatenation, ///< children
    Conditional, ///< children: condition, value, [otherwise]
    Attribute, ///< one child, name
    Item, ///< children: value, key
    Slice, ///< children: value, start, stop, step; any of the last three may be null
    Call, ///< one child, arguments
    Filter, ///< one child, or none in a filter block; name, arguments
    Test, ///< one child, name, arguments, negated
};

struct Expression {
    ExpressionKind kind = ExpressionKind::Constant;
    int line = 0;
    int depth = 1; ///< of the tree below
    std::string name;
    Value constant;
    std::vector<ExpressionPtr> children;
    std::vector<std::string> operators;
    std::vector<Argument> arguments;
    bool negated = false;
};

struct Statement;
using StatementPtr = std::unique_ptr<Statement>;
using Block = std::vector<StatementPtr>;

/// What is assigned to: a name, `namespace.attribute`, or several of them.
struct Target {
    std::string name;
    std::string attribute; ///< empty: a plain name
    std::vector<Target> items; ///< not empty: unpack
};

struct Parameter {
    std::string name;
    ExpressionPtr fallback; ///< null: none
};

/// A macro, or the body of a call block.
struct MacroBody {
    std::string name;
    std::vector<Parameter> parameters;
    Block body;
    bool takesVarargs = false;
    bool takesKeywords = false;
    bool takesCaller = false;
};

enum class StatementKind {
    Text, ///< text
    Output, ///< expressions
    If, ///< expressions[i] guards blocks[i]; one block more is the else
    For, ///< target, expressions[0] iterable, [1] condition or null; blocks: body, else
    Set, ///< target, expressions[0]
    SetBlock, ///< target, expressions[0] filter chain or null; blocks[0]
    Macro, ///< macro
    CallBlock, ///< macro is the caller, expressions[0] the call
    FilterBlock, ///< expressions[0] filter chain, blocks[0]
    With, ///< targets, expressions, blocks[0]
    Scope, ///< blocks[0]
    Break,
    Continue,
};

struct Statement {
    StatementKind kind = StatementKind::Text;
    int line = 0;
    std::string text;
    std::vector<ExpressionPtr> expressions;
    std::vector<Block> blocks;
    std::vector<Target> targets;
    std::shared_ptr<const MacroBody> macro;
};

} // namespace secateur::jinja
