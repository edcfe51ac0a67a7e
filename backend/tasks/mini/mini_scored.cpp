#include "backend/tasks/mini/mini_tasks.h"
#include "backend/tasks/mini/world.h"

#include <algorithm>
#include <array>
#include <utility>

// The tasks that are scored by the likelihood of given choices. Each mirrors the form of a public benchmark.

namespace secateur::mini {

namespace {

/// Puts the choices, the right one first, into random order.
void setChoices(SeededRandom &random, Question &question, const std::vector<std::string> &rightFirst)
{
    for (const std::size_t from : random.permutation(rightFirst.size())) {
        if (from == 0)
            question.right = static_cast<int>(question.choices.size());
        question.choices.push_back(" " + rightFirst[from]);
    }
}

std::string joinedWords(const std::vector<std::string> &words)
{
    std::string text;
    for (const auto &word : words)
        text += (text.empty() ? "" : ", ") + word;
    return text;
}

constexpr std::array<std::string_view, 5> kThings{"book", "cup", "ball", "hat", "box"};
constexpr std::array<std::string_view, 4> kThingColors{"black", "red", "blue", "green"};
constexpr std::array<std::string_view, 8> kSpots{"in the car",  "on the table", "under the bed", "at the door",
                                                 "in the tree", "on the chair", "near the wall", "in the boat"};

/// A frame of two reasons: what holds for the one who acts, and for the other one.
struct ReasonFrame {
    std::string_view verb, actor, other;
};
constexpr std::array<ReasonFrame, 12> kReasonFrames{{
    {"thanked", "was very grateful", "had helped a lot"},
    {"paid", "wanted the work done", "had done the work"},
    {"envied", "had too little", "had so much"},
    {"fed", "had bread", "was hungry"},
    {"called", "needed help", "could help"},
    {"scolded", "was angry", "was late"},
    {"taught", "knew more", "wanted to learn"},
    {"feared", "was weak", "was dangerous"},
    {"followed", "was lost", "knew the way"},
    {"carried", "was strong", "was tired"},
    {"chased", "wanted the ball back", "took the ball"},
    {"trusted", "was sure", "was honest"},
}};

constexpr std::array<std::string_view, 8> kTaken{"bucket", "rope", "lamp", "bread", "basket", "ball", "hat", "letter"};
constexpr std::array<std::string_view, 8> kGoals{"well",    "market", "river",  "barn",
                                                 "kitchen", "garden", "school", "tower"};
/// What is done with a thing at each of the places: words before and after it.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kDeeds{{{"lowered", "into the water"},
                                                                               {"sold", "for two coins"},
                                                                               {"washed", "in the river"},
                                                                               {"hid", "under the grass"},
                                                                               {"put", "on the table"},
                                                                               {"left", "near the tree"},
                                                                               {"showed", "to the children"},
                                                                               {"carried", "up the steps"}}};
constexpr std::array<std::string_view, 4> kWeather{"The sun was high.", "The wind was cold.", "It was early.",
                                                   "The road was long."};

constexpr std::array<std::string_view, 8> kProperties{"ring loudly", "shine at night", "smell of mint",
                                                      "turn green",  "melt in milk",   "grow in rain",
                                                      "hum softly",  "cool the air"};

std::string deedSentence(int name, int deed, int object)
{
    const auto &[verb, where] = kDeeds[static_cast<std::size_t>(deed)];
    return pronoun(name) + " " + std::string(verb) + " the " + std::string(kTaken[static_cast<std::size_t>(object)])
        + " " + std::string(where) + ".";
}

/// Another number of 0 … count − 1
int otherThan(SeededRandom &random, int value, int count)
{
    return (value + between(random, 1, count - 1)) % count;
}

} // namespace

Question makeBoolq(SeededRandom &random)
{
    constexpr std::array kSentences{5, 3, 2}; // 2, 3 or 4 of them
    const auto count = static_cast<std::size_t>(weighted(random, kSentences)) + 2;
    const auto objects = distinct(random, kThings.size() * kThingColors.size(), count);
    const auto spots = distinct(random, kSpots.size(), count + 1); // the last one is not in the passage
    const auto name = [&](std::size_t i) {
        const auto object = static_cast<std::size_t>(objects[i]);
        return std::string(kThingColors[object % kThingColors.size()]) + " "
            + std::string(kThings[object / kThingColors.size()]);
    };
    const auto spot = [&](std::size_t i) { return std::string(kSpots[static_cast<std::size_t>(spots[i])]); };
    std::string passage;
    for (std::size_t i = 0; i < count; ++i)
        passage += (i > 0 ? " The " : "The ") + name(i) + " is " + spot(i) + ".";
    const auto asked = random.below(count);
    const bool isYes = chance(random, 50);
    std::size_t place = asked;
    if (!isYes)
        place = chance(random, 40) ? (asked + 1 + random.below(count - 1)) % count : count;
    const std::string query = "Is the " + name(asked) + " " + spot(place) + "?";
    Question question;
    question.key = passage + "|" + query;
    question.user = passage + "\n" + query;
    question.trace = "The " + name(asked) + " is " + spot(asked) + ".";
    question.answer = isYes ? "yes" : "no";
    question.contexts = {passage + "\nQuestion: " + query + "\nAnswer:"};
    question.choices = {" no", " yes"};
    question.right = isYes ? 1 : 0;
    return question;
}

Question makePiqa(SeededRandom &random)
{
    const int action = indexOf(random, kActions.size());
    const int kind = indexOf(random, kClasses.size());
    const std::string object = pick(random, kOfClass[static_cast<std::size_t>(kind)]);
    const auto &tools = kTools[static_cast<std::size_t>(action)];
    const int wrong = otherThan(random, kind, static_cast<int>(kClasses.size()));
    const std::string goal = std::string(kActions[static_cast<std::size_t>(action)]) + " the " + object;
    const auto use = [&](int which) { return "Use the " + std::string(tools[static_cast<std::size_t>(which)]) + "."; };
    Question question;
    question.key = std::string(kClasses[static_cast<std::size_t>(kind)]) + "|" + goal;
    question.user = "How do I " + goal + "?";
    question.trace = "The " + object + " is " + std::string(kClasses[static_cast<std::size_t>(kind)]) + ".";
    question.answer = use(kind);
    question.contexts = {"Goal: " + goal + ".\nSolution:"};
    setChoices(random, question, {use(kind), use(wrong)});
    return question;
}

Question makeWino(SeededRandom &random)
{
    const auto names = distinct(random, kNames.size(), 2);
    const ReasonFrame &frame = kReasonFrames[random.below(kReasonFrames.size())];
    const std::string actor(kNames[static_cast<std::size_t>(names[0])]);
    const std::string other(kNames[static_cast<std::size_t>(names[1])]);
    const bool isActor = chance(random, 50);
    const std::string reason(isActor ? frame.actor : frame.other);
    const std::string start = actor + " " + std::string(frame.verb) + " " + other + " because";
    const std::string meant = isActor ? actor : other;
    Question question;
    question.key = start + "|" + reason;
    question.user = start + " someone " + reason + ". Who " + reason + "?";
    question.trace = meant + " " + reason + ".";
    question.answer = meant;
    const bool actorFirst = chance(random, 50);
    question.contexts = {start + " " + (actorFirst ? actor : other), start + " " + (actorFirst ? other : actor)};
    question.choices = {" " + reason + ".", " " + reason + "."};
    question.right = isActor == actorFirst ? 0 : 1;
    return question;
}

Question makeHella(SeededRandom &random)
{
    const int name = indexOf(random, kNames.size());
    const int object = indexOf(random, kTaken.size());
    const int goal = indexOf(random, kGoals.size());
    const std::string who(kNames[static_cast<std::size_t>(name)]);
    const std::string what(kTaken[static_cast<std::size_t>(object)]);
    const std::string where(kGoals[static_cast<std::size_t>(goal)]);
    const std::string weather = pick(random, kWeather);
    const std::string story
        = who + " took the " + what + ". " + weather + " " + pronoun(name) + " went to the " + where + ".";
    const int wrongObject = otherThan(random, object, static_cast<int>(kTaken.size()));
    const int wrongGoal = otherThan(random, goal, static_cast<int>(kGoals.size()));
    Question question;
    question.key = who + "|" + what + "|" + where;
    question.user = story + " What happens next?";
    question.trace = who + " has the " + what + " and is at the " + where + ".";
    question.answer = deedSentence(name, goal, object);
    question.contexts = {story};
    setChoices(random, question,
               {question.answer, deedSentence(name, goal, wrongObject), deedSentence(name, wrongGoal, object),
                deedSentence(name, wrongGoal, wrongObject)});
    return question;
}

Question makeArcEasy(SeededRandom &random)
{
    const int animal = indexOf(random, kAnimals.size());
    const auto trait = static_cast<Trait>(indexOf(random, kTraits));
    const int value = world().animals[static_cast<std::size_t>(animal)].value[static_cast<std::size_t>(trait)];
    Question question;
    question.key = std::string(kAnimals[static_cast<std::size_t>(animal)]) + "|" + traitName(trait);
    question.user = traitQuestion(animal, trait);
    question.trace = traitSentence(animal, trait, value, true);
    question.answer = traitAnswer(trait, value);
    question.contexts = {"Question: " + question.user + "\nAnswer:"};
    std::vector<std::string> answers{question.answer};
    for (const int other : distinct(random, 8, 4))
        if (other != value && answers.size() < 4)
            answers.push_back(traitAnswer(trait, other));
    setChoices(random, question, answers);
    return question;
}

Question makeArcChallenge(SeededRandom &random)
{
    const auto animals = distinct(random, kAnimals.size(), 4);
    const auto size = [](int animal) { return world().animals[static_cast<std::size_t>(animal)].size; };
    const auto name = [](int animal) { return std::string(kAnimals[static_cast<std::size_t>(animal)]); };
    std::vector<std::string> names;
    std::string trace;
    int biggest = animals[0];
    for (const int animal : animals) {
        names.push_back(name(animal));
        if (animal == biggest)
            continue;
        const int smaller = size(animal) > size(biggest) ? biggest : animal;
        biggest = smaller == biggest ? animal : biggest;
        trace += (trace.empty() ? "The " : " The ") + name(biggest) + " is bigger than the " + name(smaller) + ".";
    }
    Question question;
    question.user = "Which is the biggest: " + joinedWords(names) + "?";
    question.trace = trace;
    question.answer = name(biggest);
    question.contexts = {"Question: " + question.user + "\nAnswer:"};
    for (const int animal : animals) {
        if (animal == biggest)
            question.right = static_cast<int>(question.choices.size());
        question.choices.push_back(" " + name(animal));
    }
    std::sort(names.begin(), names.end()); // the same four in another order are not new
    question.key = joinedWords(names);
    return question;
}

Question makeObqa(SeededRandom &random)
{
    const auto materials = distinct(random, kMaterials.size(), 3);
    const auto properties = distinct(random, kProperties.size(), 2);
    const auto property
        = [&](std::size_t i) { return std::string(kProperties[static_cast<std::size_t>(properties[i])]); };
    std::vector<std::string> objects;
    for (const int material : materials)
        objects.push_back(pick(random, kMadeOf[static_cast<std::size_t>(material)]));
    const auto fact = [&](std::size_t material, std::size_t index) {
        return "Things made of " + std::string(kMaterials[static_cast<std::size_t>(materials[material])]) + " "
            + property(index) + ".";
    };
    const std::string right = objects[0]; // of the first material, which has the first property
    std::string facts = fact(0, 0);
    if (chance(random, 50)) { // and another fact that does not matter
        const std::string other = fact(1, 1);
        facts = chance(random, 50) ? facts + " " + other : other + " " + facts;
    }
    std::vector<std::string> listed;
    Question question;
    for (const std::size_t from : random.permutation(objects.size())) {
        if (from == 0)
            question.right = static_cast<int>(listed.size());
        listed.push_back(objects[from]);
        question.choices.push_back(" " + objects[from]);
    }
    const std::string query = "Which can " + property(0) + ": " + joinedWords(listed) + "?";
    question.user = "Fact: " + facts + "\n" + query;
    question.trace = fact(0, 0) + " The " + right + " is made of "
        + std::string(kMaterials[static_cast<std::size_t>(materials[0])]) + ".";
    question.answer = right;
    question.contexts = {"Fact: " + facts + "\nQuestion: " + query + "\nAnswer:"};
    std::sort(objects.begin(), objects.end());
    question.key = property(0) + "|" + joinedWords(objects);
    return question;
}

Question makeTruthfulqa(SeededRandom &random)
{
    const int animal = indexOf(random, kAnimals.size());
    const auto trait = static_cast<Trait>(indexOf(random, kTraits));
    const Animal &facts = world().animals[static_cast<std::size_t>(animal)];
    const int truth = facts.value[static_cast<std::size_t>(trait)];
    const int myth = facts.myth[static_cast<std::size_t>(trait)];
    int third = between(random, 0, 7);
    while (third == truth || third == myth)
        third = between(random, 0, 7);
    const std::string name(kAnimals[static_cast<std::size_t>(animal)]);
    const auto statement = [&](int value) { return traitSentence(animal, trait, value, false); };
    Question question;
    question.key = name + "|" + traitName(trait); // as of arc-easy: the same facts are kept for tests
    question.user = "What is true about the " + name + " and its " + traitName(trait) + "?";
    question.trace = "Many people say: " + statement(myth);
    question.answer = statement(truth);
    question.contexts = {"Question: " + question.user + "\nAnswer:"};
    setChoices(random, question, {statement(truth), statement(myth), statement(third)});
    return question;
}

} // namespace secateur::mini
