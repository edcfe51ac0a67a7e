#include "backend/engine/training/batch_gradient.h"

#include "backend/engine/detail/guards.h"
#include "backend/engine/training/recomputed_forward.h"

#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace secateur {

namespace {

constexpr std::int64_t kLogitSliceBytes = 64 << 20;

/// Rows of the packed hidden states that predict a scored token, those tokens and their weights.
struct ScoredRows {
    Tensor rows; ///< [N] int64
    Tensor targets; ///< [N] int64
    Tensor weights; ///< [N] f32
};

ScoredRows gradientRows(const SampleRefs &samples, std::int64_t count, const at::Device &device)
{
    ScoredRows scored{at::empty({count}, at::kLong), at::empty({count}, at::kLong), at::empty({count}, at::kFloat)};
    std::int64_t *row = scored.rows.mutable_data_ptr<std::int64_t>();
    std::int64_t *target = scored.targets.mutable_data_ptr<std::int64_t>();
    float *weight = scored.weights.mutable_data_ptr<float>();
    std::int64_t offset = 0;
    for (const TrainingSample *sample : samples) {
        for (std::size_t t = 1; t < sample->ids.size(); ++t) {
            if (sample->lossMask[t]) {
                *row++ = offset + static_cast<std::int64_t>(t) - 1;
                *target++ = sample->ids[t];
                *weight++ = sample->weights.empty() ? 1.0f : sample->weights[t];
            }
        }
        offset += static_cast<std::int64_t>(sample->ids.size());
    }
    scored.rows = scored.rows.to(device);
    scored.targets = scored.targets.to(device);
    scored.weights = scored.weights.to(device);
    return scored;
}

/// Hidden states after the final norm at the scored rows: (N, D).
Tensor gradientNormed(const Model::Impl &model, const Tensor &hidden, const Tensor &rows)
{
    return rmsNorm(at::index_select(hidden, 0, rows), model.finalNorm, model.config.rmsNormEps);
}

/// The same rows of model and parent.
struct LossSlice {
    Tensor normed; ///< (n, D)
    Tensor parentNormed; ///< (n, D'), undefined without a parent
    Tensor targets; ///< [n]
    Tensor weights; ///< [n]
};

/// T²·KL(parent ‖ model) per row [n] and its gradient by the logits (n, V): T·(softmax(z/T) − softmax(z'/T)).
struct Divergence {
    Tensor values, gradient;
};

Divergence divergenceOf(const Model::Impl &parent, const Tensor &parentNormed, const Tensor &logprobs,
                        double temperature)
{
    const Tensor theirs = at::_log_softmax(parent.head.sums(parentNormed).div_(temperature), 1, false); // (n, V)
    const Tensor ours = at::_log_softmax(logprobs / temperature, 1, false);
    const Tensor likely = theirs.exp(); // (n, V)
    Tensor values = (likely * (theirs - ours)).sum(1).mul_(temperature * temperature);
    return {std::move(values), ours.exp().sub_(likely).mul_(temperature)};
}

/// Loss of one slice; `gradient` receives d(Σ / divisor) / d(normed), written out instead of recorded:
/// (softmax − one-hot) · W / divisor needs one buffer of logits, autograd keeps three. The head's own gradient is added
/// to it when it is trained.
double gradientOfSlice(const Linear &head, const LossSlice &slice, const LossTerms &terms, double divisor,
                       Tensor *gradient)
{
    const NoGradScope scope;
    const Tensor column = slice.targets.unsqueeze(1); // (n, 1)
    Tensor scores = at::_log_softmax(head.sums(slice.normed), 1, false); // (n, V)
    Tensor losses = scores.gather(1, column).squeeze(1).neg_(); // [n]
    Divergence divergence;
    const double share = terms.distillWeight;
    if (terms.parent) {
        divergence = divergenceOf(*terms.parent, slice.parentNormed, scores, terms.temperature);
        losses.mul_(1 - share).add_(divergence.values, share);
    }
    const double loss = (losses * slice.weights).sum(at::kDouble).item<double>();
    if (gradient) {
        scores.exp_();
        scores.scatter_add_(1, column, at::full({slice.targets.size(0), 1}, -1.0, scores.options()));
        if (terms.parent)
            scores.mul_(1 - share).add_(divergence.gradient, share);
        scores.mul_((slice.weights / divisor).unsqueeze(1));
        const Tensor narrow = scores.to(head.weight.scalar_type());
        gradient->copy_(at::matmul(narrow, head.weight)); // (n, D)
        if (head.weight.requires_grad()) {
            Tensor &sum = head.weight.mutable_grad();
            if (!sum.defined())
                sum = at::zeros_like(head.weight);
            sum.add_(at::matmul(narrow.t(), slice.normed)); // (V, D)
        }
    }
    return loss;
}

} // namespace

std::int64_t scoredTokens(const TrainingSample &sample)
{
    if (sample.lossMask.empty())
        return 0;
    return std::count_if(sample.lossMask.begin() + 1, sample.lossMask.end(),
                         [](std::uint8_t mask) { return mask != 0; });
}

double scoredWeight(const TrainingSample &sample)
{
    double sum = 0;
    for (std::size_t t = 1; t < sample.lossMask.size(); ++t) {
        if (sample.lossMask[t])
            sum += sample.weights.empty() ? 1.0 : static_cast<double>(sample.weights[t]);
    }
    return sum;
}

double accumulateGradients(const Model::Impl &model, const SampleRefs &samples, double divisor, const LossTerms &terms)
{
    std::vector<TokenIds> sequences;
    std::int64_t count = 0;
    for (const TrainingSample *sample : samples) {
        sequences.push_back(sample->ids);
        count += scoredTokens(*sample);
    }
    if (count == 0)
        return 0;
    const PackedBatch batch = packSequences(sequences, model.device());
    const ScoredRows scored = gradientRows(samples, count, model.device());
    Tensor parentNormed; // (N, D')
    if (terms.parent) {
        const NoGradScope scope;
        parentNormed = gradientNormed(*terms.parent, forwardHidden(*terms.parent, batch), scored.rows);
    }
    std::optional<RecomputedForward> recomputed;
    if (terms.recompute && c10::GradMode::is_enabled())
        recomputed.emplace(model, batch, terms.training);
    const Tensor hidden = recomputed ? recomputed->hidden() : forwardHidden(model, batch, {}, terms.training); // (T, D)
    const Tensor normed = gradientNormed(model, hidden, scored.rows); // (N, D)
    const Tensor detached = normed.detach();
    const bool wanted = c10::GradMode::is_enabled() && normed.requires_grad();
    const Tensor gradient = wanted ? at::empty_like(detached) : Tensor(); // (N, D)

    const std::int64_t sliceRows = std::max<std::int64_t>(
        16, kLogitSliceBytes / (static_cast<std::int64_t>(sizeof(float)) * model.config.vocabSize));
    double loss = 0;
    for (std::int64_t first = 0; first < count; first += sliceRows) {
        const std::int64_t rows = std::min(sliceRows, count - first);
        const auto take = [&](const Tensor &x) { return x.defined() ? x.narrow(0, first, rows) : x; };
        Tensor part = take(gradient);
        loss += gradientOfSlice(model.head,
                                {take(detached), take(parentNormed), take(scored.targets), take(scored.weights)}, terms,
                                divisor, wanted ? &part : nullptr);
    }
    if (wanted)
        normed.backward(gradient);
    if (wanted && recomputed)
        recomputed->backward();
    return loss;
}

} // namespace secateur
