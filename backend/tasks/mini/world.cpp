#include "backend/tasks/mini/world.h"

#include "backend/io/digest.h"

#include <charconv>
#include <numeric>

namespace secateur::mini {

namespace {

constexpr std::uint64_t kWorldSeed = 1815;

constexpr std::array<std::string_view, 8> kTownBegins{"Bel", "Zor", "Kan", "Mar", "Tol", "Vil", "Ras", "Nim"};
constexpr std::array<std::string_view, 5> kTownEnds{"dor", "mere", "ton", "wick", "burg"};

World drawnWorld()
{
    World result;
    SeededRandom random(kWorldSeed);
    const auto sizes = random.permutation(kAnimals.size());
    for (std::size_t i = 0; i < kAnimals.size(); ++i) {
        Animal &animal = result.animals[i];
        animal.size = static_cast<int>(sizes[i]);
        for (int t = 0; t < kTraits; ++t) {
            animal.value[t] = between(random, 0, 7);
            animal.myth[t] = (animal.value[t] + between(random, 1, 7)) % 8;
        }
    }
    for (const std::size_t place : random.permutation(kTownBegins.size() * kTownEnds.size())) {
        Town town;
        town.name
            = std::string(kTownBegins[place / kTownEnds.size()]) + std::string(kTownEnds[place % kTownEnds.size()]);
        town.ruler = indexOf(random, kNames.size());
        town.good = indexOf(random, kGoods.size());
        town.river = indexOf(random, kRivers.size());
        result.towns.push_back(town);
        result.townWeights.push_back(1000 / (static_cast<int>(result.towns.size()) + 4));
    }
    return result;
}

} // namespace

int weighted(SeededRandom &random, std::span<const int> weights)
{
    int place = between(random, 0, std::accumulate(weights.begin(), weights.end(), 0) - 1);
    int index = 0;
    while (place >= weights[static_cast<std::size_t>(index)])
        place -= weights[static_cast<std::size_t>(index++)];
    return index;
}

SeededRandom stream(std::uint64_t seed, std::string_view name)
{
    const std::string digest = sha256Hex(std::to_string(seed) + "|" + std::string(name));
    std::uint64_t state = 0;
    std::from_chars(digest.data(), digest.data() + 16, state, 16);
    return SeededRandom(state);
}

const World &world()
{
    static const World drawn = drawnWorld();
    return drawn;
}

std::string traitName(Trait trait)
{
    return trait == Trait::Food ? "food" : trait == Trait::Home ? "home" : "color";
}

std::string traitAnswer(Trait trait, int value)
{
    const std::string text(kTraitValues[static_cast<std::size_t>(trait)][static_cast<std::size_t>(value)]);
    return trait == Trait::Home ? "in the " + text : text;
}

std::string traitSentence(int animal, Trait trait, int value, bool every, int wording)
{
    const std::string name(kAnimals[static_cast<std::size_t>(animal)]);
    const std::string subject = (every ? "Every " : "The ") + name;
    const std::string answer = traitAnswer(trait, value);
    if (wording == 1)
        return "The " + traitName(trait) + " of the " + name + " is " + answer + ".";
    switch (trait) {
    case Trait::Food:
        return subject + (wording == 2 ? " likes to eat " : " eats ") + answer + ".";
    case Trait::Home:
        return subject + (wording == 2 ? " has its home " : " lives ") + answer + ".";
    default:
        return subject + (wording == 2 ? " looks " : " is ") + answer + ".";
    }
}

std::string traitQuestion(int animal, Trait trait)
{
    const std::string name(kAnimals[static_cast<std::size_t>(animal)]);
    switch (trait) {
    case Trait::Food:
        return "What does the " + name + " eat?";
    case Trait::Home:
        return "Where does the " + name + " live?";
    default:
        return "Which color is the " + name + "?";
    }
}

std::string townAnswer(const Town &town, Asked asked)
{
    switch (asked) {
    case Asked::Ruler:
        return std::string(kNames[static_cast<std::size_t>(town.ruler)]);
    case Asked::Good:
        return std::string(kGoods[static_cast<std::size_t>(town.good)]);
    default:
        return std::string(kRivers[static_cast<std::size_t>(town.river)]);
    }
}

std::string townSentence(const Town &town, Asked asked, int wording)
{
    const std::string answer = townAnswer(town, asked);
    const std::string &name = town.name;
    switch (asked) {
    case Asked::Ruler:
        return wording == 0 ? answer + " rules " + name + "."
            : wording == 1  ? "The ruler of " + name + " is " + answer + "."
                            : name + " is ruled by " + answer + ".";
    case Asked::Good:
        return wording == 0 ? "People in " + name + " make " + answer + "."
            : wording == 1  ? name + " is known for " + answer + "."
                            : "In " + name + " they make " + answer + ".";
    default:
        return wording == 0 ? "The river " + answer + " flows through " + name + "."
            : wording == 1  ? "The river of " + name + " is the " + answer + "."
                            : name + " is at the river " + answer + ".";
    }
}

std::string townQuestion(const Town &town, Asked asked, int wording)
{
    const std::string &name = town.name;
    switch (asked) {
    case Asked::Ruler:
        return wording == 0 ? "Who rules " + name + "?" : "Who is the ruler of " + name + "?";
    case Asked::Good:
        return wording == 0 ? "What do people make in " + name + "?" : "What is " + name + " known for?";
    default:
        return wording == 0 ? "Which river flows through " + name + "?" : "At which river is " + name + "?";
    }
}

bool isShe(int name)
{
    return name < kSheNames;
}

std::string pronoun(int name)
{
    return isShe(name) ? "She" : "He";
}

} // namespace secateur::mini
