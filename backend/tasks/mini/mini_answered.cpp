#include "backend/tasks/mini/mini_tasks.h"
#include "backend/tasks/mini/world.h"

#include <array>

// The tasks with a short generated answer: following instructions, facts about towns, small functions.

namespace secateur::mini {

namespace {

std::string upperCase(std::string text)
{
    for (char &c : text)
        if (c >= 'a' && c <= 'z')
            c = static_cast<char>(c - 'a' + 'A');
    return text;
}

std::string repeatedWord(const std::string &word, int times)
{
    std::string text;
    for (int i = 0; i < times; ++i)
        text += (i > 0 ? " " : "") + word;
    return text;
}

/// What an operation is called, and its lines in the function.
struct Operation {
    std::string words;
    std::string code;
};

Operation drawnOperation(SeededRandom &random)
{
    constexpr std::array kWeights{3, 3, 3, 1, 1, 2, 2};
    const int which = weighted(random, kWeights);
    const std::string number = std::to_string(which == 2 ? between(random, 2, 5) : between(random, 1, 9));
    switch (which) {
    case 0:
        return {"add " + number, " x=x+" + number + "\n"};
    case 1:
        return {"subtract " + number, " x=x-" + number + "\n"};
    case 2:
        return {"multiply by " + number, " x=x*" + number + "\n"};
    case 3:
        return {"square it", " x=x*x\n"};
    case 4:
        return {"change the sign", " x=-x\n"};
    case 5:
        return {"make it at least " + number, " if x<" + number + ":\n  x=" + number + "\n"};
    default:
        return {"make it at most " + number, " if x>" + number + ":\n  x=" + number + "\n"};
    }
}

} // namespace

Question makeIfeval(SeededRandom &random)
{
    const auto chosen = distinct(random, kPlainWords.size(), 3);
    const std::string a(kPlainWords[static_cast<std::size_t>(chosen[0])]);
    const std::string b(kPlainWords[static_cast<std::size_t>(chosen[1])]);
    const std::string c(kPlainWords[static_cast<std::size_t>(chosen[2])]);
    const int form = between(random, 0, 5);
    const int times = between(random, 2, 6);
    const std::string number = std::to_string(times);
    const std::string oneMore = std::to_string(times + 1);
    Question question;
    int words = times;
    switch (form) {
    case 0:
        question.user = "Write the word " + a + " " + number + " times.";
        question.answer = repeatedWord(a, times);
        question.gold = "words " + number + "; times " + a + " " + number;
        break;
    case 1:
        question.user = "Write the word " + a + " " + number + " times and end with the word " + b + ".";
        question.answer = repeatedWord(a, times) + " " + b;
        question.gold = "words " + oneMore + "; times " + a + " " + number + "; last " + b;
        words = times + 1;
        break;
    case 2:
        question.user = "Write the words " + a + ", " + b + ", " + c + " in reverse order.";
        question.answer = c + " " + b + " " + a;
        question.gold = "order " + question.answer;
        words = 3;
        break;
    case 3:
        question.user = "Start with the word " + b + ", then write the word " + a + " " + number + " times.";
        question.answer = b + " " + repeatedWord(a, times);
        question.gold = "words " + oneMore + "; first " + b + "; times " + a + " " + number;
        words = times + 1;
        break;
    case 4:
        question.user = "Write the words " + a + " and " + b + " in turn, " + number + " words in all.";
        for (int i = 0; i < times; ++i)
            question.answer += (i > 0 ? " " : "") + (i % 2 == 0 ? a : b);
        question.gold = "words " + number + "; turn " + a + " " + b;
        break;
    default: {
        const int without = between(random, 0, 2);
        const std::array<const std::string *, 3> all{&a, &b, &c};
        const std::string &first = *all[without == 0 ? 1 : 0];
        const std::string &second = *all[without == 2 ? 1 : 2];
        const std::string &left = *all[static_cast<std::size_t>(without)];
        question.user = "Write the words " + a + ", " + b + ", " + c + " without the word " + left + ".";
        question.answer = first + " " + second;
        question.gold = "without " + left + "; words 2; times " + first + " 1; times " + second + " 1";
        words = 2;
    }
    }
    question.trace = std::to_string(words) + " words.";
    if (chance(random, 40)) {
        question.user += " Use capital letters.";
        question.answer = upperCase(question.answer);
        question.gold += "; capital";
        question.trace = std::to_string(words) + " words, capital.";
    }
    question.key = question.user;
    return question;
}

Question makePopqa(SeededRandom &random)
{
    const Town &town = world().towns[static_cast<std::size_t>(weighted(random, world().townWeights))];
    const auto asked = static_cast<Asked>(indexOf(random, kAsked));
    Question question;
    question.key = town.name + "|" + std::to_string(static_cast<int>(asked));
    question.user = townQuestion(town, asked, between(random, 0, 1));
    question.trace = townSentence(town, asked);
    question.answer = townAnswer(town, asked);
    question.gold = question.answer;
    return question;
}

Question makeHuman(SeededRandom &random)
{
    constexpr std::array kSteps{1, 2, 3};
    const int steps = weighted(random, kSteps) + 1;
    std::string words;
    std::string code;
    for (int i = 0; i < steps; ++i) {
        const Operation operation = drawnOperation(random);
        words += (i > 0 ? ", then " : "") + operation.words;
        code += operation.code;
    }
    Question question;
    question.key = words;
    question.user = "Write a function f of x: " + words + ".";
    question.trace = std::to_string(steps) + (steps == 1 ? " step." : " steps.");
    question.answer = "def f(x):\n" + code + " return x";
    question.gold = question.answer;
    return question;
}

} // namespace secateur::mini
