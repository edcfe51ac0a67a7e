#include "backend/tasks/mini/mini_tasks.h"
#include "backend/tasks/mini/world.h"

#include <algorithm>
#include <array>

// The tasks whose answer is best worked out: calculations whose every step is one line of the trace. Numbers stand
// without blanks, a blank before a digit would be a token of its own. Every value is one of 0 … 99.

namespace secateur::mini {

namespace {

constexpr int kHighest = 99;

std::string numberText(int value)
{
    return std::to_string(value);
}

void addLine(std::string &text, const std::string &line)
{
    text += (text.empty() ? "" : "\n") + line;
}

std::string equation(int left, char operation, int right, int result)
{
    return numberText(left) + operation + numberText(right) + "=" + numberText(result);
}

/// Everything but the trace follows from question and result.
Question reasonedQuestion(std::string user, std::string trace, int result)
{
    Question question;
    question.key = user;
    question.user = std::move(user);
    question.trace = std::move(trace);
    question.gold = numberText(result);
    question.answer = "\\boxed{" + question.gold + "}";
    return question;
}

constexpr std::array<std::string_view, 8> kCounted{"apples", "pens",  "coins", "books",
                                                   "balls",  "cards", "eggs",  "bells"};

/// One step of a story: its sentence, its line in the trace, and the way back for the check.
struct StoryStep {
    std::string sentence, line, check;
    int value = 0;
};

StoryStep storyStep(SeededRandom &random, const std::string &who, const std::string &things, int value)
{
    constexpr std::array kWeights{4, 4, 2, 2};
    int which = weighted(random, kWeights);
    if (which == 1 && value < 2)
        which = 0;
    if (which == 2 && (value == 0 || value * 2 > kHighest))
        which = value > 50 ? 1 : 0;
    if (which == 3 && (value < 2 || value % 2 != 0))
        which = value > 50 ? 1 : 0;
    if (which == 0 && value > kHighest - 2)
        which = 1;
    StoryStep step;
    if (which == 0) {
        const int more = between(random, 2, std::min(40, kHighest - value));
        step.value = value + more;
        step.sentence = who + " gets " + numberText(more) + " " + things + ".";
        step.line = who + " gets " + numberText(more) + ": " + equation(value, '+', more, step.value) + ".";
        step.check = equation(step.value, '-', more, value);
    } else if (which == 1) {
        const int fewer = between(random, 1, std::min(40, value));
        step.value = value - fewer;
        step.sentence = who + " sells " + numberText(fewer) + " " + things + ".";
        step.line = who + " sells " + numberText(fewer) + ": " + equation(value, '-', fewer, step.value) + ".";
        step.check = equation(step.value, '+', fewer, value);
    } else if (which == 2) {
        step.value = value * 2;
        step.sentence = "The number of " + things + " doubles.";
        step.line = "Double: " + equation(value, '+', value, step.value) + ".";
        step.check = equation(step.value, '/', 2, value);
    } else {
        step.value = value / 2;
        step.sentence = who + " gives half of the " + things + " away.";
        step.line = "Half: " + equation(value, '/', 2, step.value) + ".";
        step.check = equation(step.value, '+', step.value, value);
    }
    return step;
}

} // namespace

Question makeChain(SeededRandom &random)
{
    constexpr std::array kOperands{1, 2, 2, 2, 2, 2}; // 2 … 7 of them
    const int operands = weighted(random, kOperands) + 2;
    int value = between(random, 1, kHighest);
    std::string expression = numberText(value);
    std::string trace;
    for (int i = 1; i < operands; ++i) {
        const bool adds = value == 0 || (value < kHighest && chance(random, 50));
        const int operand = between(random, 1, adds ? kHighest - value : value);
        const char operation = adds ? '+' : '-';
        const int result = adds ? value + operand : value - operand;
        expression += operation + numberText(operand);
        addLine(trace, equation(value, operation, operand, result));
        value = result;
    }
    return reasonedQuestion("Compute " + expression + ".", trace, value);
}

Question makeWord(SeededRandom &random)
{
    constexpr std::array kSteps{2, 3, 3, 2, 2}; // 1 … 5 of them
    constexpr int kCheckedSteps = 3;
    const int steps = weighted(random, kSteps) + 1;
    const auto names = distinct(random, kNames.size(), 2);
    const auto counted = distinct(random, kCounted.size(), 2);
    const std::string name(kNames[static_cast<std::size_t>(names[0])]);
    const std::string other(kNames[static_cast<std::size_t>(names[1])]);
    const std::string things(kCounted[static_cast<std::size_t>(counted[0])]);
    const std::string otherThings(kCounted[static_cast<std::size_t>(counted[1])]);
    int value = between(random, 2, 60);
    std::string story = name + " has " + numberText(value) + " " + things + ".";
    std::string trace = name + " has " + numberText(value) + ".";
    std::string check;
    const int distractor = chance(random, 35) ? between(random, 0, steps - 1) : -1;
    for (int i = 0; i < steps; ++i) {
        if (i == distractor) {
            story += " " + other + " has " + numberText(between(random, 2, 60)) + " " + otherThings + ".";
            addLine(trace, other + " does not matter.");
        }
        const StoryStep step = storyStep(random, pronoun(names[0]), things, value);
        story += " " + step.sentence;
        addLine(trace, step.line);
        check = " " + step.check + check;
        value = step.value;
    }
    if (steps >= kCheckedSteps)
        addLine(trace, "Check:" + check);
    return reasonedQuestion(story + " How many " + things + " does " + name + " have?", trace, value);
}

Question makeMod(SeededRandom &random)
{
    const int form = between(random, 0, 2);
    const int modulus = between(random, 3, 9);
    std::string expression;
    std::string trace;
    int value = 0;
    if (form == 2) {
        const int a = between(random, 10, 89);
        const int b = between(random, 1, kHighest - a);
        value = a + b;
        expression = numberText(a) + "+" + numberText(b);
        addLine(trace, equation(a, '+', b, value));
    } else {
        const int a = between(random, 2, 9);
        const int b = between(random, 2, 9);
        const int first = a * b;
        expression = numberText(a) + "*" + numberText(b) + "+";
        addLine(trace, equation(a, '*', b, first));
        int second = 0;
        if (form == 1) { // a sum of two products
            const int c = between(random, 2, 9);
            const int d = between(random, 1, std::max(1, std::min(9, (kHighest - first) / c)));
            second = c * d;
            expression += numberText(c) + "*" + numberText(d);
            addLine(trace, equation(c, '*', d, second));
        } else {
            second = between(random, 1, std::min(kHighest - first, 60));
            expression += numberText(second);
        }
        value = first + second;
        addLine(trace, equation(first, '+', second, value));
    }
    const int times = value / modulus;
    const int below = times * modulus;
    addLine(trace, equation(modulus, '*', times, below));
    addLine(trace, equation(value, '-', below, value - below));
    return reasonedQuestion("What is the rest of (" + expression + ")/" + numberText(modulus) + "?", trace,
                            value - below);
}

Question makeVars(SeededRandom &random)
{
    constexpr std::array kLines{2, 3, 3, 2, 1}; // 2 … 6 of them
    const int lines = weighted(random, kLines) + 2;
    std::string program;
    std::string trace;
    std::vector<int> values; // of a, b, c …
    for (int i = 0; i < lines; ++i) {
        const int known = static_cast<int>(values.size());
        const bool again = known > 1 && chance(random, 20);
        const int target = again ? between(random, 0, known - 1) : known;
        const std::string name(1, static_cast<char>('a' + target));
        int result = 0;
        if (known == 0 || (!again && i < 2 && chance(random, 30))) {
            result = between(random, 2, kHighest);
            addLine(program, name + "=" + numberText(result));
            addLine(trace, name + "=" + numberText(result));
        } else {
            const int from = between(random, 0, known - 1);
            const int left = values[static_cast<std::size_t>(from)];
            const int variable = between(random, 0, known - 1);
            int right = values[static_cast<std::size_t>(variable)];
            const bool fits = left + right <= kHighest || right <= left;
            const bool isVariable = fits && chance(random, 60);
            if (!isVariable)
                right = between(random, 1, 20);
            const bool adds = right > left || (left + right <= kHighest && chance(random, 50));
            const char operation = adds ? '+' : '-';
            result = adds ? left + right : left - right;
            addLine(program,
                    name + "=" + static_cast<char>('a' + from) + operation
                        + (isVariable ? std::string(1, static_cast<char>('a' + variable)) : numberText(right)));
            addLine(trace, name + "=" + equation(left, operation, right, result));
        }
        if (target == known)
            values.push_back(result);
        else
            values[static_cast<std::size_t>(target)] = result;
    }
    const int asked = between(random, 0, static_cast<int>(values.size()) - 1);
    const std::string question = program + "\nWhat is " + static_cast<char>('a' + asked) + "?";
    return reasonedQuestion(question, trace, values[static_cast<std::size_t>(asked)]);
}

Question makeSort(SeededRandom &random)
{
    constexpr std::array kNumbers{1, 2, 2, 2, 1, 1}; // 3 … 8 of them
    const int count = weighted(random, kNumbers) + 3;
    const int wanted = between(random, 1, count);
    std::vector<int> rest = distinct(random, kHighest, static_cast<std::size_t>(count));
    for (int &value : rest)
        ++value;
    const auto listed = [](const std::vector<int> &values) {
        std::string text;
        for (const int value : values)
            text += (text.empty() ? "" : ",") + numberText(value);
        return text;
    };
    const std::string user
        = "Numbers: " + listed(rest) + ". Which is number " + numberText(wanted) + " from the smallest?";
    std::string trace;
    int result = 0;
    for (int i = 1; i <= wanted; ++i) {
        const auto smallest = std::min_element(rest.begin(), rest.end());
        result = *smallest;
        rest.erase(smallest);
        addLine(trace, numberText(i) + ": " + numberText(result) + (i < wanted ? " rest " + listed(rest) : ""));
    }
    return reasonedQuestion(user, trace, result);
}

} // namespace secateur::mini
