#include "backend/engine/nn/shared_prefixes.h"

#include <algorithm>
#include <numeric>

namespace secateur {

std::int64_t commonPrefix(const TokenIds &a, const TokenIds &b)
{
    return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

namespace {

/// On a GPU a segment is a few launches per block: too much for a few tokens less.
std::int64_t leastPrefix(const at::Device &device)
{
    return device.is_cpu() ? 1 : 16;
}

} // namespace

SharedPrefixBatch sharePrefixes(std::span<const TokenIds> sequences, const at::Device &device)
{
    // in lexical order the neighbour in front has the longest prefix that any earlier one has
    std::vector<std::size_t> order(sequences.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return sequences[a] < sequences[b]; });

    SharedPrefixBatch batch;
    batch.rows.resize(sequences.size());
    TokenIds ids;
    TokenIds positions;
    std::vector<std::int32_t> keyRows;
    for (std::size_t i = 0; i < order.size(); ++i) {
        const TokenIds &sequence = sequences[order[i]];
        std::vector<std::int32_t> &rows = batch.rows[order[i]];
        const auto length = static_cast<std::int64_t>(sequence.size());
        std::int64_t past = i > 0 ? commonPrefix(sequences[order[i - 1]], sequence) : 0;
        if (past < std::min(leastPrefix(device), length))
            past = 0;
        const auto first = static_cast<std::int64_t>(ids.size());
        if (past > 0) {
            const std::vector<std::int32_t> &before = batch.rows[order[i - 1]];
            rows.assign(before.begin(), before.begin() + past);
        }
        for (std::int64_t position = past; position < length; ++position) {
            rows.push_back(static_cast<std::int32_t>(ids.size()));
            ids.push_back(sequence[static_cast<std::size_t>(position)]);
            positions.push_back(static_cast<std::int32_t>(position));
        }
        if (past == length)
            continue;
        batch.segments.push_back({first, first + length - past, past, static_cast<std::int64_t>(keyRows.size())});
        keyRows.insert(keyRows.end(), rows.begin(), rows.end());
    }
    batch.ids = idsTensor(ids, device);
    batch.positions = idsTensor(positions, device);
    batch.keyRows = idsTensor(keyRows, device);
    return batch;
}

} // namespace secateur
