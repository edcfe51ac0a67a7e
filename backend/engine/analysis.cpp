#include "backend/engine/analysis.h"

#include "backend/engine/analysis/similarity_sums.h"
#include "backend/engine/analysis/width_sums.h"
#include "backend/engine/detail/guards.h"
#include "backend/engine/nn/causal_lm.h"
#include "backend/engine/nn/checks.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>

namespace secateur {

namespace {

constexpr std::array<const char *, 5> kMapGroups
    = {"block_cosine", "block_influence", "block_distance", "head_importance", "ffn_importance"};

/// States of one batch that are kept at a time, in values: longer batches are cut to stay in the processor's reach.
constexpr std::int64_t kStateBudget = 32'000'000;

std::vector<std::string> requestedMaps(const AnalysisRequest &request)
{
    if (request.maps.empty())
        return {kMapGroups.begin(), kMapGroups.end()};
    for (const std::string &name : request.maps) {
        if (std::find(kMapGroups.begin(), kMapGroups.end(), name) == kMapGroups.end()) {
            std::string known;
            for (const char *group : kMapGroups)
                known += (known.empty() ? "" : ", ") + std::string(group);
            throw Error(ErrorKind::InvalidArgument, "There is no map \"" + name + "\"; there is: " + known + ".");
        }
    }
    return request.maps;
}

MapAxis blockAxis(const char *id)
{
    return {id, "block (0-based)", "block", 0};
}

MapAxis stateAxis(const char *id, const char *label)
{
    return {id, label, "state", 0};
}

/// A map of the given shape, NaN everywhere.
MetricMap emptyMap(const char *group, const char *metric, const char *title, std::int64_t rows, std::int64_t columns,
                   MapAxis rowAxis, MapAxis columnAxis)
{
    MetricMap map{group, metric, title, rows, columns, {}, std::move(rowAxis), std::move(columnAxis)};
    map.values.assign(static_cast<std::size_t>(rows * columns), std::numeric_limits<float>::quiet_NaN());
    return map;
}

MetricMapPtr cosineMap(const std::vector<double> &distances, std::int64_t states)
{
    MetricMap map = emptyMap("block_cosine", "cosine", "Cosine between hidden states", states, states,
                             stateAxis("layer_from", "hidden state before block"),
                             stateAxis("layer_to", "hidden state before block"));
    for (std::size_t i = 0; i < distances.size(); ++i)
        map.values[i] = static_cast<float>(1 - distances[i]);
    return std::make_shared<const MetricMap>(std::move(map));
}

MetricMapPtr influenceMap(const std::vector<double> &distances, std::int64_t states)
{
    MetricMap map = emptyMap("block_influence", "influence", "Influence of each block", states - 1, 1,
                             blockAxis("layer"), {"metric", "influence", "", 0});
    for (std::int64_t l = 0; l + 1 < states; ++l)
        map.values[static_cast<std::size_t>(l)]
            = static_cast<float>(distances[static_cast<std::size_t>(l * states + l + 1)]);
    return std::make_shared<const MetricMap>(std::move(map));
}

MetricMapPtr distanceMap(const std::vector<double> &angles, std::int64_t states)
{
    const std::int64_t layers = states - 1;
    MetricMap map = emptyMap("block_distance", "distance", "Angular distance across removed blocks", layers, layers,
                             {"block_start", "first removed block (0-based)", "block", 0},
                             {"block_length", "number of removed blocks", "block", 1});
    for (std::int64_t start = 0; start < layers; ++start) {
        for (std::int64_t length = 1; start + length <= layers; ++length)
            map.values[static_cast<std::size_t>(start * layers + length - 1)]
                = static_cast<float>(angles[static_cast<std::size_t>(start * states + start + length)]);
    }
    return std::make_shared<const MetricMap>(std::move(map));
}

/// Two maps (weight_magnitude, activation_weight) with one row per block; blocks with fewer units end in NaN.
void addWidthMaps(std::vector<MetricMapPtr> &maps, const char *group, const char *unit, const MapAxis &columnAxis,
                  const std::vector<UnitScores> &scores)
{
    std::size_t width = 0;
    for (const UnitScores &block : scores)
        width = std::max(width, block.weightMagnitude.size());
    const auto rows = static_cast<std::int64_t>(scores.size());
    const auto columns = static_cast<std::int64_t>(width);
    const auto add = [&](const char *metric, const std::string &title, std::vector<double> UnitScores::*values) {
        MetricMap map = emptyMap(group, metric, title.c_str(), rows, columns, blockAxis("layer"), columnAxis);
        for (std::size_t block = 0; block < scores.size(); ++block) {
            const std::vector<double> &row = scores[block].*values;
            std::transform(row.begin(), row.end(), map.values.begin() + static_cast<std::ptrdiff_t>(block * width),
                           [](double value) { return static_cast<float>(value); });
        }
        maps.push_back(std::make_shared<const MetricMap>(std::move(map)));
    };
    add("weight_magnitude", std::string("Weight magnitude of ") + unit, &UnitScores::weightMagnitude);
    add("activation_weight", std::string("Activation × weight of ") + unit, &UnitScores::activationWeight);
}

/// One pass over the calibration set that fills the sums which the wanted maps need.
class CalibrationSweep {
public:
    CalibrationSweep(const Model::Impl &model, const std::vector<TokenIds> &sequences, std::int64_t batchTokens,
                     const JobContext &context)
        : m_model(model), m_sequences(sequences), m_context(context)
    {
        const std::int64_t perToken = (model.config.layers() + 1) * std::int64_t{model.config.hiddenSize};
        m_batchTokens = std::clamp<std::int64_t>(kStateBudget / perToken, 1, std::max<std::int64_t>(1, batchTokens));
        for (const TokenIds &sequence : sequences)
            m_total += static_cast<std::int64_t>(sequence.size());
    }

    void run(SimilaritySums *similarity, WidthSums *width)
    {
        m_start = std::chrono::steady_clock::now();
        for (std::size_t first = 0; first < m_sequences.size();) {
            std::vector<TokenIds> batch;
            std::int64_t tokens = 0;
            while (first + batch.size() < m_sequences.size()) {
                const TokenIds &next = m_sequences[first + batch.size()];
                const auto size = static_cast<std::int64_t>(next.size());
                if (!batch.empty() && tokens + size > m_batchTokens)
                    break;
                batch.push_back(next);
                tokens += size;
            }
            if (!runBatch(batch, similarity, width)) {
                locateNonFinite(m_model, batch, static_cast<std::int64_t>(first));
                throw Error(ErrorKind::Numeric,
                            "The scores of the sequences " + std::to_string(first) + " … "
                                + std::to_string(first + batch.size() - 1) + " are not finite.");
            }
            first += batch.size();
            m_done += tokens;
        }
        report(0);
    }

    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - m_start).count(); }
    std::int64_t tokens() const { return m_total; }

private:
    bool runBatch(const std::vector<TokenIds> &sequences, SimilaritySums *similarity, WidthSums *width)
    {
        const PackedBatch batch = packSequences(sequences, m_model.device());
        const auto states = static_cast<std::int64_t>(m_model.blocks.size()) + 1;
        if (similarity)
            similarity->beginBatch(batch.offsets, m_model.config.hiddenSize, m_model.device());
        ForwardTaps taps;
        taps.hidden = [&](int state, const Tensor &hidden) {
            report(batch.tokens() * state / states); // a stop request is seen after every block
            if (similarity)
                similarity->add(state, hidden);
        };
        if (width) {
            taps.attentionOutput = [&](int block, const Tensor &x) { width->addAttentionOutput(block, x); };
            taps.mlpProduct = [&](int block, const Tensor &x) { width->addMlpProduct(block, x); };
        }
        forwardHidden(m_model, batch, taps);
        return (!similarity || similarity->endBatch()) && (!width || width->isFinite());
    }

    void report(std::int64_t ahead) const
    {
        const std::int64_t done = m_done + ahead;
        const double elapsed = seconds();
        m_context.checkpoint({"analyze.sweep", done, m_total, elapsed > 0 ? static_cast<double>(done) / elapsed : 0});
    }

    const Model::Impl &m_model;
    const std::vector<TokenIds> &m_sequences;
    const JobContext &m_context;
    std::int64_t m_batchTokens = 0;
    std::int64_t m_total = 0;
    std::int64_t m_done = 0;
    std::chrono::steady_clock::time_point m_start;
};

} // namespace

AnalysisResult analyze(const Model &model, const AnalysisRequest &request, const JobContext &context)
{
    const Model::Impl &impl = model.impl();
    const std::vector<std::string> groups = requestedMaps(request);
    const std::vector<TokenIds> &sequences = request.calibration.sequences;
    if (sequences.empty()) {
        throw Error(ErrorKind::InvalidArgument, "The calibration set has no sequences.",
                    "Choose a text or a file with samples.");
    }
    for (std::size_t i = 0; i < sequences.size(); ++i)
        requireSequence(impl.config, sequences[i], "Calibration sequence " + std::to_string(i));
    const auto wants
        = [&](const char *group) { return std::find(groups.begin(), groups.end(), group) != groups.end(); };

    return withoutGradients([&] {
        const int layers = impl.config.layers();
        const std::int64_t states = layers + 1;
        std::optional<SimilaritySums> similarity;
        if (wants("block_cosine") || wants("block_influence") || wants("block_distance"))
            similarity.emplace(layers);
        std::optional<WidthSums> width;
        if (wants("head_importance") || wants("ffn_importance"))
            width.emplace(impl);

        CalibrationSweep sweep(impl, sequences, request.batchTokens, context);
        sweep.run(similarity ? &*similarity : nullptr, width ? &*width : nullptr);

        AnalysisResult result;
        result.calibration = request.calibration.record;
        result.seconds = sweep.seconds();
        result.tokensPerSecond = static_cast<double>(sweep.tokens()) / std::max(result.seconds, 1e-9);
        if (wants("block_cosine"))
            result.maps.push_back(cosineMap(similarity->meanDistances(), states));
        if (wants("block_influence"))
            result.maps.push_back(influenceMap(similarity->meanDistances(), states));
        if (wants("block_distance"))
            result.maps.push_back(distanceMap(similarity->meanAngles(), states));
        std::vector<UnitScores> scores(static_cast<std::size_t>(layers));
        if (wants("head_importance")) {
            for (int l = 0; l < layers; ++l)
                scores[static_cast<std::size_t>(l)] = kvGroupScores(impl, l, width->attentionSquares(l));
            addWidthMaps(result.maps, "head_importance", "KV groups", {"head", "KV group", "group", 0}, scores);
        }
        if (wants("ffn_importance")) {
            for (int l = 0; l < layers; ++l)
                scores[static_cast<std::size_t>(l)] = ffnChannelScores(impl, l, width->mlpSquares(l));
            addWidthMaps(result.maps, "ffn_importance", "FFN channels", {"channel", "FFN channel", "channel", 0},
                         scores);
        }
        return result;
    });
}

} // namespace secateur
