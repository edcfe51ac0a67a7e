#include "app/pages/recovery_page.h"

#include "app/pages/recovery_command.h"
#include "app/pages/recovery_estimate.h"
#include "app/qt_paths.h"
#include "app/workspace.h"
#include "backend/engine/compute_device.h"
#include "widgets/controls/banner.h"
#include "widgets/theme/number_text.h"
#include "widgets/theme/theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSpinBox>

#include <algorithm>

namespace secateur {

void RecoveryPage::dataChanged()
{
    const TrainingDataSummaryPtr data = m_data->summary();
    m_form->setDataTokens(data && data->isUsable() ? data->card.tokens : 0);
    showEstimate();
    showButton();
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
    const RecoveryOptions now = options();
    const TrainingDataSummaryPtr data = m_data->summary();
    const RecoveryEstimate estimate
        = estimateRecovery(config, now,
                           {.bytesPerElement = bf16 ? 2 : 4,
                            .parentParameters = subject.plan ? totalParameters(m_workspace->config()) : 0,
                            .longestSample = data ? data->card.longest : 0});
    m_estimateWeights->setText(memorySize(estimate.weights));
    m_estimateTrainedName->setText(now.trainsWeights() ? tr("Trained weights + Adam") : tr("Adapter + Adam"));
    m_estimateTrained->setText(memorySize(estimate.trained));
    m_estimateActivations->setText(u"≈ "_qs + memorySize(estimate.activations));
    m_estimateTotal->setText(u"≈ "_qs + memorySize(estimate.total()));
    // What is loaded already is not needed once more.
    const auto room = static_cast<std::int64_t>(memoryUse().available);
    const bool isTight = weights && room > 0 && estimate.trained + estimate.activations > room;
    m_memoryWarning->setVisible(isTight);
    m_memoryWarning->setText(tr("More than the %1 that are free.").arg(memorySize(room)),
                             tr("The run may end for want of memory. Halving the step also computes activations again "
                                "in the backward pass."));
    double rate = 0;
    for (const RunRecord &run : m_workspace->session().runs)
        rate = run.tokensPerSecond > 0 ? run.tokensPerSecond : rate;
    const auto analysis = m_workspace->analysis();
    // Without a run of its own: a step is a forward and about two forwards' worth of backward.
    if (rate <= 0 && analysis)
        rate = analysis->tokensPerSecond / 3;
    const double tokens = double(now.steps) * now.batchTokens;
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

RecoveryOrder RecoveryPage::nextOrder() const
{
    Subject subject = m_workspace->subject(m_workspace->currentSubject());
    if (!subject.run.empty())
        subject = m_workspace->subject(subject.plan ? qString(subject.plan->id) : u"dense"_qs);
    return {.subject = subject, .data = m_data->source(), .options = options()};
}

void RecoveryPage::queueRun()
{
    if (m_queue->isEnabled())
        m_recovery->start(nextOrder());
}

void RecoveryPage::queueControl(bool newWeights)
{
    if (!m_queue->isEnabled())
        return;
    RecoveryOrder order = nextOrder();
    if (newWeights) {
        order.newWeights = true;
        order.options.kind = "scratch";
    } else {
        order.subject = m_workspace->subject(u"dense"_qs);
    }
    m_recovery->start(order);
}

/// Runs of this session, for the same number of tokens as one of them.
void RecoveryPage::showEqualRuns()
{
    const QString chosen = m_equalTo->currentData().toString();
    {
        const QSignalBlocker quiet(m_equalTo);
        m_equalTo->clear();
        for (const RunRecord &run : m_workspace->session().runs)
            m_equalTo->addItem(m_workspace->subjectName(qString(run.id)), qString(run.id));
        m_equalTo->setCurrentIndex(std::max(0, m_equalTo->findData(chosen)));
    }
    const bool hasRuns = m_equalTo->count() > 0;
    m_equalTokens->setEnabled(hasRuns);
    m_equalTokens->setToolTip(hasRuns ? tr("Sets the steps so that this run reads as many tokens as the other one")
                                      : tr("There is no run to be compared with yet"));
    if (!hasRuns)
        m_equalTokens->setChecked(false);
    matchTokens();
}

void RecoveryPage::matchTokens()
{
    const bool matches = m_equalTokens->isChecked();
    m_equalTo->setVisible(matches);
    m_form->stepsBox()->setEnabled(!matches);
    const RunRecord *run = m_workspace->run(m_equalTo->currentData().toString().toStdString());
    if (!matches || !run)
        return;
    const double tokens = double(run->losses.size()) * run->options.batchTokens;
    m_form->stepsBox()->setValue(qMax(1, qRound(tokens / options().batchTokens)));
}

QString RecoveryPage::statusText() const
{
    if (m_recovery->isRunning())
        return m_recovery->isPaused() ? tr("Paused between two steps")
                                      : tr("Stop and keep ends the run after its step and keeps the weights");
    return tr("%n run(s) in this session", nullptr, static_cast<int>(m_workspace->session().runs.size()));
}

QString RecoveryPage::commandLine() const
{
    const LoadedWeights *weights = m_workspace->weights();
    return recoveryCommand(weights ? fromPath(weights->path) : u"MODEL"_qs, m_data->source(), options());
}

} // namespace secateur
