#pragma once

#include "backend/core/metric_map.h"

#include <QColor>
#include <QRgb>

#include <array>
#include <vector>

namespace secateur {

/// Maps a value to a colour: palette, scaling and range. Maps keep the same colours in light and dark windows.
class ColorScale {
public:
    enum class Palette { Sequential, Signed }; ///< cividis; blue–grey–orange with 0 in the middle
    enum class Scaling { Linear, Log, Percentile };
    static constexpr int kSteps = 1024;

    ColorScale();
    /// Full range of \a map; Signed is symmetric around 0, cosine maps run from 0 (or above) to 1.
    static ColorScale forMap(const MetricMap &map, Scaling scaling = Scaling::Linear);

    Palette palette() const { return m_palette; }
    Scaling scaling() const { return m_scaling; }
    float low() const { return m_low; }
    float high() const { return m_high; }
    bool inverted() const { return m_inverted; }

    void setPalette(Palette palette);
    /// Log needs positive values: the low end then is the smallest positive value of \a sorted.
    void setScaling(Scaling scaling);
    void setRange(float low, float high);
    void setInverted(bool inverted);
    /// Ascending finite values, for percentiles and the low end of the log scale.
    void setSortedValues(const std::vector<float> &sorted);

    /// 0…1 along the scale, clipped; −1 for NaN.
    float position(float value) const;
    /// The value at \a position 0…1.
    float value(float position) const;
    QRgb colorAt(float position) const { return m_table[static_cast<std::size_t>(position * (kSteps - 1) + 0.5F)]; }
    /// Opaque; transparent black for NaN.
    QRgb color(float value) const;
    bool operator==(const ColorScale &) const = default;

private:
    Palette m_palette = Palette::Sequential;
    Scaling m_scaling = Scaling::Linear;
    float m_low = 0;
    float m_high = 1;
    bool m_inverted = false;
    std::vector<float> m_quantiles; ///< kSteps values, for Percentile
    float m_smallestPositive = 0;
    std::array<QRgb, kSteps> m_table;

    void buildTable();
    float logLow() const;
};

} // namespace secateur
