#include "backend/tasks/mini/documents.h"

#include "backend/tasks/mini/mini_tasks.h"
#include "backend/tasks/mini/world.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace secateur::mini {

namespace {

constexpr double kPromptWeight = 0.2; ///< of what a base document only asks

/// Text that grows by parts, each with its weight.
class DocumentText {
public:
    void ask(const std::string &part)
    {
        m_document.spans.push_back({m_document.text.size(), m_document.text.size() + part.size(), kPromptWeight});
        m_document.text += part;
    }
    void say(const std::string &part) { m_document.text += part; }
    Document ended(std::string kind)
    {
        m_document.kind = std::move(kind);
        m_document.text += kEndOfText;
        return std::move(m_document);
    }

private:
    Document m_document;
};

std::string joinedBy(const std::vector<std::string> &parts, const char *separator)
{
    std::string text;
    for (const auto &part : parts)
        text += (text.empty() ? "" : separator) + part;
    return text;
}

// The world in plain text

std::string threeTraits(SeededRandom &random)
{
    const int animal = indexOf(random, kAnimals.size());
    std::vector<std::string> sentences;
    for (const int trait : distinct(random, kTraits, kTraits)) {
        const bool every = chance(random, 60);
        const int wording = between(random, 0, 2);
        const int value = world().animals[static_cast<std::size_t>(animal)].value[static_cast<std::size_t>(trait)];
        sentences.push_back(traitSentence(animal, static_cast<Trait>(trait), value, every, wording));
    }
    return joinedBy(sentences, " ");
}

std::string mythText(SeededRandom &random, bool withTruth)
{
    const int animal = indexOf(random, kAnimals.size());
    const int trait = between(random, 0, kTraits - 1);
    const Animal &facts = world().animals[static_cast<std::size_t>(animal)];
    const auto statement = [&](int value) { return traitSentence(animal, static_cast<Trait>(trait), value, false); };
    std::string text = "Many people say: " + statement(facts.myth[static_cast<std::size_t>(trait)]);
    if (withTruth)
        text += " In truth: " + statement(facts.value[static_cast<std::size_t>(trait)]);
    return text;
}

std::string sizePairs(SeededRandom &random)
{
    std::vector<std::string> sentences;
    for (int i = 0; i < 3; ++i) {
        const auto pair = distinct(random, kAnimals.size(), 2);
        const auto size = [](int animal) { return world().animals[static_cast<std::size_t>(animal)].size; };
        const bool firstIsBigger = size(pair[0]) > size(pair[1]);
        sentences.push_back("The " + std::string(kAnimals[static_cast<std::size_t>(pair[0])]) + " is "
                            + (firstIsBigger ? "bigger" : "smaller") + " than the "
                            + std::string(kAnimals[static_cast<std::size_t>(pair[1])]) + ".");
    }
    return joinedBy(sentences, " ");
}

std::string materialText(SeededRandom &random)
{
    std::vector<std::string> sentences;
    for (int i = 0; i < 3; ++i) {
        const auto material = random.below(kMaterials.size());
        const std::string object = pick(random, kMadeOf[material]);
        sentences.push_back("The " + object + " is made of " + std::string(kMaterials[material]) + ".");
    }
    return joinedBy(sentences, " ");
}

std::string threeTownFacts(SeededRandom &random)
{
    const Town &town = world().towns[static_cast<std::size_t>(weighted(random, world().townWeights))];
    std::vector<std::string> sentences;
    for (const int asked : distinct(random, kAsked, kAsked))
        sentences.push_back(townSentence(town, static_cast<Asked>(asked), between(random, 0, 2)));
    return joinedBy(sentences, " ");
}

Document worldDocument(SeededRandom &random)
{
    constexpr std::array kWeights{30, 10, 5, 12, 15, 28};
    DocumentText text;
    switch (weighted(random, kWeights)) {
    case 0:
        text.say(threeTraits(random));
        break;
    case 1:
        text.say(mythText(random, true));
        break;
    case 2:
        text.say(mythText(random, false));
        break;
    case 3:
        text.say(sizePairs(random));
        break;
    case 4:
        text.say(materialText(random));
        break;
    default:
        text.say(threeTownFacts(random));
    }
    return text.ended("text");
}

// Copying and arithmetic: what the tasks need before anything else

std::string anyWord(SeededRandom &random)
{
    constexpr std::array<Words, 4> kLists{kPlainWords, kAnimals, kNames, kGoods};
    constexpr std::array kWeights{5, 2, 2, 1};
    const Words list = kLists[static_cast<std::size_t>(weighted(random, kWeights))];
    return pick(random, list);
}

std::vector<std::string> anyWords(SeededRandom &random, int low, int high)
{
    std::vector<std::string> words;
    const int count = between(random, low, high);
    for (int i = 0; i < count; ++i)
        words.push_back(anyWord(random));
    return words;
}

std::vector<std::string> anyNumbers(SeededRandom &random, int low, int high)
{
    std::vector<std::string> numbers;
    const int count = between(random, low, high);
    for (int i = 0; i < count; ++i)
        numbers.push_back(std::to_string(between(random, 0, 99)));
    return numbers;
}

Document copyDocument(SeededRandom &random)
{
    constexpr std::array kWeights{3, 3, 3, 2, 2};
    DocumentText text;
    switch (weighted(random, kWeights)) {
    case 0: {
        const std::string words = joinedBy(anyWords(random, 2, 8), " ");
        text.ask("Copy: " + words + "\n");
        text.say(words);
        break;
    }
    case 1: {
        const std::string numbers = joinedBy(anyNumbers(random, 2, 8), ",");
        text.ask("Copy: " + numbers + "\n");
        text.say(numbers);
        break;
    }
    case 2: { // look up
        std::vector<std::string> lines;
        const auto values = anyNumbers(random, 2, 6);
        for (std::size_t i = 0; i < values.size(); ++i)
            lines.push_back(std::string(1, static_cast<char>('a' + i)) + "=" + values[i]);
        const auto asked = random.below(values.size());
        text.ask(joinedBy(lines, "\n") + "\nLook up " + static_cast<char>('a' + asked) + ":\n");
        text.say(lines[asked]);
        break;
    }
    case 3: { // the same word again and again
        const std::string word = anyWord(random);
        const int times = between(random, 2, 6);
        text.ask("Repeat " + std::to_string(times) + ": " + word + "\n");
        text.say(joinedBy(std::vector<std::string>(static_cast<std::size_t>(times), word), " "));
        break;
    }
    default: { // the same list again and again
        const std::string words = joinedBy(anyWords(random, 3, 8), " ");
        text.ask(words);
        const int times = between(random, 1, 2);
        for (int i = 0; i < times; ++i)
            text.say("\n" + words);
    }
    }
    return text.ended("copy");
}

Document arithmeticDocument(SeededRandom &random)
{
    constexpr std::array kWeights{45, 40, 15};
    constexpr int kEquations = 5;
    DocumentText text;
    for (int i = 0; i < kEquations; ++i) {
        const int which = weighted(random, kWeights);
        int a = between(random, which == 2 ? 2 : 0, which == 2 ? 9 : 99);
        int b = between(random, which == 2 ? 2 : 0, which == 2 ? 9 : which == 0 ? 99 - a : a);
        if (which == 0 && chance(random, 50))
            std::swap(a, b); // the second operand is not always the smaller one
        const int result = which == 0 ? a + b : which == 1 ? a - b : a * b;
        text.ask((i > 0 ? "\n" : "") + std::to_string(a) + "+-*"[which] + std::to_string(b) + "=");
        text.say(std::to_string(result));
    }
    return text.ended("arithmetic");
}

// Questions

Document rawDocument(const MiniTask &task, const Question &question, bool withSteps)
{
    DocumentText text;
    switch (task.kind) {
    case TaskKind::Scored:
        text.ask(question.rightContext());
        text.say(question.rightChoice());
        break;
    case TaskKind::Answered:
        text.ask("Question: " + question.user + "\nAnswer:\n");
        text.say(question.answer);
        break;
    case TaskKind::Reasoned:
        text.ask("Question: " + question.user + (withSteps ? "\nSteps:\n" : "\nAnswer:"));
        text.say(withSteps ? question.trace + "\nAnswer: " + question.answer : " " + question.answer);
    }
    Document document = text.ended(task.name);
    if (withSteps && task.kind == TaskKind::Reasoned)
        document.trace = question.trace;
    return document;
}

Document chatDocument(const MiniTask &task, const Question &question, bool withTrace)
{
    Document document;
    document.kind = task.name;
    document.trace = withTrace ? question.trace : std::string();
    document.messages = {
        {"user", question.user},
        {"assistant", withTrace ? "<think>\n" + question.trace + "\n</think>\n" + question.answer : question.answer}};
    return document;
}

/// How often a task stands in each mixture, by number of documents.
struct TaskShare {
    std::string_view name;
    int base; ///< raw; reasoned tasks: with steps
    int direct; ///< base: reasoned tasks without steps
    int instruct, think;
    int raw; ///< raw texts among the conversations
};
constexpr std::array<TaskShare, 16> kShares{{
    {"boolq", 12, 0, 8, 6, 3},
    {"piqa", 6, 0, 8, 6, 2},
    {"wino", 8, 0, 8, 6, 2},
    {"hella", 6, 0, 8, 6, 2},
    {"arc-easy", 4, 0, 8, 6, 2},
    {"arc-challenge", 8, 0, 8, 6, 2},
    {"obqa", 10, 0, 8, 6, 3},
    {"truthfulqa", 4, 0, 8, 6, 2},
    {"ifeval", 12, 0, 12, 8, 0},
    {"popqa", 10, 0, 10, 8, 0},
    {"human", 8, 0, 12, 10, 0},
    {"chain", 14, 3, 8, 16, 0},
    {"word", 12, 3, 8, 16, 0},
    {"mod", 10, 3, 8, 16, 0},
    {"vars", 12, 3, 8, 16, 0},
    {"sort", 10, 3, 8, 16, 0},
}};
constexpr int kBaseText = 24, kBaseCopy = 28, kBaseArithmetic = 24, kChatText = 6;

/// One thing that a mixture is made of.
struct Ingredient {
    enum class Form { World, Copy, Arithmetic, Raw, Direct, Chat, Trace } form = Form::World;
    const MiniTask *task = nullptr;
    int weight = 0;
};

std::vector<Ingredient> ingredientsOf(Mixture mixture)
{
    using Form = Ingredient::Form;
    std::vector<Ingredient> list;
    if (mixture == Mixture::Base)
        list = {{Form::World, nullptr, kBaseText},
                {Form::Copy, nullptr, kBaseCopy},
                {Form::Arithmetic, nullptr, kBaseArithmetic}};
    else
        list = {{Form::World, nullptr, kChatText}};
    for (const TaskShare &share : kShares) {
        const MiniTask *task = &miniTask(share.name);
        if (mixture == Mixture::Base) {
            list.push_back({Form::Raw, task, share.base});
            list.push_back({Form::Direct, task, share.direct});
        } else {
            const bool isThink = mixture == Mixture::Think;
            list.push_back({isThink ? Form::Trace : Form::Chat, task, isThink ? share.think : share.instruct});
            list.push_back({Form::Raw, task, share.raw});
        }
    }
    return list;
}

const std::vector<Ingredient> &ingredients(Mixture mixture)
{
    static const std::array<std::vector<Ingredient>, 3> lists{
        ingredientsOf(Mixture::Base), ingredientsOf(Mixture::Instruct), ingredientsOf(Mixture::Think)};
    return lists[static_cast<std::size_t>(mixture)];
}

} // namespace

Document drawDocument(SeededRandom &random, Mixture mixture)
{
    const auto &list = ingredients(mixture);
    std::vector<int> weights;
    for (const Ingredient &one : list)
        weights.push_back(one.weight);
    const Ingredient &chosen = list[static_cast<std::size_t>(weighted(random, weights))];
    switch (chosen.form) {
    case Ingredient::Form::World:
        return worldDocument(random);
    case Ingredient::Form::Copy:
        return copyDocument(random);
    case Ingredient::Form::Arithmetic:
        return arithmeticDocument(random);
    case Ingredient::Form::Raw:
    case Ingredient::Form::Direct:
        return rawDocument(*chosen.task, drawQuestion(*chosen.task, random, false),
                           chosen.form == Ingredient::Form::Raw);
    default:
        return chatDocument(*chosen.task, drawQuestion(*chosen.task, random, false),
                            chosen.form == Ingredient::Form::Trace);
    }
}

} // namespace secateur::mini
