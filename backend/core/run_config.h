#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace secateur {

/// What runs where. \a dtype "auto" chooses bf16 only where it is faster on this CPU.
struct ComputeSettings {
    std::string device = "cpu"; ///< "cpu", "cuda", "cuda:1"
    std::string dtype = "auto"; ///< "auto", "f32", "bf16"
    int threads = 0; ///< 0: all cores
    std::string kernels = "own"; ///< "own", or "libtorch": its operators alone, as transformers calls them
};

struct GenerationOptions {
    int maxNewTokens = 256;
    bool ignoreEos = false;
    double temperature = 0; ///< 0: greedy
    double topP = 1;
    int topK = 0;
    double minP = 0; ///< drops tokens less likely than this share of the most likely one; 0: off
    std::uint64_t seed = 0;
    std::vector<std::string> stopStrings;
    std::vector<int> stopIds; ///< end a sequence like the model's own, also with ignoreEos
    bool stopLoops = true; ///< end a sequence once endsInLoop(); never with ignoreEos
};

/// Post-pruning training. Defaults are the study's LoRA, "all linears, r 8, alpha 16".
struct RecoveryOptions {
    std::string kind = "lora"; ///< "lora", "full", "distill" (against the dense parent), "scratch" (new weights)
    int rank = 8; ///< of the branches; 0 with "distill": all weights are trained
    double alpha = 16;
    double dropout = 0.05;
    bool rsLora = false;
    std::vector<std::string> targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
    std::map<std::string, int> rankPattern; ///< end of a module path ("0.self_attn.q_proj") → rank, in place of `rank`
    int steps = 100;
    int batchTokens = 2048; ///< tokens per optimiser step, packed without padding
    int maxLength = 1024; ///< longer samples are dropped or split and counted, never cut before the answer
    bool splitLong = false; ///< longer texts become several samples; conversations are dropped all the same
    double promptWeight = 0; ///< weight of tokens outside the answers in the loss, which count 1
    double heldOut = 0; ///< share of the samples that is measured, not trained on
    int heldOutEvery = 20; ///< steps between two measurements
    int patience = 0; ///< measurements without a new lowest loss that end the run; 0: never
    double distillWeight = 0.5; ///< of the divergence from the parent; the rest is cross entropy
    double temperature = 2; ///< of both distributions in the divergence
    std::string optimizer = "adamw"; ///< "adamw", or "muon" for block matrices with AdamW for the rest
    double muonRate = 0.006; ///< peak rate of Muon's part
    double learningRate = 2e-4;
    std::string schedule = "cosine"; ///< "cosine", "linear", "constant", "flat" (level, then linear)
    double warmupFraction = 0.1;
    double flatFraction = 0.3; ///< where "flat" begins to fall, as a share of the steps
    double finalShare = 0; ///< of the peak rate at the end of "cosine", "linear" and "flat"
    double weightDecay = 0.01;
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    double clipNorm = 1.0; ///< 0: no clipping
    bool autocast = false; ///< bf16 matrix products beside f32 weights
    bool recompute = false; ///< activations are computed again in the backward pass: less memory, more time
    double layerDrop = 0; ///< chance to leave out the last block of a batch, earlier ones in proportion; trains weights
    double layerDropFrom = 0; ///< share of the steps after which blocks are left out
    int checkpointSteps = 0; ///< a checkpoint after so many steps; 0: when the run is cancelled only
    double initEmbedding = 0; ///< "scratch": standard deviation of the embedding; 0: the family's
    double initGain = 0; ///< "scratch": matrices N(0, gain / √inputs); 0: the family's
    bool initZeroOutputs = false; ///< "scratch": o_proj and down_proj begin at zero
    std::uint64_t seed = 0;

    /// All weights are trained and the result is a model; otherwise branches, and the result is an adapter.
    bool trainsWeights() const { return kind == "full" || kind == "scratch" || (kind == "distill" && rank == 0); }
    bool operator==(const RecoveryOptions &) const = default;
};

/// The one list of what a recovery can be told: calls \a visit(name, value) for every option. Files use these names.
template <typename Options, typename Visit> void visitRecoveryOptions(Options &options, Visit &&visit)
{
    visit("kind", options.kind);
    visit("rank", options.rank);
    visit("alpha", options.alpha);
    visit("dropout", options.dropout);
    visit("rs_lora", options.rsLora);
    visit("targets", options.targets);
    visit("rank_pattern", options.rankPattern);
    visit("steps", options.steps);
    visit("batch_tokens", options.batchTokens);
    visit("max_length", options.maxLength);
    visit("split_long", options.splitLong);
    visit("prompt_weight", options.promptWeight);
    visit("held_out", options.heldOut);
    visit("held_out_every", options.heldOutEvery);
    visit("patience", options.patience);
    visit("distill_weight", options.distillWeight);
    visit("temperature", options.temperature);
    visit("optimizer", options.optimizer);
    visit("muon_rate", options.muonRate);
    visit("learning_rate", options.learningRate);
    visit("schedule", options.schedule);
    visit("warmup_fraction", options.warmupFraction);
    visit("flat_fraction", options.flatFraction);
    visit("final_share", options.finalShare);
    visit("weight_decay", options.weightDecay);
    visit("beta1", options.beta1);
    visit("beta2", options.beta2);
    visit("epsilon", options.epsilon);
    visit("clip_norm", options.clipNorm);
    visit("autocast", options.autocast);
    visit("recompute", options.recompute);
    visit("layer_drop", options.layerDrop);
    visit("layer_drop_from", options.layerDropFrom);
    visit("checkpoint_steps", options.checkpointSteps);
    visit("init_embedding", options.initEmbedding);
    visit("init_gain", options.initGain);
    visit("init_zero_outputs", options.initZeroOutputs);
    visit("seed", options.seed);
}

struct EvaluationOptions {
    std::vector<std::string> tasks; ///< ids, e.g. "piqa", "gsm8k"
    std::int64_t limit = 0; ///< 0: all rows; otherwise the first `limit` rows
    std::map<std::string, std::int64_t> limits = {}; ///< task → rows, in place of `limit`
    int maxNewTokens = 256; ///< cap for generation tasks
    bool chat = true; ///< generation tasks go through the chat template when the model has one
    std::uint64_t seed = 0;

    std::int64_t rowsOf(const std::string &task) const
    {
        const auto own = limits.find(task);
        return own == limits.end() ? limit : own->second;
    }
};

} // namespace secateur
