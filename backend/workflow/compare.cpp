#include "backend/workflow/compare.h"

#include "backend/core/error.h"
#include "backend/stats/intervals.h"
#include "backend/workflow/evaluation_files.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>
#include <system_error>
#include <vector>

namespace secateur::workflow {

namespace {

constexpr std::string_view kSamplesPrefix = "samples_";
constexpr std::string_view kSamplesSuffix = ".jsonl";

/// Task → samples file in \a folder.
std::map<std::string, std::filesystem::path> sampleFiles(const std::filesystem::path &folder)
{
    std::map<std::string, std::filesystem::path> files;
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        const std::string name = it->path().filename().string();
        if (name.starts_with(kSamplesPrefix) && name.ends_with(kSamplesSuffix))
            files[name.substr(kSamplesPrefix.size(), name.size() - kSamplesPrefix.size() - kSamplesSuffix.size())]
                = it->path();
    }
    return files;
}

std::map<std::string, std::filesystem::path> evaluationFiles(const std::filesystem::path &folder)
{
    auto files = sampleFiles(folder);
    if (!files.empty())
        return files;
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        std::error_code ignored;
        auto inner
            = it->is_directory(ignored) ? sampleFiles(it->path()) : std::map<std::string, std::filesystem::path>();
        if (!inner.empty() && !files.empty())
            throw Error(ErrorKind::InvalidArgument, "'" + folder.string() + "' holds the results of several models.",
                        "Name the folder of one model in it.");
        if (!inner.empty())
            files = std::move(inner);
    }
    if (files.empty())
        throw Error(ErrorKind::NotFound, "'" + folder.string() + "' has no samples_<task>.jsonl.",
                    "Name the output folder of an evaluation.");
    return files;
}

PairedComparison pairSamples(const std::map<std::int64_t, SampleResult> &a,
                             const std::map<std::int64_t, SampleResult> &b)
{
    PairedComparison result;
    std::int64_t rightA = 0, rightB = 0;
    for (const auto &[id, sampleA] : a) {
        const auto it = b.find(id);
        if (it == b.end())
            continue;
        ++result.n;
        rightA += sampleA.correct ? 1 : 0;
        rightB += it->second.correct ? 1 : 0;
        result.rightToWrong += sampleA.correct && !it->second.correct ? 1 : 0;
        result.wrongToRight += !sampleA.correct && it->second.correct ? 1 : 0;
    }
    if (result.n == 0)
        return result;
    const double n = static_cast<double>(result.n);
    result.accuracyA = static_cast<double>(rightA) / n;
    result.accuracyB = static_cast<double>(rightB) / n;
    const double difference = static_cast<double>(result.wrongToRight - result.rightToWrong);
    const double discordant = static_cast<double>(result.wrongToRight + result.rightToWrong);
    result.delta = difference / n;
    const double error = std::sqrt(std::max(discordant - difference * difference / n, 0.0)) / n;
    result.low = result.delta - 1.959963984540054 * error;
    result.high = result.delta + 1.959963984540054 * error;
    result.mcnemarP = mcnemarExact(result.rightToWrong, result.wrongToRight);
    return result;
}

std::string tableNumber(double value)
{
    char text[32];
    const auto end = std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed, 4).ptr;
    return {text, end};
}

std::string csvCell(const std::string &text)
{
    if (text.find_first_of(",\"\r\n") == std::string::npos)
        return text;
    std::string cell = "\"";
    for (const char c : text)
        cell += c == '"' ? std::string("\"\"") : std::string(1, c);
    return cell + "\"";
}

std::string markdownCell(const std::string &text)
{
    std::string cell;
    for (const char c : text)
        cell += c == '|' ? std::string("\\|") : c == '\n' ? std::string(" ") : std::string(1, c);
    return cell;
}

} // namespace

std::map<std::string, PairedComparison> compareResults(const std::filesystem::path &a, const std::filesystem::path &b)
{
    const auto filesA = evaluationFiles(a);
    const auto filesB = evaluationFiles(b);
    std::map<std::string, PairedComparison> comparisons;
    for (const auto &[task, file] : filesA) {
        const auto other = filesB.find(task);
        if (other == filesB.end())
            continue;
        const auto comparison = pairSamples(readSamples(file), readSamples(other->second));
        if (comparison.n > 0)
            comparisons[task] = comparison;
    }
    if (comparisons.empty())
        throw Error(ErrorKind::NotFound,
                    "'" + a.string() + "' and '" + b.string() + "' have no task with common items.",
                    "Evaluate both models on the same tasks.");
    return comparisons;
}

std::string reportTable(const Session &session, const std::string &format)
{
    const bool isCsv = format == "csv";
    if (!isCsv && format != "md")
        throw Error(ErrorKind::InvalidArgument, "There is no table format '" + format + "'.", "Known: md, csv.");
    const std::vector<std::string> columns
        = {"model", "state", "task", "n", "accuracy", "low", "high", "acc_norm", "cap_hit", "protocol"};
    std::string table;
    const auto addRow = [&](const std::vector<std::string> &cells) {
        for (std::size_t i = 0; i < cells.size(); ++i)
            table += isCsv ? (i ? "," : "") + csvCell(cells[i]) : (i ? " | " : "| ") + markdownCell(cells[i]);
        table += isCsv ? "\n" : " |\n";
    };
    addRow(columns);
    if (!isCsv) {
        for (std::size_t i = 0; i < columns.size(); ++i)
            table += i >= 3 && i + 1 < columns.size() ? "| ---: " : "| --- ";
        table += "|\n";
    }
    for (const EvaluationReportPtr &report : session.reports) {
        for (const TaskReport &task : report->tasks) {
            std::vector<std::string> cells = {report->modelName, report->state, task.task, std::to_string(task.n)};
            const bool hasScores = task.n > 0;
            cells.push_back(hasScores ? tableNumber(task.accuracy) : task.note);
            cells.push_back(hasScores ? tableNumber(task.low) : std::string());
            cells.push_back(hasScores ? tableNumber(task.high) : std::string());
            cells.push_back(hasScores && task.accuracyNorm >= 0 ? tableNumber(task.accuracyNorm) : std::string());
            cells.push_back(hasScores && task.capHitShare >= 0 ? tableNumber(task.capHitShare) : std::string());
            cells.push_back(report->protocol);
            addRow(cells);
        }
    }
    return table;
}

} // namespace secateur::workflow
