#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace secateur {

/// A function of one integer in a small part of Python, read and evaluated here: nothing is executed. Known are "def",
/// blocks by indentation, "if" with "else", assignments to names, "return", whole numbers, + - * // % and unary minus,
/// comparisons, and parentheses. There are no loops and no calls, so the work is bounded by the length of the text.
class SmallFunction {
public:
    /// The first function definition in \a text; what stands before and after it is ignored. nullopt when there is
    /// none or it uses anything else.
    static std::optional<SmallFunction> parse(std::string_view text);

    /// nullopt when nothing is returned, a name has no value, a division is by zero, or a value leaves 64 bits.
    std::optional<std::int64_t> operator()(std::int64_t x) const;

    struct Body;

private:
    explicit SmallFunction(std::shared_ptr<const Body> body) : m_body(std::move(body)) { }
    std::shared_ptr<const Body> m_body;
};

} // namespace secateur
