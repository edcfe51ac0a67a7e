#pragma once

#include "backend/core/calibration.h"
#include "backend/core/model_info.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace secateur {

/// Text ↔ token ids, exactly as the tokenizer.json of the model (or the GGUF metadata) says. Immutable, thread-safe.
class Tokenizer {
public:
    virtual ~Tokenizer() = default;

    /// Special tokens written inside \a text are recognised. \a addSpecial applies the post-processor (BOS).
    virtual TokenIds encode(std::string_view text, bool addSpecial = false) const = 0;
    virtual std::string decode(std::span<const std::int32_t> ids, bool skipSpecial = false) const = 0;
    /// Raw bytes of one token (may be part of a code point); for streaming.
    virtual std::string tokenBytes(std::int32_t id) const = 0;
    /// The token as written in the vocabulary ("Ġthe").
    virtual std::string tokenText(std::int32_t id) const = 0;
    virtual std::optional<std::int32_t> tokenId(std::string_view token) const = 0;
    virtual std::int64_t vocabularySize() const = 0; ///< highest id + 1
    virtual bool isSpecial(std::int32_t id) const = 0;
};

/// From a folder with tokenizer.json (+ tokenizer_config.json), a tokenizer.json itself, or a GGUF file.
/// Throws Error(NotFound, BadFormat, Unsupported) naming file and field.
std::shared_ptr<const Tokenizer> loadTokenizer(const std::filesystem::path &path);

/// Emits only whole UTF-8 code points while ids arrive one by one; all pieces together are what decode() gives. Bytes
/// that a tokenizer writes as tokens of their own ("<0xE2>") come when their run ends: it is valid as a whole or not.
class StreamingDecoder {
public:
    explicit StreamingDecoder(std::shared_ptr<const Tokenizer> tokenizer) : m_tokenizer(std::move(tokenizer)) { }
    std::string push(std::int32_t id); ///< text that became complete
    std::string flush();

private:
    std::string settled(std::string_view bytes);
    std::string endRun();

    std::shared_ptr<const Tokenizer> m_tokenizer;
    TokenIds m_run; ///< byte tokens since the last other token
    std::string m_pending;
    bool m_started = false;
};

} // namespace secateur
