#include "backend/engine/generation.h"

#include "backend/engine/detail/guards.h"
#include "backend/engine/detail/placement.h"
#include "backend/engine/generation/decoder.h"
#include "backend/engine/generation/sampler.h"
#include "backend/engine/nn/checks.h"
#include "backend/text/trace.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace secateur {

namespace {

using GenerationClock = std::chrono::steady_clock;

/// Prompt tokens that are computed in one forward pass.
constexpr std::int64_t kPrefillTokens = 2048;

double secondsSince(GenerationClock::time_point start)
{
    return std::chrono::duration<double>(GenerationClock::now() - start).count();
}

/// A sequence that is being continued in one slot of the cache.
struct RunningSequence {
    std::size_t index = 0; ///< of the prompt
    std::int64_t slot = 0;
    Sampler sampler;
    std::string text; ///< bytes so far, kept for stop strings only
};

/// Keeps up to `batch` sequences decoding: a finished one frees its slot for the next prompt at once.
class GenerationRun {
public:
    GenerationRun(const Model::Impl &model, const GenerationRequest &request, const Tokenizer *tokenizer,
                  const JobContext &context, const std::function<void(std::size_t, std::int32_t)> &onToken)
        : m_model(model),
          m_request(request),
          m_tokenizer(tokenizer),
          m_context(context),
          m_onToken(onToken),
          m_cache(makeCache(model, request, context)),
          m_decoder(makeDecoder(model, m_cache))
    {
        m_result.batch = static_cast<int>(m_cache.slots());
        for (std::int64_t slot = m_cache.slots(); slot-- > 0;)
            m_freeSlots.push_back(slot);
        m_result.sequences.resize(request.prompts.size());
    }

    GenerationResult run()
    {
        report();
        while (m_next < m_request.prompts.size() || !m_running.empty()) {
            if (m_next < m_request.prompts.size() && !m_freeSlots.empty())
                admit();
            else
                decode();
            report();
        }
        return std::move(m_result);
    }

private:
    static std::int64_t capacity(const GenerationRequest &request)
    {
        std::size_t longest = 0;
        for (const TokenIds &prompt : request.prompts)
            longest = std::max(longest, prompt.size());
        return static_cast<std::int64_t>(longest) + request.options.maxNewTokens;
    }

    /// As many slots as were asked for and fit.
    static KvCache makeCache(const Model::Impl &model, const GenerationRequest &request, const JobContext &context)
    {
        const std::int64_t wanted = std::clamp<std::int64_t>(static_cast<std::int64_t>(request.prompts.size()), 1,
                                                             std::max(1, request.batch));
        const std::int64_t positions = capacity(request);
        const std::uint64_t perSlot = KvCache::slotBytes(model, positions);
        const std::uint64_t room = request.cacheBytes > 0 ? request.cacheBytes : freeCacheBytes(model.device());
        std::int64_t slots = wanted;
        if (perSlot > 0)
            slots = std::min(wanted, static_cast<std::int64_t>(std::min<std::uint64_t>(room / perSlot, INT32_MAX)));
        const std::string need
            = "keys and values of " + std::to_string(positions) + " tokens take " + megabytes(perSlot);
        const std::string have = megabytes(room) + " are free";
        while (slots > 0) {
            try {
                KvCache cache = translated([&] { return KvCache(model, slots, positions, !usesRowDecoder(model)); });
                if (slots < wanted)
                    context.notice("The batch was reduced from " + std::to_string(wanted) + " to "
                                   + std::to_string(slots) + (slots == 1 ? " sequence: " : " sequences: ") + need
                                   + " each, and " + have + ".");
                return cache;
            } catch (const Error &error) { // less may be free in one piece than in all
                if (error.kind() != ErrorKind::OutOfMemory)
                    throw;
                slots /= 2;
            }
        }
        throw Error(ErrorKind::OutOfMemory, "There is not enough memory to generate: " + need + ", and " + have + ".",
                    "Generate fewer tokens, shorten the prompt, use bf16 or close other programs.");
    }

    /// What may be taken of the memory that is free now: activations need some, too.
    static std::uint64_t freeCacheBytes(const at::Device &device) { return freeDeviceBytes(device) / 10 * 9; }

    static std::string megabytes(std::uint64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

    /// Starts as many waiting prompts as there are free slots, within the limit of one forward pass.
    void admit()
    {
        const auto start = GenerationClock::now();
        std::vector<TokenIds> prompts;
        std::vector<std::int64_t> slots;
        std::vector<RunningSequence> fresh;
        std::int64_t tokens = 0;
        while (m_next < m_request.prompts.size() && !m_freeSlots.empty()) {
            const TokenIds &prompt = m_request.prompts[m_next];
            const auto size = static_cast<std::int64_t>(prompt.size());
            if (!prompts.empty() && tokens + size > kPrefillTokens)
                break;
            tokens += size;
            prompts.push_back(prompt);
            slots.push_back(m_freeSlots.back());
            fresh.push_back({m_next, m_freeSlots.back(), Sampler(m_request.options, m_next), {}});
            m_freeSlots.pop_back();
            ++m_next;
        }
        const std::vector<float> logits = toVector(logitsOf(m_model, m_cache.prefill(m_model, prompts, slots)));
        m_result.prefillTokens += tokens;
        m_result.prefillSeconds += secondsSince(start);
        const std::size_t vocabulary = logits.size() / prompts.size();
        for (std::size_t i = 0; i < fresh.size(); ++i) {
            if (m_request.options.maxNewTokens <= 0)
                finish(fresh[i], "length");
            else if (take(fresh[i], std::span(logits).subspan(i * vocabulary, vocabulary)))
                m_running.push_back(std::move(fresh[i]));
        }
    }

    /// One more token for every running sequence.
    void decode()
    {
        const auto start = GenerationClock::now();
        std::vector<DecodeRow> rows;
        for (const RunningSequence &sequence : m_running)
            rows.push_back({sequence.slot, m_result.sequences[sequence.index].ids.back()});
        const std::span<const float> logits = m_decoder->step(rows);
        m_result.decodeTokens += static_cast<std::int64_t>(rows.size());
        m_result.decodeSeconds += secondsSince(start);
        const std::size_t vocabulary = logits.size() / rows.size();
        std::vector<RunningSequence> still;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            if (take(m_running[i], logits.subspan(i * vocabulary, vocabulary)))
                still.push_back(std::move(m_running[i]));
        }
        m_running = std::move(still);
    }

    /// Chooses the next token; false when the sequence is finished and its slot free.
    bool take(RunningSequence &sequence, std::span<const float> logits)
    {
        TokenIds &ids = m_result.sequences[sequence.index].ids;
        const std::int32_t id = sequence.sampler.pick(logits);
        if (id < 0)
            throwNonFinite(sequence.index);
        const GenerationOptions &options = m_request.options;
        const auto among
            = [id](const std::vector<int> &list) { return std::find(list.begin(), list.end(), id) != list.end(); };
        if (among(options.stopIds) || (!options.ignoreEos && among(m_model.config.eosTokenIds))) {
            finish(sequence, "stop");
            return false;
        }
        ids.push_back(id);
        if (m_onToken)
            m_onToken(sequence.index, id);
        if (endsInStopString(sequence, id)) {
            finish(sequence, "stop");
            return false;
        }
        if (static_cast<std::int64_t>(ids.size()) >= options.maxNewTokens) {
            finish(sequence, "length");
            return false;
        }
        if (options.stopLoops && !options.ignoreEos && endsInLoop(ids)) {
            finish(sequence, "loop");
            return false;
        }
        return true;
    }

    /// true when the text after \a id holds a stop string that it did not hold before.
    bool endsInStopString(RunningSequence &sequence, std::int32_t id) const
    {
        if (m_request.options.stopStrings.empty() || !m_tokenizer)
            return false;
        const std::size_t before = sequence.text.size();
        sequence.text += m_tokenizer->tokenBytes(id);
        for (const std::string &stop : m_request.options.stopStrings) {
            const std::size_t from = before >= stop.size() ? before - stop.size() + 1 : 0;
            if (!stop.empty() && sequence.text.find(stop, from) != std::string::npos)
                return true;
        }
        return false;
    }

    void finish(const RunningSequence &sequence, const char *reason)
    {
        m_result.sequences[sequence.index].finish = reason;
        m_freeSlots.push_back(sequence.slot);
        ++m_finished;
    }

    [[noreturn]] void throwNonFinite(std::size_t index) const
    {
        TokenIds whole = m_request.prompts[index];
        const TokenIds &ids = m_result.sequences[index].ids;
        whole.insert(whole.end(), ids.begin(), ids.end());
        locateNonFinite(m_model, {whole}, static_cast<std::int64_t>(index));
        throw Error(ErrorKind::Numeric,
                    "The logits after token " + std::to_string(whole.size() - 1) + " of sequence "
                        + std::to_string(index) + " are not finite.");
    }

    void report() const
    {
        const double seconds = m_result.decodeSeconds;
        m_context.checkpoint({"generate", m_finished, static_cast<std::int64_t>(m_request.prompts.size()),
                              seconds > 0 ? static_cast<double>(m_result.decodeTokens) / seconds : 0});
    }

    const Model::Impl &m_model;
    const GenerationRequest &m_request;
    const Tokenizer *m_tokenizer;
    const JobContext &m_context;
    const std::function<void(std::size_t, std::int32_t)> &m_onToken;
    KvCache m_cache;
    std::unique_ptr<Decoder> m_decoder;
    std::vector<std::int64_t> m_freeSlots;
    std::vector<RunningSequence> m_running;
    std::size_t m_next = 0;
    std::int64_t m_finished = 0;
    GenerationResult m_result;
};

void requireGeneration(const GenerationRequest &request, const ModelConfig &config, const Tokenizer *tokenizer)
{
    const GenerationOptions &options = request.options;
    for (std::size_t i = 0; i < request.prompts.size(); ++i) {
        const std::string name = request.prompts.size() == 1 ? "The prompt" : "Prompt " + std::to_string(i);
        requireSequence(config, request.prompts[i], name, std::max(0, options.maxNewTokens));
    }
    if (!options.stopStrings.empty() && !tokenizer)
        throw Error(ErrorKind::InvalidArgument, "Stop strings need a tokenizer, and the model has none.");
    if (!(options.temperature >= 0) || !(options.topP > 0 && options.topP <= 1) || options.topK < 0
        || !(options.minP >= 0 && options.minP <= 1)) {
        throw Error(ErrorKind::InvalidArgument,
                    "The sampling settings are out of range: temperature must be at least 0, top-p above 0 and at most "
                    "1, top-k at least 0, min-p from 0 to 1.");
    }
}

} // namespace

GenerationResult generate(const Model &model, const GenerationRequest &request, const Tokenizer *tokenizer,
                          const JobContext &context, const std::function<void(std::size_t, std::int32_t)> &onToken)
{
    requireGeneration(request, model.config(), tokenizer);
    if (request.prompts.empty())
        return {};
    return withoutGradients([&] { return GenerationRun(model.impl(), request, tokenizer, context, onToken).run(); });
}

} // namespace secateur
