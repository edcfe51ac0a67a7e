#include "app/help_texts.h"

#include "app/qt_paths.h"
#include "backend/workflow/plan.h"

#include <QCoreApplication>

namespace secateur {

namespace {

QString helpText(const char *text)
{
    return QCoreApplication::translate("Help", text);
}

} // namespace

HelpText viewHelp(int tab)
{
    switch (tab) {
    case 0:
        return {
            helpText(QT_TRANSLATE_NOOP("Help", "Importance")),
            helpText(QT_TRANSLATE_NOOP(
                "Help",
                "<p><b>Block cosine</b>: how alike two hidden states are. A bright cell (i, j) means that the blocks "
                "[i, j) change little.</p><p><b>Start × length</b>: angular distance when a run of blocks is skipped. "
                "<b>Block influence</b>: 1 − cosine of a block's input and output. <b>Layer × KV group</b> and "
                "<b>Layer × FFN channel</b>: how much a unit feeds into its block.</p><p><b>Select</b>: drag a "
                "rectangle (Shift adds, Alt takes away), click the strip of blocks, press R or C for a row or column, "
                "or set a threshold below. Hatched = selected for removal, lock = protected.</p><p><b>Wheel</b> zooms, "
                "Ctrl+0 shows all, arrows walk, Space toggles, L locks. Drag the ends of the colour bar to clip; the "
                "values themselves never change.</p><p><b>Twin</b> needs the sibling's maps (<b>Open sibling…</b>: a "
                "model, a session or maps). <b>Side</b> puts both maps next to each other with one cursor and one "
                "range of colours; <b>Diff</b> shows think − instruct and says how alike the ranks are. Hold F to see "
                "the two in turn.</p>")),
        };
    case 1:
        return {
            helpText(QT_TRANSLATE_NOOP("Help", "Plan")),
            helpText(QT_TRANSLATE_NOOP(
                "Help",
                "<p>A <b>method</b> chooses units from the maps; <b>From the selection</b> takes those you picked. The "
                "number at the right of a method is its cost in sweeps over the calibration set.</p><p>The "
                "<b>dependency "
                "preview</b> lists every tensor slice that goes with them. Nothing is computed until <b>Score and "
                "prune</b>.</p><p><b>Snapped</b> appears when the result differs from what was asked, for example "
                "because stock loaders need equal widths.</p>")),
        };
    case 2:
        return {
            helpText(QT_TRANSLATE_NOOP("Help", "Recovery")),
            helpText(QT_TRANSLATE_NOOP(
                "Help",
                "<p>At the left is the next run, at the right the current one. <b>Data</b>: each card is a set, "
                "counted "
                "through the model's own template; <b>instruct</b> and <b>think</b> say whether its answers begin with "
                "a trace. Delete takes a file off the list. Losses are in nat per scored token; with conversations "
                "only "
                "the answers are scored.</p><p><b>Recipe</b> fills the form; an edited one is called Custom. "
                "<b>LoRA</b> "
                "trains an adapter, <b>Full</b> all weights, <b>Distil</b> follows the dense model as well. <b>Equal "
                "tokens</b> sets the steps so that two models read the same amount; <b>Controls</b> queues what a run "
                "is "
                "to be compared with.</p><p><b>Pause</b> (P) waits between two steps. <b>Stop and keep</b> ends the "
                "run "
                "after its step; it can go on later from its checkpoint, also after the program was closed or killed. "
                "<b>Probe answers</b> are given before the first step and at each checkpoint: the slider walks over "
                "them, Enter reads one, <b>Fork</b> begins a new run there. A run is a record: it is never undone, "
                "only "
                "followed by another.</p>")),
        };
    case 3:
        return {
            helpText(QT_TRANSLATE_NOOP("Help", "Evaluation")),
            helpText(QT_TRANSLATE_NOOP(
                "Help",
                "<p>One row per task, one column per model. A cell shows the accuracy in percent, its 95 % Wilson "
                "interval and the share of answers that reached the token cap; above 5 % the cell turns amber, because "
                "the accuracy then also measures the cap.</p><p>The dense baseline is always measured under the same "
                "protocol. Enter on a cell opens its samples.</p>")),
        };
    case 4:
        return {
            helpText(QT_TRANSLATE_NOOP("Help", "Traces")),
            helpText(QT_TRANSLATE_NOOP(
                "Help",
                "<p>The whole text that the models wrote, prompt, thinking and answer in their colours. <b>Right → "
                "wrong</b> shows the items that were lost on the way from the left to the right model.</p>")),
        };
    default:
        return {
            helpText(QT_TRANSLATE_NOOP("Help", "Compare")),
            helpText(QT_TRANSLATE_NOOP(
                "Help",
                "<p>All models of the session with their costs and results; below, two of them with the change. The "
                "notice gives the paired result in words: better, worse, or inconclusive.</p>")),
        };
    }
}

HelpText firstStepsHelp()
{
    return {
        helpText(QT_TRANSLATE_NOOP("Help", "First steps")),
        helpText(QT_TRANSLATE_NOOP(
            "Help",
            "<ol><li><b>Open</b> a model: a Hugging Face folder, a GGUF file, or the example on the start page.</li>"
            "<li><b>Calibrate</b> (Ctrl+K): one sweep over a text scores every block, KV group and FFN channel.</li>"
            "<li><b>Look</b> at the maps and select what matters least; the Budget dock shows what is saved.</li>"
            "<li><b>Prune</b> (Ctrl+P): the plan shows every tensor that changes; “Score and prune” does it.</li>"
            "<li><b>Recover</b> (Ctrl+R): train a LoRA adapter for a few steps.</li>"
            "<li><b>Evaluate</b> (Ctrl+T): dense, pruned and recovered side by side, with intervals.</li>"
            "<li><b>Save</b> (Ctrl+S): the session opens anywhere, with or without the weights.</li></ol>")),
    };
}

HelpText methodsHelp()
{
    QString html;
    for (const workflow::MethodCard &card : workflow::methodCards()) {
        html += u"<p><b>%1</b> (%2)<br>%3<br><i>%4</i><br>%5</p>"_qs.arg(
            qString(card.title).toHtmlEscaped(), qString(card.paradigm).toHtmlEscaped(),
            qString(card.summary).toHtmlEscaped(), qString(card.formula).toHtmlEscaped(),
            qString(card.paper).toHtmlEscaped());
    }
    return {helpText(QT_TRANSLATE_NOOP("Help", "Method cards")), html};
}

HelpText keyboardHelp()
{
    return {
        helpText(QT_TRANSLATE_NOOP("Help", "Keyboard on the maps")),
        helpText(QT_TRANSLATE_NOOP(
            "Help",
            "<table cellpadding='3'><tr><td>Arrows</td><td>walk; Ctrl to the edge, Shift extends</td></tr>"
            "<tr><td>Space</td><td>select or deselect</td></tr><tr><td>Enter</td><td>select the blocks of the cell</td>"
            "</tr><tr><td>R, C</td><td>row, column</td></tr><tr><td>L</td><td>lock or unlock</td></tr>"
            "<tr><td>T</td><td>threshold</td></tr><tr><td>M</td><td>next map</td></tr><tr><td>P</td><td>unpin the "
            "read-out</td></tr><tr><td>Ctrl+0</td><td>show all</td></tr><tr><td>Ctrl+C</td><td>copy the read-out</td>"
            "</tr></table>")),
    };
}

} // namespace secateur
