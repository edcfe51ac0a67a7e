#include "app/pages/twin_statement.h"

#include "widgets/heatmap/map_units.h"
#include "widgets/theme/number_text.h"

#include <QCoreApplication>

#include <cmath>

namespace secateur {

namespace {

constexpr double kAlike = 0.7; ///< the whole interval above: one order
constexpr double kLevel = 0.05;

QString twinText(const char *text)
{
    return QCoreApplication::translate("Twin", text);
}

QString rhoText(const TwinComparison &comparison)
{
    QString text = std::isnan(comparison.rho) ? twinText(QT_TRANSLATE_NOOP("Twin", "ρ undefined"))
                                              : QStringLiteral("ρ = %1").arg(tickValue(comparison.rho, 0.01));
    if (comparison.interval)
        text += QStringLiteral(" [%1, %2]")
                    .arg(tickValue(comparison.interval->low, 0.01), tickValue(comparison.interval->high, 0.01));
    return text;
}

QString influenceSentence(const TwinComparison &influence)
{
    const QString evidence
        = twinText(QT_TRANSLATE_NOOP("Twin", "Spearman %1, n = %2 blocks")).arg(rhoText(influence)).arg(influence.n);
    if (!influence.interval)
        return twinText(QT_TRANSLATE_NOOP("Twin", "Too few blocks to compare their order: %1.")).arg(evidence);
    if (influence.interval->low >= kAlike)
        return twinText(QT_TRANSLATE_NOOP("Twin", "Block influence ranks the blocks the same way in both models: %1."))
            .arg(evidence);
    if (influence.interval->low > 0)
        return twinText(QT_TRANSLATE_NOOP("Twin", "Block influence ranks the blocks in a similar order: %1."))
            .arg(evidence);
    if (influence.interval->high < 0)
        return twinText(QT_TRANSLATE_NOOP("Twin", "Block influence ranks the blocks in opposite orders: %1."))
            .arg(evidence);
    return twinText(QT_TRANSLATE_NOOP("Twin", "Whether both models rank the blocks alike cannot be told: %1."))
        .arg(evidence);
}

QString signSentence(const TwinComparison &influence, const QString &first)
{
    const std::int64_t different = influence.higher + influence.lower;
    if (different == 0)
        return {};
    QString verdict;
    if (influence.signP < kLevel)
        verdict = twinText(QT_TRANSLATE_NOOP("Twin", "sign test p = %1"));
    else if (mcnemarExact(0, different) >= kLevel)
        verdict = twinText(QT_TRANSLATE_NOOP("Twin", "sign test p = %1: too few blocks to call"));
    else
        verdict = twinText(QT_TRANSLATE_NOOP("Twin", "sign test p = %1: no clear direction"));
    return twinText(QT_TRANSLATE_NOOP("Twin", "%1 is higher in %2 of %3 (%4)."))
        .arg(first)
        .arg(influence.higher)
        .arg(different)
        .arg(verdict.arg(significant(influence.signP, 2)));
}

QString shownSentence(const TwinComparison &shown)
{
    const MapKind kind = mapKind(*shown.difference);
    QString text;
    switch (kind) {
    case MapKind::FfnChannels:
        text = twinText(QT_TRANSLATE_NOOP("Twin", "Channels: %1, n = %2"));
        break;
    case MapKind::KvGroups:
        text = twinText(QT_TRANSLATE_NOOP("Twin", "KV groups: %1, n = %2"));
        break;
    case MapKind::StatePairs:
        text = twinText(QT_TRANSLATE_NOOP("Twin", "Pairs of states: %1, n = %2; they share blocks, hence no interval"));
        break;
    case MapKind::StartLength:
        text = twinText(QT_TRANSLATE_NOOP("Twin", "Runs of blocks: %1, n = %2; they overlap, hence no interval"));
        break;
    default:
        break;
    }
    if (!text.isEmpty())
        text = text.arg(rhoText(shown), exactCount(shown.n));
    if (shown.row >= 0) {
        const HeatmapCell cell{static_cast<int>(shown.row), static_cast<int>(shown.column)};
        text += (text.isEmpty() ? QString() : QStringLiteral("; "))
            + twinText(QT_TRANSLATE_NOOP("Twin", "largest difference: %1 (%2)"))
                  .arg(describeCell(*shown.difference, MapRanks(), cell, nullptr).states,
                       signedChange(static_cast<double>(shown.difference->at(cell.row, cell.column)), 3));
    }
    if (text.isEmpty())
        return text;
    text[0] = text[0].toUpper();
    return text + u'.';
}

} // namespace

TwinStatement twinStatement(const TwinComparison *influence, const TwinComparison &shown, const QString &first,
                            const QString &second)
{
    TwinStatement statement;
    QStringList evidence;
    if (influence) {
        statement.sentence = influenceSentence(*influence);
        evidence << signSentence(*influence, first);
    } else {
        statement.sentence = twinText(QT_TRANSLATE_NOOP("Twin", "%1 against %2.")).arg(first, second);
    }
    evidence << shownSentence(shown);
    evidence.removeAll(QString());
    statement.evidence = evidence.join(u' ');
    return statement;
}

} // namespace secateur
