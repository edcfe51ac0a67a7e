#include "backend/tasks/mini/mini_tasks.h"

#include "backend/core/error.h"
#include "backend/io/digest.h"

#include <array>
#include <charconv>
#include <cstdint>

namespace secateur::mini {

namespace {

/// One key of four where there are few keys, else one of eight.
constexpr std::array<MiniTask, 16> kTasks{{
    {"boolq", "boolq", 8, TaskKind::Scored, makeBoolq},
    {"piqa", "piqa", 4, TaskKind::Scored, makePiqa},
    {"wino", "wino", 8, TaskKind::Scored, makeWino},
    {"hella", "hella", 8, TaskKind::Scored, makeHella},
    {"arc-easy", "fact", 4, TaskKind::Scored, makeArcEasy},
    {"arc-challenge", "arc-challenge", 8, TaskKind::Scored, makeArcChallenge},
    {"obqa", "obqa", 8, TaskKind::Scored, makeObqa},
    {"truthfulqa", "fact", 4, TaskKind::Scored, makeTruthfulqa},
    {"ifeval", "ifeval", 8, TaskKind::Answered, makeIfeval},
    {"popqa", "popqa", 4, TaskKind::Answered, makePopqa},
    {"human", "human", 8, TaskKind::Answered, makeHuman},
    {"chain", "chain", 8, TaskKind::Reasoned, makeChain},
    {"word", "word", 8, TaskKind::Reasoned, makeWord},
    {"mod", "mod", 8, TaskKind::Reasoned, makeMod},
    {"vars", "vars", 8, TaskKind::Reasoned, makeVars},
    {"sort", "sort", 8, TaskKind::Reasoned, makeSort},
}};

} // namespace

std::span<const MiniTask> miniTasks()
{
    return kTasks;
}

const MiniTask &miniTask(std::string_view name)
{
    for (const MiniTask &task : kTasks)
        if (name == task.name)
            return task;
    throw Error(ErrorKind::NotFound, "There is no mini task \"" + std::string(name) + "\".");
}

bool isTestKey(const MiniTask &task, const std::string &key)
{
    const std::string digest = sha256Hex(std::string(task.splitName) + "|" + key);
    std::uint32_t number = 0;
    std::from_chars(digest.data(), digest.data() + 8, number, 16);
    return number % static_cast<std::uint32_t>(task.modulus) == 0;
}

Question drawQuestion(const MiniTask &task, SeededRandom &random, bool forTest)
{
    while (true) {
        Question question = task.make(random);
        if (isTestKey(task, question.key) == forTest)
            return question;
    }
}

} // namespace secateur::mini
