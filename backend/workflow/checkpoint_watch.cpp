#include "backend/workflow/checkpoint_watch.h"

#include "backend/io/weight_files.h"
#include "backend/workflow/recovery_history.h"

#include <filesystem>
#include <system_error>

namespace secateur::workflow {

CheckpointWatch::CheckpointWatch(const LoadedModel &dense, const Model &model, const RecoverRequest &request,
                                 const RecoveryOptions &options, const JobContext &context)
    : m_dense(dense), m_model(model), m_request(request), m_options(options), m_context(context)
{
    if (!request.keepHistory || !request.resume || request.outputFolder.empty())
        return;
    // A run that goes on under another name takes along what was kept of it.
    std::filesystem::path before = request.resume->folder.parent_path();
    before.replace_extension();
    const std::filesystem::path ours = historyFolder(request.outputFolder);
    std::error_code ignored;
    if (!std::filesystem::exists(ours, ignored))
        std::filesystem::copy(historyFolder(before), ours, std::filesystem::copy_options::recursive, ignored);
    m_rounds = loadHistory(request.outputFolder).probes;
}

JobContext CheckpointWatch::context()
{
    if (m_request.probes.empty() && !m_request.keepHistory)
        return m_context; // nothing to do at a checkpoint; several processes look at its stop request themselves
    return JobContext(
        {},
        [this](const Progress &progress) {
            m_context.checkpoint(progress);
            if (progress.stage == "recover.step")
                at(progress.done);
        },
        [this](const std::string &sentence) { m_context.notice(sentence); });
}

void CheckpointWatch::finish(const TrainingResult &result)
{
    const auto step = static_cast<std::int64_t>(result.points.size());
    if (!result.cancelled && !m_request.probes.empty() && (m_rounds.empty() || m_rounds.back().step < step))
        ask(step, result.adapter ? withAdapter(m_model, *result.adapter) : *result.model);
    if (!m_request.keepHistory || m_request.outputFolder.empty() || step == 0)
        return;
    RunHistory history;
    history.points = result.points;
    history.heldOut = result.heldOut;
    history.questions = m_request.probes;
    history.probes = m_rounds;
    saveHistory(m_request.outputFolder, history);
}

void CheckpointWatch::at(std::int64_t step)
{
    if (step <= m_seen)
        return; // the parts of one step, and measurements in between
    m_seen = step;
    const bool isAsked = m_request.probes.empty() || (!m_rounds.empty() && m_rounds.back().step >= step);
    if (step == 0) {
        if (!isAsked)
            ask(0, m_request.start ? withAdapter(m_model, *m_request.start) : m_model);
        return;
    }
    const bool isDue = m_options.checkpointSteps > 0 && step % m_options.checkpointSteps == 0;
    if (!isDue || m_request.outputFolder.empty() || (isAsked && !m_request.keepHistory))
        return;
    const CheckpointRecord record = m_request.resume && m_request.resume->step == step
        ? *m_request.resume
        : latestCheckpoint(checkpointFolder(m_request.outputFolder));
    if (m_request.keepHistory)
        keepAdapter(m_request.outputFolder, record);
    if (!isAsked)
        ask(step, opened(record));
}

Model CheckpointWatch::opened(const CheckpointRecord &record) const
{
    const std::filesystem::path adapter = record.folder / "adapter";
    if (std::filesystem::is_directory(adapter))
        return withAdapter(m_model, loadAdapter(adapter, m_model));
    ComputeSettings settings;
    settings.device = m_model.device();
    return loadModel(inspectModel(record.folder / "weights"), settings);
}

/// Questions are a look at the run, not a part of it: when they fail the run goes on.
void CheckpointWatch::ask(std::int64_t step, const Model &model)
{
    const JobContext quiet({}, [this](const Progress &) {
        if (m_context.stopRequested())
            throw Cancelled{};
    });
    try {
        m_rounds.push_back(answerProbes(m_dense, model, m_request.probes, m_request.probeTokens, quiet));
    } catch (const Error &error) {
        m_context.notice("The probe questions were not answered after step " + std::to_string(step) + ": "
                         + error.info().message);
        return;
    }
    m_rounds.back().step = step;
    if (m_request.onProbes)
        m_request.onProbes(m_rounds.back());
    if (!m_request.keepHistory || m_request.outputFolder.empty())
        return;
    RunHistory history; // what a killed process would lose; the curve is in the checkpoint
    history.questions = m_request.probes;
    history.probes = m_rounds;
    saveHistory(m_request.outputFolder, history);
}

} // namespace secateur::workflow
