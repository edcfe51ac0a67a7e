#pragma once

#include "backend/text/jinja_ast.h"
#include "backend/text/jinja_lexer.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace secateur::jinja {

/// Recursive descent over the tokens of a template, with Jinja's precedences. Throws Failure with a line when
/// something is out of place or nested too deeply.
class ExpressionParser {
protected:
    explicit ExpressionParser(std::vector<Token> tokens) : m_tokens(std::move(tokens)) { }
    ~ExpressionParser() = default;

    /// Counts how deep the parser is in itself.
    class Nesting {
    public:
        explicit Nesting(ExpressionParser &parser);
        ~Nesting() { --m_parser.m_depth; }
        Nesting(const Nesting &) = delete;
        Nesting &operator=(const Nesting &) = delete;

    private:
        ExpressionParser &m_parser;
    };

    const Token &peek(std::size_t ahead = 0) const;
    const Token &next();
    [[noreturn]] void failHere(std::string message) const;
    [[noreturn]] void unexpected(std::string_view expected = {}) const;
    bool isName(std::string_view name, std::size_t ahead = 0) const;
    bool isOperator(std::string_view name, std::size_t ahead = 0) const;
    bool skipName(std::string_view name);
    bool skipOperator(std::string_view name);
    void expectOperator(std::string_view name);
    std::string expectName(std::string_view what);
    void expectBlockEnd();

    enum class Conditionals { Yes, No };
    /// One expression, or several with commas as a tuple.
    ExpressionPtr tuple(Conditionals conditionals = Conditionals::Yes);
    ExpressionPtr expression();
    /// A chain of filters on \a value, which is null in a filter block; \a startInline: the first has no "|".
    ExpressionPtr filters(ExpressionPtr value, bool startInline = false);

    int m_loops = 0; ///< how many loops the parser is in
    std::vector<MacroBody *> m_macros; ///< the macros the parser is in, the innermost last

private:
    ExpressionPtr node(ExpressionKind kind, int line, std::string name = {}) const;
    /// Chains such as a.b.c or a + b + c grow in depth without recursion of the parser.
    void adopt(Expression &parent, ExpressionPtr child) const;
    bool atTupleEnd() const;
    ExpressionPtr chain(ExpressionKind kind, std::string_view word, ExpressionPtr (ExpressionParser::*operand)());
    ExpressionPtr orExpression();
    ExpressionPtr andExpression();
    ExpressionPtr notExpression();
    ExpressionPtr comparison();
    ExpressionPtr binary(std::initializer_list<std::string_view> names, ExpressionPtr (ExpressionParser::*operand)());
    ExpressionPtr sum();
    ExpressionPtr concatenation();
    ExpressionPtr product();
    ExpressionPtr power();
    ExpressionPtr signedValue();
    ExpressionPtr unary(bool withFilters);
    ExpressionPtr constant(Value value);
    Value numberValue(const Token &token) const;
    ExpressionPtr primary();
    ExpressionPtr nameOrConstant();
    ExpressionPtr parenthesised();
    ExpressionPtr listLiteral();
    ExpressionPtr dictLiteral();
    ExpressionPtr postfix(ExpressionPtr value);
    ExpressionPtr filterChain(ExpressionPtr value);
    ExpressionPtr dotted(ExpressionPtr value);
    ExpressionPtr subscript(ExpressionPtr value);
    void arguments(Expression &owner);
    ExpressionPtr call(ExpressionPtr value);
    std::string dottedName();
    ExpressionPtr test(ExpressionPtr value);

    std::vector<Token> m_tokens;
    std::size_t m_at = 0;
    int m_depth = 0;
};

} // namespace secateur::jinja
