#include "widgets/heatmap/color_scale.h"

#include <algorithm>
#include <cmath>

namespace secateur {

namespace {

// Stops of cividis (Nuñez, Anderton, Renslow 2018): even lightness, the same for every kind of colour vision.
constexpr std::array<QRgb, 10> kCividis{0xFF00204D, 0xFF00336F, 0xFF39486B, 0xFF575C6D, 0xFF707173,
                                        0xFF8A8779, 0xFFA69D75, 0xFFC4B56C, 0xFFE4CF5B, 0xFFFFEA46};
constexpr std::array<QRgb, 7> kBlueGreyOrange{0xFF174A86, 0xFF3F78B5, 0xFF8DB1D6, 0xFFD5D8DB,
                                              0xFFE2B083, 0xFFCC7430, 0xFF9A4408};

template <std::size_t N> QRgb interpolatedColor(const std::array<QRgb, N> &stops, float position)
{
    const float scaled = position * static_cast<float>(N - 1);
    const auto lower = std::min(static_cast<std::size_t>(scaled), N - 2);
    const float share = scaled - static_cast<float>(lower);
    const auto mix = [share](int from, int to) {
        return static_cast<int>(std::lround(static_cast<float>(from) + static_cast<float>(to - from) * share));
    };
    const QRgb a = stops[lower];
    const QRgb b = stops[lower + 1];
    return qRgb(mix(qRed(a), qRed(b)), mix(qGreen(a), qGreen(b)), mix(qBlue(a), qBlue(b)));
}

} // namespace

ColorScale::ColorScale()
{
    buildTable();
}

ColorScale ColorScale::forMap(const MetricMap &map, Scaling scaling)
{
    ColorScale scale;
    const ValueRange range = finiteRange(map);
    const bool isSigned = map.metric == "difference" || map.metric.ends_with("_difference");
    if (isSigned) {
        scale.setPalette(Palette::Signed);
        const float reach = std::max(std::abs(range.low), std::abs(range.high));
        scale.setRange(-reach, reach);
    } else if (map.metric == "cosine") {
        scale.setRange(0, 1);
    } else {
        scale.setRange(range.low, range.high);
    }
    std::vector<float> sorted;
    if (scaling != Scaling::Linear) {
        sorted.reserve(map.values.size());
        std::copy_if(map.values.begin(), map.values.end(), std::back_inserter(sorted),
                     [](float value) { return std::isfinite(value); });
        std::sort(sorted.begin(), sorted.end());
    }
    scale.setSortedValues(sorted);
    scale.setScaling(scaling);
    return scale;
}

void ColorScale::buildTable()
{
    for (int step = 0; step < kSteps; ++step) {
        float position = static_cast<float>(step) / (kSteps - 1);
        if (m_inverted)
            position = 1 - position;
        m_table[static_cast<std::size_t>(step)] = m_palette == Palette::Signed
            ? interpolatedColor(kBlueGreyOrange, position)
            : interpolatedColor(kCividis, position);
    }
}

void ColorScale::setPalette(Palette palette)
{
    m_palette = palette;
    buildTable();
}

void ColorScale::setInverted(bool inverted)
{
    m_inverted = inverted;
    buildTable();
}

void ColorScale::setScaling(Scaling scaling)
{
    m_scaling = scaling;
}

void ColorScale::setRange(float low, float high)
{
    m_low = low;
    m_high = high > low ? high : std::nextafter(low, low + 1);
}

void ColorScale::setSortedValues(const std::vector<float> &sorted)
{
    m_quantiles.clear();
    const auto positive = std::upper_bound(sorted.begin(), sorted.end(), 0.0F);
    m_smallestPositive = positive == sorted.end() ? 0.0F : *positive;
    if (sorted.empty())
        return;
    m_quantiles.resize(kSteps);
    for (std::size_t step = 0; step < m_quantiles.size(); ++step)
        m_quantiles[step] = sorted[step * (sorted.size() - 1) / (kSteps - 1)];
}

float ColorScale::logLow() const
{
    if (m_low > 0)
        return m_low;
    const float smallest = m_smallestPositive > 0 ? m_smallestPositive : m_high * 1e-6F;
    return std::min(smallest, m_high * 0.999F);
}

float ColorScale::position(float value) const
{
    if (std::isnan(value))
        return -1;
    if (m_palette == Palette::Signed && m_scaling == Scaling::Log) {
        // Logarithmic on both sides of zero, so that the centre stays exactly 0.
        constexpr float kStretch = 1000;
        const float reach = std::max(std::abs(m_low), std::abs(m_high));
        const float share = std::min(1.0F, std::abs(value) / reach);
        const float logged = std::log1p(share * kStretch) / std::log1p(kStretch);
        return std::clamp(0.5F + 0.5F * std::copysign(logged, value), 0.0F, 1.0F);
    }
    if (m_palette == Palette::Sequential && m_scaling == Scaling::Percentile && !m_quantiles.empty()) {
        const auto range = std::equal_range(m_quantiles.begin(), m_quantiles.end(), value);
        const auto index
            = static_cast<float>((range.first - m_quantiles.begin()) + (range.second - m_quantiles.begin())) * 0.5F;
        return std::clamp(index / kSteps, 0.0F, 1.0F);
    }
    if (m_palette == Palette::Sequential && m_scaling == Scaling::Log && m_high > 0) {
        const float low = logLow();
        if (value <= low)
            return 0;
        return std::clamp(std::log(value / low) / std::log(m_high / low), 0.0F, 1.0F);
    }
    return std::clamp((value - m_low) / (m_high - m_low), 0.0F, 1.0F);
}

float ColorScale::value(float position) const
{
    position = std::clamp(position, 0.0F, 1.0F);
    if (m_palette == Palette::Signed && m_scaling == Scaling::Log) {
        constexpr float kStretch = 1000;
        const float reach = std::max(std::abs(m_low), std::abs(m_high));
        const float side = position * 2 - 1;
        return std::copysign(std::expm1(std::abs(side) * std::log1p(kStretch)) / kStretch * reach, side);
    }
    if (m_palette == Palette::Sequential && m_scaling == Scaling::Percentile && !m_quantiles.empty())
        return m_quantiles[static_cast<std::size_t>(position * (kSteps - 1) + 0.5F)];
    if (m_palette == Palette::Sequential && m_scaling == Scaling::Log && m_high > 0)
        return logLow() * std::pow(m_high / logLow(), position);
    return m_low + (m_high - m_low) * position;
}

QRgb ColorScale::color(float value) const
{
    const float where = position(value);
    return where < 0 ? qRgba(0, 0, 0, 0) : colorAt(where);
}

} // namespace secateur
