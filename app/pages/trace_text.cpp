#include "app/pages/trace_text.h"

#include "app/qt_paths.h"
#include "widgets/theme/number_text.h"

#include <QCoreApplication>
#include <QStringList>

#include <algorithm>

namespace secateur {

namespace {

QString tracePart(const char *text)
{
    return QCoreApplication::translate("TracesPage", text);
}

/// A paragraph with a coloured edge; Qt's rich text has no borders, a table cell stands for one.
QString segment(const QString &title, const QString &text, const QColor &edge, const QColor &back,
                const ThemeColors &colors)
{
    if (text.isEmpty())
        return {};
    QString body = text.toHtmlEscaped();
    body.replace(u'\n', u"<br>"_qs);
    return u"<table width='100%' cellspacing='0' cellpadding='6'><tr><td width='4' bgcolor='%1'></td>"
           u"<td bgcolor='%2'><span style='color:%3'>%4</span><br><span style='color:%5'>%6</span></td></tr></table>"_qs
               .arg(edge.name(), back.name(), colors.secondaryText.name(), title, colors.text.name(), body);
}

/// Where the thinking part ends, behind its closing mark; −1 when there is none.
qsizetype endOfThinking(const QString &raw)
{
    for (const auto *mark : {u"</think>", u"<|end_of_thought|>"}) {
        const QString text = QString::fromUtf16(mark);
        const qsizetype at = raw.lastIndexOf(text);
        if (at >= 0)
            return at + text.size();
    }
    return -1;
}

} // namespace

QString sampleVerdict(const SampleResult &sample)
{
    QStringList parts;
    parts.append(sample.correct ? tracePart(QT_TRANSLATE_NOOP("TracesPage", "✓ right"))
                                : tracePart(QT_TRANSLATE_NOOP("TracesPage", "✕ wrong")));
    parts.append(tracePart(QT_TRANSLATE_NOOP("TracesPage", "gold %1")).arg(qString(sample.target)));
    if (!sample.raw.empty()) {
        parts.append(sample.extracted.empty()
                         ? tracePart(QT_TRANSLATE_NOOP("TracesPage", "no answer found"))
                         : tracePart(QT_TRANSLATE_NOOP("TracesPage", "answered %1")).arg(qString(sample.extracted)));
        parts.append(tracePart(QT_TRANSLATE_NOOP("TracesPage", "prompt %1, think %2, answer %3 tokens"))
                         .arg(sample.promptTokens)
                         .arg(sample.traceTokens)
                         .arg(sample.answerTokens));
        if (sample.finish == "length")
            parts.append(tracePart(QT_TRANSLATE_NOOP("TracesPage", "⚠ cut at the cap")));
        else if (sample.finish == "loop")
            parts.append(tracePart(QT_TRANSLATE_NOOP("TracesPage", "⚠ loops")));
        else
            parts.append(tracePart(QT_TRANSLATE_NOOP("TracesPage", "finished")));
    }
    return parts.join(u" · "_qs);
}

QString sampleHtml(const SampleResult &sample, const ThemeColors &colors)
{
    QString html = segment(tracePart(QT_TRANSLATE_NOOP("TracesPage", "prompt")), qString(sample.prompt),
                           colors.secondaryText, colors.alternate, colors);
    if (sample.raw.empty()) {
        const auto best = std::max_element(sample.choiceLogprobs.begin(), sample.choiceLogprobs.end());
        for (auto it = sample.choiceLogprobs.begin(); it != sample.choiceLogprobs.end(); ++it) {
            html += u"<p>%1 %2</p>"_qs.arg(it == best ? u"<b>▸</b>"_qs : u"&nbsp;&nbsp;"_qs,
                                           tracePart(QT_TRANSLATE_NOOP("TracesPage", "choice %1: log p = %2"))
                                               .arg(it - sample.choiceLogprobs.begin())
                                               .arg(significant(*it, 6)));
        }
        return html;
    }
    const QString raw = qString(sample.raw);
    const qsizetype end = endOfThinking(raw);
    const bool unfinished = sample.traceState == "truncated" || sample.traceState == "open-eos";
    const QString think = end >= 0 ? raw.left(end) : unfinished ? raw : QString();
    html += segment(tracePart(QT_TRANSLATE_NOOP("TracesPage", "think")), think, colors.think, colors.thinkTint, colors);
    html += segment(tracePart(QT_TRANSLATE_NOOP("TracesPage", "answer")), raw.mid(think.size()), colors.instruct,
                    colors.instructTint, colors);
    return html;
}

} // namespace secateur
