#pragma once

#include "backend/engine/nn/causal_lm.h"

namespace secateur {

/// Throws Error(InvalidArgument) for an empty sequence, an id outside the vocabulary, or \a ids and \a extraTokens
/// more that do not fit the model's positions. \a what names the sequence: "The prompt".
void requireSequence(const ModelConfig &config, const TokenIds &ids, const std::string &what,
                     std::int64_t extraTokens = 0);

/// Throws Error(Numeric) naming block, sequence and token where a forward pass over \a sequences first leaves the
/// finite numbers. For callers that saw a NaN or an infinity come out; finite passes return. \a firstNumber is the
/// number of the first sequence in messages; negative: there is only one and it needs no name.
void locateNonFinite(const Model::Impl &model, const std::vector<TokenIds> &sequences, std::int64_t firstNumber = -1);

/// "in the embedding", "after block 3": where hidden state \a state is.
std::string stateName(int state);

/// Throws that Error when a value of \a values (T, ·) is not finite. \a offsets as in PackedBatch, \a where: "after
/// block 3".
void requireFiniteRows(const Tensor &values, const std::vector<std::int64_t> &offsets, const std::string &where,
                       std::int64_t firstNumber = -1);

/// true when no value is NaN or infinite.
bool isFinite(const Tensor &values);

} // namespace secateur
