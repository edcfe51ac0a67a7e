#include "backend/workflow/recover.h"

#include "backend/io/corpus.h"
#include "backend/workflow/calibrate.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

namespace secateur::workflow {

namespace {

bool recoverIsBlank(std::string_view text)
{
    return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

std::size_t commonPrefix(const TokenIds &a, const TokenIds &b)
{
    return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

/// One assistant turn in rendered text: what the model sees before it, and that plus the turn.
struct AssistantTurn {
    std::string before; ///< with the generation prompt, as at inference
    std::string upTo; ///< the turn and its end mark included
};

std::string textBeforeTurn(const ChatTemplate &chatTemplate, const std::vector<ChatMessage> &messages)
{
    try {
        return chatTemplate.render(messages, true);
    } catch (const Error &) {
        if (messages.empty())
            return {}; // many templates look at the first message
        throw;
    }
}

std::vector<AssistantTurn> assistantTurns(const ChatTemplate &chatTemplate, const std::vector<ChatMessage> &messages)
{
    std::vector<AssistantTurn> turns;
    std::vector<ChatMessage> seen;
    for (const ChatMessage &message : messages) {
        if (message.role == "assistant" && !recoverIsBlank(message.content)) {
            AssistantTurn turn{textBeforeTurn(chatTemplate, seen), {}};
            seen.push_back(message);
            turn.upTo = chatTemplate.render(seen, false);
            turns.push_back(std::move(turn));
        } else {
            seen.push_back(message);
        }
    }
    return turns;
}

/// Marks the tokens of \a turn in \a sample. Blanks that the template writes behind the end mark are no part of the
/// answer: at inference the model has stopped by then.
void markTurn(const Tokenizer &tokenizer, const AssistantTurn &turn, TrainingSample &sample)
{
    const std::size_t begin = commonPrefix(sample.ids, tokenizer.encode(turn.before));
    std::size_t end = commonPrefix(sample.ids, tokenizer.encode(turn.upTo));
    for (std::size_t i = end; i > begin; --i) {
        if (!tokenizer.isSpecial(sample.ids[i - 1]))
            continue;
        const std::span<const std::int32_t> rest(sample.ids.data() + i, end - i);
        if (recoverIsBlank(tokenizer.decode(rest)))
            end = i;
        break;
    }
    for (std::size_t i = begin; i < end; ++i)
        sample.lossMask[i] = 1;
}

TrainingSample emptyMask(TokenIds ids)
{
    TrainingSample sample;
    sample.lossMask.assign(ids.size(), 0);
    sample.ids = std::move(ids);
    return sample;
}

/// One sample with every assistant turn marked. Templates that write earlier turns differently (without their trace,
/// say) give one sample per turn instead, each as the model sees it when it answers.
std::vector<TrainingSample> chatSamples(const std::vector<ChatMessage> &messages, const Tokenizer &tokenizer,
                                        const ChatTemplate &chatTemplate)
{
    std::vector<TrainingSample> samples;
    const auto turns = assistantTurns(chatTemplate, messages);
    if (turns.empty())
        return samples;
    const std::string whole = chatTemplate.render(messages, false);
    const bool isOneText = std::all_of(turns.begin(), turns.end(),
                                       [&](const AssistantTurn &turn) { return whole.starts_with(turn.upTo); });
    if (isOneText) {
        samples.push_back(emptyMask(tokenizer.encode(whole)));
        for (const AssistantTurn &turn : turns)
            markTurn(tokenizer, turn, samples.back());
    } else {
        for (const AssistantTurn &turn : turns) {
            samples.push_back(emptyMask(tokenizer.encode(turn.upTo)));
            markTurn(tokenizer, turn, samples.back());
        }
    }
    return samples;
}

std::int64_t scoredTokens(const TrainingSample &sample)
{
    // Token 0 has no predecessor to predict it from.
    return sample.lossMask.empty() ? 0 : std::count(sample.lossMask.begin() + 1, sample.lossMask.end(), 1);
}

void keepSample(TrainingSample sample, int maxLength, TrainingData &data)
{
    if (sample.ids.size() > static_cast<std::size_t>(maxLength)) {
        ++data.dropped;
    } else if (const auto scored = scoredTokens(sample); scored == 0) {
        ++data.skipped;
    } else {
        data.tokens += static_cast<std::int64_t>(sample.ids.size());
        data.scoredTokens += scored;
        data.samples.push_back(std::move(sample));
    }
}

void addText(const std::string &text, bool isWholeFile, const Tokenizer &tokenizer, int maxLength, TrainingData &data)
{
    const TokenIds ids = tokenizer.encode(text);
    // A file of prose is one long sample: it is cut, since no answer stands at its end.
    const std::size_t step = isWholeFile ? static_cast<std::size_t>(maxLength) : std::max<std::size_t>(ids.size(), 1);
    for (std::size_t start = 0; start < ids.size(); start += step) {
        const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(start);
        const auto length = std::min(step, ids.size() - start);
        TrainingSample sample = emptyMask(TokenIds(begin, begin + static_cast<std::ptrdiff_t>(length)));
        std::fill(sample.lossMask.begin(), sample.lossMask.end(), std::uint8_t{1});
        keepSample(std::move(sample), maxLength, data);
    }
}

void checkRecoveryOptions(const RecoveryOptions &options)
{
    if (options.kind != "lora")
        throw Error(ErrorKind::Unsupported, "Recovery kind '" + options.kind + "' is not known.", "Known: lora.");
    if (options.steps < 1)
        throw Error(ErrorKind::InvalidArgument,
                    "Recovery needs 1 step or more, not " + std::to_string(options.steps) + ".");
    if (options.rank < 1)
        throw Error(ErrorKind::InvalidArgument, "LoRA needs rank 1 or more, not " + std::to_string(options.rank) + ".");
    if (options.maxLength < 2)
        throw Error(ErrorKind::InvalidArgument,
                    "Samples need a length of 2 tokens or more, not " + std::to_string(options.maxLength) + ".");
}

} // namespace

TrainingData makeTrainingData(const std::string &source, const Tokenizer &tokenizer, const ChatTemplate *chatTemplate,
                              int maxLength)
{
    const std::filesystem::path path = source == "bundled" ? bundledData(true) : std::filesystem::path(source);
    const Corpus corpus = readCorpus(path);
    TrainingData data;
    data.name = corpus.name;
    data.sha256 = corpus.sha256;
    data.skipped = corpus.skipped;
    std::optional<Error> refusal;
    for (const CorpusSample &sample : corpus.samples) {
        if (!sample.isChat()) {
            addText(sample.text, corpus.kind == "text", tokenizer, maxLength, data);
            continue;
        }
        if (!chatTemplate)
            throw Error(ErrorKind::InvalidArgument,
                        "'" + path.string() + "' holds conversations, but the model has no chat template.",
                        "Choose a text file, or add chat_template.jinja to the model's folder.");
        try {
            auto rendered = chatSamples(sample.messages, tokenizer, *chatTemplate);
            if (rendered.empty())
                ++data.skipped;
            for (TrainingSample &one : rendered)
                keepSample(std::move(one), maxLength, data);
        } catch (const Error &error) {
            refusal = error; // e.g. a system turn where the template knows none
            ++data.skipped;
        }
    }
    if (data.samples.empty() && data.dropped == 0 && refusal)
        throw *refusal;
    return data;
}

RecoverOutcome recover(const LoadedModel &dense, const Model &model, const RecoverRequest &request,
                       const JobContext &context, MetricFeed *feed)
{
    checkRecoveryOptions(request.options);
    context.checkpoint({"recover.data", 0, 0});
    RecoveryOptions options = request.options;
    if (model.config().maxPositions > 0)
        options.maxLength = std::min(options.maxLength, model.config().maxPositions);
    const Tokenizer &tokenizer = requireTokenizer(dense);
    TrainingData data;
    try {
        data = makeTrainingData(request.data, tokenizer, dense.chatTemplate.get(), options.maxLength);
    } catch (const Error &) {
        chatTemplateIfAny(dense); // a template that cannot be read is the better reason
        throw;
    }
    if (data.samples.empty())
        throw Error(ErrorKind::InvalidArgument,
                    "'" + data.name + "' has no sample of at most " + std::to_string(options.maxLength)
                        + " tokens: " + std::to_string(data.dropped) + " are longer and " + std::to_string(data.skipped)
                        + " have no response.",
                    "Raise the sample length or choose other data.");

    RecoverOutcome outcome;
    outcome.training = trainLora(model, data.samples, options, context, feed, request.start.get());
    RunRecord &record = outcome.record;
    record.options = options;
    record.dataName = data.name;
    record.dataSha256 = data.sha256;
    record.droppedSamples = data.dropped + outcome.training.droppedSamples;
    for (const TrainingPoint &point : outcome.training.points) {
        record.losses.push_back(point.loss);
        record.learningRates.push_back(point.learningRate);
    }
    if (outcome.training.seconds > 0)
        record.tokensPerSecond = static_cast<double>(outcome.training.tokens) / outcome.training.seconds;
    const auto done = record.losses.size();
    record.name = "LoRA, " + std::to_string(done)
        + (outcome.training.cancelled ? " of " + std::to_string(options.steps) : std::string())
        + (options.steps == 1 ? " step" : " steps");
    if (!request.outputFolder.empty() && done > 0 && outcome.training.adapter)
        saveAdapter(*outcome.training.adapter, request.outputFolder, request.basePath);
    return outcome;
}

} // namespace secateur::workflow
