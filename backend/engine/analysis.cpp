#include "backend/engine/analysis.h"

#include "backend/engine/analysis/calibration_batches.h"
#include "backend/engine/analysis/map_builder.h"
#include "backend/engine/detail/guards.h"
#include "backend/engine/nn/causal_lm.h"
#include "backend/engine/nn/checks.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace secateur {

namespace {

/// One pass over the calibration set that fills the sums which the wanted maps need.
class CalibrationSweep {
public:
    CalibrationSweep(const Model::Impl &model, const std::vector<CalibrationBatch> &batches, const JobContext &context)
        : m_model(model), m_batches(batches), m_context(context)
    {
        for (const CalibrationBatch &batch : batches)
            m_total += batch.tokens;
    }

    void run(SimilaritySums *similarity, WidthSums *width)
    {
        m_start = std::chrono::steady_clock::now();
        for (const CalibrationBatch &batch : m_batches) {
            if (!runBatch(batch.sequences, similarity, width)) {
                locateNonFinite(m_model, batch.sequences, static_cast<std::int64_t>(batch.first));
                throwNonFiniteScores(batch);
            }
            m_done += batch.tokens;
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
    const std::vector<CalibrationBatch> &m_batches;
    const JobContext &m_context;
    std::int64_t m_total = 0;
    std::int64_t m_done = 0;
    std::chrono::steady_clock::time_point m_start;
};

} // namespace

AnalysisResult analyze(const Model &model, const AnalysisRequest &request, const JobContext &context)
{
    const Model::Impl &impl = model.impl();
    const WantedMaps wanted(request.maps);
    const std::vector<CalibrationBatch> batches
        = calibrationBatches(impl.config, request.calibration.sequences, request.batchTokens);

    return withoutGradients([&] {
        const int layers = impl.config.layers();
        std::optional<SimilaritySums> similarity;
        if (wanted.needSimilarity())
            similarity.emplace(layers);
        std::optional<WidthSums> width;
        if (wanted.needWidth())
            width.emplace(layers);

        CalibrationSweep sweep(impl, batches, context);
        sweep.run(similarity ? &*similarity : nullptr, width ? &*width : nullptr);

        AnalysisResult result;
        result.calibration = request.calibration.record;
        result.seconds = sweep.seconds();
        result.tokensPerSecond = static_cast<double>(sweep.tokens()) / std::max(result.seconds, 1e-9);
        std::vector<UnitScores> heads;
        std::vector<UnitScores> channels;
        for (int l = 0; l < layers; ++l) {
            const DecoderBlock &block = impl.blocks[static_cast<std::size_t>(l)];
            if (wanted.needHeads())
                heads.push_back(kvGroupScores(block, impl.config.headDim, width->attentionSquares(l)));
            if (wanted.needChannels())
                channels.push_back(ffnChannelScores(block, width->mlpSquares(l)));
        }
        result.maps = buildMaps(wanted, layers, similarity ? &*similarity : nullptr, heads, channels);
        return result;
    });
}

} // namespace secateur
