#include "backend/engine/streaming_analysis.h"

#include "backend/core/block_tensors.h"
#include "backend/engine/analysis/calibration_batches.h"
#include "backend/engine/analysis/map_builder.h"
#include "backend/engine/analysis/state_store.h"
#include "backend/engine/compute_device.h"
#include "backend/engine/detail/guards.h"
#include "backend/engine/detail/placement.h"
#include "backend/engine/nn/attention.h"
#include "backend/engine/nn/blocks.h"
#include "backend/engine/nn/checks.h"
#include "backend/engine/nn/loading.h"
#include "backend/engine/nn/weight_loader.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>

#include <malloc.h>

namespace secateur {

namespace {

constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
/// Buffers of the matrix products and free pieces between living ones.
constexpr std::uint64_t kStreamingReserve = 14 * kMebibyte;
constexpr const char *kEmbedding = "model.embed_tokens.weight";

std::string streamingBlockPrefix(int index)
{
    return "model.layers." + std::to_string(index) + ".";
}

std::uint64_t streamingElements(const std::vector<std::int64_t> &shape)
{
    std::uint64_t count = 1;
    for (const std::int64_t size : shape)
        count *= static_cast<std::uint64_t>(size);
    return count;
}

/// Memory of one token inside block \a shape, with the copies that the row-wise steps make.
std::uint64_t streamingTokenBytes(const ModelConfig &config, const BlockShape &shape, std::uint64_t element)
{
    const auto hidden = static_cast<std::uint64_t>(config.hiddenSize);
    const auto head = static_cast<std::uint64_t>(config.headDim);
    std::uint64_t attention = 0;
    std::uint64_t mlp = 0;
    if (shape.hasAttention) {
        const std::uint64_t queries = static_cast<std::uint64_t>(shape.queryHeads) * head;
        const std::uint64_t keys = static_cast<std::uint64_t>(shape.kvHeads) * head;
        attention = element * (3 * hidden + 5 * queries + 5 * keys) + 12 * hidden;
    }
    if (shape.hasMlp)
        mlp = element * (4 * hidden + 4 * static_cast<std::uint64_t>(shape.intermediateSize)) + 12 * hidden;
    return std::max(attention, mlp);
}

/// Blocks one after the other over all batches.
class StreamingSweep {
public:
    StreamingSweep(const ModelInfo &info, const ComputeSettings &settings, const WantedMaps &wanted,
                   const std::vector<CalibrationBatch> &batches, bool statesInFile, const JobContext &context)
        : m_wanted(wanted),
          m_batches(batches),
          m_context(context),
          m_quiet({}, [this](const Progress &) { report(); }),
          m_loader(info, settings, m_quiet),
          m_model(emptyModel(*info.config, m_loader.device(), m_loader.dtype())),
          m_layers(info.config->layers()),
          m_width(m_layers),
          m_store(wanted.needSimilarity() ? m_layers + 1 : 1, tokensOf(batches), info.config->hiddenSize,
                  m_loader.dtype(), statesInFile)
    {
        m_model->blocks.resize(static_cast<std::size_t>(m_layers));
        for (const CalibrationBatch &batch : batches)
            m_total += batch.tokens;
    }

    void run()
    {
        embed();
        for (int index = 0; index < m_layers; ++index) {
            DecoderBlock &block = m_model->blocks[static_cast<std::size_t>(index)];
            block = assembleBlock(m_model->config, index, std::ref(m_loader));
            runBlockOverBatches(index);
            if (m_wanted.needHeads())
                m_heads.push_back(kvGroupScores(block, m_model->config.headDim, m_width.attentionSquares(index)));
            if (m_wanted.needChannels())
                m_channels.push_back(ffnChannelScores(block, m_width.mlpSquares(index)));
            block = {};
            m_loader.releaseMapped();
            malloc_trim(0); // the next block's pieces have other sizes
        }
        if (m_wanted.needSimilarity())
            addSimilarity();
        report();
    }

    AnalysisResult result() const
    {
        AnalysisResult result;
        result.seconds = seconds();
        result.tokensPerSecond = static_cast<double>(m_total) / std::max(result.seconds, 1e-9);
        result.maps = buildMaps(m_wanted, m_layers, m_similarity ? &*m_similarity : nullptr, m_heads, m_channels);
        return result;
    }

private:
    static std::vector<std::int64_t> tokensOf(const std::vector<CalibrationBatch> &batches)
    {
        std::vector<std::int64_t> tokens;
        tokens.reserve(batches.size());
        for (const CalibrationBatch &batch : batches)
            tokens.push_back(batch.tokens);
        return tokens;
    }

    std::int64_t slotOf(int state) const { return m_wanted.needSimilarity() ? state : 0; }

    void keep(int state, std::size_t number, const PackedBatch &packed, const Tensor &hidden)
    {
        requireFiniteRows(hidden, packed.offsets, stateName(state), static_cast<std::int64_t>(m_batches[number].first));
        m_store.write(slotOf(state), number, hidden);
    }

    void embed()
    {
        const std::vector<std::int64_t> shape{m_model->config.vocabSize, m_model->config.hiddenSize};
        for (std::size_t number = 0; number < m_batches.size(); ++number) {
            report();
            TokenIds ids;
            for (const TokenIds &sequence : m_batches[number].sequences)
                ids.insert(ids.end(), sequence.begin(), sequence.end());
            const PackedBatch packed = packSequences(m_batches[number].sequences, m_loader.device());
            keep(0, number, packed, m_loader.rows(kEmbedding, shape, ids));
        }
    }

    void runBlockOverBatches(int index)
    {
        ForwardTaps taps;
        if (m_wanted.needWidth()) {
            taps.attentionOutput = [&](int block, const Tensor &x) { m_width.addAttentionOutput(block, x); };
            taps.mlpProduct = [&](int block, const Tensor &x) { m_width.addMlpProduct(block, x); };
        }
        for (std::size_t number = 0; number < m_batches.size(); ++number) {
            const CalibrationBatch &batch = m_batches[number];
            const PackedBatch packed = packSequences(batch.sequences, m_loader.device());
            const Attend attend = [&](int, const Tensor &q, const Tensor &k, const Tensor &v) {
                return packedAttention(q, k, v, packed.offsets, m_model->config.slidingWindow);
            };
            const Tensor hidden = runBlock(*m_model, index, m_store.read(slotOf(index), number, m_loader.device()),
                                           rotaryTables(*m_model, packed.positions), attend, taps); // (T, D)
            keep(index + 1, number, packed, hidden);
            if (m_wanted.needWidth() && !m_width.isFinite())
                throwNonFiniteScores(batch);
            m_done += batch.tokens;
            report();
        }
    }

    void addSimilarity()
    {
        m_similarity.emplace(m_layers);
        for (std::size_t number = 0; number < m_batches.size(); ++number) {
            const PackedBatch packed = packSequences(m_batches[number].sequences, m_loader.device());
            m_similarity->beginBatch(packed.offsets, m_model->config.hiddenSize, m_loader.device());
            for (int state = 0; state <= m_layers; ++state) {
                report();
                m_similarity->add(state, m_store.read(slotOf(state), number, m_loader.device()));
            }
            if (!m_similarity->endBatch())
                throwNonFiniteScores(m_batches[number]);
        }
    }

    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - m_start).count(); }

    /// Tokens times blocks, in tokens: a third of the blocks over all tokens is a third of the sweep.
    void report() const
    {
        const double elapsed = seconds();
        const double done = static_cast<double>(m_done) / std::max(1, m_layers);
        m_context.checkpoint(
            {"analyze.sweep", static_cast<std::int64_t>(done), m_total, elapsed > 0 ? done / elapsed : 0});
    }

    const WantedMaps &m_wanted;
    const std::vector<CalibrationBatch> &m_batches;
    const JobContext &m_context;
    std::chrono::steady_clock::time_point m_start = std::chrono::steady_clock::now();
    std::int64_t m_total = 0;
    std::int64_t m_done = 0; ///< tokens, once per block
    JobContext m_quiet; ///< while weights are read the sweep reports, not the loader
    WeightLoader m_loader;
    std::shared_ptr<Model::Impl> m_model;
    int m_layers = 0;
    WidthSums m_width;
    StateStore m_store;
    std::optional<SimilaritySums> m_similarity;
    std::vector<UnitScores> m_heads;
    std::vector<UnitScores> m_channels;
};

} // namespace

std::uint64_t StreamingEstimate::peak() const
{
    return process + kStreamingReserve + std::max(block + batch, similarity) + (statesInFile ? 0 : states);
}

StreamingEstimate estimateStreaming(const ModelInfo &info, const AnalysisRequest &request,
                                    const ComputeSettings &settings, std::uint64_t memoryBudget)
{
    const JobContext nobody;
    const WeightLoader loader(info, settings, nobody);
    const ModelConfig &config = *info.config;
    const WantedMaps wanted(request.maps);
    const std::vector<CalibrationBatch> batches
        = calibrationBatches(config, request.calibration.sequences, request.batchTokens);
    std::uint64_t tokens = 0;
    std::uint64_t batchTokens = 0;
    std::uint64_t batchSequences = 0;
    std::set<std::int32_t> ids;
    for (const CalibrationBatch &batch : batches) {
        tokens += static_cast<std::uint64_t>(batch.tokens);
        batchTokens = std::max(batchTokens, static_cast<std::uint64_t>(batch.tokens));
        batchSequences = std::max(batchSequences, static_cast<std::uint64_t>(batch.sequences.size()));
        for (const TokenIds &sequence : batch.sequences)
            ids.insert(sequence.begin(), sequence.end());
    }
    const auto hidden = static_cast<std::uint64_t>(config.hiddenSize);
    const auto states = static_cast<std::uint64_t>(config.layers()) + 1;
    const std::uint64_t element = c10::elementSize(loader.dtype());

    StreamingEstimate estimate;
    malloc_trim(0); // what is free already does not count
    estimate.process = memoryUse().anonymous;
    estimate.bytesRead
        = ids.size() * (loader.entry(kEmbedding).bytes.size() / static_cast<std::uint64_t>(config.vocabSize));
    for (int index = 0; index < config.layers(); ++index) {
        const BlockShape &shape = config.blocks[static_cast<std::size_t>(index)];
        std::uint64_t weights = 0;
        std::uint64_t largest = 0;
        for (const BlockTensor &tensor : blockTensors(config, shape)) {
            const WeightFiles::Entry &entry = loader.entry(streamingBlockPrefix(index) + tensor.name);
            const std::uint64_t elements = streamingElements(entry.shape);
            weights += loader.staysMapped(entry) ? 0 : elements * element;
            largest = std::max(largest, elements);
            estimate.bytesRead += entry.bytes.size();
        }
        // bf16 weights are seen as f32 when they are read, and laid out anew by the products, which widen their inputs
        // and keep the room for it
        const auto widest = static_cast<std::uint64_t>(
            std::max({config.hiddenSize, shape.intermediateSize, shape.queryHeads * config.headDim}));
        const std::uint64_t reading = element == 2 ? 4 * largest : 0;
        const std::uint64_t running
            = batchTokens * streamingTokenBytes(config, shape, element) + (element == 2 ? 2 * largest : 0);
        const std::uint64_t widened = element == 2 ? 4 * batchTokens * widest : 0;
        estimate.block = std::max(estimate.block, weights);
        estimate.batch = std::max(estimate.batch, std::max(reading, running) + widened);
    }
    estimate.states = (wanted.needSimilarity() ? states : 1) * tokens * hidden * element;
    if (wanted.needSimilarity())
        estimate.similarity = batchTokens * hidden * (4 * states + element + 4)
            + batchSequences * states * 8 * (2 * hidden + 4 * states);
    estimate.statesInFile = estimate.peak() > memoryBudget;
    const std::uint64_t smallest = estimate.peak() - (estimate.statesInFile ? 0 : estimate.states);
    estimate.smallestBudget = (smallest + kMebibyte - 1) / kMebibyte * kMebibyte;
    return estimate;
}

bool analysisFitsInMemory(const ModelInfo &info, const ComputeSettings &settings, std::int64_t batchTokens)
{
    if (!info.config)
        return true; // the loader says why not
    const int element = static_cast<int>(c10::elementSize(placementDtype(settings)));
    const MemoryEstimate need
        = estimateMemory(*info.config, element, calibrationBatchTokens(*info.config, batchTokens), 0);
    const at::Device device = placementDevice(settings);
    for (const DeviceInfo &one : listDevices())
        if (one.id == device.str())
            return need.total() <= one.freeBytes;
    return true;
}

std::uint64_t defaultMemoryBudget()
{
    const MemoryUse memory = memoryUse();
    return (memory.anonymous + memory.available) / 10 * 9;
}

AnalysisResult analyzeStreaming(const ModelInfo &info, const AnalysisRequest &request, const ComputeSettings &settings,
                                std::uint64_t memoryBudget, const JobContext &context)
{
    return withoutGradients([&] {
        const StreamingEstimate estimate = estimateStreaming(info, request, settings, memoryBudget);
        if (memoryBudget < estimate.smallestBudget) {
            throw Error(ErrorKind::InvalidArgument,
                        "The memory budget of " + std::to_string(memoryBudget / kMebibyte)
                            + " MiB is too small for one block and one batch of \"" + info.name
                            + "\"; the smallest that works is " + std::to_string(estimate.smallestBudget / kMebibyte)
                            + " MiB.",
                        "Allow more memory, or use shorter samples.");
        }
        const WantedMaps wanted(request.maps);
        const std::vector<CalibrationBatch> batches
            = calibrationBatches(*info.config, request.calibration.sequences, request.batchTokens);
        StreamingSweep sweep(info, settings, wanted, batches, estimate.statesInFile, context);
        sweep.run();
        AnalysisResult result = sweep.result();
        result.calibration = request.calibration.record;
        return result;
    });
}

} // namespace secateur
