#pragma once

#include "backend/tasks/mini/draw.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace secateur::mini {

/// One question about the mini world with everything that can be made of it: a raw text, a conversation with or without
/// a trace, a row of a test file.
struct Question {
    std::string key; ///< only what makes it new; decides between training and test
    std::string user; ///< the question in a conversation
    std::string trace; ///< worked steps
    std::string answer; ///< what follows the trace, or stands alone
    std::string gold; ///< what the grader compares with: the answer, a number, rules

    // tasks scored by likelihood only
    std::vector<std::string> contexts; ///< one, or one per choice
    std::vector<std::string> choices; ///< with their leading blank
    int right = 0;

    /// The raw text of a scored task: context and right choice.
    const std::string &rightContext() const
    {
        return contexts[contexts.size() == 1 ? 0 : static_cast<std::size_t>(right)];
    }
    const std::string &rightChoice() const { return choices[static_cast<std::size_t>(right)]; }
};

enum class TaskKind {
    Scored, ///< likelihood of given choices
    Answered, ///< a short generated answer
    Reasoned ///< a generated answer in \boxed{}, best after worked steps
};

/// One family of questions. "mini-human-plus" asks those of "human" with more inputs and has no entry of its own.
struct MiniTask {
    const char *name; ///< "chain"; the task's id is "mini-chain"
    const char *splitName; ///< tasks with the same name share which keys are for tests
    int modulus; ///< one key of so many is for tests
    TaskKind kind;
    Question (*make)(SeededRandom &random);
};
std::span<const MiniTask> miniTasks();
const MiniTask &miniTask(std::string_view name); ///< Throws Error(NotFound)

/// Whether the questions with this key are kept for tests: the first 32 bits of SHA-256("<split name>|<key>") are
/// divisible by the task's modulus. Independent of every seed, so no training data hold a question of any test.
bool isTestKey(const MiniTask &task, const std::string &key);

/// Draws until a question is for tests, or for training.
Question drawQuestion(const MiniTask &task, SeededRandom &random, bool forTest);

// Scored tasks, mini_scored.cpp
Question makeBoolq(SeededRandom &random);
Question makePiqa(SeededRandom &random);
Question makeWino(SeededRandom &random);
Question makeHella(SeededRandom &random);
Question makeArcEasy(SeededRandom &random);
Question makeArcChallenge(SeededRandom &random);
Question makeObqa(SeededRandom &random);
Question makeTruthfulqa(SeededRandom &random);
// Answered tasks, mini_answered.cpp
Question makeIfeval(SeededRandom &random);
Question makePopqa(SeededRandom &random);
Question makeHuman(SeededRandom &random);
// Reasoned tasks, mini_reasoned.cpp
Question makeChain(SeededRandom &random);
Question makeWord(SeededRandom &random);
Question makeMod(SeededRandom &random);
Question makeVars(SeededRandom &random);
Question makeSort(SeededRandom &random);

} // namespace secateur::mini
