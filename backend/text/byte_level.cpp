#include "backend/text/byte_level.h"

#include "backend/text/utf8.h"

#include <array>

namespace secateur {
namespace {

constexpr char32_t kByteCharacters = 0x144; // one above the highest character in use

struct ByteLevelTables {
    std::array<char32_t, 256> characters{};
    std::array<std::string, 256> utf8;
    std::array<int, kByteCharacters> bytes{};

    ByteLevelTables()
    {
        bytes.fill(-1);
        char32_t next = 0x100;
        for (int b = 0; b < 256; ++b) {
            const bool visible = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
            const char32_t c = visible ? static_cast<char32_t>(b) : next++;
            characters[b] = c;
            bytes[c] = b;
            appendUtf8(utf8[b], c);
        }
    }
};

const ByteLevelTables &byteLevelTables()
{
    static const ByteLevelTables tables;
    return tables;
}

} // namespace

char32_t characterOfByte(unsigned char byte)
{
    return byteLevelTables().characters[byte];
}

std::optional<unsigned char> byteOfCharacter(char32_t character)
{
    if (character >= kByteCharacters || byteLevelTables().bytes[character] < 0)
        return std::nullopt;
    return static_cast<unsigned char>(byteLevelTables().bytes[character]);
}

void appendByteLevel(std::string_view text, std::string &out)
{
    const ByteLevelTables &tables = byteLevelTables();
    for (const char c : text)
        out += tables.utf8[static_cast<unsigned char>(c)];
}

void appendByteLevelDecoded(std::string_view token, std::string &out)
{
    const std::size_t before = out.size();
    for (std::size_t i = 0; i < token.size();) {
        const Utf8Step step = utf8Step(token, i);
        const auto byte = step.kind == Utf8Step::Kind::Valid ? byteOfCharacter(step.codePoint) : std::nullopt;
        if (!byte) {
            out.resize(before);
            out += token;
            return;
        }
        out += static_cast<char>(*byte);
        i += step.length;
    }
}

} // namespace secateur
