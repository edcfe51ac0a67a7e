#include "backend/text/jinja_parser.h"

#include "backend/text/jinja_expression_parser.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace secateur::jinja {
namespace {

/// Text, tags and what stands between them.
class TemplateParser : private ExpressionParser {
public:
    explicit TemplateParser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) { }

    Block run()
    {
        Block block = statements({});
        if (peek().kind != TokenKind::End)
            unexpected();
        return block;
    }

private:
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
            result->expressions.push_back(tuple(Conditionals::No));
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
        result->expressions.push_back(tuple(Conditionals::No));
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
};

} // namespace

Block parseTemplate(std::string_view source)
{
    return TemplateParser(tokenize(source)).run();
}

} // namespace secateur::jinja
