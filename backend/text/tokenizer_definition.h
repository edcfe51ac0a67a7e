#pragma once

#include "backend/text/added_tokens.h"
#include "backend/text/bpe_model.h"
#include "backend/text/normalizer.h"
#include "backend/text/pre_tokenizer.h"
#include "backend/text/token_decoder.h"
#include "backend/text/tokenizer.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace secateur {

/// A tokenizer as read from a file, before it is put to work.
struct TokenizerDefinition {
    std::string origin; ///< file name for messages
    std::vector<AddedToken> addedTokens;
    std::vector<NormalizerStep> normalizer;
    std::vector<PreTokenizerStep> preTokenizer;
    BpeDefinition model;
    TokenIds prefix; ///< what the post-processor puts before the text …
    TokenIds suffix; ///< … and after it
    TokenDecoder decoder;
};

/// Throws Error(NotFound, BadFormat, Unsupported) naming file and field. Added tokens that stand only in the
/// tokenizer_config.json beside the file are taken along.
TokenizerDefinition readTokenizerJson(const std::filesystem::path &path);
TokenizerDefinition readTokenizerGguf(const std::filesystem::path &path);

std::shared_ptr<const Tokenizer> makeTokenizer(TokenizerDefinition definition);

} // namespace secateur
