#include "backend/text/jinja_parser.h"

#include "backend/text/jinja_lexer.h"
#include "backend/text/jinja_text.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <limits>
#include <span>

namespace secateur::jinja {
namespace {

constexpr int kDeepestTree = 150;

/// Recursive descent over the tokens, with Jinja's precedences.
class Parser {
public:
    explicit Parser(std::vector<Token> tokens) : m_tokens(std::move(tokens)) { }

    Block run()
    {
        Block block = statements({});
        if (peek().kind != TokenKind::End)
            unexpected();
        return block;
    }

private:
    /// Counts how deep the parser is in itself.
    class Nesting {
    public:
        explicit Nesting(Parser &parser) : m_parser(parser)
        {
            if (++m_parser.m_depth > kDeepestTree) {
                --m_parser.m_depth;
                m_parser.failHere("the template is nested too deeply");
            }
        }
        ~Nesting() { --m_parser.m_depth; }
        Nesting(const Nesting &) = delete;
        Nesting &operator=(const Nesting &) = delete;

    private:
        Parser &m_parser;
    };

    const Token &peek(std::size_t ahead = 0) const { return m_tokens[std::min(m_at + ahead, m_tokens.size() - 1)]; }
    const Token &next()
    {
        const Token &token = peek();
        m_at = std::min(m_at + 1, m_tokens.size() - 1);
        return token;
    }
    [[noreturn]] void failHere(std::string message) const { throw Failure{std::move(message), peek().line}; }
    [[noreturn]] void unexpected(std::string_view expected = {}) const
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

    bool isName(std::string_view name, std::size_t ahead = 0) const
    {
        return peek(ahead).kind == TokenKind::Name && peek(ahead).text == name;
    }
    bool isOperator(std::string_view name, std::size_t ahead = 0) const
    {
        return peek(ahead).kind == TokenKind::Operator && peek(ahead).text == name;
    }
    bool skipName(std::string_view name)
    {
        const bool found = isName(name);
        if (found)
            next();
        return found;
    }
    bool skipOperator(std::string_view name)
    {
        const bool found = isOperator(name);
        if (found)
            next();
        return found;
    }
    void expectOperator(std::string_view name)
    {
        if (!skipOperator(name))
            unexpected("'" + std::string(name) + "'");
    }
    std::string expectName(std::string_view what)
    {
        if (peek().kind != TokenKind::Name)
            unexpected(what);
        return next().text;
    }
    void expectBlockEnd()
    {
        if (peek().kind != TokenKind::BlockEnd)
            unexpected("end of statement block");
        next();
    }

    // Statements ------------------------------------------------------------------------------------------------

    StatementPtr statement(StatementKind kind) const
    {
        auto result = std::make_unique<Statement>();
        result->kind = kind;
        result->line = peek().line;
        return result;
    }

    /// Up to a tag that is named in \a ends; the parser then stands at that name.
    Block statements(std::initializer_list<std::string_view> ends)
    {
        const Nesting nesting(*this);
        Block block;
        while (peek().kind != TokenKind::End) {
            if (peek().kind == TokenKind::Text) {
                auto text = statement(StatementKind::Text);
                text->text = next().text;
                block.push_back(std::move(text));
            } else if (peek().kind == TokenKind::VariableBegin) {
                next();
                auto output = statement(StatementKind::Output);
                output->expressions.push_back(tuple());
                if (peek().kind != TokenKind::VariableEnd)
                    unexpected("end of print statement");
                next();
                block.push_back(std::move(output));
            } else {
                next(); // BlockBegin
                if (peek().kind != TokenKind::Name)
                    unexpected("a tag name");
                if (std::ranges::find(ends, peek().text) != ends.end())
                    return block;
                block.push_back(tag());
            }
        }
        if (ends.size() > 0)
            failHere("Unexpected end of template. Jinja was looking for the tag '" + std::string(*(ends.end() - 1))
                     + "'.");
        return block;
    }

    StatementPtr tag()
    {
        const std::string name = peek().text;
        if (name == "if")
            return ifTag();
        if (name == "for")
            return forTag();
        if (name == "set")
            return setTag();
        if (name == "macro")
            return macroTag();
        if (name == "call")
            return callTag();
        if (name == "filter")
            return filterTag();
        if (name == "with")
            return withTag();
        if (name == "generation")
            return generationTag();
        if (name == "print")
            return printTag();
        if (name == "break" || name == "continue")
            return jumpTag();
        failHere("Encountered unknown tag '" + name + "'.");
    }

    /// The body of a tag up to and with its end tag.
    Block body(std::string_view end)
    {
        expectBlockEnd();
        Block block = statements({end});
        next();
        expectBlockEnd();
        return block;
    }

    StatementPtr ifTag()
    {
        auto result = statement(StatementKind::If);
        while (true) {
            next(); // if, elif
            result->expressions.push_back(tuple(Commas::Tuple, Conditionals::No));
            expectBlockEnd();
            result->blocks.push_back(statements({"elif", "else", "endif"}));
            if (!isName("elif"))
                break;
        }
        if (skipName("else")) {
            expectBlockEnd();
            result->blocks.push_back(statements({"endif"}));
        }
        next();
        expectBlockEnd();
        return result;
    }

    StatementPtr forTag()
    {
        auto result = statement(StatementKind::For);
        next();
        result->targets.push_back(target("in"));
        if (!skipName("in"))
            unexpected("'in'");
        result->expressions.push_back(tuple(Commas::Tuple, Conditionals::No));
        result->expressions.push_back(skipName("if") ? expression() : nullptr);
        if (isName("recursive"))
            failHere("recursive loops are not supported");
        expectBlockEnd();
        ++m_loops;
        result->blocks.push_back(statements({"else", "endfor"}));
        --m_loops;
        if (skipName("else")) {
            expectBlockEnd();
            result->blocks.push_back(statements({"endfor"}));
        }
        next();
        expectBlockEnd();
        return result;
    }

    StatementPtr setTag()
    {
        auto result = statement(StatementKind::Set);
        next();
        result->targets.push_back(target("="));
        if (skipOperator("=")) {
            result->expressions.push_back(tuple());
            expectBlockEnd();
            return result;
        }
        result->kind = StatementKind::SetBlock;
        result->expressions.push_back(isOperator("|") ? filters(nullptr) : nullptr);
        result->blocks.push_back(body("endset"));
        return result;
    }

    std::shared_ptr<const MacroBody> macroBody(std::string name, std::string_view end, bool hasParameters,
                                               ExpressionPtr *call)
    {
        auto macro = std::make_shared<MacroBody>();
        macro->name = std::move(name);
        m_macros.push_back(macro.get());
        if (hasParameters) {
            expectOperator("(");
            while (!skipOperator(")")) {
                if (!macro->parameters.empty())
                    expectOperator(",");
                if (skipOperator(")"))
                    break;
                Parameter parameter;
                parameter.name = assignableName();
                if (skipOperator("="))
                    parameter.fallback = expression();
                else if (!macro->parameters.empty() && macro->parameters.back().fallback)
                    failHere("non-default argument follows default argument");
                macro->parameters.push_back(std::move(parameter));
            }
        }
        if (call) {
            m_macros.pop_back(); // the call itself belongs to what is around
            *call = expression();
            if ((*call)->kind != ExpressionKind::Call)
                failHere("expected call");
            m_macros.push_back(macro.get());
        }
        const int loops = std::exchange(m_loops, 0);
        macro->body = body(end);
        m_loops = loops;
        m_macros.pop_back();
        return macro;
    }

    StatementPtr macroTag()
    {
        auto result = statement(StatementKind::Macro);
        next();
        std::string name = assignableName();
        result->macro = macroBody(std::move(name), "endmacro", true, nullptr);
        return result;
    }

    StatementPtr callTag()
    {
        auto result = statement(StatementKind::CallBlock);
        next();
        ExpressionPtr call;
        result->macro = macroBody("caller", "endcall", isOperator("("), &call);
        result->expressions.push_back(std::move(call));
        return result;
    }

    StatementPtr filterTag()
    {
        auto result = statement(StatementKind::FilterBlock);
        next();
        result->expressions.push_back(filters(nullptr, true));
        result->blocks.push_back(body("endfilter"));
        return result;
    }

    StatementPtr withTag()
    {
        auto result = statement(StatementKind::With);
        next();
        while (peek().kind != TokenKind::BlockEnd) {
            if (!result->targets.empty())
                expectOperator(",");
            result->targets.push_back(target("="));
            expectOperator("=");
            result->expressions.push_back(expression());
        }
        result->blocks.push_back(body("endwith"));
        return result;
    }

    /// Marks what the assistant wrote; only training needs it.
    StatementPtr generationTag()
    {
        auto result = statement(StatementKind::Scope);
        next();
        result->blocks.push_back(body("endgeneration"));
        return result;
    }

    StatementPtr printTag()
    {
        auto result = statement(StatementKind::Output);
        next();
        while (peek().kind != TokenKind::BlockEnd) {
            if (!result->expressions.empty())
                expectOperator(",");
            result->expressions.push_back(expression());
        }
        expectBlockEnd();
        return result;
    }

    StatementPtr jumpTag()
    {
        if (m_loops == 0)
            failHere("'" + peek().text + "' outside of a loop");
        auto result = statement(peek().text == "break" ? StatementKind::Break : StatementKind::Continue);
        next();
        expectBlockEnd();
        return result;
    }

    std::string assignableName()
    {
        const std::string name = expectName("a name");
        for (const std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
            if (name == reserved)
                failHere("can't assign to '" + name + "'");
        }
        return name;
    }

    Target target(std::string_view end)
    {
        Target first = singleTarget();
        if (!isOperator(","))
            return first;
        Target all;
        all.items.push_back(std::move(first));
        while (skipOperator(",")) {
            if (isName(end) || isOperator(end))
                break;
            all.items.push_back(singleTarget());
        }
        return all;
    }

    Target singleTarget()
    {
        const Nesting nesting(*this);
        if (skipOperator("(")) {
            Target inner = target(")");
            expectOperator(")");
            return inner;
        }
        Target result;
        result.name = assignableName();
        if (skipOperator("."))
            result.attribute = expectName("an attribute");
        return result;
    }

    // Expressions -----------------------------------------------------------------------------------------------

    ExpressionPtr node(ExpressionKind kind, int line, std::string name = {}) const
    {
        auto result = std::make_unique<Expression>();
        result->kind = kind;
        result->line = line;
        result->name = std::move(name);
        return result;
    }
    /// Chains such as a.b.c or a + b + c grow in depth without recursion of the parser.
    void adopt(Expression &parent, ExpressionPtr child) const
    {
        if (child) {
            parent.depth = std::max(parent.depth, child->depth + 1);
            if (parent.depth > kDeepestTree * 2)
                failHere("an expression is nested too deeply");
        }
        parent.children.push_back(std::move(child));
    }

    enum class Conditionals { Yes, No };
    enum class Commas { Tuple, Never };

    bool atTupleEnd() const
    {
        return peek().kind == TokenKind::VariableEnd || peek().kind == TokenKind::BlockEnd || isOperator(")")
            || peek().kind == TokenKind::End;
    }

    /// One expression, or several with commas as a tuple.
    ExpressionPtr tuple(Commas commas = Commas::Tuple, Conditionals conditionals = Conditionals::Yes)
    {
        const int line = peek().line;
        const auto one = [&] { return conditionals == Conditionals::Yes ? expression() : orExpression(); };
        ExpressionPtr first = one();
        if (commas == Commas::Never || !isOperator(","))
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

    ExpressionPtr expression()
    {
        const Nesting nesting(*this);
        ExpressionPtr value = orExpression();
        std::vector<ExpressionPtr> alternatives;
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

    ExpressionPtr chain(ExpressionKind kind, std::string_view word, ExpressionPtr (Parser::*operand)())
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

    ExpressionPtr orExpression() { return chain(ExpressionKind::Or, "or", &Parser::andExpression); }
    ExpressionPtr andExpression() { return chain(ExpressionKind::And, "and", &Parser::notExpression); }

    ExpressionPtr notExpression()
    {
        if (!isName("not"))
            return comparison();
        const Nesting nesting(*this);
        ExpressionPtr result = node(ExpressionKind::Not, next().line);
        adopt(*result, notExpression());
        return result;
    }

    ExpressionPtr comparison()
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

    ExpressionPtr binary(std::initializer_list<std::string_view> names, ExpressionPtr (Parser::*operand)())
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

    ExpressionPtr sum() { return binary({"+", "-"}, &Parser::concatenation); }
    ExpressionPtr concatenation() { return chain(ExpressionKind::Concatenation, "~", &Parser::product); }
    ExpressionPtr product() { return binary({"*", "/", "//", "%"}, &Parser::power); }
    ExpressionPtr power() { return binary({"**"}, &Parser::signedValue); }
    ExpressionPtr signedValue() { return unary(true); }

    ExpressionPtr unary(bool withFilters)
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

    ExpressionPtr constant(Value value)
    {
        ExpressionPtr result = node(ExpressionKind::Constant, peek().line);
        result->constant = std::move(value);
        return result;
    }

    Value numberValue(const Token &token) const
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

    ExpressionPtr primary()
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

    ExpressionPtr nameOrConstant()
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

    ExpressionPtr parenthesised()
    {
        const int line = next().line;
        if (skipOperator(")"))
            return node(ExpressionKind::Tuple, line);
        ExpressionPtr inner = tuple();
        expectOperator(")");
        return inner;
    }

    ExpressionPtr listLiteral()
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

    ExpressionPtr dictLiteral()
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

    ExpressionPtr postfix(ExpressionPtr value)
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

    ExpressionPtr filterChain(ExpressionPtr value)
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

    ExpressionPtr dotted(ExpressionPtr value)
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

    ExpressionPtr subscript(ExpressionPtr value)
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

    void arguments(Expression &owner)
    {
        expectOperator("(");
        while (!skipOperator(")")) {
            if (!owner.arguments.empty()) {
                expectOperator(",");
                if (skipOperator(")"))
                    return;
            }
            if (isOperator("*") || isOperator("**"))
                failHere("unpacking arguments with '" + peek().text + "' is not supported");
            Argument argument;
            if (peek().kind == TokenKind::Name && isOperator("=", 1)) {
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

    ExpressionPtr call(ExpressionPtr value)
    {
        ExpressionPtr result = node(ExpressionKind::Call, peek().line);
        adopt(*result, std::move(value));
        arguments(*result);
        return result;
    }

    std::string dottedName()
    {
        std::string name = expectName("a name");
        while (skipOperator("."))
            name += "." + expectName("a name");
        return name;
    }

    /// A chain of filters on \a value, which is null in a filter block; \a startInline: the first has no "|".
    ExpressionPtr filters(ExpressionPtr value, bool startInline = false)
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

    ExpressionPtr test(ExpressionPtr value)
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

    std::vector<Token> m_tokens;
    std::size_t m_at = 0;
    int m_depth = 0;
    int m_loops = 0;
    std::vector<MacroBody *> m_macros;
};

} // namespace

Block parseTemplate(std::string_view source)
{
    return Parser(tokenize(source)).run();
}

} // namespace secateur::jinja
