#pragma once

#include "backend/core/eval_report.h"
#include "backend/engine/forward.h"
#include "backend/tasks/task.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace secateur::workflow {

/// The model's folder name in lm-eval's layout: every run of `" < > : / | \ ? * [ ]` becomes "__".
std::string sanitizedModelName(const std::string &name);

/// What a sample row was made with. Rows of another protocol or model are never mixed into a file.
struct SampleOrigin {
    std::string protocol; ///< digest of the task and of every setting that changes a row
    std::string model; ///< digest of configuration and behaviour of the weights
};

/// The rows of one model on one task, lm-eval's samples_<task>.jsonl with additional x_ keys: appended one by one, each
/// line flushed, so that a killed run loses the sample in progress and nothing else.
class SampleLog {
public:
    /// Reads what is there. A torn last line is cut off; a file with rows of another origin is moved aside
    /// ("old-1_samples_….jsonl") and its matching rows are taken over. Throws Error(Io) naming the file.
    SampleLog(std::filesystem::path file, SampleOrigin origin);
    ~SampleLog();
    SampleLog(const SampleLog &) = delete;
    SampleLog &operator=(const SampleLog &) = delete;

    const std::map<std::int64_t, SampleResult> &finished() const { return m_finished; }

    void appendScored(const TaskItem &item, const SampleResult &sample, const std::vector<ContinuationScore> &scores);
    /// \a repetition: share of the end of the output that repeats itself.
    void appendGenerated(const TaskItem &item, const SampleResult &sample, int maxNewTokens,
                         const std::vector<std::string> &stopStrings, double repetition);

private:
    void readRows();
    void appendLine(const std::string &line);

    std::filesystem::path m_file;
    SampleOrigin m_origin;
    std::map<std::int64_t, SampleResult> m_finished;
    int m_descriptor = -1;
};

/// What results_<time>.json says beside the scores.
struct ResultsHeader {
    std::string modelName;
    std::string modelArguments;
    std::string modelDigest;
    std::string dtype, device;
    std::int64_t parameters = 0;
    std::int64_t maxLength = 0;
    std::int64_t limit = 0; ///< 0: none
    std::uint64_t seed = 0;
    std::string chatTemplate; ///< source, empty: none used
    std::string protocol;
    double seconds = 0;
};

struct TaskResult {
    TaskSpec spec;
    TaskReport report;
    std::int64_t originalRows = 0; ///< before the limit
};

/// Writes results_<time>.json in lm-eval's layout into \a folder and returns its path.
std::filesystem::path writeResults(const std::filesystem::path &folder, const ResultsHeader &header,
                                   const std::vector<TaskResult> &results);

/// Rows of a samples file, whatever its origin, by doc_id. Throws Error(NotFound or BadFormat) naming file and line.
std::map<std::int64_t, SampleResult> readSamples(const std::filesystem::path &file);

} // namespace secateur::workflow
