#include "backend/workflow/evaluate.h"

#include "backend/engine/generation.h"
#include "backend/io/digest.h"
#include "backend/stats/intervals.h"
#include "backend/tasks/task.h"
#include "backend/text/trace.h"
#include "backend/workflow/evaluation_files.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

namespace secateur::workflow {

namespace {

using EvaluationClock = std::chrono::steady_clock;

constexpr std::size_t kBatchItems = 8; ///< computed and written together: what a killed run can lose
constexpr double kLoopShare = 0.5; ///< an output at the cap whose end repeats itself this much is a loop
constexpr const char *kProgressStage = "evaluate.sample";

double secondsSince(EvaluationClock::time_point start)
{
    return std::chrono::duration<double>(EvaluationClock::now() - start).count();
}

/// What the weights say to a fixed probe, so that a pruned or recovered model is known again whatever its name.
std::string behaviourDigest(const LoadedModel &dense, const Model &model)
{
    const TokenIds probe = probeTokens(dense);
    const auto outputs = forwardSequence(model, probe, false);
    const std::size_t vocabulary = outputs.logits.size() / probe.size();
    std::string text = dense.info.digest + "\n" + writeModelConfig(model.config()) + "\n";
    for (std::size_t t = 0; t + 1 < probe.size(); ++t) {
        const float *row = outputs.logits.data() + t * vocabulary;
        const double top = *std::max_element(row, row + vocabulary);
        double sum = 0;
        for (std::size_t v = 0; v < vocabulary; ++v)
            sum += std::exp(static_cast<double>(row[v]) - top);
        const double logprob = static_cast<double>(row[probe[t + 1]]) - top - std::log(sum);
        text += std::to_string(std::llround(logprob * 1e4)) + " "; // coarser than the order of summation
    }
    return sha256Hex(text).substr(0, 16);
}

/// Everything that is the same for all tasks of one evaluation.
struct EvaluationSetting {
    const LoadedModel &dense;
    const Model &model;
    const EvaluateRequest &request;
    const Tokenizer &tokenizer;
    const ChatTemplate *chatTemplate; ///< null: none used
    std::string modelName;
    std::string behaviour;
    const JobContext &context;

    int cap(const TaskSpec &task) const
    {
        return request.options.maxNewTokens > 0 ? request.options.maxNewTokens : task.maxNewTokens;
    }
};

std::string protocolDigest(const EvaluationSetting &setting, const TaskSpec &task)
{
    std::string text = "rows 1\n" + task.definition + "\n" + setting.model.dtype() + "\n";
    if (task.kind == "generation")
        text += (setting.chatTemplate ? setting.chatTemplate->digest() : std::string("no template")) + "\n"
            + std::to_string(setting.cap(task));
    return sha256Hex(text).substr(0, 16);
}

std::string rowsText(std::int64_t limit)
{
    return limit > 0 ? "first " + std::to_string(limit) + " rows" : std::string("all rows");
}

std::string protocolLine(const EvaluationSetting &setting)
{
    const EvaluationOptions &options = setting.request.options;
    std::string line = "0-shot, " + rowsText(options.limit);
    for (const auto &[task, limit] : options.limits)
        line += " (" + task + ": " + rowsText(limit) + ")";
    line += options.maxNewTokens > 0 ? ", cap " + std::to_string(options.maxNewTokens) + " tokens" : ", cap by task";
    line += setting.chatTemplate ? ", own chat template" : ", no chat template"; // siblings may write turns differently
    return line + ", greedy, " + setting.model.dtype() + " on " + setting.model.device();
}

/// A context with the tails that follow it, as lm-eval splits them: context and whole text are tokenised separately and
/// the continuation is what comes after as many ids as the context has.
struct ScoringInput {
    TokenIds context;
    std::vector<TokenIds> continuations;
    bool isShared = true; ///< false: choice i has the context `contexts[i]`
    std::vector<TokenIds> contexts;
};

std::int32_t emptyContextToken(const ModelConfig &config)
{
    if (config.bosTokenId >= 0)
        return config.bosTokenId;
    return config.eosTokenIds.empty() ? 0 : config.eosTokenIds.front();
}

ScoringInput scoringInput(const Tokenizer &tokenizer, const ModelConfig &config, const TaskItem &item)
{
    ScoringInput input;
    for (std::size_t i = 0; i < item.choices.size(); ++i) {
        std::string contextText = item.contextOf(i);
        std::string continuationText = item.choices[i];
        moveTrailingBlanks(contextText, continuationText);
        TokenIds context = tokenizer.encode(contextText);
        TokenIds continuation;
        if (context.empty()) {
            context.push_back(emptyContextToken(config));
            continuation = tokenizer.encode(continuationText);
        } else {
            const TokenIds whole = tokenizer.encode(contextText + continuationText);
            if (whole.size() > context.size())
                continuation.assign(whole.begin() + static_cast<std::ptrdiff_t>(context.size()), whole.end());
        }
        if (continuation.empty()) { // merged into the context: the last token stands for it
            continuation.push_back(context.back());
            context.pop_back();
            if (context.empty())
                context.push_back(emptyContextToken(config));
        }
        if (input.contexts.empty())
            input.context = context;
        input.isShared = input.isShared && context == input.context;
        input.contexts.push_back(std::move(context));
        input.continuations.push_back(std::move(continuation));
    }
    return input;
}

/// The scores of every input's choices; inputs share forward passes.
std::vector<std::vector<ContinuationScore>> scoreChoices(const Model &model, const std::vector<ScoringInput> &inputs)
{
    std::vector<ScoringItem> items;
    for (const ScoringInput &input : inputs) {
        if (input.isShared) {
            items.push_back({input.context, input.continuations});
            continue;
        }
        for (std::size_t i = 0; i < input.continuations.size(); ++i)
            items.push_back({input.contexts[i], {input.continuations[i]}});
    }
    const auto scored = scoreContinuations(model, items);
    std::vector<std::vector<ContinuationScore>> scores;
    std::size_t next = 0;
    for (const ScoringInput &input : inputs) {
        auto &own = scores.emplace_back();
        for (std::size_t parts = input.isShared ? 1 : input.continuations.size(); parts > 0; --parts, ++next)
            own.insert(own.end(), scored[next].begin(), scored[next].end());
    }
    return scores;
}

SampleResult scoredSample(const TaskItem &item, const ScoringInput &input, const std::vector<ContinuationScore> &scores)
{
    SampleResult sample;
    sample.docId = item.docId;
    sample.prompt = item.context;
    sample.promptTokens = static_cast<std::int64_t>(input.context.size());
    std::size_t best = 0, bestNorm = 0;
    double bestNormScore = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        const double logprob = scores[i].logprob;
        const std::int64_t characters = i < item.choiceCharacters.size() ? item.choiceCharacters[i] : 1;
        const double norm = logprob / static_cast<double>(std::max<std::int64_t>(characters, 1));
        sample.choiceLogprobs.push_back(logprob);
        if (logprob > scores[best].logprob) // equal ones: the first stays
            best = i;
        if (i == 0 || norm > bestNormScore) {
            bestNorm = i;
            bestNormScore = norm;
        }
    }
    const auto gold = static_cast<std::size_t>(item.gold);
    // With a context for each choice the continuations are alike: only the whole text tells them apart.
    const auto shown
        = [&](std::size_t i) { return item.contexts.empty() ? item.choices[i] : item.contexts[i] + item.choices[i]; };
    if (gold < item.choices.size())
        sample.target = shown(gold);
    sample.extracted = item.choices.empty() ? std::string() : shown(best);
    sample.correct = best == gold;
    sample.correctNorm = bestNorm == gold;
    return sample;
}

struct GenerationPrompt {
    std::string text;
    TokenIds ids;
};

GenerationPrompt generationPrompt(const EvaluationSetting &setting, const TaskItem &item, int cap)
{
    GenerationPrompt prompt;
    if (setting.chatTemplate) {
        prompt.text = setting.chatTemplate->render({{"user", item.context}}, true);
        prompt.ids = setting.tokenizer.encode(prompt.text); // the template has written BOS where it wants one
    } else {
        prompt.text = item.context;
        prompt.ids = setting.tokenizer.encode(prompt.text, true);
    }
    if (prompt.ids.empty())
        prompt.ids.push_back(emptyContextToken(setting.model.config()));
    const std::int64_t positions = setting.model.config().maxPositions;
    if (positions > 0 && static_cast<std::int64_t>(prompt.ids.size()) + cap > positions) {
        if (cap >= positions)
            throw Error(ErrorKind::InvalidArgument,
                        "A cap of " + std::to_string(cap) + " new tokens leaves no room for a prompt in the model's "
                            + std::to_string(positions) + " positions.",
                        "Choose a lower cap.");
        // As lm-eval: the beginning goes, the question at the end stays.
        prompt.ids.erase(prompt.ids.begin(), prompt.ids.end() - (positions - cap));
    }
    return prompt;
}

std::string cutAtStop(std::string text, const std::vector<std::string> &stopStrings)
{
    for (const std::string &stop : stopStrings)
        if (!stop.empty())
            if (const auto at = text.find(stop); at != std::string::npos)
                text.resize(at);
    return text;
}

SampleResult generatedSample(const EvaluationSetting &setting, const TaskSpec &task, const TaskItem &item,
                             const GenerationPrompt &prompt, const GeneratedSequence &sequence, double *repetition)
{
    SampleResult sample;
    sample.docId = item.docId;
    sample.prompt = prompt.text;
    sample.target = item.goldAnswer;
    sample.raw = setting.tokenizer.decode(sequence.ids);
    sample.finish = sequence.finish;
    sample.promptTokens = static_cast<std::int64_t>(prompt.ids.size());
    const TraceSpans spans
        = analyzeTrace(setting.tokenizer, sample.raw, sequence.finish, promptOpensTrace(prompt.text));
    sample.traceTokens = spans.traceTokens;
    sample.answerTokens
        = spans.state == TraceState::Absent ? static_cast<std::int64_t>(sequence.ids.size()) : spans.answerTokens;
    sample.traceState = std::string(traceStateName(spans.state));
    const Grade grade = gradeAnswer(task, item, cutAtStop(spans.answer, task.stopStrings));
    sample.correct = grade.correct;
    sample.extracted = grade.extracted;
    *repetition = repetitionShare(sequence.ids);
    if (sample.finish == "length" && *repetition >= kLoopShare)
        sample.finish = "loop";
    return sample;
}

void summarize(TaskReport &report)
{
    std::int64_t correct = 0, correctNorm = 0, capped = 0;
    report.traceClosed = report.traceTruncated = report.traceAbsent = 0;
    for (const SampleResult &sample : report.samples) {
        correct += sample.correct ? 1 : 0;
        correctNorm += sample.correctNorm ? 1 : 0;
        capped += reachedCap(sample) ? 1 : 0;
        if (sample.traceState == "truncated" || sample.traceState == "open-eos")
            ++report.traceTruncated;
        else if (sample.traceState == "absent")
            ++report.traceAbsent;
        else if (!sample.traceState.empty())
            ++report.traceClosed;
    }
    report.n = static_cast<std::int64_t>(report.samples.size());
    const double n = static_cast<double>(std::max<std::int64_t>(report.n, 1));
    report.accuracy = static_cast<double>(correct) / n;
    const Interval interval = wilsonInterval(correct, report.n);
    report.low = interval.low;
    report.high = interval.high;
    if (report.kind == "generation")
        report.capHitShare = static_cast<double>(capped) / n;
    else
        report.accuracyNorm = static_cast<double>(correctNorm) / n;
}

/// Runs one task item by item and keeps the report in the order of the items.
class TaskRunner {
public:
    TaskRunner(const EvaluationSetting &setting, const TaskSpec &spec, std::vector<TaskItem> items,
               const std::function<void(const TaskReport &)> &onTask)
        : m_setting(setting), m_spec(spec), m_items(std::move(items)), m_onTask(onTask), m_results(m_items.size())
    {
        m_report.task = spec.id;
        m_report.kind = spec.kind;
        const auto &folder = setting.request.outputFolder;
        if (!folder.empty()) {
            m_log = std::make_unique<SampleLog>(folder / sanitizedModelName(setting.modelName)
                                                    / ("samples_" + spec.id + ".jsonl"),
                                                SampleOrigin{protocolDigest(setting, spec), setting.behaviour});
            takeFinished();
        }
    }

    TaskReport run()
    {
        const auto start = EvaluationClock::now();
        m_setting.context.checkpoint(progress());
        runBatches(m_spec.kind == "generation" ? &TaskRunner::generateBatch : &TaskRunner::scoreBatch);
        m_report.seconds = secondsSince(start);
        publish(true);
        return std::move(m_report);
    }

private:
    Progress progress() const
    {
        return {kProgressStage, static_cast<std::int64_t>(m_done), static_cast<std::int64_t>(m_items.size())};
    }

    void takeFinished()
    {
        for (std::size_t i = 0; i < m_items.size(); ++i) {
            const auto it = m_log->finished().find(m_items[i].docId);
            if (it == m_log->finished().end())
                continue;
            m_results[i] = std::make_unique<SampleResult>(it->second);
            ++m_done;
        }
    }

    void finish(std::size_t index, SampleResult sample)
    {
        m_results[index] = std::make_unique<SampleResult>(std::move(sample));
        ++m_done;
    }

    void runBatches(void (TaskRunner::*runBatch)(const std::vector<std::size_t> &))
    {
        std::vector<std::size_t> pending;
        for (std::size_t i = 0; i < m_items.size(); ++i) {
            if (!m_results[i])
                pending.push_back(i);
            if (pending.size() == kBatchItems || (i + 1 == m_items.size() && !pending.empty())) {
                (this->*runBatch)(pending);
                pending.clear();
                publish(false);
                m_setting.context.checkpoint(progress());
            }
        }
    }

    void scoreBatch(const std::vector<std::size_t> &indices)
    {
        std::vector<ScoringInput> inputs;
        for (const std::size_t index : indices)
            inputs.push_back(scoringInput(m_setting.tokenizer, m_setting.model.config(), m_items[index]));
        const auto scores = scoreChoices(m_setting.model, inputs);
        for (std::size_t i = 0; i < indices.size(); ++i) {
            const TaskItem &item = m_items[indices[i]];
            SampleResult sample = scoredSample(item, inputs[i], scores[i]);
            if (m_log)
                m_log->appendScored(item, sample, scores[i]);
            finish(indices[i], std::move(sample));
        }
    }

    void generateBatch(const std::vector<std::size_t> &indices)
    {
        const int cap = m_setting.cap(m_spec);
        GenerationRequest request;
        request.options.maxNewTokens = cap;
        request.options.stopStrings = m_spec.stopStrings;
        request.options.seed = m_setting.request.options.seed;
        request.batch = static_cast<int>(kBatchItems);
        std::vector<GenerationPrompt> prompts;
        for (const std::size_t index : indices) {
            prompts.push_back(generationPrompt(m_setting, m_items[index], cap));
            request.prompts.push_back(prompts.back().ids);
        }
        // Progress is counted in samples, whatever the generator counts; its checkpoints can still stop it.
        const JobContext inner(
            {}, [this](const Progress &) { m_setting.context.checkpoint(progress()); },
            [this](const std::string &sentence) { m_setting.context.notice(sentence); });
        const GenerationResult result = generate(m_setting.model, request, &m_setting.tokenizer, inner);
        for (std::size_t i = 0; i < indices.size(); ++i) {
            const TaskItem &item = m_items[indices[i]];
            double repetition = 0;
            SampleResult sample
                = generatedSample(m_setting, m_spec, item, prompts[i], result.sequences[i], &repetition);
            if (m_log)
                m_log->appendGenerated(item, sample, cap, m_spec.stopStrings, repetition);
            finish(indices[i], std::move(sample));
        }
    }

    /// The report so far; not more often than a window can show.
    void publish(bool isLast)
    {
        const auto now = EvaluationClock::now();
        if (!isLast && (!m_onTask || now - m_published < std::chrono::milliseconds(250)))
            return;
        m_published = now;
        m_report.samples.clear();
        for (const auto &result : m_results)
            if (result)
                m_report.samples.push_back(*result);
        summarize(m_report);
        if (m_onTask)
            m_onTask(m_report);
    }

    const EvaluationSetting &m_setting;
    const TaskSpec &m_spec;
    std::vector<TaskItem> m_items;
    const std::function<void(const TaskReport &)> &m_onTask;
    std::vector<std::unique_ptr<SampleResult>> m_results; ///< null: not done
    std::size_t m_done = 0;
    std::unique_ptr<SampleLog> m_log; ///< null: nothing is written
    TaskReport m_report;
    EvaluationClock::time_point m_published;
};

} // namespace

std::vector<ContinuationScore> scoreTexts(const LoadedModel &dense, const Model &model,
                                          const std::vector<TextRequest> &requests, const JobContext &context)
{
    const Tokenizer &tokenizer = requireTokenizer(dense);
    std::vector<ContinuationScore> scores;
    const auto total = static_cast<std::int64_t>(requests.size());
    for (std::size_t first = 0; first < requests.size();) {
        context.checkpoint({kProgressStage, static_cast<std::int64_t>(first), total});
        TaskItem item; // neighbours with one context are computed together
        item.context = requests[first].context;
        std::size_t next = first;
        for (; next < requests.size() && requests[next].context == item.context; ++next) {
            if (requests[next].continuation.empty())
                throw Error(ErrorKind::InvalidArgument,
                            "Request " + std::to_string(next + 1) + " has an empty continuation.");
            item.choices.push_back(requests[next].continuation);
        }
        const auto group = scoreChoices(model, {scoringInput(tokenizer, model.config(), item)}).front();
        scores.insert(scores.end(), group.begin(), group.end());
        first = next;
    }
    context.checkpoint({kProgressStage, total, total});
    return scores;
}

EvaluationReport evaluate(const LoadedModel &dense, const Model &model, const EvaluateRequest &request,
                          const JobContext &context, const std::function<void(const TaskReport &)> &onTask)
{
    const EvaluationOptions &options = request.options;
    if (options.tasks.empty())
        throw Error(ErrorKind::InvalidArgument, "No task was chosen.", "Choose one or more tasks.");
    std::int64_t lowest = options.limit;
    for (const auto &entry : options.limits)
        lowest = std::min(lowest, entry.second);
    if (lowest < 0)
        throw Error(ErrorKind::InvalidArgument,
                    "The limit of rows is " + std::to_string(lowest) + ", but must be 0 (all) or more.");
    std::vector<TaskSpec> specs;
    for (const std::string &task : options.tasks)
        specs.push_back(findTask(task)); // a wrong name is told before anything runs

    const EvaluationSetting setting{dense,
                                    model,
                                    request,
                                    requireTokenizer(dense),
                                    options.chat ? chatTemplateIfAny(dense) : nullptr,
                                    request.modelName.empty() ? dense.info.name : request.modelName,
                                    behaviourDigest(dense, model),
                                    context};
    EvaluationReport report;
    report.modelName = setting.modelName;
    report.subject = request.subject;
    report.state = request.state;
    report.protocol = protocolLine(setting);

    const auto start = EvaluationClock::now();
    std::vector<TaskResult> results;
    for (const TaskSpec &spec : specs) {
        TaskResult result{spec, {}, 0};
        std::string missing;
        if (taskRows(spec, request.dataFolder, &missing).empty()) {
            result.report.task = spec.id;
            result.report.kind = spec.kind;
            result.report.note = "not available: " + missing;
            if (onTask)
                onTask(result.report);
        } else {
            std::vector<TaskItem> items = loadTaskItems(spec, request.dataFolder, 0);
            result.originalRows = static_cast<std::int64_t>(items.size());
            if (const auto limit = setting.request.options.rowsOf(spec.id); limit > 0 && limit < result.originalRows)
                items.resize(static_cast<std::size_t>(limit));
            result.report = TaskRunner(setting, spec, std::move(items), onTask).run();
        }
        report.tasks.push_back(result.report);
        results.push_back(std::move(result));
    }
    if (!request.outputFolder.empty()) {
        ResultsHeader header;
        header.modelName = setting.modelName;
        header.modelArguments = "pretrained=" + dense.info.name + ",dtype=" + model.dtype();
        header.modelDigest = dense.info.digest;
        header.dtype = model.dtype();
        header.device = model.device();
        header.parameters = model.parameters();
        header.maxLength = model.config().maxPositions;
        header.limit = options.limit;
        header.seed = options.seed;
        header.chatTemplate = setting.chatTemplate ? setting.chatTemplate->source() : std::string();
        header.protocol = report.protocol;
        header.seconds = secondsSince(start);
        const auto folder = request.outputFolder / sanitizedModelName(setting.modelName);
        std::error_code error;
        std::filesystem::create_directories(folder, error);
        writeResults(folder, header, results);
    }
    return report;
}

} // namespace secateur::workflow
