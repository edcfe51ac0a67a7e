#include "backend/engine/detail/tensor.h" // LibTorch before the rest

#include "backend/engine/analysis.h"
#include "backend/engine/compute_device.h"
#include "backend/engine/forward.h"
#include "backend/engine/generation.h"
#include "backend/engine/training.h"
#include "backend/io/weight_files.h"

#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <CLI/CLI.hpp>
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <set>

// One sub-command per kind of work. Each repeats the work, prints one JSON document with the rate, what the machine
// could reach at most, and a fingerprint of the results, by which a peer proves that it did the same.

using namespace secateur;
using Json = nlohmann::ordered_json;

namespace {

struct BenchArguments {
    std::string model, input;
    std::string dtype = "f32";
    int threads = 0;
    std::string kernels = "own";
    int runs = 3;
    int tokens = 64;
    int batch = 32;
    int steps = 4;
};

double wallSeconds()
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Processor time of all threads: what a busy machine does not change much.
double processorSeconds()
{
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval &value) {
        return static_cast<double>(value.tv_sec) + 1e-6 * static_cast<double>(value.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Json readInput(const std::string &path)
{
    std::ifstream file(path);
    if (!file)
        throw Error(ErrorKind::NotFound, "There is no file \"" + path + "\".");
    return Json::parse(file);
}

std::vector<TokenIds> readSequences(const std::string &path)
{
    return readInput(path).at("sequences").get<std::vector<TokenIds>>();
}

ComputeSettings settingsOf(const BenchArguments &arguments)
{
    ComputeSettings settings;
    settings.dtype = arguments.dtype;
    settings.threads = arguments.threads;
    settings.kernels = arguments.kernels;
    return settings;
}

/// Repeats \a work, which says how many units it did in how many seconds, and describes the rates.
Json measure(const BenchArguments &arguments, const char *work, const char *unit,
             const std::function<std::pair<double, double>()> &once)
{
    std::vector<double> rates;
    std::vector<double> processorRates;
    for (int run = 0; run < arguments.runs; ++run) {
        const double before = processorSeconds();
        const auto [units, seconds] = once();
        rates.push_back(units / seconds);
        processorRates.push_back(units / std::max(processorSeconds() - before, 1e-9));
    }
    std::vector<double> sorted = rates;
    std::sort(sorted.begin(), sorted.end());
    std::sort(processorRates.begin(), processorRates.end());
    return {{"work", work},
            {"program", "secateur"},
            {"unit", unit},
            {"threads", at::get_num_threads()},
            {"dtype", arguments.dtype},
            {"median", sorted[sorted.size() / 2]},
            {"min", sorted.front()},
            {"max", sorted.back()},
            {"n", rates.size()},
            {"per_processor_second", processorRates[processorRates.size() / 2]}};
}

/// What LibTorch's plain matrix product reaches at the shape of an MLP, FLOP/s.
double productLimit(const Model &model, std::int64_t rows)
{
    const c10::AutoGradMode off(false);
    const at::ScalarType dtype = model.dtype() == "bf16" ? at::kBFloat16 : at::kFloat;
    const std::int64_t in = model.config().hiddenSize;
    const std::int64_t out = std::max(1, model.config().blocks.front().intermediateSize);
    const Tensor x = at::randn({rows, in}).to(dtype);
    const Tensor w = at::randn({in, out}).to(dtype);
    double best = 1e9;
    for (int i = 0; i < 20; ++i) {
        const double start = wallSeconds();
        at::mm(x, w);
        best = std::min(best, wallSeconds() - start);
    }
    return 2.0 * static_cast<double>(rows * in * out) / best;
}

/// As fast as the machine reads: with wide registers where it has them, or the read itself would be the limit.
__attribute__((target_clones("avx2", "default"), optimize("O3"))) std::uint32_t sumOfWords(const std::uint32_t *words,
                                                                                           std::int64_t count)
{
    std::uint32_t sum = 0;
    for (std::int64_t w = 0; w < count; ++w)
        sum += words[w];
    return sum;
}

/// What a plain read of memory reaches with all threads, bytes per second.
double readLimit()
{
    constexpr std::int64_t kWords = 64 << 20; // 256 MB: beyond the caches
    const std::vector<std::uint32_t> words(static_cast<std::size_t>(kWords), 1);
    double best = 1e9;
    std::uint32_t seen = 0;
    for (int i = 0; i < 8; ++i) {
        const double start = wallSeconds();
        std::atomic<std::uint32_t> total{0};
        at::parallel_for(0, kWords, kWords / at::get_num_threads(), [&](std::int64_t first, std::int64_t last) {
            total += sumOfWords(words.data() + first, last - first);
        });
        best = std::min(best, wallSeconds() - start);
        seen += total;
    }
    return seen == 0 ? 0 : static_cast<double>(kWords) * 4 / best;
}

double blockParameters(const Model &model)
{
    const ModelConfig &config = model.config();
    const auto table = static_cast<double>(config.vocabSize) * config.hiddenSize;
    return static_cast<double>(model.parameters()) - table * (config.tiedEmbeddings ? 1 : 2);
}

double headParameters(const Model &model)
{
    return static_cast<double>(model.config().vocabSize) * model.config().hiddenSize;
}

Model openBenchModel(const BenchArguments &arguments)
{
    applyComputeSettings(settingsOf(arguments));
    return loadModel(inspectModel(arguments.model), settingsOf(arguments));
}

Json benchSweep(const BenchArguments &arguments)
{
    const Model model = openBenchModel(arguments);
    AnalysisRequest request;
    request.calibration.sequences = readSequences(arguments.input);
    request.maps = {"block_cosine", "block_influence", "head_importance", "ffn_importance"};
    double tokens = 0;
    for (const TokenIds &sequence : request.calibration.sequences)
        tokens += static_cast<double>(sequence.size());
    AnalysisResult result;
    Json json = measure(arguments, "sweep", "tokens/s", [&] {
        const double start = wallSeconds();
        result = analyze(model, request);
        return std::pair{tokens, wallSeconds() - start};
    });
    json["peak_mib"] = static_cast<double>(memoryUse().peak) / 1048576;
    const double limit = productLimit(model, 2048);
    const double reached = json["max"].get<double>() * 2 * blockParameters(model);
    json["limit"] = {{"plain_product_flops", limit}, {"share", reached / limit}};
    const MetricMapPtr influence = result.find("block_influence");
    const MetricMapPtr channels = result.find("ffn_importance", "activation_weight");
    Json sums = Json::array(); // per block, over its channels
    for (std::int64_t row = 0; row < channels->rows; ++row) {
        double sum = 0;
        for (std::int64_t c = 0; c < channels->columns; ++c)
            sum += std::isnan(channels->at(row, c)) ? 0 : channels->at(row, c);
        sums.push_back(sum);
    }
    json["fingerprint"] = {{"influence", influence->values}, {"channels", sums}};
    return json;
}

Json benchLoglik(const BenchArguments &arguments)
{
    const Model model = openBenchModel(arguments);
    const Json items = readInput(arguments.input).at("items");
    std::vector<ScoringItem> work;
    for (const Json &item : items)
        work.push_back({item.at("context").get<TokenIds>(), item.at("continuations").get<std::vector<TokenIds>>()});
    Json logprobs;
    Json json = measure(arguments, "loglik", "items/s", [&] {
        logprobs = Json::array();
        const double start = wallSeconds();
        for (const std::vector<ContinuationScore> &scores : scoreContinuations(model, work)) {
            Json row = Json::array();
            for (const ContinuationScore &score : scores)
                row.push_back(score.logprob);
            logprobs.push_back(std::move(row));
        }
        return std::pair{static_cast<double>(work.size()), wallSeconds() - start};
    });
    std::set<TokenIds> rows, scored; // each text in front of a token once: less cannot be computed
    for (const ScoringItem &item : work) {
        for (const TokenIds &continuation : item.continuations) {
            TokenIds text;
            for (const std::int32_t id : item.context)
                rows.insert((text.push_back(id), text));
            for (std::size_t i = 0; i < continuation.size(); ++i) {
                scored.insert(text);
                rows.insert(text);
                text.push_back(continuation[i]);
            }
        }
    }
    const double flops = 2 * static_cast<double>(rows.size()) * blockParameters(model)
        + 2 * static_cast<double>(scored.size()) * headParameters(model);
    const double limit = productLimit(model, 1024);
    const double reached = json["max"].get<double>() * flops / static_cast<double>(work.size());
    json["limit"] = {{"plain_product_flops", limit}, {"share", reached / limit}};
    json["fingerprint"] = {{"logprobs", logprobs}};
    return json;
}

Json benchGeneration(const BenchArguments &arguments, bool isBatch)
{
    const Model model = openBenchModel(arguments);
    GenerationRequest request;
    request.prompts = readSequences(arguments.input);
    if (!isBatch)
        request.prompts.resize(1);
    request.options.maxNewTokens = arguments.tokens;
    request.options.ignoreEos = !isBatch;
    request.batch = isBatch ? arguments.batch : 1;
    GenerationResult result;
    Json json = measure(arguments, isBatch ? "batch" : "decode", "tokens/s", [&] {
        const double start = wallSeconds();
        result = generate(model, request, nullptr);
        const double seconds = wallSeconds() - start;
        double tokens = 0;
        for (const GeneratedSequence &sequence : result.sequences)
            tokens += static_cast<double>(sequence.ids.size()) + (sequence.finish == "stop" ? 1 : 0);
        // one sequence: decoding alone, as long prompts would hide it
        return isBatch ? std::pair{tokens, seconds}
                       : std::pair{static_cast<double>(result.decodeTokens), result.decodeSeconds};
    });
    if (!isBatch) {
        const double bytes = (blockParameters(model) + headParameters(model)) * (model.dtype() == "bf16" ? 2 : 4);
        const double limit = readLimit();
        json["limit"] = {{"plain_read_bytes_per_s", limit}, {"share", json["max"].get<double>() * bytes / limit}};
    } else {
        json["prefill_tokens_per_s"] = static_cast<double>(result.prefillTokens) / result.prefillSeconds;
        json["decode_tokens_per_s"] = static_cast<double>(result.decodeTokens) / result.decodeSeconds;
        const double flops = 2
            * (static_cast<double>(result.prefillTokens + result.decodeTokens) * blockParameters(model)
               + static_cast<double>(result.decodeTokens) * headParameters(model));
        const double limit = productLimit(model, 1024);
        const double reached = flops / (result.prefillSeconds + result.decodeSeconds);
        json["limit"] = {{"plain_product_flops", limit}, {"share", reached / limit}};
    }
    Json ids = Json::array();
    for (const GeneratedSequence &sequence : result.sequences)
        ids.push_back(sequence.ids);
    json["fingerprint"] = {{"ids", ids}};
    return json;
}

/// LoRA r 8 on all linears; every step takes all sequences, so that the order of samples plays no part.
Json benchLora(const BenchArguments &arguments)
{
    const Model model = openBenchModel(arguments);
    std::vector<TrainingSample> samples;
    int tokens = 0;
    for (const TokenIds &ids : readSequences(arguments.input)) {
        samples.push_back({ids, std::vector<std::uint8_t>(ids.size(), 1)});
        tokens += static_cast<int>(ids.size());
    }
    RecoveryOptions options;
    options.dropout = 0;
    options.weightDecay = 0;
    options.schedule = "constant";
    options.warmupFraction = 0;
    options.steps = arguments.steps;
    options.batchTokens = tokens;
    TrainingResult result;
    Json json = measure(arguments, "lora", "tokens/s", [&] {
        const double start = wallSeconds();
        result = train(model, samples, options);
        return std::pair{static_cast<double>(tokens) * options.steps, wallSeconds() - start};
    });
    json["peak_mib"] = static_cast<double>(memoryUse().peak) / 1048576;
    const double limit = productLimit(model, tokens);
    const double reached = json["max"].get<double>() * 4 * (blockParameters(model) + headParameters(model));
    json["limit"] = {{"plain_product_flops", limit}, {"share", reached / limit}};
    Json losses = Json::array();
    for (const TrainingPoint &point : result.points)
        losses.push_back(point.loss);
    json["fingerprint"] = {{"losses", losses}};
    return json;
}

Json benchOpen(const BenchArguments &arguments)
{
    std::size_t tensors = 0;
    Json json = measure(arguments, "open", "folders/s", [&] {
        const double start = wallSeconds();
        tensors = inspectModel(arguments.model).tensors.size();
        return std::pair{1.0, wallSeconds() - start};
    });
    json["fingerprint"] = {{"tensors", tensors}};
    return json;
}

} // namespace

int main(int argc, char **argv)
{
    CLI::App app("Rates of Secateur's work, as JSON; see tests/bench/README.md.");
    BenchArguments arguments;
    app.require_subcommand(1);
    app.add_option("--dtype", arguments.dtype, "f32 or bf16");
    app.add_option("--threads", arguments.threads, "0: all cores");
    app.add_option("--kernels", arguments.kernels, "own or libtorch");
    app.add_option("--runs", arguments.runs, "repetitions")->check(CLI::PositiveNumber);
    app.add_option("--tokens", arguments.tokens, "new tokens at most")->check(CLI::PositiveNumber);
    app.add_option("--batch", arguments.batch, "sequences decoded together")->check(CLI::PositiveNumber);
    app.add_option("--steps", arguments.steps, "of training")->check(CLI::PositiveNumber);
    app.fallthrough();
    Json result;
    const auto add = [&](const char *name, const char *help, bool hasInput, const std::function<Json()> &run) {
        CLI::App *command = app.add_subcommand(name, help);
        command->add_option("MODEL", arguments.model, "Hugging Face folder or GGUF file")->required();
        if (hasInput)
            command->add_option("INPUT", arguments.input, "JSON")->required();
        command->callback([&result, run] { result = run(); });
    };
    add("sweep", "calibration sweep over {sequences}", true, [&] { return benchSweep(arguments); });
    add("loglik", "log-likelihood of {items: [{context, continuations}]}", true,
        [&] { return benchLoglik(arguments); });
    add("decode", "greedy decoding after the first of {sequences}", true,
        [&] { return benchGeneration(arguments, false); });
    add("batch", "greedy decoding of all {sequences} until they stop", true,
        [&] { return benchGeneration(arguments, true); });
    add("lora", "training of branches, all {sequences} in every step", true, [&] { return benchLora(arguments); });
    add("open", "headers of a folder", false, [&] { return benchOpen(arguments); });
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        return app.exit(error);
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
    std::cout << result.dump() << "\n";
    return 0;
}
