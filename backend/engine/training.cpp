#include "backend/engine/training.h"

#include "backend/core/seeded_random.h"
#include "backend/engine/detail/guards.h"
#include "backend/engine/training/batch_gradient.h"
#include "backend/engine/training/checkpoint.h"
#include "backend/engine/training/optimizer.h"
#include "backend/engine/training/random_state.h"
#include "backend/engine/training/run_checks.h"
#include "backend/engine/training/sample_order.h"
#include "backend/engine/training/trained_model.h"
#include "backend/engine/training/training_share.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <numbers>
#include <utility>

namespace secateur {

namespace {

/// Activations of one backward pass; larger steps are split and their gradients added.
constexpr std::int64_t kMicroBatchTokens = 1024;

std::string trainingNumber(double value)
{
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

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
double trainingClip(const std::vector<TrainedTensor> &tensors, double limit)
{
    const NoGradScope scope;
    std::vector<Tensor> norms;
    for (const TrainedTensor &tensor : tensors) {
        if (tensor.value.grad().defined())
            norms.push_back(at::linalg_vector_norm(tensor.value.grad()));
    }
    if (norms.empty())
        return 0;
    const double norm = at::linalg_vector_norm(at::stack(norms)).item<double>();
    const double scale = limit / (norm + 1e-6);
    if (limit > 0 && scale < 1) {
        for (const TrainedTensor &tensor : tensors) {
            if (tensor.value.grad().defined())
                tensor.value.grad().mul_(scale);
        }
    }
    return norm;
}

/// bf16 matrix products while it lives; the cast weights are not kept, they change with every step.
class TrainingAutocast {
public:
    TrainingAutocast(const at::Device &device, bool wanted)
        : m_type(device.type()),
          m_previous(at::autocast::is_autocast_enabled(m_type)),
          m_dtype(at::autocast::get_autocast_dtype(m_type)),
          m_cache(at::autocast::is_autocast_cache_enabled())
    {
        at::autocast::set_autocast_enabled(m_type, wanted);
        at::autocast::set_autocast_dtype(m_type, at::kBFloat16);
        at::autocast::set_autocast_cache_enabled(false);
    }
    ~TrainingAutocast()
    {
        at::autocast::set_autocast_enabled(m_type, m_previous);
        at::autocast::set_autocast_dtype(m_type, m_dtype);
        at::autocast::set_autocast_cache_enabled(m_cache);
    }
    TrainingAutocast(const TrainingAutocast &) = delete;
    TrainingAutocast &operator=(const TrainingAutocast &) = delete;

private:
    at::DeviceType m_type;
    bool m_previous;
    at::ScalarType m_dtype;
    bool m_cache;
};

void trainingRequireFinite(double value, const char *what, std::int64_t step, double rate)
{
    if (!std::isfinite(value))
        throw Error(ErrorKind::Numeric,
                    std::string("The ") + what + " is not finite at step " + std::to_string(step)
                        + " with a learning rate of " + trainingNumber(rate) + ".",
                    "Use a lower learning rate or a longer warm-up.");
}

/// LayerDrop (Fan et al. 2020) with stochastic depth's linear rule (Huang et al. 2016): \a model without the blocks
/// that this batch leaves out. Which ones follows from seed, step and part alone, so that a resumed run goes the same
/// way.
Model::Impl trainingShallower(const Model::Impl &model, const RecoveryOptions &options, std::int64_t step,
                              std::int64_t part)
{
    SeededRandom random(options.seed ^ (static_cast<std::uint64_t>(step) << 20) ^ static_cast<std::uint64_t>(part));
    Model::Impl shallower = model;
    shallower.blocks.clear();
    const auto last = static_cast<double>(model.blocks.size()) - 1;
    for (std::size_t index = 0; index < model.blocks.size(); ++index) {
        const double chance = last > 0 ? options.layerDrop * static_cast<double>(index) / last : 0;
        constexpr std::uint64_t kMillion = 1'000'000;
        if (random.below(kMillion) >= static_cast<std::uint64_t>(chance * static_cast<double>(kMillion)))
            shallower.blocks.push_back(model.blocks[index]);
    }
    return shallower;
}

/// Of the random numbers that process \a rank draws in a step; all bits are mixed, some generators look at 32 of them.
std::uint64_t trainingSeed(std::uint64_t seed, int rank, std::int64_t step)
{
    SeededRandom ofStep(seed ^ (static_cast<std::uint64_t>(step) << 20));
    SeededRandom ofRank(ofStep.next() ^ static_cast<std::uint64_t>(rank));
    return ofRank.next();
}

double trainingSecondsSince(std::chrono::steady_clock::time_point start)
{
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Several processes stop together, after a step: inside one nobody does.
JobContext trainingUnstopped(const JobContext &outer)
{
    const auto report = [&outer](const Progress &progress) {
        try {
            outer.checkpoint(progress);
        } catch (const Cancelled &) { // NOLINT(bugprone-empty-catch): asked for again at the end of the step
        }
    };
    return {{}, report};
}

/// One run: the tensors that are trained, and everything that a step needs.
class TrainingRun {
public:
    TrainingRun(TrainedModel trained, UsableSamples samples, const RecoveryOptions &options,
                const TrainingInputs &inputs)
        : m_options(options),
          m_inputs(inputs),
          m_trained(std::move(trained)),
          m_samples(std::move(samples)),
          m_order(m_samples.trained, options.seed),
          m_optimizer(m_trained.tensors, options),
          m_share(inputs.group)
    {
        m_terms.recompute = options.recompute;
        if (inputs.parent && options.kind == "distill") {
            m_terms.parent = &inputs.parent->impl();
            m_terms.distillWeight = options.distillWeight;
            m_terms.temperature = options.temperature;
        }
        if (!inputs.checkpoints.empty())
            m_random = randomState(device());
    }

    /// Throws when the processes of the run do not do the same.
    void requireSame(std::int64_t step) const
    {
        SampleRefs samples = m_samples.trained;
        samples.insert(samples.end(), m_samples.heldOut.begin(), m_samples.heldOut.end());
        m_share.requireSameRun(m_options, samples, step);
        requireSameWeights(step);
    }
    void requireSameWeights(std::int64_t step) const { m_share.requireSameWeights(m_trained.tensors, step); }

    /// One of the processes was asked to stop.
    bool stopIsAgreed() const { return m_stops; }

    const at::Device device() const { return m_trained.model->device(); }
    const TrainedModel &trained() const { return m_trained; }

    /// Goes behind \a record: weights, optimiser, random numbers, and the samples of its steps are over.
    void resume(const CheckpointRecord &record)
    {
        const auto refuse = [&](const std::string &what) {
            throw Error(ErrorKind::InvalidArgument,
                        "The checkpoint " + record.folder.string() + " belongs to a run with " + what + ".",
                        "Resume with the data and options that the run was started with.");
        };
        if (record.samples != m_samples.size())
            refuse(std::to_string(record.samples) + " samples, not " + std::to_string(m_samples.size()));
        if (record.options != m_options)
            refuse("other options");
        m_random = readCheckpoint(record, m_trained, m_optimizer);
        setRandomState(device(), m_random);
        for (std::int64_t step = 0; step < record.step; ++step)
            m_order.nextStep(m_options.batchTokens);
    }

    /// 0-based; the point of this step. Throws Cancelled before anything is changed.
    TrainingPoint step(std::int64_t step, double tokensPerSecond, const JobContext &context)
    {
        const auto start = std::chrono::steady_clock::now();
        const SampleRefs batch = m_order.nextStep(m_options.batchTokens);
        double weight = 0;
        m_tokens = 0;
        for (const TrainingSample *sample : batch) {
            weight += scoredWeight(*sample);
            m_tokens += static_cast<std::int64_t>(sample->ids.size());
        }
        TrainingPoint point;
        point.step = step + 1;
        point.learningRate = scheduledRate(m_options, step);
        LossTerms terms = m_terms;
        terms.training = true;
        double loss = 0;
        const bool drops = m_options.layerDrop > 0
            && static_cast<double>(step) >= m_options.layerDropFrom * static_cast<double>(m_options.steps);
        // rank 0 draws on from the state that checkpoints hold, the others begin each step anew
        if (m_share.rank() > 0)
            seedRandomNumbers(device(), trainingSeed(m_options.seed, m_share.rank(), step));
        const JobContext inside = insideOf(context);
        const auto parts = microBatches(batch, kMicroBatchTokens);
        for (const BatchPiece &piece : m_share.pieces(parts, kMicroBatchTokens, drops)) {
            inside.checkpoint({"recover.step", step, m_options.steps, tokensPerSecond});
            const TrainingGradMode gradients;
            const TrainingAutocast autocast(device(), m_options.autocast);
            const Model::Impl &model = *m_trained.model;
            loss += drops ? accumulateGradients(trainingShallower(model, m_options, step, piece.part), piece.samples,
                                                weight, terms)
                          : accumulateGradients(model, piece.samples, weight, terms);
        }
        std::vector<double> sums = {loss, m_share.isShared() && context.stopRequested() ? 1.0 : 0.0};
        m_share.sum(sums);
        loss = sums[0];
        m_stops = sums[1] > 0;
        trainingRequireFinite(loss, "loss", point.step, point.learningRate);
        m_share.sumGradients(m_trained.tensors);
        point.loss = loss / weight;
        point.gradientNorm = trainingClip(m_trained.tensors, m_options.clipNorm);
        trainingRequireFinite(point.gradientNorm, "gradient", point.step, point.learningRate);
        m_optimizer.step(point.learningRate);
        if (!m_inputs.checkpoints.empty())
            m_random = randomState(device());
        const double seconds = trainingSecondsSince(start);
        point.tokensPerSecond = seconds > 0 ? static_cast<double>(m_tokens) / seconds : 0;
        return point;
    }

    std::int64_t tokensOfLastStep() const { return m_tokens; }

    double heldOutLoss(std::int64_t step, const JobContext &context) const
    {
        std::vector<double> sums = {0, 0}; // loss, weight
        const JobContext inside = insideOf(context);
        const auto parts = microBatches(m_samples.heldOut, kMicroBatchTokens);
        for (const BatchPiece &piece : m_share.pieces(parts, kMicroBatchTokens, false)) {
            inside.checkpoint({"recover.step", step, m_options.steps, 0});
            const TrainingAutocast autocast(device(), m_options.autocast);
            sums[0] += accumulateGradients(*m_trained.model, piece.samples, 1, m_terms);
            for (const TrainingSample *sample : piece.samples)
                sums[1] += scoredWeight(*sample);
        }
        m_share.sum(sums);
        return sums[0] / sums[1];
    }

    void writeCheckpointOf(const TrainingResult &result)
    {
        CheckpointRecord record;
        record.options = m_options;
        record.step = static_cast<std::int64_t>(result.points.size());
        record.tokens = result.tokens;
        record.samples = m_samples.size();
        record.points = result.points;
        record.heldOut = result.heldOut;
        record.origin = m_inputs.origin;
        writeCheckpoint(m_inputs.checkpoints, record, m_trained, m_optimizer, m_random);
    }

private:
    JobContext insideOf(const JobContext &context) const
    {
        return m_share.isShared() ? trainingUnstopped(context) : context;
    }

    RecoveryOptions m_options;
    const TrainingInputs &m_inputs;
    TrainedModel m_trained;
    UsableSamples m_samples;
    SampleOrder m_order;
    Optimizer m_optimizer;
    TrainingShare m_share;
    bool m_stops = false;
    LossTerms m_terms;
    Tensor m_random; ///< in front of the next step
    std::int64_t m_tokens = 0;
};

/// true when the lowest of the held-out losses is \a patience measurements old.
bool trainingIsOver(const std::vector<HeldOutPoint> &points, int patience)
{
    const auto lowest = std::min_element(points.begin(), points.end(),
                                         [](const HeldOutPoint &a, const HeldOutPoint &b) { return a.loss < b.loss; });
    return patience > 0 && lowest != points.end() && points.end() - lowest > patience;
}

/// The steps of a run that are not done yet. Throws Cancelled between two of them.
void trainingSteps(TrainingRun &run, const RecoveryOptions &options, const TrainingInputs &inputs,
                   const JobContext &context, TrainingResult &result)
{
    const auto began = std::chrono::steady_clock::now();
    const std::int64_t tokensBefore = result.tokens;
    const auto rate
        = [&] { return result.seconds > 0 ? static_cast<double>(result.tokens - tokensBefore) / result.seconds : 0; };
    const auto measure = [&](std::int64_t step) {
        if (result.heldOutSamples == 0 || (!result.heldOut.empty() && result.heldOut.back().step >= step))
            return;
        result.heldOut.push_back({step, run.heldOutLoss(step, context)});
        if (inputs.feed)
            inputs.feed->append(result.heldOut.back());
    };
    // measured in front of a step, so that a run that goes on behind a checkpoint measures what is missing
    for (auto step = static_cast<std::int64_t>(result.points.size()); step < options.steps; ++step) {
        if (run.stopIsAgreed())
            throw Cancelled{};
        if (step % options.heldOutEvery == 0)
            measure(step);
        result.stoppedEarly = trainingIsOver(result.heldOut, options.patience);
        if (result.stoppedEarly)
            return;
        const TrainingPoint point = run.step(step, rate(), context);
        result.tokens += run.tokensOfLastStep();
        result.seconds = trainingSecondsSince(began);
        result.points.push_back(point);
        if (inputs.feed)
            inputs.feed->append(point);
        const bool isDue = options.checkpointSteps > 0 && (step + 1) % options.checkpointSteps == 0;
        if (isDue || step + 1 == options.steps)
            run.requireSameWeights(step + 1);
        if (isDue && !inputs.checkpoints.empty())
            run.writeCheckpointOf(result);
    }
    measure(options.steps);
    if (inputs.group)
        return; // whoever asks one process to stop now must not part them
    context.checkpoint({"recover.step", options.steps, options.steps, rate()});
}

TrainingResult trainingLoop(const Model &base, const std::vector<TrainingSample> &samples,
                            const RecoveryOptions &options, const JobContext &context, const TrainingInputs &inputs)
{
    checkRecoveryOptions(options);
    if (options.kind == "distill")
        checkParent(base.impl(), inputs.parent);
    TrainingResult result;
    UsableSamples usable = usableSamples(samples, options, base.config());
    result.droppedSamples = usable.dropped;
    result.heldOutSamples = static_cast<std::int64_t>(usable.heldOut.size());
    TrainingRun run(options.trainsWeights() ? trainedWeights(base.impl(), options)
                                            : trainedBranches(base.impl(), options, inputs.start),
                    std::move(usable), options, inputs);
    const RandomSeedScope seed(run.device(), options.seed);
    if (inputs.resume) {
        run.resume(*inputs.resume);
        result.points = inputs.resume->points;
        result.heldOut = inputs.resume->heldOut;
        result.tokens = inputs.resume->tokens;
        for (const TrainingPoint &point : result.points) {
            if (inputs.feed)
                inputs.feed->append(point);
        }
        for (const HeldOutPoint &point : result.heldOut) {
            if (inputs.feed)
                inputs.feed->append(point);
        }
    }
    run.requireSame(static_cast<std::int64_t>(result.points.size()));
    try {
        trainingSteps(run, options, inputs, context, result);
    } catch (const Cancelled &) {
        result.cancelled = static_cast<int>(result.points.size()) < options.steps;
        if (result.cancelled && !inputs.checkpoints.empty())
            run.writeCheckpointOf(result);
    }
    if (options.trainsWeights())
        result.model = std::make_shared<const Model>(run.trained().weights());
    else
        result.adapter = run.trained().adapter();
    return result;
}

} // namespace

TrainingResult train(const Model &base, const std::vector<TrainingSample> &samples, const RecoveryOptions &options,
                     const JobContext &context, const TrainingInputs &inputs)
{
    try {
        return withoutGradients([&] { return trainingLoop(base, samples, options, context, inputs); });
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
    const bool isFlat = options.schedule == "flat";
    const double begin = isFlat ? std::max(warmup, options.flatFraction * steps) : warmup;
    const double progress = steps > begin ? std::clamp((now - begin) / (steps - begin), 0.0, 1.0) : 1;
    double share = 1;
    if (options.schedule == "cosine")
        share = (1 + std::cos(std::numbers::pi * progress)) / 2;
    else if (isFlat || options.schedule == "linear")
        share = 1 - progress;
    else
        return options.learningRate;
    return options.learningRate * (options.finalShare + (1 - options.finalShare) * share);
}

} // namespace secateur
