#include "backend/tasks/task.h"

#include "backend/core/error.h"
#include "backend/tasks/small_function.h"
#include "backend/tasks/word_rules.h"

#include <algorithm>
#include <optional>
#include <string_view>

namespace secateur {

namespace {

bool graderIsDigit(char c)
{
    return c >= '0' && c <= '9';
}

void graderReplace(std::string &text, std::string_view what, std::string_view with)
{
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
        text.replace(at, what.size(), with);
}

/// Writes LaTeX and typographic forms of numbers plainly: "1{,}000", "\$18", "−5", "1\,000".
std::string plainNumbers(std::string text)
{
    graderReplace(text, "\u2212", "-");
    graderReplace(text, "{,}", ",");
    graderReplace(text, "\\!", "");
    graderReplace(text, "\\,", "");
    graderReplace(text, "\\$", "$");
    graderReplace(text, "\\%", "%");
    graderReplace(text, "\u00A0", " ");
    graderReplace(text, "\u202F", " ");
    return text;
}

/// Plain spelling of one number: no commas, signs of currency, superfluous zeros or points.
std::string normalizedNumber(std::string_view text)
{
    std::string digits;
    bool negative = false;
    for (const char c : text) {
        if (graderIsDigit(c) || c == '.')
            digits += c;
        else if (c == '-' && digits.empty())
            negative = true;
    }
    if (const auto point = digits.find('.'); point != std::string::npos) {
        digits.resize(digits.find_last_not_of('0') + 1);
        if (digits.ends_with('.'))
            digits.pop_back();
    }
    const auto first = digits.find_first_not_of('0');
    digits.erase(0, first == std::string::npos ? digits.size() : first);
    if (digits.empty() || digits.front() == '.')
        digits.insert(0, "0");
    return negative && digits != "0" ? "-" + digits : digits;
}

/// A number in a text: digits with thousands commas and one decimal point, and a sign unless it is a minus between two
/// operands ("10-3").
struct NumberPlace {
    std::size_t begin = 0;
    std::size_t end = 0;
};

std::optional<NumberPlace> graderNextNumber(std::string_view text, std::size_t from)
{
    const auto digitAt = [&](std::size_t i) { return i < text.size() && graderIsDigit(text[i]); };
    std::size_t begin = from;
    while (begin < text.size() && !graderIsDigit(text[begin]) && !(text[begin] == '.' && digitAt(begin + 1)))
        ++begin;
    if (begin >= text.size())
        return std::nullopt;
    std::size_t end = begin;
    bool hasPoint = false;
    while (end < text.size()) {
        const char c = text[end];
        const bool comma = c == ',' && !hasPoint && end > begin && digitAt(end + 1) && digitAt(end + 2)
            && digitAt(end + 3) && !digitAt(end + 4);
        const bool point = c == '.' && !hasPoint && digitAt(end + 1);
        if (!graderIsDigit(c) && !comma && !point)
            break;
        hasPoint = hasPoint || point;
        ++end;
    }
    std::size_t sign = begin;
    if (sign > 0 && text[sign - 1] == '$')
        --sign;
    if (sign > 0 && text[sign - 1] == '-') {
        const char before = sign > 1 ? text[sign - 2] : ' ';
        const bool operand = graderIsDigit(before) || before == ')' || before == '%' || (before >= 'a' && before <= 'z')
            || (before >= 'A' && before <= 'Z');
        if (!operand)
            begin = sign - 1;
    }
    return NumberPlace{begin, end};
}

std::string graderFirstNumber(std::string_view text)
{
    const auto number = graderNextNumber(text, 0);
    return number ? normalizedNumber(text.substr(number->begin, number->end - number->begin)) : std::string();
}

std::string graderLastNumber(std::string_view text)
{
    std::string last;
    for (auto number = graderNextNumber(text, 0); number; number = graderNextNumber(text, number->end))
        last = normalizedNumber(text.substr(number->begin, number->end - number->begin));
    return last;
}

/// The number on the line after the last "####" that has one: the prompt's own "#### <number>" has none.
std::string markedNumber(std::string_view text)
{
    constexpr std::string_view kMark = "####";
    std::string found;
    for (auto at = text.find(kMark); at != std::string_view::npos; at = text.find(kMark, at + kMark.size())) {
        auto line = text.substr(at + kMark.size());
        line = line.substr(0, line.find('\n'));
        line = line.substr(0, line.find(kMark));
        if (auto number = graderFirstNumber(line); !number.empty())
            found = std::move(number);
    }
    return found;
}

/// Contents of the last \boxed{…} or \fbox{…} whose braces close; nothing without one.
std::optional<std::string> lastBoxed(std::string_view text)
{
    std::optional<std::string> found;
    for (const std::string_view mark : {"\\fbox{", "\\boxed{"}) {
        std::optional<std::string> last;
        for (auto at = text.find(mark); at != std::string_view::npos; at = text.find(mark, at + mark.size())) {
            int depth = 1;
            for (std::size_t i = at + mark.size(); i < text.size(); ++i) {
                if (text[i] == '{')
                    ++depth;
                else if (text[i] == '}' && --depth == 0) {
                    last = std::string(text.substr(at + mark.size(), i - at - mark.size()));
                    break;
                }
            }
        }
        if (last)
            found = std::move(last);
    }
    return found;
}

/// "x = 5 \text{ m}^2" has its number after the last equals sign.
std::string boxedNumber(std::string_view text)
{
    const auto boxed = lastBoxed(text);
    if (!boxed)
        return {};
    const std::string content = plainNumbers(*boxed);
    const auto equals = content.rfind('=');
    const auto value = graderFirstNumber(equals == std::string::npos ? std::string_view(content)
                                                                     : std::string_view(content).substr(equals + 1));
    return value.empty() ? graderFirstNumber(content) : value;
}

std::string graderTrimmed(std::string_view text)
{
    constexpr std::string_view kBlanks = " \t\r\n";
    const auto first = text.find_first_not_of(kBlanks);
    return first == std::string_view::npos
        ? std::string()
        : std::string(text.substr(first, text.find_last_not_of(kBlanks) - first + 1));
}

Grade gradeNumber(const TaskItem &item, std::string extracted)
{
    const std::string gold = graderFirstNumber(plainNumbers(item.goldAnswer));
    Grade grade;
    grade.correct = !extracted.empty() && !gold.empty() && extracted == gold;
    grade.extracted = std::move(extracted);
    return grade;
}

/// The function in \a answerText against the gold one, value by value.
Grade gradeFunction(const TaskSpec &task, const TaskItem &item, const std::string &answerText)
{
    const auto gold = SmallFunction::parse(item.goldAnswer);
    if (!gold)
        throw Error(ErrorKind::BadFormat,
                    "The task \"" + task.id + "\" has the answer \"" + item.goldAnswer
                        + "\", which is no function that can be checked.");
    Grade grade;
    const auto answer = SmallFunction::parse(answerText);
    if (!answer)
        return grade;
    grade.extracted = graderTrimmed(std::string_view(answerText).substr(answerText.find("def ")));
    grade.correct = std::all_of(task.inputs.begin(), task.inputs.end(), [&](std::int64_t x) {
        const auto expected = (*gold)(x);
        return expected && (*answer)(x) == expected;
    });
    return grade;
}

} // namespace

Grade gradeAnswer(const TaskSpec &task, const TaskItem &item, const std::string &answerText)
{
    if (task.grader == "boxed") {
        Grade grade;
        grade.extracted = graderTrimmed(lastBoxed(answerText).value_or(""));
        grade.correct = !grade.extracted.empty() && grade.extracted == graderTrimmed(item.goldAnswer);
        return grade;
    }
    if (task.grader == "exact") {
        Grade grade;
        grade.extracted = graderTrimmed(answerText);
        grade.correct = !grade.extracted.empty() && grade.extracted == graderTrimmed(item.goldAnswer);
        return grade;
    }
    if (task.grader == "word-rules")
        return {checkWordRules(item.goldAnswer, answerText), graderTrimmed(answerText)};
    if (task.grader == "function")
        return gradeFunction(task, item, answerText);
    const std::string plain = plainNumbers(answerText);
    if (task.grader == "number")
        return gradeNumber(item, graderLastNumber(plain));
    if (task.grader != "gsm8k")
        throw Error(ErrorKind::InvalidArgument,
                    "The task \"" + task.id + "\" names the unknown grader \"" + task.grader + "\".");
    std::string number = markedNumber(plain);
    if (number.empty())
        number = boxedNumber(answerText);
    if (number.empty())
        number = graderLastNumber(plain);
    return gradeNumber(item, std::move(number));
}

} // namespace secateur
