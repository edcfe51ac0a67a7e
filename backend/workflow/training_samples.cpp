// Rows of a data set as the samples that recover() trains on.
#include "backend/workflow/recover.h"

#include "backend/workflow/calibrate.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace secateur::workflow {

namespace {

constexpr std::int64_t kRowsPerReport = 64;

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

/// The weight of every token of \a text: that of the span its first byte lies in, 1 outside.
std::vector<float> spanWeights(const CorpusSample &sample, const TokenIds &ids, const Tokenizer &tokenizer)
{
    std::vector<float> weights;
    weights.reserve(ids.size());
    std::size_t byte = 0;
    auto span = sample.spans.begin();
    for (const std::int32_t id : ids) {
        while (span != sample.spans.end() && span->end <= byte)
            ++span;
        const bool isInside = span != sample.spans.end() && span->begin <= byte;
        weights.push_back(isInside ? static_cast<float>(span->weight) : 1.0f);
        byte += tokenizer.tokenBytes(id).size();
    }
    if (byte != sample.text.size())
        throw Error(ErrorKind::Unsupported,
                    "The data weigh parts of their texts, but this tokenizer does not keep every byte of a text.",
                    "Leave out 'spans', or use a model with a byte-level tokenizer.");
    return weights;
}

/// What the options say about samples, and what became of them.
class SampleSink {
public:
    SampleSink(const RecoveryOptions &options, TrainingData &data)
        : m_limit(static_cast<std::size_t>(options.maxLength)),
          m_splitLong(options.splitLong),
          m_promptWeight(static_cast<float>(options.promptWeight)),
          m_data(data)
    { }

    void add(TrainingSample sample)
    {
        m_data.longest = std::max(m_data.longest, sample.ids.size());
        if (sample.ids.size() > m_limit) {
            ++m_data.dropped;
            m_data.shortest = m_data.shortest == 0 ? sample.ids.size() : std::min(m_data.shortest, sample.ids.size());
        } else if (const auto scored = scoredTokens(sample); scored == 0) {
            ++m_data.skipped;
        } else {
            m_data.tokens += static_cast<std::int64_t>(sample.ids.size());
            m_data.scoredTokens += scored;
            weighPrompt(sample);
            m_data.samples.push_back(std::move(sample));
        }
    }

    /// Without an answer at its end a text may be cut: a file of prose is one long sample. \a weights: of the tokens in
    /// the loss, empty for 1 each.
    void addText(const TokenIds &ids, const std::vector<float> &weights, bool isWholeFile)
    {
        const bool isCut = isWholeFile || m_splitLong;
        if (!isWholeFile && isCut && ids.size() > m_limit)
            ++m_data.split;
        const std::size_t step = isCut ? m_limit : std::max<std::size_t>(ids.size(), 1);
        for (std::size_t start = 0; start < ids.size(); start += step) {
            const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(start);
            const auto length = std::min(step, ids.size() - start);
            TrainingSample sample = emptyMask(TokenIds(begin, begin + static_cast<std::ptrdiff_t>(length)));
            std::fill(sample.lossMask.begin(), sample.lossMask.end(), std::uint8_t{1});
            if (!weights.empty()) {
                const auto weight = weights.begin() + static_cast<std::ptrdiff_t>(start);
                sample.weights.assign(weight, weight + static_cast<std::ptrdiff_t>(length));
            }
            add(std::move(sample));
        }
    }

private:
    void weighPrompt(TrainingSample &sample) const
    {
        if (m_promptWeight <= 0 || !sample.weights.empty())
            return;
        for (std::uint8_t &mask : sample.lossMask) {
            sample.weights.push_back(mask ? 1.0f : m_promptWeight);
            mask = 1;
        }
    }

    std::size_t m_limit;
    bool m_splitLong;
    float m_promptWeight;
    TrainingData &m_data;
};

} // namespace

TrainingData makeTrainingData(const std::string &source, const Tokenizer &tokenizer, const ChatTemplate *chatTemplate,
                              const RecoveryOptions &options)
{
    return makeTrainingData(readCorpus(source), source, tokenizer, chatTemplate, options);
}

TrainingData makeTrainingData(const Corpus &corpus, const std::filesystem::path &path, const Tokenizer &tokenizer,
                              const ChatTemplate *chatTemplate, const RecoveryOptions &options,
                              const JobContext &context)
{
    TrainingData data;
    data.name = corpus.name;
    data.sha256 = corpus.sha256;
    data.skipped = corpus.skipped;
    SampleSink sink(options, data);
    std::optional<Error> refusal;
    std::int64_t row = 0;
    for (const CorpusSample &sample : corpus.samples) {
        if (row++ % kRowsPerReport == 0)
            context.checkpoint({"recover.data", row - 1, static_cast<std::int64_t>(corpus.samples.size())});
        if (!sample.isChat()) {
            const TokenIds ids = tokenizer.encode(sample.text);
            const auto weights = sample.spans.empty() ? std::vector<float>() : spanWeights(sample, ids, tokenizer);
            sink.addText(ids, weights, corpus.kind == "text");
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
                sink.add(std::move(one));
        } catch (const Error &error) {
            refusal = error; // e.g. a system turn where the template knows none
            ++data.skipped;
        }
    }
    if (data.samples.empty() && data.dropped == 0 && refusal)
        throw *refusal;
    return data;
}

void requireSamples(const TrainingData &data, int maxLength)
{
    if (!data.samples.empty())
        return;
    const std::string limit = std::to_string(maxLength) + " tokens";
    if (data.dropped > 0 && data.skipped == 0)
        throw Error(ErrorKind::InvalidArgument,
                    "'" + data.name + "' has no sample of at most " + limit + ": " + std::to_string(data.dropped)
                        + " are longer, the shortest has " + std::to_string(data.shortest) + ".",
                    "Raise the sample length or choose other data.");
    if (data.dropped == 0)
        throw Error(ErrorKind::InvalidArgument,
                    "'" + data.name + "' has nothing to learn from: none of its " + std::to_string(data.skipped)
                        + " samples has a response.",
                    "Each conversation needs an assistant turn that is not empty.");
    throw Error(ErrorKind::InvalidArgument,
                "'" + data.name + "' has no sample of at most " + limit + ": " + std::to_string(data.dropped)
                    + " are longer and " + std::to_string(data.skipped) + " have no response.",
                "Raise the sample length or choose other data.");
}

} // namespace secateur::workflow
