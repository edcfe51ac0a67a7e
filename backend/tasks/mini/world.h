#pragma once

#include "backend/tasks/mini/draw.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace secateur::mini {

// The invented world that the mini pair of models learns. Its words stand here; its facts are drawn once from a seed of
// their own, so they are the same whatever data are made.

inline constexpr std::array<std::string_view, 20> kNames{"Anna", "Ruth", "Mia",  "Nora", "Lena", "Ida",  "Sara",
                                                         "Eva",  "Tess", "Joan", "Carl", "Finn", "Paul", "Hugo",
                                                         "Otto", "Ben",  "Leo",  "Max",  "Tim",  "Jack"};
inline constexpr int kSheNames = 10; ///< the first ten

inline constexpr std::array<std::string_view, 40> kAnimals{
    "ant",   "frog",  "trout", "bear", "lion",  "snail", "wolf",  "fox",    "hare",   "deer",
    "goat",  "horse", "cow",   "pig",  "sheep", "duck",  "goose", "hen",    "owl",    "crow",
    "eagle", "swan",  "bee",   "moth", "crab",  "seal",  "whale", "shark",  "tuna",   "eel",
    "snake", "mouse", "rat",   "mole", "otter", "tiger", "camel", "monkey", "badger", "lizard"};

/// What an animal eats, where it lives, which color it has.
enum class Trait { Food, Home, Color };
inline constexpr int kTraits = 3;
inline constexpr std::array<std::array<std::string_view, 8>, kTraits> kTraitValues{
    {{"seeds", "meat", "honey", "grass", "fish", "leaves", "fruit", "roots"},
     {"forest", "desert", "swamp", "meadow", "cave", "lake", "hills", "garden"},
     {"red", "blue", "green", "black", "white", "yellow", "brown", "grey"}}};

inline constexpr std::array<std::string_view, 10> kGoods{"rope",  "salt", "glass", "bread", "cheese",
                                                         "paper", "soap", "wine",  "silk",  "bricks"};
inline constexpr std::array<std::string_view, 8> kRivers{"Ald", "Bren", "Coru", "Dosa", "Elm", "Farn", "Gol", "Hess"};
/// Who rules a town, what is made there, at which river it is.
enum class Asked { Ruler, Good, River };
inline constexpr int kAsked = 3;

inline constexpr std::array<std::string_view, 6> kMaterials{"metal", "wool", "wood", "paper", "glass", "stone"};
inline constexpr std::array<std::array<std::string_view, 4>, 6> kMadeOf{{{"nail", "bell", "key", "coin"},
                                                                         {"scarf", "sock", "cap", "rug"},
                                                                         {"boat", "chair", "ladder", "spoon"},
                                                                         {"letter", "book", "map", "card"},
                                                                         {"bottle", "mirror", "lamp", "jar"},
                                                                         {"wall", "step", "mill", "tower"}}};

inline constexpr std::array<std::string_view, 4> kClasses{"liquid", "cloth", "food", "wooden"};
inline constexpr std::array<std::array<std::string_view, 8>, 4> kOfClass{
    {{"tea", "milk", "soup", "water", "oil", "juice", "wine", "ink"},
     {"shirt", "dress", "coat", "towel", "sheet", "skirt", "scarf", "flag"},
     {"bread", "meat", "cheese", "cake", "fish", "pie", "corn", "rice"},
     {"door", "table", "bench", "fence", "box", "gate", "chair", "desk"}}};
inline constexpr std::array<std::string_view, 6> kActions{"heat", "carry", "clean", "measure", "store", "divide"};
/// The tool for an action on a class: kTools[action][class]
inline constexpr std::array<std::array<std::string_view, 4>, 6> kTools{{{"kettle", "iron", "oven", "torch"},
                                                                        {"bucket", "bag", "basket", "cart"},
                                                                        {"filter", "soap", "knife", "brush"},
                                                                        {"cup", "tape", "scale", "ruler"},
                                                                        {"bottle", "drawer", "fridge", "shed"},
                                                                        {"funnel", "scissors", "fork", "saw"}}};

/// The words of copying and of instructions.
inline constexpr std::array<std::string_view, 20> kPlainWords{"moon", "fox",  "lake", "bell", "rock", "song", "leaf",
                                                              "star", "wind", "rain", "hill", "sand", "milk", "bird",
                                                              "fire", "snow", "road", "ship", "tree", "gold"};

struct Animal {
    std::array<int, kTraits> value{}; ///< what is true
    std::array<int, kTraits> myth{}; ///< what many people say
    int size = 0; ///< 0 = the smallest; a total order
};

struct Town {
    std::string name;
    int ruler = 0, good = 0, river = 0;
};

/// The facts. One copy, never changed.
struct World {
    std::array<Animal, kAnimals.size()> animals;
    std::vector<Town> towns; ///< 40, the best known first
    std::vector<int> townWeights;
};
const World &world();

std::string traitName(Trait trait); ///< "food", "home", "color"
/// "The lion eats seeds." with "Every" in place of "The" when \a every; \a wording 0 … 2 gives other words for it.
std::string traitSentence(int animal, Trait trait, int value, bool every, int wording = 0);
std::string traitQuestion(int animal, Trait trait); ///< "What does the lion eat?"
std::string traitAnswer(Trait trait, int value); ///< "seeds", "in the swamp", "blue"

std::string townAnswer(const Town &town, Asked asked); ///< "rope"
std::string townSentence(const Town &town, Asked asked, int wording = 0); ///< "People in Zormere make rope."; 0 … 2
std::string townQuestion(const Town &town, Asked asked, int wording); ///< 0 or 1

bool isShe(int name);
std::string pronoun(int name); ///< "She", "He"

} // namespace secateur::mini
