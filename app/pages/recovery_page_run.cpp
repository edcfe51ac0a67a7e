// The right side of the Recovery view: the run that is trained, or a finished one.
#include "app/pages/recovery_page.h"

#include "app/pages/recovery_probe_panel.h"
#include "app/qt_paths.h"
#include "app/user_prompts.h"
#include "app/workspace.h"
#include "widgets/charts/accuracy_chart.h"
#include "widgets/charts/loss_chart.h"
#include "widgets/controls/banner.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QStackedWidget>

#include <algorithm>

namespace secateur {

namespace {

/// A finished run as the chart shows it.
std::vector<TrainingPoint> pointsOf(const RunRecord &run)
{
    std::vector<TrainingPoint> points;
    for (std::size_t i = 0; i < run.losses.size(); ++i) {
        TrainingPoint point;
        point.step = static_cast<std::int64_t>(i) + 1;
        point.loss = run.losses[i];
        point.learningRate = i < run.learningRates.size() ? run.learningRates[i] : 0;
        point.tokensPerSecond = run.tokensPerSecond;
        points.push_back(point);
    }
    return points;
}

/// Mean of the last tenth of the losses: one batch alone says little.
double recentLoss(const std::vector<TrainingPoint> &points)
{
    const std::size_t count = std::max<std::size_t>(1, points.size() / 10);
    double sum = 0;
    for (std::size_t i = points.size() - count; i < points.size(); ++i)
        sum += points[i].loss;
    return sum / static_cast<double>(count);
}

} // namespace

void RecoveryPage::showRun()
{
    Subject current = m_workspace->subject(m_workspace->currentSubject());
    m_subject->setText(
        tr("trains %1")
            .arg(current.run.empty() || !current.plan ? qString(current.name) : qString(current.plan->name)));
    const RunRecord *run = m_workspace->run(m_workspace->currentSubject().toStdString());
    const bool running = m_recovery->isRunning();
    if (!running && !run) {
        // A plan shows the last run that was made from it, the dense model the last run of all.
        for (const RunRecord &record : m_workspace->session().runs) {
            if (!current.plan || record.plan == current.plan->id)
                run = &record;
        }
    }
    m_stack->setCurrentIndex(running || run ? 1 : 0);
    m_stop->setVisible(running);
    m_pause->setVisible(running);
    m_pause->setText(m_recovery->isPaused() ? tr("Continue") : tr("Pause"));
    m_pause->setIcon(themedIcon(m_recovery->isPaused() ? u"play"_qs : u"pause"_qs));
    m_progress->setVisible(running);
    m_evaluate->setVisible(!running && run != nullptr);
    std::vector<EvaluationReportPtr> shown;
    const std::string planId = current.plan ? current.plan->id : !running && run ? run->plan : std::string();
    for (const EvaluationReportPtr &report : m_workspace->session().reports) {
        const RunRecord *owner = m_workspace->run(report->subject);
        if (report->subject == "dense" || report->subject == planId || (owner && owner->plan == planId))
            shown.push_back(report);
    }
    m_bars->setReports(shown);
    m_bars->setVisible(!shown.empty());
    if (running) {
        m_runTitle->setText(
            tr("%1 on %2").arg(RecoveryController::kindText(m_recovery->currentOptions()), m_recovery->currentTitle()));
        m_runSubtitle->setText(m_recovery->isPaused() ? tr("paused between two steps") : tr("running"));
        m_shownRun = m_recovery->currentRun();
        showLive();
    } else if (run) {
        m_runTitle->setText(m_workspace->subjectName(qString(run->id)));
        const QString size = run->options.trainsWeights()
            ? tr("all weights")
            : tr("rank %1, alpha %2").arg(run->options.rank).arg(run->options.alpha);
        m_runSubtitle->setText(
            tr("%1 · %2 · seed %3 · finished").arg(qString(run->dataName), size).arg(run->options.seed));
        if (m_shownRun != qString(run->id) || m_history.points.empty()) {
            m_shownRun = qString(run->id);
            m_history = {};
            m_recovery->readHistory(m_shownRun);
        }
        workflow::RunHistory history = m_history;
        if (history.points.size() != run->losses.size())
            history.points = pointsOf(*run);
        showCurve(history, {}, run->options.steps);
    } else {
        m_shownRun.clear();
        m_chart->clear();
        m_probes->setRounds({}, {}, {});
    }
    showEstimate();
}

void RecoveryPage::showLive()
{
    showCurve(m_recovery->live().history, m_recovery->live().memory, m_recovery->plannedSteps());
}

void RecoveryPage::showCurve(const workflow::RunHistory &history, const std::vector<std::int64_t> &memory, int planned)
{
    m_chart->setPoints(history.points, planned);
    m_chart->setHeldOut(history.heldOut);
    m_chart->setMemory(memory);
    std::vector<std::string> questions = history.questions;
    if (questions.empty() && m_recovery->isRunning()) {
        for (const QString &question : m_recovery->probes())
            questions.push_back(question.toStdString());
    }
    m_probes->setRounds(questions, history.probes, history.adapters);
    showNumbers(history, memory, planned);
}

void RecoveryPage::showNumbers(const workflow::RunHistory &history, const std::vector<std::int64_t> &memory,
                               int planned)
{
    const std::vector<TrainingPoint> &points = history.points;
    const auto step = static_cast<qint64>(points.size());
    m_progress->setRange(0, qMax(1, planned));
    m_progress->setValue(static_cast<int>(step));
    m_numbers[0]->setText(tr("%1 of %2").arg(step).arg(planned));
    for (int i = 1; i < 7; ++i)
        m_numbers[i]->setText(missingNumber());
    m_numbers[3]->parentWidget()->setVisible(!history.heldOut.empty());
    for (int i = 5; i < 7; ++i) // only while it goes on
        m_numbers[i]->parentWidget()->setVisible(m_recovery->isRunning());
    if (!history.heldOut.empty())
        m_numbers[3]->setText(
            tr("%1 at %2").arg(significant(history.heldOut.back().loss, 4)).arg(history.heldOut.back().step));
    if (points.empty())
        return;
    const double rate = points.back().tokensPerSecond;
    m_numbers[1]->setText(significant(points.front().loss, 4));
    m_numbers[2]->setText(significant(recentLoss(points), 4));
    m_numbers[4]->setText(tr("%1 tok/s").arg(significant(rate, 3)));
    if (!memory.empty())
        m_numbers[5]->setText(memorySize(memory.back()));
    const double left = double(planned - step) * m_recovery->currentOptions().batchTokens;
    if (m_recovery->isPaused())
        m_numbers[6]->setText(tr("paused"));
    else if (m_recovery->isRunning() && rate > 0)
        m_numbers[6]->setText(duration(static_cast<qint64>(left / rate + 0.5)));
}

void RecoveryPage::showUnfinished()
{
    const UnfinishedRuns &runs = m_recovery->unfinished();
    const bool isOffered = !runs.empty();
    m_unfinished->setVisible(isOffered);
    m_resume->setVisible(isOffered);
    m_discard->setVisible(isOffered);
    if (!isOffered)
        return;
    const workflow::UnfinishedRun &run = runs.front();
    const QString subject = run.plan ? qString(run.plan->name) : tr("the dense model");
    QString title
        = tr("A run was interrupted after %1 of %2 steps.").arg(run.checkpoint.step).arg(run.checkpoint.options.steps);
    if (runs.size() > 1)
        title += u" "_qs + tr("(%1 in all)").arg(runs.size());
    m_unfinished->setText(title,
                          tr("%1 on %2. It goes on behind its checkpoint and ends as if it had never stopped.")
                              .arg(RecoveryController::kindText(run.checkpoint.options), subject));
}

void RecoveryPage::editProbes()
{
    const auto questions = m_prompts->lines(tr("Probe questions"), tr("One question per line; the next run asks them."),
                                            m_recovery->probes());
    if (questions)
        m_recovery->setProbes(*questions);
}

void RecoveryPage::fork(qint64 step)
{
    const RunRecord *run = m_workspace->run(m_shownRun.toStdString());
    const bool isLive = m_recovery->isRunning() && m_shownRun == m_recovery->currentRun();
    if ((!run && !isLive) || !m_queue->isEnabled())
        return;
    const RecoveryOptions &forked = isLive ? m_recovery->currentOptions() : run->options;
    RecoveryOrder order = nextOrder();
    if (run)
        order.subject = m_workspace->subject(run->plan.empty() ? u"dense"_qs : qString(run->plan));
    order.startAdapter = workflow::historyAdapter(m_recovery->outputOf(m_shownRun), step);
    // The adapter has its shape; everything else is as the form says.
    if (order.options.trainsWeights())
        order.options.kind = "lora";
    order.options.rank = forked.rank;
    order.options.alpha = forked.alpha;
    order.options.targets = forked.targets;
    order.options.rsLora = forked.rsLora;
    order.options.rankPattern = forked.rankPattern;
    m_recovery->start(order);
}

} // namespace secateur
