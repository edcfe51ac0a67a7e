#include "backend/text/chat_template.h"

#include "backend/core/error.h"
#include "backend/io/digest.h"
#include "backend/io/gguf_file.h"
#include "backend/text/jinja_evaluator.h"
#include "backend/text/jinja_parser.h"
#include "backend/text/utf8.h"

#include <nlohmann/json.hpp>

#include <fstream>
#include <sstream>
#include <system_error>

namespace secateur {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestMessage = 300; // names in a template can be of any length

std::string templateSentence(const jinja::Failure &failure)
{
    std::string message = failure.message;
    if (message.size() > kLongestMessage) {
        message.resize(settledUtf8Length(std::string_view(message).substr(0, kLongestMessage)));
        message += "…";
    }
    return "The chat template fails in line " + std::to_string(failure.line) + ": " + message
        + (message.ends_with('.') ? "" : ".");
}

std::string readTemplateText(const std::filesystem::path &path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw Error(ErrorKind::Io, path.string() + " cannot be opened.");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

json readTemplateConfig(const std::filesystem::path &path)
{
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored))
        return json::object();
    json config = json::parse(readTemplateText(path), nullptr, false);
    if (!config.is_object())
        throw Error(ErrorKind::BadFormat, path.string() + " is not a JSON object.");
    return config;
}

/// A special token is a string, or an object with its text in "content".
std::string specialToken(const json &config, const char *name)
{
    const auto found = config.find(name);
    if (found == config.end())
        return {};
    if (found->is_string())
        return found->get<std::string>();
    if (found->is_object() && found->contains("content") && found->at("content").is_string())
        return found->at("content").get<std::string>();
    return {};
}

/// "chat_template": a string, or a list of named ones.
std::optional<std::string> templateOfConfig(const json &config, const std::string &origin)
{
    const auto found = config.find("chat_template");
    if (found == config.end() || found->is_null())
        return std::nullopt;
    if (found->is_string())
        return found->get<std::string>();
    if (!found->is_array())
        throw Error(ErrorKind::BadFormat,
                    origin + ": \"chat_template\" must be a string or a list of named templates.");
    for (const json &entry : *found) {
        if (entry.is_object() && entry.value("name", json()) == "default" && entry.contains("template")
            && entry.at("template").is_string())
            return entry.at("template").get<std::string>();
    }
    throw Error(ErrorKind::BadFormat, origin + ": \"chat_template\" lists no template with the name \"default\".");
}

ChatTemplate namedTemplate(const std::string &origin, std::string source, std::string bosToken, std::string eosToken)
{
    try {
        return ChatTemplate(std::move(source), std::move(bosToken), std::move(eosToken));
    } catch (const Error &error) {
        throw Error(error.kind(), origin + ": " + error.what(), error.info().hint);
    }
}

std::optional<ChatTemplate> templateOfFolder(const std::filesystem::path &folder)
{
    const std::filesystem::path configPath = folder / "tokenizer_config.json";
    const json config = readTemplateConfig(configPath);
    const json specials = readTemplateConfig(folder / "special_tokens_map.json");
    const auto token = [&](const char *name) {
        std::string text = specialToken(config, name);
        return text.empty() && !config.contains(name) ? specialToken(specials, name) : text;
    };
    const std::filesystem::path file = folder / "chat_template.jinja";
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored))
        return namedTemplate(file.string(), readTemplateText(file), token("bos_token"), token("eos_token"));
    auto source = templateOfConfig(config, configPath.string());
    if (!source)
        return std::nullopt;
    return namedTemplate(configPath.string(), *std::move(source), token("bos_token"), token("eos_token"));
}

std::optional<ChatTemplate> templateOfGguf(const std::filesystem::path &path)
{
    const GgufFile file(path);
    auto source = file.string("tokenizer.chat_template");
    if (!source)
        return std::nullopt;
    const std::vector<std::string> *tokens = file.strings("tokenizer.ggml.tokens");
    const auto token = [&](std::string_view key) {
        const auto id = file.integer(key);
        const bool known = tokens && id && *id >= 0 && *id < static_cast<std::int64_t>(tokens->size());
        return known ? tokens->at(static_cast<std::size_t>(*id)) : std::string();
    };
    return namedTemplate(path.string(), *std::move(source), token("tokenizer.ggml.bos_token_id"),
                         token("tokenizer.ggml.eos_token_id"));
}

} // namespace

struct ChatTemplate::Impl {
    std::string source;
    std::string bosToken;
    std::string eosToken;
    jinja::Block program;
};

ChatTemplate::ChatTemplate(std::string source, std::string bosToken, std::string eosToken)
    : m_impl(std::make_unique<Impl>())
{
    m_impl->source = std::move(source);
    m_impl->bosToken = std::move(bosToken);
    m_impl->eosToken = std::move(eosToken);
    try {
        m_impl->program = jinja::parseTemplate(repairedUtf8(m_impl->source));
    } catch (const jinja::Failure &failure) {
        throw Error(ErrorKind::BadFormat, templateSentence(failure),
                    "Templates may use the part of Jinja that published chat templates use.");
    }
}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate &&) noexcept = default;
ChatTemplate &ChatTemplate::operator=(ChatTemplate &&) noexcept = default;

std::string ChatTemplate::render(const std::vector<ChatMessage> &messages, bool addGenerationPrompt,
                                 std::optional<bool> enableThinking) const
{
    std::vector<jinja::Value> conversation;
    conversation.reserve(messages.size());
    for (const ChatMessage &message : messages)
        conversation.push_back(
            jinja::Value::dict({{"role", repairedUtf8(message.role)}, {"content", repairedUtf8(message.content)}}));
    // As transformers calls it: tools and documents are there, and none.
    std::vector<std::pair<std::string, jinja::Value>> variables{
        {"messages", jinja::Value::list(std::move(conversation))},
        {"add_generation_prompt", addGenerationPrompt},
        {"tools", jinja::None{}},
        {"documents", jinja::None{}},
        {"bos_token", m_impl->bosToken},
        {"eos_token", m_impl->eosToken},
    };
    if (enableThinking)
        variables.emplace_back("enable_thinking", *enableThinking);
    try {
        return jinja::Evaluator().render(m_impl->program, std::move(variables));
    } catch (const jinja::Raised &raised) {
        throw Error(ErrorKind::InvalidArgument, raised.message);
    } catch (const jinja::Failure &failure) {
        throw Error(ErrorKind::InvalidArgument, templateSentence(failure));
    }
}

const std::string &ChatTemplate::source() const
{
    return m_impl->source;
}

std::string ChatTemplate::digest() const
{
    return sha256Hex(m_impl->source);
}

std::optional<ChatTemplate> loadChatTemplate(const std::filesystem::path &modelPath)
{
    std::error_code ignored;
    if (std::filesystem::is_directory(modelPath, ignored))
        return templateOfFolder(modelPath);
    if (modelPath.extension() == ".gguf")
        return templateOfGguf(modelPath);
    return templateOfFolder(modelPath.parent_path());
}

} // namespace secateur
