#include "backend/core/calibration.h"

#include "backend/io/digest.h"

namespace secateur {

std::string digestOfSequences(const std::vector<TokenIds> &sequences)
{
    Sha256 hash;
    const auto add = [&hash](std::int32_t id) {
        const auto bits = static_cast<std::uint32_t>(id);
        const unsigned char bytes[4] = {static_cast<unsigned char>(bits), static_cast<unsigned char>(bits >> 8),
                                        static_cast<unsigned char>(bits >> 16), static_cast<unsigned char>(bits >> 24)};
        hash.update(bytes, sizeof bytes);
    };
    bool first = true;
    for (const TokenIds &sequence : sequences) {
        if (!first)
            add(-1);
        first = false;
        for (const std::int32_t id : sequence)
            add(id);
    }
    return hash.hex();
}

MetricMapPtr AnalysisResult::find(const std::string &group, const std::string &metric) const
{
    for (const MetricMapPtr &map : maps)
        if (map && map->group == group && (metric.empty() || map->metric == metric))
            return map;
    return nullptr;
}

} // namespace secateur
