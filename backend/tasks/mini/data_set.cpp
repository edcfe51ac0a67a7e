#include "backend/tasks/mini/data_set.h"

#include "backend/core/error.h"
#include "backend/io/atomic_file.h"
#include "backend/tasks/mini/documents.h"
#include "backend/text/bpe_training.h"
#include "backend/text/tokenizer.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <set>
#include <system_error>
#include <vector>

namespace secateur::mini {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kTokenizerDocuments = 8000; ///< of each mixture
constexpr int kHeadDimension = 32; ///< twice what 8 heads of 128 would have
constexpr int kItemDraws = 20'000; ///< until a task counts as exhausted

struct MixtureFile {
    Mixture mixture;
    const char *name;
};
constexpr std::array<MixtureFile, 3> kMixtureFiles{
    {{Mixture::Base, "base.jsonl"}, {Mixture::Instruct, "instruct.jsonl"}, {Mixture::Think, "think.jsonl"}}};

/// ChatML. A turn may bring its trace apart from its content, as many programs keep it.
constexpr const char *kInstructTemplate = "{% for message in messages %}"
                                          "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
                                          "{% endfor %}"
                                          "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
constexpr const char *kThinkTemplate
    = "{% for message in messages %}"
      "<|im_start|>{{ message.role }}\n"
      "{% if message.reasoning_content %}<think>\n{{ message.reasoning_content }}\n</think>\n{% endif %}"
      "{{ message.content }}<|im_end|>\n"
      "{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

Json documentRow(const Document &document)
{
    Json row = {{"kind", document.kind}};
    if (!document.messages.empty()) {
        row["messages"] = Json::array();
        for (const ChatMessage &message : document.messages)
            row["messages"].push_back({{"role", message.role}, {"content", message.content}});
        return row;
    }
    row["text"] = document.text;
    if (!document.spans.empty()) {
        row["spans"] = Json::array();
        for (const WeightedSpan &span : document.spans)
            row["spans"].push_back(Json::array({span.begin, span.end, span.weight}));
    }
    return row;
}

/// As the chat template of the siblings writes it.
std::string documentText(const Document &document)
{
    if (document.messages.empty())
        return document.text;
    std::string text;
    for (const ChatMessage &message : document.messages)
        text += "<|im_start|>" + message.role + "\n" + message.content + "<|im_end|>\n";
    return text;
}

/// Collects lengths; each is small, so a count for each length is enough.
class LengthCounter {
public:
    void add(std::size_t tokens) { ++m_counts[static_cast<int>(tokens)]; }

    LengthSummary summary() const
    {
        LengthSummary result;
        for (const auto &[length, count] : m_counts) {
            result.documents += count;
            result.tokens += length * count;
            result.longest = length;
        }
        if (result.documents > 0)
            result.mean = static_cast<double>(result.tokens) / static_cast<double>(result.documents);
        result.p5 = quantile(result.documents * 5 / 100);
        result.p95 = quantile(result.documents * 95 / 100);
        return result;
    }

private:
    int quantile(std::int64_t rank) const
    {
        for (const auto &[length, count] : m_counts)
            if ((rank -= count) < 0)
                return length;
        return 0;
    }

    std::map<int, std::int64_t> m_counts;
};

struct KindCounter {
    LengthCounter document, trace;
};

/// Writes documents until there are enough tokens.
std::map<std::string, KindSummary> writeMixture(const std::filesystem::path &path, const MixtureFile &file,
                                                std::uint64_t seed, std::int64_t wanted, const Tokenizer &tokenizer,
                                                const JobContext &context)
{
    constexpr std::size_t kBufferBytes = 1 << 20;
    AtomicFile output(path);
    SeededRandom random = stream(seed, file.name);
    std::map<std::string, KindCounter> counters;
    std::string buffer;
    for (std::int64_t tokens = 0; tokens < wanted;) {
        const Document document = drawDocument(random, file.mixture);
        const std::size_t length = tokenizer.encode(documentText(document)).size();
        if (length > static_cast<std::size_t>(kLongestDocument))
            continue;
        KindCounter &counter = counters[document.kind];
        counter.document.add(length);
        if (!document.trace.empty())
            counter.trace.add(tokenizer.encode(document.trace).size());
        tokens += static_cast<std::int64_t>(length);
        buffer += documentRow(document).dump() + "\n";
        if (buffer.size() >= kBufferBytes) {
            output.write(buffer);
            buffer.clear();
            context.checkpoint({"mini.write", tokens, wanted});
        }
    }
    output.write(buffer);
    output.commit();
    std::map<std::string, KindSummary> summary;
    for (const auto &[kind, counter] : counters)
        summary[kind] = {counter.document.summary(), counter.trace.summary()};
    return summary;
}

Json lengthJson(const LengthSummary &lengths)
{
    return {{"documents", lengths.documents},
            {"tokens", lengths.tokens},
            {"mean", lengths.mean},
            {"p5", lengths.p5},
            {"p95", lengths.p95},
            {"longest", lengths.longest}};
}

std::string summaryText(const DataOptions &options, const DataReport &report)
{
    Json files = Json::object();
    for (const auto &[file, kinds] : report.files)
        for (const auto &[kind, summary] : kinds) {
            files[file][kind] = {{"document", lengthJson(summary.document)}};
            if (summary.trace.documents > 0)
                files[file][kind]["trace"] = lengthJson(summary.trace);
        }
    const Json summary = {{"format", "secateur-mini-data"},
                          {"version", 1},
                          {"seed", options.seed},
                          {"base_tokens", options.baseTokens},
                          {"chat_tokens", options.chatTokens},
                          {"files", files},
                          {"items", report.items}};
    return summary.dump(1) + "\n";
}

} // namespace

std::string itemRows(const MiniTask &task, std::uint64_t seed)
{
    SeededRandom random = stream(seed, std::string("items ") + task.name);
    std::set<std::string> seen;
    std::string rows;
    for (int draw = 0; draw < kItemDraws && seen.size() < kItems; ++draw) {
        const Question question = drawQuestion(task, random, true);
        Json row;
        if (task.kind == TaskKind::Scored) {
            if (question.contexts.size() > 1)
                row["contexts"] = question.contexts;
            else
                row["context"] = question.contexts.front();
            row["choices"] = question.choices;
            row["answer"] = question.right;
        } else {
            row["prompt"] = question.user;
            row["answer"] = question.gold;
            row["solution"] = question.answer;
        }
        std::string line = row.dump();
        if (seen.insert(line).second)
            rows += line + "\n";
    }
    return rows;
}

std::string tokenizerText(std::uint64_t seed)
{
    BpeTrainer trainer(
        {{kEndOfText, true}, {"<|im_start|>", true}, {"<|im_end|>", true}, {"<think>", false}, {"</think>", false}});
    for (const MixtureFile &file : kMixtureFiles) {
        SeededRandom random = stream(seed, std::string("tokenizer ") + file.name);
        for (int i = 0; i < kTokenizerDocuments; ++i)
            trainer.add(documentText(drawDocument(random, file.mixture)));
    }
    return trainer.tokenizerJson(kVocabularySize);
}

std::string tokenizerConfigText(Sibling sibling)
{
    const Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                         {"add_prefix_space", false},
                         {"bos_token", nullptr},
                         {"eos_token", "<|im_end|>"},
                         {"pad_token", kEndOfText},
                         {"unk_token", nullptr},
                         {"clean_up_tokenization_spaces", false},
                         {"model_max_length", 512},
                         {"chat_template", sibling == Sibling::Think ? kThinkTemplate : kInstructTemplate}};
    return config.dump(1) + "\n";
}

std::string modelConfigText()
{
    const Json config = {{"architectures", {"LlamaForCausalLM"}},
                         {"model_type", "llama"},
                         {"vocab_size", kVocabularySize},
                         {"hidden_size", 128},
                         {"intermediate_size", 352},
                         {"num_hidden_layers", 10},
                         {"num_attention_heads", 8},
                         {"num_key_value_heads", 4},
                         {"head_dim", kHeadDimension},
                         {"hidden_act", "silu"},
                         {"max_position_embeddings", 512},
                         {"rope_theta", 10000.0},
                         {"rms_norm_eps", 1e-5},
                         {"attention_bias", false},
                         {"mlp_bias", false},
                         {"tie_word_embeddings", true},
                         {"initializer_range", 0.02},
                         {"bos_token_id", nullptr},
                         {"eos_token_id", {2, 0}},
                         {"pad_token_id", 0},
                         {"torch_dtype", "bfloat16"}};
    return config.dump(1) + "\n";
}

DataReport makeDataSet(const std::filesystem::path &folder, const DataOptions &options, const JobContext &context)
{
    if (options.baseTokens < 1 || options.chatTokens < 1)
        throw Error(ErrorKind::InvalidArgument, "The numbers of tokens must be positive.");
    DataReport report;
    AtomicFolder output(folder);
    std::error_code error;
    const auto makeFolder = [&](const char *name) {
        std::filesystem::create_directories(output.path() / name, error);
        if (error)
            throw Error(ErrorKind::Io,
                        "The folder " + (folder / name).string() + " cannot be made: " + error.message());
        return output.path() / name;
    };
    context.checkpoint({"mini.tokenizer", 0, 0});
    const std::string tokenizerJson = tokenizerText(options.seed);
    for (const auto &[sibling, name] : {std::pair{Sibling::Instruct, "instruct"}, std::pair{Sibling::Think, "think"}}) {
        const auto place = makeFolder(name);
        writeFileAtomically(place / "tokenizer.json", tokenizerJson);
        writeFileAtomically(place / "tokenizer_config.json", tokenizerConfigText(sibling));
        writeFileAtomically(place / "config.json", modelConfigText());
    }
    const auto tokenizer = loadTokenizer(output.path() / "think");
    const auto items = makeFolder("items");
    for (const MiniTask &task : miniTasks()) {
        const std::string rows = itemRows(task, options.seed);
        writeFileAtomically(items / ("mini-" + std::string(task.name) + ".jsonl"), rows);
        report.items[task.name] = std::count(rows.begin(), rows.end(), '\n');
    }
    for (const MixtureFile &file : kMixtureFiles)
        report.files[file.name] = writeMixture(output.path() / file.name, file, options.seed,
                                               file.mixture == Mixture::Base ? options.baseTokens : options.chatTokens,
                                               *tokenizer, context);
    writeFileAtomically(output.path() / "summary.json", summaryText(options, report));
    output.commit();
    return report;
}

} // namespace secateur::mini
