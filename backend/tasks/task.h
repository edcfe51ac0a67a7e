#pragma once

#include "backend/core/eval_report.h"
#include "backend/io/corpus.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace secateur {

/// One item of a log-likelihood task: the same context, several continuations.
/// One item of a generation task: a prompt (user turn) and a gold answer.
struct TaskItem {
    std::int64_t docId = 0;
    std::string context; ///< log-likelihood: text before the choices; generation: user turn
    std::vector<std::string> contexts; ///< one per choice when they differ (partial scoring); else empty
    std::vector<std::string> choices; ///< with their leading blank; empty for generation
    std::vector<std::int64_t> choiceCharacters; ///< Unicode code points of the choice without the blank, for acc_norm
    int gold = 0;
    std::string goldAnswer; ///< generation

    const std::string &contextOf(std::size_t choice) const { return contexts.empty() ? context : contexts[choice]; }
};

/// A task declared as data (<id>.json in or below resources/tasks): files, fields, prompt, metric.
struct TaskSpec {
    std::string id; ///< "piqa", "gsm8k", "demo-choice", "demo-arithmetic"
    std::string title; ///< "PIQA"
    std::string kind; ///< "loglikelihood" or "generation"
    std::string family; ///< "classification", "generation", "reasoning"
    std::string folder; ///< below the data folder; of a bundled task, below resources ("items" when empty)
    std::string grader; ///< generation: "gsm8k", "number", "boxed", "exact", "word-rules", "function"
    std::vector<std::int64_t> inputs; ///< grader "function": the values of x that are tried
    std::vector<std::string> stopStrings;
    int maxNewTokens = 256; ///< default cap
    std::string definition; ///< the JSON text
};

/// All tasks in and below resources/tasks, by id. Throws Error(BadFormat) naming file and field.
std::vector<TaskSpec> taskCatalogue();
TaskSpec findTask(const std::string &id); ///< Error(NotFound) lists the known ids

/// Where the rows of \a task are: \a dataFolder/<folder>/…, or a folder of the resources for the bundled tasks.
/// Empty when not available; \a missing says which file.
std::filesystem::path taskRows(const TaskSpec &task, const std::filesystem::path &dataFolder,
                               std::string *missing = nullptr);

/// Reads the rows (JSON lines, one JSON array; PIQA labels inside or in a second file). Throws Error(NotFound or
/// BadFormat) naming file, line and field. \a limit 0 = all.
std::vector<TaskItem> loadTaskItems(const TaskSpec &task, const std::filesystem::path &dataFolder, std::int64_t limit);

/// Verdict of a generation task.
struct Grade {
    bool correct = false;
    std::string extracted; ///< empty: no answer found
};
/// "exact": the whole text, blanks at both ends aside. "word-rules": checkWordRules(). "function": the Python function
/// in the text gives what the gold function gives for every input of the task; nothing is executed, see
/// SmallFunction.
Grade gradeAnswer(const TaskSpec &task, const TaskItem &item, const std::string &answerText);

/// lm-eval's rule: trailing blanks of the context move to the front of the continuation.
void moveTrailingBlanks(std::string &context, std::string &continuation);

} // namespace secateur
