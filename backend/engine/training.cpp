#include "backend/engine/training.h"

#include "backend/engine/detail/guards.h"
#include "backend/engine/training/batch_gradient.h"
#include "backend/engine/training/lora.h"
#include "backend/engine/training/optimizer.h"
#include "backend/engine/training/sample_order.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <mutex>
#include <numbers>

namespace secateur {

namespace {

/// Activations of one backward pass; larger steps are split and their gradients added.
constexpr std::int64_t kMicroBatchTokens = 1024;

[[noreturn]] void trainingRefuse(const std::string &message, const std::string &hint = {})
{
    throw Error(ErrorKind::InvalidArgument, message, hint);
}

std::string trainingNumber(double value)
{
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

void trainingRequire(bool holds, const char *name, double value, const char *rule)
{
    if (!holds)
        trainingRefuse(std::string("The ") + name + " of a recovery must be " + rule + ", not " + trainingNumber(value)
                       + ".");
}

void trainingValidate(const RecoveryOptions &options)
{
    if (options.kind != "lora")
        trainingRefuse("The recovery kind '" + options.kind + "' is not known.", "Choose lora.");
    if (options.schedule != "cosine" && options.schedule != "linear" && options.schedule != "constant")
        trainingRefuse("The schedule '" + options.schedule + "' is not known.", "Choose cosine, linear or constant.");
    trainingRequire(options.rank >= 1, "rank", options.rank, "at least 1");
    trainingRequire(std::isfinite(options.alpha) && options.alpha > 0, "alpha", options.alpha, "above 0");
    trainingRequire(options.dropout >= 0 && options.dropout < 1, "dropout", options.dropout, "at least 0 and below 1");
    trainingRequire(options.steps >= 1, "number of steps", options.steps, "at least 1");
    trainingRequire(options.batchTokens >= 1, "batch tokens", options.batchTokens, "at least 1");
    trainingRequire(options.maxLength >= 2, "maximum length", options.maxLength, "at least 2");
    trainingRequire(std::isfinite(options.learningRate) && options.learningRate > 0, "learning rate",
                    options.learningRate, "above 0");
    trainingRequire(options.warmupFraction >= 0 && options.warmupFraction <= 1, "warm-up fraction",
                    options.warmupFraction, "between 0 and 1");
    trainingRequire(std::isfinite(options.weightDecay) && options.weightDecay >= 0, "weight decay", options.weightDecay,
                    "at least 0");
    trainingRequire(options.beta1 >= 0 && options.beta1 < 1, "beta 1", options.beta1, "at least 0 and below 1");
    trainingRequire(options.beta2 >= 0 && options.beta2 < 1, "beta 2", options.beta2, "at least 0 and below 1");
    trainingRequire(std::isfinite(options.epsilon) && options.epsilon > 0, "epsilon", options.epsilon, "above 0");
    trainingRequire(std::isfinite(options.clipNorm) && options.clipNorm >= 0, "gradient limit", options.clipNorm,
                    "at least 0");
}

/// The samples that can be trained on; \a dropped counts those that are too long or score nothing.
SampleRefs trainingSamples(const std::vector<TrainingSample> &samples, const RecoveryOptions &options,
                           const ModelConfig &config, std::int64_t &dropped)
{
    SampleRefs usable;
    const auto limit = static_cast<std::size_t>(
        config.maxPositions > 0 ? std::min(options.maxLength, config.maxPositions) : options.maxLength);
    for (std::size_t index = 0; index < samples.size(); ++index) {
        const TrainingSample &sample = samples[index];
        const std::string where = "Training sample " + std::to_string(index);
        if (sample.ids.size() != sample.lossMask.size())
            trainingRefuse(where + " has " + std::to_string(sample.ids.size()) + " tokens but a loss mask of "
                           + std::to_string(sample.lossMask.size()) + ".");
        for (const std::int32_t id : sample.ids) {
            if (id < 0 || id >= config.vocabSize)
                trainingRefuse(where + " holds token " + std::to_string(id) + ", outside the vocabulary of "
                                   + std::to_string(config.vocabSize) + ".",
                               "Use the tokenizer of this model.");
        }
        if (sample.ids.size() <= limit && scoredTokens(sample) > 0)
            usable.push_back(&sample);
    }
    dropped = static_cast<std::int64_t>(samples.size() - usable.size());
    if (usable.empty())
        trainingRefuse("None of the " + std::to_string(samples.size()) + " training samples has a scored token within "
                           + std::to_string(limit) + " tokens.",
                       "Use shorter samples or a larger maximum length.");
    return usable;
}

/// A uniform within ±1/√in (Kaiming uniform with a = √5, as PEFT), B zero; drawn on the CPU so that every device starts
/// from the same numbers.
LoraBranches trainingFreshBranches(const Model::Impl &base, const RecoveryOptions &options)
{
    for (const std::string &target : options.targets) {
        if (std::find(kLoraTargets.begin(), kLoraTargets.end(), target) == kLoraTargets.end())
            trainingRefuse("The model has no linear layers called '" + target + "'.",
                           "Choose from q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj and down_proj.");
    }
    LoraBranches branches;
    at::Generator generator = at::detail::createCPUGenerator(options.seed);
    for (std::size_t block = 0; block < base.blocks.size(); ++block) {
        for (const std::string_view target : kLoraTargets) {
            const Linear *linear = blockLinear(base.blocks[block], target);
            if (!linear || std::find(options.targets.begin(), options.targets.end(), target) == options.targets.end())
                continue;
            const std::int64_t in = linear->inputs();
            const double bound = 1 / std::sqrt(static_cast<double>(in));
            auto branch = std::make_shared<LoraBranch>();
            branch->a = at::empty({options.rank, in}, at::kFloat).uniform_(-bound, bound, generator).to(base.device());
            branch->b = at::zeros({linear->outputs(), options.rank},
                                  at::TensorOptions().dtype(at::kFloat).device(base.device()));
            branch->scaling = loraScaling(options.alpha, options.rank, options.rsLora);
            branches.emplace(loraModulePath(block, target), std::move(branch));
        }
    }
    if (branches.empty())
        trainingRefuse("No linear layer is chosen for training.", "Choose at least one target.");
    return branches;
}

LoraBranches trainingCopies(const LoraBranches &branches, const at::Device &device)
{
    LoraBranches copies;
    for (const auto &[path, branch] : branches) {
        auto copy = std::make_shared<LoraBranch>(*branch);
        copy->a = branch->a.detach().to(device, at::kFloat, false, true);
        copy->b = branch->b.detach().to(device, at::kFloat, false, true);
        copies.emplace(path, std::move(copy));
    }
    return copies;
}

/// Dropout draws from the device's global generator: seeds it, and puts it back.
class TrainingSeed {
public:
    TrainingSeed(const at::Device &device, std::uint64_t seed)
        : m_generator(at::globalContext().defaultGenerator(device))
    {
        const std::lock_guard lock(m_generator.mutex());
        m_state = m_generator.get_state();
        m_generator.set_current_seed(seed);
    }
    ~TrainingSeed()
    {
        const std::lock_guard lock(m_generator.mutex());
        m_generator.set_state(m_state);
    }
    TrainingSeed(const TrainingSeed &) = delete;
    TrainingSeed &operator=(const TrainingSeed &) = delete;

private:
    at::Generator m_generator;
    Tensor m_state;
};

/// Gradient mode for the body of a step, whatever the caller had.
class TrainingGradMode {
public:
    TrainingGradMode() : m_previous(c10::GradMode::is_enabled()) { c10::GradMode::set_enabled(true); }
    ~TrainingGradMode() { c10::GradMode::set_enabled(m_previous); }
    TrainingGradMode(const TrainingGradMode &) = delete;
    TrainingGradMode &operator=(const TrainingGradMode &) = delete;

private:
    bool m_previous;
};

/// Norm over all gradients; above \a limit they are scaled down to it (0: never).
double trainingClip(const std::vector<Tensor> &parameters, double limit)
{
    const NoGradScope scope;
    std::vector<Tensor> norms;
    for (const Tensor &parameter : parameters) {
        if (parameter.grad().defined())
            norms.push_back(at::linalg_vector_norm(parameter.grad()));
    }
    if (norms.empty())
        return 0;
    const double norm = at::linalg_vector_norm(at::stack(norms)).item<double>();
    const double scale = limit / (norm + 1e-6);
    if (limit > 0 && scale < 1) {
        for (const Tensor &parameter : parameters) {
            if (parameter.grad().defined())
                parameter.grad().mul_(scale);
        }
    }
    return norm;
}

void trainingRequireFinite(double value, const char *what, std::int64_t step, double rate)
{
    if (!std::isfinite(value))
        throw Error(ErrorKind::Numeric,
                    std::string("The ") + what + " is not finite at step " + std::to_string(step)
                        + " with a learning rate of " + trainingNumber(rate) + ".",
                    "Use a lower learning rate or a longer warm-up.");
}

double trainingSecondsSince(std::chrono::steady_clock::time_point start)
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// One run: the branches that are trained, and everything that a step needs.
class TrainingRun {
public:
    TrainingRun(const Model::Impl &base, LoraBranches branches, SampleRefs samples, const RecoveryOptions &options)
        : m_options(options), m_branches(std::move(branches)), m_order(std::move(samples), options.seed)
    {
        for (const auto &[path, branch] : m_branches) {
            branch->dropout = options.dropout;
            branch->a.requires_grad_(true);
            branch->b.requires_grad_(true);
            m_parameters.push_back(branch->a);
            m_parameters.push_back(branch->b);
        }
        m_model = attachBranches(base, m_branches);
        m_optimizer = std::make_unique<AdamWOptimizer>(m_parameters, options);
    }

    /// 0-based; the point of this step. Throws Cancelled before anything is changed.
    TrainingPoint step(std::int64_t step, std::int64_t tokensBefore, double secondsBefore, const JobContext &context)
    {
        const auto start = std::chrono::steady_clock::now();
        const SampleRefs batch = m_order.nextStep(m_options.batchTokens);
        std::int64_t scored = 0;
        m_tokens = 0;
        for (const TrainingSample *sample : batch) {
            scored += scoredTokens(*sample);
            m_tokens += static_cast<std::int64_t>(sample->ids.size());
        }
        TrainingPoint point;
        point.step = step + 1;
        point.learningRate = scheduledRate(m_options, step);
        double loss = 0;
        for (const SampleRefs &part : microBatches(batch, kMicroBatchTokens)) {
            context.checkpoint({"recover.step", step, m_options.steps,
                                secondsBefore > 0 ? static_cast<double>(tokensBefore) / secondsBefore : 0});
            const TrainingGradMode gradients;
            loss += accumulateGradients(*m_model, part, scored, true);
            trainingRequireFinite(loss, "loss", point.step, point.learningRate);
        }
        point.loss = loss / static_cast<double>(scored);
        point.gradientNorm = trainingClip(m_parameters, m_options.clipNorm);
        trainingRequireFinite(point.gradientNorm, "gradient", point.step, point.learningRate);
        m_optimizer->step(point.learningRate);
        const double seconds = trainingSecondsSince(start);
        point.tokensPerSecond = seconds > 0 ? static_cast<double>(m_tokens) / seconds : 0;
        return point;
    }

    std::int64_t tokensOfLastStep() const { return m_tokens; }

    std::shared_ptr<const Adapter> adapter(bool coversTargets) const
    {
        auto impl = std::make_shared<Adapter::Impl>();
        impl->options = m_options;
        impl->coversTargets = coversTargets;
        for (const auto &[path, branch] : m_branches) {
            auto copy = std::make_shared<LoraBranch>(*branch);
            copy->a = branch->a.detach();
            copy->b = branch->b.detach();
            impl->branches.emplace(path, std::move(copy));
        }
        return std::make_shared<const Adapter>(std::move(impl));
    }

private:
    RecoveryOptions m_options;
    LoraBranches m_branches;
    std::vector<Tensor> m_parameters;
    std::shared_ptr<const Model::Impl> m_model;
    SampleOrder m_order;
    std::unique_ptr<AdamWOptimizer> m_optimizer;
    std::int64_t m_tokens = 0;
};

TrainingResult trainingLoop(const Model &base, const std::vector<TrainingSample> &samples, RecoveryOptions options,
                            const JobContext &context, MetricFeed *feed, const Adapter *start)
{
    trainingValidate(options);
    TrainingResult result;
    SampleRefs usable = trainingSamples(samples, options, base.config(), result.droppedSamples);
    const Model::Impl &model = base.impl();
    bool covers = true;
    LoraBranches branches;
    if (start) {
        const RecoveryOptions &first = start->impl().options;
        options.rank = first.rank;
        options.alpha = first.alpha;
        options.rsLora = first.rsLora;
        options.targets = first.targets;
        covers = start->impl().coversTargets;
        branches = trainingCopies(start->impl().branches, model.device());
    } else {
        branches = trainingFreshBranches(model, options);
    }
    TrainingRun run(model, std::move(branches), std::move(usable), options);
    const TrainingSeed seed(model.device(), options.seed);
    const auto began = std::chrono::steady_clock::now();
    try {
        for (std::int64_t step = 0; step < options.steps; ++step) {
            const TrainingPoint point = run.step(step, result.tokens, result.seconds, context);
            result.tokens += run.tokensOfLastStep();
            result.seconds = trainingSecondsSince(began);
            result.points.push_back(point);
            if (feed)
                feed->append(point);
        }
        context.checkpoint({"recover.step", options.steps, options.steps,
                            static_cast<double>(result.tokens) / std::max(result.seconds, 1e-9)});
    } catch (const Cancelled &) {
        result.cancelled = static_cast<int>(result.points.size()) < options.steps;
    }
    result.adapter = run.adapter(covers);
    return result;
}

} // namespace

TrainingResult trainLora(const Model &base, const std::vector<TrainingSample> &samples, const RecoveryOptions &options,
                         const JobContext &context, MetricFeed *feed, const Adapter *start)
{
    try {
        return withoutGradients([&] { return trainingLoop(base, samples, options, context, feed, start); });
    } catch (const Error &error) {
        if (error.kind() != ErrorKind::OutOfMemory)
            throw;
        ErrorInfo info = error.info();
        info.message
            = "There is not enough memory for a training step of " + std::to_string(options.batchTokens) + " tokens.";
        info.hint = "Halve the batch tokens to " + std::to_string(std::max(options.batchTokens / 2, 1))
            + " or leave out long samples.";
        throw Error(std::move(info));
    }
}

double scheduledRate(const RecoveryOptions &options, std::int64_t step)
{
    const auto steps = static_cast<double>(std::max(options.steps, 1));
    const double warmup = std::ceil(options.warmupFraction * steps);
    const auto now = static_cast<double>(step);
    if (now < warmup)
        return options.learningRate * (now + 1) / warmup; // the first step already moves
    const double progress = steps > warmup ? std::min((now - warmup) / (steps - warmup), 1.0) : 1;
    if (options.schedule == "cosine")
        return options.learningRate * (1 + std::cos(std::numbers::pi * progress)) / 2;
    if (options.schedule == "linear")
        return options.learningRate * (1 - progress);
    return options.learningRate;
}

} // namespace secateur
