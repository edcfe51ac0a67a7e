#include "backend/workflow/recover.h"

#include "backend/engine/compute_device.h"
#include "backend/io/atomic_file.h"
#include "backend/io/corpus.h"
#include "backend/io/digest.h"
#include "backend/io/json_node.h"
#include "backend/workflow/calibrate.h"
#include "backend/workflow/prune.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <system_error>
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

/// Refuses a checkpoint of another model or of other data.
void requireSameOrigin(const CheckpointRecord &checkpoint, const std::map<std::string, std::string> &origin)
{
    for (const auto &[key, what] : {std::pair("model_digest", "model"), std::pair("data_sha256", "data")}) {
        const auto before = checkpoint.origin.find(key);
        if (before != checkpoint.origin.end() && before->second != origin.at(key))
            throw Error(ErrorKind::InvalidArgument,
                        "The checkpoint " + checkpoint.folder.string() + " belongs to a run with other " + what
                            + ": digest " + before->second.substr(0, 12) + ", not " + origin.at(key).substr(0, 12)
                            + ".",
                        "Resume with the model and data that the run was started with.");
    }
}

std::string runName(const RecoveryOptions &options, std::size_t done, bool isWhole)
{
    const std::string kind = options.kind == "full" ? "All weights"
        : options.kind == "distill"                 ? "Distillation"
        : options.kind == "scratch"                 ? "From scratch"
                                                    : "LoRA";
    return kind + ", " + std::to_string(done) + (isWhole ? std::string() : " of " + std::to_string(options.steps))
        + (options.steps == 1 ? " step" : " steps");
}

void writeOutput(const LoadedModel &dense, const RecoverRequest &request, const RecoverOutcome &outcome,
                 const JobContext &context)
{
    if (outcome.training.adapter) {
        saveAdapter(*outcome.training.adapter, request.outputFolder, request.basePath);
        return;
    }
    ExportRequest wanted;
    wanted.folder = request.outputFolder;
    wanted.modelName = request.outputFolder.filename().string();
    if (outcome.record.options.kind == "scratch")
        wanted.dtype = "F32";
    // after a stop the weights are written all the same
    exportModel(dense, *outcome.training.model, wanted, outcome.training.cancelled ? JobContext() : context);
}

} // namespace

std::filesystem::path checkpointFolder(const std::filesystem::path &output)
{
    std::filesystem::path folder = output.has_filename() ? output : output.parent_path(); // "folder/"
    folder += ".checkpoints";
    return folder;
}

CheckpointRecord findCheckpoint(const std::filesystem::path &folder)
{
    std::error_code error;
    const std::filesystem::path beside = checkpointFolder(folder);
    return latestCheckpoint(std::filesystem::is_directory(beside, error) ? beside : folder);
}

LoadedModel openUntrained(const std::string &argument, const RecoveryOptions &options, const ComputeSettings &settings)
{
    applyComputeSettings(settings);
    const std::filesystem::path folder = argument;
    const std::string file = (folder / "config.json").string();
    LoadedModel opened;
    const std::string text = readTextFile(file);
    opened.info.path = folder;
    opened.info.name = folder.filename().string();
    opened.info.config = parseModelConfig(text, file);
    opened.info.modelType = opened.info.config->modelType;
    opened.info.digest = sha256Hex(text);
    opened.tokenizer = loadTokenizer(folder);
    if (auto chatTemplate = loadChatTemplate(folder))
        opened.chatTemplate = std::make_shared<const ChatTemplate>(std::move(*chatTemplate));
    InitialWeights initial;
    const nlohmann::json json = parseJsonText(text, file);
    JsonNode(json, file).read("initializer_range", initial.matrix);
    initial.embedding = options.initEmbedding > 0 ? options.initEmbedding : initial.matrix;
    initial.gain = options.initGain;
    initial.zeroOutputs = options.initZeroOutputs;
    ComputeSettings exact = settings;
    exact.dtype = "f32";
    opened.model = std::make_shared<const Model>(randomModel(*opened.info.config, options.seed, exact, initial));
    return opened;
}

TrainingData makeTrainingData(const std::string &source, const Tokenizer &tokenizer, const ChatTemplate *chatTemplate,
                              const RecoveryOptions &options)
{
    const std::filesystem::path path = source == "bundled" ? bundledData(true) : std::filesystem::path(source);
    return makeTrainingData(readCorpus(path), path, tokenizer, chatTemplate, options);
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

RecoverOutcome recover(const LoadedModel &dense, const Model &model, const RecoverRequest &request,
                       const JobContext &context, MetricFeed *feed)
{
    RecoveryOptions options = request.resume ? request.resume->options : request.options;
    checkRecoveryOptions(options);
    context.checkpoint({"recover.data", 0, 0});
    if (model.config().maxPositions > 0)
        options.maxLength = std::min(options.maxLength, model.config().maxPositions);
    const Tokenizer &tokenizer = requireTokenizer(dense);
    TrainingData data;
    try {
        data = makeTrainingData(request.data, tokenizer, dense.chatTemplate.get(), options);
    } catch (const Error &) {
        chatTemplateIfAny(dense); // a template that cannot be read is the better reason
        throw;
    }
    requireSamples(data, options.maxLength);

    TrainingInputs inputs;
    inputs.feed = feed;
    inputs.start = request.start.get();
    inputs.parent = request.parent ? request.parent.get() : dense.model.get();
    inputs.origin = request.origin;
    inputs.origin["model_digest"] = dense.info.digest;
    inputs.origin["data_sha256"] = data.sha256;
    if (!request.outputFolder.empty())
        inputs.checkpoints = checkpointFolder(request.outputFolder);
    if (request.resume) {
        requireSameOrigin(*request.resume, inputs.origin);
        inputs.resume = &*request.resume;
    }

    RecoverOutcome outcome;
    try {
        outcome.training = train(model, data.samples, options, context, inputs);
    } catch (const Error &error) {
        std::error_code ignored;
        if (inputs.checkpoints.empty() || !std::filesystem::is_directory(inputs.checkpoints, ignored))
            throw;
        const CheckpointRecord kept = latestCheckpoint(inputs.checkpoints);
        ErrorInfo info = error.info();
        info.hint += (info.hint.empty() ? "" : " ") + std::string("The weights after step ") + std::to_string(kept.step)
            + " are in '" + kept.folder.string() + "'.";
        throw Error(std::move(info));
    }
    RunRecord &record = outcome.record;
    record.options = options;
    record.dataName = data.name;
    record.dataSha256 = data.sha256;
    record.droppedSamples = data.dropped + outcome.training.droppedSamples;
    for (const TrainingPoint &point : outcome.training.points) {
        record.losses.push_back(point.loss);
        record.learningRates.push_back(point.learningRate);
    }
    const std::int64_t before = request.resume ? request.resume->tokens : 0;
    if (outcome.training.seconds > 0)
        record.tokensPerSecond = static_cast<double>(outcome.training.tokens - before) / outcome.training.seconds;
    const auto done = record.losses.size();
    record.name = runName(options, done, !outcome.training.cancelled && !outcome.training.stoppedEarly);
    if (!request.outputFolder.empty() && done > 0) {
        writeOutput(dense, request, outcome, context);
        std::error_code ignored;
        if (!outcome.training.cancelled)
            std::filesystem::remove_all(inputs.checkpoints, ignored);
    }
    return outcome;
}

} // namespace secateur::workflow
