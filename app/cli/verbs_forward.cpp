#include "app/cli/inputs.h"
#include "app/cli/shell.h"
#include "app/cli/verbs.h"

#include "backend/engine/forward.h"
#include "backend/engine/generation.h"
#include "backend/io/atomic_file.h"
#include "backend/io/safetensors.h"
#include "backend/text/trace.h"

#include <CLI/CLI.hpp>

#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace secateur::cli {

namespace {

struct LogitsArguments {
    std::string model, ids, out;
    bool hiddenStates = false;
};

void logits(Shell &shell, const LogitsArguments &arguments)
{
    const auto sequences = readIdsFile(arguments.ids);
    const auto model = shell.openModel(arguments.model);
    const ModelConfig &config = model.model->config();
    std::vector<SequenceOutputs> outputs;
    std::vector<TensorView> tensors;
    outputs.reserve(sequences.size()); // the views below point into it
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        shell.context().checkpoint(
            {"logits.sequence", static_cast<std::int64_t>(i), static_cast<std::int64_t>(sequences.size())});
        const auto &output = outputs.emplace_back(forwardSequence(*model.model, sequences[i], arguments.hiddenStates));
        const std::string index = std::to_string(i);
        tensors.push_back(
            {"logits." + index, "F32", {output.tokens, config.vocabSize}, std::as_bytes(std::span(output.logits))});
        if (arguments.hiddenStates)
            tensors.push_back({"hidden." + index,
                               "F32",
                               {config.layers() + 1, output.tokens, config.hiddenSize},
                               std::as_bytes(std::span(output.hidden))});
    }
    writeSafetensors(arguments.out, tensors);
    Json names = Json::array();
    for (const TensorView &tensor : tensors)
        names.push_back({{"name", tensor.name}, {"shape", tensor.shape}});
    shell.result({{"file", arguments.out}, {"sequences", sequences.size()}, {"tensors", names}},
                 "Wrote " + std::to_string(tensors.size()) + " tensors to " + arguments.out);
}

struct LoglikelihoodArguments {
    std::string model, requests;
};

void loglikelihood(Shell &shell, const LoglikelihoodArguments &arguments)
{
    const auto requests = readTextRequests(arguments.requests);
    const auto model = shell.openModel(arguments.model);
    Json results = Json::array();
    std::string text;
    for (const auto &score : workflow::scoreTexts(model, *model.model, requests, shell.context())) {
        results.push_back({{"logprob", score.logprob}, {"is_greedy", score.isGreedy}, {"tokens", score.tokens}});
        text
            += fixed(score.logprob, 6) + (score.isGreedy ? "\tgreedy\t" : "\t\t") + std::to_string(score.tokens) + "\n";
    }
    shell.result({{"results", std::move(results)}}, text);
}

struct PerplexityArguments {
    std::string model, text, ids;
    std::int64_t length = 512, chunks = 0;
};

void printPerplexity(Shell &shell, const PerplexityArguments &arguments)
{
    if (arguments.text.empty() == arguments.ids.empty())
        throw Error(ErrorKind::InvalidArgument, "perplexity needs exactly one of --text and --ids.");
    const std::string text = arguments.text.empty() ? std::string() : readTextFile(arguments.text);
    TokenIds ids;
    if (!arguments.ids.empty())
        for (const TokenIds &sequence : readIdsFile(arguments.ids))
            ids.insert(ids.end(), sequence.begin(), sequence.end());
    const auto model = shell.openModel(arguments.model);
    if (arguments.ids.empty())
        ids = workflow::requireTokenizer(model).encode(text);
    const PerplexityResult result = perplexity(*model.model, ids, arguments.length, arguments.chunks, shell.context());
    shell.result({{"perplexity", result.perplexity},
                  {"chunks", result.chunks},
                  {"tokens", result.tokens},
                  {"length", arguments.length}},
                 "Perplexity " + fixed(result.perplexity, 4) + " over " + std::to_string(result.chunks) + " chunks of "
                     + std::to_string(arguments.length) + " tokens");
}

struct GenerateArguments {
    std::string model, prompts, prompt, ids;
    bool chat = false;
    bool stream = false;
    int batch = 16;
    std::uint64_t cacheMegabytes = 0;
    GenerationOptions options;
    CLI::Option *promptOption = nullptr;
};

struct EncodedPrompt {
    std::string text; ///< rendered; empty for ids
    TokenIds ids;
};

std::vector<Prompt> promptsOf(const GenerateArguments &arguments)
{
    const int chosen
        = int(!arguments.prompts.empty()) + int(arguments.promptOption->count() > 0) + int(!arguments.ids.empty());
    if (chosen != 1)
        throw Error(ErrorKind::InvalidArgument, "generate needs exactly one of --prompts, --prompt and --ids.");
    std::vector<Prompt> prompts;
    if (!arguments.prompts.empty()) {
        prompts = readPrompts(arguments.prompts);
    } else if (!arguments.ids.empty()) {
        for (TokenIds &ids : readIdsFile(arguments.ids))
            prompts.push_back({{}, {}, std::move(ids)});
    } else {
        prompts.push_back({arguments.prompt, {}, {}});
    }
    return prompts;
}

EncodedPrompt encodedPrompt(const workflow::LoadedModel &model, const Prompt &prompt, bool chat)
{
    EncodedPrompt result;
    if (!prompt.ids.empty()) {
        result.ids = prompt.ids;
        if (model.tokenizer)
            result.text = model.tokenizer->decode(prompt.ids);
        return result;
    }
    const Tokenizer &tokenizer = workflow::requireTokenizer(model);
    if (chat || !prompt.messages.empty()) {
        auto messages = prompt.messages;
        if (messages.empty())
            messages.push_back({"user", prompt.text});
        result.text = workflow::requireChatTemplate(model).render(messages, true);
        result.ids = tokenizer.encode(result.text); // BOS, if any, was written by the template
    } else {
        result.text = prompt.text;
        result.ids = tokenizer.encode(result.text, true);
    }
    return result;
}

/// Writes texts as their tokens come, whole characters only, one text per line.
class TextStream {
public:
    TextStream(Shell &shell, std::shared_ptr<const Tokenizer> tokenizer)
        : m_shell(shell), m_tokenizer(std::move(tokenizer)), m_decoder(m_tokenizer)
    { }

    void push(std::size_t sequence, std::int32_t id)
    {
        advance(sequence);
        m_shell.piece(m_decoder.push(id));
    }
    /// Ends the texts before \a sequence.
    void advance(std::size_t sequence)
    {
        for (; m_sequence < sequence; ++m_sequence) {
            m_shell.piece(m_decoder.flush() + "\n");
            m_decoder = StreamingDecoder(m_tokenizer);
        }
    }

private:
    Shell &m_shell;
    std::shared_ptr<const Tokenizer> m_tokenizer;
    StreamingDecoder m_decoder;
    std::size_t m_sequence = 0;
};

void generateText(Shell &shell, const GenerateArguments &arguments)
{
    const auto prompts = promptsOf(arguments);
    if (arguments.stream && shell.options.json)
        throw Error(ErrorKind::InvalidArgument, "generate writes either a stream or one JSON document.",
                    "Leave out --stream or --json.");
    const auto model = shell.openModel(arguments.model);
    GenerationRequest request;
    request.options = arguments.options;
    request.options.seed = shell.options.seed;
    request.batch = arguments.stream ? 1 : arguments.batch; // texts come one after another
    request.cacheBytes = arguments.cacheMegabytes << 20;
    std::vector<EncodedPrompt> encodedPrompts;
    for (const Prompt &prompt : prompts) {
        encodedPrompts.push_back(encodedPrompt(model, prompt, arguments.chat));
        request.prompts.push_back(encodedPrompts.back().ids);
    }
    std::optional<TextStream> stream;
    if (arguments.stream) {
        workflow::requireTokenizer(model);
        stream.emplace(shell, model.tokenizer);
    }
    const GenerationResult result = generate(*model.model, request, model.tokenizer.get(), shell.context(),
                                             [&stream](std::size_t sequence, std::int32_t id) {
                                                 if (stream)
                                                     stream->push(sequence, id);
                                             });
    if (stream) {
        stream->advance(request.prompts.size());
        return;
    }
    Json results = Json::array();
    std::string text;
    for (std::size_t i = 0; i < result.sequences.size(); ++i) {
        const GeneratedSequence &sequence = result.sequences[i];
        Json one = {{"text", nullptr}, {"ids", sequence.ids}, {"finish", sequence.finish}};
        if (model.tokenizer) {
            const std::string generated = model.tokenizer->decode(sequence.ids);
            const TraceSpans spans
                = analyzeTrace(*model.tokenizer, generated, sequence.finish, promptOpensTrace(encodedPrompts[i].text));
            one["text"] = generated;
            one["trace"] = {{"state", traceStateName(spans.state)}, {"tokens", spans.traceTokens}};
            one["answer_tokens"] = spans.state == TraceState::Absent ? static_cast<std::int64_t>(sequence.ids.size())
                                                                     : spans.answerTokens;
            text += generated + "\n";
        } else {
            text += one["ids"].dump() + "\n";
        }
        one["prompt_tokens"] = request.prompts[i].size();
        results.push_back(std::move(one));
    }
    const auto rate
        = [](std::int64_t tokens, double seconds) { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0; };
    shell.result({{"results", std::move(results)},
                  {"batch", result.batch},
                  {"prefill_tokens_per_s", rate(result.prefillTokens, result.prefillSeconds)},
                  {"decode_tokens_per_s", rate(result.decodeTokens, result.decodeSeconds)}},
                 text);
}

} // namespace

void addForwardVerbs(CLI::App &program, Shell &shell)
{
    auto *logitsVerb = program.add_subcommand("logits", "Logits of token sequences, each alone");
    const auto forward = std::make_shared<LogitsArguments>();
    logitsVerb->add_option("MODEL", forward->model, "model")->required();
    logitsVerb->add_option("--ids", forward->ids, "JSON {\"sequences\": [[…], …]}")->required();
    logitsVerb->add_option("--out", forward->out, "safetensors file to write")->required();
    logitsVerb->add_flag("--hidden-states", forward->hiddenStates, "also the hidden states, before the final norm");
    logitsVerb->callback([&shell, forward] { shell.verb = [&shell, forward] { logits(shell, *forward); }; });

    auto *likelihoodVerb = program.add_subcommand("loglikelihood", "Log-likelihood of continuations");
    const auto likelihood = std::make_shared<LoglikelihoodArguments>();
    likelihoodVerb->add_option("MODEL", likelihood->model, "model")->required();
    likelihoodVerb->add_option("--requests", likelihood->requests, "JSON lines {context, continuation}")->required();
    likelihoodVerb->callback(
        [&shell, likelihood] { shell.verb = [&shell, likelihood] { loglikelihood(shell, *likelihood); }; });

    auto *perplexityVerb = program.add_subcommand("perplexity", "Perplexity of a text in chunks");
    const auto chunks = std::make_shared<PerplexityArguments>();
    perplexityVerb->add_option("MODEL", chunks->model, "model")->required();
    perplexityVerb->add_option("--text", chunks->text, "text file");
    perplexityVerb->add_option("--ids", chunks->ids, "JSON token ids, taken as one text");
    perplexityVerb->add_option("--length", chunks->length, "tokens in a chunk")
        ->check(CLI::Range(2, 1 << 24))
        ->capture_default_str();
    perplexityVerb->add_option("--chunks", chunks->chunks, "chunks at most, 0 = all")->check(CLI::NonNegativeNumber);
    perplexityVerb->callback([&shell, chunks] { shell.verb = [&shell, chunks] { printPerplexity(shell, *chunks); }; });

    auto *generateVerb = program.add_subcommand("generate", "Continue prompts");
    const auto generation = std::make_shared<GenerateArguments>();
    generateVerb->add_option("MODEL", generation->model, "model")->required();
    generateVerb->add_option("--prompts", generation->prompts, "JSON lines {prompt}, {messages} or {ids}");
    generation->promptOption = generateVerb->add_option("--prompt", generation->prompt, "one prompt");
    generateVerb->add_option("--ids", generation->ids, "JSON {\"sequences\": [[…], …]}");
    generateVerb->add_flag("--chat", generation->chat, "put prompts into the chat template as user turns");
    generateVerb->add_option("--max-new-tokens", generation->options.maxNewTokens, "cap")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    generateVerb->add_flag("--ignore-eos", generation->options.ignoreEos, "run to the cap");
    generateVerb->add_option("--temperature", generation->options.temperature, "0 = greedy")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    generateVerb->add_option("--top-p", generation->options.topP, "nucleus")->check(CLI::Range(0.0, 1.0));
    generateVerb->add_option("--top-k", generation->options.topK, "0 = all")->check(CLI::NonNegativeNumber);
    generateVerb->add_option("--min-p", generation->options.minP, "least share of the best token's probability")
        ->check(CLI::Range(0.0, 1.0));
    generateVerb->add_option("--stop-id", generation->options.stopIds, "token id that ends the output");
    generateVerb->add_flag("!--no-loop-stop", generation->options.stopLoops, "let proven loops run to the cap");
    generateVerb->add_flag("--stream", generation->stream, "write texts while they grow, one prompt at a time");
    generateVerb->add_option("--cache-memory", generation->cacheMegabytes, "MiB for keys and values, 0 = what is free");
    generateVerb->add_option("--stop", generation->options.stopStrings, "text that ends the output");
    generateVerb->add_option("--batch", generation->batch, "sequences decoded together")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    generateVerb->callback(
        [&shell, generation] { shell.verb = [&shell, generation] { generateText(shell, *generation); }; });
}

} // namespace secateur::cli
