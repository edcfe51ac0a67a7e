#include "backend/text/bpe_model.h"

#include "backend/core/error.h"
#include "backend/text/utf8.h"

#include <algorithm>
#include <bit>
#include <queue>

namespace secateur {
namespace {

constexpr std::size_t kShortWord = 48; // symbols; below this a scan beats a heap
constexpr std::size_t kCachedBytes = 128; // longer pieces rarely come again
constexpr std::size_t kWordsPerShard = 8192;
constexpr std::int32_t kHighestId = 1 << 24;
constexpr std::uint64_t kEmptyKey = ~std::uint64_t{0};

std::uint64_t pairKey(std::int32_t left, std::int32_t right)
{
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) | static_cast<std::uint32_t>(right);
}

} // namespace

BpeModel::MergeTable::MergeTable(std::size_t count)
    : m_keys(std::bit_ceil(count * 2 + 16), kEmptyKey), m_merges(m_keys.size()), m_mask(m_keys.size() - 1)
{ }

std::size_t BpeModel::MergeTable::slot(std::uint64_t key) const
{
    // Fibonacci hashing: the high bits of the product depend on every bit of the key.
    std::size_t at = static_cast<std::size_t>((key * 0x9E3779B97F4A7C15ull) >> 24) & m_mask;
    while (m_keys[at] != kEmptyKey && m_keys[at] != key)
        at = (at + 1) & m_mask;
    return at;
}

void BpeModel::MergeTable::insert(std::int32_t left, std::int32_t right, Merge merge)
{
    const std::uint64_t key = pairKey(left, right);
    const std::size_t at = slot(key);
    m_keys[at] = key;
    m_merges[at] = merge;
}

const BpeModel::MergeTable::Merge *BpeModel::MergeTable::find(std::int32_t left, std::int32_t right) const
{
    const std::size_t at = slot(pairKey(left, right));
    return m_keys[at] == kEmptyKey ? nullptr : &m_merges[at];
}

BpeModel::BpeModel(BpeDefinition definition, const std::string &origin)
    : m_merges(definition.merges.size()),
      m_fuseUnknown(definition.fuseUnknown),
      m_byteFallback(definition.byteFallback),
      m_ignoreMerges(definition.ignoreMerges)
{
    readVocabulary(definition, origin);
    readMerges(definition, origin);
    if (!definition.unknownToken.empty()) {
        m_unknown = id(definition.unknownToken);
        if (!m_unknown)
            throw Error(ErrorKind::BadFormat,
                        origin + ": the unknown token \"" + definition.unknownToken + "\" is not in the vocabulary.");
    }
    m_characters.fill(-1);
    for (char32_t c = 0; c < m_characters.size(); ++c) {
        std::string character;
        appendUtf8(character, c);
        m_characters[c] = id(character).value_or(-1);
    }
    constexpr std::string_view digits = "0123456789ABCDEF";
    for (std::size_t b = 0; b < m_byteTokens.size(); ++b) {
        const std::string name = std::string("<0x") + digits[b >> 4] + digits[b & 15] + ">";
        m_byteTokens[b] = id(name).value_or(-1);
    }
}

void BpeModel::readVocabulary(BpeDefinition &definition, const std::string &origin)
{
    std::int32_t highest = -1;
    for (const auto &[text, number] : definition.vocabulary) {
        if (number < 0 || number >= kHighestId)
            throw Error(ErrorKind::BadFormat,
                        origin + ": token \"" + text + "\" has the impossible id " + std::to_string(number) + ".");
        highest = std::max(highest, number);
    }
    m_tokens.resize(static_cast<std::size_t>(highest + 1));
    m_present.resize(m_tokens.size());
    m_ids.reserve(definition.vocabulary.size());
    for (auto &[text, number] : definition.vocabulary) {
        const auto at = static_cast<std::size_t>(number);
        if (!m_present[at]) {
            m_present[at] = true;
            m_tokens[at] = std::move(text);
            m_ids.emplace(m_tokens[at], number);
        } else {
            m_duplicates.push_back(std::make_unique<std::string>(std::move(text)));
            m_ids.emplace(*m_duplicates.back(), number);
        }
    }
}

void BpeModel::readMerges(const BpeDefinition &definition, const std::string &origin)
{
    for (std::size_t rank = 0; rank < definition.merges.size(); ++rank) {
        const auto &[left, right] = definition.merges[rank];
        const auto leftId = id(left);
        const auto rightId = id(right);
        const auto merged = id(left + right);
        if (!leftId || !rightId || !merged) {
            const std::string &missing = !leftId ? left : !rightId ? right : left + right;
            throw Error(ErrorKind::BadFormat,
                        origin + ": merge " + std::to_string(rank) + " (\"" + left + "\", \"" + right
                            + "\") needs the token \"" + missing + "\", which is not in the vocabulary.");
        }
        m_merges.insert(*leftId, *rightId, {static_cast<std::int32_t>(rank), *merged});
    }
}

const std::string *BpeModel::token(std::int32_t id) const
{
    const auto at = static_cast<std::size_t>(id);
    return id >= 0 && at < m_tokens.size() && m_present[at] ? &m_tokens[at] : nullptr;
}

std::optional<std::int32_t> BpeModel::id(std::string_view token) const
{
    const auto found = m_ids.find(token);
    return found == m_ids.end() ? std::nullopt : std::optional(found->second);
}

void BpeModel::encode(std::string_view piece, TokenIds &out) const
{
    if (piece.empty())
        return;
    if (m_ignoreMerges) {
        if (const auto whole = id(piece)) {
            out.push_back(*whole);
            return;
        }
    }
    const bool cached = piece.size() <= kCachedBytes;
    CacheShard &shard = m_cache[std::hash<std::string_view>{}(piece) >> 7 & (kShards - 1)];
    if (cached) {
        const std::lock_guard lock(shard.mutex);
        if (const auto found = shard.words.find(piece); found != shard.words.end()) {
            out.insert(out.end(), found->second.begin(), found->second.end());
            return;
        }
    }
    TokenIds word;
    symbols(piece, word);
    if (word.size() <= kShortWord)
        mergeShort(word);
    else
        mergeLong(word);
    out.insert(out.end(), word.begin(), word.end());
    if (cached) {
        const std::lock_guard lock(shard.mutex);
        if (shard.words.size() >= kWordsPerShard)
            shard.words.clear(); // cheaper than keeping an order of use, and common words are back at once
        shard.words.emplace(piece, std::move(word));
    }
}

void BpeModel::symbols(std::string_view piece, TokenIds &out) const
{
    out.reserve(piece.size());
    bool pendingUnknown = false;
    const auto flush = [&] {
        if (pendingUnknown)
            out.push_back(*m_unknown);
        pendingUnknown = false;
    };
    for (std::size_t i = 0; i < piece.size();) {
        const Utf8Step step = utf8Step(piece, i);
        const std::string_view character = piece.substr(i, step.length);
        i += step.length;
        const std::int32_t known
            = step.codePoint < m_characters.size() ? m_characters[step.codePoint] : id(character).value_or(-1);
        if (known >= 0) {
            flush();
            out.push_back(known);
            continue;
        }
        const auto byteToken = [&](char c) { return m_byteTokens[static_cast<unsigned char>(c)]; };
        if (m_byteFallback && std::ranges::all_of(character, [&](char c) { return byteToken(c) >= 0; })) {
            for (const char c : character)
                out.push_back(byteToken(c));
            continue;
        }
        if (m_unknown) {
            if (!m_fuseUnknown)
                flush();
            pendingUnknown = true;
        }
    }
    flush();
}

void BpeModel::mergeShort(TokenIds &symbols) const
{
    if (symbols.size() < 2)
        return;
    std::array<MergeTable::Merge, kShortWord> next; // merge of symbol i with symbol i + 1
    const auto lookUp = [&](std::size_t i) {
        const MergeTable::Merge *merge = i + 1 < symbols.size() ? m_merges.find(symbols[i], symbols[i + 1]) : nullptr;
        next[i] = merge ? *merge : MergeTable::Merge{};
    };
    for (std::size_t i = 0; i < symbols.size(); ++i)
        lookUp(i);
    while (true) {
        std::size_t best = symbols.size();
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
            if (next[i].rank >= 0 && (best == symbols.size() || next[i].rank < next[best].rank))
                best = i;
        }
        if (best == symbols.size())
            return;
        symbols[best] = next[best].id;
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
        std::move(next.begin() + static_cast<std::ptrdiff_t>(best) + 2,
                  next.begin() + static_cast<std::ptrdiff_t>(symbols.size()) + 1,
                  next.begin() + static_cast<std::ptrdiff_t>(best) + 1);
        lookUp(best);
        if (best > 0)
            lookUp(best - 1);
    }
}

void BpeModel::mergeLong(TokenIds &symbols) const
{
    struct Link {
        std::int32_t id;
        std::int32_t previous;
        std::int32_t next;
    };
    struct Candidate {
        std::int32_t rank;
        std::int32_t at;
        std::int32_t left;
        std::int32_t right;
        bool operator>(const Candidate &other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
    };
    const auto count = static_cast<std::int32_t>(symbols.size());
    std::vector<Link> links;
    links.reserve(symbols.size());
    for (std::int32_t i = 0; i < count; ++i)
        links.push_back({symbols[static_cast<std::size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
    const auto link = [&](std::int32_t i) -> Link & { return links[static_cast<std::size_t>(i)]; };

    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
    const auto offer = [&](std::int32_t at) {
        if (at < 0 || link(at).next < 0)
            return;
        const std::int32_t left = link(at).id;
        const std::int32_t right = link(link(at).next).id;
        if (const MergeTable::Merge *merge = m_merges.find(left, right))
            queue.push({merge->rank, at, left, right});
    };
    for (std::int32_t i = 0; i + 1 < count; ++i)
        offer(i);
    while (!queue.empty()) {
        const Candidate top = queue.top();
        queue.pop();
        Link &left = link(top.at);
        if (left.id != top.left || left.next < 0 || link(left.next).id != top.right)
            continue; // one of the two has merged with another neighbour since
        Link &right = link(left.next);
        left.id = m_merges.find(top.left, top.right)->id;
        left.next = right.next;
        if (right.next >= 0)
            link(right.next).previous = top.at;
        right.id = -1;
        offer(top.at);
        offer(left.previous);
    }
    symbols.clear();
    for (std::int32_t i = 0; i >= 0; i = link(i).next)
        symbols.push_back(link(i).id);
}

} // namespace secateur
