#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace secateur::jinja {

enum class TokenKind {
    Text,
    BlockBegin,
    BlockEnd,
    VariableBegin,
    VariableEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End
};

struct Token {
    TokenKind kind = TokenKind::End;
    std::string text; ///< of a string: the value without quotes and escapes
    int line = 1;
};

/// Cuts a template into tokens with trim_blocks and lstrip_blocks on and one newline at the very end dropped.
/// Throws Failure with a line.
std::vector<Token> tokenize(std::string_view source);

} // namespace secateur::jinja
