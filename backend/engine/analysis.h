#pragma once

#include "backend/core/calibration.h"
#include "backend/engine/model.h"

#include <string>
#include <vector>

namespace secateur {

struct AnalysisRequest {
    CalibrationSet calibration;
    /// Groups to compute: "block_cosine" [L+1, L+1], "block_influence" [L, 1], "block_distance" [L (start), L (length − 1)],
    /// "head_importance" [L, KV groups] and "ffn_importance" [L, channels], each with metrics weight_magnitude and
    /// activation_weight. Empty: all.
    std::vector<std::string> maps;
    std::int64_t batchTokens = 4096; ///< tokens in one packed forward
};

/// One sweep over the calibration set: sequences packed, causal attention per sequence, no padding, double-precision
/// sums. Definitions: methods of ShortGPT (arXiv 2403.03853), Gromov et al. (2403.17887), Wanda-sp (2306.11695).
///  cosine(i, j)        mean over tokens of cos(h_i, h_j); h_L before the final norm
///  influence(l)        1 − cosine(l, l+1)
///  distance(l, n)      mean over sequences of arccos(clamp cos(h_l, h_{l+n})) / π at the last token
///  weight_magnitude    Σ|w| over the unit's rows of gate, up (q, k, v) and columns of down (o)
///  activation_weight   column c of down (o): mean over output rows of |W_rc| · ‖x_c‖₂; a KV group sums its columns
/// `modelDigest`, `modelName` are left empty; the workflow fills them. Throws Error(Numeric) naming layer and sequence.
AnalysisResult analyze(const Model &model, const AnalysisRequest &request, const JobContext &context = {});

} // namespace secateur
