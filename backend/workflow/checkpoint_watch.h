#pragma once

#include "backend/workflow/recover.h"

#include <cstdint>
#include <string>
#include <vector>

namespace secateur::workflow {

/// What happens at the checkpoints of a run: the questions are asked again, the adapter is kept. Works inside the call
/// that a run makes in front of each step, when the checkpoint of the step before has been written; the run itself
/// does not know of it. Compute thread; borrows everything.
class CheckpointWatch {
public:
    CheckpointWatch(const LoadedModel &dense, const Model &model, const RecoverRequest &request,
                    const RecoveryOptions &options, const JobContext &context);

    JobContext context(); ///< for the run, in place of the one given
    void finish(const TrainingResult &result);
    const std::vector<ProbeRound> &rounds() const { return m_rounds; }

private:
    const LoadedModel &m_dense;
    const Model &m_model;
    const RecoverRequest &m_request;
    const RecoveryOptions &m_options;
    const JobContext &m_context;
    std::vector<ProbeRound> m_rounds;
    std::int64_t m_seen = -1;

    void at(std::int64_t step);
    void ask(std::int64_t step, const Model &model);
    Model opened(const CheckpointRecord &record) const;
};

} // namespace secateur::workflow
