#include "backend/tasks/small_function.h"

#include <charconv>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace secateur {

namespace {

constexpr std::size_t kTextLimit = 1 << 16;
constexpr int kDepthLimit = 50; ///< blocks and parentheses within each other

bool isNameStart(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool isDigitOfCode(char c)
{
    return c >= '0' && c <= '9';
}

std::string_view trimmedCode(std::string_view text)
{
    const auto first = text.find_first_not_of(" \t\r");
    return first == std::string_view::npos ? std::string_view()
                                           : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// A name at the beginning of \a text, taken away from it; empty when there is none.
std::string_view takeName(std::string_view &text)
{
    text = trimmedCode(text);
    std::size_t end = 0;
    while (end < text.size() && (isNameStart(text[end]) || (end > 0 && isDigitOfCode(text[end]))))
        ++end;
    const auto name = text.substr(0, end);
    text.remove_prefix(end);
    return name;
}

using Values = std::map<std::string, std::int64_t, std::less<>>;
using Value = std::optional<std::int64_t>;

/// Python rounds quotients down and gives the remainder the sign of the divisor.
Value divided(std::int64_t a, std::int64_t b, bool wantsRemainder)
{
    if (b == 0 || (b == -1 && a == INT64_MIN))
        return std::nullopt;
    std::int64_t quotient = a / b;
    std::int64_t remainder = a % b;
    if (remainder != 0 && (remainder < 0) != (b < 0)) {
        --quotient;
        remainder += b;
    }
    return wantsRemainder ? remainder : quotient;
}

Value combined(char operation, std::int64_t a, std::int64_t b)
{
    std::int64_t result = 0;
    switch (operation) {
    case '+':
        return __builtin_add_overflow(a, b, &result) ? Value() : Value(result);
    case '-':
        return __builtin_sub_overflow(a, b, &result) ? Value() : Value(result);
    case '*':
        return __builtin_mul_overflow(a, b, &result) ? Value() : Value(result);
    default:
        return divided(a, b, operation == '%');
    }
}

/// Reads an expression and computes it on the way: comparison > sum > product > unary minus > value.
class Expression {
public:
    Expression(std::string_view text, const Values &values) : m_text(text), m_values(values) { }

    /// \a wellFormed tells a text that is no expression from one without a value.
    Value evaluate(bool &wellFormed)
    {
        const Value value = comparison();
        blanks();
        wellFormed = m_wellFormed && m_at == m_text.size();
        return wellFormed ? value : std::nullopt;
    }

private:
    void blanks()
    {
        while (m_at < m_text.size() && m_text[m_at] == ' ')
            ++m_at;
    }

    bool take(std::string_view mark)
    {
        blanks();
        if (!m_text.substr(m_at).starts_with(mark))
            return false;
        m_at += mark.size();
        return true;
    }

    Value malformed()
    {
        m_wellFormed = false;
        return std::nullopt;
    }

    Value comparison()
    {
        const Value left = sum();
        for (const std::string_view mark : {"<=", ">=", "==", "!=", "<", ">"}) {
            if (!take(mark))
                continue;
            const Value right = sum();
            if (!left || !right)
                return std::nullopt;
            const bool less = *left < *right;
            const bool equal = *left == *right;
            if (mark.size() == 1)
                return mark == "<" ? less : !less && !equal;
            return mark == "<=" ? less || equal : mark == ">=" ? !less : (mark == "==") == equal;
        }
        return left;
    }

    Value sum()
    {
        Value value = product();
        while (true) {
            const char operation = take("+") ? '+' : take("-") ? '-' : ' ';
            if (operation == ' ')
                return value;
            const Value right = product();
            value = value && right ? combined(operation, *value, *right) : std::nullopt;
        }
    }

    Value product()
    {
        Value value = unary();
        while (true) {
            const char operation = take("//") ? '/' : take("*") ? '*' : take("%") ? '%' : ' ';
            if (operation == ' ')
                return value;
            const Value right = unary();
            value = value && right ? combined(operation, *value, *right) : std::nullopt;
        }
    }

    Value unary()
    {
        if (++m_depth > kDepthLimit)
            return malformed();
        Value value;
        if (take("-")) {
            value = unary();
            value = value ? combined('-', 0, *value) : std::nullopt;
        } else if (take("(")) {
            value = comparison();
            if (!take(")"))
                value = malformed();
        } else {
            value = atom();
        }
        --m_depth;
        return value;
    }

    Value atom()
    {
        blanks();
        std::string_view rest = m_text.substr(m_at);
        if (!rest.empty() && isDigitOfCode(rest.front())) {
            std::int64_t number = 0;
            const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), number);
            m_at += static_cast<std::size_t>(parsed.ptr - rest.data());
            return parsed.ec == std::errc() ? Value(number) : std::nullopt;
        }
        const auto name = takeName(rest);
        if (name.empty())
            return malformed();
        m_at += name.size();
        const auto found = m_values.find(name);
        return found == m_values.end() ? std::nullopt : Value(found->second);
    }

    std::string_view m_text;
    const Values &m_values;
    std::size_t m_at = 0;
    int m_depth = 0;
    bool m_wellFormed = true;
};

bool isExpression(std::string_view text)
{
    bool wellFormed = false;
    const Values none;
    Expression(text, none).evaluate(wellFormed);
    return wellFormed;
}

} // namespace

/// A list of statements: "if" has two lists of its own.
struct SmallFunction::Body {
    struct Statement {
        enum class Kind { Assign, If, Return } kind = Kind::Assign;
        std::string name;
        std::string expression;
        std::vector<Statement> then, otherwise;
    };
    std::string parameter;
    std::vector<Statement> statements;
};

namespace {

using Statement = SmallFunction::Body::Statement;

struct CodeLine {
    std::size_t indent = 0;
    std::string_view text;
};

/// Reads lines of the same indentation as one block. Ends at the first line that is indented less.
class BlockReader {
public:
    explicit BlockReader(std::vector<CodeLine> lines) : m_lines(std::move(lines)) { }

    /// nullopt when the block is empty or holds a line that is not understood.
    std::optional<std::vector<Statement>> block(std::size_t outerIndent, int depth)
    {
        std::vector<Statement> statements;
        if (depth > kDepthLimit || m_next == m_lines.size() || m_lines[m_next].indent <= outerIndent)
            return std::nullopt;
        const std::size_t indent = m_lines[m_next].indent;
        while (m_next < m_lines.size() && m_lines[m_next].indent == indent) {
            auto statement = one(indent, depth);
            if (!statement)
                return std::nullopt;
            statements.push_back(std::move(*statement));
        }
        if (m_next < m_lines.size() && m_lines[m_next].indent > outerIndent)
            return std::nullopt; // neither in this block nor outside
        return statements;
    }

private:
    std::optional<Statement> one(std::size_t indent, int depth)
    {
        Statement statement;
        std::string_view rest = m_lines[m_next++].text;
        const auto name = takeName(rest);
        rest = trimmedCode(rest);
        if (name == "return") {
            statement.kind = Statement::Kind::Return;
        } else if (name == "if" && rest.ends_with(':')) {
            statement.kind = Statement::Kind::If;
            rest = trimmedCode(rest.substr(0, rest.size() - 1));
            auto then = block(indent, depth + 1);
            if (!then)
                return std::nullopt;
            statement.then = std::move(*then);
            if (m_next < m_lines.size() && m_lines[m_next].indent == indent && m_lines[m_next].text == "else:") {
                ++m_next;
                auto otherwise = block(indent, depth + 1);
                if (!otherwise)
                    return std::nullopt;
                statement.otherwise = std::move(*otherwise);
            }
        } else if (!name.empty() && rest.starts_with('=')) {
            statement.name = name;
            rest = trimmedCode(rest.substr(1));
        } else {
            return std::nullopt;
        }
        statement.expression = rest;
        return isExpression(rest) ? std::optional(std::move(statement)) : std::nullopt;
    }

    std::vector<CodeLine> m_lines;
    std::size_t m_next = 0;
};

/// \a result is set when a "return" was reached; false when a value is missing.
bool runStatements(const std::vector<Statement> &statements, Values &values, Value &result)
{
    for (const Statement &statement : statements) {
        bool wellFormed = false;
        const Value value = Expression(statement.expression, values).evaluate(wellFormed);
        if (!value)
            return false;
        if (statement.kind == Statement::Kind::Return) {
            result = value;
            return true;
        }
        if (statement.kind == Statement::Kind::Assign) {
            values[statement.name] = *value;
        } else {
            if (!runStatements(*value != 0 ? statement.then : statement.otherwise, values, result))
                return false;
            if (result)
                return true;
        }
    }
    return true;
}

} // namespace

std::optional<SmallFunction> SmallFunction::parse(std::string_view text)
{
    const auto start = text.find("def ");
    if (start == std::string_view::npos || text.size() > kTextLimit || (start > 0 && text[start - 1] != '\n'))
        return std::nullopt;
    text.remove_prefix(start);
    std::string_view head = text.substr(4, text.find('\n') - 4);
    Body body;
    const auto name = takeName(head);
    head = trimmedCode(head);
    if (name.empty() || !head.starts_with('('))
        return std::nullopt;
    head.remove_prefix(1);
    body.parameter = takeName(head);
    head = trimmedCode(head);
    if (body.parameter.empty() || !head.starts_with(')') || trimmedCode(head.substr(1)) != ":")
        return std::nullopt;
    std::vector<CodeLine> lines;
    for (auto at = text.find('\n'); at != std::string_view::npos;) {
        const auto end = text.find('\n', at + 1);
        const auto line = text.substr(at + 1, end == std::string_view::npos ? end : end - at - 1);
        at = end;
        const auto code = trimmedCode(line);
        if (code.empty())
            continue;
        const auto indent = line.find_first_not_of(" \t");
        if (indent == 0)
            break; // the function has ended
        lines.push_back({indent, code});
    }
    auto statements = BlockReader(std::move(lines)).block(0, 0);
    if (!statements)
        return std::nullopt;
    body.statements = std::move(*statements);
    return SmallFunction(std::make_shared<const Body>(std::move(body)));
}

std::optional<std::int64_t> SmallFunction::operator()(std::int64_t x) const
{
    Values values{{m_body->parameter, x}};
    Value result;
    return runStatements(m_body->statements, values, result) ? result : std::nullopt;
}

} // namespace secateur
