#include "app/pages/paired_test.h"

#include "backend/stats/intervals.h"
#include "widgets/theme/number_text.h"

#include <QCoreApplication>
#include <QLocale>

#include <algorithm>
#include <map>

namespace secateur {

namespace {

constexpr double kPairedSignificance = 0.05;

void countPairs(const TaskReport &first, const TaskReport &second, PairedResult &result)
{
    std::map<std::int64_t, bool> verdicts;
    for (const SampleResult &sample : first.samples)
        verdicts[sample.docId] = sample.correct;
    for (const SampleResult &sample : second.samples) {
        const auto other = verdicts.find(sample.docId);
        if (other == verdicts.end())
            continue;
        ++result.shared;
        result.onlyFirst += other->second && !sample.correct ? 1 : 0;
        result.onlySecond += !other->second && sample.correct ? 1 : 0;
    }
}

} // namespace

double PairedResult::change() const
{
    return shared > 0 ? 100.0 * static_cast<double>(onlySecond - onlyFirst) / static_cast<double>(shared) : 0;
}

PairedResult pairedResult(const TaskReport &first, const TaskReport &second)
{
    PairedResult result;
    countPairs(first, second, result);
    result.p = mcnemarExact(result.onlyFirst, result.onlySecond);
    return result;
}

PairedResult pairedResult(const EvaluationReport &first, const EvaluationReport &second)
{
    PairedResult result;
    for (const TaskReport &task : first.tasks) {
        if (const TaskReport *other = taskIn(second, task.task))
            countPairs(task, *other, result);
    }
    result.p = mcnemarExact(result.onlyFirst, result.onlySecond);
    return result;
}

const TaskReport *taskIn(const EvaluationReport &report, const std::string &task)
{
    const auto found = std::find_if(report.tasks.begin(), report.tasks.end(),
                                    [&](const TaskReport &other) { return other.task == task; });
    return found == report.tasks.end() ? nullptr : &*found;
}

QString pValueText(double p)
{
    return p < 0.001 ? u"p < 0.001"_qs : u"p = "_qs + QLocale().toString(p, 'f', 2);
}

QString verdictText(const PairedResult &result)
{
    if (result.shared == 0)
        return QCoreApplication::translate("Paired", "The two share no items: they cannot be compared.");
    const QString numbers = QCoreApplication::translate("Paired", "%1 points on %2 shared items, %3 and %4 flips, %5")
                                .arg(signedChange(result.change()))
                                .arg(result.shared)
                                .arg(result.onlyFirst)
                                .arg(result.onlySecond)
                                .arg(pValueText(result.p));
    if (result.p >= kPairedSignificance)
        return QCoreApplication::translate("Paired",
                                           "%1: inconclusive. More items are needed to tell a difference "
                                           "of this size from chance.")
            .arg(numbers);
    return result.change() > 0 ? QCoreApplication::translate("Paired", "%1: better.").arg(numbers)
                               : QCoreApplication::translate("Paired", "%1: worse.").arg(numbers);
}

double meanAccuracy(const EvaluationReport &report, std::int64_t *items)
{
    double sum = 0;
    std::int64_t tasks = 0;
    std::int64_t count = 0;
    for (const TaskReport &task : report.tasks) {
        if (task.n == 0)
            continue;
        sum += task.accuracy;
        count += task.n;
        ++tasks;
    }
    if (items)
        *items = count;
    return tasks > 0 ? sum / static_cast<double>(tasks) : -1;
}

} // namespace secateur
