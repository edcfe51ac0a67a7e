#pragma once

#include "backend/core/session.h"
#include "backend/engine/training.h"
#include "backend/io/corpus.h"
#include "backend/workflow/recovery_probes.h"
#include "backend/workflow/workbench.h"

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace secateur::workflow {

struct RecoverRequest {
    std::string data; ///< path of text / JSONL, or "bundled"
    RecoveryOptions options;
    std::filesystem::path outputFolder; ///< PEFT adapter, or HF folder when all weights are trained; empty: not written
    std::string basePath; ///< base_model_name_or_path
    std::shared_ptr<const Adapter> start; ///< continue from this adapter; null: a new one
    std::shared_ptr<const Model> parent; ///< to distil from; null: the dense model
    std::map<std::string, std::string> origin; ///< goes into the checkpoints beside the digests of model and data
    std::optional<CheckpointRecord> resume; ///< go on behind this checkpoint, with its options
    std::shared_ptr<const ProcessGroup> group; ///< trains together with these processes, of which rank 0 writes
    std::optional<PruningPlan> plan; ///< that the model was made with; goes into the checkpoints, to start again
    bool keepHistory = false; ///< write historyFolder() beside the output, with the adapter of each checkpoint
    std::vector<std::string> probes; ///< asked before the first step, at each checkpoint and at the end
    int probeTokens = 128; ///< of an answer at most
    std::function<void(const ProbeRound &)> onProbes; ///< compute thread; may be empty
};
struct RecoverOutcome {
    RunRecord record; ///< id and plan are left for the caller
    TrainingResult training;
    std::vector<ProbeRound> probes;
};
/// Chat data: response-only loss through the template (every assistant turn, its end mark included). Text: all tokens.
/// Samples longer than maxLength are dropped and counted. Throws Error(InvalidArgument) when nothing is left.
/// Checkpoints go into checkpointFolder() of the output and are removed when the output is written. What ends a run
/// early by an error leaves them, and the error says so.
RecoverOutcome recover(const LoadedModel &dense, const Model &model, const RecoverRequest &request,
                       const JobContext &context, MetricFeed *feed = nullptr);

/// "OUT.checkpoints" beside \a output.
std::filesystem::path checkpointFolder(const std::filesystem::path &output);

/// The newest checkpoint of a run, found by its output folder, the folder of its checkpoints, or one of them. Throws as
/// latestCheckpoint().
CheckpointRecord findCheckpoint(const std::filesystem::path &folder);

/// A model with new weights from a folder with config.json, and tokenizer and template as openModel(): N(0, σ²) with
/// the family's initializer_range unless \a options say otherwise, norms one, biases zero. f32.
LoadedModel openUntrained(const std::string &argument, const RecoveryOptions &options, const ComputeSettings &settings);

/// A model of the shape of \a model, pruned or not, with new weights. f32, on the same device.
Model untrainedLike(const Model &model, const RecoveryOptions &options);

/// The samples as recover() sees them.
struct TrainingData {
    std::vector<TrainingSample> samples;
    std::int64_t dropped = 0; ///< longer than maxLength
    std::int64_t split = 0; ///< texts longer than maxLength that became several samples
    std::size_t shortest = 0; ///< tokens of the shortest one that was dropped
    std::size_t longest = 0; ///< tokens of the longest one, dropped ones included
    std::int64_t skipped = 0; ///< empty responses
    std::int64_t tokens = 0, scoredTokens = 0;
    std::string name, sha256;
};
TrainingData makeTrainingData(const std::string &source, const Tokenizer &tokenizer, const ChatTemplate *chatTemplate,
                              const RecoveryOptions &options);
/// The same from a file that has been read; \a path is named in errors.
TrainingData makeTrainingData(const Corpus &corpus, const std::filesystem::path &path, const Tokenizer &tokenizer,
                              const ChatTemplate *chatTemplate, const RecoveryOptions &options,
                              const JobContext &context = {});
/// Throws Error(InvalidArgument) when no sample is left, with one sentence for each reason.
void requireSamples(const TrainingData &data, int maxLength);

} // namespace secateur::workflow
