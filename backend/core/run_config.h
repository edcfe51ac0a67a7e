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

/// LoRA recovery. Defaults are the study's "all linears, r 8, alpha 16".
struct RecoveryOptions {
    std::string kind = "lora";
    int rank = 8;
    double alpha = 16;
    double dropout = 0.05;
    bool rsLora = false;
    std::vector<std::string> targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
    int steps = 100;
    int batchTokens = 2048; ///< tokens per optimiser step, packed without padding
    int maxLength = 1024; ///< longer samples are dropped and counted, never cut before the answer
    double learningRate = 2e-4;
    std::string schedule = "cosine"; ///< "cosine", "linear", "constant"
    double warmupFraction = 0.1;
    double weightDecay = 0.01;
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
    double clipNorm = 1.0; ///< 0: no clipping
    std::uint64_t seed = 0;
    bool operator==(const RecoveryOptions &) const = default;
};

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
