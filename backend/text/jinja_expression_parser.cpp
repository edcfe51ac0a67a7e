#include "backend/text/jinja_expression_parser.h"

#include <algorithm>
#include <charconv>

namespace secateur::jinja {
namespace {

constexpr int kDeepestTree = 150;

} // namespace

ExpressionParser::Nesting::Nesting(ExpressionParser &parser) : m_parser(parser)
{
    if (++m_parser.m_depth > kDeepestTree) {
        --m_parser.m_depth;
        m_parser.failHere("the template is nested too deeply");
    }
}

const Token &ExpressionParser::peek(std::size_t ahead) const
{
    return m_tokens[std::min(m_at + ahead, m_tokens.size() - 1)];
}

const Token &ExpressionParser::next()
{
    const Token &token = peek();
    m_at = std::min(m_at + 1, m_tokens.size() - 1);
    return token;
}

void ExpressionParser::failHere(std::string message) const
{
    throw Failure{std::move(message), peek().line};
}

void ExpressionParser::unexpected(std::string_view expected) const
{
    std::string found;
    switch (peek().kind) {
    case TokenKind::End:
        found = "end of template";
        break;
    case TokenKind::BlockEnd:
        found = "end of statement block";
        break;
    case TokenKind::VariableEnd:
        found = "end of print statement";
        break;
    case TokenKind::Text:
    case TokenKind::BlockBegin:
    case TokenKind::VariableBegin:
        found = "text";
        break;
    default:
        found = "'" + peek().text + "'";
    }
    failHere("unexpected " + found + (expected.empty() ? "" : ", expected " + std::string(expected)));
}

bool ExpressionParser::isName(std::string_view name, std::size_t ahead) const
{
    return peek(ahead).kind == TokenKind::Name && peek(ahead).text == name;
}

bool ExpressionParser::isOperator(std::string_view name, std::size_t ahead) const
{
    return peek(ahead).kind == TokenKind::Operator && peek(ahead).text == name;
}

bool ExpressionParser::skipName(std::string_view name)
{
    const bool found = isName(name);
    if (found)
        next();
    return found;
}

bool ExpressionParser::skipOperator(std::string_view name)
{
    const bool found = isOperator(name);
    if (found)
        next();
    return found;
}

void ExpressionParser::expectOperator(std::string_view name)
{
    if (!skipOperator(name))
        unexpected("'" + std::string(name) + "'");
}

std::string ExpressionParser::expectName(std::string_view what)
{
    if (peek().kind != TokenKind::Name)
        unexpected(what);
    return next().text;
}

void ExpressionParser::expectBlockEnd()
{
    if (peek().kind != TokenKind::BlockEnd)
        unexpected("end of statement block");
    next();
}

ExpressionPtr ExpressionParser::node(ExpressionKind kind, int line, std::string name) const
{
    auto result = std::make_unique<Expression>();
    result->kind = kind;
    result->line = line;
    result->name = std::move(name);
    return result;
}

void ExpressionParser::adopt(Expression &parent, ExpressionPtr child) const
{
    if (child) {
        parent.depth = std::max(parent.depth, child->depth + 1);
        if (parent.depth > kDeepestTree * 2)
            failHere("an expression is nested too deeply");
    }
    parent.children.push_back(std::move(child));
}

bool ExpressionParser::atTupleEnd() const
{
    return peek().kind == TokenKind::VariableEnd || peek().kind == TokenKind::BlockEnd || isOperator(")")
        || peek().kind == TokenKind::End;
}

ExpressionPtr ExpressionParser::tuple(Conditionals conditionals)
{
    const int line = peek().line;
    const auto one = [&] { return conditionals == Conditionals::Yes ? expression() : orExpression(); };
    ExpressionPtr first = one();
    if (!isOperator(","))
        return first;
    ExpressionPtr all = node(ExpressionKind::Tuple, line);
    adopt(*all, std::move(first));
    while (skipOperator(",")) {
        if (atTupleEnd())
            break;
        adopt(*all, one());
    }
    return all;
}

ExpressionPtr ExpressionParser::expression()
{
    const Nesting nesting(*this);
    ExpressionPtr value = orExpression();
    while (isName("if")) {
        ExpressionPtr conditional = node(ExpressionKind::Conditional, next().line);
        adopt(*conditional, orExpression());
        adopt(*conditional, std::move(value));
        if (skipName("else"))
            adopt(*conditional, expression());
        value = std::move(conditional);
    }
    return value;
}

ExpressionPtr ExpressionParser::chain(ExpressionKind kind, std::string_view word,
                                      ExpressionPtr (ExpressionParser::*operand)())
{
    ExpressionPtr first = (this->*operand)();
    const bool isTilde = kind == ExpressionKind::Concatenation;
    if (isTilde ? !isOperator(word) : !isName(word))
        return first;
    ExpressionPtr all = node(kind, peek().line);
    adopt(*all, std::move(first));
    while (isTilde ? skipOperator(word) : skipName(word))
        adopt(*all, (this->*operand)());
    return all;
}

ExpressionPtr ExpressionParser::orExpression()
{
    return chain(ExpressionKind::Or, "or", &ExpressionParser::andExpression);
}

ExpressionPtr ExpressionParser::andExpression()
{
    return chain(ExpressionKind::And, "and", &ExpressionParser::notExpression);
}

ExpressionPtr ExpressionParser::notExpression()
{
    if (!isName("not"))
        return comparison();
    const Nesting nesting(*this);
    ExpressionPtr result = node(ExpressionKind::Not, next().line);
    adopt(*result, notExpression());
    return result;
}

ExpressionPtr ExpressionParser::comparison()
{
    ExpressionPtr first = sum();
    ExpressionPtr all;
    while (true) {
        std::string name;
        if (peek().kind == TokenKind::Operator
            && (isOperator("==") || isOperator("!=") || isOperator("<") || isOperator("<=") || isOperator(">")
                || isOperator(">="))) {
            name = next().text;
        } else if (skipName("in")) {
            name = "in";
        } else if (isName("not") && isName("in", 1)) {
            next();
            next();
            name = "not in";
        } else {
            return all ? std::move(all) : std::move(first);
        }
        if (!all) {
            all = node(ExpressionKind::Compare, peek().line);
            adopt(*all, std::move(first));
        }
        all->operators.push_back(std::move(name));
        adopt(*all, sum());
    }
}

ExpressionPtr ExpressionParser::binary(std::initializer_list<std::string_view> names,
                                       ExpressionPtr (ExpressionParser::*operand)())
{
    ExpressionPtr left = (this->*operand)();
    while (peek().kind == TokenKind::Operator && std::ranges::find(names, peek().text) != names.end()) {
        const Token &token = next();
        ExpressionPtr both = node(ExpressionKind::Binary, token.line, token.text);
        adopt(*both, std::move(left));
        adopt(*both, (this->*operand)());
        left = std::move(both);
    }
    return left;
}

ExpressionPtr ExpressionParser::sum()
{
    return binary({"+", "-"}, &ExpressionParser::concatenation);
}

ExpressionPtr ExpressionParser::concatenation()
{
    return chain(ExpressionKind::Concatenation, "~", &ExpressionParser::product);
}

ExpressionPtr ExpressionParser::product()
{
    return binary({"*", "/", "//", "%"}, &ExpressionParser::power);
}

ExpressionPtr ExpressionParser::power()
{
    return binary({"**"}, &ExpressionParser::signedValue);
}

ExpressionPtr ExpressionParser::signedValue()
{
    return unary(true);
}

ExpressionPtr ExpressionParser::unary(bool withFilters)
{
    const Nesting nesting(*this);
    ExpressionPtr value;
    if (isOperator("-") || isOperator("+")) {
        const Token &token = next();
        value = node(token.text == "-" ? ExpressionKind::Negative : ExpressionKind::Positive, token.line);
        adopt(*value, unary(false));
    } else {
        value = primary();
    }
    value = postfix(std::move(value));
    return withFilters ? filterChain(std::move(value)) : std::move(value);
}

ExpressionPtr ExpressionParser::constant(Value value)
{
    ExpressionPtr result = node(ExpressionKind::Constant, peek().line);
    result->constant = std::move(value);
    return result;
}

Value ExpressionParser::numberValue(const Token &token) const
{
    const char *begin = token.text.data();
    const char *end = begin + token.text.size();
    if (token.kind == TokenKind::Float) {
        double value = 0;
        if (std::from_chars(begin, end, value).ec != std::errc())
            failHere("the number " + token.text + " is out of range");
        return value;
    }
    std::int64_t value = 0;
    if (std::from_chars(begin, end, value).ec != std::errc())
        failHere("the number " + token.text + " is out of range");
    return value;
}

ExpressionPtr ExpressionParser::primary()
{
    const Token &token = peek();
    switch (token.kind) {
    case TokenKind::Name:
        return nameOrConstant();
    case TokenKind::String: {
        std::string text;
        while (peek().kind == TokenKind::String)
            text += next().text;
        return constant(std::move(text));
    }
    case TokenKind::Integer:
    case TokenKind::Float: {
        ExpressionPtr result = constant(numberValue(token));
        next();
        return result;
    }
    default:
        break;
    }
    if (isOperator("("))
        return parenthesised();
    if (isOperator("["))
        return listLiteral();
    if (isOperator("{"))
        return dictLiteral();
    unexpected();
}

ExpressionPtr ExpressionParser::nameOrConstant()
{
    const std::string &name = peek().text;
    ExpressionPtr result;
    if (name == "true" || name == "True")
        result = constant(true);
    else if (name == "false" || name == "False")
        result = constant(false);
    else if (name == "none" || name == "None")
        result = constant(None{});
    else
        result = node(ExpressionKind::Name, peek().line, name);
    if (!m_macros.empty()) {
        m_macros.back()->takesVarargs |= name == "varargs";
        m_macros.back()->takesKeywords |= name == "kwargs";
        m_macros.back()->takesCaller |= name == "caller";
    }
    next();
    return result;
}

ExpressionPtr ExpressionParser::parenthesised()
{
    const int line = next().line;
    if (skipOperator(")"))
        return node(ExpressionKind::Tuple, line);
    ExpressionPtr inner = tuple();
    expectOperator(")");
    return inner;
}

ExpressionPtr ExpressionParser::listLiteral()
{
    ExpressionPtr list = node(ExpressionKind::List, next().line);
    while (!skipOperator("]")) {
        if (!list->children.empty()) {
            expectOperator(",");
            if (skipOperator("]"))
                break;
        }
        adopt(*list, expression());
    }
    return list;
}

ExpressionPtr ExpressionParser::dictLiteral()
{
    ExpressionPtr dict = node(ExpressionKind::Dict, next().line);
    while (!skipOperator("}")) {
        if (!dict->children.empty()) {
            expectOperator(",");
            if (skipOperator("}"))
                break;
        }
        adopt(*dict, expression());
        expectOperator(":");
        adopt(*dict, expression());
    }
    return dict;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr value)
{
    while (true) {
        if (isOperator("."))
            value = dotted(std::move(value));
        else if (isOperator("["))
            value = subscript(std::move(value));
        else if (isOperator("("))
            value = call(std::move(value));
        else
            return value;
    }
}

ExpressionPtr ExpressionParser::filterChain(ExpressionPtr value)
{
    while (true) {
        if (isOperator("|"))
            value = filters(std::move(value));
        else if (isName("is"))
            value = test(std::move(value));
        else if (isOperator("("))
            value = call(std::move(value));
        else
            return value;
    }
}

ExpressionPtr ExpressionParser::dotted(ExpressionPtr value)
{
    const int line = next().line;
    ExpressionPtr result;
    if (peek().kind == TokenKind::Name) {
        result = node(ExpressionKind::Attribute, line, next().text);
        adopt(*result, std::move(value));
    } else if (peek().kind == TokenKind::Integer) {
        result = node(ExpressionKind::Item, line);
        adopt(*result, std::move(value));
        adopt(*result, constant(numberValue(peek())));
        next();
    } else {
        unexpected("name or number");
    }
    return result;
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr value)
{
    const int line = next().line;
    const auto atEnd = [&] { return isOperator("]") || isOperator(":") || isOperator(","); };
    ExpressionPtr start = isOperator(":") ? nullptr : expression();
    if (isOperator(",")) {
        ExpressionPtr key = node(ExpressionKind::Tuple, line);
        adopt(*key, std::move(start));
        while (skipOperator(","))
            adopt(*key, expression());
        start = std::move(key);
    } else if (skipOperator(":")) {
        ExpressionPtr range = node(ExpressionKind::Slice, line);
        adopt(*range, std::move(value));
        adopt(*range, std::move(start));
        adopt(*range, atEnd() ? nullptr : expression());
        adopt(*range, skipOperator(":") && !atEnd() ? expression() : nullptr);
        expectOperator("]");
        return range;
    }
    expectOperator("]");
    ExpressionPtr result = node(ExpressionKind::Item, line);
    adopt(*result, std::move(value));
    adopt(*result, std::move(start));
    return result;
}

void ExpressionParser::arguments(Expression &owner)
{
    expectOperator("(");
    while (!skipOperator(")")) {
        if (!owner.arguments.empty()) {
            expectOperator(",");
            if (skipOperator(")"))
                return;
        }
        Argument argument;
        if (isOperator("*") || isOperator("**")) {
            argument.unpacks = true;
            argument.name = next().text == "**" ? "**" : "";
        } else if (peek().kind == TokenKind::Name && isOperator("=", 1)) {
            argument.name = next().text;
            next();
        } else if (!owner.arguments.empty() && !owner.arguments.back().name.empty()) {
            failHere("invalid syntax for function call expression");
        }
        argument.value = expression();
        owner.depth = std::max(owner.depth, argument.value->depth + 1);
        if (owner.depth > kDeepestTree * 2)
            failHere("an expression is nested too deeply");
        owner.arguments.push_back(std::move(argument));
    }
}

ExpressionPtr ExpressionParser::call(ExpressionPtr value)
{
    ExpressionPtr result = node(ExpressionKind::Call, peek().line);
    adopt(*result, std::move(value));
    arguments(*result);
    return result;
}

std::string ExpressionParser::dottedName()
{
    std::string name = expectName("a name");
    while (skipOperator("."))
        name += "." + expectName("a name");
    return name;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr value, bool startInline)
{
    while (startInline || isOperator("|")) {
        if (!startInline)
            next();
        startInline = false;
        const int line = peek().line;
        ExpressionPtr filter = node(ExpressionKind::Filter, line, dottedName());
        if (value)
            adopt(*filter, std::move(value));
        if (isOperator("("))
            arguments(*filter);
        value = std::move(filter);
    }
    return value;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr value)
{
    const int line = next().line;
    const bool negated = skipName("not");
    ExpressionPtr result = node(ExpressionKind::Test, line, dottedName());
    result->negated = negated;
    adopt(*result, std::move(value));
    if (isOperator("(")) {
        arguments(*result);
        return result;
    }
    const TokenKind kind = peek().kind;
    const bool hasOperand = kind == TokenKind::String || kind == TokenKind::Integer || kind == TokenKind::Float
        || isOperator("[") || isOperator("{")
        || (kind == TokenKind::Name && !isName("else") && !isName("or") && !isName("and"));
    if (!hasOperand)
        return result;
    if (isName("is"))
        failHere("You cannot chain multiple tests with is");
    // "x is defined if …": these words belong to what follows, and no test takes them as an operand.
    if (isName("if") || isName("not") || isName("in") || isName("recursive"))
        return result;
    Argument argument;
    argument.value = postfix(primary());
    result->depth = std::max(result->depth, argument.value->depth + 1);
    result->arguments.push_back(std::move(argument));
    return result;
}

} // namespace secateur::jinja
