#include "backend/workflow/calibrate.h"

#include "backend/core/resource_path.h"
#include "backend/core/seeded_random.h"
#include "backend/engine/analysis.h"
#include "backend/io/corpus.h"
#include "backend/workflow/bundled_models.h"

#include <algorithm>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

namespace secateur::workflow {

namespace {

constexpr std::string_view kIdsPrefix = "ids:";
constexpr std::size_t kFewestTokens = 2; ///< one predicts the other

void cutTo(TokenIds &ids, std::int64_t length)
{
    if (length > 0 && ids.size() > static_cast<std::size_t>(length))
        ids.resize(static_cast<std::size_t>(length));
}

std::vector<TokenIds> windowsOf(const TokenIds &ids, const CalibrationRequest &request)
{
    const auto total = ids.size();
    const auto length = request.length > 0 ? std::min(static_cast<std::size_t>(request.length), total) : total;
    const auto slice = [&](std::size_t start) {
        const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(start);
        return TokenIds(begin, begin + static_cast<std::ptrdiff_t>(length));
    };
    std::vector<TokenIds> windows;
    if (length < kFewestTokens)
        return windows;
    const std::size_t starts = total - length + 1;
    const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(request.samples, 0));
    if (wanted == 0 || wanted > starts) {
        const std::size_t most = wanted == 0 ? total / length : std::min(wanted, total / length);
        for (std::size_t i = 0; i < most; ++i)
            windows.push_back(slice(i * length));
        return windows;
    }
    SeededRandom random(request.seed);
    std::set<std::size_t> taken;
    while (windows.size() < wanted) {
        const auto start = static_cast<std::size_t>(random.below(starts));
        if (taken.insert(start).second)
            windows.push_back(slice(start));
    }
    return windows;
}

std::vector<TokenIds> rowsOf(const Corpus &corpus, const CalibrationRequest &request, const Tokenizer &tokenizer,
                             const ChatTemplate *chatTemplate, bool *usedTemplate)
{
    const auto wanted = request.samples > 0 ? static_cast<std::size_t>(request.samples) : corpus.samples.size();
    std::vector<TokenIds> sequences;
    std::optional<Error> refusal;
    for (const std::size_t row : SeededRandom(request.seed).permutation(corpus.samples.size())) {
        if (sequences.size() == wanted)
            break;
        const CorpusSample &sample = corpus.samples[row];
        TokenIds ids;
        if (sample.isChat()) {
            if (!chatTemplate)
                throw Error(ErrorKind::InvalidArgument,
                            "'" + corpus.name + "' holds conversations, but the model has no chat template.",
                            "Choose a text file, or add chat_template.jinja to the model's folder.");
            try {
                ids = tokenizer.encode(chatTemplate->render(sample.messages, false));
            } catch (const Error &error) {
                refusal = error; // e.g. a system turn where the template knows none
                continue;
            }
            *usedTemplate = true;
        } else {
            ids = tokenizer.encode(sample.text);
        }
        cutTo(ids, request.length);
        if (ids.size() >= kFewestTokens)
            sequences.push_back(std::move(ids));
    }
    if (sequences.empty() && refusal)
        throw *refusal;
    return sequences;
}

/// The calibration set of \a request in \a model's tokens.
AnalysisRequest analysisRequest(const LoadedModel &model, const AnalyzeRequest &request)
{
    AnalysisRequest analysis;
    const bool isIds = request.calibration.source.starts_with(kIdsPrefix);
    const Tokenizer *tokenizer = isIds ? nullptr : &requireTokenizer(model);
    try {
        CalibrationRequest wanted = request.calibration;
        wanted.source = dataSource(wanted.source, model.info.path, false);
        analysis.calibration = makeCalibrationSet(wanted, tokenizer, model.chatTemplate.get());
    } catch (const Error &) {
        if (!isIds)
            chatTemplateIfAny(model); // a template that cannot be read is the better reason
        throw;
    }
    analysis.maps = request.maps;
    return analysis;
}

AnalysisResult labelled(AnalysisResult result, const ModelInfo &info)
{
    result.modelDigest = info.digest;
    result.modelName = info.name;
    return result;
}

} // namespace

std::filesystem::path bundledData(bool chat)
{
    const auto path = resourceDirectory() / "calibration" / (chat ? "recovery-chat.jsonl" : "calibration.txt");
    std::error_code error;
    if (!std::filesystem::exists(path, error))
        throw Error(ErrorKind::NotFound, "The bundled data '" + path.string() + "' is not there.",
                    "Install the program again, or set SECATEUR_RESOURCES.");
    return path;
}

std::string dataSource(const std::string &source, const std::filesystem::path &model, bool chat)
{
    if (source != "bundled")
        return source;
    std::error_code error;
    for (const BundledModel &bundled : bundledModels()) {
        const auto own = resourceDirectory() / "calibration" / (std::string(bundled.name) + ".jsonl");
        if (std::filesystem::equivalent(model, resourceDirectory() / "models" / bundled.name, error)
            && std::filesystem::exists(own, error))
            return own.string();
    }
    return bundledData(chat).string();
}

CalibrationSet makeCalibrationSet(const CalibrationRequest &request, const Tokenizer *tokenizer,
                                  const ChatTemplate *chatTemplate)
{
    if (request.samples < 0 || request.length < 0 || request.length == 1)
        throw Error(ErrorKind::InvalidArgument,
                    "A calibration set needs 0 or more samples of 2 or more tokens (0 = all), not "
                        + std::to_string(request.samples) + " of " + std::to_string(request.length) + ".");
    CalibrationSet set;
    set.record.length = request.length;
    set.record.seed = request.seed;
    std::filesystem::path path;
    if (request.source.starts_with(kIdsPrefix)) {
        path = request.source.substr(kIdsPrefix.size());
        set.record.kind = "ids";
        set.sequences = readIdsFile(path);
        if (request.samples > 0 && set.sequences.size() > static_cast<std::size_t>(request.samples))
            set.sequences.resize(static_cast<std::size_t>(request.samples));
        for (TokenIds &ids : set.sequences)
            cutTo(ids, request.length);
    } else {
        path = request.source == "bundled" ? bundledData(false) : std::filesystem::path(request.source);
        const Corpus corpus = readCorpus(path);
        if (!tokenizer)
            throw Error(ErrorKind::InvalidArgument, "'" + path.string() + "' is text, but the model has no tokenizer.",
                        "Give token ids as ids:FILE.json, or add tokenizer.json to the model's folder.");
        set.record.kind = corpus.kind;
        if (corpus.kind == "text") {
            set.sequences = windowsOf(tokenizer->encode(corpus.samples.front().text), request);
        } else {
            bool usedTemplate = false;
            set.sequences = rowsOf(corpus, request, *tokenizer, chatTemplate, &usedTemplate);
            if (usedTemplate)
                set.record.templateDigest = chatTemplate->digest();
        }
    }
    if (set.sequences.empty())
        throw Error(ErrorKind::InvalidArgument,
                    "'" + path.string() + "' gives no calibration sample of at least 2 tokens.",
                    "Choose a file with more text.");
    set.record.source = path.filename().string();
    set.record.sequences = static_cast<std::int64_t>(set.sequences.size());
    for (const TokenIds &ids : set.sequences)
        set.record.tokens += static_cast<std::int64_t>(ids.size());
    set.record.sha256 = digestOfSequences(set.sequences);
    set.record.name = set.record.source + " " + std::to_string(set.record.sequences);
    if (request.length > 0)
        set.record.name += " × " + std::to_string(request.length);
    return set;
}

AnalysisResult analyze(const LoadedModel &model, const AnalyzeRequest &request, const JobContext &context)
{
    const AnalysisRequest analysis = analysisRequest(model, request);
    return labelled(secateur::analyze(*model.model, analysis, context), model.info);
}

AnalysisResult analyzeStreaming(const LoadedModel &headers, const AnalyzeRequest &request,
                                const ComputeSettings &settings, std::uint64_t memoryBudget, const JobContext &context,
                                const std::function<void(const StreamingEstimate &)> &announce)
{
    const AnalysisRequest analysis = analysisRequest(headers, request);
    if (announce)
        announce(estimateStreaming(headers.info, analysis, settings, memoryBudget));
    return labelled(secateur::analyzeStreaming(headers.info, analysis, settings, memoryBudget, context), headers.info);
}

} // namespace secateur::workflow
