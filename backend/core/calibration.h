#pragma once

#include "backend/core/metric_map.h"

#include <cstdint>
#include <string>
#include <vector>

namespace secateur {

using TokenIds = std::vector<std::int32_t>;

/// Which tokens a score was computed on; enough to make it again.
struct CalibrationRecord {
    std::string id;      ///< record id in the session, e.g. "calibration-1"
    std::string name;    ///< "chat-16 × 256" or the file's name
    std::string source;  ///< file name without folder
    std::string kind;    ///< "text", "jsonl-text", "chat", "prompt-response", "ids"
    std::string sha256;  ///< of the token ids (little-endian int32, sequences separated by -1)
    std::int64_t sequences = 0;
    std::int64_t length = 0; ///< asked length S; 0 = as the samples are
    std::int64_t tokens = 0; ///< counted tokens in all
    std::uint64_t seed = 0;
    std::string templateDigest; ///< SHA-256 of the chat template used, empty for plain text
    bool operator==(const CalibrationRecord &) const = default;
};

/// Token sequences of unequal length; never padded.
struct CalibrationSet {
    CalibrationRecord record;
    std::vector<TokenIds> sequences;
};

/// SHA-256 as CalibrationRecord::sha256 defines it.
std::string digestOfSequences(const std::vector<TokenIds> &sequences);

/// The result of one sweep.
struct AnalysisResult {
    std::string modelDigest;
    std::string modelName;
    CalibrationRecord calibration;
    std::vector<MetricMapPtr> maps;
    std::int64_t sweeps = 1;
    double seconds = 0;
    double tokensPerSecond = 0;

    /// nullptr when there is no such map. \a metric empty: the first of the group.
    MetricMapPtr find(const std::string &group, const std::string &metric = {}) const;
};

} // namespace secateur
