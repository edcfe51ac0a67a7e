#pragma once

#include "backend/io/corpus.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace secateur {

/// A chat template: the Jinja subset that published templates use, rendered as Hugging Face does it (trim_blocks,
/// lstrip_blocks, raise_exception, bos_token, eos_token). Immutable, thread-safe. Rendering is bounded in steps and
/// output.
class ChatTemplate {
public:
    /// Throws Error(BadFormat) with line number when the text cannot be parsed.
    ChatTemplate(std::string source, std::string bosToken, std::string eosToken);
    ~ChatTemplate();
    ChatTemplate(ChatTemplate &&) noexcept;
    ChatTemplate &operator=(ChatTemplate &&) noexcept;

    /// Throws Error(InvalidArgument) with the template's own message when it raises an exception.
    /// \a enableThinking: unset = the variable is undefined, as transformers does by default.
    std::string render(const std::vector<ChatMessage> &messages, bool addGenerationPrompt,
                       std::optional<bool> enableThinking = std::nullopt) const;
    const std::string &source() const;
    std::string digest() const; ///< SHA-256 of the source

private:
    struct Impl;
    std::unique_ptr<Impl> m_impl;
};

/// From chat_template.jinja, else tokenizer_config.json (string or list of named templates: "default"), else GGUF
/// metadata. nullopt when the model has none. Throws Error(BadFormat).
std::optional<ChatTemplate> loadChatTemplate(const std::filesystem::path &modelPath);

} // namespace secateur
