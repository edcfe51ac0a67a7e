#pragma once

#include <QString>

namespace secateur {

/// All digits in groups of three, U+202F between them: "134 515 008".
QString exactCount(qint64 value);
/// Three or four significant digits with k, M, G or T: "134.5 M", "1.61 M", "512".
QString shortCount(double value);
/// Raw value of a map: six decimals below 1, else six significant digits; "–" for NaN.
QString mapValue(double value);
/// Axis and colour bar numbers: as few digits as \a step needs.
QString tickValue(double value, double step);
/// Decimal: "269.0 MB".
QString fileSize(qint64 bytes);
/// Binary: "0.9 GiB".
QString memorySize(qint64 bytes);
/// "304 M".
QString flops(double value);
/// m:ss below an hour, h:mm:ss above.
QString duration(qint64 seconds);
/// \a share 0…1 as "62.0 %".
QString percent(double share, int decimals = 1);
/// Always with a sign, minus as U+2212: "−6.5", "+43.6".
QString signedChange(double value, int decimals = 1);
/// The same as a ratio of \a after to \a before in percent: "+43.6 %"; "–" when \a before is 0.
QString relativeChange(double before, double after);
/// \a significant digits without an exponent for values people meet (1e-4 … 1e9), U+2212 for minus.
QString significant(double value, int digits);
/// The en dash that stands for a missing number.
QString missingNumber();

} // namespace secateur
