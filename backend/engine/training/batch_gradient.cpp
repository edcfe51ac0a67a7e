#include "backend/engine/training/batch_gradient.h"

#include "backend/engine/detail/guards.h"

#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace secateur {

namespace {

constexpr std::int64_t kLogitSliceBytes = 64 << 20;

/// Rows of the packed hidden states that predict a scored token, and those tokens.
struct ScoredRows {
    Tensor rows; ///< [N] int64
    Tensor targets; ///< [N] int64
};

ScoredRows gradientRows(const SampleRefs &samples, std::int64_t count, const at::Device &device)
{
    ScoredRows scored{at::empty({count}, at::kLong), at::empty({count}, at::kLong)};
    std::int64_t *row = scored.rows.mutable_data_ptr<std::int64_t>();
    std::int64_t *target = scored.targets.mutable_data_ptr<std::int64_t>();
    std::int64_t offset = 0;
    for (const TrainingSample *sample : samples) {
        for (std::size_t t = 1; t < sample->ids.size(); ++t) {
            if (sample->lossMask[t]) {
                *row++ = offset + static_cast<std::int64_t>(t) - 1;
                *target++ = sample->ids[t];
            }
        }
        offset += static_cast<std::int64_t>(sample->ids.size());
    }
    scored.rows = scored.rows.to(device);
    scored.targets = scored.targets.to(device);
    return scored;
}

/// Cross entropy of one slice; `gradient` receives d(Σ / divisor) / d(normed), written out instead of recorded:
/// (softmax − one-hot) · W / divisor needs one buffer of logits, autograd keeps three.
double gradientOfSlice(const Linear &head, const Tensor &normed, const Tensor &targets, std::int64_t divisor,
                       Tensor *gradient)
{
    const NoGradScope scope;
    const Tensor column = targets.unsqueeze(1); // (n, 1)
    Tensor scores = at::_log_softmax(head(normed).to(at::kFloat), 1, false); // (n, V)
    const double loss = -scores.gather(1, column).sum(at::kDouble).item<double>();
    if (gradient) {
        scores.exp_();
        scores.scatter_add_(1, column, at::full({targets.size(0), 1}, -1.0, scores.options()));
        scores.mul_(1.0 / static_cast<double>(divisor));
        gradient->copy_(at::matmul(scores.to(head.weight.scalar_type()), head.weight)); // (n, D)
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

double accumulateGradients(const Model::Impl &model, const SampleRefs &samples, std::int64_t divisor, bool training)
{
    std::vector<TokenIds> sequences;
    std::int64_t count = 0;
    for (const TrainingSample *sample : samples) {
        sequences.push_back(sample->ids);
        count += scoredTokens(*sample);
    }
    if (count == 0)
        return 0;
    const Tensor hidden = forwardHidden(model, packSequences(sequences, model.device()), {}, training); // (T, D)
    const ScoredRows scored = gradientRows(samples, count, model.device());
    const Tensor normed = rmsNorm(at::index_select(hidden, 0, scored.rows), model.finalNorm,
                                  model.config.rmsNormEps); // (N, D)
    const Tensor detached = normed.detach();
    const bool wanted = c10::GradMode::is_enabled() && normed.requires_grad();
    const Tensor gradient = wanted ? at::empty_like(detached) : Tensor(); // (N, D)

    const std::int64_t sliceRows = std::max<std::int64_t>(
        16, kLogitSliceBytes / (static_cast<std::int64_t>(sizeof(float)) * model.config.vocabSize));
    double loss = 0;
    for (std::int64_t first = 0; first < count; first += sliceRows) {
        const std::int64_t rows = std::min(sliceRows, count - first);
        Tensor part = wanted ? gradient.narrow(0, first, rows) : Tensor();
        loss += gradientOfSlice(model.head, detached.narrow(0, first, rows), scored.targets.narrow(0, first, rows),
                                divisor, wanted ? &part : nullptr);
    }
    if (wanted)
        normed.backward(gradient);
    return loss;
}

} // namespace secateur
