#pragma once

#include "backend/core/calibration.h"

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace secateur {

/// Everything a byte-pair encoding is made of.
struct BpeDefinition {
    std::vector<std::pair<std::string, std::int32_t>> vocabulary;
    std::vector<std::pair<std::string, std::string>> merges; ///< in order of rank
    std::string unknownToken; ///< empty: characters without a token are dropped
    bool fuseUnknown = false; ///< several unknown characters in a row become one token
    bool byteFallback = false; ///< characters without a token become "<0xNN>" tokens
    bool ignoreMerges = false; ///< a piece that is a token is taken whole
};

/// Byte-pair encoding of pieces of text. Immutable but for a bounded cache of words; thread-safe.
class BpeModel {
public:
    /// \a origin names the file for messages. Throws Error(BadFormat).
    BpeModel(BpeDefinition definition, const std::string &origin);

    /// Appends the ids of one piece. Time grows as n log n in the length of the piece.
    void encode(std::string_view piece, TokenIds &out) const;

    const std::string *token(std::int32_t id) const; ///< nullptr when there is none
    std::optional<std::int32_t> id(std::string_view token) const;
    std::int32_t idLimit() const { return static_cast<std::int32_t>(m_tokens.size()); } ///< highest id + 1

private:
    /// Open-addressing table from a pair of ids to rank and merged id.
    class MergeTable {
    public:
        struct Merge {
            std::int32_t rank = -1;
            std::int32_t id = -1;
        };
        explicit MergeTable(std::size_t count);
        void insert(std::int32_t left, std::int32_t right, Merge merge);
        /// nullptr when the two never merge
        const Merge *find(std::int32_t left, std::int32_t right) const;

    private:
        std::size_t slot(std::uint64_t key) const;
        std::vector<std::uint64_t> m_keys;
        std::vector<Merge> m_merges;
        std::size_t m_mask;
    };
    struct StringHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    struct CacheShard {
        std::mutex mutex;
        std::unordered_map<std::string, TokenIds, StringHash, std::equal_to<>> words;
    };
    static constexpr std::size_t kShards = 16;

    void readVocabulary(BpeDefinition &definition, const std::string &origin);
    void readMerges(const BpeDefinition &definition, const std::string &origin);
    void symbols(std::string_view piece, TokenIds &out) const;
    void mergeShort(TokenIds &symbols) const;
    void mergeLong(TokenIds &symbols) const;

    std::vector<std::string> m_tokens; ///< by id; unused ids hold an empty string
    std::vector<bool> m_present;
    std::unordered_map<std::string_view, std::int32_t> m_ids; ///< keys view m_tokens or m_duplicates
    std::vector<std::unique_ptr<std::string>> m_duplicates; ///< further names of an id
    std::array<std::int32_t, 0x180> m_characters{}; ///< id of a one-character token, -1 when there is none
    std::array<std::int32_t, 256> m_byteTokens{}; ///< id of "<0xNN>", -1 when there is none
    MergeTable m_merges;
    std::optional<std::int32_t> m_unknown;
    bool m_fuseUnknown;
    bool m_byteFallback;
    bool m_ignoreMerges;
    mutable std::array<CacheShard, kShards> m_cache;
};

} // namespace secateur
