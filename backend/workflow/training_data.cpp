#include "backend/workflow/training_data.h"

#include "backend/io/corpus.h"
#include "backend/workflow/calibrate.h"
#include "backend/workflow/recover.h"

#include <string_view>

namespace secateur::workflow {

namespace {

bool trainingTextThinks(std::string_view text)
{
    return text.find("<think>") != std::string_view::npos
        || text.find("<|begin_of_thought|>") != std::string_view::npos;
}

void countAnswers(const Corpus &corpus, TrainingDataCard &card)
{
    for (const CorpusSample &sample : corpus.samples) {
        if (!sample.isChat()) {
            // a text is prose unless it shows a trace: then it is an answer written out
            const bool thinks = trainingTextThinks(sample.text);
            card.answers += thinks;
            card.traces += thinks;
            continue;
        }
        for (const ChatMessage &message : sample.messages) {
            if (message.role != "assistant" || message.content.empty())
                continue;
            ++card.answers;
            card.traces += trainingTextThinks(message.content);
        }
    }
}

/// A few stray answers of the other kind do not make a mixture.
std::string trainingKindOf(const TrainingDataCard &card)
{
    if (card.answers == 0)
        return "text";
    const double share = static_cast<double>(card.traces) / static_cast<double>(card.answers);
    return share < 0.05 ? "instruct" : share > 0.5 ? "think" : "mixed";
}

} // namespace

TrainingDataCard describeTrainingData(const TrainingDataQuestion &question, const JobContext &context)
{
    const std::filesystem::path path = dataSource(question.source, question.model, true);
    const Corpus corpus = readCorpus(path);
    TrainingDataCard card;
    card.source = question.source;
    card.form = corpus.kind;
    card.documents = static_cast<std::int64_t>(corpus.samples.size());
    countAnswers(corpus, card);
    card.kind = trainingKindOf(card);

    const TrainingData data
        = makeTrainingData(corpus, path, *question.tokenizer, question.chatTemplate.get(), question.options, context);
    requireSamples(data, question.options.maxLength);
    card.name = data.name;
    card.sha256 = data.sha256;
    card.samples = static_cast<std::int64_t>(data.samples.size());
    card.tokens = data.tokens;
    card.scoredTokens = data.scoredTokens;
    card.longest = static_cast<std::int64_t>(data.longest);
    card.dropped = data.dropped;
    card.split = data.split;
    card.skipped = data.skipped;
    if (!question.chatTemplate)
        card.fit = TrainingDataCard::Fit::NoTemplate;
    else if (question.modelThinks && card.kind == "instruct")
        card.fit = TrainingDataCard::Fit::TracesMissing;
    else if (!question.modelThinks && card.kind == "think")
        card.fit = TrainingDataCard::Fit::TracesUnwanted;
    return card;
}

} // namespace secateur::workflow
