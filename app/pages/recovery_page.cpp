#include "app/pages/recovery_page.h"

#include "app/pages/recovery_estimate.h"
#include "app/qt_paths.h"
#include "app/workspace.h"
#include "widgets/charts/accuracy_chart.h"
#include "widgets/charts/loss_chart.h"
#include "widgets/controls/empty_state.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QComboBox>
#include <QDoubleSpinBox>
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QSpinBox>
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

RecoveryOptions RecoveryPage::options() const
{
    RecoveryOptions options;
    options.rank = m_rank->value();
    options.alpha = m_alpha->value();
    if (m_layers->currentIndex() == 1)
        options.targets = {"q_proj", "k_proj", "v_proj", "o_proj"};
    else if (m_layers->currentIndex() == 2)
        options.targets = {"gate_proj", "up_proj", "down_proj"};
    options.steps = m_steps->value();
    options.batchTokens = m_batchTokens->value();
    options.maxLength = m_maxLength->value();
    options.learningRate = m_rate->value() * 1e-4;
    options.seed = static_cast<std::uint64_t>(m_seed->value());
    return options;
}

void RecoveryPage::applyPreset()
{
    switch (m_preset->currentIndex()) {
    case 0: // the study's setting
        m_rank->setValue(8);
        m_alpha->setValue(16);
        m_layers->setCurrentIndex(0);
        m_steps->setValue(100);
        m_batchTokens->setValue(2048);
        m_rate->setValue(2);
        break;
    case 1: // a first look within minutes
        m_rank->setValue(8);
        m_alpha->setValue(16);
        m_layers->setCurrentIndex(0);
        m_steps->setValue(20);
        m_batchTokens->setValue(1024);
        m_rate->setValue(4);
        break;
    default:
        break;
    }
}

void RecoveryPage::showEstimate()
{
    if (!m_workspace->hasModel())
        return;
    const Subject subject = m_workspace->subject(m_workspace->currentSubject());
    const ModelConfig config
        = subject.plan ? prunedConfig(m_workspace->config(), subject.plan->removed) : m_workspace->config();
    const LoadedWeights *weights = m_workspace->weights();
    const bool bf16 = weights && weights->dtype == u"BF16";
    const RecoveryEstimate estimate = estimateRecovery(config, options(), bf16 ? 2 : 4);
    m_estimateWeights->setText(memorySize(estimate.weights));
    m_estimateAdapter->setText(memorySize(estimate.adapter));
    m_estimateActivations->setText(u"≈ "_qs + memorySize(estimate.activations));
    m_estimateTotal->setText(u"≈ "_qs + memorySize(estimate.total()));
    double rate = 0;
    for (const RunRecord &run : m_workspace->session().runs)
        rate = run.tokensPerSecond > 0 ? run.tokensPerSecond : rate;
    const auto analysis = m_workspace->analysis();
    // Without a run of its own: a step is a forward and about two forwards' worth of backward.
    if (rate <= 0 && analysis)
        rate = analysis->tokensPerSecond / 3;
    const double tokens = double(m_steps->value()) * m_batchTokens->value();
    m_estimateTime->setText(rate > 0 ? u"≈ "_qs + duration(static_cast<qint64>(tokens / rate)) : missingNumber());
    m_estimateTime->setToolTip(rate > 0 ? tr("At %1 tokens/s").arg(significant(rate, 3))
                                        : tr("No sweep or run has been timed in this session"));
}

void RecoveryPage::setQueueReason(const QString &reason)
{
    m_reason = reason;
    showButton();
}

void RecoveryPage::showButton()
{
    QString reason = m_reason;
    const TrainingDataSummaryPtr data = m_data->summary();
    if (reason.isEmpty() && data && !data->isUsable())
        reason = qString(data->problem.message);
    m_queue->setEnabled(reason.isEmpty());
    m_queue->setToolTip(reason.isEmpty() ? tr("Put this run into the queue (Ctrl+Return)")
                                         : tr("<b>Queue next run is off</b><br>%1").arg(reason));
}

void RecoveryPage::queueRun()
{
    if (!m_queue->isEnabled())
        return;
    Subject subject = m_workspace->subject(m_workspace->currentSubject());
    if (!subject.run.empty())
        subject = m_workspace->subject(subject.plan ? qString(subject.plan->id) : u"dense"_qs);
    m_recovery->start(subject, m_data->source(), options());
}

void RecoveryPage::showRun()
{
    Subject current = m_workspace->subject(m_workspace->currentSubject());
    m_subject->setText(
        tr("trains %1")
            .arg(current.run.empty() || !current.plan ? qString(current.name) : qString(current.plan->name)));
    const RunRecord *run = m_workspace->run(m_workspace->currentSubject().toStdString());
    if (!m_recovery->isRunning() && !run) {
        // A plan shows the last run that was made from it, the dense model the last run of all.
        for (const RunRecord &record : m_workspace->session().runs) {
            if (!current.plan || record.plan == current.plan->id)
                run = &record;
        }
    }
    const bool running = m_recovery->isRunning();
    m_stack->setCurrentIndex(running || run ? 1 : 0);
    m_stop->setVisible(running);
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
        m_runTitle->setText(tr("LoRA on %1").arg(m_recovery->currentTitle()));
        m_runSubtitle->setText(tr("running"));
        m_chart->setPoints(m_recovery->livePoints(), m_recovery->plannedSteps());
        showNumbers(m_recovery->livePoints(), m_recovery->plannedSteps());
    } else if (run) {
        const std::vector<TrainingPoint> points = pointsOf(*run);
        m_runTitle->setText(m_workspace->subjectName(qString(run->id)));
        m_runSubtitle->setText(tr("%1 · rank %2, alpha %3 · seed %4 · finished")
                                   .arg(qString(run->dataName))
                                   .arg(run->options.rank)
                                   .arg(run->options.alpha)
                                   .arg(run->options.seed));
        m_chart->setPoints(points, static_cast<std::int64_t>(run->options.steps));
        showNumbers(points, run->options.steps);
    } else {
        m_chart->clear();
    }
    showEstimate();
}

void RecoveryPage::showNumbers(const std::vector<TrainingPoint> &points, int planned)
{
    const auto step = static_cast<qint64>(points.size());
    m_progress->setRange(0, qMax(1, planned));
    m_progress->setValue(static_cast<int>(step));
    m_numbers[0]->setText(tr("%1 of %2").arg(step).arg(planned));
    if (points.empty()) {
        for (int i = 1; i < 5; ++i)
            m_numbers[i]->setText(missingNumber());
        return;
    }
    const TrainingPoint &last = points.back();
    m_numbers[1]->setText(significant(points.front().loss, 4));
    m_numbers[2]->setText(significant(recentLoss(points), 4));
    m_numbers[3]->setText(tr("%1 tok/s").arg(significant(last.tokensPerSecond, 3)));
    const double rate = last.tokensPerSecond;
    const double left = double(planned - step) * m_batchTokens->value();
    m_numbers[4]->setText(m_recovery->isRunning() && rate > 0 ? duration(static_cast<qint64>(left / rate + 0.5))
                                                              : missingNumber());
}

QString RecoveryPage::statusText() const
{
    if (m_recovery->isRunning())
        return tr("Stop and keep ends the run after its step and keeps the weights");
    return tr("%n run(s) in this session", nullptr, static_cast<int>(m_workspace->session().runs.size()));
}

QString RecoveryPage::commandLine() const
{
    const LoadedWeights *weights = m_workspace->weights();
    const RecoveryOptions now = options();
    return u"secateur-cli recover '%1' --data '%2' --kind lora --steps %3 --seed %4 --out DIR"_qs
        .arg(weights ? fromPath(weights->path) : u"MODEL"_qs, m_data->source())
        .arg(now.steps)
        .arg(now.seed);
}

} // namespace secateur
