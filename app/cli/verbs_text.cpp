#include "app/cli/inputs.h"
#include "app/cli/shell.h"
#include "app/cli/verbs.h"

#include <CLI/CLI.hpp>

#include <memory>
#include <optional>

namespace secateur::cli {

namespace {

struct TokenizeArguments {
    std::string model, text, file, decode;
    bool addSpecial = false, skipSpecial = false;
    CLI::Option *textOption = nullptr, *fileOption = nullptr, *decodeOption = nullptr;
};

Json encoded(const Tokenizer &tokenizer, const std::string &text, bool addSpecial)
{
    const TokenIds ids = tokenizer.encode(text, addSpecial);
    Json tokens = Json::array();
    for (const std::int32_t id : ids)
        tokens.push_back(tokenizer.tokenText(id));
    return {{"ids", ids}, {"tokens", std::move(tokens)}};
}

std::string encodedText(const Json &json)
{
    std::string text;
    for (std::size_t i = 0; i < json["ids"].size(); ++i)
        text += json["ids"][i].dump() + "\t" + json["tokens"][i].get<std::string>() + "\n";
    return text;
}

void tokenize(Shell &shell, const TokenizeArguments &arguments)
{
    const auto chosen = arguments.textOption->count() + arguments.fileOption->count() + arguments.decodeOption->count();
    if (chosen != 1)
        throw Error(ErrorKind::InvalidArgument, "tokenize needs exactly one of TEXT, --file and --decode.");
    const auto tokenizer = loadTokenizer(workflow::resolveModelPath(arguments.model));
    if (arguments.decodeOption->count() > 0) {
        const TokenIds ids = parseIds(arguments.decode);
        for (const std::int32_t id : ids)
            if (id >= tokenizer->vocabularySize())
                throw Error(ErrorKind::InvalidArgument,
                            "Token id " + std::to_string(id) + " is beyond the vocabulary of "
                                + std::to_string(tokenizer->vocabularySize()) + ".");
        const std::string text = tokenizer->decode(ids, arguments.skipSpecial);
        return shell.result({{"text", text}}, text);
    }
    if (arguments.fileOption->count() > 0) {
        Json results = Json::array();
        std::string text;
        for (const std::string &one : readStrings(arguments.file)) {
            results.push_back(encoded(*tokenizer, one, arguments.addSpecial));
            text += results.back()["ids"].dump() + "\n";
        }
        return shell.result({{"results", std::move(results)}}, text);
    }
    const Json json = encoded(*tokenizer, arguments.text, arguments.addSpecial);
    shell.result(json, encodedText(json));
}

struct TemplateArguments {
    std::string model, messages, thinking;
    bool noGenerationPrompt = false;
};

void renderTemplate(Shell &shell, const TemplateArguments &arguments)
{
    const auto path = workflow::resolveModelPath(arguments.model);
    const auto chatTemplate = loadChatTemplate(path);
    if (!chatTemplate)
        throw Error(ErrorKind::NotFound, "'" + path.string() + "' has no chat template.",
                    "Put chat_template.jinja into the folder.");
    std::optional<bool> thinking;
    if (!arguments.thinking.empty())
        thinking = arguments.thinking == "true";
    const std::string text
        = chatTemplate->render(readMessages(arguments.messages), !arguments.noGenerationPrompt, thinking);
    Json json = {{"text", text}, {"ids", nullptr}};
    try {
        json["ids"] = loadTokenizer(path)->encode(text);
    } catch (const Error &error) {
        if (error.kind() != ErrorKind::NotFound) // a folder with a template alone is fine
            throw;
    }
    shell.result(json, text);
}

} // namespace

void addTextVerbs(CLI::App &program, Shell &shell)
{
    auto *tokenizeVerb = program.add_subcommand("tokenize", "Text to token ids and back");
    const auto tokens = std::make_shared<TokenizeArguments>();
    tokenizeVerb->add_option("MODEL", tokens->model, "model, or a folder with only a tokenizer")->required();
    tokens->textOption = tokenizeVerb->add_option("TEXT", tokens->text, "text to encode");
    tokens->fileOption = tokenizeVerb->add_option("--file", tokens->file, "JSON list of texts to encode");
    tokens->decodeOption = tokenizeVerb->add_option("--decode", tokens->decode, "ids to decode, as 1,2,3");
    tokenizeVerb->add_flag("--add-special", tokens->addSpecial, "add BOS and the like as the tokenizer says");
    tokenizeVerb->add_flag("--skip-special", tokens->skipSpecial, "leave special tokens out when decoding");
    tokenizeVerb->callback([&shell, tokens] { shell.verb = [&shell, tokens] { tokenize(shell, *tokens); }; });

    auto *templateVerb = program.add_subcommand("template", "Render the chat template");
    const auto rendering = std::make_shared<TemplateArguments>();
    templateVerb->add_option("MODEL", rendering->model, "model")->required();
    templateVerb->add_option("--messages", rendering->messages, "JSON list of {role, content}")->required();
    templateVerb->add_flag("--no-generation-prompt", rendering->noGenerationPrompt, "end after the last message");
    templateVerb->add_option("--enable-thinking", rendering->thinking, "the template's variable; unset: undefined")
        ->check(CLI::IsMember({"true", "false"}));
    templateVerb->callback(
        [&shell, rendering] { shell.verb = [&shell, rendering] { renderTemplate(shell, *rendering); }; });
}

} // namespace secateur::cli
