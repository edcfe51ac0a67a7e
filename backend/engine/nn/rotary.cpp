#include "backend/engine/nn/rotary.h"

#include "backend/engine/nn/causal_lm.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sin.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace secateur {

namespace {

/// Wavelengths above the low-frequency limit are stretched, those below the high-frequency limit kept, between them
/// interpolated (Llama 3.1).
double rotaryLlama3(double inverse, const RopeConfig &rope)
{
    const double original = static_cast<double>(rope.originalMaxPositions);
    const double wavelength = 2 * std::numbers::pi / inverse;
    if (wavelength > original / rope.lowFrequencyFactor)
        return inverse / rope.factor;
    if (wavelength < original / rope.highFrequencyFactor)
        return inverse;
    const double smooth
        = (original / wavelength - rope.lowFrequencyFactor) / (rope.highFrequencyFactor - rope.lowFrequencyFactor);
    return (1 - smooth) * inverse / rope.factor + smooth * inverse;
}

/// Index of the dimension that turns \a rotations times over the original context (YaRN, arXiv 2309.00071).
double rotaryYarnDimension(double rotations, const RopeConfig &rope, int headDim)
{
    const double original = static_cast<double>(rope.originalMaxPositions);
    return headDim * std::log(original / (rotations * 2 * std::numbers::pi)) / (2 * std::log(rope.theta));
}

double rotaryYarn(double inverse, int index, const RopeConfig &rope, int headDim)
{
    const double low = std::max(std::floor(rotaryYarnDimension(rope.betaFast, rope, headDim)), 0.0);
    double high = std::min(std::ceil(rotaryYarnDimension(rope.betaSlow, rope, headDim)), headDim - 1.0);
    if (low == high)
        high += 0.001; // a step instead of a ramp, without dividing by zero
    const double ramp = std::clamp((index - low) / (high - low), 0.0, 1.0);
    return inverse / rope.factor * ramp + inverse * (1 - ramp);
}

} // namespace

Tensor inverseFrequencies(const RopeConfig &rope, int headDim)
{
    Tensor result = at::empty({headDim / 2}, at::kFloat);
    float *out = result.mutable_data_ptr<float>();
    for (int i = 0; i < headDim / 2; ++i) {
        double inverse = std::pow(rope.theta, -2.0 * i / headDim);
        switch (rope.scaling) {
        case RopeConfig::Scaling::None:
            break;
        case RopeConfig::Scaling::Linear:
            inverse /= rope.factor;
            break;
        case RopeConfig::Scaling::Llama3:
            inverse = rotaryLlama3(inverse, rope);
            break;
        case RopeConfig::Scaling::Yarn:
            inverse = rotaryYarn(inverse, i, rope, headDim);
            break;
        }
        out[i] = static_cast<float>(inverse);
    }
    return result;
}

double ropeAttentionFactor(const RopeConfig &rope)
{
    if (rope.scaling != RopeConfig::Scaling::Yarn)
        return 1;
    if (rope.attentionFactor > 0)
        return rope.attentionFactor;
    return rope.factor > 1 ? 0.1 * std::log(rope.factor) + 1 : 1;
}

std::pair<Tensor, Tensor> rotaryTables(const Model::Impl &model, const Tensor &positions)
{
    const Tensor angles = positions.to(at::kFloat).unsqueeze(1) * model.inverseFrequencies; // (T, h/2)
    const Tensor both = at::cat({angles, angles}, 1); // (T, h)
    const double factor = model.ropeAttentionFactor;
    return {(at::cos(both) * factor).to(model.dtype()), (at::sin(both) * factor).to(model.dtype())};
}

} // namespace secateur
