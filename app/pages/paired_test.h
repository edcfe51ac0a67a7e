#pragma once

#include "backend/core/eval_report.h"

#include <QString>

#include <cstdint>

namespace secateur {

/// Two models on the items both were given.
struct PairedResult {
    std::int64_t shared = 0;
    std::int64_t onlyFirst = 0; ///< right in the first, wrong in the second
    std::int64_t onlySecond = 0;
    double p = 1; ///< exact McNemar
    double change() const; ///< second − first, in points
};
PairedResult pairedResult(const TaskReport &first, const TaskReport &second);
/// Over every task that both reports have.
PairedResult pairedResult(const EvaluationReport &first, const EvaluationReport &second);

const TaskReport *taskIn(const EvaluationReport &report, const std::string &task);

/// "p = 0.07", "p < 0.001".
QString pValueText(double p);
/// "better", "worse" or "inconclusive", with the numbers.
QString verdictText(const PairedResult &result);
/// Mean accuracy over the tasks with items, −1 when there is none; \a items counts them.
double meanAccuracy(const EvaluationReport &report, std::int64_t *items = nullptr);

} // namespace secateur
