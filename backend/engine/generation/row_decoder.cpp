#include "backend/engine/generation/decoder.h"
#include "backend/engine/kernels/bf16_rows.h"
#include "backend/engine/kernels/row_math.h"
#include "backend/engine/kernels/row_product.h"
#include "backend/engine/kernels/worker_team.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

namespace secateur {

namespace {

/// A linear layer as the kernels want it. Holds the tensors whose memory it points to.
struct RowLinear {
    Tensor weightTensor;
    WeightRows weight;
    std::vector<float> bias;
    Tensor a, b; ///< low-rank branch, scaled
    WeightRows down, up;
    bool isFactored = false; ///< the low-rank branch is all there is

    RowLinear() = default;
    explicit RowLinear(const Linear &linear) : isFactored(linear.factor.defined())
    {
        if (isFactored)
            setBranch(linear.factor, linear.weight);
        else
            weightTensor = linear.weight.contiguous();
        if (linear.bias.defined())
            bias = toVector(linear.bias);
        if (linear.lora) {
            const Tensor first = linear.lora->a.to(at::kFloat);
            const Tensor second = linear.lora->b.to(at::kFloat) * linear.lora->scaling;
            if (isFactored) // two branches make one of the sum of their ranks
                setBranch(at::cat({linear.factor.to(at::kFloat), first}, 0),
                          at::cat({linear.weight.to(at::kFloat), second}, 1));
            else
                setBranch(first, second);
        }
        if (isFactored)
            weight.out = linear.outputs(); // no rows to read
        else
            weight = rows(weightTensor);
    }

    void setBranch(const Tensor &first, const Tensor &second)
    {
        a = first.detach().contiguous();
        b = second.detach().contiguous();
        down = rows(a);
        up = rows(b);
    }

    static WeightRows rows(const Tensor &tensor)
    {
        return {tensor.const_data_ptr(), tensor.scalar_type() == at::kBFloat16, tensor.size(0), tensor.size(1)};
    }
};

struct RowBlock {
    std::vector<float> attentionNorm, qNorm, kNorm, mlpNorm;
    RowLinear q, k, v, o, gate, up, down;
    std::int64_t queryHeads = 0, kvHeads = 0, channels = 0;
};

/// Room of one member of the team; nothing here is shared.
struct MemberRoom {
    std::vector<float> normed; ///< [rows, D]
    std::vector<float> product; ///< what a product with the widest inputs needs
    std::vector<float> lowRank, branch;
    std::vector<float> heads; ///< rotated heads of one group
    std::vector<float> scores;
    std::vector<float> cos, sin; ///< [rows, h/2]
};

class RowDecoder : public Decoder {
public:
    RowDecoder(const Model::Impl &model, KvCache &cache)
        : m_model(model),
          m_cache(cache),
          m_team(at::get_num_threads()),
          m_hiddenSize(model.config.hiddenSize),
          m_headDim(model.config.headDim),
          m_finalNorm(toVector(model.finalNorm)),
          m_head(model.head),
          m_frequencies(toVector(model.inverseFrequencies)),
          m_rooms(static_cast<std::size_t>(m_team.members()))
    {
        for (const DecoderBlock &block : model.blocks) {
            RowBlock own;
            if (block.q.defined()) {
                own.attentionNorm = toVector(block.attentionNorm);
                own.q = RowLinear(block.q);
                own.k = RowLinear(block.k);
                own.v = RowLinear(block.v);
                own.o = RowLinear(block.o);
                own.queryHeads = block.shape.queryHeads;
                own.kvHeads = block.shape.kvHeads;
                if (block.qNorm.defined())
                    own.qNorm = toVector(block.qNorm);
                if (block.kNorm.defined())
                    own.kNorm = toVector(block.kNorm);
            }
            if (block.gate.defined()) {
                own.mlpNorm = toVector(block.mlpNorm);
                own.gate = RowLinear(block.gate);
                own.up = RowLinear(block.up);
                own.down = RowLinear(block.down);
                own.channels = block.shape.intermediateSize;
            }
            m_widest = std::max({m_widest, m_hiddenSize, (own.queryHeads + 2 * own.kvHeads) * m_headDim, own.channels});
            if (own.kvHeads > 0)
                m_mostQueries = std::max(m_mostQueries, own.queryHeads / own.kvHeads);
            for (const RowLinear *linear : {&own.q, &own.k, &own.v, &own.o, &own.gate, &own.up, &own.down})
                noteSize(*linear);
            m_blocks.push_back(std::move(own));
        }
        noteSize(m_head);
    }

    std::span<const float> step(const std::vector<DecodeRow> &rows) override
    {
        m_rows = &rows;
        const auto count = static_cast<std::int64_t>(rows.size());
        std::int64_t longest = 0;
        for (const DecodeRow &row : rows)
            longest = std::max(longest, m_cache.length(row.slot) + 1);
        m_hidden.resize(static_cast<std::size_t>(count * m_hiddenSize));
        m_wide.resize(static_cast<std::size_t>(count * m_widest));
        m_second.resize(static_cast<std::size_t>(count * m_widest));
        m_logits.resize(static_cast<std::size_t>(count * m_head.weight.out));
        for (MemberRoom &room : m_rooms)
            prepare(room, count, longest);
        for (std::int64_t r = 0; r < count; ++r)
            embed(rows[static_cast<std::size_t>(r)].id, m_hidden.data() + r * m_hiddenSize);

        const std::function<void(int)> work = [this](int member) { runMember(member); };
        m_team.run(work);
        for (const DecodeRow &row : rows)
            m_cache.setLength(row.slot, m_cache.length(row.slot) + 1);
        return m_logits;
    }

private:
    void noteSize(const RowLinear &linear)
    {
        m_widestOutput = std::max(m_widestOutput, linear.weight.out);
        m_largestRank = std::max(m_largestRank, linear.down.out);
    }

    std::int64_t rowCount() const { return static_cast<std::int64_t>(m_rows->size()); }

    /// Everything a member needs is allocated before it runs: nothing may throw there.
    void prepare(MemberRoom &room, std::int64_t rows, std::int64_t longest) const
    {
        room.normed.resize(static_cast<std::size_t>(rows * m_hiddenSize));
        room.product.resize(static_cast<std::size_t>(rowProductRoom(rows, m_widest)));
        room.lowRank.resize(static_cast<std::size_t>(rows * m_largestRank));
        room.branch.resize(m_largestRank > 0 ? static_cast<std::size_t>(rows * m_widestOutput) : 0);
        room.heads.resize(static_cast<std::size_t>(m_mostQueries * m_headDim));
        room.scores.resize(static_cast<std::size_t>(m_mostQueries * longest));
        room.cos.resize(static_cast<std::size_t>(rows * m_headDim / 2));
        room.sin.resize(room.cos.size());
    }

    void embed(std::int32_t id, float *out) const
    {
        const Tensor &table = m_model.embedding; // [V, D]
        const std::int64_t first = id * m_hiddenSize;
        if (table.scalar_type() == at::kBFloat16) {
            fromBf16(static_cast<const std::uint16_t *>(table.const_data_ptr()) + first, m_hiddenSize, out);
        } else {
            std::copy_n(table.const_data_ptr<float>() + first, m_hiddenSize, out);
        }
    }

    WorkRange part(std::int64_t total, int member) const { return workRange(total, member, m_team.members()); }

    /// Every member norms all rows for itself: cheaper than waiting for another one to do it.
    const float *normed(const std::vector<float> &weight, MemberRoom &room) const
    {
        for (std::int64_t r = 0; r < rowCount(); ++r)
            normRow(m_hidden.data() + r * m_hiddenSize, weight.data(), m_model.config.rmsNormEps, m_hiddenSize,
                    room.normed.data() + r * m_hiddenSize);
        return room.normed.data();
    }

    /// y[r][o] for o in \a range, bias and low-rank branch included.
    void apply(const RowLinear &linear, const float *x, WorkRange range, float *y, std::int64_t stride,
               MemberRoom &room) const
    {
        const std::int64_t rows = rowCount();
        if (!linear.isFactored)
            rowProduct(linear.weight, x, rows, range.first, range.last, y, stride, room.product.data());
        else
            for (std::int64_t r = 0; r < rows; ++r)
                std::fill(y + r * stride + range.first, y + r * stride + range.last, 0.0F);
        if (!linear.bias.empty()) {
            for (std::int64_t r = 0; r < rows; ++r)
                for (std::int64_t o = range.first; o < range.last; ++o)
                    y[r * stride + o] += linear.bias[static_cast<std::size_t>(o)];
        }
        if (linear.down.out == 0 || range.first == range.last)
            return;
        rowProduct(linear.down, x, rows, 0, linear.down.out, room.lowRank.data(), linear.down.out);
        rowProduct(linear.up, room.lowRank.data(), rows, range.first, range.last, room.branch.data(), linear.up.out);
        for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t o = range.first; o < range.last; ++o)
                y[r * stride + o] += room.branch[static_cast<std::size_t>(r * linear.up.out + o)];
    }

    /// Adds the linear of \a x to the hidden states; \a sums is free room of [rows, D], own columns are used only.
    void addToHidden(const RowLinear &linear, const float *x, float *sums, int member, MemberRoom &room)
    {
        const WorkRange range = part(m_hiddenSize, member);
        apply(linear, x, range, sums, m_hiddenSize, room);
        for (std::int64_t r = 0; r < rowCount(); ++r)
            for (std::int64_t o = range.first; o < range.last; ++o)
                m_hidden[static_cast<std::size_t>(r * m_hiddenSize + o)] += sums[r * m_hiddenSize + o];
    }

    void fillRotary(MemberRoom &room) const
    {
        const auto half = m_frequencies.size();
        const auto factor = static_cast<float>(m_model.ropeAttentionFactor);
        for (std::size_t r = 0; r < m_rows->size(); ++r) {
            const auto position = static_cast<float>(m_cache.length((*m_rows)[r].slot));
            for (std::size_t i = 0; i < half; ++i) {
                const float angle = position * m_frequencies[i];
                room.cos[r * half + i] = std::cos(angle) * factor;
                room.sin[r * half + i] = std::sin(angle) * factor;
            }
        }
    }

    void storeHead(const Tensor &cache, std::int64_t slot, std::int64_t head, std::int64_t at, const float *x) const
    {
        const std::int64_t offset = ((slot * cache.size(1) + head) * cache.size(2) + at) * m_headDim;
        if (cache.scalar_type() == at::kBFloat16) {
            toBf16(x, m_headDim, static_cast<std::uint16_t *>(cache.mutable_data_ptr()) + offset);
        } else {
            std::copy_n(x, m_headDim, static_cast<float *>(cache.mutable_data_ptr()) + offset);
        }
    }

    /// First key of a slot's head, \a skip positions in.
    const void *cachedHead(const Tensor &cache, std::int64_t slot, std::int64_t head, std::int64_t skip) const
    {
        const std::int64_t offset = ((slot * cache.size(1) + head) * cache.size(2) + skip) * m_headDim;
        return static_cast<const std::byte *>(cache.const_data_ptr())
            + offset * static_cast<std::int64_t>(c10::elementSize(cache.scalar_type()));
    }

    /// One row and one KV group: norms and rotates its heads in \a mixed, stores key and value, attends in place.
    void attendGroup(const RowBlock &block, int index, std::int64_t row, std::int64_t group, MemberRoom &room)
    {
        const std::int64_t slot = (*m_rows)[static_cast<std::size_t>(row)].slot;
        const std::int64_t at = m_cache.length(slot);
        const std::int64_t repeat = block.queryHeads / block.kvHeads;
        float *q = m_wide.data() + row * m_widest + group * repeat * m_headDim;
        float *k = m_wide.data() + row * m_widest + (block.queryHeads + group) * m_headDim;
        const float *v = k + block.kvHeads * m_headDim;
        const float *cos = room.cos.data() + row * (m_headDim / 2);
        const float *sin = room.sin.data() + row * (m_headDim / 2);
        const double eps = m_model.config.rmsNormEps;
        for (std::int64_t head = 0; head < repeat; ++head) {
            float *x = q + head * m_headDim;
            if (!block.qNorm.empty())
                normRow(x, block.qNorm.data(), eps, m_headDim, x);
            rotateHead(x, cos, sin, m_headDim);
        }
        if (!block.kNorm.empty())
            normRow(k, block.kNorm.data(), eps, m_headDim, k);
        rotateHead(k, cos, sin, m_headDim);
        const Tensor &keys = m_cache.keys(index);
        const Tensor &values = m_cache.values(index);
        storeHead(keys, slot, group, at, k);
        storeHead(values, slot, group, at, v);

        const std::int64_t window = m_model.config.slidingWindow;
        const std::int64_t skip = window > 0 ? std::max<std::int64_t>(0, at + 1 - window) : 0;
        attendHead(q, repeat, cachedHead(keys, slot, group, skip), cachedHead(values, slot, group, skip),
                   keys.scalar_type() == at::kBFloat16, at + 1 - skip, m_headDim,
                   static_cast<float>(1 / std::sqrt(static_cast<double>(m_headDim))), room.scores.data(),
                   room.heads.data());
        // the mixed heads go next to each other for o
        float *mixed = m_second.data() + row * block.queryHeads * m_headDim + group * repeat * m_headDim;
        std::copy_n(room.heads.begin(), repeat * m_headDim, mixed);
    }

    void attentionPart(const RowBlock &block, int index, int member, MemberRoom &room)
    {
        const float *x = normed(block.attentionNorm, room);
        // q, k and v of one row lie next to each other; members share their outputs as one range
        const std::int64_t queryWidth = block.queryHeads * m_headDim;
        const std::int64_t keyWidth = block.kvHeads * m_headDim;
        const WorkRange range = part(queryWidth + 2 * keyWidth, member);
        const auto slice = [&](const RowLinear &linear, std::int64_t start, std::int64_t width) {
            const WorkRange own{std::clamp<std::int64_t>(range.first - start, 0, width),
                                std::clamp<std::int64_t>(range.last - start, 0, width)};
            apply(linear, x, own, m_wide.data() + start, m_widest, room);
        };
        slice(block.q, 0, queryWidth);
        slice(block.k, queryWidth, keyWidth);
        slice(block.v, queryWidth + keyWidth, keyWidth);
        m_team.barrier();
        const WorkRange pairs = workRange(rowCount() * block.kvHeads, member, m_team.members(), 1);
        for (std::int64_t pair = pairs.first; pair < pairs.last; ++pair)
            attendGroup(block, index, pair / block.kvHeads, pair % block.kvHeads, room);
        m_team.barrier();
        addToHidden(block.o, m_second.data(), m_wide.data(), member, room);
        m_team.barrier();
    }

    void mlpPart(const RowBlock &block, int member, MemberRoom &room)
    {
        const float *x = normed(block.mlpNorm, room);
        const WorkRange range = part(block.channels, member);
        apply(block.gate, x, range, m_wide.data(), block.channels, room);
        apply(block.up, x, range, m_second.data(), block.channels, room);
        for (std::int64_t r = 0; r < rowCount(); ++r) {
            const std::int64_t first = r * block.channels + range.first;
            siluProduct(m_wide.data() + first, m_second.data() + first, range.last - range.first);
        }
        m_team.barrier();
        addToHidden(block.down, m_wide.data(), m_second.data(), member, room);
        m_team.barrier();
    }

    void runMember(int member)
    {
        MemberRoom &room = m_rooms[static_cast<std::size_t>(member)];
        fillRotary(room);
        for (std::size_t index = 0; index < m_blocks.size(); ++index) {
            const RowBlock &block = m_blocks[index];
            if (block.queryHeads > 0)
                attentionPart(block, static_cast<int>(index), member, room);
            if (block.channels > 0)
                mlpPart(block, member, room);
        }
        const float *x = normed(m_finalNorm, room);
        apply(m_head, x, part(m_head.weight.out, member), m_logits.data(), m_head.weight.out, room);
    }

    const Model::Impl &m_model;
    KvCache &m_cache;
    WorkerTeam m_team;
    std::int64_t m_hiddenSize = 0;
    std::int64_t m_headDim = 0;
    std::int64_t m_widest = 0; ///< most values per row between two products
    std::int64_t m_mostQueries = 1; ///< query heads per KV group
    std::int64_t m_largestRank = 0; ///< of low-rank branches
    std::int64_t m_widestOutput = 0; ///< of any linear
    std::vector<float> m_finalNorm;
    RowLinear m_head;
    std::vector<float> m_frequencies;
    std::vector<RowBlock> m_blocks;
    std::vector<MemberRoom> m_rooms;
    const std::vector<DecodeRow> *m_rows = nullptr;
    std::vector<float> m_hidden; ///< [rows, D]
    std::vector<float> m_wide, m_second; ///< [rows, widest], between products
    std::vector<float> m_logits; ///< [rows, V]
};

} // namespace

std::unique_ptr<Decoder> makeRowDecoder(const Model::Impl &model, KvCache &cache)
{
    return std::make_unique<RowDecoder>(model, cache);
}

} // namespace secateur
