#include "backend/workflow/recovery_probes.h"

#include "backend/engine/generation.h"
#include "backend/text/trace.h"

#include <algorithm>

namespace secateur::workflow {

std::vector<std::string> defaultProbes()
{
    return {"What is 17 + 25?", "Name three things that you can see in the sky."};
}

ProbeRound answerProbes(const LoadedModel &dense, const Model &model, const std::vector<std::string> &questions,
                        int maxNewTokens, const JobContext &context)
{
    const Tokenizer &tokenizer = requireTokenizer(dense);
    GenerationRequest request;
    std::vector<std::string> prompts;
    std::size_t longest = 0;
    for (const std::string &question : questions) {
        prompts.push_back(dense.chatTemplate ? dense.chatTemplate->render({{"user", question}}, true) : question);
        request.prompts.push_back(tokenizer.encode(prompts.back()));
        longest = std::max(longest, request.prompts.back().size());
    }
    request.options.maxNewTokens = maxNewTokens;
    const int positions = model.config().maxPositions;
    if (positions > 0) // a short context gives shorter answers, not an error
        request.options.maxNewTokens = std::clamp(positions - static_cast<int>(longest), 1, maxNewTokens);
    const GenerationResult result = generate(model, request, &tokenizer, context);
    ProbeRound round;
    for (std::size_t i = 0; i < questions.size(); ++i) {
        const GeneratedSequence &sequence = result.sequences[i];
        ProbeAnswer answer;
        answer.text = tokenizer.decode(sequence.ids);
        answer.finish = sequence.finish;
        const TraceSpans spans = analyzeTrace(tokenizer, answer.text, answer.finish, promptOpensTrace(prompts[i]));
        answer.answer = spans.answer;
        answer.traceTokens = spans.traceTokens;
        answer.answerTokens = spans.answerTokens;
        round.answers.push_back(std::move(answer));
    }
    return round;
}

} // namespace secateur::workflow
