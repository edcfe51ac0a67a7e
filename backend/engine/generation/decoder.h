#pragma once

#include "backend/engine/generation/kv_cache.h"

#include <memory>
#include <span>
#include <vector>

namespace secateur {

/// One token in a slot of the cache: it is appended at the slot's length and the slot grows by one.
struct DecodeRow {
    std::int64_t slot = 0;
    std::int32_t id = 0;
};

/// Continues sequences of a cache by one token at a time.
class Decoder {
public:
    virtual ~Decoder() = default;
    /// Logits of the next token for each row, [rows, V]; valid until the next call.
    virtual std::span<const float> step(const std::vector<DecodeRow> &rows) = 0;
};

/// true when makeDecoder() makes a row decoder.
bool usesRowDecoder(const Model::Impl &model);

/// The fastest decoder for the model's device, of LibTorch's operators where these were asked for. Model and cache must
/// outlive it; the cache is cleared unless it is a row decoder.
std::unique_ptr<Decoder> makeDecoder(const Model::Impl &model, KvCache &cache);

/// With LibTorch operators: any device. Needs a cleared cache.
std::unique_ptr<Decoder> makeTensorDecoder(const Model::Impl &model, KvCache &cache);

/// With this program's kernels, which stream the weights at the speed of memory: CPU only.
std::unique_ptr<Decoder> makeRowDecoder(const Model::Impl &model, KvCache &cache);

} // namespace secateur
