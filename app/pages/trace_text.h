#pragma once

#include "backend/core/eval_report.h"
#include "widgets/theme/theme.h"

#include <QString>

namespace secateur {

/// One sample as rich text: prompt, think and answer in their colours, everything that was written and nothing more.
QString sampleHtml(const SampleResult &sample, const ThemeColors &colors);

/// "right · gold 80 · answered 80 · finished".
QString sampleVerdict(const SampleResult &sample);

} // namespace secateur
